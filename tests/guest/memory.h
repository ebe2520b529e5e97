/*
 * Helpers for tests of memory: areas, and what /proc/self/maps says about them.
 */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>

#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

typedef unsigned char byte;

/* Maps private anonymous memory; ends the program if that fails. */
static inline byte *map_pages(size_t pages, int prot)
{
    byte *area = mmap(NULL, pages * PAGE, prot, ANON, -1, 0);
    if (area == MAP_FAILED) {
        bail("mmap of %zu pages", pages);
    }
    return area;
}

/*
 * Maps pages of the given protection between two guard pages of another, so that they neither merge
 * with neighbours nor border on them by chance.
 */
static inline byte *map_island(size_t pages, int prot)
{
    byte *area = map_pages(pages + 2, prot == PROT_NONE ? PROT_READ : PROT_NONE);
    if (mmap(area + PAGE, pages * PAGE, prot, ANON | MAP_FIXED, -1, 0) != area + PAGE) {
        bail("mmap of an island");
    }
    return area + PAGE;
}

/* Reads a file line by line without malloc, which would map memory behind the test's back. */
struct lines {
    int fd;
    size_t at, length;
    char buffer[4096];
};

static inline struct lines *lines_open(const char *path)
{
    static struct lines lines;
    lines.fd = open(path, O_RDONLY | O_CLOEXEC);
    lines.at = lines.length = 0;
    return lines.fd < 0 ? NULL : &lines;
}

/* Copies the next line, cut if it is too long, without its newline; false, and closed, at the
 * end. */
static inline bool lines_next(struct lines *lines, char *line, size_t size)
{
    size_t used = 0;
    for (;;) {
        if (lines->at == lines->length) {
            ssize_t got = read(lines->fd, lines->buffer, sizeof lines->buffer);
            if (got <= 0) {
                close(lines->fd);
                line[used] = '\0';
                return used > 0;
            }
            lines->at = 0;
            lines->length = (size_t)got;
        }
        char next = lines->buffer[lines->at++];
        if (next == '\n') {
            line[used] = '\0';
            return true;
        }
        if (used < size - 1) {
            line[used++] = next;
        }
    }
}

/*
 * Writes the mappings of /proc/self/maps within pages of base into text, as "first-end:perms" in
 * pages from base, separated by spaces; for example "0-2:rw-p 3-4:r--p".
 */
static inline const char *maps_of(const void *base, size_t pages)
{
    static char text[2048];
    char line[512], perms[5];
    unsigned long from = (unsigned long)base, to = from + pages * PAGE, start, end;
    struct lines *lines = lines_open("/proc/self/maps");
    size_t used = 0;
    text[0] = '\0';
    if (!lines) {
        return "no /proc/self/maps";
    }
    while (lines_next(lines, line, sizeof line)) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3 && start < to && end > from &&
            used < sizeof text - 64) {
            start = start < from ? from : start;
            end = end > to ? to : end;
            used += (size_t)sprintf(text + used, "%s%lu-%lu:%s", used ? " " : "",
                                    (start - from) / PAGE, (end - from) / PAGE, perms);
        }
    }
    return text;
}

/* One test: the mappings within pages of base are as told in maps_of's language. */
#define ok_maps(base, pages, wanted, ...)                                                          \
    tap_maps(maps_of(base, pages), wanted, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 5, 6))) static inline bool
tap_maps(const char *got, const char *wanted, const char *file, int line, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool good = tap_result(strcmp(got, wanted) == 0, file, line, "maps", "%s", text);
    if (!good) {
        note("maps are '%s'", got);
        note("wanted   '%s'", wanted);
    }
    return good;
}

/*
 * Copies the VmFlags or another line of /proc/self/smaps for the mapping that holds address; empty
 * if there is none. The text is what follows the colon.
 */
