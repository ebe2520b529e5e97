/*
 * Who may be merged, and what other calls do to merged pages: madvise with its errors, fork,
 * execve, mremap, mprotect and mlock.
 *
 * The scanner stands once the pages are merged, so that what is private stays private.
 *
 * timeout: 120
 */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "ksm.h"
#include "proc.h"

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

static void bad_ranges(void)
{
    static const int advices[] = {MADV_MERGEABLE, MADV_UNMERGEABLE};
    byte *area = map_island(4, RW);
    for (size_t i = 0; i < 2; i++) {
        int advice = advices[i];
        ok_errno(madvise(area + 1, PAGE, advice), EINVAL, "a start within a page");
        ok_errno(madvise(area + 1, 0, advice), EINVAL, "even of nothing");
        ok_errno(madvise(area, (size_t)-1, advice), EINVAL, "a length that rounds to 0");
        ok_errno(madvise(area, (size_t)-PAGE, advice), EINVAL, "an end that wraps");
        ok_equal(madvise(area, 0, advice), 0, "nothing");
        ok_equal(madvise(NULL, 0, advice), 0, "nothing where nothing is");
        ok_errno(madvise((byte *)PAGE, PAGE, advice), ENOMEM, "where nothing is mapped");
        ok_equal(madvise(area, 1, advice), 0, "a byte");
    }
    ok_equal(madvise(area, PAGE + 1, MADV_MERGEABLE), 0, "a page and a byte");
    ok(smaps_flag(area + PAGE, "mg") && !smaps_flag(area + 2 * PAGE, "mg"), "are two pages");
    ok_equal(madvise(area + PAGE, PAGE, MADV_UNMERGEABLE), 0, "one less");
    ok(smaps_flag(area, "mg") && !smaps_flag(area + PAGE, "mg"), "is one page");
}

static void holes(void)
{
    byte *area = map_island(5, RW);
    munmap(area + 2 * PAGE, PAGE);
    ok_errno(madvise(area, 5 * PAGE, MADV_MERGEABLE), ENOMEM, "a hole");
    ok(smaps_flag(area, "mg") && smaps_flag(area + 3 * PAGE, "mg"), "both sides are marked");
    ok_errno(madvise(area, 5 * PAGE, MADV_UNMERGEABLE), ENOMEM, "a hole");
    ok(!smaps_flag(area, "mg") && !smaps_flag(area + 4 * PAGE, "mg"), "both marks are gone");
    ok_errno(madvise(area + 2 * PAGE, PAGE, MADV_MERGEABLE), ENOMEM, "nothing but a hole");
}

/* A file of so many pages that all hold fill_page(seed). */
static int file_of(size_t pages, uint64_t seed)
{
    byte content[PAGE];
    int fd = memfd_create("pages", MFD_CLOEXEC);
    fill_page(content, seed);
    for (size_t i = 0; i < pages; i++) {
        if (pwrite(fd, content, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE) {
            bail("a file of %zu pages", pages);
        }
    }
    return fd;
}

static void ineligible(void)
{
    int fd = file_of(1, 1);
    byte *anonymous = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
         *file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    ok_equal(madvise(anonymous, PAGE, MADV_MERGEABLE), 0, "shared memory: no error");
    ok(!smaps_flag(anonymous, "mg"), "and no mark");
    ok_equal(madvise(file, PAGE, MADV_MERGEABLE), 0, "a file, shared: no error");
    ok(!smaps_flag(file, "mg"), "and no mark");
    ok_equal(madvise(file, PAGE, MADV_UNMERGEABLE), 0, "nor an error to take it back");
}

/* Of a file's private mapping only pages that were written are one's own to merge. */
static void private_file(void)
{
    int fd = file_of(8, 7300);
    byte content[PAGE], *area = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);
    byte *equal = mergeable(4, 7300);
    ok_equal(madvise(area, 8 * PAGE, MADV_MERGEABLE), 0, "a file, private");
    ok(smaps_flag(area, "mg"), "is marked");
    for (volatile byte *at = area; at < area + 8 * PAGE; at += 2 * PAGE) {
        (void)at[0];
        at[PAGE] = at[PAGE];
    }
    ok(ksm_wait_pages(area, 4), "the four pages that were written merge");
    ok(ksm_wait_pages(equal, 4) && ksm_scan(3), "with anonymous ones");
    ok_equal(ksm_kb(area), 16, "the file's pages do not");
    area[PAGE] ^= 1;
    ok(pread(fd, content, PAGE, PAGE) == (ssize_t)PAGE && page_holds(content, 7300),
       "the file is what it was");
    area[PAGE] ^= 1;
    ok(all_hold(area, 8, 7300), "and so is its mapping");
}

