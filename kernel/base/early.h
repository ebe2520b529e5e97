/*
 * early.h: memory before there is a frame allocator.
 *
 * arch tells of the machine's memory range by range and takes out what is in use; the first page
 * tables and the frame table are cut from the rest. frame_init hands what is left to the frame
 * allocator, and nothing here is called afterwards.
 */
#pragma once

#include "kernel/base/frame.h"

#define EARLY_RANGES 256

struct memory_range {
    u64 start, end; /* physical addresses */
    u32 node;
};

struct early_memory {
    struct memory_range free[EARLY_RANGES]; /* not given away */
    u32 free_count;
    struct memory_range all[EARLY_RANGES]; /* as added: everything that is memory */
    u32 all_count;
};
extern struct early_memory early_memory;

/* A range of usable memory; it is narrowed to whole pages. */
void early_add_range(struct memory_range range);
/* Widened to whole pages; they are not given away. */
void early_reserve(u64 start, u64 end);
/* Zeroed memory that is never freed, of `node` if it has some; panics when there is none. */
pa_t early_alloc(u64 bytes, u64 align, u32 node);
pa_t early_alloc_page(u32 node);
