/*
 * Does /proc/PID/fd show the open files, and do its links lead to them?
 */
#include <sys/resource.h>

#include "proc.h"

static const char *fd_path(int fd)
{
    char name[32];
    snprintf(name, sizeof name, "fd/%d", fd);
    return proc_path(getpid(), name);
}

/* A file with some bytes in it. */
static int make_file(char *path, size_t size)
{
    snprintf(path, size, "/tmp/proc_files.%d", getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "0123456789", 10) != 10) {
        bail("%s", path);
    }
    return fd;
}

static void links_name_files(void)
{
    char path[64], text[80];
    struct stat info;
    int fd = make_file(path, sizeof path), pipe_fds[2];
    ok(strcmp(link_text(fd_path(fd)), path) == 0, "a file by its path");
    ok(pipe(pipe_fds) == 0 && fstat(pipe_fds[0], &info) == 0, "a pipe");
    snprintf(text, sizeof text, "pipe:[%lu]", (unsigned long)info.st_ino);
    ok(strcmp(link_text(fd_path(pipe_fds[0])), text) == 0, "by its number: %s",
       link_text(fd_path(pipe_fds[0])));
    ok(lstat(fd_path(pipe_fds[0]), &info) == 0 && (info.st_mode & 0777) == 0500, "read only");
    ok(lstat(fd_path(pipe_fds[1]), &info) == 0 && (info.st_mode & 0777) == 0300, "write only");
    ok(lstat(fd_path(fd), &info) == 0 && (info.st_mode & 0777) == 0700, "both");
    unlink(path);
    const char *deleted = strstr(link_text(fd_path(fd)), " (deleted)");
    ok(deleted && strcmp(deleted, " (deleted)") == 0, "its name is gone: %s",
       link_text(fd_path(fd)));
    close(fd);
    ok_errno(lstat(fd_path(fd), &info), ENOENT, "closed, there is no link");
}

static void opening_a_link_opens_the_file(void)
{
    char path[64], bytes[16];
    int fd = make_file(path, sizeof path);
    unlink(path);
    int again = open(fd_path(fd), O_RDONLY);
    ok(again >= 0 && again != fd, "even when its name is gone");
    ok(read(again, bytes, 4) == 4 && memcmp(bytes, "0123", 4) == 0, "it is the same file");
    ok_equal(lseek(fd, 0, SEEK_CUR), 10, "with a position of its own");
    struct stat one, two;
    ok(fstat(fd, &one) == 0 && stat(fd_path(fd), &two) == 0 && one.st_ino == two.st_ino &&
           one.st_dev == two.st_dev,
       "stat follows the link, too");
    int dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
    char through[64];
    snprintf(through, sizeof through, "%s/comm", fd_path(dir));
    ok(access(through, F_OK) == 0, "a path may lead through a directory's link");
}

static void info_tells_position_and_flags(void)
{
    char path[64], name[32];
    int fd = make_file(path, sizeof path);
    unlink(path);
    lseek(fd, 7, SEEK_SET);
    snprintf(name, sizeof name, "fdinfo/%d", fd);
    ok_equal(number_of(proc_path(getpid(), name), "pos"), 7, "position");
    fcntl(fd, F_SETFL, O_APPEND);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    long flags = strtol(field_of(proc_path(getpid(), name), "flags"), NULL, 8);
    ok((flags & (O_ACCMODE | O_APPEND | O_CLOEXEC)) == (O_RDWR | O_APPEND | O_CLOEXEC),
       "flags: %lo", flags);
    ok(strstr(slurp(proc_path(getpid(), name)), "pos:\t7\nflags:\t0") != NULL, "in octal");
}

static void all_are_listed(void)
{
    struct rlimit limit;
    int open_count = 0, listed = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 100; i++) {
        dup(0);
    }
    close(50);
    for (int fd = 0; fd < (int)limit.rlim_cur && fd < 2000; fd++) {
        open_count += fcntl(fd, F_GETFD) >= 0;
    }
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        listed += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir);
    }
    closedir(dir);
    ok_equal(listed, open_count, "as many as there are");
    ok_errno(access(fd_path(50), F_OK), ENOENT, "not the closed one");
    ok_errno(access("/proc/self/fd/x", F_OK), ENOENT, "nor what is no number");
}

static void numbers_stay(void)
{
    struct stat one, two;
    ok(stat("/proc/self/status", &one) == 0 && stat("/proc/self/status", &two) == 0 &&
           one.st_ino == two.st_ino,
       "a file keeps its inode number");
    ok(one.st_size == 0 && S_ISREG(one.st_mode) && (one.st_mode & 0777) == 0444, "and has no size");
    ok(stat("/proc/self/mem", &two) == 0 && (two.st_mode & 0777) == 0600, "mem is the owner's");
    ok(one.st_ino != two.st_ino, "different files have different numbers");
    char path[256];
    ok(chdir("/proc/self/task") == 0 && getcwd(path, sizeof path) != NULL, "getcwd");
    ok(strcmp(path, proc_path(getpid(), "task")) == 0, "knows the way: %s", path);
    ok(chdir("../../..") == 0 && getcwd(path, sizeof path) && strcmp(path, "/") == 0, "and back");
}

static void directories_count_their_links(void)
{
    struct stat info;
    ok(stat("/proc/self/task", &info) == 0 && info.st_nlink == 3, "one thread");
    ok(stat("/proc/self/fd", &info) == 0 && info.st_nlink == 2, "no directory among the files");
    int processes = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        processes += atoi(entry->d_name) > 0;
    }
    ok(stat("/proc", &info) == 0 && info.st_nlink > (unsigned)processes, "all processes");
}

static void nothing_can_be_made(void)
{
    int fd = open("/proc/new", O_CREAT | O_WRONLY, 0600);
    ok(fd < 0, "no file");
    ok(mkdir("/proc/new", 0700) < 0, "no directory");
    ok(unlink("/proc/version") < 0, "nothing removed");
    ok(rename("/proc/version", "/proc/v") < 0, "nothing renamed");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(links_name_files),
        TAP_CASE(opening_a_link_opens_the_file),
        TAP_CASE(info_tells_position_and_flags),
        TAP_CASE(all_are_listed),
        TAP_CASE(numbers_stay),
        TAP_CASE(directories_count_their_links),
        TAP_CASE(nothing_can_be_made),
    };
    return TAP_MAIN(cases);
}
