/*
 * sched_policy.c: how important a thread is, where it may run, and what it has cost.
 *
 * A thread of nice n has a turn 1.25 times as long as one of nice n + 1; since everybody has one
 * turn an epoch, that is its share of a busy CPU as well, as on Linux.
 *
 * Time is charged when the scheduler chooses and on ticks, to the thread that runs then; direct
 * switches of IPC read no clock, so a server's time between two such moments may go to its client,
 * or the other way. What a thread ran since its last tick counts in its total at once, but becomes
 * user or kernel time only at the next tick, which sees where it is.
 */
#include "kernel/base/errno.h"
#include "kernel/task/sched.h"

#define NICE_LOW (-20)
#define NICE_HIGH 19

/* Microseconds of a turn by priority: 10 ms * 1.25^-nice, between 1 ms and 100 ms. */
static const u32 slice_us[PRIORITIES] = {
    100000, 100000, 100000, 100000, 100000, 100000, 100000, 100000, 100000, 100000,
    93132,  74506,  59605,  47684,  38147,  30518,  24414,  19531,  15625,  12500,
    10000,  8000,   6400,   5120,   4096,   3277,   2621,   2097,   1678,   1342,
    1074,   1000,   1000,   1000,   1000,   1000,   1000,   1000,   1000,   1000,
};

u64 sched_slice(u32 priority)
{
    return slice_us[priority] * 1000ul;
}

void sched_account(struct runqueue *queue, struct thread *thread, u64 now)
{
    thread->unsplit_ns += now - queue->accounted;
    queue->accounted = now;
}

/* Locks the queue that the thread is in or ran in last. Interrupts are off. */
static struct runqueue *lock_queue_of(struct thread *thread)
{
    for (;;) {
        u32 id = *(volatile u32 *)&thread->cpu;

        spin_lock(&runqueues[id].lock);
        if (*(volatile u32 *)&thread->cpu == id)
            return &runqueues[id];
        spin_unlock(&runqueues[id].lock);
    }
}

/* In a queue, as far as that is the locked one: a thief takes a thread out before it changes its
 * CPU. */
static bool is_queued(const struct thread *thread)
{
    return !list_empty(&thread->run_link);
}

s64 sched_set_nice(struct thread *thread, s32 nice)
{
    if (nice < NICE_LOW || nice > NICE_HIGH)
        return -EINVAL;
    u64 flags = irq_save();
    struct runqueue *queue = lock_queue_of(thread);
    bool queued = is_queued(thread);

    if (queued)
        runqueue_remove(queue, thread);
    thread->nice = nice;
    thread->priority = (u32)(nice - NICE_LOW);
    if (queued)
        runqueue_add(queue, thread, false);
    spin_unlock(&queue->lock);
    irq_restore(flags);
    return 0;
}

s64 sched_set_affinity(struct thread *thread, cpumask_t mask)
{
    mask &= atomic_load(&sched_cpus);
    if (!mask)
        return -EINVAL;
    u64 flags = irq_save();
    struct runqueue *queue = lock_queue_of(thread);
    bool misplaced = !(mask >> thread->cpu & 1);
    bool queued = misplaced && is_queued(thread);

    thread->affinity = mask;
    if (queued) {
        runqueue_remove(queue, thread);
        atomic_store_explicit(&thread->state, THREAD_WAKING, memory_order_relaxed);
    }
    spin_unlock(&queue->lock);
    if (queued)
        sched_make_runnable(thread);
    else if (misplaced)
        sched_kick(thread);
    irq_restore(flags);
    if (misplaced && thread == current_thread())
        sched_yield();
    return 0;
}

void thread_times(struct thread *thread, struct cpu_times *times)
{
    if (thread == current_thread()) {
        u64 flags = irq_save();

        sched_account(this_runqueue(), thread, time_ns());
        irq_restore(flags);
    }
    times->user_ns = thread->user_ns;
    times->kernel_ns = thread->kernel_ns;
    times->total_ns = thread->user_ns + thread->kernel_ns + thread->unsplit_ns;
}

void sched_account_final(struct thread *self)
{
    u64 flags = irq_save();
    struct runqueue *queue = this_runqueue();
    u64 known = self->user_ns + self->kernel_ns;

    sched_account(queue, self, time_ns());
    /* In the proportion of what ticks have seen; user time if there were none. Below 2^30 ns
     * between two ticks. */
    u64 user = known ? self->unsplit_ns * (self->user_ns * 1024 / known) / 1024 : self->unsplit_ns;

    self->user_ns += user;
    queue->user_ns += user;
    self->kernel_ns += self->unsplit_ns - user;
    queue->kernel_ns += self->unsplit_ns - user;
    self->unsplit_ns = 0;
    irq_restore(flags);
}

void sched_cpu_stats(u32 id, struct mg_cpu_stats *stats)
{
    const struct cpu *cpu = cpus[id];
    const struct runqueue *queue = &runqueues[id];
    u64 idle = cpu->idle->unsplit_ns;

    /* An idle CPU charges its idle thread only when it wakes up. */
    if (atomic_load(&sched_idle) >> id & 1) {
        u64 accounted = queue->accounted, now = time_ns();

        idle += now > accounted ? now - accounted : 0;
    }
    *stats = (struct mg_cpu_stats){
        .id = id,
        .node = cpu->node,
        .idle_ns = idle,
        .user_ns = queue->user_ns,
        .kernel_ns = queue->kernel_ns,
        .switches = queue->switches,
        .interrupts = cpu->interrupts,
        .shootdowns_sent = cpu->shootdowns_sent,
        .shootdowns_received = cpu->shootdowns_received,
    };
}
