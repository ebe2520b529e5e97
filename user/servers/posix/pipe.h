/*
 * Pipes and FIFOs.
 */
#pragma once

#include "user/servers/posix/fs.h"

/* Opens a FIFO: waits for the other side unless O_NONBLOCK. */
long fifo_open(struct inode *inode, struct file *file, struct thread *thread);

/* Two connected ends. -ENFILE, -ENOMEM. */
long pipe_create(struct file **reader, struct file **writer, u32 flags);

/* Two files, each reading what the other writes: for socketpair. */
long pipe_create_pair(struct file **one, struct file **two, u32 flags);
