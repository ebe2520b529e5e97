/*
 * Do names on a RAM file system behave as on Linux: links, renaming, removing, folders, paths?
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <sys/syscall.h>

#include "files.h"
#include "process.h"

enum { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 }; /* of renameat2 */

static long rename2(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static long links_of(const char *path)
{
    struct stat info;
    return lstat(path, &info) < 0 ? -1 : (long)info.st_nlink;
}

static ino_t number_of(const char *path)
{
    struct stat info;
    return lstat(path, &info) < 0 ? 0 : info.st_ino;
}

static bool there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* Each case has a folder of its own. */
static void enter(const char *name)
{
    if (mkdir(name, 0755) < 0 || chdir(name) < 0) {
        bail("folder %s", name);
    }
}

static void folders(void)
{
    enter("folders");
    ok_equal(mkdir("a", 0777), 0, "mkdir");
    struct stat info;
    ok(stat("a", &info) == 0 && info.st_mode == (S_IFDIR | 0755), "its mode, less the umask");
    ok_equal(links_of("a"), 2, "its two names");
    ok(mkdir("a/b", 0700) == 0 && mkdir("a/b/c/", 0700) == 0, "folders in it");
    ok(links_of("a") == 3 && links_of("a/b") == 3, "each a name more");
    ok(number_of("a/b/..") == number_of("a") && number_of("a/.") == number_of("a"), ". and ..");
    ok_errno(mkdir("a", 0777), EEXIST, "it exists");
    ok_errno(mkdir("a/", 0777), EEXIST, "with a slash too");
    ok_errno(mkdir("/", 0777), EEXIST, "the root exists");
    ok_errno(mkdir("x/y", 0777), ENOENT, "no such parent");
    file_write("file", "", 0600);
    ok_errno(mkdir("file", 0777), EEXIST, "a file exists");
    ok_errno(mkdir("file/x", 0777), ENOTDIR, "in a file");
    ok_errno(mkdir("", 0777), ENOENT, "no name");
    ok_errno(rmdir("a"), ENOTEMPTY, "rmdir of a full folder");
    ok_errno(rmdir("a/b/."), EINVAL, "by its own name");
    ok_errno(rmdir("a/b/.."), ENOTEMPTY, "by its child's");
    ok_errno(rmdir("file"), ENOTDIR, "of a file");
    ok_errno(rmdir("missing"), ENOENT, "of nothing");
    ok_errno(rmdir("/"), EBUSY, "of the root");
    ok_errno(unlink("a"), EISDIR, "unlink of a folder");
    ok_equal(rmdir("a/b/c"), 0, "rmdir");
    ok_equal(links_of("a/b"), 2, "a name less");
    ok_equal(unlinkat(AT_FDCWD, "a/b", AT_REMOVEDIR), 0, "unlinkat with AT_REMOVEDIR");
    ok_errno(unlinkat(AT_FDCWD, "a", 0), EISDIR, "and without");
    ok_errno(unlinkat(AT_FDCWD, "a", 1), EINVAL, "unknown flag");
}

static void a_folder_that_goes(void)
{
    char path[PATH_MAX];
    enter("going");
    enter("inner");
    ok_equal(rmdir("../inner"), 0, "the current folder is removed");
    ok_errno(getcwd(path, sizeof path) ? 0 : -1, ENOENT, "getcwd");
    ok_errno(open("x", O_RDWR | O_CREAT, 0600), ENOENT, "nothing can be made in it");
    ok_errno(mkdir("x", 0700), ENOENT, "no folder either");
    ok_equal(chdir(".."), 0, "but one can leave it");
    ok(getcwd(path, sizeof path) && strcmp(strrchr(path, '/'), "/going") == 0, "upwards");
    char small[4];
    ok_errno(getcwd(small, sizeof small) ? 0 : -1, ERANGE, "getcwd: too small");
    ok_errno(chdir("missing"), ENOENT, "chdir to nothing");
    file_write("file", "", 0600);
    ok_errno(chdir("file"), ENOTDIR, "chdir to a file");
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    ok(chdir("/") == 0 && fchdir(fd) == 0 && there("file"), "fchdir");
    fd = open("file", O_RDONLY);
    ok_errno(fchdir(fd), ENOTDIR, "fchdir to a file");
    ok_errno(fchdir(99), EBADF, "fchdir to nothing");
}

static void hard_links(void)
{
    enter("hard");
    file_write("one", "text", 0600);
    ok_equal(link("one", "two"), 0, "link");
    ok(links_of("one") == 2 && number_of("one") == number_of("two"), "two names of one file");
    ok_errno(link("one", "two"), EEXIST, "it exists");
    ok_errno(link("missing", "three"), ENOENT, "of nothing");
    ok_errno(link(".", "three"), EPERM, "of a folder");
    ok_errno(link("one", "missing/three"), ENOENT, "into nothing");
    ok_errno(link("/proc/meminfo", "three"), EXDEV, "across file systems");
    file_write("two", "other", 0600);
    ok_text(file_text("one"), "other", "writing one writes the other");
    ok_equal(unlink("one"), 0, "unlink");
    ok_equal(links_of("two"), 1, "a name less");
    ok_text(file_text("two"), "other", "the text stays");
    int fd = open("two", O_RDWR);
    ok(fd >= 0 && unlink("two") == 0 && !there("two"), "the last name goes");
    struct stat info;
    char text[8] = "";
    ok(fstat(fd, &info) == 0 && info.st_nlink == 0, "an open file has none");
    ok(pwrite(fd, "still", 5, 0) == 5 && pread(fd, text, 5, 0) == 5 && !strcmp(text, "still"),
       "and can be used");
    ok_errno(unlink("two"), ENOENT, "it can't be removed again");
    symlink("missing", "dangling");
    ok_equal(link("dangling", "same"), 0, "link does not follow a symbolic link");
    ok_equal(number_of("dangling"), number_of("same"), "it is the link that has two names");
    ok_errno(linkat(AT_FDCWD, "dangling", AT_FDCWD, "x", AT_SYMLINK_FOLLOW), ENOENT,
             "AT_SYMLINK_FOLLOW does");
    fd = open(".", O_RDWR | O_TMPFILE, 0600);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ok_equal(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0,
             "O_TMPFILE gets its name");
    ok(links_of("named") == 1, "and is there");
}

static void symbolic_links(void)
{
    char text[64];
    enter("symbolic");
    file_write("file", "text", 0600);
    mkdir("folder", 0700);
    ok_equal(symlink("file", "link"), 0, "symlink");
    ok(readlink("link", text, sizeof text) == 4 && memcmp(text, "file", 4) == 0, "readlink");
    ok_equal(readlink("link", text, 2), 2, "of which a part fits");
    ok_errno(syscall(SYS_readlink, "link", text, 0), EINVAL, "or nothing");
    ok_errno(readlink("file", text, sizeof text), EINVAL, "of a file");
    ok_errno(readlink("missing", text, sizeof text), ENOENT, "of nothing");
    struct stat info;
    ok(lstat("link", &info) == 0 && info.st_mode == (S_IFLNK | 0777) && info.st_size == 4, "lstat");
    ok(stat("link", &info) == 0 && S_ISREG(info.st_mode), "stat");
    ok_text(file_text("link"), "text", "open follows");
    ok_errno(open("link", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW");
    int fd = open("link", O_PATH | O_NOFOLLOW);
    ok(fstat(fd, &info) == 0 && S_ISLNK(info.st_mode), "O_PATH | O_NOFOLLOW opens the link");
    ok_equal(readlinkat(fd, "", text, sizeof text), 4, "which can be read");
    ok_errno(symlink("x", "link"), EEXIST, "it exists");
    ok_errno(symlink("", "empty"), ENOENT, "an empty target");
    symlink("../symbolic/folder", "in");
    ok(mkdir("in/deep", 0700) == 0 && there("folder/deep"), "a path goes through a link");
    ok(unlink("in") == 0 && there("folder/deep"), "unlink takes the link");
    symlink("missing", "dangling");
    ok_errno(open("dangling", O_RDONLY), ENOENT, "to nothing");
    ok_errno(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST, "O_EXCL does not follow");
    ok(open("dangling", O_RDWR | O_CREAT, 0600) >= 0 && there("missing"), "O_CREAT does");
    symlink("loop", "loop");
    ok_errno(open("loop", O_RDONLY), ELOOP, "a link to itself");
    ok_errno(stat("loop/x", &info), ELOOP, "within a path");
    ok_errno(mkdir("dangling2/", 0700) == 0 && symlink("none", "d2") == 0 ? mkdir("d2", 0700) : 0,
             EEXIST, "mkdir does not follow");
    symlink("file", "chain0");
    for (int i = 0; i < 41; i++) {
        char from[16], to[16];
        snprintf(from, sizeof from, "chain%d", i);
        snprintf(to, sizeof to, "chain%d", i + 1);
        symlink(from, to);
    }
    ok_equal(stat("chain39", &info), 0, "forty links in a row");
    ok_errno(stat("chain40", &info), ELOOP, "but no more");
}

static void renaming(void)
{
    enter("renaming");
    file_write("a", "a", 0600);
    file_write("b", "b", 0600);
    ino_t a = number_of("a");
    ok_equal(rename("a", "c"), 0, "rename");
    ok(!there("a") && number_of("c") == a, "moves the file");
    int old = open("b", O_RDONLY);
    ok(rename("c", "b") == 0 && !there("c") && number_of("b") == a, "and replaces another");
    char byte = 0;
    ok(read(old, &byte, 1) == 1 && byte == 'b', "which is still open");
    ok_equal(rename("b", "b"), 0, "to itself");
    ok(link("b", "b2") == 0 && rename("b", "b2") == 0 && there("b"), "to another name of itself");
    mkdir("empty", 0700), mkdir("full", 0700), mkdir("full/x", 0700);
    ok_errno(rename("b", "empty"), EISDIR, "a file onto a folder");
    ok_errno(rename("empty", "b"), ENOTDIR, "a folder onto a file");
    ok_errno(rename("empty", "full"), ENOTEMPTY, "onto a full folder");
    ok_equal(rename("full", "empty"), 0, "onto an empty one");
    ok(there("empty/x") && !there("full"), "replaces it");
    ok_errno(rename("empty", "empty/x/y"), EINVAL, "into itself");
    ok_errno(rename("empty/x", "empty"), ENOTEMPTY, "onto its parent");
    ok_errno(rename("missing", "x"), ENOENT, "of nothing");
    ok_errno(rename("b", "missing/x"), ENOENT, "to nowhere");
    ok_errno(rename("b", "b2/x"), ENOTDIR, "into a file");
    ok_errno(rename("b", "new/"), ENOTDIR, "a file with a slash");
    ok_errno(rename(".", "x"), EBUSY, "the folder itself");
    ok_errno(rename("b", "/proc/b"), EXDEV, "across file systems");
    ok(mkdir("other", 0700) == 0 && rename("empty/x", "other/y") == 0, "a folder elsewhere");
    ok(links_of("empty") == 2 && links_of("other") == 3, "moves its .. too");
    ok_equal(number_of("other/y/.."), number_of("other"), "to the new parent");
    symlink("b", "link");
    ok(rename("link", "link2") == 0 && number_of("b") == a && there("link2"),
       "a link itself moves");
}

static void renaming_with_flags(void)
{
    enter("flags");
    file_write("a", "a", 0600);
    file_write("b", "b", 0600);
    mkdir("d", 0700);
    ok_errno(rename2("a", "b", NOREPLACE), EEXIST, "RENAME_NOREPLACE");
    ok_equal(rename2("a", "c", NOREPLACE), 0, "to a free name");
    ok_equal(rename2("b", "c", EXCHANGE), 0, "RENAME_EXCHANGE");
    ok_text(file_text("c"), "b", "swaps");
    ok_text(file_text("b"), "a", "both");
    ok_errno(rename2("b", "missing", EXCHANGE), ENOENT, "with nothing");
    ok(rename2("b", "d", EXCHANGE) == 0 && rmdir("b") == 0, "a file and a folder");
    ok_text(file_text("d"), "a", "are swapped too");
    ok_errno(rename2("c", "d", EXCHANGE | NOREPLACE), EINVAL, "both flags");
    ok_errno(rename2("c", "d", 8), EINVAL, "unknown flag");
}

/* What getdents64 writes. */
struct entry {
    uint64_t number;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

static void listing(void)
{
    enum { FILES = 300 };
    static char raw[1024] __attribute__((aligned(8)));
    char name[32], seen[FILES] = "";
    int dots = 0, others = 0, wrong = 0, found = 0;
    enter("listing");
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        file_write(name, "", 0600);
    }
    mkdir("folder", 0700), symlink("x", "link"), mkfifo("fifo", 0600);
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    for (long got; (got = syscall(SYS_getdents64, fd, raw, sizeof raw)) > 0;) {
        for (long at = 0; at < got;) {
            struct entry *entry = (struct entry *)(raw + at);
            int i = -1;
            if (sscanf(entry->name, "file-%d", &i) == 1 && i >= 0 && i < FILES) {
                wrong +=
                    seen[i]++ || entry->type != DT_REG || entry->number != number_of(entry->name);
                found++;
            } else if (entry->name[0] == '.') {
                dots++;
                wrong += entry->type != DT_DIR;
            } else {
                others += (strcmp(entry->name, "folder") == 0 && entry->type == DT_DIR) ||
                          (strcmp(entry->name, "link") == 0 && entry->type == DT_LNK) ||
                          (strcmp(entry->name, "fifo") == 0 && entry->type == DT_FIFO);
            }
            wrong += entry->length % 8 != 0;
            at += entry->length;
        }
    }
    ok_equal(found, FILES, "every file is listed");
    ok_equal(wrong, 0, "once, with number and type");
    ok(dots == 2 && others == 3, "as are . and .. and other kinds");
    ok_equal(lseek(fd, 0, SEEK_SET), 0, "from the beginning");
    ok(syscall(SYS_getdents64, fd, raw, sizeof raw) > 0, "once more");
    ok_errno(syscall(SYS_getdents64, fd, raw, 10), EINVAL, "no room for an entry");
    ok_errno(syscall(SYS_getdents64, fd, 8, sizeof raw), EFAULT, "bad pointer");
    int file = open("file-0", O_RDONLY);
    ok_errno(syscall(SYS_getdents64, file, raw, sizeof raw), ENOTDIR, "of a file");
    DIR *all = opendir(".");
    int left = 0, removed = 0;
    for (struct dirent *one; (one = readdir(all));) {
        if (strncmp(one->d_name, "file-", 5) == 0) {
            removed += unlink(one->d_name) == 0;
        }
    }
    rewinddir(all);
    for (struct dirent *one; (one = readdir(all));) {
        left += strncmp(one->d_name, "file-", 5) == 0;
    }
    closedir(all);
    ok(removed == FILES && left == 0, "removing while listing misses none (%d, %d)", removed, left);
}

static void long_names(void)
{
    char name[NAME_MAX + 2], path[PATH_MAX + 16];
    struct stat info;
    enter("long");
    memset(name, 'n', sizeof name);
    name[NAME_MAX + 1] = '\0';
    ok_errno(open(name, O_RDWR | O_CREAT, 0600), ENAMETOOLONG, "256 bytes");
    ok_errno(mkdir(name, 0700), ENAMETOOLONG, "for a folder");
    ok_errno(stat(name, &info), ENAMETOOLONG, "even to look for");
    name[NAME_MAX] = '\0';
    ok(open(name, O_RDWR | O_CREAT, 0600) >= 0 && stat(name, &info) == 0, "255 bytes are a name");
    memset(path, '/', sizeof path);
    path[0] = '.';
    path[PATH_MAX - 1] = '\0';
    ok_equal(stat(path, &info), 0, "a path of 4095 bytes");
    path[PATH_MAX - 1] = '/';
    path[PATH_MAX] = '\0';
    ok_errno(stat(path, &info), ENAMETOOLONG, "one of 4096");
    ok_equal(mkdir("\xff\x01 *?\n", 0700), 0, "a name of odd bytes");
    ok_equal(stat("./\xff\x01 *?\n//.", &info), 0, "with slashes and dots around it");
    int depth = 0;
    while (depth < 100 && mkdir("d", 0700) == 0 && chdir("d") == 0) {
        depth++;
    }
    ok_equal(depth, 100, "a hundred folders deep");
    ok(getcwd(path, sizeof path) && strlen(path) > 200, "getcwd knows the way");
    ok_equal(chdir(path), 0, "which leads here");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(folders),        TAP_CASE(a_folder_that_goes), TAP_CASE(hard_links),
        TAP_CASE(symbolic_links), TAP_CASE(renaming),           TAP_CASE(renaming_with_flags),
        TAP_CASE(listing),        TAP_CASE(long_names),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
