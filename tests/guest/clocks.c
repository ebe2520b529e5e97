/*
 * Do clocks run, agree and refuse as on Linux, and do sleeps and timer files end in time?
 */
#define _GNU_SOURCE
#include <limits.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

#include "process.h"

#define MS 1000000l
#define LATE (3000 * MS) /* how long an emulator on a busy machine may oversleep */

static struct timespec in_ns(long nanoseconds)
{
    return (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
}

static void burn(long nanoseconds)
{
    long end = now_ns(CLOCK_PROCESS_CPUTIME_ID) + nanoseconds;
    while (now_ns(CLOCK_PROCESS_CPUTIME_ID) < end) {
    }
}

static void forward(void)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW,
                                       CLOCK_REALTIME};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        long before = now_ns(clocks[i]), back = 0, same = 0;
        for (int j = 0; j < 20000; j++) {
            long now = now_ns(clocks[i]);
            back += now < before;
            same += now == before;
            before = now;
        }
        ok_equal(back, 0, "clock %d never runs backwards", clocks[i]);
        ok(same < 20000, "and does run");
    }
    struct timespec time;
    ok_equal(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time), 0, "the call itself");
    ok(time.tv_nsec >= 0 && time.tv_nsec < 1000000000 && time.tv_sec >= 0, "its fields are sound");
}

static void every_clock(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME,           CLOCK_MONOTONIC,
                                       CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                                       CLOCK_MONOTONIC_RAW,      CLOCK_REALTIME_COARSE,
                                       CLOCK_MONOTONIC_COARSE,   CLOCK_BOOTTIME};
    struct timespec time;
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        ok_equal(clock_getres(clocks[i], &time), 0, "clock_getres of clock %d", clocks[i]);
        ok(time.tv_sec == 0 && time.tv_nsec >= 1 && time.tv_nsec <= 10000000, "is fine");
    }
    ok_equal(clock_getres(CLOCK_MONOTONIC, NULL), 0, "clock_getres into nothing");
    ok_errno(clock_getres(77, &time), EINVAL, "no such clock");
    ok_errno(clock_gettime(77, &time), EINVAL, "clock_gettime neither");
    ok_errno(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT, "bad pointer");
    ok_errno(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &time), EINVAL,
             "CLOCK_MONOTONIC can't be set");
}

static void agreement(void)
{
    struct timeval day;
    long real = now_ns(CLOCK_REALTIME);
    ok_equal(syscall(SYS_gettimeofday, &day, NULL), 0, "gettimeofday");
    long other = day.tv_sec * 1000000000 + day.tv_usec * 1000;
    ok(other - real > -2000 && other - real < LATE, "agrees with CLOCK_REALTIME");
    time_t seconds = (time_t)syscall(SYS_time, NULL);
    ok(seconds == day.tv_sec || seconds == day.tv_sec + 1, "as does time");
    ok(seconds > 1700000000, "it is later than 2023");
    long coarse = now_ns(CLOCK_REALTIME_COARSE) - now_ns(CLOCK_REALTIME);
    ok(coarse <= 0 && coarse > -LATE, "a coarse clock is behind the fine one");
    long offset = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC);
    pause_ms(50);
    long drift = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC) - offset;
    ok(drift > -5 * MS && drift < 5 * MS, "two clocks run equally fast (%ld ns)", drift);
    ok_errno(syscall(SYS_gettimeofday, 8, NULL), EFAULT, "bad pointer");
    ok_errno(syscall(SYS_time, 8), EFAULT, "for time");
}

/* One test: the sleep has taken so long and not much longer. */
static void slept(long before, long wanted, const char *what)
{
    long passed = now_ns(CLOCK_MONOTONIC) - before;
    ok(passed >= wanted && passed < wanted + LATE, "%s takes its time (%ld us)", what,
       passed / 1000);
}

