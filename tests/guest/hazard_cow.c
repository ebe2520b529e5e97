/*
 * What goes wrong when copy-on-write asks the wrong question, shown with a disk that answers late.
 * Three things whose like has happened to Linux, under each policy of this kernel:
 *
 *   leak      The child lets a disk write out a page that it shares with the parent, and unmaps
 *             it. One mapping is left, the parent's; whoever counts only mappings lets the parent
 *             write to the page, and the disk, hence the child, gets what the parent wrote after
 *             the fork.
 *   fork      A disk reads into the parent's page; the parent forks, and writes to another part of
 *             the page. Whoever shares a pinned page with the child gives the parent a copy then:
 *             what the disk brings lands in a page that only the child sees.
 *   protect   A disk reads into a page, which is made read-only for a moment. Whoever takes the pin
 *             for somebody else's reference copies the page at the next write, and what the disk
 *             brings lands in a page that nobody sees.
 *
 *                leak   fork   protect
 *     exact       -      -       -
 *     count       -      -      lost
 *     mapcount  leaks   lost     -
 *     copy        -      -      lost
 *
 * vm: --smp 4 --mem 256 --test-disk plain --test-disk slow --test-disk bad
 * timeout: 180
 * linux: no
 */
#define _GNU_SOURCE
#include "disk.h"
#include "proc.h"

#define LEAK_AT (4 * MIB)
#define ZEROS_AT (6 * MIB) /* where nobody writes */

/* --- leak --- */

/* The child: starts the write, drops its mapping, tells the parent, and looks at what was written.
 * Exits with 1 if that is the secret. */
static void child_of_leak(byte *page, int ready, int go)
{
    struct flight flight = {.fd = disk_open(SLOW, O_RDWR | O_DIRECT),
                            .write = true,
                            .memory = page,
                            .bytes = PAGE,
                            .position = LEAK_AT};
    byte *back = map_pages(1, RW);
    char end;
    flight_start(&flight);
    munmap(page, PAGE);
    close(ready);
    if (read(go, &end, 1) != 0 || flight.ended || flight_end(&flight) != (long)PAGE ||
        pread(flight.fd, back, PAGE, LEAK_AT) != (long)PAGE) {
        _exit(2);
    }
    _exit(memcmp(back, "public", 6) != 0);
}

/* 0: the child has read what was there at the fork; 1: what the parent wrote after it. */
static int leak(void)
{
    byte *page = map_pages(1, RW);
    int ready[2], go[2], status = -1;
    char end;
    if (pipe(ready) || pipe(go)) {
        bail("pipe");
    }
    strcpy((char *)page, "public");
    pid_t child = fork();
    if (child == 0) {
        close(ready[0]);
        close(go[1]);
        child_of_leak(page, ready[1], go[0]);
    }
    close(ready[1]);
    close(go[0]);
    if (read(ready[0], &end, 1) != 0) {
        bail("the child");
    }
    strcpy((char *)page, "secret");
    close(go[1]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* --- fork and protect --- */

static void begin_read(struct flight *flight)
{
    *flight = (struct flight){.fd = disk_open(SLOW, O_RDONLY | O_DIRECT),
                              .memory = map_pages(1, RW),
                              .bytes = SECTOR,
                              .position = ZEROS_AT};
    memset(flight->memory, 1, PAGE);
    flight_start(flight);
}

/* 0: the sector of zeros is there; 1: it is not, though the call says so. */
static int end_read(struct flight *flight, bool in_time)
{
    if (!in_time || flight_end(flight) != SECTOR || flight->memory[PAGE - 1] != 2) {
        return 2;
    }
    return flight->memory[0] != 0 || flight->memory[SECTOR - 1] != 0;
}

static int lost_by_fork(void)
{
    struct flight flight;
    int hold[2];
    char end;
    if (pipe(hold)) {
        bail("pipe");
    }
    begin_read(&flight);
    pid_t child = fork();
    if (child == 0) {
        close(hold[1]);
        _exit(read(hold[0], &end, 1) != 0);
    }
    flight.memory[PAGE - 1] = 2;
    int result = end_read(&flight, !flight.ended);
    close(hold[1]);
    waitpid(child, NULL, 0);
    return result;
}

static int lost_by_protect(void)
{
    struct flight flight;
    begin_read(&flight);
    mprotect(flight.memory, PAGE, PROT_READ);
    mprotect(flight.memory, PAGE, RW);
    flight.memory[PAGE - 1] = 2;
    return end_read(&flight, !flight.ended);
}

/* --- each policy --- */

/* What each of the three is to give. */
static void under(const char *policy, int leaks, int fork_loses, int protect_loses)
{
    if (!ok_equal(tunable_set("cow.policy", policy), 0, "policy %s", policy)) {
        return;
    }
    ok_equal(leak(), leaks, "%s: the child %s what its parent writes after the fork", policy,
             leaks ? "reads" : "does not read");
    ok_equal(lost_by_fork(), fork_loses, "%s: a fork %s the disk's data", policy,
             fork_loses ? "loses" : "does not lose");
    ok_equal(lost_by_protect(), protect_loses, "%s: mprotect %s the disk's data", policy,
             protect_loses ? "loses" : "does not lose");
    tunable_set("cow.policy", "exact");
    ok_equal(audit(), 0, "%s: no frame has a wrong count", policy);
}

static void exact(void)
{
    long before = counter_of("/proc/vmstat", "cow_copy_referenced");
    under("exact", 0, 0, 0);
    ok(counter_of("/proc/vmstat", "cow_copy_referenced") > before,
       "what the disk still held was copied for that reason");
}

static void count(void)
{
    under("count", 0, 0, 1);
}

static void mapcount(void)
{
    under("mapcount", 1, 1, 0);
}

static void copy(void)
{
    under("copy", 0, 0, 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(exact),
        TAP_CASE(count),
        TAP_CASE(mapcount),
        TAP_CASE(copy),
    };
    int failed = TAP_MAIN(cases);
    tunable_set("cow.policy", "exact"); /* a case may have ended early */
    return failed;
}
