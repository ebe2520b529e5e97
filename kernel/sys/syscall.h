/*
 * syscall.h: the system call table.
 *
 * One list for Linux's calls that the kernel serves itself (linux_calls.h) and one for the native
 * ones (abi.h). A handler gets the trap frame; syscall_dispatch puts its result into rax. FORWARD
 * as a result means: not this form of the call, ask the system server. EINTR means: a sleep was
 * ended by work (kernel/task/work.c); the dispatcher decides whether the program hears of it or the
 * handler is called again.
 */
#pragma once

#include "arch/x86_64/arch.h"
#include "lib/types.h"

typedef s64 (*syscall_handler)(struct trap_frame *frame);

/* Results no call can return. */
#define SYSCALL_FORWARD (-4096l)   /* deliver to the system server */
#define SYSCALL_NO_RESULT (-4097l) /* registers are already as they should be */

/* Arguments by the system call convention. */
#define SYSCALL_ARG0(frame) ((frame)->rdi)
#define SYSCALL_ARG1(frame) ((frame)->rsi)
#define SYSCALL_ARG2(frame) ((frame)->rdx)
#define SYSCALL_ARG3(frame) ((frame)->r10)
#define SYSCALL_ARG4(frame) ((frame)->r8)
#define SYSCALL_ARG5(frame) ((frame)->r9)

/* The end of a call whose result is negative: an error, or one of those that no call can return. */
void syscall_finish_special(struct trap_frame *frame, s64 result);
