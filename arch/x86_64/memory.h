/*
 * memory.h: from the boot loader's memory map to the frame allocator.
 */
#pragma once

#include "lib/types.h"

/* After acpi_parse: on return the final page tables are loaded, and the memory below 4 GiB can be
 * had by early_alloc. */
void memory_map(void);
/* The rest: on return frame_alloc works for all memory, and what fw_cfg has to say is known. */
void memory_init(void);

/* Physical address of a page below 1 MiB for the start of the other CPUs (smp.c); 0 = there was
 * none. */
extern u64 memory_trampoline;
