/*
 * The interval timers of a process: alarm, getitimer and setitimer.
 *
 * ITIMER_REAL is a timer of the clock. The two that count CPU time can't run out sooner than the
 * CPU time that is left, shared out over the process's threads, takes on the clock; so a timer is
 * set for then, and looks how much has really been used.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <sys/time.h>

#define LOOK_NS 4000000 /* at least this long between two looks at the CPU time */

static const int signals[ITIMERS] = {SIGALRM, SIGVTALRM, SIGPROF};

/* The clock that a timer counts by. */
static u64 clock_of(struct process *process, u32 which)
{
    struct usage usage;

    if (which == ITIMER_REAL)
        return time_now();
    process_get_usage(process, &usage);
    return usage.user_ns + (which == ITIMER_PROF ? usage.kernel_ns : 0);
}

/* Sets the timer behind an interval timer for when it could have run out. */
static void schedule(struct interval_timer *timer, u32 which)
{
    struct process *process = timer->process;
    u64 left;

    if (which == ITIMER_REAL) {
        timer_set(&timer->timer, timer->expires);
        return;
    }
    left = timer->expires - MIN(timer->expires, clock_of(process, which));
    left /= MAX(process->thread_count, 1u);
    timer_set(&timer->timer, time_now() + MAX(left, (u64)LOOK_NS));
}

static void fire(struct timer *base)
{
    struct interval_timer *timer = container_of(base, struct interval_timer, timer);
    u32 which = (u32)(timer - timer->process->itimers);
    u64 now = clock_of(timer->process, which);

    if (now >= timer->expires) {
        u64 missed = timer->interval ? (now - timer->expires) / timer->interval + 1 : 0;

        timer->expires = timer->interval ? timer->expires + missed * timer->interval : 0;
        signal_send_process(timer->process, signals[which], NULL);
    }
    if (timer->expires)
        schedule(timer, which);
}

/* Sets a timer to run out after `value`, then every `interval`; 0 = never. Both in ns. */
static void set(struct process *process, u32 which, u64 value, u64 interval)
{
    struct interval_timer *timer = &process->itimers[which];

    timer->process = process;
    timer->timer.fire = fire;
    timer->interval = value ? interval : 0;
    timer->expires = value ? clock_of(process, which) + value : 0;
    if (value)
        schedule(timer, which);
    else
        timer_set(&timer->timer, 0);
}

/* How long a timer has still to run; never 0 for one that is set. */
static u64 left_of(struct process *process, u32 which)
{
    u64 expires = process->itimers[which].expires, now;

    if (!expires)
        return 0;
    now = clock_of(process, which);
    return expires > now ? expires - now : 1000;
}

void itimers_stop(struct process *process)
{
    for (u32 which = 0; which < ITIMERS; which++)
        timer_set(&process->itimers[which].timer, 0);
}

static struct itimerval value_of(struct process *process, u32 which)
{
    u64 left = left_of(process, which), interval = process->itimers[which].interval;

    return (struct itimerval){
        .it_interval = {(time_t)(interval / SECOND), (suseconds_t)(interval % SECOND / 1000)},
        .it_value = {(time_t)(left / SECOND), (suseconds_t)(left % SECOND / 1000)},
    };
}

static bool is_valid(const struct timeval *value)
{
    return value->tv_sec >= 0 && value->tv_usec >= 0 && value->tv_usec < 1000000;
}

/* Whole seconds beyond 2^32 are as good as never. */
static u64 ns_of(const struct timeval *value)
{
    return MIN((u64)value->tv_sec, (u64)UINT32_MAX) * SECOND + (u64)value->tv_usec * 1000;
}

long call_getitimer(struct thread *thread, const u64 *args)
{
    struct itimerval now;

    if (args[0] >= ITIMERS)
        return -EINVAL;
    now = value_of(thread->process, (u32)args[0]);
    return user_put(thread, args[1], &now, sizeof now);
}

long call_setitimer(struct thread *thread, const u64 *args)
{
    struct itimerval old, new = {0};

    if (args[0] >= ITIMERS)
        return -EINVAL;
    if (args[1] && user_get(thread, &new, args[1], sizeof new))
        return -EFAULT;
    if (!is_valid(&new.it_value) || !is_valid(&new.it_interval))
        return -EINVAL;
    old = value_of(thread->process, (u32)args[0]);
    set(thread->process, (u32)args[0], ns_of(&new.it_value), ns_of(&new.it_interval));
    return args[2] ? user_put(thread, args[2], &old, sizeof old) : 0;
}

long call_alarm(struct thread *thread, const u64 *args)
{
    u64 left = left_of(thread->process, ITIMER_REAL);

    set(thread->process, ITIMER_REAL, (u32)args[0] * SECOND, 0);
    return (long)MAX((left + SECOND / 2) / SECOND, (u64)(left != 0));
}
