/*
 * What do /proc's tables of pages and frames tell about merged pages, and do the figures of a
 * process and of the machine follow their definitions?
 *
 * The scanner stands while they are looked at, so that nothing changes but by the test.
 *
 * timeout: 120
 */
#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/syscall.h>

#include "frames.h"
#include "ksm.h"
#include "proc.h"

static void merged_frames(void)
{
    if (!frames_are_shown()) {
        skip("frame numbers are hidden here");
        return;
    }
    byte *area = ksm_merged(8, 7001);
    uint64_t pfn = frame_of(area);
    ok(pfn && all_in_frame(area, 8, pfn), "eight pages, one frame");
    uint64_t flags = frame_flags(pfn);
    ok(flags & FRAME_KSM && flags & FRAME_ANON && !(flags & FRAME_ZERO), "merged and anonymous");
    ok_equal(frame_maps(pfn), 8, "mapped eight times");
    ok(!(entry_of(area) & EXCLUSIVE), "so not once");
    ok_equal(ksm_kb(area), 32, "KSM in smaps, not divided by the sharers");
    ok_equal(smaps_number(area, "Pss"), 4, "while Pss is");
    pid_t pid = start(sleep_forever);
    ok_equal(frame_maps(pfn), 16, "sixteen times after fork");
    finish(pid);
    for (size_t i = 1; i < 8; i++) {
        fill_page(area + i * PAGE, 7100 + i);
    }
    ok_equal(frame_maps(pfn), 1, "seven writes leave one mapping");
    ok(entry_of(area) & EXCLUSIVE, "which pagemap tells");
    ok(frame_flags(pfn) & FRAME_KSM, "and the frame is still a merged one");
    uint64_t own = frame_of(area + PAGE);
    flags = frame_flags(own);
    ok(flags & FRAME_ANON && !(flags & FRAME_KSM), "the copies are not");
    ok(frame_maps(own) == 1 && entry_of(area + PAGE) & EXCLUSIVE, "they are one's own");
}

/* Made private, a page has its frame for itself: a write that is allowed later copies nothing. */
static void unmerged_frames(void)
{
    if (!frames_are_shown()) {
        skip("frame numbers are hidden here");
        return;
    }
    byte *area = ksm_merged(3, 7002);
    ok_equal(mprotect(area, 3 * PAGE, PROT_NONE), 0, "made inaccessible");
    ok_equal(madvise(area, 3 * PAGE, MADV_UNMERGEABLE), 0, "and private");
    mprotect(area, 3 * PAGE, PROT_READ);
    uint64_t pfn = frame_of(area + PAGE);
    ok(pfn != frame_of(area) && pfn != frame_of(area + 2 * PAGE), "each page has its own frame");
    ok(frame_flags(pfn) & FRAME_ANON && !(frame_flags(pfn) & FRAME_KSM), "an ordinary one");
    ok_equal(touch_write(area + PAGE), SIGSEGV, "which can't be written");
    mprotect(area, 3 * PAGE, RW);
    area[PAGE] ^= 1;
    ok_equal(frame_of(area + PAGE), pfn, "a write, allowed again, copies nothing");
    area[PAGE] ^= 1;
    ok(page_holds(area, 7002) && page_holds(area + PAGE, 7002), "the content is what it was");
}

static void zero_frames(void)
{
    if (ksm_set("use_zero_pages", 1) < 0 || !frames_are_shown()) {
        skip("no use_zero_pages, or frame numbers are hidden");
        return;
    }
    byte *area = map_zeros(4), *untouched = map_pages(1, RW);
    uint64_t pfn, before = frame_of(area);
    ksm_set("run", 1);
    madvise(area, 4 * PAGE, MADV_MERGEABLE);
    bool placed = eventually(frame_flags(frame_of(area + 3 * PAGE)) & FRAME_ZERO, 20000);
    ok(placed && frame_of(area) != before, "pages of zeros become the zero page");
    ksm_set("run", 0);
    pfn = frame_of(area);
    touch_read(untouched);
    ok(all_in_frame(area, 4, pfn) && frame_of(untouched) == pfn,
       "the one that untouched memory reads");
    ok(!(frame_flags(pfn) & FRAME_KSM), "which is no merged frame");
    ok(entry_of(area) & PRESENT && !(entry_of(area) & EXCLUSIVE), "and nobody's own");
    ok_equal(ksm_kb(area), 0, "KSM in smaps does not count them");
    long copies = counter_of("/proc/vmstat", "cow_ksm");
    ok_equal(madvise(area, 4 * PAGE, MADV_UNMERGEABLE), 0, "made private");
    ok(!on_merganser() || counter_of("/proc/vmstat", "cow_ksm") == copies,
       "cow_ksm counts copies of merged pages only");
    ok(page_is_zero(area) && frame_of(area) != pfn, "they are zero, in frames of their own");
    ksm_set("use_zero_pages", 0);
}

