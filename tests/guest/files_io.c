/*
 * Do files on a RAM file system open, read, write, seek, grow and shrink as on Linux?
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "files.h"
#include "process.h"

#ifndef SEEK_DATA /* musl before 1.2.3 */
#define SEEK_DATA 3
#define SEEK_HOLE 4
#endif

static char buffer[1 << 16];

/* Opens or makes a file that must be there for the test to go on. */
static int must_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd < 0) {
        bail("open %s", path);
    }
    return fd;
}

static off_t size_of(int fd)
{
    struct stat info;
    return fstat(fd, &info) < 0 ? -1 : info.st_size;
}

static void opening(void)
{
    int fd = open("new", O_RDWR | O_CREAT | O_EXCL, 0640);
    ok(fd >= 0, "O_CREAT | O_EXCL makes a file");
    ok_equal(write(fd, "12345", 5), 5, "write");
    ok_errno(open("new", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST, "only once");
    ok(open("new", O_RDONLY | O_CREAT, 0) >= 0, "O_CREAT alone opens it");
    ok_text(file_text("new"), "12345", "and leaves it");
    ok_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR, "F_GETFL");
    ok_errno(open("missing", O_RDONLY), ENOENT, "no such file");
    ok_errno(open("", O_RDONLY), ENOENT, "no name");
    ok_errno(open("missing/new", O_RDWR | O_CREAT, 0600), ENOENT, "no such folder");
    ok_errno(open("new/x", O_RDONLY), ENOTDIR, "a file as a folder");
    ok_errno(open("new/", O_RDONLY), ENOTDIR, "a file with a slash");
    ok_errno(open("other/", O_RDWR | O_CREAT, 0600), EISDIR, "a new file with a slash");
    ok_errno(open("new", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY");
    ok_errno(open(".", O_WRONLY), EISDIR, "a folder to write");
    ok_errno(open(".", O_RDONLY | O_CREAT, 0600), EISDIR, "a folder to make");
    ok_errno(open((char *)8, O_RDONLY), EFAULT, "bad pointer");
    int unnamed = open(".", O_RDWR | O_TMPFILE, 0600);
    ok(unnamed >= 0 && write(unnamed, "x", 1) == 1, "O_TMPFILE: a file without name");
    ok_equal(creat("new", 0600) >= 0, 1, "creat");
    ok_text(file_text("new"), "", "empties it");
}

static void only_one_way(void)
{
    int in = must_open("file", O_RDONLY | O_CREAT), out = must_open("file", O_WRONLY);
    int path = must_open("file", O_PATH);
    ok_errno(write(in, "x", 1), EBADF, "write to O_RDONLY");
    ok_errno(read(out, buffer, 1), EBADF, "read from O_WRONLY");
    ok_errno(ftruncate(in, 0), EINVAL, "ftruncate of O_RDONLY");
    ok_errno(read(path, buffer, 1), EBADF, "read from O_PATH");
    ok_errno(write(path, buffer, 1), EBADF, "write to O_PATH");
    ok_errno(ftruncate(path, 0), EBADF, "ftruncate of O_PATH");
    ok_equal(size_of(path), 0, "fstat of O_PATH");
    ok_equal(fcntl(path, F_GETFL) & O_PATH, O_PATH, "F_GETFL says O_PATH");
    int folder = must_open(".", O_RDONLY);
    ok_errno(read(folder, buffer, 1), EISDIR, "read from a folder");
    ok_errno(read(99, buffer, 1), EBADF, "read from nothing");
    ok_errno(read(-1, buffer, 1), EBADF, "read from -1");
}

static void reading_and_writing(void)
{
    int fd = must_open("data", O_RDWR | O_CREAT | O_TRUNC), copy = dup(fd);
    ok_equal(write(fd, "hello, world", 12), 12, "write");
    ok_equal(lseek(copy, 0, SEEK_CUR), 12, "a copied descriptor has the same place");
    ok_equal(read(fd, buffer, 10), 0, "at the end is nothing");
    ok_equal(lseek(fd, 7, SEEK_SET), 7, "SEEK_SET");
    ok_equal(read(copy, buffer, 100), 5, "the rest");
    ok(memcmp(buffer, "world", 5) == 0, "is what was written");
    ok_equal(pwrite(fd, "W", 1, 7), 1, "pwrite");
    ok_equal(pread(fd, buffer, 100, 7), 5, "pread");
    ok(memcmp(buffer, "World", 5) == 0 && lseek(fd, 0, SEEK_CUR) == 12, "move nothing");
    ok_errno(pread(fd, buffer, 1, -1), EINVAL, "pread before the beginning");
    ok_equal(pread(fd, buffer, 1, 1l << 40), 0, "pread far beyond the end");
    struct iovec parts[3] = {{(char[]){"one"}, 3}, {NULL, 0}, {(char[]){"two"}, 3}};
    ok_equal(writev(fd, parts, 3), 6, "writev");
    ok_equal(pwritev(fd, parts, 3, 0), 6, "pwritev");
    ok_text(file_text("data"), "onetwo Worldonetwo", "all of it");
    struct iovec into[2] = {{buffer, 4}, {buffer + 100, 100}};
    ok_equal(preadv(fd, into, 2, 5), 13, "preadv");
    ok(memcmp(buffer, "o Wo", 4) == 0 && memcmp(buffer + 100, "rldonetwo", 9) == 0, "in pieces");
    ok_errno(writev(fd, parts, -1), EINVAL, "writev of -1 pieces");
    ok_errno(writev(fd, parts, 1025), EINVAL, "writev of too many");
    ok_equal(writev(fd, parts, 0), 0, "writev of none");
    ok_errno(syscall(SYS_writev, fd, 8, 1), EFAULT, "writev: bad pointer");
    parts[0].iov_len = ~0ul;
    ok_errno(writev(fd, parts, 1), EINVAL, "writev of a negative length");
    ok_errno(write(fd, (char *)8, 5), EFAULT, "write from a bad pointer");
    lseek(fd, 0, SEEK_SET);
    ok_errno(read(fd, (char *)8, 5), EFAULT, "read to a bad pointer");
    ok_equal(read(fd, (char *)8, 0), 0, "of which nothing is touched if nothing is read");
}

static void half_a_buffer(void)
{
    char *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = must_open("half", O_RDWR | O_CREAT | O_TRUNC);
    munmap(area + PAGE, PAGE);
    memset(area, 'x', PAGE);
    ok_equal(write(fd, area + PAGE - 10, 10), 10, "write up to the last byte of a mapping");
    long got = write(fd, area + PAGE - 10, 100);
    ok(got == 10 || (got == -1 && errno == EFAULT), "across its end: a part or EFAULT");
    ok(size_of(fd) == 10 + (got > 0 ? got : 0), "and the file has just that");
}

static void appending(void)
{
    file_write("log", "begin ", 0600);
    int fd = must_open("log", O_RDWR | O_APPEND), other = must_open("log", O_WRONLY);
    lseek(fd, 0, SEEK_SET);
    ok_equal(write(fd, "one ", 4), 4, "O_APPEND");
    ok_equal(lseek(fd, 0, SEEK_CUR), 10, "goes to the end");
    ok(lseek(other, 0, SEEK_END) == 10 && write(other, "two ", 4) == 4, "another writer");
    ok_equal(write(fd, "three", 5), 5, "and the end is elsewhere");
    ok_text(file_text("log"), "begin one two three", "nothing is overwritten");
    ok_equal(pwrite(fd, "!", 1, 0), 1, "pwrite with O_APPEND");
    ok_text(file_text("log"), "begin one two three!", "appends all the same");
    ok_equal(fcntl(fd, F_SETFL, 0), 0, "F_SETFL without O_APPEND");
    ok(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "B", 1) == 1, "then it does not");
    ok_text(file_text("log"), "Begin one two three!", "append");
    enum { WRITERS = 4, LINES = 100 };
    close(must_open("log", O_WRONLY | O_TRUNC));
    for (int i = 0; i < WRITERS; i++) {
        if (fork() == 0) {
            int mine = open("log", O_WRONLY | O_APPEND);
            for (int line = 0; line < LINES; line++) {
                if (write(mine, "0123456789", 10) != 10) {
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    ok_equal(size_of(fd), WRITERS * LINES * 10, "four processes append, and nothing is lost");
}

static void seeking(void)
{
    int fd = must_open("seek", O_RDWR | O_CREAT | O_TRUNC);
    ok_equal(lseek(fd, 1000000, SEEK_SET), 1000000, "lseek beyond the end");
    ok_equal(size_of(fd), 0, "makes nothing");
    ok_equal(write(fd, "x", 1), 1, "write there");
    ok_equal(size_of(fd), 1000001, "does");
    ok(pread(fd, buffer, 3, 500000) == 3 && !buffer[0] && !buffer[1] && !buffer[2],
       "zeros between");
    struct stat info;
    fstat(fd, &info);
    ok(info.st_blocks > 0 && info.st_blocks <= 64, "which take no memory");
    ok_equal(lseek(fd, -1, SEEK_END), 1000000, "SEEK_END");
    ok_equal(lseek(fd, 5, SEEK_CUR), 1000005, "SEEK_CUR");
    ok_errno(lseek(fd, -1, SEEK_SET), EINVAL, "before the beginning");
    ok_errno(lseek(fd, 0, 77), EINVAL, "unknown whence");
    ok_errno(lseek(fd, 0x7fffffffffffffff, SEEK_CUR), EINVAL, "beyond all numbers");
    ok_errno(lseek(99, 0, SEEK_SET), EBADF, "lseek in nothing");
    ok_equal(lseek(fd, 0, SEEK_DATA), 1000000 / PAGE * PAGE, "SEEK_DATA");
    ok_equal(lseek(fd, 0, SEEK_HOLE), 0, "SEEK_HOLE: at once");
    ok_equal(lseek(fd, 1000000, SEEK_HOLE), 1000001, "the end is a hole");
    ok_errno(lseek(fd, 1000001, SEEK_DATA), ENXIO, "no data at the end");
    ok_equal(ftruncate(fd, 2000000), 0, "longer");
    ok_errno(lseek(fd, 1500000, SEEK_DATA), ENXIO, "no data to the end");
}

static void truncation(void)
{
    file_write("file", "0123456789", 0600);
    int fd = must_open("file", O_RDWR);
    ok_equal(ftruncate(fd, 4), 0, "shorter");
    ok_text(file_text("file"), "0123", "the rest is gone");
    ok_equal(ftruncate(fd, 8), 0, "longer");
    ok(read(fd, buffer, 100) == 8 && memcmp(buffer, "0123\0\0\0\0", 8) == 0, "with zeros");
    ok_equal(truncate("file", 2), 0, "truncate by name");
    ok_equal(size_of(fd), 2, "the same file");
    ok_equal(lseek(fd, 0, SEEK_CUR), 8, "the place stays");
    ok_equal(read(fd, buffer, 10), 0, "beyond the end");
    ok_errno(ftruncate(fd, -1), EINVAL, "a negative length");
    ok_errno(truncate("missing", 0), ENOENT, "no such file");
    ok_errno(truncate(".", 0), EISDIR, "a folder");
    ok_errno(ftruncate(99, 0), EBADF, "nothing");
    memset(buffer, 'y', sizeof buffer);
    ok_equal(pwrite(fd, buffer, 3 * PAGE, 0), 3 * PAGE, "three pages");
    ok(ftruncate(fd, PAGE + 10) == 0 && ftruncate(fd, 3 * PAGE) == 0, "shorter, and longer again");
    ok_equal(pread(fd, buffer, sizeof buffer, 0), 3 * PAGE, "read all");
    bool good = true;
    for (size_t i = 0; i < 3 * PAGE; i++) {
        good &= buffer[i] == (i < PAGE + 10 ? 'y' : '\0');
    }
    ok(good, "what was cut off is zero");
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){20000, RLIM_INFINITY});
    signal(SIGXFSZ, SIG_IGN);
    ok_equal(pwrite(fd, buffer, 100, 19950), 50, "RLIMIT_FSIZE: up to the limit");
    ok_errno(pwrite(fd, buffer, 100, 20000), EFBIG, "and no more");
    ok_errno(ftruncate(fd, 20001), EFBIG, "nor longer");
}

static void allocation(void)
{
    struct stat info;
    int fd = must_open("room", O_RDWR | O_CREAT | O_TRUNC);
    ok_equal(fallocate(fd, 0, 0, 40000), 0, "fallocate");
    fstat(fd, &info);
    ok(info.st_size == 40000 && info.st_blocks >= 80, "gives size and memory");
    memset(buffer, 'z', 40000);
    ok_equal(pwrite(fd, buffer, 40000, 0), 40000, "fill it");
    ok_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE), 0,
             "a hole");
    ok_equal(pread(fd, buffer, 40000, 0), 40000, "read");
    bool good = true;
    for (size_t i = 0; i < 40000; i++) {
        good &= buffer[i] == (i >= PAGE && i < 3 * PAGE ? '\0' : 'z');
    }
    ok(good, "is zero, and only it");
    ok_equal(lseek(fd, 0, SEEK_HOLE), PAGE, "and a hole");
    ok_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000), 0, "FALLOC_FL_KEEP_SIZE");
    ok_equal(size_of(fd), 40000, "keeps the size");
    ok_errno(fallocate(fd, 0, 0, 0), EINVAL, "no length");
    ok_errno(fallocate(fd, 0, -1, 10), EINVAL, "a negative offset");
    ok_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP, "a hole at any size");
    int in = must_open("room", O_RDONLY);
    ok_errno(fallocate(in, 0, 0, 10), EBADF, "O_RDONLY");
}

