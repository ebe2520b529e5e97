/*
 * Does brk move the end of the heap, as a kernel call: returning the new end, or the old one where
 * it can't?
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>

#include "memory.h"

static long kernel_brk(long end)
{
    return syscall(SYS_brk, end);
}

static void grows_and_shrinks(void)
{
    long start = kernel_brk(0);
    ok(start > 0, "brk(0) tells the end");
    ok_equal(kernel_brk(start + 3 * (long)PAGE), start + 3 * (long)PAGE, "it grows");
    ok_equal(kernel_brk(0), start + 3 * (long)PAGE, "and says so");
    byte *heap = (byte *)((start + (long)PAGE - 1) & ~((long)PAGE - 1));
    ok(page_is_zero(heap) && page_is_zero(heap + PAGE), "zero");
    fill_page(heap, 1);
    fill_page(heap + PAGE, 2);
    ok_equal(kernel_brk((long)heap + (long)PAGE), heap + PAGE, "it shrinks");
    ok(page_holds(heap, 1), "what remains is there");
    ok_equal(touch_read(heap + PAGE), SIGSEGV, "what is gone faults");
    ok_equal(kernel_brk((long)heap + 3 * (long)PAGE), heap + 3 * PAGE, "it grows again");
    ok(page_is_zero(heap + PAGE), "and is zero again");
}

static void any_byte_is_an_end(void)
{
    long start = kernel_brk(0);
    ok_equal(kernel_brk(start + 1), start + 1, "one byte more");
    ok_equal(kernel_brk(start + 4097), start + 4097, "4,096 more");
    ok_equal(kernel_brk(start), start, "back");
}

static void refuses(void)
{
    long start = kernel_brk(0);
    kernel_brk(start + (long)PAGE);
    long end = kernel_brk(0);
    ok_equal(kernel_brk(-1), end, "an address that is none changes nothing");
    ok_equal(kernel_brk((long)PAGE), end, "nor one below the heap");
    ok_equal(kernel_brk(0x7fffffffffff), end, "nor one far beyond");
    byte *wall = mmap((byte *)((end + 4 * (long)PAGE) & ~((long)PAGE - 1)), PAGE, PROT_NONE,
                      ANON | MAP_FIXED, -1, 0);
    ok_equal(kernel_brk((long)wall + (long)PAGE), end, "nor one behind another mapping");
}

static void data_limit(void)
{
    struct rlimit limit = {.rlim_cur = 4ul << 20, .rlim_max = RLIM_INFINITY};
    long start = kernel_brk(0);
    ok_equal(setrlimit(RLIMIT_DATA, &limit), 0, "RLIMIT_DATA of 4 MB");
    ok_equal(kernel_brk(start + (64l << 20)), start, "the heap does not grow beyond it");
    ok_equal(kernel_brk(start + (1l << 20)), start + (1l << 20), "but below");
}

static void shown_in_maps(void)
{
    long start = kernel_brk(0);
    kernel_brk(start + 16 * (long)PAGE);
    *(volatile byte *)(start + 8 * (long)PAGE) = 1;
    char line[256];
    bool found = false;
    struct lines *lines = lines_open("/proc/self/maps");
    while (lines && lines_next(lines, line, sizeof line)) {
        unsigned long from, to;
        found |= strstr(line, "[heap]") && sscanf(line, "%lx-%lx", &from, &to) == 2 &&
                 (long)from <= start && (long)to >= start + 16 * (long)PAGE;
    }
    ok(found, "/proc/self/maps names it [heap]");
}

static void forked_heap(void)
{
    long start = kernel_brk(0);
    kernel_brk(start + 2 * (long)PAGE);
    volatile byte *at = (byte *)start + PAGE;
    *at = 5;
    pid_t pid = fork();
    if (pid == 0) {
        bool good = kernel_brk(0) == start + 2 * (long)PAGE && *at == 5;
        *at = 6;
        good &= kernel_brk(start + 8 * (long)PAGE) == start + 8 * (long)PAGE;
        _exit(!good);
    }
    int status;
    waitpid(pid, &status, 0);
    ok_equal(status, 0, "a child has the heap and moves its end");
    ok(*at == 5 && kernel_brk(0) == start + 2 * (long)PAGE, "the parent's is its own");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(grows_and_shrinks), TAP_CASE(any_byte_is_an_end), TAP_CASE(refuses),
        TAP_CASE(data_limit),        TAP_CASE(shown_in_maps),      TAP_CASE(forked_heap),
    };
    return TAP_MAIN(cases);
}
