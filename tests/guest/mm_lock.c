/*
 * Do mincore, mlock, mlock2, munlock, mlockall, munlockall and msync do and refuse what they do on
 * Linux, and does the account of locked memory add up?
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>

#include "memory.h"

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif
#define LOCK_ONFAULT 1

static long lock2(void *at, size_t bytes, int flags)
{
    return syscall(SYS_mlock2, at, bytes, flags);
}

/* As the kernel sees it: the library turns EPERM into ENOMEM. */
static long map_locked(size_t bytes)
{
    return syscall(SYS_mmap, 0, bytes, RW, ANON | MAP_LOCKED, -1, 0);
}

/* Kilobytes of locked memory. */
static long locked_kb(void)
{
    char line[128];
    long kilobytes = -1;
    struct lines *lines = lines_open("/proc/self/status");
    while (lines && lines_next(lines, line, sizeof line)) {
        sscanf(line, "VmLck: %ld", &kilobytes);
    }
    return kilobytes;
}

static void incore(void)
{
    byte *area = map_island(4, RW);
    unsigned char in_core[4] = {9, 9, 9, 9};
    ok_equal(mincore(area, 4 * PAGE, in_core), 0, "mincore");
    ok(in_core[0] == 0 && in_core[3] == 0, "nothing is there yet");
    area[PAGE] = 1;
    area[2 * PAGE] = 1;
    ok_equal(mincore(area, 4 * PAGE, in_core), 0, "after two writes");
    ok(in_core[0] == 0 && in_core[1] == 1 && in_core[2] == 1 && in_core[3] == 0, "two pages are");
    in_core[1] = 9;
    ok_equal(mincore(area, 1, in_core), 0, "of a byte");
    ok(in_core[0] == 0 && in_core[1] == 9, "is one page's");
}

static void incore_errors(void)
{
    byte *area = map_island(4, RW);
    unsigned char in_core[4];
    ok_errno(mincore(area + 1, PAGE, in_core), EINVAL, "unaligned address");
    ok_errno(mincore(area, PAGE, (void *)8), EFAULT, "a result that can't be written");
    ok_errno(mincore(area, PAGE, map_pages(1, PROT_READ)), EFAULT, "nor there");
    ok_equal(mincore(area, 0, in_core), 0, "length 0");
    ok_errno(mincore(area, ~0ul, in_core), ENOMEM, "length that wraps");
    ok_errno(mincore((void *)0xffff800000000000, PAGE, in_core), ENOMEM, "in the kernel");
    munmap(area + PAGE, PAGE);
    ok_errno(mincore(area, 4 * PAGE, in_core), ENOMEM, "a hole");
}

static void lock_and_unlock(void)
{
    byte *area = map_island(6, RW);
    long before = locked_kb();
    ok_equal(mlock(area + PAGE, 2 * PAGE), 0, "mlock");
    ok_equal(locked_kb(), before + 8, "VmLck counts it");
    ok_equal(smaps_number(area + PAGE, "Rss"), 8, "the pages are in");
    ok(smaps_flag(area + PAGE, "lo") && !smaps_flag(area, "lo"), "the mapping is marked");
    ok_maps(area, 6, "0-1:rw-p 1-3:rw-p 3-6:rw-p", "and split");
    ok_equal(mlock(area + 2 * PAGE, 2 * PAGE), 0, "twice over a page");
    ok_equal(locked_kb(), before + 12, "does not nest");
    ok_equal(munlock(area + PAGE, PAGE), 0, "munlock");
    ok_equal(locked_kb(), before + 8, "of one page");
    ok_equal(munmap(area + 2 * PAGE, PAGE), 0, "unmapping");
    ok_equal(locked_kb(), before + 4, "unlocks");
    ok_equal(munlock(area + 3 * PAGE, 3 * PAGE), 0, "the rest");
    ok_equal(locked_kb(), before, "is unlocked");
    ok_maps(area, 6, "0-2:rw-p 3-6:rw-p", "and mappings alike are one");
    ok_equal(mlock(area + 1, 1), 0, "an unaligned byte locks");
    ok_equal(locked_kb(), before + 4, "its page");
    ok_equal(mlock(area + PAGE - 1, 2), 0, "two bytes over a border lock");
    ok_equal(locked_kb(), before + 8, "two pages");
}

static void lock_errors(void)
{
    byte *area = map_island(4, RW);
    ok_equal(mlock(area, 0), 0, "length 0");
    ok_errno(mlock(area, ~0ul - PAGE), EINVAL, "length that wraps");
    ok_errno(munlock(area, ~0ul - PAGE), EINVAL, "munlock: length that wraps");
    ok_errno(lock2(area, PAGE, 2), EINVAL, "mlock2: unknown flag");
    munmap(area + PAGE, PAGE);
    ok_errno(mlock(area + PAGE, PAGE), ENOMEM, "nothing mapped");
    ok_errno(mlock(area, 4 * PAGE), ENOMEM, "a hole");
    ok_errno(munlock(area, 4 * PAGE), ENOMEM, "munlock over a hole");
    byte *none = map_island(1, PROT_NONE);
    ok_errno(mlock(none, PAGE), ENOMEM, "memory that can't be read");
    ok_errno(mlockall(0), EINVAL, "mlockall: no flag");
    ok_errno(mlockall(64), EINVAL, "mlockall: unknown flag");
    ok_errno(mlockall(MCL_ONFAULT), EINVAL, "mlockall: MCL_ONFAULT alone");
}

