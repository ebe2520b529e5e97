/*
 * Advisory locks: ranges of fcntl's record locks, who owns them, waiting, deadlock; flock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/file.h>

#include "files.h"
#include "process.h"

static int fd;

/* fcntl with a range [start, start + length), length 0 = to the end. */
static int lock(int file, int command, short type, long start, long length)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(file, command, &range);
}

/* What a write lock of [start, start + length) by another process would meet, as a text. */
static char *answer;

static void ask(long start, long length)
{
    struct flock range = {F_WRLCK, SEEK_SET, start, length, 0};
    if (fcntl(fd, F_GETLK, &range)) {
        snprintf(answer, 64, "errno %d", errno);
    } else if (range.l_type == F_UNLCK) {
        snprintf(answer, 64, "free");
    } else {
        snprintf(answer, 64, "%s %ld+%ld%s", range.l_type == F_RDLCK ? "read" : "write",
                 (long)range.l_start, (long)range.l_len,
                 range.l_pid == getppid() ? ""
                 : range.l_pid == -1      ? " file"
                                          : " other");
    }
}

static const char *others_see(long start, long length)
{
    pid_t pid = fork();
    if (pid == 0) {
        ask(start, length);
        _exit(0);
    }
    reap(pid);
    return answer;
}

static void open_file(void)
{
    fd = open("locked", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    answer = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fd < 0 || ftruncate(fd, 1000) || answer == MAP_FAILED) {
        bail("a file to lock");
    }
}

static void ranges(void)
{
    open_file();
    ok_text(others_see(0, 0), "free", "a file without locks");
    ok_equal(lock(fd, F_SETLK, F_WRLCK, 100, 100), 0, "a write lock");
    ok_text(others_see(0, 0), "write 100+100", "is seen by others");
    ok_text(others_see(0, 100), "free", "before it");
    ok_text(others_see(200, 0), "free", "behind it");
    ok_equal(lock(fd, F_SETLK, F_WRLCK, 200, 50), 0, "another that touches it");
    ok_text(others_see(120, 1), "write 100+150", "they are one");
    ok_equal(lock(fd, F_SETLK, F_UNLCK, 130, 10), 0, "a hole");
    ok_text(others_see(0, 0), "write 100+30", "the part before it");
    ok_text(others_see(130, 10), "free", "the hole");
    ok_text(others_see(135, 10), "write 140+110", "the part behind it");
    ok_equal(lock(fd, F_SETLK, F_RDLCK, 110, 50), 0, "a read lock over both");
    ok_text(others_see(100, 5), "write 100+10", "what is left of the first");
    ok_text(others_see(110, 5), "read 110+50", "the read lock");
    ok_text(others_see(160, 5), "write 160+90", "what is left of the second");
    ok_equal(lock(fd, F_SETLK, F_UNLCK, 0, 0), 0, "unlock all");
    ok_text(others_see(0, 0), "free", "nothing is left");
}

static void arguments(void)
{
    open_file();
    struct flock range = {F_WRLCK, SEEK_END, -10, 5, 0};
    ok_equal(fcntl(fd, F_SETLK, &range), 0, "counted from the end");
    ok_text(others_see(0, 0), "write 990+5", "it is where it should be");
    range = (struct flock){F_WRLCK, SEEK_SET, 500, -100, 0};
    ok_equal(fcntl(fd, F_SETLK, &range), 0, "a negative length");
    ok_text(others_see(0, 900), "write 400+100", "ends before the start");
    range = (struct flock){F_WRLCK, SEEK_SET, -1, 10, 0};
    ok_errno(fcntl(fd, F_SETLK, &range), EINVAL, "before the file");
    range = (struct flock){9, SEEK_SET, 0, 10, 0};
    ok_errno(fcntl(fd, F_SETLK, &range), EINVAL, "no type");
    range = (struct flock){F_WRLCK, 7, 0, 10, 0};
    ok_errno(fcntl(fd, F_SETLK, &range), EINVAL, "no whence");
    ok_errno(fcntl(fd, F_SETLK, (void *)8), EFAULT, "no structure");
    int reader = open("locked", O_RDONLY);
    ok_errno(lock(reader, F_SETLK, F_WRLCK, 0, 1), EBADF, "a write lock needs a file to write");
    int writer = open("locked", O_WRONLY);
    ok_errno(lock(writer, F_SETLK, F_RDLCK, 0, 1), EBADF, "a read lock one to read");
    ok_text(others_see(0, 0), "write 400+100", "failures change nothing");
    close(reader);
    ok_text(others_see(0, 0), "free", "closing any file of the inode releases all");
}

static void inherit(void)
{
    _exit(lock(fd, F_SETLK, F_WRLCK, 0, 1) < 0 && errno == EAGAIN ? 0 : 1);
}

static void hold_and_end(void)
{
    _exit(lock(fd, F_SETLK, F_WRLCK, 0, 1) == 0 ? 0 : 1);
}

