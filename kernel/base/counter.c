/*
 * counter.c: names and sums of the counts that each CPU keeps.
 */
#include "kernel/base/counter.h"

const char *const counter_names[COUNTER_END] = {
#define COUNTER_NAME(name) #name,
    COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

u64 counter_sum(enum counter counter)
{
    u64 sum = 0;

    for (u32 id = 0; id < cpu_count; id++)
        sum += *(const volatile u64 *)&cpus[id]->counters[counter];
    return sum;
}
