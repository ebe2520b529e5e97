/*
 * Does a page that a disk is about to write to stay the one its owner sees, whatever happens to it
 * meanwhile: fork, merging, protection, unmapping, the end of the process?
 *
 * vm: --smp 4 --mem 256 --test-disk plain --test-disk slow --test-disk bad
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include "disk.h"
#include "ksm.h"

#define PAGES 8ul
#define OLD 1000 /* seeds */
#define NEW 2000

static void fill_pages(byte *area, uint64_t seed)
{
    for (size_t i = 0; i < PAGES; i++) {
        fill_page(area + i * PAGE, seed + i);
    }
}

static bool pages_hold(const byte *area, uint64_t seed)
{
    for (size_t i = 0; i < PAGES; i++) {
        if (!page_holds(area + i * PAGE, seed + i)) {
            return false;
        }
    }
    return true;
}

/* Pages with the old content, into which the new one is on its way from the slow disk. */
static struct flight prepare(byte *area)
{
    struct flight flight = {.fd = disk_open(SLOW, O_RDWR | O_DIRECT), .memory = area};
    flight.bytes = PAGES * PAGE;
    flight.position = 2 * MIB;
    fill_pages(area, NEW);
    if (pwrite(flight.fd, area, flight.bytes, flight.position) != (long)flight.bytes) {
        bail("a write to the slow disk");
    }
    sleep_ns(2 * LATE_NS);
    fill_pages(area, OLD);
    return flight;
}

/* Nothing of it has arrived, so all that was done was done in time. */
static void ok_in_flight(struct flight *flight)
{
    ok(!flight->ended, "the transfer is still under way");
}

static void ok_arrives(struct flight *flight)
{
    ok_equal(flight_end(flight), flight->bytes, "the transfer comes to its end");
    ok(pages_hold(flight->memory, NEW), "what it brings is seen");
}

static long event(const char *name)
{
    char line[128];
    size_t length = strlen(name);
    struct lines *lines = lines_open("/proc/vmstat");
    long value = -1;
    while (lines && lines_next(lines, line, sizeof line)) {
        if (!strncmp(line, name, length) && line[length] == ' ') {
            value = atol(line + length);
        }
    }
    return value;
}

static void forked(void)
{
    byte *area = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    int go[2], status = -1;
    if (pipe(go)) {
        bail("pipe");
    }
    flight_start(&flight);
    long copied = event("fork_pinned");
    pid_t child = fork();
    if (child == 0) {
        char end;
        bool old = pages_hold(area, OLD);
        close(go[1]);
        old &= read(go[0], &end, 1) == 0 && pages_hold(area, OLD);
        fill_pages(area, 3);
        _exit(old && pages_hold(area, 3) ? 0 : 1);
    }
    ok_in_flight(&flight);
    ok_equal(event("fork_pinned") - copied, (long)PAGES, "fork has copied the pinned pages");
    ok_arrives(&flight);
    close(go[1]);
    ok(waitpid(child, &status, 0) == child && status == 0, "the child has kept the old content");
    ok(pages_hold(area, NEW), "and its own writes to itself");
    ok_equal(audit(), 0, "no frame has a wrong count");
}

/* Sectors of the page before and behind the transfer are the owner's to write meanwhile. */
static void written_beside(void)
{
    byte *area = map_pages(1, RW);
    struct flight flight = {.fd = disk_open(SLOW, O_RDONLY | O_DIRECT),
                            .memory = area + SECTOR,
                            .bytes = SECTOR,
                            .position = 3 * MIB};
    memset(area, 1, PAGE);
    flight_start(&flight);
    area[0] = 2;
    pid_t child = fork();
    if (child == 0) {
        area[0] = 9;
        _exit(0);
    }
    area[PAGE - 1] = 3;
    ok_in_flight(&flight);
    ok_equal(flight_end(&flight), SECTOR, "a sector is read into the middle of a page");
    waitpid(child, NULL, 0);
    ok(area[SECTOR] == 0 && area[2 * SECTOR - 1] == 0, "it has arrived");
    ok(area[0] == 2 && area[PAGE - 1] == 3 && area[SECTOR - 1] == 1, "beside what was written");
}

static void protected_between(void)
{
    byte *area = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    flight_start(&flight);
    mprotect(area, PAGES * PAGE, PROT_READ);
    mprotect(area, PAGES * PAGE, RW);
    for (size_t i = 0; i < PAGES; i++) {
        area[i * PAGE] = 1;
    }
    ok_in_flight(&flight);
    ok_arrives(&flight);
}

static void made_read_only(void)
{
    byte *area = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    flight_start(&flight);
    mprotect(area, PAGES * PAGE, PROT_READ);
    ok_in_flight(&flight);
    ok_arrives(&flight);
}

static void merged(void)
{
    byte *area = map_pages(4 * PAGES, RW), *into = area + PAGES * PAGE;
    struct flight flight = prepare(into);
    ksm_set("pages_to_scan", 10000);
    ksm_set("sleep_millisecs", 0);
    for (size_t i = 0; i < 4; i++) {
        fill_pages(area + i * PAGES * PAGE, OLD);
    }
    madvise(area, 4 * PAGES * PAGE, MADV_MERGEABLE);
    flight_start(&flight);
    long refused = event("ksm_refused_pinned");
    sleep_ns(LATE_NS / 4);
    ok(event("ksm_refused_pinned") > refused, "merging refuses pinned pages");
    ok_in_flight(&flight);
    ok_arrives(&flight);
    ksm_scan(3);
    ok(pages_hold(into, NEW), "and still is after some more passes");
    ok(pages_hold(area, OLD) && pages_hold(area + 2 * PAGES * PAGE, OLD) &&
           pages_hold(area + 3 * PAGES * PAGE, OLD),
       "nothing else has changed");
    ok_equal(audit(), 0, "no frame has a wrong count");
}

