/*
 * Are mapped files, shared anonymous memory and memfds the same bytes by every way that leads to
 * them: mappings, read and write, forks, and after the file has changed its size?
 */
#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/syscall.h>

#include "memory.h"
#include "process.h"

static char scratch[4 * PAGE];

/* A new file of so many pages; page i is fill_page's of seed i + 1. */
static int make_file(unsigned pages)
{
    byte page[PAGE];
    int fd = memfd_create("pages", MFD_CLOEXEC);
    if (fd < 0) {
        bail("memfd_create");
    }
    for (unsigned i = 0; i < pages; i++) {
        fill_page(page, i + 1);
        if (write(fd, page, PAGE) != (ssize_t)PAGE) {
            bail("write");
        }
    }
    return fd;
}

static byte *map_file(int fd, size_t pages, int prot, int flags, size_t first)
{
    byte *area = mmap(NULL, pages * PAGE, prot, flags, fd, (off_t)(first * PAGE));
    if (area == MAP_FAILED) {
        bail("mmap of a file");
    }
    return area;
}

static void reading(void)
{
    int fd = make_file(8), good = 0;
    byte *shared = map_file(fd, 8, PROT_READ, MAP_SHARED, 0);
    byte *private = map_file(fd, 4, PROT_READ, MAP_PRIVATE, 4);
    for (unsigned i = 0; i < 8; i++) {
        good += page_holds(shared + i * PAGE, i + 1);
    }
    ok_equal(good, 8, "a shared mapping shows the file");
    for (unsigned i = 0; i < 4; i++) {
        good += page_holds(private + i * PAGE, i + 5);
    }
    ok_equal(good, 12, "a private one too, from page 4");
    close(fd);
    ok(page_holds(shared + 7 * PAGE, 8), "closing the file does not end them");
    ok_equal(touch_write(shared), SIGSEGV, "PROT_READ is no writing");
    ok_equal(fault_last.code, SEGV_ACCERR, "SEGV_ACCERR");
}

