/*
 * buddy.h: the buddy system over one node's frames, without locks: the caller holds the zone's
 * lock.
 *
 * A free block of 2^order frames, aligned to its size, is on the list of its order; its first frame
 * carries FRAME_ON_LIST and the order. Freeing looks at the block's buddy (frame number with bit
 * `order` flipped) and unites both while it is free and of the same order and node. See Knuth, The
 * Art of Computer Programming, volume 1, section 2.5.
 */
#pragma once

#include "kernel/base/frame.h"

#define BUDDY_ORDERS 11

struct buddy {
    struct frame *table;    /* indexed by frame number */
    u32 node;               /* blocks of another node are never united with ours */
    u32 head[BUDDY_ORDERS]; /* first free block of each order, a frame number; 0 = none */
    u64 free;               /* frames in all lists */
};

void buddy_init(struct buddy *buddy, struct frame *table, u32 node);
/* The first frame number of a block, its frames still of kind FREE; 0 = none that large. */
u32 buddy_alloc(struct buddy *buddy, u32 order);
/* The block must be aligned to its size, and all its frames of kind FREE, not on a list. */
void buddy_free(struct buddy *buddy, u32 pfn, u32 order);
