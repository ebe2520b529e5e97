/*
 * System calls that do nothing: what entering and leaving the kernel costs.
 *
 * On Linux the kernel serves all of them. On Merganser it serves gettid and sched_yield itself,
 * while getppid is a message to the system server and back: two switches between address spaces.
 */
#include <sys/syscall.h>

#include "bench.h"

#define CALLS 1000

/* Makes `number` without arguments, past the C library, which caches some answers. */
static inline long call_raw(long number)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
    return result;
}

static double call_round(long number)
{
    uint64_t start = bench_now();
    for (int i = 0; i < CALLS; i++)
        call_raw(number);
    return (double)bench_since(start) / CALLS;
}

static double call_gettid(void)
{
    return call_round(SYS_gettid);
}

static double call_yield(void)
{
    return call_round(SYS_sched_yield);
}

static double call_getppid(void)
{
    return call_round(SYS_getppid);
}

const struct figure call_figures[] = {
    {"call", "gettid: an empty call that the kernel serves", call_gettid, 9, false},
    {"call_yield", "sched_yield with nobody else to run", call_yield, 9, false},
    {"call_getppid", "getppid (on Merganser: forwarded to the system server)", call_getppid, 9,
     false},
    {0},
};
