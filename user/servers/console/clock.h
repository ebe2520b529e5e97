/*
 * clock.h: the time, for time-outs.
 */
#pragma once

#include "lib/types.h"
#include <time.h>

#define MILLISECOND 1000000ull

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline u64 clock_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (u64)time.tv_sec * 1000 * MILLISECOND + (u64)time.tv_nsec;
}
