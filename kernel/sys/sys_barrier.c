/*
 * sys_barrier.c: membarrier(2) within a task.
 *
 * The caller wants every thread of its space to have passed a memory barrier. A shootdown asks all
 * CPUs that run the space and waits for their answers, and a CPU that comes to the space later
 * passes locked instructions on its way: that is all there is to it.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/tlb.h"
#include "kernel/sys/linux_calls.h"

enum {
    MEMBARRIER_QUERY = 0,
    MEMBARRIER_PRIVATE_EXPEDITED = 8,
    MEMBARRIER_REGISTER_PRIVATE_EXPEDITED = 16,
};

s64 sys_membarrier(struct trap_frame *frame)
{
    struct mm *mm = current_mm();

    if ((u32)SYSCALL_ARG1(frame))
        return -EINVAL;
    switch ((u32)SYSCALL_ARG0(frame)) {
    case MEMBARRIER_QUERY:
        return MEMBARRIER_PRIVATE_EXPEDITED | MEMBARRIER_REGISTER_PRIVATE_EXPEDITED;
    case MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: atomic_store(&mm->wants_barriers, true); return 0;
    case MEMBARRIER_PRIVATE_EXPEDITED:
        if (!atomic_load(&mm->wants_barriers))
            return -EPERM;
        tlb_flush_page(mm, 0, TLB_PROTECT);
        return 0;
    default: return -EINVAL;
    }
}
