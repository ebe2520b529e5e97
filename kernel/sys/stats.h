/*
 * stats.h: what the frame table tells, in the form that user space is shown.
 */
#pragma once

#include "kernel/base/frame.h"
#include <merganser/abi.h>

void stats_memory(struct mg_memory_stats *memory);
enum mg_frame_state stats_frame_state(pfn_t pfn);
/* The bits of Linux's /proc/kpageflags, as far as they have a meaning here. */
u64 stats_frame_flags(pfn_t pfn);
u64 stats_frame_maps(pfn_t pfn);