static void copies_are_counted(void)
{
    long before = counter_of("/proc/vmstat", "cow_ksm");
    if (before < 0) {
        skip("no cow_ksm in this kernel");
        return;
    }
    byte *area = ksm_merged(9, 7003);
    for (size_t i = 0; i < 4; i++) {
        area[i * PAGE] ^= 1;
    }
    ok_equal(madvise(area, 8 * PAGE, MADV_UNMERGEABLE), 0, "four are written, four made private");
    long copies = counter_of("/proc/vmstat", "cow_ksm") - before;
    ok(on_merganser() ? copies == 8 : copies >= 8, "cow_ksm counts both (%ld)", copies);
    ok(counter_of("/proc/vmstat", "ksm_swpin_copy") >= 0, "ksm_swpin_copy stands there");
}

/* Sum of a field over all mappings. */
static long sum_of_smaps(const char *name)
{
    char line[256];
    struct lines *lines = lines_open("/proc/self/smaps");
    size_t length = strlen(name);
    long sum = 0;
    while (lines && lines_next(lines, line, sizeof line)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            sum += atol(line + length + 1);
        }
    }
    return sum;
}

static void rollup(void)
{
    byte *area = ksm_merged(10, 7004);
    ok_equal(number_of("/proc/self/smaps_rollup", "KSM"), sum_of_smaps("KSM"), "KSM of all");
    ok_equal(sum_of_smaps("KSM"), 40, "is that of the one area");
    fill_page(area, 1);
    ok_equal(number_of("/proc/self/smaps_rollup", "KSM"), 36, "less one that was written");
}

/* Linux 6.13 and later have more lines than these. */
static void figures_of_a_process(void)
{
    long items, zero, merging, profit;
    char path[64];
    struct stat info;
    const long item_bytes = on_merganser() ? 32 : 64;
    if (access("/proc/self/ksm_stat", R_OK) < 0) {
        skip("no ksm_stat in this kernel");
        return;
    }
    ksm_set("run", 1);
    byte *equal = mergeable(20, 7005);
    offered(map_unique(4, 7200), 4);
    ok(ksm_wait_pages(equal, 20) && ksm_scan(2), "twenty pages are merged, four are not");
    ksm_set("run", 0);
    const char *text = slurp("/proc/self/ksm_stat");
    int got = text ? sscanf(text,
                            "ksm_rmap_items %ld\nksm_zero_pages %ld\nksm_merging_pages %ld\n"
                            "ksm_process_profit %ld\n",
                            &items, &zero, &merging, &profit)
                   : 0;
    ok_equal(got, 4, "ksm_stat has its four lines in order");
    if (got != 4) {
        return;
    }
    ok_equal(items, 24, "a record for each page");
    ok_equal(merging, 20, "merged pages");
    ok_equal(profit, (merging + zero) * (long)PAGE - items * item_bytes, "the profit");
    ok_equal(ksm_merging(getpid()), 20, "ksm_merging_pages");
    ok(stat("/proc/self/ksm_stat", &info) == 0 && (info.st_mode & 07777) == 0400, "0400: ksm_stat");
    ok(stat("/proc/self/ksm_merging_pages", &info) == 0 && (info.st_mode & 07777) == 0400,
       "0400: ksm_merging_pages");
    snprintf(path, sizeof path, "/proc/self/task/%ld/ksm_merging_pages", syscall(SYS_gettid));
    ok(access(path, R_OK) < 0 || atol(slurp(path)) == 20, "the same below task/");
}

static void leave(void)
{
}

