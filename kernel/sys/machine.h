/*
 * machine.h: the system handle, for the native calls that need it.
 */
#pragma once

#include "lib/types.h"

/* At start-up: makes handles of the machine and of interrupts possible. */
void machine_init(void);
/* The same for block devices, and for transfers. */
void native_block_init(void);
/* Whether the caller's handle is that of the machine, with these rights: 0, -EBADF, -EACCES. */
s64 machine_check(u64 handle, u32 rights);
