/*
 * Does the scanner notice that a page was written, whoever wrote: the program, the kernel for it,
 * another process, a disk?
 *
 * Pages that the scanner knows get the content of merged ones, at any moment of a pass. The scanner
 * has to find that out by itself, so a write that it misses leaves a page unmerged. Then each is
 * given a content of its own again, which must be what it holds.
 *
 * vm: --smp 2 --mem 256 --test-disk plain --test-disk slow
 * timeout: 200
 * linux: no
 */
#define _GNU_SOURCE
#include <sys/uio.h>

#include "disk.h"
#include "ksm.h"

#define PAGES 16ul
#define ROUNDS 25
#define EQUAL 4000 /* seeds */
#define OWN 5000

static int disk = -1, ends[2];

/* Writes a page's new content to where it is. */
struct way {
    const char *name;
    bool (*write)(byte *to, const byte *content, unsigned page);
};

static bool by_store(byte *to, const byte *content, unsigned page)
{
    (void)page;
    memcpy(to, content, PAGE);
    return true;
}

static bool by_kernel(byte *to, const byte *content, unsigned page)
{
    (void)page;
    return write(ends[1], content, PAGE) == (ssize_t)PAGE &&
           read(ends[0], to, PAGE) == (ssize_t)PAGE;
}

static void write_into_parent(byte *to, const byte *content)
{
    struct iovec local = {(void *)content, PAGE}, remote = {to, PAGE};
    _exit(process_vm_writev(getppid(), &local, 1, &remote, 1, 0) == (ssize_t)PAGE ? 0 : 1);
}

static bool by_other(byte *to, const byte *content, unsigned page)
{
    (void)page;
    pid_t pid = fork();
    if (pid == 0) {
        write_into_parent(to, content);
    }
    return reap(pid) == 0;
}

static bool by_disk(byte *to, const byte *content, unsigned page)
{
    return pwrite(disk, content, PAGE, page * (long)PAGE) == (ssize_t)PAGE &&
           pread(disk, to, PAGE, page * (long)PAGE) == (ssize_t)PAGE;
}

static byte *area, *merged;
static unsigned changes;

/* A content for the page that nobody else has, different each time. */
static uint64_t own_seed(unsigned page)
{
    return OWN + changes * PAGES + page;
}

static bool rewrite(const struct way *way, bool equal)
{
    static byte content[PAGE] __attribute__((aligned(4096)));
    for (unsigned page = 0; page < PAGES; page++) {
        fill_page(content, equal ? EQUAL : own_seed(page));
        if (!way->write(area + page * PAGE, content, page)) {
            return false;
        }
        sleep_ns(random() % 300000); /* to another place in the pass */
    }
    return true;
}

static bool holds_own(void)
{
    for (unsigned page = 0; page < PAGES; page++) {
        if (!page_holds(area + page * PAGE, own_seed(page))) {
            return false;
        }
    }
    return true;
}

static void one_way(const struct way *way)
{
    unsigned written = 0, noticed = 0, held = 0;
    area = map_island(PAGES, RW);
    merged = mergeable(2, EQUAL);
    rewrite(&(struct way){"", by_store}, false);
    madvise(area, PAGES * PAGE, MADV_MERGEABLE);
    for (int round = 0; round < ROUNDS; round++) {
        ksm_scan(2); /* it knows them all */
        written += rewrite(way, true);
        noticed += ksm_wait_pages(area, PAGES);
        changes++;
        written += rewrite(way, false);
        held += holds_own();
    }
    ok_equal(written, 2 * ROUNDS, "pages are written %s", way->name);
    ok_equal(noticed, ROUNDS, "the scanner notices");
    ok_equal(held, ROUNDS, "and what is written last is what is there");
    munmap(area, PAGES * PAGE);
    munmap(merged, 2 * PAGE);
}

static void all_ways(void)
{
    static const struct way ways[] = {
        {"by the program", by_store},
        {"by the kernel", by_kernel},
        {"by another process", by_other},
        {"by a disk", by_disk},
    };
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        one_way(&ways[i]);
    }
}

/* What a disk brings marks the entry through which the page was pinned; but that one may be gone,
 * and the scanner have seen the page at its new address before the disk was done. */
static void by_disk_elsewhere(void)
{
    struct flight flight = {.fd = disk_open(SLOW, O_RDWR | O_DIRECT),
                            .memory = map_island(1, RW),
                            .bytes = PAGE,
                            .position = 3 * MIB};
    byte *home = map_island(1, PROT_NONE);
    merged = mergeable(2, EQUAL);
    fill_page(flight.memory, EQUAL);
    if (pwrite(flight.fd, flight.memory, PAGE, flight.position) != (ssize_t)PAGE) {
        bail("a write to the slow disk");
    }
    sleep_ns(2 * LATE_NS);
    fill_page(flight.memory, OWN);
    madvise(flight.memory, PAGE, MADV_MERGEABLE);
    flight_start(&flight);
    ok(mremap(flight.memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, home) == home,
       "a page moves while a disk writes to it");
    ksm_scan(3);
    ok(!flight.ended, "the scanner has seen it before the disk is done");
    ok_equal(flight_end(&flight), (long)PAGE, "then it is");
    ok(ksm_wait_pages(home, 1), "the scanner notices");
    ok(page_holds(home, EQUAL), "and what the disk has brought is there");
}

static void by_tree(void)
{
    ok_equal(ksm_choose_index("tree"), 0, "the other index");
    all_ways();
    ok_equal(ksm_choose_index("hash"), 0, "back to the first");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_SLOW_CASE(all_ways, 90),
        TAP_CASE(by_disk_elsewhere),
        TAP_SLOW_CASE(by_tree, 90),
    };
    disk = disk_open(PLAIN, O_RDWR | O_DIRECT);
    if (pipe(ends) < 0) {
        bail("a pipe");
    }
    return KSM_MAIN(cases);
}
