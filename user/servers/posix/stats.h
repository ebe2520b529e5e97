/*
 * Figures of the machine, from the kernel.
 */
#pragma once

#include "lib/types.h"
#include <merganser/abi.h>

extern struct mg_boot_info boot_info;

/* The state of memory now. False if the kernel does not tell. */
bool stats_memory(struct mg_memory_stats *memory);

/* What memory is wanted for: the more can be done without it, the earlier it is refused. */
enum stats_use { STATS_CONTENT, STATS_RECORD, STATS_USES };

/*
 * Would this much more for what files hold, or for the server's own records, leave programs too
 * little? To be asked before each use: the kernel is asked only now and then while there is room.
 */
bool stats_is_short(enum stats_use use, u64 bytes);
