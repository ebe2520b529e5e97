/*
 * trap.c: from the processor's page fault to mm_fault.
 *
 * A fault from user mode that can't be resolved is a message to the task's system server, which
 * makes a signal of it. One from the kernel's own access to user memory ends that access: the call
 * returns EFAULT.
 */
#include "arch/x86_64/arch.h"
#include "kernel/base/log.h"
#include "kernel/mm/mm.h"
#include "kernel/task/ipc.h"
#include "kernel/task/thread.h"

static u32 trap_access(const struct trap_frame *frame)
{
    u32 access = ACCESS_READ;

    if (frame->error_code & PAGE_FAULT_WRITE)
        access |= ACCESS_WRITE;
    if (frame->error_code & PAGE_FAULT_FETCH)
        access |= ACCESS_EXEC;
    return access;
}

static u32 trap_fault(const struct trap_frame *frame, va_t address)
{
    struct mm *mm = current_thread()->task->mm;

    if (frame->error_code & PAGE_FAULT_RESERVED)
        panic_trap(frame, "a page-table entry of %#lx is damaged", address);
    return mm && address < USER_END ? mm_fault(mm, address, trap_access(frame)) : MG_FAULT_MAPERR;
}

void trap_user_fault(struct trap_frame *frame, va_t address)
{
    u32 fault = trap_fault(frame, address);

    if (unlikely(fault != 0))
        ipc_forward_fault(frame, fault, address);
}

bool trap_kernel_fault(struct trap_frame *frame, va_t address)
{
    return trap_fault(frame, address) == 0;
}
