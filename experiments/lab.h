/*
 * What the programs of the experiments share: the instruction counter, the knobs, memory, output.
 *
 * They run on both kernels, so they use Linux's ABI alone; what only one of them has (a tunable, a
 * counter) is found missing when it is looked for. A result is a line `csv A,B,...` on standard
 * output.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define KSM "/sys/kernel/mm/ksm/"
#define TUNABLES "/proc/merganser/tunables/"

#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

/* Reads the time-stamp counter: instructions, in a machine that counts them. By RDTSCP, which
 * nothing else uses (but the clock of C on Linux), so that the counting plugin sees where a
 * measurement begins and ends. */
static inline uint64_t lab_now(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (uint64_t)high << 32 | low;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void lab_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("failed: ");
    vprintf(format, args);
    va_end(args);
    printf(" (%s)\n", strerror(errno));
    fflush(stdout);
    _exit(1);
}

/* Writes a knob, given by folder and name; false if it isn't there or refuses. */
static inline bool lab_set(const char *folder, const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0)
        close(fd);
    return done;
}

static inline bool lab_set_number(const char *folder, const char *name, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    return lab_set(folder, name, text);
}

static inline long lab_get_number(const char *folder, const char *name)
{
    char path[128], text[64] = "";
    snprintf(path, sizeof path, "%s%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    return got > 0 ? atol(text) : -1;
}

/* A counter of /proc/vmstat; 0 where this kernel has none of that name. */
static inline long lab_counter(const char *name)
{
    static char text[32768];
    char wanted[64];
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got;
    while (fd >= 0 && (got = read(fd, text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    if (fd >= 0)
        close(fd);
    text[used] = '\0';
    snprintf(wanted, sizeof wanted, "%s ", name);
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, wanted, strlen(wanted)) == 0)
            return atol(at + strlen(wanted));
    return 0;
}

static inline char *lab_map(size_t pages, int how)
{
    char *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        lab_fail("mmap of %zu pages", pages);
    return area;
}

/* Writes one byte into each page. */
static inline void lab_touch(char *area, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        *(volatile char *)(area + i * PAGE) = (char)i;
}

/* Fills a page from a seed; other seeds, other pages. */
static inline void lab_fill(char *page, uint64_t seed)
{
    uint64_t *word = (uint64_t *)(void *)page, state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < PAGE / sizeof *word; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        word[i] = state;
    }
}

static inline void lab_sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Waits until a figure of merging has reached `goal`. */
static inline void lab_wait_ksm(const char *figure, long goal, long step_ms)
{
    for (int i = 0; i < 100000; i++) {
        if (lab_get_number(KSM, figure) >= goal)
            return;
        lab_sleep_ms(step_ms);
    }
    lab_fail("%s did not reach %ld", figure, goal);
}

static inline int lab_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static inline double lab_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, lab_compare);
    return values[count / 2];
}
