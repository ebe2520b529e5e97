/*
 * Do pipes, FIFOs and pairs of sockets pass bytes as on Linux: waiting, ends that close, what is
 * atomic, and descriptors and their flags?
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "files.h"
#include "process.h"

static int ends[2];
static char bytes[1 << 17];

static void open_pipe(int flags)
{
    if (pipe2(ends, flags) < 0) {
        bail("pipe2");
    }
}

static int flags_of(int fd)
{
    return fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND);
}

static void making(void)
{
    struct stat info;
    ok_equal(pipe(ends), 0, "pipe");
    ok(ends[1] == ends[0] + 1, "the lowest numbers, reading first");
    ok(flags_of(ends[0]) == O_RDONLY && flags_of(ends[1]) == O_WRONLY, "one end each");
    ok(fstat(ends[0], &info) == 0 && S_ISFIFO(info.st_mode), "fstat says it is a FIFO");
    ok(info.st_size == 0 && info.st_nlink == 1 && (info.st_mode & 07777) == 0600, "its fields");
    ok_errno(write(ends[0], "x", 1), EBADF, "the reading end can't be written");
    ok_errno(read(ends[1], bytes, 1), EBADF, "nor the writing end read");
    ok_errno(lseek(ends[0], 0, SEEK_SET), ESPIPE, "no lseek");
    ok_errno(pread(ends[0], bytes, 1, 0), ESPIPE, "no pread");
    ok_errno(pwrite(ends[1], bytes, 1, 0), ESPIPE, "no pwrite");
    ok_errno(ftruncate(ends[1], 0), EINVAL, "no ftruncate");
    ok_errno(fsync(ends[1]), EINVAL, "no fsync");
    ok_errno(pipe2(ends, O_CREAT), EINVAL, "unknown flag");
    ok_errno(syscall(SYS_pipe, 8), EFAULT, "bad pointer");
    int next = dup(0);
    ok_equal(next, ends[1] + 1, "which costs no descriptor");
    open_pipe(O_CLOEXEC | O_NONBLOCK);
    ok(fcntl(ends[0], F_GETFD) == FD_CLOEXEC && fcntl(ends[1], F_GETFD) == FD_CLOEXEC,
       "O_CLOEXEC for both");
    ok(flags_of(ends[0]) == (O_RDONLY | O_NONBLOCK), "and O_NONBLOCK");
}

static void passing(void)
{
    int left = -1;
    open_pipe(0);
    ok_equal(write(ends[1], "hello, world", 12), 12, "write");
    ok_equal(ioctl(ends[0], FIONREAD, &left), 0, "FIONREAD");
    ok_equal(left, 12, "tells how much is in it");
    ok(read(ends[0], bytes, 5) == 5 && memcmp(bytes, "hello", 5) == 0, "read a part");
    ok(read(ends[0], bytes, 100) == 7 && memcmp(bytes, ", world", 7) == 0, "and the rest");
    struct iovec out[3] = {{(char[]){"ab"}, 2}, {NULL, 0}, {(char[]){"cde"}, 3}};
    ok_equal(writev(ends[1], out, 3), 5, "writev");
    struct iovec in[2] = {{bytes, 3}, {bytes + 10, 10}};
    ok_equal(readv(ends[0], in, 2), 5, "readv");
    ok(memcmp(bytes, "abc", 3) == 0 && memcmp(bytes + 10, "de", 2) == 0, "in their order");
    ok_equal(write(ends[1], bytes, 0), 0, "nothing is written");
    ok_equal(read(ends[0], bytes, 0), 0, "and nothing read");
    ok_errno(write(ends[1], (char *)8, 1), EFAULT, "write from a bad pointer");
    if (write(ends[1], "x", 1) != 1) {
        bail("write");
    }
    ok_errno(read(ends[0], (char *)8, 1), EFAULT, "read to a bad pointer");
}

static volatile int pipe_signals;

static void count_signal(int number)
{
    pipe_signals += number == SIGPIPE;
}

static void write_to_nobody(void)
{
    signal(SIGPIPE, SIG_DFL);
    _exit(write(ends[1], "x", 1) < 0 ? 1 : 2);
}

static void ends_that_close(void)
{
    open_pipe(0);
    ok_equal(write(ends[1], "rest", 4), 4, "write");
    int copy = dup(ends[1]);
    close(ends[1]);
    ok_equal(read(ends[0], bytes, 10), 4, "what is in it can be read");
    close(copy);
    ok_equal(read(ends[0], bytes, 10), 0, "after the last writer comes the end");
    ok_equal(read(ends[0], bytes, 10), 0, "again and again");
    close(ends[0]);
    open_pipe(0);
    close(ends[0]);
    signal(SIGPIPE, count_signal);
    ok_errno(write(ends[1], "x", 1), EPIPE, "without a reader");
    ok_equal(pipe_signals, 1, "and SIGPIPE");
    signal(SIGPIPE, SIG_IGN);
    ok_errno(write(ends[1], "x", 1), EPIPE, "without SIGPIPE if it is ignored");
    ok_equal(tap_child_signal(write_to_nobody), SIGPIPE, "which else kills");
    close(ends[1]);
    open_pipe(0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        pause_ms(30);
        _exit(0); /* closes the writing end */
    }
    close(ends[1]);
    ok_equal(read(ends[0], bytes, 10), 0, "a waiting reader wakes at the end");
    reap(pid);
}

