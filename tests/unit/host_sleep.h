/*
 * Sleeping locks and wait queues where nobody can sleep: a lock that is not free is a failure, and
 * a wait queue has no one in it.
 */
#pragma once

#include "kernel/task/sync.h"
#include "tests/unit/host.h"

void rwsem_init(struct rwsem *sem, u32 rank)
{
    *sem = (struct rwsem){.rank = rank};
}

bool rwsem_try_read(struct rwsem *sem)
{
    if (atomic_load(&sem->state) & RWSEM_WRITER)
        return false;
    atomic_fetch_add(&sem->state, 1);
    return true;
}

bool rwsem_try_write(struct rwsem *sem)
{
    u32 free = 0;

    return atomic_compare_exchange_strong(&sem->state, &free, RWSEM_WRITER);
}

void rwsem_read(struct rwsem *sem)
{
    lock_check_may_sleep();
    if (!rwsem_try_read(sem))
        panic("would wait to read");
}

void rwsem_write(struct rwsem *sem)
{
    lock_check_may_sleep();
    if (!rwsem_try_write(sem))
        panic("would wait to write");
}

void rwsem_read_done(struct rwsem *sem)
{
    u32 state = atomic_fetch_sub(&sem->state, 1);

    if (state == 0 || state & RWSEM_WRITER)
        panic("is not held for reading");
}

void rwsem_write_done(struct rwsem *sem)
{
    if (atomic_exchange(&sem->state, 0) != RWSEM_WRITER)
        panic("is not held for writing");
}

void wait_queue_init(struct wait_queue *queue)
{
    list_init(&queue->waiters);
}

void wait_wake_all(struct wait_queue *queue)
{
    (void)queue;
}
