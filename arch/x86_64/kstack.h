/*
 * kstack.h: kernel stacks, as far as the interrupt handler takes part. The rest is in arch.h.
 */
#pragma once

/* Answers IPI_STACKS: forgets this CPU's translations of unmapped stacks. */
void kstack_flush_here(void);