static void sleeps(void)
{
    static const long lengths[] = {1, 1000, 100000, 5 * MS, 60 * MS};
    struct timespec time, left = {9, 9};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        long before = now_ns(CLOCK_MONOTONIC);
        time = in_ns(lengths[i]);
        ok_equal(nanosleep(&time, &left), 0, "nanosleep of %ld ns", lengths[i]);
        slept(before, lengths[i], "it");
    }
    ok(left.tv_sec == 9 && left.tv_nsec == 9, "what is left is not written");
    time = in_ns(0);
    ok_equal(nanosleep(&time, NULL), 0, "of nothing");
    time.tv_nsec = 1000000000;
    ok_errno(nanosleep(&time, NULL), EINVAL, "too many nanoseconds");
    time = (struct timespec){-1, 0};
    ok_errno(nanosleep(&time, NULL), EINVAL, "a negative time");
    ok_errno(syscall(SYS_nanosleep, 8, NULL), EFAULT, "bad pointer");
}

static long sleep_on(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    return syscall(SYS_clock_nanosleep, clock, flags, time, left);
}

static void sleeps_until(void)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    struct timespec time;
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        long before = now_ns(CLOCK_MONOTONIC);
        time = in_ns(now_ns(clocks[i]) + 30 * MS);
        ok_equal(sleep_on(clocks[i], TIMER_ABSTIME, &time, NULL), 0, "until a time of clock %d",
                 clocks[i]);
        slept(before, 29 * MS, "it");
    }
    time = in_ns(now_ns(CLOCK_MONOTONIC) - 1000);
    ok_equal(sleep_on(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL), 0, "until a time that is past");
    time = in_ns(20 * MS);
    long before = now_ns(CLOCK_MONOTONIC);
    ok_equal(sleep_on(CLOCK_MONOTONIC, 0, &time, NULL), 0, "clock_nanosleep for a while");
    slept(before, 20 * MS, "it");
    ok_errno(sleep_on(77, 0, &time, NULL), EINVAL, "no such clock");
    ok_errno(sleep_on(CLOCK_THREAD_CPUTIME_ID, 0, &time, NULL), EOPNOTSUPP, "one's own CPU time");
    time.tv_nsec = -1;
    ok_errno(sleep_on(CLOCK_MONOTONIC, 0, &time, NULL), EINVAL, "negative nanoseconds");
}

static void nothing(int number)
{
    (void)number;
}

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 0}, {0, 30000}};
    struct timespec time = {20, 0}, left = {0, 0};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    ok_errno(sleep_on(CLOCK_MONOTONIC, 0, &time, &left), EINTR, "a signal ends a sleep");
    long rest = left.tv_sec * 1000000000 + left.tv_nsec;
    ok(rest < 19990 * MS && rest > 19970 * MS - LATE, "the rest is told");
    left = (struct timespec){5, 5};
    time = in_ns(now_ns(CLOCK_MONOTONIC) + 20000 * MS);
    setitimer(ITIMER_REAL, &timer, NULL);
    ok_errno(sleep_on(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, &left), EINTR, "one until a time too");
    ok(left.tv_sec == 5 && left.tv_nsec == 5, "which has no rest");
    signal(SIGALRM, SIG_IGN);
    long before = now_ns(CLOCK_MONOTONIC);
    time = in_ns(60 * MS);
    setitimer(ITIMER_REAL, &timer, NULL);
    ok_equal(nanosleep(&time, NULL), 0, "an ignored signal does not");
    slept(before, 60 * MS, "it");
}

