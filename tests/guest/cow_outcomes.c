/*
 * Does a write to a shared page end as each policy says, and is each outcome counted by its cause?
 *
 * linux: no
 */
#define _GNU_SOURCE
#include "ksm.h"
#include "proc.h"
#include "tunable.h"

#define PAGES 256
#define SEED 900

static long events(const char *name)
{
    return counter_of("/proc/vmstat", name);
}

static void set_policy(const char *policy)
{
    ok_equal(tunable_set("cow.policy", policy), 0, "policy %s", policy);
}

/* Writes to each page, and checks that nothing else in it changed. */
static bool write_all(byte *area)
{
    bool right = true;
    for (size_t i = 0; i < PAGES; i++) {
        volatile byte *last = area + (i + 1) * PAGE - 1;
        byte before = *last;
        *last ^= 1;
        *last ^= 1;
        right &= *last == before && page_holds(area + i * PAGE, SEED + i);
    }
    return right;
}

/* The writes are to be counted under the name; the machine's other programs may add some. */
static void ok_counted(byte *area, const char *name)
{
    long before = events(name);
    ok(write_all(area), "the pages keep what they hold");
    long counted = events(name) - before;
    ok(counted >= PAGES && counted < PAGES + PAGES / 2, "%ld of %d writes are %s", counted, PAGES,
       name);
}

static void forked(const char *policy, const char *outcome_shared, const char *outcome_left)
{
    byte *area = map_unique(PAGES, SEED);
    set_policy(policy);
    pid_t child = start(sleep_forever);
    ok_counted(area, outcome_shared);
    finish(child);

    child = start(sleep_forever);
    finish(child);
    ok_counted(area, outcome_left);
    munmap(area, PAGES * PAGE);
    set_policy("exact");
}

/* Pairs of pages that are merged; the second of each pair goes before the first is written. */
static void merged(const char *policy, const char *outcome_shared, const char *outcome_left)
{
    byte *area = offered(map_unique(PAGES, SEED), PAGES);
    byte *other = offered(map_unique(PAGES, SEED), PAGES);
    set_policy(policy);
    ok(ksm_wait_pages(area, PAGES) && ksm_wait_pages(other, PAGES), "all pages are merged");
    ksm_set("run", 0);
    ok_counted(area, outcome_shared);
    ok_counted(other, outcome_left);
    ksm_set("run", 1);
    munmap(area, PAGES * PAGE);
    munmap(other, PAGES * PAGE);
    set_policy("exact");
}

static void exact(void)
{
    forked("exact", "cow_copy_shared", "cow_reuse");
    merged("exact", "cow_ksm_shared", "cow_ksm_reuse");
}

static void by_count(void)
{
    forked("count", "cow_copy_shared", "cow_reuse");
    merged("count", "cow_ksm_shared", "cow_ksm_policy");
}

static void by_mapcount(void)
{
    forked("mapcount", "cow_copy_shared", "cow_reuse");
    merged("mapcount", "cow_ksm_shared", "cow_ksm_policy");
}

static void copy(void)
{
    forked("copy", "cow_copy_shared", "cow_copy_policy");
    merged("copy", "cow_ksm_shared", "cow_ksm_policy");
}

static void of_a_file(void)
{
    int fd = open("/tmp/cow-outcomes", O_RDWR | O_CREAT | O_TRUNC, 0600);
    byte *content = map_unique(PAGES, SEED);
    if (write(fd, content, PAGES * PAGE) != (ssize_t)(PAGES * PAGE)) {
        bail("no file");
    }
    byte *area = mmap(NULL, PAGES * PAGE, RW, MAP_PRIVATE, fd, 0);
    long before = events("cow_copy");
    ok_counted(area, "cow_copy_object");
    ok(events("cow_copy") - before >= PAGES, "they are copies like others");
    munmap(area, PAGES * PAGE);
    close(fd);
    unlink("/tmp/cow-outcomes");
}

static void knob(void)
{
    ok_errno(tunable_set("cow.policy", "sometimes"), EINVAL, "no such policy");
    ok_errno(tunable_set("cow.policy", "exac"), EINVAL, "not half a name");
    ok(strcmp(slurp(tunable_path("cow.policy")), "exact\n") == 0, "it stays exact");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(exact), TAP_CASE(by_count),  TAP_CASE(by_mapcount),
        TAP_CASE(copy),  TAP_CASE(of_a_file), TAP_CASE(knob),
    };
    return KSM_MAIN(cases);
}
