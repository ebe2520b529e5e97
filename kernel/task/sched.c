/*
 * sched.c: who runs next on a CPU, and the two halves of every sleep.
 *
 * Kernel code is never preempted: a thread gives up its CPU by sleeping, at a sched_point, or on
 * its way back to user mode when cpu->resched is set. Interrupts may come at any moment but only
 * wake threads and set that flag.
 *
 *     NEW ──start──▶ WAKING ──▶ RUNNABLE ──pick──▶ RUNNING ──prepare──▶ BLOCKED
 *                      ▲            ▲                │ │                  │
 *                      │            └──turn is over──┘ └─▶ DEAD           │
 *                      └──────────────── one waker wins ──────────────────┘
 *
 * A thread that was woken before it got round to leaving its CPU stands in that CPU's own queue, so
 * it finds itself there.
 *
 * Invariants: a thread is in at most one queue; it is in one only in state RUNNABLE; it runs where
 * on_cpu is 1.
 */
#include "kernel/task/sched.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "lib/bitmap.h"
#include "lib/string.h"

#define TICK_NS 10000000ul

struct runqueue runqueues[CPU_MAX];
_Atomic cpumask_t sched_idle;
_Atomic cpumask_t sched_cpus;

static void switch_mm_nothing(struct mm *next)
{
    (void)next;
}
void (*sched_switch_mm_hook)(struct mm *next) = switch_mm_nothing;

static u32 nearest_cpu(const struct thread *thread);
static void enqueue(struct thread *thread, u32 id);

/* --- choosing --- */

/* The thread that runs now goes back into the queue, at the front of its list if its turn isn't
 * over. */
static void put_back(struct runqueue *queue, struct thread *thread, bool yields)
{
    bool front = !yields && thread->slice > 0;

    thread->epoch = queue->epoch;
    if (thread->slice <= 0) {
        thread->slice = (s64)sched_slice(thread->priority);
        thread->epoch++;
    }
    atomic_store_explicit(&thread->state, THREAD_RUNNABLE, memory_order_relaxed);
    runqueue_add(queue, thread, front);
}

/* Takes a thread from the longest queue. Only one lock is held at a time; the thread is ours once
 * it is out. */
static struct thread *steal(struct cpu *cpu)
{
    struct runqueue *busiest = NULL;
    struct thread *thread = NULL;
    u32 most = 0;

    bitmap_for_each_set(id, (u64[]){atomic_load(&sched_cpus)}, CPU_MAX) {
        u32 count = atomic_load_explicit(&runqueues[id].count, memory_order_relaxed);

        if (count > most && id != cpu->id) {
            most = count;
            busiest = &runqueues[id];
        }
    }
    if (!busiest)
        return NULL;
    spin_lock(&busiest->lock);
    thread = runqueue_find_movable(busiest, cpu->id);
    if (thread) {
        runqueue_remove(busiest, thread);
        thread->epoch = runqueues[cpu->id].epoch;
        count(COUNT_steal);
    }
    spin_unlock(&busiest->lock);
    return thread;
}

static struct thread *choose(struct cpu *cpu, struct runqueue *queue, struct thread *prev,
                             bool yields)
{
    struct thread *next;
    bool runs_on = thread_state(prev) == THREAD_RUNNING && prev != cpu->idle;

    spin_lock(&queue->lock);
    /* Once it is in the queue, sched_set_affinity moves it. */
    bool leaves = runs_on && !(prev->affinity >> cpu->id & 1);
    if (runs_on && !leaves)
        put_back(queue, prev, yields);
    next = runqueue_pick(queue);
    spin_unlock(&queue->lock);
    if (!next)
        next = steal(cpu);
    if (!next)
        next = cpu->idle;
    /* Goes to another CPU, which will wait until we have left its stack. Since `next` is ours by
     * now, no two CPUs can wait for each other. */
    if (leaves)
        enqueue(prev, nearest_cpu(prev));
    return next;
}

static void start_turn(struct cpu *cpu, struct runqueue *queue, struct thread *next, u64 now)
{
    queue->slice_end = now + (u64)next->slice;
    if (next == cpu->idle)
        timer_tick_by(0);
    else if (atomic_load_explicit(&queue->count, memory_order_relaxed))
        timer_tick_by(MIN(now + TICK_NS, queue->slice_end));
    else
        timer_tick_by(now + TICK_NS);
}

