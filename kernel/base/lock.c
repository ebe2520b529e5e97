/*
 * lock.c: spinning, and the debug build's check of the lock order.
 *
 * The check keeps, for each CPU, a stack of the locks it holds. Kernel code is not preempted and
 * spinlocks are not held across a sleep, so "held by this CPU" is "held by this thread". Sleeping
 * locks go to the same stack only as long as their holder stays on the CPU; sync.c takes them off
 * around a sleep.
 */
#include "kernel/base/lock.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/cpu.h"
#include "kernel/base/log.h"

void spin_init(struct spinlock *lock, const char *name, enum lock_rank rank)
{
#ifdef MG_DEBUG
    *lock = (struct spinlock)SPINLOCK_INIT(name, rank);
#else
    (void)name, (void)rank;
    *lock = (struct spinlock){0};
#endif
}

void spin_wait(void)
{
    cpu_relax();
    if (shootdown_hook)
        shootdown_hook();
}

void spin_lock_slow(struct spinlock *lock)
{
    do
        while (atomic_load_explicit(&lock->held, memory_order_relaxed))
            spin_wait();
    while (!spin_try_raw(lock));
}

u64 spin_lock_irq(struct spinlock *lock)
{
    u64 flags = irq_save();

    spin_lock(lock);
    return flags;
}

void spin_unlock_irq(struct spinlock *lock, u64 flags)
{
    spin_unlock(lock);
    irq_restore(flags);
}

#ifdef MG_DEBUG

static bool lock_checks_off; /* after a panic nobody wants a second one */

static void note_held(struct cpu *cpu, const void *lock, u32 rank, const char *name)
{
    if (cpu->held_count < ARRAY_LEN(cpu->held))
        cpu->held[cpu->held_count++] = (struct held_lock){lock, rank, cpu->interrupt_depth, name};
}

void lock_check_acquire(const void *lock, u32 rank, const char *name, bool nested)
{
    u64 flags = irq_save();
    struct cpu *cpu = this_cpu();

    for (u32 i = 0; i < cpu->held_count && !lock_checks_off; i++) {
        const struct held_lock *held = &cpu->held[i];

        if (held->depth != cpu->interrupt_depth)
            continue;
        if (held->lock == lock || held->rank > rank || (held->rank == rank && !nested)) {
            lock_checks_off = true;
            panic("lock order: takes %s (rank %u) while holding %s (rank %u)", name, rank,
                  held->name, held->rank);
        }
    }
    note_held(cpu, lock, rank, name);
    irq_restore(flags);
}

void lock_check_tried(const void *lock, u32 rank, const char *name)
{
    u64 flags = irq_save();

    note_held(this_cpu(), lock, rank, name);
    irq_restore(flags);
}

void lock_check_release(const void *lock, u32 rank)
{
    u64 flags = irq_save();
    struct cpu *cpu = this_cpu();
    u32 at = cpu->held_count;

    (void)rank;
    while (at > 0 && cpu->held[at - 1].lock != lock)
        at--;
    for (; at > 0 && at < cpu->held_count; at++)
        cpu->held[at - 1] = cpu->held[at];
    if (at > 0)
        cpu->held_count--;
    irq_restore(flags);
}

void lock_check_may_sleep(void)
{
    struct cpu *cpu = this_cpu();

    for (u32 i = 0; i < cpu->held_count && !lock_checks_off; i++)
        if (cpu->held[i].rank >= LOCK_HANDLES) {
            lock_checks_off = true;
            panic("sleeps while holding the spinlock %s", cpu->held[i].name);
        }
}

static void owner_set(struct spinlock *lock, bool nested)
{
    lock_check_acquire(lock, lock->rank, lock->name, nested);
    lock->owner = this_cpu()->id;
}

void spin_lock(struct spinlock *lock)
{
    /* Taking it would spin for ever: say so while the backtrace is still there. */
    if (atomic_load_explicit(&lock->held, memory_order_relaxed) && lock->owner == this_cpu()->id &&
        !lock_checks_off)
        panic("takes %s, which this CPU holds already", lock->name);
    if (!spin_try_raw(lock))
        spin_lock_slow(lock);
    owner_set(lock, false);
}

void spin_lock_nested(struct spinlock *lock)
{
    if (!spin_try_raw(lock))
        spin_lock_slow(lock);
    owner_set(lock, true);
}

bool spin_trylock(struct spinlock *lock)
{
    if (!spin_try_raw(lock))
        return false;
    lock_check_tried(lock, lock->rank, lock->name);
    lock->owner = this_cpu()->id;
    return true;
}

void spin_unlock(struct spinlock *lock)
{
    debug_assert(atomic_load_explicit(&lock->held, memory_order_relaxed));
    lock->owner = ~0u;
    lock_check_release(lock, lock->rank);
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
