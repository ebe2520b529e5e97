/*
 * timer.c: deadlines of each CPU in a tree, and its hardware one-shot set to the earliest.
 *
 *     timers of this CPU ── earliest ──┐
 *     the scheduler's tick ────────────┴─ the sooner ──▶ timer_program()
 *
 * The hardware is reprogrammed only for something earlier than what it is set to. A timer that was
 * cancelled, or a tick that is not needed any more, costs one interrupt that finds nothing to do.
 *
 * A timer's tree is locked by the queue's lock, interrupts off; `fire` runs without it, so it may
 * arm the timer again and take any lock above. `running` is what timer_cancel waits for: it is set
 * under the lock that takes the timer out of the tree, so a canceller sees the timer armed, or
 * running, or done.
 */
#include "kernel/task/timer.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/cpu.h"
#include "kernel/base/lock.h"

struct timer_queue {
    struct spinlock lock;          /* guards tree, and the timers in it; interrupts off */
    struct rb_root tree;           /* by `when` */
    struct timer *_Atomic running; /* whose fire is being called */
    u64 tick, programmed;          /* 0 = none; touched by the queue's own CPU only */
};

static struct timer_queue queues[CPU_MAX];
void (*timer_tick_hook)(u64 now);

static bool earlier(const struct rb_node *a, const struct rb_node *b)
{
    return rb_entry(a, struct timer, node)->when < rb_entry(b, struct timer, node)->when;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire};
}

static void program(struct timer_queue *queue, u64 when)
{
    if (when && (!queue->programmed || when < queue->programmed)) {
        queue->programmed = when;
        timer_program(when);
    }
}

void timer_tick_by(u64 when)
{
    struct timer_queue *queue = &queues[this_cpu()->id];

    if (!when) {
        queue->tick = 0;
    } else if (!queue->tick || when < queue->tick) {
        queue->tick = when;
        program(queue, when);
    }
}

/* Locks the queue a timer is in, or was in last. Interrupts are off. */
static struct timer_queue *lock_queue_of(struct timer *timer)
{
    for (;;) {
        u32 cpu = *(volatile u32 *)&timer->cpu;

        spin_lock(&queues[cpu].lock);
        if (*(volatile u32 *)&timer->cpu == cpu)
            return &queues[cpu];
        spin_unlock(&queues[cpu].lock);
    }
}

static bool take_out(struct timer_queue *queue, struct timer *timer)
{
    bool armed = timer->when != 0;

    if (armed)
        rb_remove(&queue->tree, &timer->node);
    timer->when = 0;
    return armed;
}

bool timer_disarm(struct timer *timer)
{
    u64 flags = irq_save();
    struct timer_queue *queue = lock_queue_of(timer);
    bool armed = take_out(queue, timer);

    spin_unlock_irq(&queue->lock, flags);
    return armed;
}

bool timer_cancel(struct timer *timer)
{
    u64 flags = irq_save();
    struct timer_queue *queue = lock_queue_of(timer);
    bool armed = take_out(queue, timer);

    spin_unlock_irq(&queue->lock, flags);
    while (atomic_load_explicit(&queue->running, memory_order_acquire) == timer)
        spin_wait();
    return armed;
}

/* A timer whose shot is going off on another CPU stays there, so that timer_cancel has one place to
 * look at; that CPU looks at its tree once more before it leaves the interrupt. */
void timer_arm(struct timer *timer, u64 when)
{
    u64 flags = irq_save();
    struct timer_queue *own = &queues[this_cpu()->id], *queue = lock_queue_of(timer);

    /* Once it is in no tree, only we and its owner, who is our caller, know it. */
    take_out(queue, timer);
    if (queue != own && atomic_load_explicit(&queue->running, memory_order_relaxed) != timer) {
        timer->cpu = this_cpu()->id;
        spin_unlock(&queue->lock);
        queue = own;
        spin_lock(&queue->lock);
    }
    timer->when = when = MAX(when, 1ul);
    rb_insert(&queue->tree, &timer->node, earlier);
    spin_unlock(&queue->lock);
    if (queue == own)
        program(queue, when);
    irq_restore(flags);
}

/* The next timer that is due, out of the tree and marked as running; or NULL. */
static struct timer *take_due(struct timer_queue *queue, u64 now)
{
    spin_lock(&queue->lock);
    struct timer *timer = rb_entry_or_null(rb_first(&queue->tree), struct timer, node);

    if (timer && timer->when <= now)
        take_out(queue, timer);
    else
        timer = NULL;
    atomic_store_explicit(&queue->running, timer, memory_order_release);
    spin_unlock(&queue->lock);
    return timer;
}

static u64 first_deadline(struct timer_queue *queue)
{
    spin_lock(&queue->lock);
    struct timer *first = rb_entry_or_null(rb_first(&queue->tree), struct timer, node);
    u64 when = first ? first->when : 0;

    spin_unlock(&queue->lock);
    return when;
}

/* The hardware's interrupt. */
static void timer_interrupt(void)
{
    struct timer_queue *queue = &queues[this_cpu()->id];
    u64 now = time_ns();
    struct timer *timer;

    queue->programmed = 0;
    while ((timer = take_due(queue, now)))
        timer->fire(timer);
    if (queue->tick && queue->tick <= now) {
        queue->tick = 0;
        timer_tick_hook(now);
    }
    program(queue, first_deadline(queue));
    program(queue, queue->tick);
}

void timer_start(void)
{
    for (u32 i = 0; i < CPU_MAX; i++)
        spin_init(&queues[i].lock, "timers", LOCK_TIMER);
    timer_hook = timer_interrupt;
}
