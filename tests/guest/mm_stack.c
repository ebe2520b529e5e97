/*
 * Do stacks grow, as far as they may and no further, and does a guard stop them?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>

#include "memory.h"

#define GAP 256 /* pages that Linux keeps free between a growing mapping and a readable one */

static void main_stack(void)
{
    char line[256];
    bool found = false;
    unsigned long start = 0, end = 0, here = (unsigned long)line;
    struct lines *lines = lines_open("/proc/self/maps");
    while (lines && lines_next(lines, line, sizeof line)) {
        if (strstr(line, "[stack]")) {
            found = sscanf(line, "%lx-%lx", &start, &end) == 2;
        }
    }
    ok(found && here >= start && here < end, "/proc/self/maps names the stack, and it is there");
}

__attribute__((noinline)) static size_t recurse(size_t depth)
{
    volatile byte frame[4000];
    frame[0] = (byte)depth;
    frame[3999] = (byte)(depth >> 8);
    size_t below = depth > 0 ? recurse(depth - 1) : 0;
    return frame[0] == (byte)depth && frame[3999] == (byte)(depth >> 8) ? below + 1 : 0;
}

static void deep_recursion(void)
{
    ok_equal(recurse(1500), 1501, "6 MB of stack, page by page");
}

static void far_below(void)
{
    volatile byte *here = (byte *)__builtin_frame_address(0);
    ok_equal(touch_write(here - 2 * 1024 * 1024), 0, "2 MB below in one step");
    ok(here[-1024 * 1024] == 0, "what lies between is zero");
}

static volatile bool endless = true;

__attribute__((noinline)) static void overflow(size_t depth)
{
    volatile byte frame[4096];
    frame[depth % 4096] = 1;
    if (endless) {
        overflow(depth + 1);
    }
    frame[0] = frame[1];
}

static void on_overflow(int number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(number == SIGSEGV && info->si_code == SEGV_MAPERR ? 42 : 1);
}

static void overflow_with_alternate_stack(void)
{
    stack_t other = {.ss_sp = map_pages(8, RW), .ss_size = 8 * PAGE};
    struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&other, NULL);
    sigaction(SIGSEGV, &action, NULL);
    overflow(0);
}

static void overflow_without(void)
{
    struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    overflow(0);
}

static void set_stack_limit(size_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_STACK, &limit);
}

static void overflows(void)
{
    set_stack_limit(1024 * 1024);
    int status = tap_child(overflow_with_alternate_stack);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 42,
       "beyond RLIMIT_STACK: SIGSEGV on the alternate stack");
    ok_equal(tap_child_signal(overflow_without), SIGSEGV,
             "without one the signal kills, handler or not");
}

/* A growing mapping of one page with `room` free pages below it; below is a mapping or a hole. */
static byte *growing(size_t room, bool mapped_below)
{
    byte *area = map_pages(room + 2, PROT_READ);
    if (munmap(area + mapped_below * PAGE, (room + 2 - mapped_below) * PAGE) < 0) {
        bail("munmap");
    }
    byte *page = area + (room + 1) * PAGE;
    if (mmap(page, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0) != page) {
        bail("mmap of a growing page");
    }
    return page;
}

static void grows_down(void)
{
    byte *page = growing(1000, true);
    ok(smaps_flag(page, "gd"), "MAP_GROWSDOWN marks the mapping");
    page[0] = 1;
    ok_equal(touch_write(page - 1), 0, "a byte below");
    ok_maps(page - 4 * PAGE, 5, "3-5:rw-p", "makes it a page longer");
    ok_equal(touch_write(page - 20 * PAGE), 0, "twenty pages below");
    ok_maps(page - 30 * PAGE, 31, "10-31:rw-p", "makes it that much longer");
    ok(page[0] == 1 && page[-1] == 0x5a && page_is_zero(page - 10 * PAGE),
       "its content is in place");
    ok_equal(touch_read(page - 30 * PAGE), 0, "reading makes it grow too");
    ok_maps(page - 40 * PAGE, 41, "10-41:rw-p", "as far");
}

static void keeps_its_distance(void)
{
    byte *page = growing(GAP + 10, true);
    ok_equal(touch_write(page - 10 * PAGE), 0, "down to 256 pages above another mapping");
    ok_equal(touch_write(page - 12 * PAGE), SIGSEGV, "not nearer");
    page = growing(GAP - 1, true);
    ok_equal(touch_write(page - 1), SIGSEGV, "not at all if it is that near");
    ok_equal(fault_last.code, SEGV_MAPERR, "SEGV_MAPERR");
}

static void stops_at_the_limit(void)
{
    byte *page = growing(2000, true);
    set_stack_limit(64 * PAGE);
    ok_equal(touch_write(page - 50 * PAGE), 0, "within RLIMIT_STACK");
    ok_equal(touch_write(page - 70 * PAGE), SIGSEGV, "not beyond");
}

static void protected_as_a_whole(void)
{
    byte *page = growing(1000, true);
    touch_write(page - 3 * PAGE);
    ok_equal(mprotect(page, PAGE, PROT_READ | PROT_GROWSDOWN), 0, "PROT_GROWSDOWN");
    ok_maps(page - 5 * PAGE, 6, "2-6:r--p", "reaches down to the mapping's beginning");
}

static void *touch_below(void *stack)
{
    return (void *)(long)touch_write((byte *)stack - 1);
}

static void thread_guard(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    byte *area = map_island(16, PROT_NONE);
    void *result = NULL;
    mprotect(area + PAGE, 15 * PAGE, RW);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, area + PAGE, 15 * PAGE);
    ok_equal(pthread_create(&thread, &attributes, touch_below, area + PAGE), 0,
             "a thread on a stack of ours");
    pthread_join(thread, &result);
    ok_equal((long)result, SIGSEGV, "meets the guard below it");
    ok_equal(fault_last.code, SEGV_ACCERR, "SEGV_ACCERR");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(main_stack),   TAP_CASE(deep_recursion),     TAP_CASE(far_below),
        TAP_CASE(overflows),    TAP_CASE(grows_down),         TAP_CASE(keeps_its_distance),
        TAP_CASE(thread_guard), TAP_CASE(stops_at_the_limit), TAP_CASE(protected_as_a_whole),
    };
    return TAP_MAIN(cases);
}
