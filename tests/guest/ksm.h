/*
 * Helpers for tests of merging: the knobs in /sys/kernel/mm/ksm and what a process has merged.
 *
 * A test takes the scanner over with ksm_take and gives it back when it ends, so that two tests
 * that run at once on Linux wait for each other. Counters of Linux lag; a test looks at them only
 * after ksm_scan, which waits for whole passes.
 */
#pragma once

#include <sys/file.h>
#include <sys/prctl.h>

#include "memory.h"
#include "process.h"

#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#define MADV_UNMERGEABLE 13
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

#define KSM_PATH "/sys/kernel/mm/ksm/"

/* The number in a file below /sys/kernel/mm/ksm, or -1. */
static inline long ksm_get(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, KSM_PATH "%s", name);
    return read_number(path);
}

/* Writes a knob; 0, or -1 with errno. */
static inline int ksm_set_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, KSM_PATH "%s", name);
    return spill(path, text);
}

static inline int ksm_set(const char *name, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    return ksm_set_text(name, text);
}

/* Knobs that make the scanner fast and simple, put back by ksm_give_back. */
static struct {
    const char *name;
    long wanted, before;
} ksm_knobs[] = {
    {"pages_to_scan", 4000, -1},
    {"sleep_millisecs", 2, -1},
    {"smart_scan", 0, -1},
    {"use_zero_pages", 0, -1},
    {"run", 1, -1},
};

#define KSM_KNOBS (sizeof ksm_knobs / sizeof *ksm_knobs)

static inline void ksm_give_back(void)
{
    for (size_t i = KSM_KNOBS; i-- > 0;) {
        if (ksm_knobs[i].before >= 0) {
            ksm_set(ksm_knobs[i].name, ksm_knobs[i].before);
        }
    }
}

/* Takes the scanner over and makes it fast; false if this kernel cannot merge. */
static inline bool ksm_take(void)
{
    int lock = open("/tmp/ksm-test.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock >= 0) {
        flock(lock, LOCK_EX); /* until the program ends */
    }
    if (ksm_get("run") < 0) {
        return false;
    }
    for (size_t i = 0; i < KSM_KNOBS; i++) {
        ksm_knobs[i].before = ksm_get(ksm_knobs[i].name);
        if (ksm_knobs[i].before >= 0) {
            ksm_set(ksm_knobs[i].name, ksm_knobs[i].wanted);
        }
    }
    return true;
}

static inline void ksm_pause_ms(long milliseconds)
{
    pause_ms(milliseconds);
}

/* Waits until the scanner has finished so many more passes; false if it takes over 30 seconds. */
static inline bool ksm_scan(long passes)
{
    long goal = ksm_get("full_scans") + passes;
    return eventually(ksm_get("full_scans") >= goal, 30000);
}

/* Merged pages of a process, or -1 where the kernel keeps no account. */
static inline long ksm_merging(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ksm_merging_pages", (int)pid);
    return read_number(path);
}

/* Nobody else on this machine has anything to merge, so that its figures are ours alone. */
static inline bool ksm_alone(void)
{
    return ksm_get("pages_shared") + ksm_get("pages_unshared") + ksm_get("pages_volatile") <= 0;
}

/* Kilobytes of merged pages in the mapping of address, as smaps tells. */
static inline long ksm_kb(const void *address)
{
    return smaps_number(address, "KSM");
}

/* Waits until the mapping of address holds just so many merged pages; false after 20 seconds. */
static inline bool ksm_wait_pages(const void *address, long pages)
{
    return eventually(ksm_kb(address) == pages * 4, 20000);
}

/* Offers memory for merging; returns it. */
static inline byte *offered(byte *area, size_t pages)
{
    if (madvise(area, pages * PAGE, MADV_MERGEABLE) < 0) {
        bail("madvise(MADV_MERGEABLE)");
    }
    return area;
}

/* An island of pages that all hold fill_page(seed), offered for merging. */
static inline byte *mergeable(size_t pages, uint64_t seed)
{
    return offered(map_equal(pages, seed), pages);
}

/* Such an island whose pages are merged; the scanner stands. */
static inline byte *ksm_merged(size_t pages, uint64_t seed)
{
    ksm_set("run", 1);
    byte *area = mergeable(pages, seed);
    ok(ksm_wait_pages(area, (long)pages), "%zu pages are merged", pages);
    ok_equal(ksm_set("run", 0), 0, "the scanner stands");
    return area;
}

/* Forgets all merging and changes over to another index; 0, or -1 with errno. The scanner runs. */
static inline int ksm_choose_index(const char *name)
{
    ksm_set("run", 2);
    int stopped = ksm_set("run", 0);
    int chosen = ksm_set_text("index", name);
    ksm_set("run", 1);
    return stopped < 0 ? stopped : chosen;
}

/* All of a test's main: the cases, with the scanner taken over. */
static inline int ksm_main(int argc, char **argv, const struct tap_case *cases, size_t count)
{
    tap_begin();
    if (!ksm_take()) {
        skip("no " KSM_PATH " in this kernel");
        return tap_end();
    }
    int status = tap_main(argc, argv, cases, count);
    ksm_give_back();
    return status;
}
#define KSM_MAIN(cases) ksm_main(argc, argv, cases, sizeof(cases) / sizeof *(cases))
