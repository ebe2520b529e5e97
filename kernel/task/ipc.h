/*
 * ipc.h: messages between tasks, and the kernel's own to a system server.
 *
 * A call is synchronous: the caller sleeps, first queued at the port (IPC_CALLING) unless a
 * receiver waits there, then until a reply names its token (IPC_AWAITING_REPLY). Only a thread of
 * the task that received the call can reply. When a receiver already waits, the caller's CPU
 * switches to it directly.
 */
#pragma once

#include "kernel/task/port.h"
#include "kernel/task/thread.h"

/*
 * The four calls, on the registers of the current thread's trap frame (struct mg_msg tells the
 * layout). 0 or -errno for rax. -EINTR where a sleep ended for work: ipc_call only when killed; the
 * receives may be repeated with the same registers, as the reply of reply_recv is then stale and
 * skipped.
 */
s64 ipc_call(struct trap_frame *frame);
s64 ipc_recv(struct trap_frame *frame);
s64 ipc_reply(struct trap_frame *frame);
s64 ipc_reply_recv(struct trap_frame *frame);

/* Sends the current thread's system call (number and arguments in its frame) to its task's server
 * and sleeps until the reply, which has set rax or all registers. 0; -ENOSYS without a server,
 * -EPIPE when it has died, -EINTR when a suspend or kill came before the server took the call. */
s64 ipc_forward_syscall(struct trap_frame *frame);
/* The same for a fault; returns when the user instruction may be tried again. Without a server the
 * task is killed, with a line in the log. */
void ipc_forward_fault(struct trap_frame *frame, enum mg_fault fault, va_t address);
/* A task that took calls has ended: those who await its replies get EPIPE. May take long. */
void ipc_task_ended(struct task *task);
