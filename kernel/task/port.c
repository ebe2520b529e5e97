/*
 * port.c: ports: their life, their notifications and their timers.
 *
 * A port lives as long as anything refers to it (handles, tasks whose server it is, bound
 * interrupts) and is dead from the moment the last handle that may receive is closed: its callers
 * get EPIPE then and later.
 *
 * A thread that is woken out of a queue by something else than a message locks the port once more,
 * to see whether it still stands there, and by then nobody may refer to the port. So the structures
 * go to a pool first, and what is too many there is freed by the reaper, except for those that some
 * thread's ipc.port names. That is set with the port referred to and locked, so nobody can come to
 * name a port of the pool.
 */
#include "kernel/task/port.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/task/thread.h"

#define POOL_KEPT 64 /* twice as many wake the reaper */

static struct slab_cache port_cache = SLAB_CACHE("port", struct port);
static struct spinlock pool_lock = SPINLOCK_INIT("port pool", LOCK_WAIT); /* guards the next two */
static struct list pool = LIST_INIT(pool); /* port.callers: ports that nobody refers to */
static u32 pool_count;

static void timer_fired(struct timer *timer)
{
    port_notify(container_of(timer, struct port, timer), MG_NOTIFY_TIMER);
}

static struct port *pool_pop(void)
{
    u64 flags = spin_lock_irq(&pool_lock);
    struct list *link = list_pop(&pool);

    if (link)
        pool_count--;
    spin_unlock_irq(&pool_lock, flags);
    return link ? list_entry(link, struct port, callers) : NULL;
}

/* Returns whether there are too many now. */
static bool pool_push(struct port *port)
{
    u64 flags = spin_lock_irq(&pool_lock);
    bool too_many = ++pool_count > 2 * POOL_KEPT;

    list_add(&port->callers, &pool);
    spin_unlock_irq(&pool_lock, flags);
    return too_many;
}

/* Takes what is too many out of the pool: into the list. */
static void pool_take_surplus(struct list *surplus)
{
    u64 flags = spin_lock_irq(&pool_lock);

    while (pool_count > POOL_KEPT) {
        struct port *port = list_entry(list_pop(&pool), struct port, callers);

        port->retiring = true;
        port->named = false;
        list_add(&port->callers, surplus);
        pool_count--;
    }
    spin_unlock_irq(&pool_lock, flags);
}

/* Notes which of the ports that retire are still named by a thread. What a thread names is a port,
 * for none that is named is ever freed. */
static void find_named(void)
{
    u32 size = atomic_load(&thread_table_size);

    for (u32 id = 1; id < size; id++) {
        struct port *port = __atomic_load_n(&thread_table[id]->ipc.port, __ATOMIC_ACQUIRE);

        if (port && port->retiring)
            port->named = true;
    }
}

void port_reap(void)
{
    struct list surplus = LIST_INIT(surplus), *link;

    if (pool_count <= 2 * POOL_KEPT)
        return;
    pool_take_surplus(&surplus);
    find_named();
    while ((link = list_pop(&surplus))) {
        struct port *port = list_entry(link, struct port, callers);

        port->retiring = false;
        if (port->named)
            pool_push(port);
        else
            slab_free(&port_cache, port);
        sched_point();
    }
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
    port->receivers = NULL;
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
    /* Who locked it under a table's lock (ipc.c) before the last handle was closed is let out
     * first. Without receive handles it was dead, so nobody is left in its queues. */
    u64 flags = spin_lock_irq(&port->lock);

    assert(list_empty(&port->callers) && !port->receivers);
    spin_unlock_irq(&port->lock, flags);
    if (pool_push(port))
        thread_wake_reaper();
}

/* --- receive handles --- */

static void break_sleep(struct thread *thread)
{
    atomic_store(&thread->ipc.state, IPC_BROKEN);
    sched_wake(thread, -EPIPE);
}

static void break_callers(struct port *port)
{
    struct thread *thread, *after;

    list_for_each_entry_safe(thread, after, &port->callers, ipc.link) {
        list_remove(&thread->ipc.link);
        break_sleep(thread);
    }
}

static void break_receivers(struct port *port)
{
    struct thread *thread;

    while ((thread = port->receivers)) {
        port->receivers = thread->ipc.next_receiver;
        break_sleep(thread);
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
        break_callers(port);
        break_receivers(port);
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
    struct thread *receiver = port->receivers;

    if (port->notified && receiver) {
        port->receivers = receiver->ipc.next_receiver;
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
