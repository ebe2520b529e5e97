/*
 * Helpers for tests of /proc and /sys: whole small files, and fields in them.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "process.h"

/* Reads a file as a whole into a buffer that the next call with the same slot uses again: its text,
 * or NULL with errno set. */
static inline char *slurp_into(int slot, const char *path, size_t *length)
{
    static char buffers[3][262144];
    char *text = buffers[slot];
    size_t used = 0;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    while ((got = read(fd, text + used, sizeof buffers[0] - 1 - used)) > 0) {
        used += (size_t)got;
    }
    int error = errno;
    close(fd);
    errno = error;
    text[used] = '\0';
    if (length) {
        *length = used;
    }
    return got < 0 ? NULL : text;
}

static inline char *slurp(const char *path)
{
    return slurp_into(0, path, NULL);
}

/* Keeps a text, cut to size, beyond the call that may overwrite it; NULL as "". */
static inline void keep(char *to, size_t size, const char *text)
{
    size_t length = text ? strnlen(text, size - 1) : 0;
    memcpy(to, text, length);
    to[length] = '\0';
}

/* "/proc/PID/FILE". */
static inline const char *proc_path(pid_t pid, const char *file)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "/proc/%d/%s", (int)pid, file);
    return path;
}

/* What follows "NAME:" and blanks on a line of its own, without the newline; "" if not there. */
static inline const char *field_of(const char *path, const char *name)
{
    static char value[512];
    size_t length = strlen(name);
    value[0] = '\0';
    for (const char *line = slurp_into(1, path, NULL); line && *line;) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            size -= length + 1;
            size_t blanks = strspn(line, " \t");
            snprintf(value, sizeof value, "%.*s", (int)(size - blanks), line + blanks);
            break;
        }
        line += size + (line[size] == '\n');
    }
    return value;
}

static inline long number_of(const char *path, const char *name)
{
    const char *value = field_of(path, name);
    return *value ? atol(value) : -1;
}

/* The number behind a name and a blank at the beginning of a line, -1 if there is none. */
static inline long counter_of(const char *path, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = slurp_into(1, path, NULL); line && *line;) {
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            return atol(line + length);
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return -1;
}

/* Field n of a stat file, counted from 3 as proc(5) does: the first behind the name. */
static inline unsigned long long stat_field(const char *path, int n)
{
    const char *text = slurp_into(1, path, NULL), *at = text ? strrchr(text, ')') : NULL;
    for (int i = 2; at && i < n; i++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

/* The state letter of a process, 0 if it is gone. */
static inline char state_of(pid_t pid)
{
    const char *text = slurp_into(1, proc_path(pid, "stat"), NULL);
    const char *end = text ? strrchr(text, ')') : NULL;
    return end ? end[2] : 0;
}

/* A link's text; "" on error. */
static inline const char *link_text(const char *path)
{
    static char text[512];
    ssize_t length = readlink(path, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    return text;
}
