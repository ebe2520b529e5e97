/*
 * port.h: what ipc.c needs of port.c beyond ipc.h. For kernel/task/ only.
 */
#pragma once

#include "kernel/task/ipc.h"

/* Writes the bits that have collected, as a message, into a receiver's registers. port->lock is
 * held. */
void port_deliver_notification(struct port *port, struct trap_frame *to);
/* For the reaper: frees what is too many in the pool of ports, if it is very many. */
void port_reap(void);
