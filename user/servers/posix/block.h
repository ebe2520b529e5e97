/*
 * Block devices: /dev/vda and so on, and what /proc and /sys tell of them.
 *
 * The kernel moves the data (block_start in abi.h) and notifies the server's port when it has; the
 * calling thread waits as for anything else (event.h), but for no signal, since nothing can take
 * the memory away from the device.
 */
#pragma once

#include "user/servers/posix/fs.h"
#include "user/servers/posix/pseudo.h"

enum { BLOCK_NOTIFY = 1 << 8 }; /* the bit of the server's port */

/* Finds the devices and makes their nodes in /dev. */
void block_init(void);

/* Opens a block device by its number: -ENXIO if there is none. */
long block_open(struct inode *inode, struct file *file, struct thread *thread);

/* Transfers have ended. */
void block_notified(void);

/* The thread's call has returned, or it has ended: it will not come back for what it started. */
void block_forget(const struct thread *thread);

/* For the entry /sys/block (block_show.c). */
long block_find_shown(struct pseudo_node *dir, const char *name, struct pseudo_child *child);
bool block_next_shown(struct pseudo_node *dir, u64 *place, struct pseudo_child *child);
