/*
 * Does anybody wait for the scanner? While it reads a gigabyte for the first time, processes with
 * mergeable memory fork, write, unmap and exit.
 *
 * vm: --smp 4 --mem 2048
 * timeout: 240
 */
#define _GNU_SOURCE
#include <sys/sysinfo.h>

#include "ksm.h"

#define BIG_PAGES (1ul << 30 >> 12)
#define SMALL_PAGES 64ul

static double seconds(void)
{
    return (double)now_ns(CLOCK_MONOTONIC) / 1e9;
}

/* A child that registers memory, uses it and leaves. */
static bool come_and_go(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        byte *area = map_island(SMALL_PAGES, RW);
        madvise(area, SMALL_PAGES * PAGE, MADV_MERGEABLE);
        for (size_t i = 0; i < SMALL_PAGES; i++) {
            area[i * PAGE] = 1;
        }
        munmap(area, SMALL_PAGES / 2 * PAGE);
        _exit(0);
    }
    return reap(pid) == 0;
}

static void while_scanning(void)
{
    struct sysinfo info;
    sysinfo(&info);
    if (info.freeram * info.mem_unit < (BIG_PAGES + 65536) * PAGE) {
        skip("too little memory");
        return;
    }
    ksm_set("run", 0);
    ksm_set("pages_to_scan", 1000000);
    ksm_set("sleep_millisecs", 0);
    byte *area = map_island(BIG_PAGES, RW);
    madvise(area, BIG_PAGES * PAGE, MADV_DONTFORK);
    madvise(area, BIG_PAGES * PAGE, MADV_MERGEABLE);
    for (size_t i = 0; i < BIG_PAGES; i++) {
        ((uint64_t *)(area + i * PAGE))[i % 512] = i + 1;
    }
    long scans = ksm_get("full_scans"), before = ksm_get("pages_scanned");
    double start = seconds(), longest = 0, unmapping = 0;
    int children = 0;
    ksm_set("run", 1);
    while (ksm_get("full_scans") == scans && ksm_get("pages_scanned") < before + (long)BIG_PAGES) {
        double then = seconds();
        if (!come_and_go()) {
            break;
        }
        double took = seconds() - then;
        longest = took > longest ? took : longest;
        then = seconds();
        munmap(area + (BIG_PAGES - 1 - (size_t)children) * PAGE, PAGE); /* of the scanned space */
        took = seconds() - then;
        unmapping = took > unmapping ? took : unmapping;
        children++;
    }
    double pass = seconds() - start;
    note("pass %.3f s, %d processes, longest %.4f s, longest munmap %.4f s", pass, children,
         longest, unmapping);
    ok(children >= 10, "%d processes came and went during a pass", children);
    ok(longest < pass / 2, "none waited for it");
    ok(unmapping < pass / 2, "nor did munmap in the scanned space");
    double then = seconds();
    ok_equal(ksm_set("run", 0), 0, "stopping");
    if (on_merganser()) { /* on Linux it takes the rest of pages_to_scan */
        ok(seconds() - then < pass / 2, "takes no pass either");
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_SLOW_CASE(while_scanning, 200)};
    return KSM_MAIN(cases);
}
