/*
 * Helpers for tests that look at frames: pagemap, kpageflags, kpagecount.
 */
#pragma once

#include "memory.h"

#define PRESENT (1ull << 63)
#define EXCLUSIVE (1ull << 56)
#define PFN(entry) ((entry) & ((1ull << 55) - 1))

/* Bits of kpageflags. */
#define FRAME_ANON (1ull << 12)
#define FRAME_KSM (1ull << 21)
#define FRAME_ZERO (1ull << 24)

/* The entry of a table in /proc, all bits set if there is none. */
static inline uint64_t table_entry(const char *path, uint64_t index)
{
    uint64_t entry = ~0ull;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &entry, 8, (off_t)(index * 8)) != 8) {
        note("%s: %s", path, strerror(errno));
    }
    close(fd);
    return entry;
}

/* pagemap's entry for an address. */
static inline uint64_t entry_of(const void *address)
{
    return table_entry("/proc/self/pagemap", (uintptr_t)address / PAGE);
}

/* The number of the frame behind an address, 0 if it is hidden or there is none. */
static inline uint64_t frame_of(const void *address)
{
    uint64_t entry = entry_of(address);
    return entry & PRESENT ? PFN(entry) : 0;
}

/* True if the pages all have this frame. */
static inline bool all_in_frame(const byte *area, size_t pages, uint64_t pfn)
{
    for (size_t i = 0; i < pages; i++) {
        if (frame_of(area + i * PAGE) != pfn) {
            return false;
        }
    }
    return true;
}

static inline uint64_t frame_flags(uint64_t pfn)
{
    return table_entry("/proc/kpageflags", pfn);
}

/* How often a frame is mapped. */
static inline uint64_t frame_maps(uint64_t pfn)
{
    return table_entry("/proc/kpagecount", pfn);
}

/* Whether this process may see frame numbers and the tables are there. */
static inline bool frames_are_shown(void)
{
    byte *page = map_pages(1, RW);
    page[0] = 1;
    uint64_t pfn = frame_of(page);
    bool shown = pfn && access("/proc/kpageflags", R_OK) == 0 && frame_maps(pfn) == 1;
    munmap(page, PAGE);
    return shown;
}
