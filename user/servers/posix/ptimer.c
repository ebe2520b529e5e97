/*
 * The timers of POSIX: timer_create and its relatives. A process may have many; each sends a signal
 * when it expires, to the process or to one of its threads.
 *
 * A timer has at most one signal under way. What expires meanwhile is counted in that signal's
 * si_overrun.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMERS_MAX 1024 /* of one process */
#define TO_THREAD 4     /* SIGEV_THREAD_ID */
#define OVERRUN_MAX INT32_MAX
#define SIGEVENT_BYTES 64

struct ptimer {
    struct list link; /* in process->ptimers */
    struct process *process;
    u32 id;
    struct timer timer;
    u64 due, interval;
    bool realtime; /* absolute times are of CLOCK_REALTIME */
    int notify, signal;
    u32 tid;
    union sigval value;
    u64 overrun;
};

static struct ptimer *find(const struct process *process, u64 id)
{
    struct ptimer *timer;

    list_for_each_entry(timer, &process->ptimers, link) {
        if (timer->id == (u32)id)
            return timer;
    }
    return NULL;
}

static void arm(struct ptimer *timer, u64 when)
{
    timer->due = when;
    timer_set(&timer->timer, when);
}

/* Sends the timer's signal, or adds to the one that is still under way. */
static void notify(struct ptimer *timer, u64 times)
{
    struct thread *thread = timer->notify == TO_THREAD ? thread_find(timer->tid) : NULL;
    struct pending *pending = thread ? &thread->pending : &timer->process->pending;
    siginfo_t info, *queued = signal_find_timer(pending, timer->signal, (int)timer->id);

    if (timer->notify == SIGEV_NONE || (timer->notify == TO_THREAD && !thread))
        return;
    timer->overrun = MIN((queued ? timer->overrun + 1 : 0) + times - 1, (u64)OVERRUN_MAX);
    if (queued) {
        queued->si_overrun = (int)timer->overrun;
        return;
    }
    memset(&info, 0, sizeof info);
    info.si_code = SI_TIMER;
    info.si_timerid = (int)timer->id;
    info.si_overrun = (int)timer->overrun;
    info.si_value = timer->value;
    if (thread)
        signal_send_thread(thread, timer->signal, &info);
    else
        signal_send_process(timer->process, timer->signal, &info);
}

static void fire(struct timer *base)
{
    struct ptimer *timer = container_of(base, struct ptimer, timer);
    u64 times = timer->interval ? (time_now() - timer->due) / timer->interval + 1 : 1;

    notify(timer, times);
    arm(timer, timer->interval ? timer->due + times * timer->interval : 0);
}

static void delete (struct ptimer *timer)
{
    timer_set(&timer->timer, 0);
    list_remove(&timer->link);
    free(timer);
}

void ptimers_delete(struct process *process)
{
    struct ptimer *timer, *after;

    list_for_each_entry_safe(timer, after, &process->ptimers, link)
        delete (timer);
}

/* What the timer is to do; without an event, SIGALRM with its number. */
static long take_event(struct thread *thread, u64 address, struct ptimer *timer)
{
    u8 bytes[SIGEVENT_BYTES];
    struct sigevent event;
    const struct thread *target;

    timer->notify = SIGEV_SIGNAL;
    timer->signal = SIGALRM;
    timer->value.sival_int = (int)timer->id;
    if (!address)
        return 0;
    if (user_get(thread, bytes, address, sizeof bytes))
        return -EFAULT;
    memcpy(&event, bytes, MIN(sizeof event, sizeof bytes));
    timer->notify = event.sigev_notify;
    timer->signal = event.sigev_signo;
    timer->value = event.sigev_value;
    memcpy(&timer->tid, bytes + 16, sizeof timer->tid); /* _sigev_un._tid */
    if (timer->notify == SIGEV_NONE)
        return 0;
    if (timer->signal < 1 || timer->signal > SIGNALS)
        return -EINVAL;
    if (timer->notify != TO_THREAD)
        return timer->notify == SIGEV_SIGNAL ? 0 : -EINVAL;
    target = thread_find(timer->tid);
    return target && target->process == thread->process ? 0 : -EINVAL;
}

long call_timer_create(struct thread *thread, const u64 *args)
{
    struct process *process = thread->process;
    u32 clock = (u32)args[0];
    struct ptimer *timer;
    long error;

    if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
        return -EOPNOTSUPP;
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
        return -EINVAL;
    timer = list_length(&process->ptimers) < TIMERS_MAX ? calloc(1, sizeof *timer) : NULL;
    if (!timer)
        return -EAGAIN;
    timer->id = process->next_ptimer;
    timer->process = process;
    timer->realtime = clock == CLOCK_REALTIME;
    timer->timer.fire = fire;
    error = take_event(thread, args[1], timer);
    if (!error)
        error = user_put(thread, args[2], &timer->id, sizeof timer->id);
    if (error) {
        free(timer);
        return error;
    }
    process->next_ptimer++;
    list_add_tail(&timer->link, &process->ptimers);
    return 0;
}

static struct itimerspec value_of(const struct ptimer *timer)
{
    u64 now = time_now(), when = timer->timer.when;
    u64 left = !when ? 0 : when > now ? when - now : 1;

    return (struct itimerspec){
        .it_interval = {(time_t)(timer->interval / SECOND), (long)(timer->interval % SECOND)},
        .it_value = {(time_t)(left / SECOND), (long)(left % SECOND)},
    };
}

long call_timer_gettime(struct thread *thread, const u64 *args)
{
    const struct ptimer *timer = find(thread->process, args[0]);
    struct itimerspec now;

    if (!timer)
        return -EINVAL;
    now = value_of(timer);
    return user_put(thread, args[1], &now, sizeof now);
}

long call_timer_settime(struct thread *thread, const u64 *args)
{
    struct ptimer *timer = find(thread->process, args[0]);
    struct itimerspec old, new;
    u64 value;

    if (user_get(thread, &new, args[2], sizeof new))
        return -EFAULT;
    if (!timer || !timespec_is_valid(&new.it_value) || !timespec_is_valid(&new.it_interval))
        return -EINVAL;
    old = value_of(timer);
    value = timespec_ns(&new.it_value);
    timer->interval = value ? timespec_ns(&new.it_interval) : 0;
    timer->overrun = 0;
    if (value && args[1] & TIMER_ABSTIME)
        value = time_from_absolute(value, timer->realtime);
    else if (value)
        value += time_now();
    arm(timer, value);
    return args[3] ? user_put(thread, args[3], &old, sizeof old) : 0;
}

long call_timer_getoverrun(struct thread *thread, const u64 *args)
{
    const struct ptimer *timer = find(thread->process, args[0]);

    return timer ? (long)timer->overrun : -EINVAL;
}

long call_timer_delete(struct thread *thread, const u64 *args)
{
    struct ptimer *timer = find(thread->process, args[0]);

    if (!timer)
        return -EINVAL;
    delete (timer);
    return 0;
}
