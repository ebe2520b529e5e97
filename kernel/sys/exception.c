/*
 * exception.c: what a program's own faulty instruction leads to: division by zero, an unknown
 * instruction, a breakpoint. The task's server hears of it and makes a signal of it.
 */
#include "arch/x86_64/arch.h"
#include "kernel/task/ipc.h"

void trap_user_exception(struct trap_frame *frame)
{
    ipc_forward_fault(frame, MG_FAULT_TRAP, frame->rip);
}
