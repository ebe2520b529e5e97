/*
 * Does the scanner run as it is told: started, stopped, undone, paused, advised, and with smart
 * scan leaving out just the visits it should?
 *
 * Where passes are counted one by one, the scanner sleeps for long after each, and is woken by
 * another sleep_millisecs for the next.
 *
 * timeout: 240
 */
#define _GNU_SOURCE
#include "ksm.h"
#include "process.h"

#define LONG_SLEEP 100000

/* Wakes the scanner for one batch, which is a pass, and waits for its end. */
static bool one_pass(void)
{
    static long sleep = LONG_SLEEP;
    long goal = ksm_get("full_scans") + 1;
    sleep = sleep == LONG_SLEEP ? LONG_SLEEP + 1 : LONG_SLEEP;
    ksm_set("sleep_millisecs", sleep);
    bool done = eventually(ksm_get("full_scans") >= goal, 10000);
    pause_ms(20); /* until it sleeps */
    return done;
}

/* The scanner makes passes one by one from now on. */
static void step_by_step(void)
{
    ksm_set("run", 1);
    ksm_set("pages_to_scan", 1000000);
    ksm_set("sleep_millisecs", LONG_SLEEP);
    for (long scans = -1; scans != ksm_get("full_scans"); pause_ms(500)) { /* it may be in a pass */
        scans = ksm_get("full_scans");
    }
}

static void as_before(void)
{
    ksm_set("sleep_millisecs", 2);
    ksm_set("pages_to_scan", 4000);
}

static void woken(void)
{
    byte *area = mergeable(4, 8001);
    ok(ksm_wait_pages(area, 4), "the scanner runs");
    step_by_step();
    long before = ksm_get("full_scans");
    pause_ms(300);
    ok_equal(ksm_get("full_scans"), before, "it sleeps for long");
    ok(one_pass(), "until sleep_millisecs changes");
    long passes = ksm_get("full_scans") - before;
    ok(one_pass(), "and again");
    ok(passes == 1 && ksm_get("full_scans") == before + 2, "one batch each time");
    pid_t pid = start(sleep_forever);
    pause_ms(300);
    ok_equal(ksm_get("full_scans"), before + 2, "a fork does not wake it");
    kill(pid, SIGKILL);
    reap(pid);
    as_before();
    ok(ksm_scan(2), "a short sleep ends a long one");
}

static void unmerged(void)
{
    byte *area = mergeable(20, 8002);
    ok(ksm_wait_pages(area, 20) && ksm_scan(1), "merged");
    ok_equal(ksm_set("run", 2), 0, "run = 2");
    ok_equal(ksm_get("full_scans"), 0, "full_scans begins anew");
    ok_equal(ksm_get("pages_unshared"), 0, "nothing is remembered");
    ok_equal(ksm_get("pages_volatile"), 0, "of any page");
    ok_equal(ksm_set("run", 2), 0, "run = 2 again is nothing");
    ok_equal(ksm_get("run"), 2, "and reads back");
    long scanned = ksm_get("pages_scanned");
    byte *more = mergeable(20, 8002);
    pause_ms(200);
    ok(ksm_get("pages_scanned") == scanned && ksm_get("full_scans") == 0, "nothing is scanned");
    ok_equal(ksm_kb(area) + ksm_kb(more), 0, "nor merged");
    ok_equal(ksm_set("run", 0), 0, "run = 0");
    ok_equal(ksm_set("run", 1), 0, "run = 1");
    ok(ksm_wait_pages(area, 20) && ksm_wait_pages(more, 20), "everything merges again");
}

static void no_pages(void)
{
    byte *area = mergeable(4, 8005);
    ok(ksm_wait_pages(area, 4), "the scanner runs");
    ok_equal(ksm_set("pages_to_scan", 0), 0, "no pages to scan");
    pause_ms(100); /* a batch may be under way */
    long scans = ksm_get("full_scans"), scanned = ksm_get("pages_scanned");
    byte *more = mergeable(4, 8005);
    pause_ms(300);
    ok(ksm_get("full_scans") == scans && ksm_get("pages_scanned") == scanned, "none are scanned");
    ok_equal(ksm_kb(more), 0, "nor merged");
    as_before();
    ok(ksm_wait_pages(more, 4), "until there are some");
}

/* --- many processes --- */

enum { PROCESSES = 12, PAGES = 48 };

static struct {
    volatile int merged, unmerged, wrong, go;
} * shared;

/* A third of the pages are equal everywhere, a third in each pair of processes, a third nowhere. */
static uint64_t seed_of(int process, size_t page)
{
    switch (page % 3) {
    case 0: return 8100;
    case 1: return 8200 + (uint64_t)process / 2;
    default: return 9000 + (uint64_t)process * PAGES + page;
    }
}

static bool all_right(const byte *area, int process)
{
    for (size_t page = 0; page < PAGES; page++) {
        if (!page_holds(area + page * PAGE, seed_of(process, page))) {
            return false;
        }
    }
    return true;
}

static void report(volatile int *count, bool good, bool right)
{
    __atomic_add_fetch(good ? count : &shared->wrong, 1, __ATOMIC_SEQ_CST);
    if (!right) {
        __atomic_add_fetch(&shared->wrong, 1, __ATOMIC_SEQ_CST);
    }
}

