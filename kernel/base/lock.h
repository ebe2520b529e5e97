/*
 * lock.h: spinlocks, and the one lock order of the kernel.
 *
 * A thread takes locks downwards in this list only. The number is the rank that debug builds check:
 * a lock may be taken while holding another only if its rank is higher (equal ranks need
 * spin_lock_nested and a reason).
 *
 *     80 audit                  sleeping; one recount of all frames at a time
 *      90 ksm_scan_mutex        sleeping; a stretch of scanning, a change of ksm.run
 *       100 mm->lock            sleeping, reader-writer; fork: the parent's, then the new child's
 *        150 object->lock       sleeping; a fault on an object, resize, map
 *         200 handle table      handle lookup and install
 *         220 lineage           a walk takes the mappers' mm->lock under it, by trylock; lists of
 *                               all spaces and of all objects
 *          250 page table       a bit in struct frame: the entries of one leaf table
 *           270 ksm             merge index, stable nodes, item lists
 *            300 port           its queues and notifications
 *             310 futex bucket  two of them in the order of their addresses
 *              315 task         its space and the list of its threads
 *               320 thread      parking, and being let go
 *                330 wait       wait queues, the queue of a sleeping lock, pools of structures
 *                 350 device    a driver's queue of requests
 *                400 run queue
 *                 410 timers
 *                  500 slab cache
 *                   510 zone    the buddy system of a node
 *                    590 arch   I/O APIC, interrupt lines, stack slots
 *                     600 log   taken last, anywhere
 *
 * Those down to the object sleep, the others spin. Locks that an interrupt handler takes (port and
 * wait to timers, arch, log) are always taken with interrupts off. Shootdown has its own rule: its
 * initiator holds no spinlock with interrupts off, and whoever spins with interrupts off answers
 * shootdowns in the loop (spin_wait does), so a lock and a shootdown can't wait for each other.
 */
#pragma once

#include "lib/types.h"

#include <stdatomic.h>

enum lock_rank {
    LOCK_AUDIT = 80,
    LOCK_KSM_SCAN = 90,
    LOCK_MM = 100,
    LOCK_OBJECT = 150,
    LOCK_HANDLES = 200,
    LOCK_LINEAGE = 220,
    LOCK_PAGETABLE = 250,
    LOCK_KSM = 270,
    LOCK_PORT = 300,
    LOCK_FUTEX = 310,
    LOCK_TASK = 315,
    LOCK_THREAD = 320,
    LOCK_WAIT = 330,
    LOCK_DEVICE = 350,
    LOCK_RUNQUEUE = 400,
    LOCK_TIMER = 410,
    LOCK_SLAB = 500,
    LOCK_BUDDY = 510,
    LOCK_ARCH = 590,
    LOCK_LOG = 600,
};

/* A test-and-test-and-set lock: one instruction when free, and fair enough for 64 CPUs at our hold
 * times. */
struct spinlock {
    _Atomic u32 held;
#ifdef MG_DEBUG
    u32 rank;
    u32 owner; /* CPU that holds it, for the self-deadlock check */
    const char *name;
#endif
};

#ifdef MG_DEBUG
#define SPINLOCK_INIT(name_, rank_) {.rank = (rank_), .owner = ~0u, .name = (name_)}
#else
#define SPINLOCK_INIT(name_, rank_) {0}
#endif

void spin_init(struct spinlock *lock, const char *name, enum lock_rank rank);

/* One turn of a wait loop: relaxes the CPU and answers shootdowns that other CPUs wait for,
 * interrupts on or off. */
void spin_wait(void);

/* Debug builds: note that a lock of `rank` was taken / is released; panic on a wrong order. Also
 * used by bit locks and by sleeping locks. No-ops otherwise. */
#ifdef MG_DEBUG
void lock_check_acquire(const void *lock, u32 rank, const char *name, bool nested);
/* One that was got by a try, which can't deadlock, whatever the order. */
void lock_check_tried(const void *lock, u32 rank, const char *name);
void lock_check_release(const void *lock, u32 rank);
/* Panics when this CPU holds a spinlock: to be called where sleeping may happen. */
void lock_check_may_sleep(void);
#else
static inline void lock_check_acquire(const void *lock, u32 rank, const char *name, bool nested)
{
    (void)lock, (void)rank, (void)name, (void)nested;
}
static inline void lock_check_tried(const void *lock, u32 rank, const char *name)
{
    (void)lock, (void)rank, (void)name;
}
static inline void lock_check_release(const void *lock, u32 rank)
{
    (void)lock, (void)rank;
}
static inline void lock_check_may_sleep(void)
{
}
#endif

void spin_lock_slow(struct spinlock *lock);

static inline bool spin_try_raw(struct spinlock *lock)
{
    return atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0;
}

#ifdef MG_DEBUG
void spin_lock(struct spinlock *lock);
bool spin_trylock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);
/* For a second lock of equal rank, where the caller orders the two some other way and says how. */
void spin_lock_nested(struct spinlock *lock);
#else
static inline void spin_lock(struct spinlock *lock)
{
    if (unlikely(!spin_try_raw(lock)))
        spin_lock_slow(lock);
}
static inline bool spin_trylock(struct spinlock *lock)
{
    return spin_try_raw(lock);
}
static inline void spin_unlock(struct spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}
static inline void spin_lock_nested(struct spinlock *lock)
{
    spin_lock(lock);
}
#endif

/* For locks that interrupt handlers take: interrupts are off while it is held. The flags
 * returned go to the matching unlock. */
u64 spin_lock_irq(struct spinlock *lock);
void spin_unlock_irq(struct spinlock *lock, u64 flags);