static inline const char *smaps_line(const void *address, const char *name)
{
    static char text[256];
    char line[512];
    unsigned long at = (unsigned long)address, start, end;
    bool inside = false;
    struct lines *lines = lines_open("/proc/self/smaps");
    text[0] = '\0';
    while (lines && lines_next(lines, line, sizeof line)) {
        size_t length = strlen(name);
        char perms[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3) {
            inside = at >= start && at < end;
        } else if (inside && strncmp(line, name, length) == 0 && line[length] == ':') {
            snprintf(text, sizeof text, "%.250s", line + length + 1);
        }
    }
    return text;
}

/* The number in such a line, usually kilobytes; -1 if it is not there. */
static inline long smaps_number(const void *address, const char *name)
{
    const char *text = smaps_line(address, name);
    return *text ? atol(text) : -1;
}

/* True if the mapping's VmFlags hold the two-letter flag. */
static inline bool smaps_flag(const void *address, const char *flag)
{
    char wanted[8];
    snprintf(wanted, sizeof wanted, " %s", flag);
    return strstr(smaps_line(address, "VmFlags"), wanted) != NULL;
}

/* Fills a page with bytes that depend on seed, so that pages of different seeds differ
 * everywhere. */
static inline void fill_page(void *page, uint64_t seed)
{
    uint64_t *word = page, state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < PAGE / sizeof *word; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        word[i] = state ^ seed;
    }
}

/* True if the page holds just what fill_page(page, seed) writes. */
static inline bool page_holds(const void *page, uint64_t seed)
{
    const uint64_t *word = page;
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < PAGE / sizeof *word; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (word[i] != (state ^ seed)) {
            return false;
        }
    }
    return true;
}

/* True if each of the pages does. */
static inline bool all_hold(const byte *area, size_t pages, uint64_t seed)
{
    for (size_t i = 0; i < pages; i++) {
        if (!page_holds(area + i * PAGE, seed)) {
            return false;
        }
    }
    return true;
}

/* An island of pages that all hold fill_page(seed). */
static inline byte *map_equal(size_t pages, uint64_t seed)
{
    byte *area = map_island(pages, RW);
    for (size_t i = 0; i < pages; i++) {
        fill_page(area + i * PAGE, seed);
    }
    return area;
}

/* An island of pages that differ: the first holds fill_page(seed), the next fill_page(seed + 1). */
static inline byte *map_unique(size_t pages, uint64_t seed)
{
    byte *area = map_island(pages, RW);
    for (size_t i = 0; i < pages; i++) {
        fill_page(area + i * PAGE, seed + i);
    }
    return area;
}

/* An island of pages of zeros that were written, so that each has a frame of its own. */
static inline byte *map_zeros(size_t pages)
{
    byte *area = map_island(pages, RW);
    for (size_t i = 0; i < pages; i++) {
        area[i * PAGE] = 1;
        area[i * PAGE] = 0;
    }
    return area;
}

static inline bool page_is_zero(const void *page)
{
    const uint64_t *word = page;
    for (size_t i = 0; i < PAGE / sizeof *word; i++) {
        if (word[i] != 0) {
            return false;
        }
    }
    return true;
}

/* What a touch of memory that was not allowed has brought. */
struct fault_seen {
    int signal, code;
    void *address;
};

static sigjmp_buf fault_return;
static volatile struct fault_seen fault_last;

static inline void fault_on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    fault_last.signal = signal;
    fault_last.code = info->si_code;
    fault_last.address = info->si_addr;
    siglongjmp(fault_return, 1);
}

static inline void fault_catch(void)
{
    struct sigaction action = {.sa_sigaction = fault_on_signal,
                               .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* Reads a byte; returns the signal it brought, 0 if none. Details are in fault_last. */
static inline int touch_read(const volatile void *at)
{
    fault_catch();
    if (sigsetjmp(fault_return, 1) == 0) {
        (void)*(const volatile byte *)at;
        return 0;
    }
    return fault_last.signal;
}

/* The same for a write. */
static inline int touch_write(volatile void *at)
{
    fault_catch();
    if (sigsetjmp(fault_return, 1) == 0) {
        *(volatile byte *)at = 0x5a;
        return 0;
    }
    return fault_last.signal;
}
