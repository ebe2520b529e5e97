/*
 * Do mmap and munmap give and take exactly what Linux gives and takes, error codes included?
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "memory.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif

/* mmap as the kernel sees it: no help from the library. */
static long map(unsigned long at, unsigned long bytes, int prot, int flags, int fd, long offset)
{
    return syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}

static long unmap(unsigned long at, unsigned long bytes)
{
    return syscall(SYS_munmap, at, bytes);
}

static void anonymous_memory(void)
{
    byte *area = map_pages(8, RW);
    bool zero = true;
    ok((uintptr_t)area % PAGE == 0, "an address is a page's");
    for (int i = 0; i < 8; i++) {
        zero &= page_is_zero(area + (size_t)i * PAGE);
    }
    ok(zero, "fresh memory is zero");
    for (unsigned i = 0; i < 8; i++) {
        fill_page(area + i * PAGE, i);
    }
    bool held = true;
    for (unsigned i = 0; i < 8; i++) {
        held &= page_holds(area + i * PAGE, i);
    }
    ok(held, "what is written stays");
    ok_equal(unmap((unsigned long)area, 8 * PAGE), 0, "munmap");
    ok_equal(touch_read(area), SIGSEGV, "unmapped memory faults");
    ok(fault_last.code == SEGV_MAPERR && fault_last.address == area,
       "with SEGV_MAPERR and the address");
    area = map_pages(8, RW);
    zero = true;
    for (int i = 0; i < 8; i++) {
        zero &= page_is_zero(area + (size_t)i * PAGE);
    }
    ok(zero, "memory taken again is zero again");
}

static void length_is_rounded(void)
{
    byte *area = map_island(4, PROT_NONE);
    long at = map((unsigned long)area, PAGE + 1, RW, ANON | MAP_FIXED, -1, 0);
    ok_equal(at, area, "mmap of a page and a byte");
    ok_maps(area, 4, "0-2:rw-p 2-4:---p", "takes two pages");
    ok_equal(unmap((unsigned long)area + PAGE, 1), 0, "munmap of a byte");
    ok_maps(area, 4, "0-1:rw-p 2-4:---p", "takes a page");
}

