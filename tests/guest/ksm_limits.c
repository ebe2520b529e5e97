/*
 * What limits merging: the zero page, chains of merged pages with equal content, pages that change
 * too often, a cap on merged pages; and the figures of a process and of the machine that tell.
 *
 * timeout: 180
 */
#define _GNU_SOURCE
#include "ksm.h"
#include "proc.h"

/* A line of /proc/self/ksm_stat, or -1. */
static long stat_of_self(const char *name)
{
    return counter_of("/proc/self/ksm_stat", name);
}

/* Waits until the scanner has placed so many zero pages in this process. */
static bool wait_for_zero_pages(long pages)
{
    return eventually(stat_of_self("ksm_zero_pages") == pages, 20000);
}

/* Nothing is merged any more, and nothing runs: the rules can be changed. */
static void unmerge(void)
{
    ksm_set("run", 2);
}

static void zero_pages(void)
{
    if (stat_of_self("ksm_zero_pages") < 0) {
        skip("no ksm_zero_pages in this kernel");
        return;
    }
    ksm_set("use_zero_pages", 1);
    byte *area = offered(map_zeros(20), 20);
    ok(wait_for_zero_pages(20), "twenty pages of zeros become the zero page");
    if (on_merganser()) { /* Linux's also counts others' pages, and has been seen below zero */
        ok(ksm_get("ksm_zero_pages") >= 20, "ksm_zero_pages counts them");
    }
    ok_equal(ksm_kb(area), 0, "they don't count as merged");
    ok_equal(smaps_number(area, "Rss"), 0, "nor as memory");
    ok(page_is_zero(area) && page_is_zero(area + 19 * PAGE), "and are zero");
    long sharing = ksm_get("max_page_sharing");
    if (on_merganser()) { /* Linux counts others' pages, too, and then refuses */
        ok_equal(ksm_set("max_page_sharing", sharing + 1), 0, "another max_page_sharing");
        ok_equal(stat_of_self("ksm_zero_pages"), 20, "leaves them alone");
        ksm_set("max_page_sharing", sharing);
    }
    area[5] = 1;
    ok_equal(stat_of_self("ksm_zero_pages"), 19, "a write takes one away");
    ok(area[5] == 1 && area[6] == 0 && page_is_zero(area + PAGE), "and changes that one");
    pid_t pid = fork();
    if (pid == 0) {
        bool good = stat_of_self("ksm_zero_pages") == 19;
        area[PAGE] = 2;
        munmap(area + 10 * PAGE, 10 * PAGE);
        _exit(!(good && stat_of_self("ksm_zero_pages") == 8 && area[PAGE] == 2));
    }
    ok_equal(reap(pid), 0, "a child inherits them, writes one, unmaps ten");
    ok_equal(stat_of_self("ksm_zero_pages"), 19, "the parent's stay");
    ok_equal(mprotect(area + 10 * PAGE, 2 * PAGE, PROT_NONE), 0, "made inaccessible");
    ok_equal(mprotect(area + 10 * PAGE, 2 * PAGE, RW), 0, "and back");
    ok_equal(stat_of_self("ksm_zero_pages"), 19, "they stay what they are");
    ok_equal(madvise(area + 5 * PAGE, 5 * PAGE, MADV_UNMERGEABLE), 0, "five are taken back");
    ok_equal(stat_of_self("ksm_zero_pages"), 14, "they are private pages again");
    ok(page_is_zero(area + 7 * PAGE), "of zeros");
    madvise(area + 10 * PAGE, 5 * PAGE, MADV_DONTNEED);
    ok_equal(stat_of_self("ksm_zero_pages"), 9, "five are dropped");
    unmerge();
    ok_equal(stat_of_self("ksm_zero_pages"), 0, "run = 2 takes all back");
    ok(page_is_zero(area + 19 * PAGE) && area[5] == 1, "with their content");
    ksm_set("use_zero_pages", 0);
    ksm_set("run", 1);
}

