/*
 * Physical memory for tests that need it: the real frame and slab allocators on one NUMA node.
 * host_frames_init replaces host_init and host_memory_init.
 */
#pragma once

#include "tests/unit/host.h"

#include "kernel/base/buddy.c"
#include "kernel/base/early.c"
#include "kernel/base/frame.c"
#include "kernel/base/frame_alloc.c"
#include "kernel/base/slab.c"

struct numa_distances numa_distances;

static void host_map_nothing(u64 virt, pa_t pa)
{
    (void)virt, (void)pa;
}

static inline void host_frames_init(u64 bytes)
{
    host_init();
    host_memory_init(bytes / PAGE_SIZE);
    numa_distances.distance[0][0] = 10;
    early_add_range((struct memory_range){PAGE_SIZE, bytes, 0});
    frame_init(host_map_nothing);
}
