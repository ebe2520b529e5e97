/*
 * kstack.h: kernel stacks, as far as the interrupt handler and the reaper of dead threads take
 * part. The rest is in arch.h.
 */
#pragma once

#include "lib/types.h"

/* Answers IPI_STACKS: forgets this CPU's translations of unmapped stacks. */
void kstack_flush_here(void);
/* Gives back some more of what kernel_stack_free has kept. False: as little is kept as can be;
 * true: there will be more, once all CPUs have answered. */
bool kernel_stack_trim(void);
