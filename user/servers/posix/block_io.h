/*
 * Transfers between block devices and memory: what block.c and block_io.c share.
 *
 * An operation is one transfer that the kernel was asked for, or two for the same data: a write of
 * part of a block reads the block first. The thread finds its operation again when its call is
 * tried again; what a call leaves behind when it returns, or its thread when it ends, ends by
 * itself.
 *
 *     struct file --> block_opened --> block_device
 *                          ^
 *                      block_op  (found by the thread)
 */
#pragma once

#include "lib/list.h"
#include "user/servers/posix/file.h"
#include <merganser/abi.h>

struct block_op;

struct block_device {
    struct mg_block_info info;
    u64 number;             /* as st_rdev has it */
    u8 *buffer;             /* for what is not direct; NULL until it is needed */
    struct block_op *user;  /* has the buffer */
    struct wait_queue free; /* woken when it is given back */
};

struct block_opened { /* by one struct file */
    struct block_device *device;
    mg_handle handle; /* with the rights of the file's mode */
    u32 ops;          /* operations that point here */
    bool closed;      /* the file has gone: the last operation frees this */
    struct list link; /* in block_all_opened */
};

extern struct list block_all_opened;

/* Moves data as file_ops.read and write do. */
long block_move(struct file *file, struct thread *thread, struct uio *io, u64 *position,
                bool writing);

/* Makes what was written survive a loss of power. */
long block_flush(struct file *file, struct thread *thread);

/* The file has gone: so does `opened`, at once or with its last operation. */
void block_close(struct block_opened *opened);

/* By index; NULL after the last. */
struct block_device *block_device_at(u64 index);
