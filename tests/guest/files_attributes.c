/*
 * Do a file's attributes on a RAM file system behave as on Linux: stat and statx, modes, owners,
 * times, access, locks, and the calls that take a folder's descriptor?
 */
#define _GNU_SOURCE
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "files.h"
#include "process.h"

#define TMPFS_NUMBER 0x01021994

/* statx's result, as far as it is used here. */
struct statx_result {
    uint32_t mask, block_size;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, pad;
    uint64_t inode, size, blocks, attributes_mask;
    struct {
        int64_t seconds;
        uint32_t nanoseconds, pad;
    } accessed, born, changed, modified;
    uint32_t device_major, device_minor, own_major, own_minor;
    uint64_t spare[14];
};

static unsigned mode_of(const char *path)
{
    struct stat info;
    return lstat(path, &info) < 0 ? 0 : info.st_mode & 07777;
}

static long nanoseconds(struct timespec time)
{
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static void what_stat_tells(void)
{
    struct stat info, same;
    struct statfs system;
    file_write("stat", "0123456789", 0640);
    ok_equal(stat("stat", &info), 0, "stat");
    ok(info.st_mode == (S_IFREG | 0640) && info.st_nlink == 1 && info.st_size == 10, "an ordinary "
                                                                                     "file");
    ok(info.st_uid == geteuid() && info.st_gid == getegid(), "of ours");
    ok(info.st_ino != 0 && info.st_blksize == PAGE && info.st_blocks == 8, "a page of memory");
    int fd = open("stat", O_RDONLY);
    ok(fstat(fd, &same) == 0 && memcmp(&info, &same, sizeof info) == 0, "fstat tells the same");
    ok(fstatat(fd, "", &same, AT_EMPTY_PATH) == 0 && info.st_ino == same.st_ino, "AT_EMPTY_PATH");
    ok_errno(fstatat(fd, "", &same, 0), ENOENT, "without it");
    ok_errno(fstatat(fd, "x", &same, 0), ENOTDIR, "below a file");
    ok_errno(fstatat(99, "x", &same, 0), EBADF, "below nothing");
    ok_equal(fstatat(99, "/dev/null", &same, 0), 0, "unless the path is absolute");
    ok(S_ISCHR(same.st_mode) && same.st_rdev == makedev(1, 3), "/dev/null is device 1:3");
    ok_errno(syscall(SYS_newfstatat, AT_FDCWD, "stat", &same, 1), EINVAL, "unknown flag");
    ok_errno(syscall(SYS_stat, "stat", 8), EFAULT, "bad pointer");
    ok_errno(stat("missing", &info), ENOENT, "no such file");
    ok_equal(statfs(".", &system), 0, "statfs");
    ok_equal(system.f_type, TMPFS_NUMBER, "a RAM file system");
    ok(system.f_bsize == (long)PAGE && system.f_namelen == 255 && system.f_bfree <= system.f_blocks,
       "its figures");
    ok(fstatfs(fd, &system) == 0 && system.f_type == TMPFS_NUMBER, "fstatfs");
}

static void what_statx_tells(void)
{
    struct statx_result more;
    struct stat info;
    file_write("statx", "0123456789", 0604);
    stat("statx", &info);
    ok_equal(syscall(SYS_statx, AT_FDCWD, "statx", 0, 0xfff, &more), 0, "statx");
    ok_equal(more.mask & 0x7ff, 0x7ff, "all basic fields are there");
    ok(more.mode == info.st_mode && more.inode == info.st_ino && more.size == 10 &&
           more.links == 1 && more.user == info.st_uid && more.group == info.st_gid &&
           more.blocks == (uint64_t)info.st_blocks && more.block_size == PAGE,
       "and are stat's");
    ok(more.modified.seconds == info.st_mtim.tv_sec &&
           more.modified.nanoseconds == (uint32_t)info.st_mtim.tv_nsec,
       "to the nanosecond");
    ok(makedev(more.own_major, more.own_minor) == info.st_dev, "on the same device");
    ok_errno(syscall(SYS_statx, AT_FDCWD, "statx", 0, 0x80000000, &more), EINVAL, "unknown field");
    ok_errno(syscall(SYS_statx, AT_FDCWD, "statx", 1, 0xfff, &more), EINVAL, "unknown flag");
    ok_errno(syscall(SYS_statx, AT_FDCWD, "missing", 0, 0xfff, &more), ENOENT, "no such file");
    ok_errno(syscall(SYS_statx, AT_FDCWD, "statx", 0, 0xfff, 8), EFAULT, "bad pointer");
}

static void modes(void)
{
    umask(027);
    close(open("masked", O_RDWR | O_CREAT, 0777));
    ok_equal(mode_of("masked"), 0750, "the umask takes from a new file's mode");
    mkdir("folder", 0777);
    ok_equal(mode_of("folder"), 0750, "and a folder's");
    ok_equal(umask(0), 027, "umask tells the old one");
    ok_equal(umask(07777), 0, "and keeps");
    ok_equal(umask(022), 0777, "nine bits");
    ok_equal(chmod("masked", 04755), 0, "chmod");
    ok_equal(mode_of("masked"), 04755, "all twelve bits");
    int fd = open("masked", O_RDWR);
    ok(fchmod(fd, 0600) == 0 && mode_of("masked") == 0600, "fchmod");
    ok(fchmodat(AT_FDCWD, "masked", 0604, 0) == 0 && mode_of("masked") == 0604, "fchmodat");
    ok_errno(chmod("missing", 0600), ENOENT, "of nothing");
    ok_errno(fchmod(99, 0600), EBADF, "of no file");
    ok_errno(chmod("masked/x", 0600), ENOTDIR, "below a file");
    symlink("masked", "link");
    ok(chmod("link", 0611) == 0 && mode_of("masked") == 0611, "through a link");
    int before = open("masked", O_RDWR);
    chmod("masked", 0);
    ok(write(before, "x", 1) == 1, "an open file does not care");
}

static void owners(void)
{
    struct stat info;
    if (getuid() != 0) {
        skip("only root can give files away");
        return;
    }
    file_write("owned", "", 06755);
    ok_equal(chown("owned", 1000, 2000), 0, "chown");
    ok(stat("owned", &info) == 0 && info.st_uid == 1000 && info.st_gid == 2000, "both");
    ok_equal(info.st_mode & 07777, 0755, "which takes the set-id bits");
    ok(chown("owned", (uid_t)-1, 3000) == 0 && stat("owned", &info) == 0 && info.st_uid == 1000 &&
           info.st_gid == 3000,
       "-1 leaves one as it is");
    symlink("owned", "owned-link");
    ok(lchown("owned-link", 5, 6) == 0 && lstat("owned-link", &info) == 0 && info.st_uid == 5,
       "lchown is for the link");
    ok(stat("owned-link", &info) == 0 && info.st_uid == 1000, "not for the file");
    int fd = open("owned", O_RDONLY);
    ok(fchown(fd, 7, 8) == 0 && fstat(fd, &info) == 0 && info.st_gid == 8, "fchown");
    ok_errno(chown("missing", 1, 1), ENOENT, "of nothing");
    ok_errno(fchownat(AT_FDCWD, "owned", 1, 1, 1), EINVAL, "unknown flag");
}

static void rights(void)
{
    ok_equal(access("/dev/null", F_OK), 0, "access");
    ok_errno(access("missing", F_OK), ENOENT, "of nothing");
    ok_errno(access("/dev/null", 8), EINVAL, "unknown right");
    file_write("rights", "", 0600);
    ok_errno(access("rights", X_OK), EACCES, "not executable, even for root");
    chmod("rights", 0601);
    ok_equal(access("rights", R_OK | W_OK), 0, "read and write");
    if (getuid() != 0) {
        skip("only root can be two users");
        return;
    }
    mkdir("closed", 0700);
    file_write("closed/inner", "", 0666);
    chmod(".", 0755);
    pid_t pid = fork();
    if (pid == 0) {
        int bad = 0;
        struct stat info;
        bad |= setgid(1000) < 0 || setuid(1000) < 0;
        bad |= (open("rights", O_RDONLY) >= 0 || errno != EACCES) << 1;
        bad |= (stat("closed/inner", &info) == 0 || errno != EACCES) << 2;
        bad |= (open("new", O_RDWR | O_CREAT, 0600) >= 0 || errno != EACCES) << 3;
        bad |= (unlink("rights") == 0 || errno != EACCES) << 4;
        bad |= (chmod("rights", 0666) == 0 || errno != EPERM) << 5;
        bad |= (chown("rights", 1000, 1000) == 0 || errno != EPERM) << 6;
        bad |= (access("rights", X_OK) < 0) << 7;
        _exit(bad);
    }
    ok_equal(reap(pid), 0, "for another user each right counts");
}

static void times(void)
{
    struct stat info, later;
    struct timespec set[2] = {{1000, 123456789}, {2000, 987654321}};
    file_write("times", "", 0600);
    ok_equal(utimensat(AT_FDCWD, "times", set, 0), 0, "utimensat");
    stat("times", &info);
    ok(nanoseconds(info.st_atim) == 1000123456789 && nanoseconds(info.st_mtim) == 2000987654321,
       "both times to the nanosecond");
    set[0].tv_nsec = UTIME_OMIT;
    set[1].tv_nsec = UTIME_NOW;
    ok_equal(utimensat(AT_FDCWD, "times", set, 0), 0, "UTIME_OMIT and UTIME_NOW");
    stat("times", &later);
    ok(later.st_atim.tv_sec == 1000 && labs(later.st_mtim.tv_sec - time(NULL)) <= 2, "one each");
    set[0].tv_nsec = 1000000000;
    ok_errno(utimensat(AT_FDCWD, "times", set, 0), EINVAL, "too many nanoseconds");
    ok_errno(utimensat(AT_FDCWD, "missing", NULL, 0), ENOENT, "no such file");
    int fd = open("times", O_RDWR);
    set[0] = set[1] = (struct timespec){5, 6};
    ok(futimens(fd, set) == 0 && fstat(fd, &info) == 0 && info.st_mtim.tv_sec == 5, "futimens");
    ok(nanoseconds(info.st_ctim) >= nanoseconds(later.st_ctim), "changing changes ctime");
    pause_ms(20);
    ok(write(fd, "x", 1) == 1 && fstat(fd, &later) == 0, "write");
    ok(later.st_mtim.tv_sec > 5 && nanoseconds(later.st_ctim) > nanoseconds(info.st_ctim),
       "changes mtime and ctime");
    pause_ms(20);
    chmod("times", 0640);
    fstat(fd, &info);
    ok(nanoseconds(info.st_ctim) > nanoseconds(later.st_ctim) &&
           nanoseconds(info.st_mtim) == nanoseconds(later.st_mtim),
       "chmod changes only ctime");
    mkdir("times.d", 0700);
    stat("times.d", &info);
    pause_ms(20);
    file_write("times.d/x", "", 0600);
    stat("times.d", &later);
    ok(nanoseconds(later.st_mtim) > nanoseconds(info.st_mtim), "a new file changes its folder");
}

static int lock_file(int fd, int command, int type, off_t start, off_t length)
{
    struct flock lock = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    int result = fcntl(fd, command, &lock);
    return result < 0 ? result : command == F_GETLK ? lock.l_type : 0;
}

static void record_locks(void)
{
    int fd = open("locks", O_RDWR | O_CREAT, 0600);
    ok_equal(lock_file(fd, F_SETLK, F_WRLCK, 10, 10), 0, "a lock on bytes 10 to 19");
    ok_equal(lock_file(fd, F_GETLK, F_WRLCK, 10, 10), F_UNLCK, "is not in one's own way");
    pid_t pid = fork();
    if (pid == 0) {
        int bad = 0;
        bad |= lock_file(fd, F_GETLK, F_RDLCK, 0, 0) != F_WRLCK;
        bad |= (lock_file(fd, F_SETLK, F_RDLCK, 15, 1) == 0 || errno != EAGAIN) << 1;
        bad |= (lock_file(fd, F_SETLK, F_WRLCK, 0, 10) != 0) << 2;
        bad |= (lock_file(fd, F_SETLK, F_WRLCK, 20, 0) != 0) << 3;
        _exit(bad);
    }
    ok_equal(reap(pid), 0, "but in another process's; beside it is room");
    ok_equal(lock_file(fd, F_SETLK, F_WRLCK, 0, 0), 0, "its locks have gone with it");
    pid = fork();
    if (pid == 0) {
        long before = now_ns(CLOCK_MONOTONIC);
        int result = lock_file(fd, F_SETLKW, F_RDLCK, 5, 1);
        _exit(result == 0 && now_ns(CLOCK_MONOTONIC) - before > 10000000 ? 0 : 1);
    }
    pause_ms(50);
    ok_equal(lock_file(fd, F_SETLK, F_UNLCK, 0, 0), 0, "unlocked");
    ok_equal(reap(pid), 0, "F_SETLKW has waited for that");
    lock_file(fd, F_SETLK, F_WRLCK, 0, 0);
    close(open("locks", O_RDONLY));
    pid = fork();
    if (pid == 0) {
        _exit(lock_file(fd, F_SETLK, F_WRLCK, 0, 0) != 0);
    }
    ok_equal(reap(pid), 0, "closing any descriptor of the file gives up its locks");
    ok_errno(lock_file(fd, F_SETLK, 77, 0, 0), EINVAL, "unknown kind");
    ok_errno(lock_file(99, F_SETLK, F_WRLCK, 0, 0), EBADF, "no such file");
    int in = open("locks", O_RDONLY);
    ok_errno(lock_file(in, F_SETLK, F_WRLCK, 0, 0), EBADF, "a write lock on O_RDONLY");
}

static void whole_locks(void)
{
    int fd = open("whole", O_RDWR | O_CREAT, 0600), other = open("whole", O_RDWR);
    ok_equal(flock(fd, LOCK_EX), 0, "flock");
    ok_errno(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK, "another opening is in its way");
    ok_equal(flock(fd, LOCK_SH), 0, "shared");
    ok_equal(flock(other, LOCK_SH | LOCK_NB), 0, "is for both");
    ok_errno(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK, "so neither gets more");
    flock(other, LOCK_UN);
    int copy = dup(fd);
    flock(fd, LOCK_EX);
    close(fd);
    ok_errno(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK, "a copy keeps the lock");
    pid_t pid = fork();
    if (pid == 0) {
        _exit(flock(copy, LOCK_EX | LOCK_NB) != 0);
    }
    ok_equal(reap(pid), 0, "a child shares it");
    close(copy);
    ok_equal(flock(other, LOCK_EX | LOCK_NB), 0, "the last close gives it up");
    ok_errno(flock(other, 77), EINVAL, "unknown operation");
    ok_errno(flock(99, LOCK_SH), EBADF, "no such file");
}

static void below_a_folder(void)
{
    char text[16];
    struct stat info;
    mkdir("base", 0700);
    int base = open("base", O_RDONLY | O_DIRECTORY), path = open("base", O_PATH);
    int fd = openat(base, "file", O_RDWR | O_CREAT, 0600);
    ok(fd >= 0 && stat("base/file", &info) == 0, "openat");
    ok(fstatat(path, "file", &info, 0) == 0, "an O_PATH folder will do");
    ok_equal(mkdirat(base, "folder", 0700), 0, "mkdirat");
    ok_equal(symlinkat("file", base, "link"), 0, "symlinkat");
    ok_equal(readlinkat(base, "link", text, sizeof text), 4, "readlinkat");
    ok_equal(linkat(base, "file", path, "second", 0), 0, "linkat");
    ok_equal(renameat(base, "second", base, "folder/third"), 0, "renameat");
    ok(faccessat(base, "folder/third", R_OK, 0) == 0, "faccessat");
    ok_equal(mknodat(base, "fifo", S_IFIFO | 0600, 0), 0, "mknodat");
    ok(unlinkat(base, "folder/third", 0) == 0 && unlinkat(base, "folder", AT_REMOVEDIR) == 0,
       "unlinkat");
    ok_errno(openat(99, "x", O_RDONLY), EBADF, "below nothing");
    ok_errno(mkdirat(fd, "x", 0700), ENOTDIR, "below a file");
    ok_errno(unlinkat(AT_FDCWD, "", 0), ENOENT, "an empty path");
    ok_errno(renameat(99, "x", base, "y"), EBADF, "from below nothing");
    if (rename("base", "moved") < 0) {
        bail("rename");
    }
    ok_equal(fstatat(base, "file", &info, 0), 0, "the folder may move meanwhile");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(what_stat_tells), TAP_CASE(what_statx_tells), TAP_CASE(modes),
        TAP_CASE(owners),          TAP_CASE(rights),           TAP_CASE(times),
        TAP_CASE(record_locks),    TAP_CASE(whole_locks),      TAP_CASE(below_a_folder),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
