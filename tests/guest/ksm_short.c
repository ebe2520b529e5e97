/*
 * When there is no memory for private copies of merged pages, does every way to ask for them fail
 * as it should, lose nothing, and work once there is memory again?
 *
 * vm: --smp 2 --mem 128
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include <sys/sysinfo.h>

#include "ksm.h"
#include "process.h"

#define SEED 8500

static size_t pages_free(void)
{
    struct sysinfo info;
    return sysinfo(&info) < 0 ? 0 : info.freeram * info.mem_unit / PAGE;
}

static byte *equal, *filler;
static size_t equal_pages, filler_pages;

/* Half of the memory is merged into one frame, then most of what is free is taken. */
static bool begin(void)
{
    spill("/proc/self/oom_score_adj", "-1000");
    ksm_set("run", 1);
    equal_pages = pages_free() / 2;
    equal = map_island(equal_pages, RW);
    madvise(equal, equal_pages * PAGE, MADV_MERGEABLE);
    for (size_t i = 0; i < equal_pages; i++) {
        fill_page(equal + i * PAGE, SEED);
    }
    bool merged = ksm_wait_pages(equal, (long)equal_pages);
    ksm_set("run", 0);
    filler_pages = pages_free() - equal_pages / 2;
    filler = mmap(NULL, filler_pages * PAGE, RW, ANON | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; i < filler_pages; i++) {
        filler[i * PAGE] = 1;
    }
    ok(merged, "%zu pages are merged, for half of which there is memory", equal_pages);
    return merged;
}

/* So that files can be opened and looked at. */
static void some_memory(void)
{
    filler_pages -= 2048;
    munmap(filler + filler_pages * PAGE, 2048 * PAGE);
}

/* Everything is there, and with memory the same request succeeds. */
static void memory_again(void)
{
    ok(all_hold(equal, equal_pages, SEED), "all pages hold what they held");
    munmap(filler, filler_pages * PAGE);
}

static void end(void)
{
    ok_equal(ksm_kb(equal), 0, "all are private");
    ok(all_hold(equal, equal_pages, SEED), "and hold what they held");
    munmap(equal, equal_pages * PAGE);
    ksm_set("run", 1);
}

static void by_run(void)
{
    if (begin()) {
        ksm_set("run", 1);
        ok_errno(ksm_set("run", 2), ENOMEM, "run = 2");
        ok_equal(ksm_get("run"), 0, "and the scanner stands");
        some_memory();
        ok(ksm_kb(equal) > 0 && smaps_flag(equal, "mg"), "some pages are still merged");
        memory_again();
        ok_equal(ksm_set("run", 2), 0, "run = 2 with memory");
        end();
    }
}

static void by_madvise(void)
{
    if (begin()) {
        ok_errno(madvise(equal, equal_pages * PAGE, MADV_UNMERGEABLE), EAGAIN, "MADV_UNMERGEABLE");
        some_memory();
        ok(smaps_flag(equal, "mg"), "the mark stays");
        memory_again();
        ok_equal(madvise(equal, equal_pages * PAGE, MADV_UNMERGEABLE), 0, "with memory");
        ok(!smaps_flag(equal, "mg"), "the mark is gone");
        end();
    }
}

static void by_prctl(void)
{
    prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    byte *before = map_island(1, RW);
    if (begin()) {
        ok_errno(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0), ENOMEM, "PR_SET_MEMORY_MERGE");
        ok_equal(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1, "it is still on");
        some_memory();
        ok(smaps_flag(before, "mg") && smaps_flag(equal, "mg"), "all is marked again");
        memory_again();
        ok_equal(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0), 0, "with memory");
        ok(!smaps_flag(before, "mg") && !smaps_flag(equal, "mg"), "nothing is marked");
        end();
    }
}

static void by_mremap(void)
{
    size_t size;
    if (begin()) {
        byte *place = mmap(NULL, equal_pages * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
        size = equal_pages * PAGE;
        ok_errno(mremap(equal, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place), ENOMEM, "mremap");
        some_memory();
        ok(smaps_flag(equal, "mg"), "the area stays where it is");
        memory_again();
        ok(mremap(equal, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place, "with memory");
        equal = place;
        end();
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(by_run),
        TAP_CASE(by_madvise),
        TAP_CASE(by_prctl),
        TAP_CASE(by_mremap),
    };
    return KSM_MAIN(cases);
}