static void schedule(bool yields)
{
    struct cpu *cpu = this_cpu();
    struct runqueue *queue = &runqueues[cpu->id];
    struct thread *prev = cpu->current;
    u64 now = time_ns();

    debug_assert(!irq_enabled());
    atomic_store_explicit(&cpu->resched, 0, memory_order_relaxed);
    sched_account(queue, prev, now);
    prev->slice = (s64)(queue->slice_end - now);

    struct thread *next = choose(cpu, queue, prev, yields);
    start_turn(cpu, queue, next, now);
    /* It was put here while its stack was still in use, see sched_make_runnable. */
    if (unlikely(!(next->affinity >> cpu->id & 1)))
        atomic_store_explicit(&cpu->resched, 1, memory_order_relaxed);
    if (next == prev) {
        atomic_store_explicit(&prev->state, THREAD_RUNNING, memory_order_relaxed);
        return;
    }
    if (thread_state(prev) == THREAD_RUNNABLE)
        prev->involuntary++;
    else
        prev->voluntary++;
    queue->switches++;
    count(COUNT_context_switch);
    while (atomic_load_explicit(&next->on_cpu, memory_order_acquire))
        spin_wait();
    sched_switch_threads(cpu, prev, next);
}

#ifdef MG_DEBUG
void sched_switch_held_locks(struct cpu *cpu, struct thread *prev, struct thread *next)
{
    memcpy(prev->held, cpu->held, cpu->held_count * sizeof(cpu->held[0]));
    prev->held_count = cpu->held_count;
    memcpy(cpu->held, next->held, next->held_count * sizeof(next->held[0]));
    cpu->held_count = next->held_count;
}
#endif

void sched_schedule(void)
{
    schedule(false);
}

void sched_yield(void)
{
    u64 flags = irq_save();

    lock_check_may_sleep();
    schedule(true);
    irq_restore(flags);
}

void sched_point(void)
{
    if (atomic_load_explicit(&this_cpu()->resched, memory_order_relaxed)) {
        u64 flags = irq_save();

        lock_check_may_sleep();
        schedule(false);
        irq_restore(flags);
    }
}

/* The running thread's turn, on each tick. */
void sched_tick(u64 now)
{
    struct cpu *cpu = this_cpu();
    struct runqueue *queue = &runqueues[cpu->id];
    struct thread *thread = cpu->current;

    if (thread == cpu->idle)
        return;
    sched_account(queue, thread, now);
    if (cpu->interrupted_user) {
        thread->user_ns += thread->unsplit_ns;
        queue->user_ns += thread->unsplit_ns;
    } else {
        thread->kernel_ns += thread->unsplit_ns;
        queue->kernel_ns += thread->unsplit_ns;
    }
    thread->unsplit_ns = 0;
    if (!(thread->affinity >> cpu->id & 1))
        atomic_store_explicit(&cpu->resched, 1, memory_order_relaxed);
    if (now < queue->slice_end) {
        timer_tick_by(MIN(now + TICK_NS, queue->slice_end));
        return;
    }
    if (atomic_load_explicit(&queue->count, memory_order_relaxed))
        atomic_store_explicit(&cpu->resched, 1, memory_order_relaxed);
    else
        queue->slice_end = now + sched_slice(thread->priority);
    timer_tick_by(now + TICK_NS);
}

/* --- waking --- */

static bool claim_idle(u32 cpu)
{
    return atomic_fetch_and(&sched_idle, ~BIT(cpu)) >> cpu & 1;
}

/* The CPU for a thread that becomes runnable: where its caches are if that one is idle, else an
 * idle one, nearest first. Another waker may choose the same idle CPU only if it was claimed and
 * has slept again. */
static u32 nearest_cpu(const struct thread *thread)
{
    cpumask_t allowed = thread->affinity & atomic_load(&sched_cpus);
    u32 last = thread->cpu;

    if (allowed >> last & 1 && claim_idle(last))
        return last;
    for (u32 pass = 0; pass < 2; pass++) {
        cpumask_t idle = atomic_load_explicit(&sched_idle, memory_order_relaxed) & allowed;

        bitmap_for_each_set(id, &idle, CPU_MAX) {
            if ((pass || cpus[id]->node == cpus[last]->node) && claim_idle((u32)id))
                return (u32)id;
        }
    }
    if (allowed >> last & 1 || !allowed)
        return last;
    return bit_lowest(allowed);
}

/* A thread that slept through an epoch has a fresh turn; one that has used up its own waits for the
 * next. */
static void renew_slice(struct runqueue *queue, struct thread *thread)
{
    s64 full = (s64)sched_slice(thread->priority);

    if (thread->epoch != queue->epoch && thread->epoch != queue->epoch + 1) {
        thread->epoch = queue->epoch;
        thread->slice = full;
    } else if (thread->slice < full / 16) {
        thread->epoch = queue->epoch + 1;
        thread->slice = full;
    }
}

/* The thread stands in cpu's queue now: makes the CPU look, if it idles or runs something less
 * important. */
static void tell_cpu(u32 id, const struct thread *thread)
{
    struct cpu *cpu = cpus[id];
    bool idle = claim_idle(id); /* a full barrier: see sched_idle in sched.h */
    /* May be outdated, but thread structures stay; a wrong guess costs one look, or waiting for the
     * next tick. */
    struct thread *current = *(struct thread *volatile *)&cpu->current;

    if (!idle && current != cpu->idle && thread->priority >= current->priority)
        return;
    atomic_store_explicit(&cpu->resched, 1, memory_order_relaxed);
    if (cpu != this_cpu())
        ipi_send(BIT(id), IPI_RESCHEDULE);
}