static void mmap_errors(void)
{
    ok_errno(map(0, 0, RW, ANON, -1, 0), EINVAL, "length 0");
    ok_errno(map(0, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL, "neither private nor shared");
    ok_errno(map(0, PAGE, RW, 0, -1, 0), EBADF, "no file and not anonymous");
    ok_errno(map(0, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF, "private mapping of no file");
    ok_errno(map(0, PAGE, RW, MAP_PRIVATE, 1000, 0), EBADF, "private mapping of an unknown file");
    ok_errno(map(0, PAGE, RW, ANON, -1, 1), EINVAL, "offset that is no page's");
    ok_errno(map(0x10001, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL,
             "fixed address that is no page's");
    ok_errno(map(0, ~0ul, RW, ANON, -1, 0), ENOMEM, "length that wraps");
    ok_errno(map(0, 1ul << 47, RW, ANON | MAP_NORESERVE, -1, 0), ENOMEM,
             "longer than the address space");
    ok_errno(map(0x7ffffffff000, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM,
             "beyond the last address");
    ok_errno(map(0x800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM, "in the hole");
    ok_errno(map(0xffff800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM, "in the kernel");
    ok_errno(map(~PAGE + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM, "at the very end");
    ok_errno(map(0x10000, ~0ul - 0x8000, RW, ANON | MAP_FIXED, -1, 0), ENOMEM,
             "fixed, wrapping length");
}

static void fixed_replaces(void)
{
    byte *area = map_island(4, RW);
    fill_page(area + PAGE, 1);
    fill_page(area + 2 * PAGE, 2);
    ok_equal(map((unsigned long)area + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0), area + PAGE,
             "MAP_FIXED");
    ok(page_is_zero(area + PAGE), "replaces what was there");
    ok(page_holds(area + 2 * PAGE, 2), "and nothing else");
    ok_maps(area, 4, "0-1:rw-p 1-2:r--p 2-4:rw-p", "with the new protection");
    ok_equal(map((unsigned long)area + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), area + PAGE,
             "the same again");
    ok_maps(area, 4, "0-4:rw-p", "neighbours alike merge");
}

static void fixed_noreplace(void)
{
    byte *area = map_island(4, RW);
    unmap((unsigned long)area + PAGE, 2 * PAGE);
    int flags = ANON | MAP_FIXED_NOREPLACE;
    ok_errno(map((unsigned long)area, PAGE, RW, flags, -1, 0), EEXIST, "on a mapping");
    ok_errno(map((unsigned long)area, 2 * PAGE, RW, flags, -1, 0), EEXIST, "begins in a mapping");
    ok_errno(map((unsigned long)area + PAGE, 3 * PAGE, RW, flags, -1, 0), EEXIST,
             "ends in a mapping");
    ok_errno(map((unsigned long)area - PAGE, 8 * PAGE, RW, flags, -1, 0), EEXIST, "spans several");
    ok_equal(map((unsigned long)area + PAGE, 2 * PAGE, PROT_READ, flags, -1, 0), area + PAGE,
             "into a hole");
    ok_maps(area, 4, "0-1:rw-p 1-3:r--p 3-4:rw-p", "the hole is filled");
    ok_errno(map((unsigned long)area + 1, PAGE, RW, flags, -1, 0), EINVAL, "unaligned");
}

static void hints(void)
{
    byte *area = map_pages(16, RW);
    unmap((unsigned long)area, 16 * PAGE);
    ok_equal(map((unsigned long)area, PAGE, RW, ANON, -1, 0), area,
             "a free address is taken as a hint");
    long second = map((unsigned long)area, PAGE, RW, ANON, -1, 0);
    ok(second > 0 && second != (long)area, "an occupied one is not");
    ok_equal(map((unsigned long)area + 4 * PAGE + 123, PAGE, RW, ANON, -1, 0), area + 4 * PAGE,
             "a hint is rounded down to a page");
    long low = map(PAGE, PAGE, RW, ANON, -1, 0);
    ok(low > (long)PAGE, "a hint below the lowest address is ignored");
    long high = map(0xffff800000000000, PAGE, RW, ANON, -1, 0);
    ok(high > 0, "a hint in the kernel is ignored");
}

static void map_32bit(void)
{
    long at = map(0, PAGE, RW, ANON | MAP_32BIT, -1, 0);
    ok(at > 0 && at < 0x80000000l, "MAP_32BIT stays below 2 GB");
}

static void protections(void)
{
    byte *none = map_pages(1, PROT_NONE), *read = map_pages(1, PROT_READ), *both = map_pages(1, RW);
    ok_equal(touch_read(none), SIGSEGV, "PROT_NONE: no reading");
    ok_equal(fault_last.code, SEGV_ACCERR, "SEGV_ACCERR");
    ok_equal(touch_write(none), SIGSEGV, "PROT_NONE: no writing");
    ok_equal(touch_read(read), 0, "PROT_READ: reading");
    ok_equal(touch_write(read), SIGSEGV, "PROT_READ: no writing");
    ok(fault_last.code == SEGV_ACCERR && fault_last.address == read, "SEGV_ACCERR at the address");
    ok_equal(touch_write(both), 0, "PROT_WRITE: writing");
    byte *write_only = map_pages(1, PROT_WRITE);
    ok_equal(touch_write(write_only), 0, "PROT_WRITE alone: writing");
    ok_equal(touch_read(write_only), 0, "and, on x86, reading");
}

static void execution(void)
{
    static const byte code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
    byte *area = map_pages(1, RW);
    memcpy(area, code, sizeof code);
    fault_catch();
    if (sigsetjmp(fault_return, 1) == 0) {
        ((int (*)(void))(uintptr_t)area)();
        ok(false, "data must not run");
    } else {
        ok(fault_last.signal == SIGSEGV && fault_last.code == SEGV_ACCERR &&
               fault_last.address == area,
           "data does not run: SEGV_ACCERR");
    }
    ok_equal(mprotect(area, PAGE, PROT_READ | PROT_EXEC), 0, "made executable");
    ok_equal(((int (*)(void))(uintptr_t)area)(), 42, "it runs");
}

static void munmap_errors(void)
{
    byte *area = map_island(4, RW);
    ok_errno(unmap((unsigned long)area + 1, PAGE), EINVAL, "unaligned address");
    ok_errno(unmap((unsigned long)area, 0), EINVAL, "length 0");
    ok_errno(unmap((unsigned long)area, ~0ul), EINVAL, "length that wraps");
    ok_errno(unmap(0xffff800000000000, PAGE), EINVAL, "in the kernel");
    ok_errno(unmap(0x7ffffffff000, 2 * PAGE), EINVAL, "beyond the end");
    ok_maps(area, 4, "0-4:rw-p", "nothing has changed");
    ok_equal(unmap((unsigned long)area, 4 * PAGE), 0, "unmapping");
    ok_equal(unmap((unsigned long)area, 4 * PAGE), 0, "unmapping what is not mapped is no error");
}

static void munmap_splits(void)
{
    byte *area = map_island(9, RW);
    for (unsigned i = 0; i < 9; i++) {
        fill_page(area + i * PAGE, i);
    }
    ok_equal(unmap((unsigned long)area + 3 * PAGE, 3 * PAGE), 0, "the middle");
    ok_maps(area, 9, "0-3:rw-p 6-9:rw-p", "leaves two parts");
    ok_equal(unmap((unsigned long)area, PAGE), 0, "the first page");
    ok_equal(unmap((unsigned long)area + 8 * PAGE, PAGE), 0, "the last page");
    ok_maps(area, 9, "1-3:rw-p 6-8:rw-p", "leaves the rest");
    ok(page_holds(area + 2 * PAGE, 2) && page_holds(area + 6 * PAGE, 6), "with its content");
    ok_equal(unmap((unsigned long)area + 2 * PAGE, 5 * PAGE), 0,
             "over a hole, from one part to the other");
    ok_maps(area, 9, "1-2:rw-p 7-8:rw-p", "takes what is there");
    ok(page_holds(area + PAGE, 1) && page_holds(area + 7 * PAGE, 7),
       "and keeps the content of the rest");
}

static void neighbours_merge(void)
{
    byte *area = map_island(6, PROT_NONE);
    unsigned long at = (unsigned long)area;
    unmap(at, 6 * PAGE);
    map(at, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    map(at + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    ok_maps(area, 6, "0-1:rw-p 2-3:rw-p", "two apart");
    map(at + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    ok_maps(area, 6, "0-3:rw-p", "a third between them makes one of three");
    map(at + 3 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
    ok_maps(area, 6, "0-3:rw-p 3-4:r--p", "another protection does not merge");
    map(at + 4 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    ok_maps(area, 6, "0-3:rw-p 3-4:r--p 4-5:r--s", "shared and private do not merge");
    map(at + 5 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    ok_maps(area, 6, "0-3:rw-p 3-4:r--p 4-5:r--s 5-6:r--s", "nor do two objects");
}

static void shared_anonymous(void)
{
    byte *area = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok(area != MAP_FAILED, "shared anonymous memory");
    ok(page_is_zero(area), "is zero");
    pid_t pid = fork();
    if (pid == 0) {
        fill_page(area, 7);
        _exit(area[PAGE]);
    }
    waitpid(pid, NULL, 0);
    ok(page_holds(area, 7), "a child's write is seen by the parent");
    ok(map(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0) == -1 && errno == EINVAL,
       "MAP_SHARED_VALIDATE is for files");
}

static void special_flags(void)
{
    long at = map(0, 4 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
    unsigned char in_core[4] = {0};
    ok(at > 0, "MAP_POPULATE");
    mincore((void *)at, 4 * PAGE, in_core);
    ok(in_core[0] & in_core[3] & 1, "brings the pages in");
    ok(map(0, PAGE, RW, ANON | MAP_NORESERVE, -1, 0) > 0, "MAP_NORESERVE");
    ok(map(0, PAGE, RW, ANON | MAP_STACK, -1, 0) > 0, "MAP_STACK");
    ok(map(0, PAGE, RW, ANON | MAP_DENYWRITE | MAP_EXECUTABLE, -1, 0) > 0, "flags that do nothing");
    at = map(0, PAGE, RW, ANON | MAP_LOCKED, -1, 0);
    ok(at > 0, "MAP_LOCKED");
    ok(smaps_flag((void *)at, "lo"), "locks the mapping");
    ok(smaps_number((void *)at, "Rss") == 4, "and brings its page in");
    at = map(0, 512ul << 30, RW, ANON | MAP_NORESERVE, -1, 0);
    ok(at > 0, "512 GB of address space, without reservation");
    ok_equal(touch_write((byte *)at + (300ul << 30)), 0, "can be used here and there");
    ok_equal(unmap((unsigned long)at, 512ul << 30), 0, "and is given back");
}

static void address_space_limit(void)
{
    struct rlimit limit = {.rlim_cur = 64ul << 20, .rlim_max = RLIM_INFINITY};
    ok_equal(setrlimit(RLIMIT_AS, &limit), 0, "RLIMIT_AS of 64 MB");
    ok_errno(map(0, 128ul << 20, RW, ANON, -1, 0), ENOMEM, "mmap beyond it");
    ok(map(0, 16ul << 20, RW, ANON, -1, 0) > 0, "mmap within it");
}

static void many_mappings(void)
{
    enum { COUNT = 2000 };
    byte *area = map_island(COUNT, PROT_NONE);
    bool good = true;
    for (size_t i = 0; i < COUNT; i += 2) {
        good &= mprotect(area + i * PAGE, PAGE, RW) == 0;
        area[i * PAGE] = (byte)i;
    }
    ok(good, "a thousand mappings");
    for (size_t i = 0; i < COUNT; i += 2) {
        good &= area[i * PAGE] == (byte)i;
    }
    ok(good, "each keeps its page");
    for (size_t i = 0; i < COUNT; i += 4) {
        good &= unmap((unsigned long)area + i * PAGE, PAGE) == 0;
    }
    for (size_t i = 2; i < COUNT; i += 4) {
        good &= area[i * PAGE] == (byte)i;
    }
    ok(good, "and still does when half of them are gone");
    ok_equal(unmap((unsigned long)area, COUNT * PAGE), 0, "all in one munmap");
    ok_maps(area, COUNT, "", "leave nothing");
}

static void too_many_mappings(void)
{
    long count = 0;
    byte *area = mmap(NULL, 200000 * PAGE, PROT_READ, ANON | MAP_NORESERVE, -1, 0);
    while (count < 100000 && mprotect(area + (size_t)(2 * count) * PAGE, PAGE, PROT_NONE) == 0) {
        count++;
    }
    if (on_merganser() && count == 100000) {
        skip("no limit on the number of mappings here");
        return;
    }
    ok(count < 100000 && errno == ENOMEM, "too many mappings: ENOMEM");
    ok_equal(unmap((unsigned long)area, 200000 * PAGE), 0, "and they can be given back");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(anonymous_memory),
        TAP_CASE(length_is_rounded),
        TAP_CASE(mmap_errors),
        TAP_CASE(fixed_replaces),
        TAP_CASE(fixed_noreplace),
        TAP_CASE(hints),
        TAP_CASE(map_32bit),
        TAP_CASE(protections),
        TAP_CASE(execution),
        TAP_CASE(munmap_errors),
        TAP_CASE(munmap_splits),
        TAP_CASE(neighbours_merge),
        TAP_CASE(shared_anonymous),
        TAP_CASE(special_flags),
        TAP_CASE(address_space_limit),
        TAP_CASE(many_mappings),
        TAP_SLOW_CASE(too_many_mappings, 120),
    };
    return TAP_MAIN(cases);
}
