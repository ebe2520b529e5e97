/*
 * Do equal pages merge, within a process and between processes, and does nobody notice except by
 * the counters: not on a write, a fork, an unmapping, a move or an end of merging?
 */
#define _GNU_SOURCE
#include <sys/resource.h>

#include "ksm.h"

static void within_a_process(void)
{
    byte *area = mergeable(40, 1);
    ok(ksm_wait_pages(area, 40), "forty equal pages are merged");
    ok(all_hold(area, 40, 1), "and hold what they held");
    ok(ksm_get("pages_shared") >= 1 && ksm_get("pages_sharing") >= 39,
       "pages_shared and pages_sharing");
    ok(ksm_merging(getpid()) == 40 || ksm_merging(getpid()) < 0,
       "ksm_merging_pages of the process");
}

static void differing_pages_do_not(void)
{
    byte *area = map_unique(40, 5000);
    for (size_t i = 20; i < 40; i++) {
        memcpy(area + i * PAGE, area, PAGE); /* all but the last byte alike */
        area[i * PAGE + PAGE - 1] = (byte)(area[PAGE - 1] + i);
    }
    madvise(area, 40 * PAGE, MADV_MERGEABLE);
    ok(ksm_scan(4), "four passes");
    ok_equal(ksm_kb(area), 0, "pages that differ in a byte do not merge");
    ok(ksm_get("pages_unshared") >= 40, "they count as unshared");
}

static void between_processes(void)
{
    int hold[2], ready[2];
    char byte_read;
    if (pipe(hold) < 0 || pipe(ready) < 0) {
        bail("pipe");
    }
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(hold[1]);
            byte *area = mergeable(20, 2);
            bool good = ksm_wait_pages(area, 20);
            good &= write(ready[1], "x", 1) == 1 && read(hold[0], &byte_read, 1) == 0;
            good &= all_hold(area, 20, 2);
            fill_page(area + (size_t)i * PAGE, 100 + (uint64_t)i);
            _exit(!(good && page_holds(area + (size_t)i * PAGE, 100 + (uint64_t)i)));
        }
    }
    bool merged = true;
    for (int i = 0; i < 4; i++) {
        merged &= read(ready[0], &byte_read, 1) == 1;
    }
    long shared = ksm_get("pages_shared"), sharing = ksm_get("pages_sharing");
    ok(merged, "four processes see their pages merged");
    ok(sharing >= 79 || shared > 1, "80 pages have become one (shared %ld, sharing %ld)", shared,
       sharing);
    close(hold[1]);
    for (int i = 0; i < 4; i++) {
        ok_equal(reap(pids[i]), 0, "process %d has its content and writes", i);
    }
}

static void break_on_write(void)
{
    byte *area = mergeable(16, 3);
    ok(ksm_wait_pages(area, 16), "merged");
    for (size_t i = 0; i < 16; i += 2) {
        area[i * PAGE + 100 * i] ^= 0xff;
    }
    bool good = true;
    for (size_t i = 0; i < 16; i++) {
        if (i % 2 == 0) {
            good &= !page_holds(area + i * PAGE, 3);
            area[i * PAGE + 100 * i] ^= 0xff;
        }
        good &= page_holds(area + i * PAGE, 3);
    }
    ok(good, "each write changes one page by one byte");
    ok(ksm_wait_pages(area, 16), "equal again, they merge again");
    ok_equal(touch_read(area), 0, "reading does not part them");
    ok_equal(ksm_kb(area), 64, "all are still merged");
    fill_page(area, 31);
    ok_equal(ksm_kb(area), 60, "a write parts one at once");
}

static void last_sharer(void)
{
    byte *area = mergeable(2, 4);
    ok(ksm_wait_pages(area, 2), "two pages merged");
    fill_page(area, 41);
    ok(page_holds(area + PAGE, 4), "one leaves");
    fill_page(area + PAGE, 42);
    ok(page_holds(area, 41) && page_holds(area + PAGE, 42), "the last one writes, too");
    ok(ksm_wait_pages(area, 0), "nothing is merged any more");
}

static void unmerge_by_madvise(void)
{
    byte *area = mergeable(12, 5);
    ok(ksm_wait_pages(area, 12), "merged");
    ok_equal(madvise(area, 6 * PAGE, MADV_UNMERGEABLE), 0, "MADV_UNMERGEABLE for half of it");
    ok_equal(ksm_kb(area), 0, "that half is parted at once");
    ok_equal(ksm_kb(area + 6 * PAGE), 24, "the other is not");
    ok(all_hold(area, 12, 5), "the content is what it was");
    mprotect(area + 6 * PAGE, 3 * PAGE, PROT_READ);
    mprotect(area + 9 * PAGE, 3 * PAGE, PROT_NONE);
    ok_equal(madvise(area + 6 * PAGE, 6 * PAGE, MADV_UNMERGEABLE), 0,
             "for pages that can't be written, too");
    ok_equal(ksm_kb(area + 6 * PAGE), 0, "read-only pages are parted");
    ok_equal(ksm_kb(area + 9 * PAGE), 0, "and those that can't be read");
    mprotect(area, 12 * PAGE, RW);
    ok(all_hold(area, 12, 5), "the content is still what it was");
    mergeable(1, 50); /* without anything to scan there are no passes */
    ok_equal(ksm_scan(2) ? ksm_kb(area) : -1, 0, "it does not merge again");
}

