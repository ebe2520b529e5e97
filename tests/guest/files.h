/*
 * Helpers for tests of files: a folder of the test's own on a RAM file system, small
 * files in it.
 */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "tap.h"

static char files_folder[64];

/* Makes a new folder, in /dev/shm or else in /tmp, and goes there; ends the program if it can't. */
static inline void files_enter(void)
{
    static const char *const places[] = {"/dev/shm", "/tmp"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(files_folder, sizeof files_folder, "%s/test-XXXXXX", places[i]);
        if (mkdtemp(files_folder) && chdir(files_folder) == 0) {
            umask(022);
            return;
        }
    }
    printf("Bail out! no folder for files: %s\n", strerror(errno));
    exit(1);
}

static inline int files_remove_one(const char *path, const struct stat *info, int kind,
                                   struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

/* Removes that folder and all in it. */
static inline void files_leave(void)
{
    if (chdir("/") < 0 || nftw(files_folder, files_remove_one, 128, FTW_DEPTH | FTW_PHYS) < 0) {
        note("%s stays: %s", files_folder, strerror(errno));
    }
}

/* Makes or replaces a file with this text; returns 0 or -1. */
static inline int file_write(const char *path, const char *text, mode_t mode)
{
    size_t length = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool good = fd >= 0 && write(fd, text, length) == (ssize_t)length && fchmod(fd, mode) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return good ? 0 : -1;
}

/* The first 4095 bytes of a file, "" if there is none; the same buffer each time. */
static inline const char *file_text(const char *path)
{
    static char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0, used = 0;
    while (fd >= 0 && (got = read(fd, text + used, sizeof text - 1 - (size_t)used)) > 0) {
        used += got;
    }
    if (fd >= 0) {
        close(fd);
    }
    text[used] = '\0';
    return text;
}

/* One test: two texts are equal. The rest is its description, as for printf. */
#define ok_text(got, wanted, ...) tap_text(got, wanted, __FILE__, __LINE__, #got, __VA_ARGS__)

__attribute__((format(printf, 6, 7))) static inline bool
tap_text(const char *got, const char *wanted, const char *file, int line, const char *what,
         const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool good = tap_result(strcmp(got, wanted) == 0, file, line, what, "%s", text);
    if (!good) {
        note("got    '%.400s'", got);
        note("wanted '%.400s'", wanted);
    }
    return good;
}
