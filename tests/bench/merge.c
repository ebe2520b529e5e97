/*
 * Merging: what the scanner costs for each page, and what breaking a merged page costs.
 *
 * The scanner is let run without sleeping and with batches larger than the memory that is
 * registered, and is a thread of the same processor, so the time that passes is the scanner's work.
 * The program only wakes now and then to read a counter; it sleeps long enough for that to stay
 * below one part in a hundred.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define MERGE_PAGES (32ul << 20 >> 12)
#define POLL_NS 1000000l
#define WINDOW_NS 1000000000l
#define POLLS_MAX 60000
#define SCAN_BATCH 1000000ul

#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#endif

static int ksm_open(const char *file, int mode)
{
    char path[80];
    snprintf(path, sizeof path, "/sys/kernel/mm/ksm/%s", file);
    return open(path, mode);
}

static bool ksm_set(const char *file, unsigned long value)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%lu\n", value);
    int fd = ksm_open(file, O_WRONLY);
    if (fd < 0)
        return false;
    bool done = write(fd, text, (size_t)length) == length;
    close(fd);
    return done;
}

static long ksm_get(const char *file)
{
    char text[24] = "";
    long value = -1;
    int fd = ksm_open(file, O_RDONLY);
    if (fd < 0)
        return -1;
    if (read(fd, text, sizeof text - 1) > 0)
        sscanf(text, "%ld", &value);
    close(fd);
    return value;
}

static void ksm_sleep(long ns)
{
    struct timespec time = {ns / 1000000000l, ns % 1000000000l};
    nanosleep(&time, NULL);
}

/* Sleeps until the counter reaches `goal`; false when it does not within POLLS_MAX polls. */
static bool ksm_wait(const char *counter, long goal)
{
    for (int i = 0; i < POLLS_MAX; i++) {
        if (ksm_get(counter) >= goal)
            return true;
        ksm_sleep(POLL_NS);
    }
    return false;
}

/* Forgets all earlier merging and sets the scanner to full speed, stopped. */
static bool ksm_prepare(void)
{
    ksm_set("smart_scan", 0); /* absent before Linux 6.7 */
    return ksm_set("run", 2) && ksm_set("run", 0) && ksm_set("sleep_millisecs", 0) &&
           ksm_set("pages_to_scan", SCAN_BATCH);
}

/* Fills the pages with one long sequence of words that starts from `seed`: no two are equal. */
static void merge_fill(char *area, size_t pages, uint64_t seed)
{
    uint64_t *word = (uint64_t *)area;
    for (size_t i = 0; i < pages * PAGE_SIZE / sizeof *word; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        word[i] = seed;
    }
}

/* Two areas of MERGE_PAGES, adjacent, filled, registered, equal when asked; NULL on failure. */
static char *merge_areas(bool equal)
{
    size_t size = MERGE_PAGES * PAGE_SIZE;
    char *area = bench_map(2 * MERGE_PAGES);
    if (!area)
        return NULL;
    merge_fill(area, MERGE_PAGES, 1);
    merge_fill(area + size, MERGE_PAGES, equal ? 1 : 2);
    if (madvise(area, 2 * size, MADV_MERGEABLE) != 0 || !ksm_prepare()) {
        munmap(area, 2 * size);
        return NULL;
    }
    return area;
}

static void merge_release(char *area)
{
    ksm_set("run", 0);
    munmap(area, 2 * MERGE_PAGES * PAGE_SIZE);
}

/* Two equal areas, merged; `*cost` (unless NULL) receives the instructions that took. */
static char *merge_merged_areas(uint64_t *cost)
{
    char *area = merge_areas(true);
    if (!area)
        return NULL;
    uint64_t start = bench_now();
    if (!ksm_set("run", 1) || !ksm_wait("pages_sharing", MERGE_PAGES)) {
        merge_release(area);
        return NULL;
    }
    if (cost)
        *cost = bench_since(start);
    return area;
}

static double merge_first(void)
{
    uint64_t cost;
    char *area = merge_merged_areas(&cost);
    if (!area)
        return bench_fail("merging did not finish");
    merge_release(area);
    return (double)cost / MERGE_PAGES;
}

/* Instructions per page of whole passes over both areas, while the scanner runs. */
static double merge_pass(void)
{
    long before = ksm_get("full_scans");
    if (before < 0 || !ksm_wait("full_scans", before + 3))
        return BENCH_FAILED;
    before = ksm_get("full_scans");
    uint64_t start = bench_now();
    ksm_sleep(WINDOW_NS);
    long seen = ksm_get("full_scans");
    if (!ksm_wait("full_scans", seen + 1))
        return BENCH_FAILED;
    uint64_t cost = bench_since(start);
    return (double)cost / (double)(ksm_get("full_scans") - before) / (2 * MERGE_PAGES);
}

static double merge_pass_merged(void)
{
    char *area = merge_merged_areas(NULL);
    if (!area)
        return bench_fail("merging did not finish");
    double cost = merge_pass();
    merge_release(area);
    return cost < 0 ? bench_fail("no pass finished") : cost;
}

static double merge_pass_unique(void)
{
    char *area = merge_areas(false);
    if (!area)
        return bench_fail("madvise or /sys/kernel/mm/ksm");
    double cost = ksm_set("run", 1) ? merge_pass() : BENCH_FAILED;
    merge_release(area);
    return cost < 0 ? bench_fail("no pass finished") : cost;
}

/* Counts writes to the first area's merged pages or, after them, to the `last` users' pages. */
static double merge_write(bool last)
{
    char *area = merge_merged_areas(NULL);
    if (!area)
        return bench_fail("merging did not finish");
    ksm_set("run", 0);
    if (last)
        bench_touch(area, MERGE_PAGES);
    uint64_t start = bench_now();
    bench_touch(area + (last ? MERGE_PAGES * PAGE_SIZE : 0), MERGE_PAGES);
    uint64_t cost = bench_since(start);
    merge_release(area);
    return (double)cost / MERGE_PAGES;
}

static double merge_write_shared(void)
{
    return merge_write(false);
}

static double merge_write_last(void)
{
    return merge_write(true);
}

const struct figure merge_figures[] = {
    {"merge", "merging two equal areas of 32 MB, a page saved", merge_first, 1, false},
    {"pass_merged", "a pass over merged pages, a page", merge_pass_merged, 1, false},
    {"pass_unique", "a pass over unchanging unique pages, a page", merge_pass_unique, 1, false},
    {"write_merged", "write to a merged page that is shared", merge_write_shared, 1, false},
    {"write_merged_last", "write to a merged page by its last user", merge_write_last, 1, false},
    {0},
};
