/*
 * Figures of the machine, from the kernel.
 */
#pragma once

#include "lib/types.h"
#include <merganser/abi.h>

extern struct mg_boot_info boot_info;

/* The state of memory now. False if the kernel does not tell. */
bool stats_memory(struct mg_memory_stats *memory);

/* Can files take this much more, and leave programs some? */
bool stats_has_room(u64 bytes);