static void on_fault(void)
{
    byte *area = map_island(4, RW);
    long before = locked_kb();
    ok_equal(lock2(area, 4 * PAGE, LOCK_ONFAULT), 0, "mlock2 with MLOCK_ONFAULT");
    ok_equal(locked_kb(), before + 16, "counts all of it");
    ok_equal(smaps_number(area, "Rss"), 0, "but brings nothing in");
    area[0] = 1;
    ok_equal(smaps_number(area, "Rss"), 4, "a touch does");
    ok_equal(lock2(area, 4 * PAGE, 0), 0, "mlock2 without it");
    ok_equal(smaps_number(area, "Rss"), 16, "brings all in");
}

static void everything(void)
{
    byte *before = map_island(2, RW);
    ok_equal(mlockall(MCL_CURRENT), 0, "mlockall(MCL_CURRENT)");
    ok(smaps_flag(before, "lo"), "locks what there is");
    byte *after = map_island(2, RW);
    ok(!smaps_flag(after, "lo"), "not what comes");
    ok_equal(mlockall(MCL_CURRENT | MCL_FUTURE), 0, "mlockall(MCL_CURRENT | MCL_FUTURE)");
    ok(smaps_flag(after, "lo"), "locks what has come");
    byte *later = map_pages(2, RW);
    ok(smaps_flag(later, "lo"), "and what comes");
    ok_equal(smaps_number(later, "Rss"), 8, "with its pages");
    ok_equal(munlockall(), 0, "munlockall");
    ok(!smaps_flag(before, "lo") && !smaps_flag(later, "lo"), "unlocks all");
    ok_equal(locked_kb(), 0, "VmLck is 0");
    ok(!smaps_flag(map_pages(1, RW), "lo"), "what comes is not locked any more");
    ok_equal(mlockall(MCL_FUTURE | MCL_ONFAULT), 0, "mlockall(MCL_FUTURE | MCL_ONFAULT)");
    byte *lazy = map_pages(4, RW);
    ok(smaps_flag(lazy, "lo"), "locks what comes");
    ok_equal(smaps_number(lazy, "Rss"), 0, "when it is touched");
}

static void not_inherited(void)
{
    byte *area = map_island(2, RW);
    mlock(area, 2 * PAGE);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(locked_kb() != 0 || smaps_flag(area, "lo"));
    }
    int status;
    waitpid(pid, &status, 0);
    ok_equal(status, 0, "a child's memory is not locked");
    ok(smaps_flag(area, "lo"), "the parent's still is");
}

static void limit(void)
{
    byte *area = map_island(32, RW);
    struct rlimit value = {.rlim_cur = 8 * PAGE, .rlim_max = 8 * PAGE};
    ok_equal(setrlimit(RLIMIT_MEMLOCK, &value), 0, "RLIMIT_MEMLOCK of 8 pages");
    ok_equal(mlock(area, 16 * PAGE), 0, "does not bind root");
    munlock(area, 16 * PAGE);
    ok_equal(setuid(65534), 0, "somebody else");
    ok_equal(mlock(area, 8 * PAGE), 0, "may lock 8 pages");
    ok_errno(mlock(area, 9 * PAGE), ENOMEM, "not 9");
    ok_equal(mlock(area, 8 * PAGE), 0, "the same 8 count once");
    ok_errno(mlock(area + 8 * PAGE, PAGE), ENOMEM, "one elsewhere is too much");
    ok_equal(munlock(area, 8 * PAGE), 0, "unlocked");
    ok_errno(map_locked(16 * PAGE), EAGAIN, "mmap with MAP_LOCKED beyond it");
    ok_errno(mlockall(MCL_CURRENT), ENOMEM, "mlockall beyond it");
    value.rlim_cur = 0;
    setrlimit(RLIMIT_MEMLOCK, &value);
    ok_errno(mlock(area, PAGE), EPERM, "a limit of 0");
    ok_errno(map_locked(PAGE), EPERM, "mmap with MAP_LOCKED");
}

static void msync_errors(void)
{
    byte *area = map_island(4, RW);
    ok_equal(msync(area, 4 * PAGE, MS_SYNC), 0, "msync of memory without a file");
    ok_equal(msync(area, 4 * PAGE, MS_ASYNC), 0, "MS_ASYNC");
    ok_equal(msync(area, 0, MS_SYNC), 0, "length 0");
    ok_errno(msync(area + 1, PAGE, MS_SYNC), EINVAL, "unaligned address");
    ok_errno(msync(area, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "both at once");
    ok_errno(msync(area, PAGE, 64), EINVAL, "unknown flag");
    ok_errno(msync(area, ~0ul - PAGE, MS_SYNC), ENOMEM, "length that wraps");
    munmap(area + PAGE, PAGE);
    ok_errno(msync(area, 4 * PAGE, MS_SYNC), ENOMEM, "a hole");
    mlock(area, PAGE);
    ok_errno(msync(area, PAGE, MS_INVALIDATE), EBUSY, "MS_INVALIDATE of locked memory");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(incore),        TAP_CASE(incore_errors), TAP_CASE(lock_and_unlock),
        TAP_CASE(lock_errors),   TAP_CASE(on_fault),      TAP_CASE(everything),
        TAP_CASE(not_inherited), TAP_CASE(limit),         TAP_CASE(msync_errors),
    };
    return TAP_MAIN(cases);
}
