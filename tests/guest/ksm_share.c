/*
 * Does the scanner keep to its share of a CPU? A program that is never at rest has the only CPU
 * together with ksmd, which an advisor guides, and writes all the time to the memory that is
 * scanned. What it loses must not be more than advisor_max_cpu.
 *
 * The machine counts instructions instead of time, so a busy host does not matter.
 *
 * vm: --smp 1 --mem 256 --icount
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include "ksm.h"

#define PAGES (32ul << 20 >> 12)
#define SECONDS 1.0
#define TOLERATED 2.0 /* percent: the servers, and a batch more or less at the ends */

static double seconds(clockid_t clock)
{
    return (double)now_ns(clock) / 1e9;
}

/* Works, and returns the percentage of the time for which it had no CPU. */
static double lost_while_working(byte *area, double duration)
{
    double start = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID), now = start;
    for (size_t page = 0; now < start + duration; now = seconds(CLOCK_MONOTONIC)) {
        for (int i = 0; i < 1000; i++) {
            area[page * PAGE + 8]++;
            page = (page + 1) % PAGES;
        }
    }
    used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
    return 100 * (1 - used / (now - start));
}

static void shares(void)
{
    static const int percents[] = {5, 20, 50};
    byte *area = offered(map_unique(PAGES, 7000), PAGES);
    ksm_set("sleep_millisecs", 0);
    ksm_set("advisor_target_scan_time", 1);
    ksm_set("advisor_max_pages_to_scan", 500); /* short batches, so that none more matters */
    ok_equal(ksm_set_text("advisor_mode", "scan-time"), 0, "the advisor");
    for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++) {
        ksm_set("advisor_max_cpu", percents[i]);
        lost_while_working(area, SECONDS / 4); /* now a pass costs what it will cost */
        long passes = ksm_get("full_scans");
        double lost = lost_while_working(area, SECONDS);
        passes = ksm_get("full_scans") - passes;
        ok(lost <= percents[i] + TOLERATED, "of %d %%, %.1f %% are lost", percents[i], lost);
        ok(passes > 0, "for %ld passes", passes);
    }
    ksm_set("advisor_max_cpu", 70);
    ksm_set("advisor_target_scan_time", 200);
    ksm_set("advisor_max_pages_to_scan", 30000);
    ksm_set_text("advisor_mode", "none");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_SLOW_CASE(shares, 100)};
    return KSM_MAIN(cases);
}
