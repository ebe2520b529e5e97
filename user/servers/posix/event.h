/*
 * Waiting inside the server: wait queues, timers, and the threads that are ready to try again.
 *
 * A call that can't finish now is not suspended in the middle: its handler puts the thread on the
 * wait queues concerned, returns WAITING, and is called again from its start when one of them is
 * woken, the deadline has passed or a signal has come. So a handler keeps no state on a stack; what
 * must survive from one try to the next is in struct thread (`tried`, `done`, `deadline`).
 */
#pragma once

#include "lib/list.h"
#include "lib/rbtree.h"
#include "lib/types.h"

struct thread;
struct timespec;

/* Results of a handler that are no result of a system call. */
enum {
    WAITING = -0x10000,  /* the thread sleeps; the handler runs again when it is woken */
    GONE = -0x10001,     /* the thread has ended, or somebody else will answer it */
    RESTORED = -0x10002, /* its registers have been set: let it go on with them */
};

/* Results that ask for the call to be made again after a signal, with Linux's numbers. */
enum {
    ERESTARTSYS = 512,    /* again if no handler ran, or one with SA_RESTART; else EINTR */
    ERESTARTNOHAND = 514, /* again only if no handler ran; else EINTR */
};

struct wait_queue {
    struct list waiters; /* struct waiter.queue_link */
    u64 wakes;           /* how often it was woken */
};

struct waiter {
    struct list queue_link;
    struct list thread_link; /* in thread->waiters */
    struct thread *thread;
};

struct timer {
    struct rb_node node;
    u64 when; /* CLOCK_MONOTONIC in ns; 0 = not armed */
    void (*fire)(struct timer *timer);
};

#define SECOND 1000000000ull

static inline void wait_queue_init(struct wait_queue *queue)
{
    list_init(&queue->waiters);
}

/* Puts a thread on a queue, beside others it may be on already. -ENOMEM. */
long wait_add(struct thread *thread, struct wait_queue *queue);

/*
 * The end of a handler that has put its thread on queues. WAITING; or, when it must not sleep any
 * more, -ERESTARTSYS for a signal or -ETIMEDOUT for a `deadline` (0 = none) that has passed.
 */
long wait_sleep(struct thread *thread, u64 deadline);

/* Both for one queue without a deadline: the usual case. */
long wait_on(struct thread *thread, struct wait_queue *queue);

/* Lets every thread on the queue try again. */
void wait_wake(struct wait_queue *queue);

/* The same when the queue is about to go away: nobody is on it afterwards. */
void wait_queue_end(struct wait_queue *queue);

/* Takes a thread off its queues; it will not be woken any more. */
void wait_forget(struct thread *thread);

/* Lets one sleeping thread try again. */
void wait_retry(struct thread *thread);

/* Runs the handlers of all threads that were woken. */
void wait_run_ready(void);

/* Arms a timer for a time, or disarms it (0). */
void timer_set(struct timer *timer, u64 when);

/* Fires what is due, and arms the port's timer for what comes next. */
void timer_run(void);
void timer_arm_port(void);

/* For times that programs give: is it one, and its length in ns (what is endless is cut). */
bool timespec_is_valid(const struct timespec *time);
u64 timespec_ns(const struct timespec *time);

/* When a point of time comes on CLOCK_MONOTONIC, which it may have been given in; never 0. */
u64 time_from_absolute(u64 ns, bool realtime);

/* CLOCK_MONOTONIC and CLOCK_REALTIME in ns. */
u64 time_now(void);
u64 time_real(void);
