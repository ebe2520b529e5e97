/*
 * Helpers for tests of processes, threads and time.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#include "tap.h"

/* Of futex(2), as far as it is used. */
enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_PRIVATE = 128,
};

static inline long now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000l + now.tv_nsec;
}

/* Sleeps so long, even if signals come. */
static inline void pause_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {
    }
}

/* Waits until the condition holds; gives up, and is false, after so many milliseconds. */
#define eventually(condition, milliseconds)                                                        \
    ({                                                                                             \
        long eventually_end = now_ns(CLOCK_MONOTONIC) + (milliseconds)*1000000l;                   \
        bool eventually_good;                                                                      \
        while (!(eventually_good = (condition)) && now_ns(CLOCK_MONOTONIC) < eventually_end) {     \
            pause_ms(2);                                                                           \
        }                                                                                          \
        eventually_good;                                                                           \
    })

/* Forks a child that runs the function and exits with 0; returns its pid. */
static inline pid_t start(void (*run)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        run();
        _exit(0);
    }
    if (pid < 0) {
        bail("fork");
    }
    return pid;
}

/* Waits for the child; returns its wait status, -1 if it is none of ours. */
static inline int reap(pid_t pid)
{
    int status = -1;
    pid_t got;
    while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR) {
    }
    return got == pid ? status : -1;
}

/* The status of a child that calls exit with this number. */
static inline int exited(int number)
{
    return number << 8;
}

/* What a child does that only has to be there. */
static inline void sleep_forever(void)
{
    for (;;) {
        pause();
    }
}

/* Ends such a child. */
static inline void finish(pid_t pid)
{
    kill(pid, SIGKILL);
    reap(pid);
}
