/*
 * sched.h: inside the scheduler: run queues, and the switch itself. For kernel/task/ only.
 *
 * A run queue has two arrays of 40 lists, one list a priority, with a bitmap of those that are not
 * empty. Threads of the present epoch stand in `now`, those that have used up their turn in
 * `later`; when `now` is empty the two change places and a new epoch begins. The priority decides
 * who is first within an epoch and how long a turn is, so the important run sooner and longer, and
 * everybody runs in every epoch.
 *
 * Lock-free parts, and why they are right:
 *   - thread->state: see thread.h. Who swaps BLOCKED for WAKING owns the thread until it is in a
 *     queue or on a CPU.
 *   - thread->on_cpu is set before a thread's stack is used and cleared (release) by whoever runs
 *     next on that CPU, after the switch. Who takes a thread off a queue waits for 0 (acquire):
 *     then its stack is still.
 *   - sched_idle: a CPU sets its bit, then looks at its queue; a waker fills the queue, then looks
 *     at the bit. Both use sequentially consistent operations in between, so one of them sees the
 *     other.
 */
#pragma once

#include "arch/x86_64/arch.h"
#include "arch/x86_64/switch.h"
#include "kernel/task/thread.h"

#define PRIORITIES 40
#define PRIORITY_DEFAULT 20

struct run_array {
    u64 filled; /* bit n: list n is not empty */
    struct list list[PRIORITIES];
};

struct runqueue {
    struct spinlock lock; /* guards all but the last group; interrupts off */
    struct run_array array[2];
    u32 now; /* index of this epoch's array */
    u32 epoch;
    _Atomic u32 count; /* threads in both arrays; others look without the lock */

    /* touched by its own CPU only, interrupts off */
    u64 slice_end; /* when the turn of the running thread is over */
    u64 accounted; /* up to here time has been charged to threads */
    u64 user_ns, kernel_ns, switches;
};

extern struct runqueue runqueues[CPU_MAX];
extern _Atomic cpumask_t sched_idle; /* CPUs that sleep or are about to */

static inline struct runqueue *this_runqueue(void)
{
    return &runqueues[this_cpu()->id];
}

/* Chooses what runs next and switches to it. Interrupts are off. The current thread's state says
 * what is to become of it: RUNNING stays runnable, BLOCKED and WAKING sleep, DEAD is never seen
 * again. */
void sched_schedule(void);
/* Puts a thread in state WAKING, which the caller owns, into a queue and tells its CPU. Any
 * context. */
void sched_make_runnable(struct thread *thread);
/* Charges the time since the last call to the thread that runs here. Interrupts off. */
void sched_account(struct runqueue *queue, struct thread *thread, u64 now);
/* ns of a turn. */
u64 sched_slice(u32 priority);
void sched_tick(u64 now);
/* The thread's stack is left for good: called by its successor. */
void sched_finish_dead(struct thread *thread);

/* queue.c: the arrays; lock held */
void runqueue_init(struct runqueue *queue);
void runqueue_add(struct runqueue *queue, struct thread *thread, bool front);
void runqueue_remove(struct runqueue *queue, struct thread *thread);
struct thread *runqueue_pick(struct runqueue *queue);
/* One that another CPU may take away, or NULL. */
struct thread *runqueue_find_movable(struct runqueue *queue, u32 to_cpu);

#ifdef MG_DEBUG
/* Sleeping locks travel with their holder from CPU to CPU. */
void sched_switch_held_locks(struct cpu *cpu, struct thread *prev, struct thread *next);
#else
static inline void sched_switch_held_locks(struct cpu *cpu, struct thread *prev,
                                           struct thread *next)
{
    (void)cpu, (void)prev, (void)next;
}
#endif

/* On a new stack: lets go of the thread that ran before. */
static always_inline void sched_finish_switch(struct thread *self)
{
    struct thread *prev = self->previous;
    u32 state = atomic_load_explicit(&prev->state, memory_order_relaxed);

    /* From here on another CPU may run it: don't look at it again, unless it is dead and ours. */
    atomic_store_explicit(&prev->on_cpu, 0, memory_order_release);
    if (unlikely(state == THREAD_DEAD))
        sched_finish_dead(prev);
}

/* `next` runs on this CPU from now on, in everything but registers and stack. */
static always_inline void sched_begin_switch(struct cpu *cpu, struct thread *prev,
                                             struct thread *next)
{
    atomic_store_explicit(&next->state, THREAD_RUNNING, memory_order_relaxed);
    atomic_store_explicit(&next->on_cpu, 1, memory_order_relaxed);
    /* A full barrier where the CPU changes: whoever sets a work bit and then reads `cpu` must see
     * the new one, unless we see the bit when we look at it before user mode. */
    if (unlikely(next->cpu != cpu->id))
        __atomic_exchange_n(&next->cpu, cpu->id, __ATOMIC_SEQ_CST);
    sched_switch_held_locks(cpu, prev, next);
    sched_switch_mm_hook(next->task->mm);
}

/* Runs `next`, which the caller owns and whose stack is still, on this CPU; returns when somebody
 * switches back. Interrupts are off. */
static always_inline void sched_switch_threads(struct cpu *cpu, struct thread *prev,
                                               struct thread *next)
{
    sched_begin_switch(cpu, prev, next);
    next->previous = prev;
    arch_switch(cpu, prev, next);
    sched_finish_switch(prev);
}

/* Claims a sleeping thread, whose state word is likely to be `state`, one of BLOCKED: it is then
 * the caller's to run. False: it is awake already. */
static always_inline bool sched_claim_from(struct thread *thread, u32 state)
{
    do {
        if (likely(atomic_compare_exchange_strong(&thread->state, &state, THREAD_WAKING)))
            return true;
    } while ((state & THREAD_STATE_MASK) == THREAD_BLOCKED);
    return false;
}

static inline bool sched_claim(struct thread *thread)
{
    u32 state = atomic_load_explicit(&thread->state, memory_order_relaxed);

    return (state & THREAD_STATE_MASK) == THREAD_BLOCKED && sched_claim_from(thread, state);
}

/* Lets a claimed thread run somewhere; its sleep returns result. */
static inline void sched_run_claimed(struct thread *thread, s64 result)
{
    thread->wake_result = result;
    sched_make_runnable(thread);
}

/*
 * Gives up the CPU, directly to `next` if possible: no queue, no clock. next is claimed, or NULL: a
 * thread that waited for a message, has it in its registers now, and only has to go back to user
 * mode with them (unless a handle came along, which it must install itself). Returns when the
 * current thread, which is prepared to sleep, runs again; not at all if that is by this very way.
 * Interrupts are off, no locks are held.
 */
static always_inline void sched_hand_over(struct thread *self, struct thread *next)
{
    struct cpu *cpu = this_cpu();

    if (unlikely(!next)) {
        sched_schedule();
        return;
    }
    /* on_cpu is still 1 when it has not finished going to sleep elsewhere. */
    if (unlikely(atomic_load_explicit(&next->on_cpu, memory_order_acquire) ||
                 !(next->affinity & cpu->bit))) {
        sched_run_claimed(next, 0);
        sched_schedule();
    } else if (unlikely(next->ipc.incoming.type | next->ipc.passing.type)) {
        next->wake_result = 0;
        sched_switch_threads(cpu, self, next);
    } else {
        sched_begin_switch(cpu, self, next);
        arch_switch_to_user(cpu, self, next);
        sched_finish_switch(self);
    }
}