static void without_memory(void)
{
    pid_t pid = start(leave);
    bool ended = eventually(state_of(pid) == 'Z', 5000);
    const char *text = slurp(proc_path(pid, "ksm_merging_pages"));
    ok(ended && text && *text == '\0', "of a process that has ended the file is empty");
    if (access(proc_path(pid, "ksm_stat"), F_OK) == 0) {
        text = slurp(proc_path(pid, "ksm_stat"));
        ok(text && *text == '\0', "ksm_stat too");
    }
    finish(pid);
}

/* No frame is mapped more often than the knob says, but by fork. */
static void sharers_are_limited(void)
{
    enum { PAGES = 30, SHARING = 4 };
    long sharing = ksm_get("max_page_sharing");
    if (!ksm_alone() || !frames_are_shown()) {
        skip("others have merged pages, or frame numbers are hidden");
        return;
    }
    ksm_set("run", 2);
    ok_equal(ksm_set("max_page_sharing", SHARING), 0, "four sharers at most");
    byte *area = ksm_merged(PAGES, 7006);
    uint64_t most = 0, least = PAGES;
    for (size_t i = 0; i < PAGES; i++) {
        uint64_t maps = frame_maps(frame_of(area + i * PAGE));
        most = maps > most ? maps : most;
        least = maps < least ? maps : least;
    }
    ok(least >= 1 && most == SHARING, "no frame has more than four mappings (%d)", (int)most);
    pid_t pid = start(sleep_forever);
    uint64_t forked = 0;
    for (size_t i = 0; i < PAGES; i++) {
        uint64_t maps = frame_maps(frame_of(area + i * PAGE));
        forked = maps > forked ? maps : forked;
    }
    ok_equal(forked, 2 * SHARING, "fork goes beyond the limit");
    ksm_set("run", 1);
    ok(ksm_scan(2) && ksm_kb(area) == 4 * PAGES, "they stay merged");
    finish(pid);
    ok(!on_merganser() || ksm_get("stable_node_chains") == 1, "their frames are a chain");
    uint64_t kept = frame_of(area);
    for (size_t i = 1; i < PAGES; i++) {
        if (frame_of(area + i * PAGE) != kept) {
            madvise(area + i * PAGE, PAGE, MADV_DONTNEED);
        }
    }
    ok(!on_merganser() || ksm_get("stable_node_chains") == 0, "one frame alone is none");
    ok(!on_merganser() || ksm_get("stable_node_dups") == 0, "and no duplicate");
    ksm_set("run", 2);
    ok_equal(ksm_set("max_page_sharing", sharing), 0, "the limit is what it was");
}

/* Frame numbers are for root, merging one's own memory for everybody. */
static void as_another(void)
{
    byte *page = map_pages(1, RW);
    page[0] = 1;
    if (setuid(1000) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) {
        _exit(99);
    }
    uint64_t entry = entry_of(page);
    int seen = entry & PRESENT && !PFN(entry) && entry & EXCLUSIVE ? 0 : 1;
    seen |= open("/proc/kpageflags", O_RDONLY) < 0 && errno == EACCES ? 0 : 2;
    seen |= open("/proc/kpagecount", O_RDONLY) < 0 && errno == EACCES ? 0 : 4;
    seen |= madvise(page, PAGE, MADV_MERGEABLE) == 0 ? 0 : 8;
    seen |= ksm_merging(getpid()) >= 0 && ksm_merging(getppid()) < 0 ? 0 : 16;
    seen |= ksm_set("run", 1) < 0 && errno == EACCES && ksm_get("run") >= 0 ? 0 : 32;
    if (prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) >= 0) {
        seen |= prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0 ? 0 : 64;
    }
    _exit(seen);
}

static void for_everybody(void)
{
    ok_equal(tap_child(as_another), 0, "what an ordinary user sees and may do");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(merged_frames),  TAP_CASE(unmerged_frames),
        TAP_CASE(zero_frames),    TAP_CASE(copies_are_counted),
        TAP_CASE(rollup),         TAP_CASE(figures_of_a_process),
        TAP_CASE(without_memory), TAP_CASE(sharers_are_limited),
        TAP_CASE(for_everybody),
    };
    return KSM_MAIN(cases);
}