static void forked(void)
{
    byte *area = ksm_merged(10, 7301);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = smaps_flag(area, "mg") && all_hold(area, 10, 7301);
        for (size_t i = 0; i < 5; i++) {
            fill_page(area + i * PAGE, 7302);
        }
        good &= ksm_kb(area) == 20;
        ksm_set("run", 1);
        good &= ksm_wait_pages(area, 10);
        good &= all_hold(area, 5, 7302) && all_hold(area + 5 * PAGE, 5, 7301);
        _exit(!good);
    }
    ok_equal(reap(pid), 0, "a child is scanned as its parent is");
    ok(all_hold(area, 10, 7301) && ksm_kb(area) == 40, "whose pages are as they were");
}

/* How many mappings are marked. */
static int marks(void)
{
    char line[256];
    struct lines *lines = lines_open("/proc/self/smaps");
    int count = 0;
    while (lines && lines_next(lines, line, sizeof line)) {
        count += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " mg");
    }
    return count;
}

static char program[256];

static void become_another(void)
{
    int here;
    madvise((byte *)((uintptr_t)&here & ~(PAGE - 1)), PAGE, MADV_MERGEABLE);
    if (marks() == 0) {
        _exit(99);
    }
    execl(program, program, "--after-exec", (char *)NULL);
    _exit(98);
}

static void executed(void)
{
    ksm_merged(4, 7303);
    ok_equal(tap_child(become_another), 0, "a new program has no marks and nothing merged");
}

static int after_exec(void)
{
    return marks() != 0 || ksm_merging(getpid()) > 0;
}

static void moved(void)
{
    byte *area = ksm_merged(8, 7304), *place = map_island(8, PROT_NONE);
    byte *there = mremap(area, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    ok(there == place && all_hold(there, 8, 7304), "moved");
    ok_equal(ksm_kb(there), 0, "pages are private");
    ok(smaps_flag(there, "mg"), "and still offered");
    ksm_set("run", 1);
    ok(ksm_wait_pages(there, 8), "they merge there");
    ksm_set("run", 0);
    munmap(there + 8 * PAGE, PAGE);
    ok(mremap(there, 8 * PAGE, 9 * PAGE, 0) == there, "grown in place");
    ok_equal(ksm_kb(there), 32, "they stay merged");
    ok(mremap(there, 9 * PAGE, 4 * PAGE, 0) == there, "shrunk");
    ok_equal(ksm_kb(there), 16, "the rest stays merged");
    ok(all_hold(there, 4, 7304), "with its content");
}

/* Only the part that moves is made private. */
static void moved_in_part(void)
{
    byte *area = ksm_merged(8, 7305), *place = map_island(4, PROT_NONE);
    byte *there = mremap(area + 2 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    ok(there == place, "the middle is moved");
    ok_equal(ksm_kb(there), 0, "and private");
    ok(ksm_kb(area) == 8 && ksm_kb(area + 6 * PAGE) == 8, "what stays is merged");
    ok(all_hold(there, 4, 7305) && all_hold(area, 2, 7305) && all_hold(area + 6 * PAGE, 2, 7305),
       "all hold what they held");
}

static void locked(void)
{
    byte *area = ksm_merged(12, 7306);
    mprotect(area + 8 * PAGE, 4 * PAGE, PROT_READ);
    ok_equal(syscall(SYS_mlock2, area, 4 * PAGE, MLOCK_ONFAULT), 0, "locked when touched");
    ok_equal(ksm_kb(area), 16, "they stay merged");
    ok_equal(mlock(area + 4 * PAGE, 8 * PAGE), 0, "locked");
    ok_equal(ksm_kb(area + 4 * PAGE), 0, "pages that can be written are private now");
    ok_equal(ksm_kb(area + 8 * PAGE), 16, "those that can't are not");
    ok(smaps_flag(area, "mg") && smaps_flag(area + 4 * PAGE, "mg"), "all are still offered");
    ok(all_hold(area, 12, 7306), "and hold what they held");
    ksm_set("run", 1);
    ok(ksm_wait_pages(area + 4 * PAGE, 4), "locked memory merges");
    ok_equal(smaps_number(area + 4 * PAGE, "Locked") > 0, 1, "and is locked");
}

static void dropped(void)
{
    byte *area = ksm_merged(8, 7307);
    ok_equal(madvise(area, 4 * PAGE, MADV_DONTNEED), 0, "four are dropped");
    ok_equal(ksm_kb(area), 16, "four are left");
    ok(page_is_zero(area) && smaps_flag(area, "mg"), "the place is empty, and still marked");
    for (size_t i = 0; i < 4; i++) {
        fill_page(area + i * PAGE, 7307);
    }
    ksm_set("run", 1);
    ok(ksm_wait_pages(area, 8), "what comes there merges");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(bad_ranges), TAP_CASE(holes),    TAP_CASE(ineligible), TAP_CASE(private_file),
        TAP_CASE(forked),     TAP_CASE(executed), TAP_CASE(moved),      TAP_CASE(moved_in_part),
        TAP_CASE(locked),     TAP_CASE(dropped),
    };
    if (argc > 1 && strcmp(argv[1], "--after-exec") == 0) {
        return after_exec();
    }
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) {
        bail("/proc/self/exe");
    }
    return KSM_MAIN(cases);
}