static void waiting(void)
{
    open_pipe(0);
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(30);
        _exit(write(ends[1], "late", 4) != 4);
    }
    ok_equal(read(ends[0], bytes, 100), 4, "a reader waits for bytes, not for all it asks for");
    ok_equal(reap(pid), 0, "which a child wrote");
    pid = fork();
    if (pid == 0) {
        size_t got = 0;
        close(ends[1]);
        for (ssize_t n; (n = read(ends[0], bytes, 3000)) > 0; got += (size_t)n) {
        }
        _exit(got == 100000 ? 0 : 1);
    }
    close(ends[0]);
    ok_equal(write(ends[1], bytes, 100000), 100000, "a writer waits until all is written");
    close(ends[1]);
    ok_equal(reap(pid), 0, "and read");
}

static void without_waiting(void)
{
    open_pipe(O_NONBLOCK);
    ok_errno(read(ends[0], bytes, 1), EAGAIN, "an empty pipe");
    ok_equal(fcntl(ends[1], F_GETPIPE_SZ), 65536, "F_GETPIPE_SZ");
    ok_equal(write(ends[1], bytes, 70000), 65536, "it takes 64 KiB");
    ok_errno(write(ends[1], bytes, 1), EAGAIN, "then no more");
    ok_equal(read(ends[0], bytes, 4095), 4095, "almost a page is read");
    ok_errno(write(ends[1], bytes, 4096), EAGAIN, "PIPE_BUF bytes go at once or not at all");
    ok_equal(read(ends[0], bytes, 1), 1, "a byte more");
    ok_equal(write(ends[1], bytes, 4096), 4096, "now they do");
    ok_equal(fcntl(ends[1], F_SETFL, 0), 0, "F_SETFL");
    ok(flags_of(ends[1]) == O_WRONLY && flags_of(ends[0]) == O_NONBLOCK, "one end at a time");
    size_t rest = 0;
    for (ssize_t n; (n = read(ends[0], bytes, sizeof bytes)) > 0; rest += (size_t)n) {
    }
    ok_equal(rest, 65536, "all of it is there");
}

