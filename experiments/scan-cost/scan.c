/*
 * What does a pass of the scanner over memory cost, page by page?
 *
 *     scan --pages N --changed PERCENT --duplicate PERCENT [--index NAME]
 *
 * Registers N pages of which so many in a hundred have a twin among them, lets the scanner
 * settle, then counts whole passes, before each of which so many in a hundred of the pages
 * without a twin are written to. A batch is a little longer than all pages registered, and the
 * scanner sleeps long after it: to wake it is to start one pass. The time-stamp counter would
 * count its sleep too, so what is executed between two readings of it is counted by a plugin of
 * the emulator (tools/count.c).
 *
 * Between the two readings this program does two things: one write to a knob, which wakes the
 * scanner, and one sleep, longer than the pass. What they cost is counted in the same way with the
 * scanner stopped, for as long: the last measurements of the run are empty ones.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "experiments/lab.h"

#define WARM_UP_PASSES 4
#define PASSES 3
#define EMPTY 3
#define LONG_SLEEP_MS 1000000
#define POLL_MS 5
#define SETTLE_MS 5000 /* what a kernel still does after booting is over by then */
#define BATCH_MORE 64  /* pages, so that a batch does not end just before the end of the pass */

static size_t pages = 4096;
static long changed, duplicate;
static char *area;
static uint64_t salt = 1;

/* Pages with a twin are spread evenly; 256 neighbours, or those of them with one, are equal. */
static bool has_twin(size_t i)
{
    return (long)(i * 61 % 100) < duplicate;
}

static void fill_all(void)
{
    for (size_t i = 0; i < pages; i++)
        lab_fill(area + i * PAGE, has_twin(i) ? 1 + i / 256 : (1ul << 32) + i);
}

/* Writes a word of each page that is to change. */
static void change(void)
{
    salt++;
    for (size_t i = 0; i < pages; i++)
        if (!has_twin(i) && (long)((i * 37 + 11) % 100) < changed)
            *(volatile uint64_t *)(void *)(area + i * PAGE + 64) = salt << 32 | i;
}

/* Another value of this knob wakes the scanner. The file stays open, so that it is one call. */
static void wake_scanner(void)
{
    static long nap = LONG_SLEEP_MS;
    static int knob = -1;
    char text[24];
    int length = snprintf(text, sizeof text, "%ld", ++nap);
    if (knob < 0 && (knob = open(KSM "sleep_millisecs", O_WRONLY | O_CLOEXEC)) < 0)
        lab_fail("sleep_millisecs");
    if (pwrite(knob, text, (size_t)length, 0) != length)
        lab_fail("sleep_millisecs %s", text);
}

/* By a system call: Linux's clock_gettime() stays in user mode and may execute RDTSCP, our mark. */
static long clock_ms(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts a pass and waits for its end; returns how long it took. */
static long pass_watched(void)
{
    long before = lab_get_number(KSM, "full_scans"), start = clock_ms();
    wake_scanner();
    lab_wait_ksm("full_scans", before + 1, POLL_MS);
    return clock_ms() - start + 1;
}

static void count_window(long sleep_ms)
{
    lab_now();
    wake_scanner();
    lab_sleep_ms(sleep_ms);
    lab_now();
}

static void measure(const char *index)
{
    long longest = 0;
    for (int i = 0; i < WARM_UP_PASSES; i++) {
        change();
        long took = pass_watched();
        longest = took > longest ? took : longest;
    }
    long sleep_ms = 2 * longest + 10 * POLL_MS;
    for (int i = 0; i < PASSES; i++) {
        change();
        long before = lab_get_number(KSM, "full_scans");
        count_window(sleep_ms);
        if (lab_get_number(KSM, "full_scans") != before + 1)
            lab_fail("%ld passes, not one, in %ld ms", lab_get_number(KSM, "full_scans") - before,
                     sleep_ms);
    }
    long sharing = lab_get_number(KSM, "pages_sharing");
    lab_set(KSM, "run", "0");
    for (int i = 0; i < EMPTY; i++)
        count_window(sleep_ms);
    printf("csv scan,%s,%zu,%ld,%ld,%d,%d,%ld,%ld\n", index, pages, changed, duplicate, PASSES,
           EMPTY, sharing, sleep_ms);
}

int main(int argc, char **argv)
{
    const char *index = "default";
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--pages") == 0)
            pages = (size_t)atol(argv[i + 1]);
        else if (strcmp(argv[i], "--changed") == 0)
            changed = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--duplicate") == 0)
            duplicate = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--index") == 0)
            index = argv[i + 1];
    }
    if (strcmp(index, "linux") != 0 && strcmp(index, "default") != 0 &&
        !lab_set(TUNABLES, "ksm.index", index))
        lab_fail("ksm.index %s", index);
    lab_sleep_ms(SETTLE_MS);
    area = lab_map(pages, MAP_PRIVATE);
    fill_all();
    lab_set(KSM, "smart_scan", "0");
    lab_set_number(KSM, "sleep_millisecs", LONG_SLEEP_MS);
    lab_set_number(KSM, "pages_to_scan", (long)pages + BATCH_MORE);
    if (madvise(area, pages * PAGE, MADV_MERGEABLE) != 0 || !lab_set(KSM, "run", "1"))
        lab_fail("merging");
    measure(index);
    return 0;
}
