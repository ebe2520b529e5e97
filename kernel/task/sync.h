/*
 * sync.h: locks that sleep, and wait queues. Never from interrupt context, never under a spinlock
 * (except try and wake, which don't sleep).
 */
#pragma once

#include "kernel/base/lock.h"
#include "lib/list.h"

struct wait_queue {
    struct spinlock lock; /* LOCK_WAIT, interrupts off */
    struct list waiters;  /* thread.wait_link */
};
void wait_queue_init(struct wait_queue *queue);
#define WAIT_QUEUE_INIT(queue) {SPINLOCK_INIT("wait queue", LOCK_WAIT), LIST_INIT((queue).waiters)}
/* To sleep: wait_prepare, then check the condition, then wait_sleep or wait_cancel. A wake between
 * the check and the sleep is not lost. Sleeps until woken (0), until work is pending (-EINTR, if
 * interruptible) or `deadline` (-ETIMEDOUT; time_ns, 0 = none). */
void wait_prepare(struct wait_queue *queue);
s64 wait_sleep(struct wait_queue *queue, bool interruptible, u64 deadline);
void wait_cancel(struct wait_queue *queue);
void wait_wake_all(struct wait_queue *queue);
void wait_wake_one(struct wait_queue *queue);

/*
 * A reader-writer lock, first come first served: a reader that comes while a writer waits queues
 * behind it, so that a stream of faults can't starve munmap, nor the other way round. The
 * uncontended paths are one atomic instruction. A reader must not take it again (a writer may wait
 * between); try may.
 */
struct rwsem {
    _Atomic u32 state; /* readers | RWSEM_WRITER | RWSEM_WAITERS */
    struct spinlock lock;
    struct list waiters;
    u32 rank; /* lock order, for the debug build; 0 = not checked */
};
#define RWSEM_WAITERS 0x80000000u /* somebody sleeps: every change goes through `lock` */
#define RWSEM_WRITER 0x40000000u
void rwsem_init(struct rwsem *sem, u32 rank);
void rwsem_read(struct rwsem *sem);
bool rwsem_try_read(struct rwsem *sem);
void rwsem_read_done(struct rwsem *sem);
void rwsem_write(struct rwsem *sem);
bool rwsem_try_write(struct rwsem *sem);
void rwsem_write_done(struct rwsem *sem);

struct mutex {
    struct rwsem sem; /* held for writing */
};
static inline void mutex_init(struct mutex *mutex, u32 rank)
{
    rwsem_init(&mutex->sem, rank);
}
static inline void mutex_lock(struct mutex *mutex)
{
    rwsem_write(&mutex->sem);
}
static inline void mutex_unlock(struct mutex *mutex)
{
    rwsem_write_done(&mutex->sem);
}
