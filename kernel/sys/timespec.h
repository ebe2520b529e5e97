/*
 * timespec.h: times as programs pass them, and as the kernel counts them: nanoseconds.
 */
#pragma once

#include "kernel/base/errno.h"
#include "kernel/sys/user.h"

#define NS_PER_SECOND 1000000000l
/* No time lies beyond it: longer ones are cut. */
#define NS_MAX INT64_MAX

/* Linux's numbers of clocks. Negative ones belong to a task or thread: sys_time.c. */
enum clock {
    CLOCK_REALTIME = 0,
    CLOCK_MONOTONIC = 1,
    CLOCK_PROCESS_CPUTIME_ID = 2,
    CLOCK_THREAD_CPUTIME_ID = 3,
    CLOCK_MONOTONIC_RAW = 4,
    CLOCK_REALTIME_COARSE = 5,
    CLOCK_MONOTONIC_COARSE = 6,
    CLOCK_BOOTTIME = 7,
    CLOCK_REALTIME_ALARM = 8,
    CLOCK_BOOTTIME_ALARM = 9,
    CLOCK_TAI = 11,
};

struct timespec {
    s64 seconds, nanoseconds;
};

/* 0, -EFAULT, or -EINVAL when it is negative or not normal. */
static inline s64 timespec_read(u64 from, u64 *ns)
{
    struct timespec time;

    if (user_read(&time, from, sizeof(time)))
        return -EFAULT;
    if (time.seconds < 0 || (u64)time.nanoseconds >= NS_PER_SECOND)
        return -EINVAL;
    *ns = time.seconds < NS_MAX / NS_PER_SECOND
              ? (u64)(time.seconds * NS_PER_SECOND + time.nanoseconds)
              : NS_MAX;
    return 0;
}

/* 0 or -EFAULT. */
static inline s64 timespec_write(u64 to, u64 ns)
{
    struct timespec time = {(s64)(ns / NS_PER_SECOND), (s64)(ns % NS_PER_SECOND)};

    return user_write(to, &time, sizeof(time));
}

/* The moment (time_ns) that is `ns` from now; never 0, which means no deadline. */
static inline u64 deadline_after(u64 ns)
{
    u64 now = time_ns();

    return ns < NS_MAX - now ? MAX(now + ns, 1) : NS_MAX;
}

/* The moment at which a clock that is `offset` ahead of time_ns shows `ns`; never 0. */
static inline u64 deadline_at(u64 ns, u64 offset)
{
    return ns > offset ? ns - offset : 1;
}