static void owners(void)
{
    open_file();
    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    ok_equal(reap(start(inherit)), 0, "a child does not inherit its parent's locks: EAGAIN");
    lock(fd, F_SETLK, F_UNLCK, 0, 1);
    ok_equal(reap(start(hold_and_end)), 0, "a child locks and ends");
    ok_text(others_see(0, 0), "free", "its end releases the lock");
    int again = open("locked", O_RDWR);
    ok_equal(lock(fd, F_SETLK, F_WRLCK, 0, 10), 0, "by one file");
    ok_equal(lock(again, F_SETLK, F_RDLCK, 0, 10), 0, "by another file of the same process");
    ok_text(others_see(0, 0), "read 0+10", "replaces it");
}

/* ---- Waiting ---- */

static void on_alarm(int number)
{
    (void)number;
}

static void wait_for_lock(void)
{
    _exit(lock(fd, F_SETLKW, F_WRLCK, 5, 1) == 0 ? 0 : 1);
}

static void interrupted_wait(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    _exit(lock(fd, F_SETLKW, F_WRLCK, 5, 1) < 0 && errno == EINTR ? 0 : 1);
}

static void waiting(void)
{
    int status;
    open_file();
    lock(fd, F_SETLK, F_WRLCK, 0, 10);
    pid_t pid = start(wait_for_lock);
    pause_ms(100);
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "F_SETLKW waits");
    lock(fd, F_SETLK, F_UNLCK, 0, 5);
    pause_ms(50);
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "another part's release does not help");
    lock(fd, F_SETLK, F_UNLCK, 5, 1);
    ok_equal(reap(pid), 0, "its own does");
    lock(fd, F_SETLK, F_WRLCK, 0, 10);
    pid = start(wait_for_lock);
    pause_ms(50);
    lock(fd, F_SETLK, F_RDLCK, 0, 10);
    pause_ms(50);
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "a read lock is in its way, too");
    kill(pid, SIGKILL);
    reap(pid);
    ok_equal(reap(start(interrupted_wait)), 0, "a signal ends the wait: EINTR");
}

static void cross(void)
{
    lock(fd, F_SETLK, F_WRLCK, 1, 1);
    answer[0] = 'r';
    _exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 1);
}

static void deadlock(void)
{
    open_file();
    lock(fd, F_SETLK, F_WRLCK, 0, 1);
    pid_t pid = start(cross);
    ok(eventually(*(volatile char *)answer == 'r', 5000), "the other holds byte 1");
    pause_ms(100);
    ok_errno(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK, "each would wait for the other");
    lock(fd, F_SETLK, F_UNLCK, 0, 1);
    ok_equal(reap(pid), 0, "giving in lets the other go on");
}

/* ---- Locks of open files ---- */

static void open_file_locks(void)
{
    open_file();
    int again = open("locked", O_RDWR), copy = dup(fd);
    ok_equal(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10), 0, "F_OFD_SETLK");
    ok_errno(lock(again, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN, "another open file is in its way");
    ok_errno(lock(fd, F_SETLK, F_RDLCK, 5, 1), EAGAIN, "so is the process that holds it");
    ok_equal(lock(copy, F_OFD_SETLK, F_RDLCK, 0, 10), 0, "a copy is the same open file");
    ok_text(others_see(0, 0), "read 0+10 file", "F_GETLK names no process");
    close(again);
    ok_text(others_see(0, 0), "read 0+10 file", "closing another file releases nothing");
    close(copy);
    ok_text(others_see(0, 0), "read 0+10 file", "nor does closing a copy");
    struct flock range = {F_WRLCK, SEEK_SET, 0, 1, getpid()};
    ok_errno(fcntl(fd, F_OFD_SETLK, &range), EINVAL, "l_pid must be 0");
    again = open("locked", O_RDWR);
    close(fd);
    fd = again;
    ok_text(others_see(0, 0), "free", "the last close does");
}

static void take_whole(void)
{
    int own = open("locked", O_RDWR);
    close(fd); /* or it would have to wait for itself */
    answer[0] = 'r';
    _exit(flock(own, LOCK_EX) == 0 ? 0 : 1);
}

static void whole_files(void)
{
    open_file();
    int again = open("locked", O_RDWR), status;
    ok_equal(flock(fd, LOCK_SH), 0, "LOCK_SH");
    ok_equal(flock(again, LOCK_SH | LOCK_NB), 0, "and once more");
    ok_errno(flock(fd, LOCK_EX | LOCK_NB), EAGAIN, "LOCK_EX must wait for the other");
    ok_equal(flock(again, LOCK_UN), 0, "LOCK_UN");
    ok_equal(flock(fd, LOCK_EX | LOCK_NB), 0, "now it can be had");
    ok_equal(lock(again, F_SETLK, F_WRLCK, 0, 0), 0, "record locks don't mind");
    ok_errno(flock(again, LOCK_SH | LOCK_NB), EAGAIN, "LOCK_SH must wait");
    pid_t pid = start(take_whole);
    ok(eventually(*(volatile char *)answer == 'r', 5000), "a child wants it");
    pause_ms(100);
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "and waits");
    close(fd);
    ok_equal(reap(pid), 0, "until the file is closed");
    ok_errno(flock(again, 77), EINVAL, "no operation");
    ok_errno(flock(fd, LOCK_SH), EBADF, "no file");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(ranges),   TAP_CASE(arguments),       TAP_CASE(owners),      TAP_CASE(waiting),
        TAP_CASE(deadlock), TAP_CASE(open_file_locks), TAP_CASE(whole_files),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
