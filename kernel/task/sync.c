/*
 * sync.c: wait queues, and the reader-writer lock that sleeps.
 *
 * The state word of the lock is all that its fast paths touch:
 *
 *     WAITERS | WRITER | number of readers
 *
 * WAITERS is set and cleared under sem->lock only, and while it is set nobody gets the lock by the
 * fast path: it is handed to the first in the queue (with a reader, to the readers right behind it)
 * by whoever released it last, or by the newcomer that finds it free. So a woken thread owns the
 * lock already, and has nothing to try again.
 *
 * Exactness: a thread sleeps here with no work allowed to wake it, and only who takes it off the
 * queue wakes it.
 */
#include "kernel/task/sync.h"
#include "kernel/base/log.h"
#include "kernel/task/sched.h"

/* --- wait queues --- */

void wait_queue_init(struct wait_queue *queue)
{
    spin_init(&queue->lock, "wait queue", LOCK_WAIT);
    list_init(&queue->waiters);
}

void wait_prepare(struct wait_queue *queue)
{
    u64 flags = spin_lock_irq(&queue->lock);

    list_add_tail(&current_thread()->wait_link, &queue->waiters);
    sched_prepare_sleep();
    spin_unlock_irq(&queue->lock, flags);
}

static void leave(struct wait_queue *queue)
{
    u64 flags = spin_lock_irq(&queue->lock);

    list_remove(&current_thread()->wait_link);
    spin_unlock_irq(&queue->lock, flags);
}

s64 wait_sleep(struct wait_queue *queue, bool interruptible, u64 deadline)
{
    s64 result = sched_sleep_for(interruptible ? WORK_ANY : 0, deadline);

    leave(queue);
    return result;
}

void wait_cancel(struct wait_queue *queue)
{
    leave(queue);
    sched_cancel_sleep();
}

/* True: somebody was woken. Who stands in the queue but is awake (time-out, work) does not
 * count. */
static bool wake_first(struct wait_queue *queue)
{
    while (!list_empty(&queue->waiters)) {
        struct thread *thread = list_first_entry(&queue->waiters, struct thread, wait_link);

        list_remove(&thread->wait_link);
        if (sched_wake(thread, 0))
            return true;
    }
    return false;
}

void wait_wake_one(struct wait_queue *queue)
{
    u64 flags = spin_lock_irq(&queue->lock);

    wake_first(queue);
    spin_unlock_irq(&queue->lock, flags);
}

void wait_wake_all(struct wait_queue *queue)
{
    u64 flags = spin_lock_irq(&queue->lock);

    while (wake_first(queue))
        ;
    spin_unlock_irq(&queue->lock, flags);
}

/* --- the reader-writer lock --- */

#define READERS (RWSEM_WRITER - 1)

struct rwsem_waiter { /* on the sleeper's stack */
    struct list link;
    struct thread *thread;
    bool writer;
};

void rwsem_init(struct rwsem *sem, u32 rank)
{
    atomic_init(&sem->state, 0);
    spin_init(&sem->lock, "sleeping lock", LOCK_WAIT);
    list_init(&sem->waiters);
    sem->rank = rank;
}

static void note_acquire(struct rwsem *sem, bool tried)
{
    if (sem->rank && tried)
        lock_check_tried(sem, sem->rank, "sleeping lock");
    else if (sem->rank)
        lock_check_acquire(sem, sem->rank, "sleeping lock", false);
}

static void note_release(struct rwsem *sem)
{
    if (sem->rank)
        lock_check_release(sem, sem->rank);
}

/* With sem->lock held and WAITERS set: only releases change the state besides us. */
static bool take_if_free(struct rwsem *sem, bool writer)
{
    u32 state = atomic_load(&sem->state);

    if (state & RWSEM_WRITER || (writer && state & READERS))
        return false;
    atomic_fetch_add(&sem->state, writer ? RWSEM_WRITER : 1);
    return true;
}

/* Hands the lock to who is first in the queue. sem->lock is held. */
static void grant(struct rwsem *sem)
{
    while (!list_empty(&sem->waiters)) {
        struct rwsem_waiter *first = list_first_entry(&sem->waiters, struct rwsem_waiter, link);
        struct thread *thread = first->thread;

        if (!take_if_free(sem, first->writer))
            return;
        list_remove(&first->link);
        sched_wake(thread, 0); /* and its stack with `first` is gone */
    }
    atomic_fetch_and(&sem->state, ~RWSEM_WAITERS);
}

static void acquire_slow(struct rwsem *sem, bool writer)
{
    struct rwsem_waiter waiter = {.thread = current_thread(), .writer = writer};
    u64 flags = spin_lock_irq(&sem->lock);

    /* From here on every release that matters comes through sem->lock. */
    atomic_fetch_or(&sem->state, RWSEM_WAITERS);
    if (list_empty(&sem->waiters) && take_if_free(sem, writer)) {
        atomic_fetch_and(&sem->state, ~RWSEM_WAITERS);
        spin_unlock_irq(&sem->lock, flags);
        return;
    }
    list_add_tail(&waiter.link, &sem->waiters);
    sched_prepare_sleep();
    spin_unlock_irq(&sem->lock, flags);
    sched_sleep();
}

static void release_slow(struct rwsem *sem)
{
    u64 flags = spin_lock_irq(&sem->lock);

    grant(sem);
    spin_unlock_irq(&sem->lock, flags);
}

static inline bool read_fast(struct rwsem *sem)
{
    u32 state = atomic_load_explicit(&sem->state, memory_order_relaxed);

    while (likely(!(state & (RWSEM_WRITER | RWSEM_WAITERS))))
        if (likely(atomic_compare_exchange_weak_explicit(
                &sem->state, &state, state + 1, memory_order_acquire, memory_order_relaxed)))
            return true;
    return false;
}

static inline bool write_fast(struct rwsem *sem)
{
    u32 state = 0;

    return likely(atomic_compare_exchange_strong_explicit(
        &sem->state, &state, RWSEM_WRITER, memory_order_acquire, memory_order_relaxed));
}

bool rwsem_try_read(struct rwsem *sem)
{
    bool taken = read_fast(sem);

    if (taken)
        note_acquire(sem, true);
    return taken;
}

bool rwsem_try_write(struct rwsem *sem)
{
    bool taken = write_fast(sem);

    if (taken)
        note_acquire(sem, true);
    return taken;
}

void rwsem_read(struct rwsem *sem)
{
    lock_check_may_sleep();
    note_acquire(sem, false);
    if (!read_fast(sem))
        acquire_slow(sem, false);
}

void rwsem_write(struct rwsem *sem)
{
    lock_check_may_sleep();
    note_acquire(sem, false);
    if (!write_fast(sem))
        acquire_slow(sem, true);
}

void rwsem_read_done(struct rwsem *sem)
{
    u32 old = atomic_fetch_sub_explicit(&sem->state, 1, memory_order_release);

    debug_assert(old & READERS);
    note_release(sem);
    if (unlikely(old & RWSEM_WAITERS) && (old & READERS) == 1)
        release_slow(sem);
}

void rwsem_write_done(struct rwsem *sem)
{
    u32 old = atomic_fetch_and_explicit(&sem->state, ~RWSEM_WRITER, memory_order_release);

    debug_assert(old & RWSEM_WRITER);
    note_release(sem);
    if (unlikely(old & RWSEM_WAITERS))
        release_slow(sem);
}