/* Many writers, each with lines of its own letter: no line may be torn. */
static void atomic_writes(void)
{
    enum { WRITERS = 4, LINES = 50, LENGTH = PIPE_BUF };
    int torn = 0, lines = 0;
    open_pipe(0);
    for (int i = 0; i < WRITERS; i++) {
        if (fork() == 0) {
            memset(bytes, 'a' + i, LENGTH);
            for (int line = 0; line < LINES; line++) {
                if (write(ends[1], bytes, LENGTH) != LENGTH) {
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    close(ends[1]);
    size_t have = 0;
    for (ssize_t n; (n = read(ends[0], bytes + have, LENGTH - have)) > 0;) {
        have += (size_t)n;
        if (have == LENGTH) {
            torn += memcmp(bytes, bytes + 1, LENGTH - 1) != 0;
            lines++;
            have = 0;
        }
    }
    while (wait(NULL) > 0) {
    }
    ok_equal(lines, WRITERS * LINES, "four writers' blocks of PIPE_BUF bytes");
    ok_equal(torn, 0, "none is torn");
}

static void descriptors(void)
{
    open_pipe(O_CLOEXEC);
    ok_equal(dup2(ends[0], 50), 50, "dup2");
    ok_equal(fcntl(50, F_GETFD), 0, "drops close-on-exec");
    ok_equal(dup2(50, 50), 50, "onto itself");
    ok_errno(dup3(50, 50, 0), EINVAL, "dup3 onto itself");
    ok_equal(dup3(ends[0], 50, O_CLOEXEC), 50, "dup3");
    ok_equal(fcntl(50, F_GETFD), FD_CLOEXEC, "with close-on-exec");
    ok_errno(syscall(SYS_dup3, ends[0], 51, O_NONBLOCK), EINVAL, "dup3: unknown flag");
    ok_errno(dup(99), EBADF, "dup of nothing");
    ok_errno(dup2(99, 50), EBADF, "dup2 of nothing");
    ok(fcntl(50, F_GETFD) >= 0, "which leaves the other open");
    ok_errno(dup2(99, 99), EBADF, "dup2 of nothing onto itself");
    ok_errno(dup2(ends[0], -1), EBADF, "dup2 to a negative number");
    ok_errno(dup2(ends[0], 1 << 30), EBADF, "dup2 beyond the limit");
    ok_equal(fcntl(ends[0], F_DUPFD, 60), 60, "F_DUPFD");
    ok_equal(fcntl(ends[0], F_DUPFD, 60), 61, "takes the next free one");
    ok_errno(fcntl(ends[0], F_DUPFD, -1), EINVAL, "F_DUPFD from a negative number");
    ok_errno(fcntl(99, F_GETFD), EBADF, "fcntl on nothing");
    ok_errno(fcntl(ends[0], 9999), EINVAL, "fcntl: unknown command");
    ok_errno(close(99), EBADF, "close of nothing");
    ok_errno(close(-1), EBADF, "close of -1");
    ok_equal(syscall(SYS_close_range, 50, 61, 0), 0, "close_range");
    ok(fcntl(50, F_GETFD) < 0 && fcntl(61, F_GETFD) < 0 && fcntl(ends[0], F_GETFD) >= 0,
       "closes just those");
    ok_errno(syscall(SYS_close_range, 61, 50, 0), EINVAL, "close_range backwards");
    ok_errno(syscall(SYS_close_range, 50, 61, 8), EINVAL, "close_range: unknown flag");
}

static void named_pipes(void)
{
    struct stat info;
    ok_equal(mkfifo("fifo", 0640), 0, "mkfifo");
    ok(stat("fifo", &info) == 0 && info.st_mode == (S_IFIFO | 0640), "its mode");
    ok_errno(mkfifo("fifo", 0640), EEXIST, "it exists");
    ok_errno(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO, "a writer without reader, O_NONBLOCK");
    int reader = open("fifo", O_RDONLY | O_NONBLOCK);
    ok(reader >= 0, "a reader without writer, O_NONBLOCK");
    ok_equal(read(reader, bytes, 1), 0, "meets the end");
    int writer = open("fifo", O_WRONLY | O_NONBLOCK);
    ok(writer >= 0, "now a writer can come");
    ok_errno(read(reader, bytes, 1), EAGAIN, "and nothing is there yet");
    ok(write(writer, "abc", 3) == 3 && read(reader, bytes, 9) == 3, "bytes pass");
    close(writer);
    close(reader);
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(30);
        int fd = open("fifo", O_WRONLY);
        _exit(write(fd, "from a child", 12) != 12);
    }
    reader = open("fifo", O_RDONLY);
    ok(reader >= 0, "open waits for the other side");
    ok(read(reader, bytes, 99) == 12 && memcmp(bytes, "from a child", 12) == 0, "which speaks");
    reap(pid);
    int both = open("fifo", O_RDWR);
    ok(both >= 0 && write(both, "x", 1) == 1 && read(both, bytes, 9) == 1, "O_RDWR is both sides");
    ok_equal(unlink("fifo"), 0, "unlink");
    ok(write(both, "y", 1) == 1 && read(reader, bytes, 9) == 1, "an open one lives on");
}

static void socket_pair(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) {
        ok(false, "socketpair");
        return;
    }
    ok(write(ends[0], "to and", 6) == 6 && read(ends[1], bytes, 99) == 6, "one way");
    ok(write(ends[1], "fro", 3) == 3 && read(ends[0], bytes, 99) == 3, "and the other");
    ok_equal(memcmp(bytes, "fro", 3), 0, "what was sent");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        _exit(read(ends[1], bytes, 4) == 4 && write(ends[1], bytes, 4) == 4 ? 0 : 1);
    }
    close(ends[1]);
    ok(write(ends[0], "ping", 4) == 4 && read(ends[0], bytes, 9) == 4, "over a fork");
    reap(pid);
    ok_equal(read(ends[0], bytes, 9), 0, "the other has gone");
    signal(SIGPIPE, SIG_IGN);
    ok_errno(write(ends[0], "x", 1), EPIPE, "which can't be written to");
}

static void *read_one(void *unused)
{
    char byte;
    (void)unused;
    return (void *)(long)read(ends[0], &byte, 1);
}

static void many_readers(void)
{
    enum { READERS = 8 };
    pthread_t threads[READERS];
    long sum = 0;
    open_pipe(0);
    for (int i = 0; i < READERS; i++) {
        pthread_create(&threads[i], NULL, read_one, NULL);
    }
    pause_ms(20);
    ok_equal(write(ends[1], "12345678", READERS), READERS, "a byte for each of eight readers");
    for (int i = 0; i < READERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    ok_equal(sum, READERS, "each gets one");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(making),       TAP_CASE(passing),         TAP_CASE(ends_that_close),
        TAP_CASE(waiting),      TAP_CASE(without_waiting), TAP_CASE(atomic_writes),
        TAP_CASE(descriptors),  TAP_CASE(named_pipes),     TAP_CASE(socket_pair),
        TAP_CASE(many_readers),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
