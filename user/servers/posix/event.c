/*
 * See event.h. Timers stand in a red-black tree by time; the kernel's timer of the server's port is
 * armed for the first of them, and only when that has changed.
 */
#include "user/servers/posix/event.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <time.h>

static struct list ready = LIST_INIT(ready);
static struct rb_root timers = RB_ROOT_INIT;
static u64 armed; /* what the port's timer is set to */

static struct waiter *waiter_alloc(struct thread *thread)
{
    if (!thread->waiter.thread)
        return &thread->waiter;
    return malloc(sizeof(struct waiter));
}

long wait_add(struct thread *thread, struct wait_queue *queue)
{
    struct waiter *waiter = waiter_alloc(thread);

    if (!waiter)
        return -ENOMEM;
    waiter->thread = thread;
    list_add_tail(&waiter->queue_link, &queue->waiters);
    list_add_tail(&waiter->thread_link, &thread->waiters);
    return 0;
}

void wait_forget(struct thread *thread)
{
    struct waiter *waiter, *after;

    list_for_each_entry_safe(waiter, after, &thread->waiters, thread_link) {
        list_remove(&waiter->queue_link);
        list_remove(&waiter->thread_link);
        waiter->thread = NULL;
        if (waiter != &thread->waiter)
            free(waiter);
    }
    if (thread->timer.when)
        timer_set(&thread->timer, 0);
    if (thread->ready) {
        list_remove(&thread->ready_link);
        thread->ready = false;
    }
    thread->sleeping = false;
}

static void on_deadline(struct timer *timer)
{
    struct thread *thread = container_of(timer, struct thread, timer);

    thread->timed_out = true;
    wait_retry(thread);
}

long wait_sleep(struct thread *thread, u64 deadline)
{
    if (signal_pending(thread)) {
        wait_forget(thread);
        return -ERESTARTSYS;
    }
    if (deadline && (thread->timed_out || time_now() >= deadline)) {
        wait_forget(thread);
        return -ETIMEDOUT;
    }
    thread->sleeping = true;
    thread->timer.fire = on_deadline;
    if (deadline)
        timer_set(&thread->timer, deadline);
    return WAITING;
}

long wait_on(struct thread *thread, struct wait_queue *queue)
{
    long error = wait_add(thread, queue);

    return error ? error : wait_sleep(thread, 0);
}

void wait_retry(struct thread *thread)
{
    if (thread->ready)
        return;
    thread->ready = true;
    list_add_tail(&thread->ready_link, &ready);
}

void wait_wake(struct wait_queue *queue)
{
    struct waiter *waiter;

    queue->wakes++;
    list_for_each_entry(waiter, &queue->waiters, queue_link)
        wait_retry(waiter->thread);
}

void wait_run_ready(void)
{
    while (!list_empty(&ready)) {
        struct thread *thread = list_first_entry(&ready, struct thread, ready_link);

        list_remove(&thread->ready_link);
        thread->ready = false;
        wait_forget(thread);
        if (!thread->token)
            signal_kick(thread);
        else if (thread->process->stopped && !signal_pending(thread))
            thread->sleeping = true; /* signal_continue lets it try again */
        else
            call_run(thread);
    }
}

void wait_queue_end(struct wait_queue *queue)
{
    struct waiter *waiter, *after;

    wait_wake(queue);
    list_for_each_entry_safe(waiter, after, &queue->waiters, queue_link)
        list_remove(&waiter->queue_link);
}

static bool timer_less(const struct rb_node *a, const struct rb_node *b)
{
    return rb_entry(a, struct timer, node)->when < rb_entry(b, struct timer, node)->when;
}

void timer_set(struct timer *timer, u64 when)
{
    if (timer->when)
        rb_remove(&timers, &timer->node);
    timer->when = when;
    if (when)
        rb_insert(&timers, &timer->node, timer_less);
}

static struct timer *timer_first(void)
{
    return rb_entry_or_null(rb_first(&timers), struct timer, node);
}

void timer_run(void)
{
    struct timer *timer = timer_first();
    u64 now = timer ? time_now() : 0;

    armed = 0;
    while (timer && timer->when <= now) {
        timer_set(timer, 0);
        timer->fire(timer);
        timer = timer_first();
    }
}

void timer_arm_port(void)
{
    struct timer *timer = timer_first();
    u64 when = timer ? timer->when : 0;

    if (when == armed)
        return;
    armed = when;
    mg_port_timer(server_port, when);
}

static u64 read_clock(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (u64)time.tv_sec * SECOND + (u64)time.tv_nsec;
}

u64 time_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

u64 time_real(void)
{
    return read_clock(CLOCK_REALTIME);
}

bool timespec_is_valid(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < (long)SECOND;
}

u64 timespec_ns(const struct timespec *time)
{
    return MIN((u64)time->tv_sec, (u64)UINT32_MAX * 2) * SECOND + (u64)time->tv_nsec;
}

u64 time_from_absolute(u64 ns, bool realtime)
{
    u64 now = time_now(), shift = realtime ? time_real() - now : 0;

    return MAX(ns > shift ? ns - shift : 0, now);
}
