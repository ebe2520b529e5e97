/*
 * early.h: what is left of the early allocator once the frame table is built; only frame_alloc.c
 * needs it.
 */
#pragma once

#include "kernel/base/frame.h"

#define EARLY_RANGES 256

struct early_memory {
    struct memory_range free[EARLY_RANGES]; /* not yet given away */
    u32 free_count;
    struct memory_range all[EARLY_RANGES]; /* as added: everything that is memory */
    u32 all_count;
};
extern struct early_memory early_memory;