static void cpu_clocks(void)
{
    long before = now_ns(CLOCK_PROCESS_CPUTIME_ID), thread = now_ns(CLOCK_THREAD_CPUTIME_ID);
    clock_t ticks = clock();
    pause_ms(100);
    ok(now_ns(CLOCK_PROCESS_CPUTIME_ID) - before < 60 * MS, "asleep, CPU time stands still");
    ok(now_ns(CLOCK_THREAD_CPUTIME_ID) - thread < 60 * MS, "for the thread too");
    long start_time = now_ns(CLOCK_MONOTONIC);
    struct rusage first, last;
    getrusage(RUSAGE_SELF, &first);
    burn(50 * MS);
    getrusage(RUSAGE_SELF, &last);
    ok(now_ns(CLOCK_MONOTONIC) - start_time >= 49 * MS, "it is not faster than time itself");
    ok(now_ns(CLOCK_THREAD_CPUTIME_ID) - thread >= 50 * MS, "the thread has used it");
    ok(clock() - ticks >= 50000, "clock counts it");
    long used = (last.ru_utime.tv_sec - first.ru_utime.tv_sec) * 1000000 + last.ru_utime.tv_usec -
                first.ru_utime.tv_usec + (last.ru_stime.tv_sec - first.ru_stime.tv_sec) * 1000000 +
                last.ru_stime.tv_usec - first.ru_stime.tv_usec;
    ok(used >= 30000 && used < 3000000, "getrusage as well (%ld us)", used);
    clockid_t other;
    pid_t pid = start(sleep_forever);
    ok_equal(clock_getcpuclockid(pid, &other), 0, "another process's clock");
    pause_ms(20);
    long its = now_ns(other);
    ok(its >= 0 && its < 1000 * MS, "has hardly begun");
    kill(pid, SIGKILL);
    reap(pid);
}

static void timer_files(void)
{
    uint64_t count = 0;
    struct itimerspec timer = {{0, 0}, {0, 30 * MS}}, left;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    ok(fd >= 0, "timerfd_create");
    ok_errno(read(fd, &count, 8), EAGAIN, "nothing is set");
    long before = now_ns(CLOCK_MONOTONIC);
    ok_equal(timerfd_settime(fd, 0, &timer, NULL), 0, "in 30 ms");
    ok_equal(timerfd_gettime(fd, &left), 0, "timerfd_gettime");
    ok(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 30 * MS, "tells what is left");
    ok_equal(poll(&one, 1, 10000), 1, "poll waits for it");
    slept(before, 30 * MS, "the timer");
    ok(read(fd, &count, 8) == 8 && count == 1, "it has come once");
    ok_errno(read(fd, &count, 8), EAGAIN, "and no more");
    timer.it_interval.tv_nsec = timer.it_value.tv_nsec = 10 * MS;
    timerfd_settime(fd, 0, &timer, NULL);
    pause_ms(55);
    ok(read(fd, &count, 8) == 8 && count >= 5 && count < 1000, "every 10 ms: %lu times", count);
    timer = (struct itimerspec){{0, 0}, in_ns(now_ns(CLOCK_MONOTONIC) + 20 * MS)};
    ok_equal(timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, &left), 0, "at a time");
    ok_equal(left.it_interval.tv_nsec, 10 * MS, "the old setting");
    ok_equal(poll(&one, 1, 10000), 1, "comes");
    timer = (struct itimerspec){{0, 0}, {0, 0}};
    ok_equal(timerfd_settime(fd, 0, &timer, NULL), 0, "turned off");
    ok_errno(read(fd, &count, 8), EAGAIN, "nothing comes");
    ok_errno(read(fd, &count, 4), EINVAL, "too small");
    timer.it_value.tv_nsec = 1000000000;
    ok_errno(timerfd_settime(fd, 0, &timer, NULL), EINVAL, "too many nanoseconds");
    ok_errno(timerfd_settime(0, 0, &left, NULL), EINVAL, "no timer");
    ok_errno(timerfd_create(77, 0), EINVAL, "no such clock");
    ok_errno(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL, "unknown flag");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(forward),      TAP_CASE(every_clock), TAP_CASE(agreement),  TAP_CASE(sleeps),
        TAP_CASE(sleeps_until), TAP_CASE(interrupted), TAP_CASE(cpu_clocks), TAP_CASE(timer_files),
    };
    return TAP_MAIN(cases);
}
