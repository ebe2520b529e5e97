/*
 * ksm_figures.c: the figures of merging, under the names Linux gives them in /sys/kernel/mm/ksm.
 *
 * They are true at once: merged frames and their mappings are counted where they come and go, not
 * when the scanner passes by. general_profit charges all memory that grows with what is scanned:
 * whole pages of items, nodes, and the maps that find them.
 */
#include "kernel/base/tunable.h"
#include "kernel/mm/ksm_internal.h"
#include "lib/format.h"

static s64 pages_shared(void)
{
    return (s64)atomic_load(&ksm_stats.shared);
}

static s64 pages_sharing(void)
{
    return MAX(atomic_load(&ksm_stats.mappings) - pages_shared(), 0l);
}

static s64 pages_unshared(void)
{
    return (s64)atomic_load(&ksm_stats.unstable);
}

/* Linux's definition: records that are none of the others. A merged page whose record is still to
 * come does not count against it. */
static s64 pages_volatile(void)
{
    s64 items = (s64)atomic_load(&ksm_stats.items);

    return MAX(items - pages_shared() - pages_sharing() - pages_unshared(), 0l);
}

static s64 pages_scanned(void)
{
    return (s64)atomic_load(&ksm_stats.scanned);
}

static s64 pages_skipped(void)
{
    return (s64)atomic_load(&ksm_stats.skipped);
}

static s64 full_scans(void)
{
    return (s64)atomic_load(&ksm_stats.full_scans);
}

static s64 stable_node_chains(void)
{
    return (s64)atomic_load(&ksm_stats.chains);
}

static s64 stable_node_dups(void)
{
    return (s64)atomic_load(&ksm_stats.dups);
}

static s64 ksm_zero_pages(void)
{
    return atomic_load(&ksm_stats.zero);
}

static s64 general_profit(void)
{
    return (pages_sharing() + ksm_zero_pages()) * (s64)PAGE_SIZE -
           (s64)atomic_load(&ksm_stats.bytes);
}

static s64 figure_read(const struct tunable *t, char *buffer, usize size)
{
    return (s64)format(buffer, size, "%ld\n", ((s64(*)(void))t->value)());
}

#define KSM_FIGURE_NAMED(identifier, file, function, help_)                                        \
    TUNABLE(ksm_##identifier, .name = "ksm." file, .help = (help_), .read = figure_read,           \
            .value = (void *)function)
#define KSM_FIGURE(function, help_) KSM_FIGURE_NAMED(function, #function, function, help_)

KSM_FIGURE(pages_shared, "merged frames in use");
KSM_FIGURE(pages_sharing, "mappings of them beyond each one's first: pages saved");
KSM_FIGURE(pages_unshared, "pages that are known and equal no other");
KSM_FIGURE(pages_volatile, "pages that changed too recently to tell");
KSM_FIGURE(pages_scanned, "pages whose content was hashed or looked up, so far");
KSM_FIGURE(pages_skipped, "pages that smart_scan left out, so far");
KSM_FIGURE(full_scans, "passes over everything registered");
KSM_FIGURE(stable_node_chains, "contents that have several merged frames");
KSM_FIGURE(stable_node_dups, "merged frames of those");
KSM_FIGURE(ksm_zero_pages, "entries in which the zero page replaced a page of zeros");
KSM_FIGURE(general_profit, "bytes saved less bytes of bookkeeping");
KSM_FIGURE_NAMED(kernel_pages, "kernel_pages_allocated", pages_shared,
                 "merged frames, as max_kernel_pages counts them");