/* A transfer into pages that have been merged: they are taken apart first. */
static void merged_before(void)
{
    byte *area = map_pages(2 * PAGES, RW);
    struct flight flight = prepare(area);
    fill_pages(area + PAGES * PAGE, OLD);
    madvise(area, 2 * PAGES * PAGE, MADV_MERGEABLE);
    ksm_scan(3);
    ok(ksm_get("pages_sharing") > 0, "the pages are merged");
    flight_start(&flight);
    ok_in_flight(&flight);
    ok_arrives(&flight);
    ok(pages_hold(area + PAGES * PAGE, OLD), "the others are as they were");
}

static void unmapped(void)
{
    byte *area = map_pages(PAGES, RW), *again;
    struct flight flight = prepare(area);
    flight_start(&flight);
    munmap(area, PAGES * PAGE);
    again = mmap(area, PAGES * PAGE, RW, ANON | MAP_FIXED, -1, 0);
    fill_pages(again, 5);
    ok_in_flight(&flight);
    ok_equal(flight_end(&flight), flight.bytes, "the transfer comes to its end");
    ok(pages_hold(again, 5), "what was mapped in its place is untouched");
    ok_equal(audit(), 0, "no frame has a wrong count");
}

static void moved(void)
{
    byte *area = map_pages(PAGES, RW), *place = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    flight_start(&flight);
    flight.memory = mremap(area, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    ok(flight.memory == place, "the pages are moved");
    ok_in_flight(&flight);
    ok_arrives(&flight);
}

static void discarded(void)
{
    byte *area = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    flight_start(&flight);
    madvise(area, PAGES * PAGE, MADV_DONTNEED);
    ok_in_flight(&flight);
    ok_equal(flight_end(&flight), flight.bytes, "the transfer comes to its end");
    ok(page_is_zero(area), "what was discarded stays so");
}

/* Ends in the middle of a transfer into memory that is its own; `how` as the child does it. */
static void end_in_flight(bool by_signal, bool writing)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        byte *area = map_pages(PAGES, RW);
        struct flight flight = {.fd = disk_open(SLOW, O_RDWR | O_DIRECT),
                                .write = writing,
                                .memory = area,
                                .bytes = PAGES * PAGE,
                                .position = 8 * MIB};
        fill_pages(area, OLD);
        flight_start(&flight);
        if (by_signal) {
            kill(getpid(), SIGKILL);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    ok(by_signal ? WIFSIGNALED(status) : status == 0, "the process has ended");
}

static void ended(void)
{
    for (int how = 0; how < 4; how++) {
        end_in_flight(how & 1, how & 2);
        byte *area = map_pages(4 * PAGES, RW); /* perhaps of the frames it had */
        memset(area, 7, 4 * PAGES * PAGE);
        sleep_ns(3 * LATE_NS);
        bool same = true;
        for (size_t i = 0; i < 4 * PAGES * PAGE; i++) {
            same &= area[i] == 7;
        }
        ok(same, "what comes for it late reaches nobody else");
        munmap(area, 4 * PAGES * PAGE);
    }
    ok_equal(audit(), 0, "no frame has a wrong count");
    int fd = disk_open(SLOW, O_RDONLY);
    byte sector[512];
    ok_equal(pread(fd, sector, 512, 0), 512, "the disk can still be read");
}

/* The descriptor goes while the transfer runs. */
static void closed(void)
{
    byte *area = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    flight_start(&flight);
    ok_equal(close(flight.fd), 0, "the disk is closed");
    ok_in_flight(&flight);
    flight_end(&flight);
    sleep_ns(3 * LATE_NS);
    ok_equal(audit(), 0, "no frame has a wrong count");
}

/* A write keeps to what the page held when it began, unless its owner changes it. */
static void written_by_other(void)
{
    byte *area = map_pages(PAGES, RW);
    struct flight flight = prepare(area);
    int status;
    flight.write = true;
    flight.position = 10 * MIB;
    flight_start(&flight);
    pid_t child = fork();
    if (child == 0) {
        fill_pages(area, 3);
        _exit(0);
    }
    waitpid(child, &status, 0);
    ok_in_flight(&flight);
    ok_equal(flight_end(&flight), flight.bytes, "the transfer comes to its end");
    ok_equal(pread(flight.fd, area, flight.bytes, flight.position), flight.bytes, "read back");
    ok(pages_hold(area, OLD), "the disk has what the owner had, not what the child wrote");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(forked),
        TAP_CASE(written_beside),
        TAP_CASE(protected_between),
        TAP_CASE(merged),
        TAP_CASE(made_read_only),
        TAP_CASE(merged_before),
        TAP_CASE(unmapped),
        TAP_CASE(moved),
        TAP_CASE(discarded),
        TAP_CASE(closed),
        TAP_CASE(written_by_other),
        TAP_SLOW_CASE(ended, 60),
    };
    if (!ksm_take()) {
        bail("no merging");
    }
    int failed = TAP_MAIN(cases);
    ksm_give_back();
    return failed;
}