static void copying(void)
{
    file_write("from", "a text to be copied", 0600);
    int in = must_open("from", O_RDONLY), out = must_open("to", O_RDWR | O_CREAT | O_TRUNC);
    off_t offset = 2;
    ok_equal(sendfile(out, in, &offset, 4), 4, "sendfile");
    ok(offset == 6 && lseek(in, 0, SEEK_CUR) == 0, "from its own place");
    ok_equal(sendfile(out, in, NULL, 100), 19, "from the file's, to the end");
    ok_text(file_text("to"), "texta text to be copied", "the text");
    ok_equal(sendfile(out, in, NULL, 100), 0, "nothing more");
    loff_t from = 7, to = 1;
    ok_equal(copy_file_range(in, &from, out, &to, 6, 0), 6, "copy_file_range");
    ok(from == 13 && to == 7, "moves both places");
    ok_text(file_text("to"), "tto be ext to be copied", "the text");
    ok_errno(copy_file_range(in, NULL, out, NULL, 6, 1), EINVAL, "unknown flag");
    ok_errno(copy_file_range(out, NULL, in, NULL, 6, 0), EBADF, "to O_RDONLY");
}

static void descriptors_end(void)
{
    int fds[3], count = 0, last = -1;
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){40, 40});
    for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0; count++) {
        last = fd;
    }
    ok_equal(errno, EMFILE, "RLIMIT_NOFILE: EMFILE");
    ok_equal(last, 39, "39 is the last");
    ok_errno(dup(0), EMFILE, "dup too");
    ok_errno(pipe(fds), EMFILE, "pipe too");
    ok_errno(dup2(0, 40), EBADF, "dup2 beyond it");
    close(20);
    ok_errno(pipe(fds), EMFILE, "a pipe needs two");
    ok_equal(open("/dev/null", O_RDONLY), 20, "the free one is found");
    (void)count;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(opening),         TAP_CASE(only_one_way), TAP_CASE(reading_and_writing),
        TAP_CASE(half_a_buffer),   TAP_CASE(appending),    TAP_CASE(seeking),
        TAP_CASE(truncation),      TAP_CASE(allocation),   TAP_CASE(copying),
        TAP_CASE(descriptors_end),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
