/*
 * ksm_control.c: the knobs and figures of merging, under the names Linux gives them in
 * /sys/kernel/mm/ksm.
 *
 * The figures are true at once: merged frames and their mappings are counted where they come and
 * go, not when the scanner passes by.
 */
#include "kernel/base/errno.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/ksm_internal.h"
#include "lib/format.h"

_Atomic u64 ksm_run = KSM_RUN_STOP;
_Atomic u64 ksm_pages_to_scan = 100;
_Atomic u64 ksm_sleep_millisecs = 20;

/* 2 unmerges before it returns; when memory for the copies runs out, merging stops where it is and
 * the write fails. */
static s64 run_write(const struct tunable *t, const char *text, usize length)
{
    u64 run;
    s64 error = tunable_parse_u64(text, length, &run);

    (void)t;
    if (error || run > KSM_RUN_UNMERGE)
        return -EINVAL;
    if (run == atomic_load(&ksm_run))
        return 0;
    atomic_store(&ksm_run, run); /* ksmd sees it within a step and lets go of the mutex */
    mutex_lock(&ksm_scan_mutex);
    if (run == KSM_RUN_UNMERGE) {
        error = ksm_unmerge_all();
        if (error)
            atomic_store(&ksm_run, KSM_RUN_STOP);
        else
            atomic_store(&ksm_stats.full_scans, 0);
    }
    mutex_unlock(&ksm_scan_mutex);
    wait_wake_all(&ksm_wake);
    return error;
}

static s64 knob_write(const struct tunable *t, const char *text, usize length)
{
    s64 error = tunable_write_u64(t, text, length);

    wait_wake_all(&ksm_wake);
    return error == -ERANGE ? -EINVAL : error;
}

TUNABLE(ksm_run, .name = "ksm.run",
        .help = "0 stops, 1 merges, 2 stops and makes every page private again",
        .read = tunable_read_u64, .write = run_write, .value = &ksm_run);
TUNABLE(ksm_pages_to_scan, .name = "ksm.pages_to_scan",
        .help = "pages looked at before ksmd sleeps", .read = tunable_read_u64, .write = knob_write,
        .value = &ksm_pages_to_scan, .max = 0xffffffff);
TUNABLE(ksm_sleep_millisecs, .name = "ksm.sleep_millisecs", .help = "how long ksmd sleeps then",
        .read = tunable_read_u64, .write = knob_write, .value = &ksm_sleep_millisecs,
        .max = 0xffffffff);

/* --- figures --- */

static u64 pages_shared(void)
{
    return atomic_load(&ksm_stats.shared);
}

static u64 pages_sharing(void)
{
    s64 beyond_first = atomic_load(&ksm_stats.mappings) - (s64)pages_shared();

    return beyond_first > 0 ? (u64)beyond_first : 0;
}

static u64 pages_unshared(void)
{
    return atomic_load(&ksm_stats.unstable);
}

/* Linux's definition: records that are none of the others. A merged page whose record is still to
 * come does not count against it. */
static u64 pages_volatile(void)
{
    s64 rest =
        (s64)(atomic_load(&ksm_stats.items) - pages_shared() - pages_sharing() - pages_unshared());

    return rest > 0 ? (u64)rest : 0;
}

static u64 pages_scanned(void)
{
    return atomic_load(&ksm_stats.scanned);
}

static u64 full_scans(void)
{
    return atomic_load(&ksm_stats.full_scans);
}

static s64 figure_read(const struct tunable *t, char *buffer, usize size)
{
    return (s64)format(buffer, size, "%lu\n", ((u64(*)(void))t->value)());
}

#define KSM_FIGURE(function, help_)                                                                \
    TUNABLE(ksm_##function, .name = "ksm." #function, .help = (help_), .read = figure_read,        \
            .value = (void *)function)

KSM_FIGURE(pages_shared, "merged frames in use");
KSM_FIGURE(pages_sharing, "mappings of them beyond each one's first: pages saved");
KSM_FIGURE(pages_unshared, "pages that are known and equal no other");
KSM_FIGURE(pages_volatile, "pages that changed too recently to tell");
KSM_FIGURE(pages_scanned, "pages whose content was hashed or looked up, so far");
KSM_FIGURE(full_scans, "passes over everything registered");