static void shared_writing(void)
{
    int fd = make_file(4);
    byte *one = map_file(fd, 4, RW, MAP_SHARED, 0), *two = map_file(fd, 2, RW, MAP_SHARED, 1);
    fill_page(one + PAGE, 77);
    ok(page_holds(two, 77), "what one mapping writes another shows");
    ok(pread(fd, scratch, PAGE, PAGE) == (ssize_t)PAGE && page_holds(scratch, 77), "and read");
    fill_page(scratch, 78);
    ok(pwrite(fd, scratch, PAGE, 2 * PAGE) == (ssize_t)PAGE, "what is written to the file");
    ok(page_holds(two + PAGE, 78) && page_holds(one + 2 * PAGE, 78), "both show");
    pid_t pid = fork();
    if (pid == 0) {
        fill_page(two, 79);
        _exit(0);
    }
    reap(pid);
    ok(page_holds(one + PAGE, 79), "a child writes for its parent");
    ok_equal(msync(one, 4 * PAGE, MS_SYNC), 0, "msync");
    ok_equal(msync(one, 4 * PAGE, MS_ASYNC), 0, "MS_ASYNC");
    ok_equal(msync(one, 4 * PAGE, MS_INVALIDATE), 0, "MS_INVALIDATE");
    ok_errno(msync(one, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "both at once");
    ok_errno(msync(one, PAGE, 64), EINVAL, "unknown flag");
    ok_errno(msync(one + 1, PAGE, MS_SYNC), EINVAL, "no page's address");
    munmap(one, 4 * PAGE);
    ok_errno(msync(one, PAGE, MS_SYNC), ENOMEM, "nothing is mapped");
    ok(page_holds(two, 79), "the other mapping is still there");
}

static void private_writing(void)
{
    int fd = make_file(4);
    byte *area = map_file(fd, 4, RW, MAP_PRIVATE, 0);
    byte *shared = map_file(fd, 4, RW, MAP_SHARED, 0);
    fill_page(area, 50);
    ok(page_holds(shared, 1) && page_holds(area, 50), "a private write is one's own");
    fill_page(shared, 51);
    ok(page_holds(area, 50), "and hides what is written to the file later");
    fill_page(shared + PAGE, 52);
    ok(page_holds(area + PAGE, 52), "a page that was not written shows it");
    pid_t pid = fork();
    if (pid == 0) {
        bool good = page_holds(area, 50) && page_holds(area + PAGE, 52);
        fill_page(area + 2 * PAGE, 53);
        fill_page(area, 54);
        _exit(good && page_holds(area, 54) ? 0 : 1);
    }
    ok_equal(reap(pid), 0, "a child has both");
    ok(page_holds(area + 2 * PAGE, 3) && page_holds(area, 50), "and writes its own");
    ok_equal(madvise(area, PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
    ok(page_holds(area, 51), "brings the file's page back");
}

static void beyond_the_end(void)
{
    int fd = make_file(3);
    byte *area = map_file(fd, 8, RW, MAP_SHARED, 0);
    ok_equal(touch_read(area + 2 * PAGE), 0, "the last page");
    ok_equal(touch_read(area + 3 * PAGE), SIGBUS, "beyond the file: SIGBUS");
    ok(fault_last.code == BUS_ADRERR && fault_last.address == area + 3 * PAGE, "BUS_ADRERR");
    ok_equal(ftruncate(fd, PAGE + 100), 0, "the file shrinks under the mapping");
    ok_equal(touch_read(area + 2 * PAGE), SIGBUS, "a page that was there: SIGBUS");
    ok_equal(touch_write(area + 2 * PAGE + 5), SIGBUS, "for a write too");
    ok(area[PAGE + 99] != 0 || area[PAGE + 98] != 0, "the bytes up to the end stay");
    bool zero = true;
    for (size_t i = 100; i < PAGE; i++) {
        zero &= area[PAGE + i] == 0;
    }
    ok(zero, "the rest of its page is zero");
    ok_equal(ftruncate(fd, 8 * PAGE), 0, "it grows");
    ok_equal(touch_write(area + 7 * PAGE), 0, "and can be touched");
    ok(page_is_zero(area + 2 * PAGE), "what had been cut off is zero");
    struct stat info;
    ok(fstat(fd, &info) == 0 && info.st_size == 8 * (off_t)PAGE, "writing changes no size");
    byte *private = map_file(fd, 8, RW, MAP_PRIVATE, 0);
    fill_page(private + 4 * PAGE, 9);
    ftruncate(fd, (off_t)PAGE);
    ok_equal(touch_read(private + 4 * PAGE), SIGBUS,
             "even one's own copy goes with the file's end");
}

static void through_system_calls(void)
{
    int fd = make_file(2), ends[2];
    byte *area = map_file(fd, 4, RW, MAP_SHARED, 0);
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    ok_equal(write(ends[1], area + PAGE, 100), 100, "a mapped file is written from");
    ok_equal(read(ends[0], area, 100), 100, "and read into");
    ok(pread(fd, scratch, 100, 0) == 100 && memcmp(scratch, area + PAGE, 100) == 0,
       "which changes the file");
    ok_errno(write(ends[1], area + 2 * PAGE, 10), EFAULT, "beyond its end: EFAULT, no SIGBUS");
    ok_equal(pread(fd, area + PAGE, PAGE, 0), PAGE, "a file is read into its own mapping");
    ok(memcmp(area, area + PAGE, PAGE) == 0, "all of it");
}

static void protections(void)
{
    char path[64];
    int fd = make_file(1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int in = open(path, O_RDONLY), out = open(path, O_WRONLY);
    ok(in >= 0 && out >= 0, "the file again by /proc/self/fd");
    ok_errno(mmap(NULL, PAGE, RW, MAP_SHARED, in, 0) == MAP_FAILED ? -1 : 0, EACCES,
             "shared writing of O_RDONLY");
    ok_errno(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, out, 0) == MAP_FAILED ? -1 : 0, EACCES,
             "reading of O_WRONLY");
    ok_errno(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, out, 0) == MAP_FAILED ? -1 : 0, EACCES,
             "even privately");
    byte *area = map_file(in, 1, PROT_READ, MAP_SHARED, 0);
    ok_errno(mprotect(area, PAGE, RW), EACCES, "nor by mprotect later");
    area = map_file(in, 1, RW, MAP_PRIVATE, 0);
    fill_page(area, 5);
    ok(page_holds(area, 5), "private writing of O_RDONLY");
    area = map_file(in, 1, PROT_READ, MAP_PRIVATE, 0);
    ok_equal(mprotect(area, PAGE, RW), 0, "mprotect of a private mapping");
    ok_equal(touch_write(area), 0, "lets it be written");
    ok_errno(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 99, 0) == MAP_FAILED ? -1 : 0, EBADF,
             "no such file");
    ok_errno(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, in, 100) == MAP_FAILED ? -1 : 0, EINVAL,
             "an offset that is no page's");
    int folder = open("/", O_RDONLY);
    ok_errno(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, folder, 0) == MAP_FAILED ? -1 : 0, ENODEV,
             "a folder");
    int ends[2] = {-1, -1};
    ok_equal(pipe(ends), 0, "a pipe");
    ok_errno(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ends[0], 0) == MAP_FAILED ? -1 : 0, ENODEV,
             "can't be mapped");
    area = mmap(NULL, PAGE, RW, MAP_PRIVATE, open("/dev/zero", O_RDWR), 0);
    ok(area != MAP_FAILED && page_is_zero(area) && touch_write(area) == 0, "/dev/zero is memory");
}

