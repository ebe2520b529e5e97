/*
 * sys_mem.c: Linux's memory calls, on the caller's own space.
 *
 * The work and its checks are floor 5's. Here arguments get the width they have on Linux: what is
 * an int there loses its upper half, what is a long keeps it, so that unknown bits are refused.
 * Mappings of files are the server's: it knows which object a file is.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/mm.h"
#include "kernel/mm/mman.h"
#include "kernel/sys/linux_calls.h"

enum { PR_SET_MEMORY_MERGE = 67, PR_GET_MEMORY_MERGE = 68 };

#define PKEY_RIGHTS 3 /* PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE */
#define PKEY_NONE (-1)

/* A bit that no memory call knows. */
#define UNKNOWN_FLAG 0x80000000u

/* A long of flags as the 32 bits floor 5 takes: what is lost is still refused. */
static u32 narrow(u64 flags)
{
    return (u32)flags | (flags >> 32 ? UNKNOWN_FLAG : 0);
}

s64 sys_mmap(struct trap_frame *frame)
{
    struct map_request request = {
        .addr = SYSCALL_ARG0(frame),
        .len = SYSCALL_ARG1(frame),
        .prot = (u32)SYSCALL_ARG2(frame),
        .flags = (u32)SYSCALL_ARG3(frame),
    };

    if (!IS_ALIGNED(SYSCALL_ARG5(frame), PAGE_SIZE))
        return -EINVAL;
    if (!(request.flags & MAP_ANONYMOUS))
        return SYSCALL_FORWARD;
    return mm_map(current_mm(), &request);
}

s64 sys_munmap(struct trap_frame *frame)
{
    return mm_unmap(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame));
}

s64 sys_mprotect(struct trap_frame *frame)
{
    return mm_protect(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame),
                      narrow(SYSCALL_ARG2(frame)));
}

/* Protection keys: as on a processor without them, where none can be had. */
s64 sys_pkey_alloc(struct trap_frame *frame)
{
    return SYSCALL_ARG0(frame) || SYSCALL_ARG1(frame) & ~(u64)PKEY_RIGHTS ? -EINVAL : -ENOSPC;
}

s64 sys_pkey_free(struct trap_frame *frame)
{
    (void)frame;
    return -EINVAL;
}

s64 sys_pkey_mprotect(struct trap_frame *frame)
{
    return (s32)SYSCALL_ARG3(frame) == PKEY_NONE ? sys_mprotect(frame) : -EINVAL;
}

s64 sys_mremap(struct trap_frame *frame)
{
    return mm_remap(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame), SYSCALL_ARG2(frame),
                    narrow(SYSCALL_ARG3(frame)), SYSCALL_ARG4(frame));
}

s64 sys_brk(struct trap_frame *frame)
{
    return mm_brk(current_mm(), SYSCALL_ARG0(frame));
}

s64 sys_madvise(struct trap_frame *frame)
{
    return mm_advise(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame),
                     (u32)SYSCALL_ARG2(frame));
}

s64 sys_mincore(struct trap_frame *frame)
{
    return mm_incore(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame),
                     (u8 *)SYSCALL_ARG2(frame));
}

s64 sys_msync(struct trap_frame *frame)
{
    return mm_sync(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame),
                   (u32)SYSCALL_ARG2(frame));
}

s64 sys_mlock(struct trap_frame *frame)
{
    return mm_lock_range(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame), 0);
}

s64 sys_mlock2(struct trap_frame *frame)
{
    return mm_lock_range(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame),
                         (u32)SYSCALL_ARG2(frame));
}

s64 sys_munlock(struct trap_frame *frame)
{
    return mm_unlock_range(current_mm(), SYSCALL_ARG0(frame), SYSCALL_ARG1(frame));
}

s64 sys_mlockall(struct trap_frame *frame)
{
    return mm_lock_all(current_mm(), (u32)SYSCALL_ARG0(frame));
}

s64 sys_munlockall(struct trap_frame *frame)
{
    (void)frame;
    return mm_unlock_all(current_mm());
}

s64 sys_prctl(struct trap_frame *frame)
{
    u64 rest = SYSCALL_ARG2(frame) | SYSCALL_ARG3(frame) | SYSCALL_ARG4(frame);

    switch ((u32)SYSCALL_ARG0(frame)) {
    case PR_SET_MEMORY_MERGE:
        return rest ? -EINVAL : ksm_set_merge_any(current_mm(), SYSCALL_ARG1(frame) != 0);
    case PR_GET_MEMORY_MERGE: return rest | SYSCALL_ARG1(frame) ? -EINVAL : current_mm()->merge_any;
    default: return SYSCALL_FORWARD;
    }
}