/* The thread is ours, and interrupts are off. */
static void enqueue(struct thread *thread, u32 id)
{
    struct runqueue *queue = &runqueues[id];

    spin_lock(&queue->lock);
    thread->cpu = id;
    renew_slice(queue, thread);
    atomic_store_explicit(&thread->state, THREAD_RUNNABLE, memory_order_relaxed);
    runqueue_add(queue, thread, false);
    spin_unlock(&queue->lock);
    tell_cpu(id, thread);
}

/* While the stack is still in use where it went to sleep, it can't start elsewhere: a CPU that
 * waited for it could be waited for itself. If it may not run there any more, it moves before it
 * is back in user mode. */
void sched_make_runnable(struct thread *thread)
{
    u64 flags = irq_save();
    bool on_cpu = atomic_load_explicit(&thread->on_cpu, memory_order_acquire);

    enqueue(thread, on_cpu ? thread->cpu : nearest_cpu(thread));
    irq_restore(flags);
}

static bool wake_from(struct thread *thread, u32 state, s64 result)
{
    if (!atomic_compare_exchange_strong(&thread->state, &state, THREAD_WAKING))
        return false;
    sched_run_claimed(thread, result);
    return true;
}

bool sched_wake(struct thread *thread, s64 result)
{
    bool claimed = sched_claim(thread);

    if (claimed)
        sched_run_claimed(thread, result);
    return claimed;
}

void sched_wake_for_work(struct thread *thread, u32 work)
{
    for (;;) {
        u32 state = atomic_load(&thread->state);

        if ((state & THREAD_STATE_MASK) != THREAD_BLOCKED || !(state >> 8 & work))
            return;
        if (wake_from(thread, state, -EINTR))
            return;
    }
}

bool sched_start(struct thread *thread)
{
    return wake_from(thread, THREAD_NEW, 0);
}

/*
 * The work bit has been set, by a full barrier. Is the thread still BLOCKED, then whoever wakes it
 * does so by a full barrier too, and the thread sees the bit before user mode. Else it may be in
 * user mode already, on thread->cpu.
 */
void sched_kick(struct thread *thread)
{
    u32 id = *(volatile u32 *)&thread->cpu;

    if (thread_state(thread) == THREAD_BLOCKED)
        return;
    u64 flags = irq_save();

    atomic_store_explicit(&cpus[id]->resched, 1, memory_order_relaxed);
    if (id != this_cpu()->id)
        ipi_send(BIT(id), IPI_RESCHEDULE);
    irq_restore(flags);
}

/* --- sleeping --- */

void sched_prepare_sleep_for(u32 mask)
{
    /* A full barrier: what the caller now finds unchanged, a later change will find us BLOCKED. */
    atomic_exchange(&current_thread()->state, THREAD_BLOCKED_FOR(mask));
}

void sched_prepare_sleep(void)
{
    sched_prepare_sleep_for(0);
}

s64 sched_sleep(void)
{
    struct thread *self = current_thread();
    u64 flags = irq_save();

    lock_check_may_sleep();
    schedule(false);
    irq_restore(flags);
    return self->wake_result;
}

void sched_cancel_sleep(void)
{
    struct thread *self = current_thread();
    u32 state = atomic_load(&self->state);

    if ((state & THREAD_STATE_MASK) == THREAD_BLOCKED &&
        atomic_compare_exchange_strong(&self->state, &state, THREAD_RUNNING))
        return;
    sched_sleep(); /* a waker has won: it puts us into a queue, which we must leave again */
}

static void sleep_timeout(struct timer *timer)
{
    sched_wake(container_of(timer, struct thread, timer), -ETIMEDOUT);
}

s64 sched_sleep_for(u32 mask, u64 deadline)
{
    struct thread *self = current_thread();
    u32 state = THREAD_BLOCKED;

    /* Work that is set before this is seen below, work set later finds the mask. */
    if (!atomic_compare_exchange_strong(&self->state, &state, THREAD_BLOCKED_FOR(mask)))
        return sched_sleep();
    if (atomic_load(&self->work) & mask) {
        state = THREAD_BLOCKED_FOR(mask);
        if (atomic_compare_exchange_strong(&self->state, &state, THREAD_RUNNING))
            return -EINTR;
        return sched_sleep();
    }
    if (!deadline)
        return sched_sleep();
    self->timer.fire = sleep_timeout;
    timer_arm(&self->timer, deadline);
    s64 result = sched_sleep();
    timer_cancel(&self->timer);
    return result;
}

void sched_sleep_until(u64 when)
{
    while (time_ns() < when) {
        sched_prepare_sleep();
        sched_sleep_for(0, when);
    }
}