static void one_of_many(int process)
{
    byte *area = map_island(PAGES, RW);
    for (size_t page = 0; page < PAGES; page++) {
        fill_page(area + page * PAGE, seed_of(process, page));
    }
    madvise(area, PAGES * PAGE, MADV_MERGEABLE);
    report(&shared->merged, ksm_wait_pages(area, PAGES / 3 * 2), true);
    while (shared->go < 1) {
        pause_ms(2);
    }
    report(&shared->unmerged, ksm_kb(area) == 0 && smaps_flag(area, "mg"),
           all_right(area, process));
    while (shared->go < 2) { /* write while it is scanned again */
        size_t page = (size_t)random() % PAGES;
        area[page * PAGE + 77] ^= 0x55;
        pause_ms(1);
        area[page * PAGE + 77] ^= 0x55;
    }
    _exit(!all_right(area, process));
}

static void many_processes(void)
{
    pid_t pids[PROCESSES];
    shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ksm_set("run", 1);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            one_of_many(i);
        }
    }
    ok(eventually(shared->merged == PROCESSES, 30000), "twelve processes have merged pages");
    ok_equal(ksm_set("run", 2), 0, "run = 2");
    ok_equal(ksm_get("pages_shared") + ksm_get("pages_sharing"), 0, "no page is merged");
    shared->go = 1;
    ok(eventually(shared->unmerged == PROCESSES, 20000), "in any of them");
    for (int round = 0; round < 5; round++) {
        ksm_set("run", 1);
        pause_ms(150);
        if (ksm_set("run", 2) != 0) {
            ok(false, "run = 2 in round %d", round);
        }
    }
    shared->go = 2;
    int good = 0;
    for (int i = 0; i < PROCESSES; i++) {
        good += reap(pids[i]) == 0;
    }
    ok_equal(good, PROCESSES, "all write meanwhile, and lose nothing");
    ok_equal(shared->wrong, 0, "nor is anything wrong at any time");
    ksm_set("run", 1);
}

/* --- smart scan --- */

static void skipped_visits(void)
{
    static const int visited[] = {1, 2, 3, 4, 6, 9, 14, 23, 32};
    if (ksm_get("pages_skipped") < 0 || !ksm_alone()) {
        skip("no smart_scan, or others have something to merge");
        return;
    }
    byte *equal = mergeable(2, 8003), *area = map_island(1, RW);
    ok(ksm_wait_pages(equal, 2), "two merged pages");
    step_by_step();
    ksm_set("smart_scan", 1);
    madvise(area, PAGE, MADV_MERGEABLE);
    int next = 0, right = 0;
    for (int visit = 1; visit <= 32; visit++) {
        long before = ksm_get("pages_skipped");
        fill_page(area, 8300 + (uint64_t)visit);
        if (!one_pass()) {
            break;
        }
        long skipped = ksm_get("pages_skipped") - before;
        bool wanted = visited[next] == visit;
        right += skipped == !wanted;
        if (skipped != !wanted) {
            note("visit %d: %ld pages are left out", visit, skipped);
        }
        next += wanted;
    }
    ok_equal(right, 32,
             "visits 1, 2, 3, 4, 6, 9, 14, 23 and 32 are made; merged pages are not left "
             "out");
    ksm_set("smart_scan", 0);
    as_before();
}

/* --- the advisor --- */

/* Passes shorter than a second with next to no work: ten times the number with each, to the
 * most. */
static void advised(void)
{
    if (ksm_set_text("advisor_mode", "none") < 0 || !ksm_alone()) {
        skip("no advisor, or others have something to merge");
        return;
    }
    byte *area = mergeable(8, 8004);
    ok(ksm_wait_pages(area, 8), "merged");
    step_by_step();
    ok(one_pass(), "a pass");
    ksm_set("advisor_min_pages_to_scan", 20);
    ksm_set("advisor_max_pages_to_scan", 12345);
    ok_equal(ksm_set_text("advisor_mode", "scan-time"), 0, "scan-time");
    ok_equal(ksm_get("pages_to_scan"), 20, "begins with the least");
    ok(one_pass(), "a pass");
    if (on_merganser()) { /* Linux takes all CPU time since it was booted for the first */
        ok_equal(ksm_get("pages_to_scan"), 200, "ten times as many");
    }
    bool tenfold = true;
    for (int i = 0; i < 4; i++) {
        long before = ksm_get("pages_to_scan");
        tenfold &= one_pass();
        long wanted = before * 10 < 12345 ? before * 10 : 12345;
        if (ksm_get("pages_to_scan") != wanted) {
            note("%ld after %ld", ksm_get("pages_to_scan"), before);
            tenfold = false;
        }
    }
    ok(tenfold && ksm_get("pages_to_scan") == 12345, "with each pass, up to the most");
    ok_equal(ksm_set_text("advisor_mode", "scan-time"), 0, "scan-time again");
    ok_equal(ksm_get("pages_to_scan"), 12345, "changes nothing");
    ksm_set("advisor_max_pages_to_scan", 9);
    ok(one_pass() && ksm_get("pages_to_scan") == 9, "the least is where it begins, no more");
    ksm_set("advisor_min_pages_to_scan", 500);
    ksm_set("advisor_max_pages_to_scan", 30000);
    ksm_set_text("advisor_mode", "none");
    ok_equal(ksm_get("pages_to_scan"), 100, "the default without it");
    as_before();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(woken),          TAP_CASE(unmerged),
        TAP_CASE(no_pages),       TAP_SLOW_CASE(many_processes, 100),
        TAP_CASE(skipped_visits), TAP_CASE(advised),
    };
    return KSM_MAIN(cases);
}
