/*
 * port.h: ports: where messages of tasks and notifications of the kernel arrive.
 *
 * Notifications are bits that collect until somebody receives them. A port is dead from the moment
 * the last handle that may receive is closed. Its structure stays one as long as a thread's
 * ipc.port names it: who slept in one may lock it again.
 */
#pragma once

#include "kernel/base/lock.h"
#include "kernel/task/handle.h"
#include "kernel/task/timer.h"
#include "lib/list.h"
#include "lib/types.h"

struct thread;
struct trap_frame;

struct port {
    _Atomic u32 refs;
    struct spinlock lock;  /* guards all below; interrupts off, as handlers notify */
    struct list callers;   /* thread.ipc.link, IPC_CALLING: first come, first served */
    /* by thread.ipc.next_receiver, IPC_RECEIVING: the latest first, its caches are warm */
    struct thread *receivers;
    u64 notified;          /* bits not yet received */
    u32 receive_handles;   /* handles with MG_RIGHT_READ, in all tables */
    bool dead;             /* the last of them has gone: calls fail with EPIPE */
    bool retiring, named;  /* of port_reap */
    struct timer timer;    /* sends MG_NOTIFY_TIMER */
};

struct port *port_create(void); /* NULL = no memory */
struct port *port_get(struct port *port);
void port_put(struct port *port);
void port_notify(struct port *port, u64 bits);    /* any context */
void port_set_timer(struct port *port, u64 when); /* time_ns, 0 = off */
extern const struct handle_class port_handle_class;

/* --- for kernel/task/ only --- */

/* Writes the bits that have collected, as a message, into a receiver's registers. port->lock is
 * held. */
void port_deliver_notification(struct port *port, struct trap_frame *to);
/* For the reaper: frees what is too many in the pool of ports, if it is very many. */
void port_reap(void);
