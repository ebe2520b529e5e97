/*
 * fpu.h: the two halves of a switch. The thread has an FPU area.
 */
#pragma once

struct thread;
void fpu_switch_out(struct thread *thread);
void fpu_switch_in(struct thread *thread);