static void unmerge_by_run(void)
{
    byte *area = mergeable(10, 6);
    ok(ksm_wait_pages(area, 10), "merged");
    ok_equal(ksm_set("run", 0), 0, "run = 0");
    ok_equal(ksm_kb(area), 40, "keeps what is merged");
    ok_equal(ksm_set("run", 2), 0, "run = 2");
    ok_equal(ksm_get("run"), 2, "reads back");
    ok_equal(ksm_kb(area), 0, "parts all pages");
    ok(all_hold(area, 10, 6), "with their content");
    ok(smaps_flag(area, "mg"), "and leaves the mark");
    ok_equal(ksm_get("pages_shared"), 0, "pages_shared is 0");
    ok_equal(ksm_get("pages_sharing"), 0, "pages_sharing is 0");
    ok_equal(ksm_set("run", 1), 0, "run = 1");
    ok(ksm_wait_pages(area, 10), "merges them again");
}

static void knobs(void)
{
    ok_errno(ksm_set("run", 3), EINVAL, "run = 3");
    ok_errno(ksm_set("run", -1), EINVAL, "run = -1");
    ok_errno(ksm_set_text("run", "x"), EINVAL, "run = x");
    ok_errno(ksm_set_text("pages_to_scan", "-5"), EINVAL, "pages_to_scan = -5");
    ok_errno(ksm_set_text("sleep_millisecs", "abc"), EINVAL, "sleep_millisecs = abc");
    ok_errno(ksm_set_text("pages_shared", "1"), EACCES, "pages_shared is read-only");
    ok_equal(ksm_set_text("sleep_millisecs", "7\n"), 0, "a newline may follow");
    ok_equal(ksm_get("sleep_millisecs"), 7, "and the value is taken");
    ok_equal(ksm_set("pages_to_scan", 123), 0, "pages_to_scan = 123");
    ok_equal(ksm_get("pages_to_scan"), 123, "reads back");
    long before = ksm_get("pages_scanned");
    byte *area = mergeable(4, 60);
    ok(ksm_scan(2) && ksm_get("pages_scanned") > before, "pages_scanned counts");
    ok(page_holds(area, 60), "the pages are there");
}

static void forked(void)
{
    byte *area = mergeable(12, 7);
    ok(ksm_wait_pages(area, 12), "merged");
    pid_t pid = fork();
    if (pid == 0) {
        bool good = all_hold(area, 12, 7) && ksm_kb(area) == 48 && smaps_flag(area, "mg");
        fill_page(area, 71);
        good &= page_holds(area, 71) && all_hold(area + PAGE, 11, 7) && ksm_kb(area) == 44;
        munmap(area + 6 * PAGE, 6 * PAGE);
        good &= all_hold(area + PAGE, 5, 7);
        _exit(!good);
    }
    fill_page(area + PAGE, 72);
    ok_equal(reap(pid), 0, "a child has the merged pages, writes one, unmaps some");
    ok(page_holds(area, 7) && page_holds(area + PAGE, 72) && all_hold(area + 2 * PAGE, 10, 7),
       "the parent has its own");
    ok_equal(ksm_kb(area), 44, "eleven of them merged");
}

static void protection_changes(void)
{
    byte *area = mergeable(8, 8);
    ok(ksm_wait_pages(area, 8), "merged");
    ok_equal(mprotect(area, 8 * PAGE, PROT_READ), 0, "made read-only");
    ok_equal(ksm_kb(area), 32, "they stay merged");
    ok_equal(touch_write(area), SIGSEGV, "and are not writable");
    ok_equal(mprotect(area, 8 * PAGE, RW), 0, "made writable");
    ok_equal(ksm_kb(area), 32, "they stay merged");
    fill_page(area, 81);
    ok(page_holds(area, 81) && all_hold(area + PAGE, 7, 8), "a write changes one page");
    mprotect(area + 4 * PAGE, 4 * PAGE, PROT_NONE);
    ok_equal(touch_read(area + 4 * PAGE), SIGSEGV, "not readable");
    mprotect(area + 4 * PAGE, 4 * PAGE, PROT_READ);
    ok(all_hold(area + PAGE, 7, 8), "readable again");
}