static void chains(void)
{
    enum { PAGES = 60, SHARING = 4 };
    if (ksm_get("max_page_sharing") < 0) {
        skip("no max_page_sharing in this kernel");
        return;
    }
    long sharing = ksm_get("max_page_sharing");
    unmerge();
    if (ksm_get("pages_shared") != 0 || ksm_set("max_page_sharing", SHARING) < 0) {
        skip("others have merged pages");
        return;
    }
    ksm_set("run", 1);
    byte *area = mergeable(PAGES, 40);
    ok(ksm_wait_pages(area, PAGES), "sixty equal pages merge");
    ok(ksm_get("pages_shared") >= PAGES / SHARING, "into frames of four mappings (%ld)",
       ksm_get("pages_shared"));
    ok(ksm_get("stable_node_chains") >= 1, "which form a chain");
    ok(ksm_get("stable_node_dups") >= PAGES / SHARING, "of that many frames (%ld)",
       ksm_get("stable_node_dups"));
    ok_errno(ksm_set("max_page_sharing", SHARING + 1), EBUSY, "the limit can't change now");
    ok_equal(ksm_set("max_page_sharing", SHARING), 0, "but be set to what it is");
    if (ksm_get("merge_across_nodes") >= 0) {
        ok_errno(ksm_set("merge_across_nodes", !ksm_get("merge_across_nodes")), EBUSY,
                 "merge_across_nodes can't change either");
    }
    bool good = true;
    for (size_t i = 0; i < PAGES; i += 3) {
        fill_page(area + i * PAGE, 41 + i);
    }
    for (size_t i = 0; i < PAGES; i++) {
        good &= page_holds(area + i * PAGE, i % 3 ? 40 : 41 + i);
    }
    ok(good, "a third is rewritten, the rest is what it was");
    unmerge();
    ok_equal(ksm_get("stable_node_chains"), 0, "run = 2 ends all chains");
    ok_equal(ksm_get("stable_node_dups"), 0, "and their frames");
    ok_equal(ksm_set("max_page_sharing", sharing), 0, "and the limit can change");
    ksm_set("run", 1);
}

static void across_nodes(void)
{
    if (ksm_get("merge_across_nodes") < 0) {
        skip("no merge_across_nodes in this kernel");
        return;
    }
    unmerge();
    if (ksm_set("merge_across_nodes", 0) < 0) {
        skip("others have merged pages");
        return;
    }
    ksm_set("run", 1);
    byte *area = mergeable(30, 42);
    ok(ksm_wait_pages(area, 30), "pages merge within NUMA nodes");
    unmerge();
    ok_equal(ksm_set("merge_across_nodes", 1), 0, "and across again");
    ksm_set("run", 1);
}

static void smart_scan(void)
{
    if (ksm_get("pages_skipped") < 0) {
        skip("no smart_scan in this kernel");
        return;
    }
    byte *area = mergeable(8, 43);
    bool scanned = true;
    time_t start = time(NULL);
    if (!ksm_scan(2) || time(NULL) > start + 1) {
        skip("passes take too long here: others have much to merge");
        return;
    }
    long before = ksm_get("pages_skipped");
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < 8; i++) {
            fill_page(area + i * PAGE, 1000 + (uint64_t)round * 8 + i);
        }
        scanned &= ksm_scan(1);
    }
    ok(scanned, "six passes over pages that change");
    ok_equal(ksm_get("pages_skipped"), before, "without smart_scan none is skipped");
    ksm_set("smart_scan", 1);
    for (int round = 0; round < 12; round++) {
        for (size_t i = 0; i < 8; i++) {
            fill_page(area + i * PAGE, 2000 + (uint64_t)round * 8 + i);
        }
        scanned &= ksm_scan(1);
    }
    ok(scanned && ksm_get("pages_skipped") > before, "with it some are");
    byte *fresh = mergeable(10, 44);
    ok(ksm_wait_pages(fresh, 10), "new pages merge as before");
    ksm_set("smart_scan", 0);
}