static void shared_anonymous(void)
{
    byte *area = mmap(NULL, 64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok(area != MAP_FAILED && page_is_zero(area), "shared anonymous memory is zero");
    fill_page(area, 1);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = page_holds(area, 1) && page_is_zero(area + 5 * PAGE);
        for (unsigned i = 0; i < 64; i++) {
            fill_page(area + i * PAGE, 100 + i);
        }
        _exit(!good);
    }
    ok_equal(reap(pid), 0, "a child sees what was written");
    int good = 0;
    for (unsigned i = 0; i < 64; i++) {
        good += page_holds(area + i * PAGE, 100 + i);
    }
    ok_equal(good, 64, "and what it writes its parent sees, page by page");
    volatile int *counter = (volatile int *)area;
    *counter = 0;
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            for (int j = 0; j < 10000; j++) {
                __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
            }
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    ok_equal(*counter, 40000, "four children count in it, and no step is lost");
    byte *moved = mremap(area, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    ok(moved == area && page_holds(area + 63 * PAGE, 163), "mremap leaves it");
    ok_equal(madvise(area, 64 * PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
    ok(page_holds(area + 63 * PAGE, 163), "does not lose what is shared");
}

static void memfds(void)
{
    struct stat info;
    char link[128] = "", path[64];
    int fd = memfd_create("name of it", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "memfd_create");
    ok(fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0 && info.st_nlink == 0,
       "an empty file without a name");
    ok_equal(info.st_mode & 07777, 0777, "for all");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ok(readlink(path, link, sizeof link - 1) > 0 && !strcmp(link, "/memfd:name of it (deleted)"),
       "its link in /proc: %s", link);
    ok_equal(fcntl(fd, F_GET_SEALS), 0, "no seals yet");
    ok_equal(ftruncate(fd, (off_t)PAGE), 0, "a page long");
    ok_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0, "F_ADD_SEALS");
    ok_errno(ftruncate(fd, 0), EPERM, "it can't shrink");
    ok_errno(ftruncate(fd, 2 * (off_t)PAGE), EPERM, "nor grow");
    ok_errno(pwrite(fd, "x", 1, (off_t)PAGE), EPERM, "by write neither");
    ok_equal(pwrite(fd, "x", 1, 0), 1, "but be written");
    byte *area = map_file(fd, 1, RW, MAP_SHARED, 0);
    ok_errno(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY, "F_SEAL_WRITE while someone may write");
    munmap(area, PAGE);
    ok_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0, "and when no one may");
    ok_errno(pwrite(fd, "x", 1, 0), EPERM, "no more writing");
    ok_errno(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, EPERM, "nor mapping");
    ok_errno(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM, "nor sealing");
    ok_errno(fcntl(memfd_create("plain", 0), F_ADD_SEALS, F_SEAL_GROW), EPERM,
             "no seals without MFD_ALLOW_SEALING");
    ok_errno(memfd_create("x", 0x800), EINVAL, "unknown flag");
    ok_errno(memfd_create((char *)8, 0), EFAULT, "bad pointer");
    memset(scratch, 'n', 251);
    scratch[250] = '\0';
    ok_errno(memfd_create(scratch, 0), EINVAL, "a name of 250 bytes");
    scratch[249] = '\0';
    ok(memfd_create(scratch, 0) >= 0, "one of 249");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(reading),
        TAP_CASE(shared_writing),
        TAP_CASE(private_writing),
        TAP_CASE(beyond_the_end),
        TAP_CASE(through_system_calls),
        TAP_CASE(protections),
        TAP_CASE(shared_anonymous),
        TAP_CASE(memfds),
    };
    return TAP_MAIN(cases);
}