static void unmapped(void)
{
    byte *area = mergeable(10, 9);
    ok(ksm_wait_pages(area, 10), "merged");
    munmap(area, 4 * PAGE);
    ok(all_hold(area + 4 * PAGE, 6, 9), "unmapping some leaves the others");
    ok_equal(madvise(area + 4 * PAGE, 5 * PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
    ok(page_is_zero(area + 4 * PAGE) && page_holds(area + 9 * PAGE, 9),
       "drops them, and not the last");
    mmap(area + 9 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    ok(page_is_zero(area + 9 * PAGE), "a new mapping in its place is zero");
    byte *fresh = mergeable(4, 9);
    ok(ksm_wait_pages(fresh, 4) && all_hold(fresh, 4, 9), "the same content merges anew");
}

static void moved(void)
{
    byte *area = mergeable(8, 10);
    ok(ksm_wait_pages(area, 8), "merged");
    byte *place = map_island(8, PROT_NONE);
    byte *there = mremap(area, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    ok(there == place && all_hold(there, 8, 10), "moved with their content");
    ok(smaps_flag(there, "mg"), "still mergeable");
    ok(ksm_wait_pages(there, 8), "they merge again at the new place");
    fill_page(there + 3 * PAGE, 11);
    ok(page_holds(there + 3 * PAGE, 11) && page_holds(there + 4 * PAGE, 10), "and part on a write");
}

static void locked(void)
{
    byte *area = mergeable(6, 12);
    ok_equal(mlock(area, 6 * PAGE), 0, "locked memory");
    ok(ksm_wait_pages(area, 6) && all_hold(area, 6, 12), "merges");
    ok_equal(smaps_number(area, "Rss"), 24, "and stays in memory");
    fill_page(area, 13);
    ok(page_holds(area, 13) && all_hold(area + PAGE, 5, 12), "a write parts it");
}

static void kernel_writes_into_merged(void)
{
    byte *area = mergeable(4, 14);
    int data[2];
    ok(ksm_wait_pages(area, 4), "merged");
    if (pipe(data) < 0 || write(data[1], "hello", 5) != 5) {
        bail("pipe");
    }
    ok_equal(read(data[0], area + 50, 5), 5, "read into a merged page");
    ok(memcmp(area + 50, "hello", 5) == 0 && all_hold(area + PAGE, 3, 14),
       "changes that page alone");
}

static void counters_come_back(void)
{
    byte *area = mergeable(30, 15);
    ok(ksm_wait_pages(area, 30), "merged");
    long sharing = ksm_get("pages_sharing");
    munmap(area, 30 * PAGE);
    bool back = false;
    for (int i = 0; i < 20 && !back; i++) {
        byte *other = mergeable(1, 1000 + (uint64_t)i); /* something to scan */
        ksm_scan(2);
        back = ksm_get("pages_sharing") <= sharing - 29;
        munmap(other, PAGE);
    }
    ok(back, "pages_sharing goes down when merged pages are unmapped");
}

static void zero_pages_are_ordinary(void)
{
    byte *area = offered(map_zeros(8), 8);
    ok(ksm_wait_pages(area, 8), "pages of zeroes merge like others");
    ok(page_is_zero(area + 7 * PAGE), "and are zero");
    area[0] = 1;
    ok(area[0] == 1 && area[PAGE] == 0, "a write parts one");
}

static void more_than_the_limit(void)
{
    enum { PAGES = 700 };
    byte *area = mergeable(PAGES, 16);
    ok(ksm_wait_pages(area, PAGES), "700 equal pages merge, beyond max_page_sharing");
    for (size_t i = 0; i < PAGES; i += 10) {
        fill_page(area + i * PAGE, 17 + i);
    }
    bool good = true;
    for (size_t i = 0; i < PAGES; i++) {
        good &= page_holds(area + i * PAGE, i % 10 ? 16 : 17 + i);
    }
    ok(good, "a tenth is rewritten, the rest is what it was");
}

static void shared_memory_does_not_merge(void)
{
    byte *area = mmap(NULL, 8 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < 8; i++) {
        fill_page(area + i * PAGE, 18);
    }
    ok_equal(madvise(area, 8 * PAGE, MADV_MERGEABLE), 0, "no error");
    byte *other = mergeable(2, 18);
    ok(ksm_wait_pages(other, 2) && ksm_scan(2), "private pages of the same content merge");
    ok_equal(ksm_kb(area), 0, "shared ones do not");
}

static void exits_while_merged(void)
{
    byte *area = mergeable(20, 19);
    for (int round = 0; round < 10; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            byte *own = mergeable(20, 19);
            pause_ms(round * 7);
            _exit(!all_hold(own, 20, 19));
        }
        int status = reap(pid);
        if (status != 0) {
            ok(false, "a process with merged pages ended with %d", status);
        }
    }
    ok(ksm_wait_pages(area, 20) && all_hold(area, 20, 19),
       "ten processes come and go while merging");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(within_a_process),
        TAP_CASE(differing_pages_do_not),
        TAP_CASE(between_processes),
        TAP_CASE(break_on_write),
        TAP_CASE(last_sharer),
        TAP_CASE(unmerge_by_madvise),
        TAP_CASE(unmerge_by_run),
        TAP_CASE(knobs),
        TAP_CASE(forked),
        TAP_CASE(protection_changes),
        TAP_CASE(unmapped),
        TAP_CASE(moved),
        TAP_CASE(locked),
        TAP_CASE(kernel_writes_into_merged),
        TAP_CASE(counters_come_back),
        TAP_CASE(zero_pages_are_ordinary),
        TAP_CASE(more_than_the_limit),
        TAP_CASE(shared_memory_does_not_merge),
        TAP_CASE(exits_while_merged),
    };
    return KSM_MAIN(cases);
}