static void figures(void)
{
    bool only_us = ksm_alone();
    byte *area = mergeable(500, 45);
    ok(ksm_wait_pages(area, 500), "merged");
    ksm_scan(2);
    long profit = ksm_get("general_profit"), sharing = ksm_get("pages_sharing");
    if (only_us && ksm_get("ksm_zero_pages") >= 0) {
        ok(profit > 0 && profit < sharing * (long)PAGE, "general_profit %ld for %ld pages", profit,
           sharing);
    }
    if (only_us && on_merganser()) { /* a page of records for each 128 pages, begun ones whole */
        long cost = sharing * (long)PAGE - profit, records = 500 / 128 + 1;
        ok(cost > records * (long)PAGE && cost < (records + 4) * (long)PAGE,
           "it charges pages of records, and what finds them (%ld)", cost);
    }
    if (stat_of_self("ksm_rmap_items") < 0) {
        skip("no ksm_stat in this kernel");
        return;
    }
    long items = stat_of_self("ksm_rmap_items"), merging = stat_of_self("ksm_merging_pages");
    ok(items >= 500, "ksm_rmap_items (%ld)", items);
    ok_equal(merging, 500, "ksm_merging_pages");
    long own = stat_of_self("ksm_process_profit");
    ok(own > 400 * (long)PAGE && own < 500 * (long)PAGE, "ksm_process_profit (%ld)", own);
    munmap(area, 500 * PAGE);
    mergeable(1, 46);
    ksm_scan(2);
    if (only_us) {
        ok(ksm_get("general_profit") < profit, "the profit goes with the pages");
    }
}

static void cap_on_merged_pages(void)
{
    if (ksm_get("max_kernel_pages") < 0) {
        skip("max_kernel_pages is Merganser's own");
        return;
    }
    unmerge();
    ok_equal(ksm_set("max_kernel_pages", 2), 0, "at most two merged pages");
    ksm_set("run", 1);
    byte *areas[5];
    for (uint64_t i = 0; i < 5; i++) {
        areas[i] = mergeable(6, 50 + i);
    }
    ok(ksm_scan(6), "six passes");
    ok_equal(ksm_get("pages_shared"), 2, "there are two");
    ok_equal(ksm_get("kernel_pages_allocated"), 2, "by the other name, too");
    ok_equal(ksm_set("max_kernel_pages", 1), 0, "at most one");
    ok(ksm_scan(4) && ksm_get("pages_shared") == 2, "what is merged stays, and no more comes");
    ok_equal(ksm_set("max_kernel_pages", 0), 0, "no limit any more");
    bool all = true;
    for (int i = 0; i < 5; i++) {
        all &= ksm_wait_pages(areas[i], 6);
    }
    ok(all, "the others merge");
}

static void another_index(void)
{
    if (ksm_get("max_kernel_pages") < 0) {
        skip("two indexes are Merganser's own");
        return;
    }
    char text[64] = "";
    int fd = open(KSM_PATH "index", O_RDONLY | O_CLOEXEC);
    ok(read(fd, text, sizeof text - 1) > 0, "index: %.11s", text);
    close(fd);
    const char *present = strstr(text, "[tree]") ? "tree" : "hash";
    const char *other = strstr(text, "[tree]") ? "hash" : "tree\n";
    ok_errno(ksm_set_text("index", other), EBUSY, "it can't change while the scanner runs");
    unmerge();
    ok_errno(ksm_set_text("index", "bush"), EINVAL, "there is no such index");
    ok_equal(ksm_set_text("index", other), 0, "the other one");
    ksm_set("run", 1);
    byte *area = mergeable(50, 60);
    ok(ksm_wait_pages(area, 50), "finds equal pages as well");
    ksm_set("run", 0);
    ok_errno(ksm_set_text("index", present), EBUSY, "it can't change while pages are merged");
    unmerge();
    ok_equal(ksm_set_text("index", present), 0, "back to the first");
    ksm_set("run", 1);
    ok(ksm_wait_pages(area, 50), "which finds them again");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(zero_pages),    TAP_CASE(chains),  TAP_CASE(across_nodes),
        TAP_CASE(smart_scan),    TAP_CASE(figures), TAP_CASE(cap_on_merged_pages),
        TAP_CASE(another_index),
    };
    return KSM_MAIN(cases);
}
