/*
 * port.c: ports: their life, their notifications and their timers.
 *
 * A port lives as long as anything refers to it (handles, tasks whose server it is, bound
 * interrupts) and is dead from the moment the last handle that may receive is closed: its callers
 * get EPIPE then and later.
 */
#include "kernel/task/port.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"

static struct slab_cache port_cache = SLAB_CACHE("port", struct port);
static struct spinlock pool_lock = SPINLOCK_INIT("port pool", LOCK_WAIT);
static struct list pool = LIST_INIT(pool); /* port.callers: ports that nobody refers to */

static void timer_fired(struct timer *timer)
{
    port_notify(container_of(timer, struct port, timer), MG_NOTIFY_TIMER);
}

static struct port *pool_pop(void)
{
    u64 flags = spin_lock_irq(&pool_lock);
    struct list *link = list_pop(&pool);

    spin_unlock_irq(&pool_lock, flags);
    return link ? list_entry(link, struct port, callers) : NULL;
}

struct port *port_create(void)
{
    struct port *port = pool_pop();

    /* The lock of a used one stays as it is: a thread that slept there may be taking it once
     * more. */
    if (!port) {
        port = slab_zalloc(&port_cache);
        if (!port)
            return NULL;
        spin_init(&port->lock, "port", LOCK_PORT);
        timer_init(&port->timer, timer_fired);
    }
    atomic_store(&port->refs, 1);
    list_init(&port->callers);
    list_init(&port->receivers);
    port->notified = 0;
    port->receive_handles = 0;
    port->dead = false;
    return port;
}

struct port *port_get(struct port *port)
{
    atomic_fetch_add_explicit(&port->refs, 1, memory_order_relaxed);
    return port;
}

void port_put(struct port *port)
{
    if (atomic_fetch_sub(&port->refs, 1) != 1)
        return;
    timer_cancel(&port->timer);
    /* Who locked it under a table's lock (ipc.c) before the last handle was closed is let out first.
     * Without receive handles it was dead, so nobody is left in its queues. */
    u64 flags = spin_lock_irq(&port->lock);

    assert(list_empty(&port->callers) && list_empty(&port->receivers));
    spin_unlock_irq(&port->lock, flags);
    flags = spin_lock_irq(&pool_lock);
    list_add(&port->callers, &pool);
    spin_unlock_irq(&pool_lock, flags);
}

/* --- receive handles --- */

static void break_all(struct list *queue)
{
    struct thread *thread, *after;

    list_for_each_entry_safe(thread, after, queue, ipc.link) {
        list_remove(&thread->ipc.link);
        atomic_store(&thread->ipc.state, IPC_BROKEN);
        sched_wake(thread, -EPIPE);
    }
}

static void port_named(void *object, u32 rights)
{
    struct port *port = object;

    if (!(rights & MG_RIGHT_READ))
        return;
    u64 flags = spin_lock_irq(&port->lock);

    port->receive_handles++;
    port->dead = false;
    spin_unlock_irq(&port->lock, flags);
}

static void port_unnamed(void *object, u32 rights)
{
    struct port *port = object;

    if (!(rights & MG_RIGHT_READ))
        return;
    u64 flags = spin_lock_irq(&port->lock);

    if (--port->receive_handles == 0) {
        port->dead = true;
        break_all(&port->callers);
        break_all(&port->receivers);
    }
    spin_unlock_irq(&port->lock, flags);
}

static void port_class_get(void *object)
{
    port_get(object);
}

static void port_class_put(void *object)
{
    port_put(object);
}

const struct handle_class port_handle_class = {
    .get = port_class_get,
    .put = port_class_put,
    .named = port_named,
    .unnamed = port_unnamed,
};

/* --- notifications --- */

void port_deliver_notification(struct port *port, struct trap_frame *to)
{
    to->rdi = 0;
    to->rsi = 0;
    to->rdx = MG_LABEL_NOTIFY;
    to->r10 = port->notified;
    to->r8 = to->r9 = to->r12 = to->r13 = to->r14 = 0;
    to->rbx = 0;
    port->notified = 0;
    count(COUNT_ipc_notify);
}

void port_notify(struct port *port, u64 bits)
{
    u64 flags = spin_lock_irq(&port->lock);

    port->notified |= bits;
    if (port->notified && !list_empty(&port->receivers)) {
        struct thread *receiver = list_first_entry(&port->receivers, struct thread, ipc.link);

        list_remove(&receiver->ipc.link);
        port_deliver_notification(port, receiver->ipc.frame);
        atomic_store(&receiver->ipc.state, IPC_IDLE);
        sched_wake(receiver, 0);
    }
    spin_unlock_irq(&port->lock, flags);
}

void port_set_timer(struct port *port, u64 when)
{
    u64 flags = spin_lock_irq(&port->lock); /* one at a time */

    if (when)
        timer_arm(&port->timer, when);
    else
        timer_disarm(&port->timer);
    spin_unlock_irq(&port->lock, flags);
}
