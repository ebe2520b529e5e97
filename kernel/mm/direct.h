/*
 * direct.h: block devices that read and write the pages of an address space themselves.
 *
 * A transfer is filled piece by piece (direct_pin), then started, and belongs to this file until
 * its `done` is called. Its pages are held from direct_pin on until right before that, whatever
 * happens to the mappings, the space's task or the handle meanwhile.
 */
#pragma once

#include "kernel/dev/block.h"
#include "kernel/mm/mm.h"

#define DIRECT_PIECES 64u /* of a transfer: each within one page */

struct direct_page {
    va_t va;
    struct frame *frame;
};

struct direct_io {
    struct mm *mm;    /* a reference; NULL for a flush */
    bool into_memory; /* the device writes to the pages */
    u32 count;        /* of pieces */
    u64 bytes;        /* of all of them */
    s64 status;       /* when done: 0, -EIO, -EOPNOTSUPP */
    /* In a thread of the kernel's. The transfer, which has let go of all pages, is the owner's. */
    void (*done)(struct direct_io *io);

    struct block_request request;
    struct list link;
    struct direct_page pages[DIRECT_PIECES];
    struct block_segment segments[DIRECT_PIECES];
};

/* An empty transfer; takes over the reference to mm. */
void direct_init(struct direct_io *io, struct mm *mm, bool into_memory,
                 void (*done)(struct direct_io *io));
/* Adds [address, address + bytes), multiples of BLOCK_SECTOR, as far as there is room for at most
 * `pieces` pieces in all: how many bytes; -EFAULT. May sleep. */
s64 direct_pin(struct direct_io *io, va_t address, u64 bytes, u32 pieces);
/* Cuts it to so many bytes, which are fewer than it has. */
void direct_cut(struct direct_io *io, u64 bytes);
/* Lets go of everything: instead of direct_start. */
void direct_abandon(struct direct_io *io);
/* `sector` and the transfer's size fit the device. With nothing in it: a flush. */
void direct_start(struct direct_io *io, struct block_device *device, u64 sector);

void direct_setup(void); /* at start-up: makes the thread */
