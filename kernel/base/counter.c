/*
 * counter.c: where the per-CPU counts live, and their sums.
 */
#include "kernel/base/counter.h"

u64 counter_values[CPU_MAX][(COUNTER_END + 7) & ~7] aligned_to(64);

const char *const counter_names[COUNTER_END] = {
#define COUNTER_NAME(name) #name,
    COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

u64 counter_sum(enum counter counter)
{
    u64 sum = 0;

    for (u32 id = 0; id < cpu_count; id++)
        sum += counter_values[id][counter];
    return sum;
}
