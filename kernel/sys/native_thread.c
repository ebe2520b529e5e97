/*
 * native_thread.c: the native calls on threads.
 *
 * Rights: READ to look at it, WRITE to set its registers, MANAGE to start, stop and end it.
 */
#include "kernel/base/slab.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/machine.h"
#include "kernel/sys/native.h"

#define FPU_LEGACY_BYTES 512ul /* x87 and SSE: all there is without XSAVE */
#define FPU_HEADER_END 576ul   /* the XSAVE header, which tells what follows */

/* --- making, starting, stopping --- */

s64 native_thread_create(struct trap_frame *frame)
{
    struct handle_ref task;
    struct thread *thread;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_TASK, MG_RIGHT_MANAGE, &task);

    if (status < 0)
        return status;
    status = thread_create(task.object, SYSCALL_ARG1(frame), &thread);
    handle_ref_put(&task);
    if (status < 0)
        return status;
    thread_get(thread);
    s64 handle = native_install(HANDLE_THREAD, thread);

    if (handle < 0)
        thread_kill(thread);
    thread_put(thread);
    return handle;
}

/* Calls `act` on the thread that the first argument names. */
static s64 manage(struct trap_frame *frame, void (*act)(struct thread *thread))
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_THREAD, MG_RIGHT_MANAGE, &ref);

    if (status < 0)
        return status;
    act(ref.object);
    handle_ref_put(&ref);
    return 0;
}

s64 native_thread_resume(struct trap_frame *frame)
{
    return manage(frame, thread_resume);
}

s64 native_thread_interrupt(struct trap_frame *frame)
{
    return manage(frame, thread_interrupt);
}

s64 native_thread_kill(struct trap_frame *frame)
{
    return manage(frame, thread_kill);
}

s64 native_thread_suspend(struct trap_frame *frame)
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_THREAD, MG_RIGHT_MANAGE, &ref);

    if (status < 0)
        return status;
    status = thread_suspend(ref.object);
    handle_ref_put(&ref);
    return status;
}

/* --- registers --- */

static s64 get_regs(struct thread *thread, u64 buffer, u64 size)
{
    struct mg_regs regs;

    if (size < sizeof(regs))
        return -EINVAL;
    arch_get_regs(thread, &regs);
    return user_write(buffer, &regs, sizeof(regs)) ? -EFAULT : (s64)sizeof(regs);
}

static s64 get_fpu(struct thread *thread, u64 buffer, u64 size)
{
    void *area = size < fpu_size ? NULL : kmalloc(fpu_size);
    s64 bytes = size < fpu_size ? -EINVAL : -ENOMEM;

    if (area)
        bytes = arch_fpu_get(thread, area, fpu_size);
    if (bytes > 0 && user_write(buffer, area, (usize)bytes))
        bytes = -EFAULT;
    kfree(area);
    return bytes;
}

static s64 set_regs(struct thread *thread, u64 buffer, u64 size)
{
    struct mg_regs regs;

    if (size != sizeof(regs))
        return -EINVAL;
    if (user_read(&regs, buffer, sizeof(regs)))
        return -EFAULT;
    s64 status = thread_check_stopped(thread);

    if (status == 0)
        status = arch_set_regs(thread, &regs);
    if (status < 0)
        return status;
    thread_regs_set(thread);
    return sizeof(regs);
}

/* Fewer bytes than the processor's area has may be given: without the header of XSAVE they are the
 * first part alone, else the missing parts read as zeros. */
static s64 set_fpu(struct thread *thread, u64 buffer, u64 size)
{
    u64 whole = size < FPU_HEADER_END ? FPU_LEGACY_BYTES : fpu_size;
    u64 given = MIN(size, whole);

    if (size < FPU_LEGACY_BYTES || size > MAX((u64)fpu_size, FPU_HEADER_END) ||
        (size > FPU_LEGACY_BYTES && size < FPU_HEADER_END))
        return -EINVAL;
    void *area = kzalloc(whole);

    if (!area)
        return -ENOMEM;
    s64 status = user_read(area, buffer, given);

    if (status == 0)
        status = thread_check_stopped(thread);
    if (status == 0)
        status = arch_fpu_set(thread, area, whole);
    kfree(area);
    return status < 0 ? status : (s64)size;
}

s64 native_thread_get_state(struct trap_frame *frame)
{
    u64 kind = SYSCALL_ARG1(frame), buffer = SYSCALL_ARG2(frame), size = SYSCALL_ARG3(frame);
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_THREAD, MG_RIGHT_READ, &ref);

    if (status < 0)
        return status;
    status = thread_check_stopped(ref.object);
    if (status == 0 && kind == MG_STATE_REGS)
        status = get_regs(ref.object, buffer, size);
    else if (status == 0)
        status = kind == MG_STATE_FPU ? get_fpu(ref.object, buffer, size) : -EINVAL;
    handle_ref_put(&ref);
    return status;
}

s64 native_thread_set_state(struct trap_frame *frame)
{
    u64 kind = SYSCALL_ARG1(frame), buffer = SYSCALL_ARG2(frame), size = SYSCALL_ARG3(frame);
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_THREAD, MG_RIGHT_WRITE, &ref);

    if (status < 0)
        return status;
    if (kind == MG_STATE_REGS)
        status = set_regs(ref.object, buffer, size);
    else
        status = kind == MG_STATE_FPU ? set_fpu(ref.object, buffer, size) : -EINVAL;
    handle_ref_put(&ref);
    return status;
}

/* --- settings and figures --- */

/* To be preferred to others takes the trust of the machine. */
static s64 set_nice(struct thread *thread, u64 value)
{
    s64 nice = (s64)value;

    if (nice < -20 || nice > 19)
        return -EINVAL;
    if (nice < thread->nice && machine_check(MG_HANDLE_SYSTEM, MG_RIGHT_MANAGE))
        return -EACCES;
    return sched_set_nice(thread, (s32)nice);
}

static s64 set_thread(struct thread *thread, u64 what, u64 value)
{
    switch (what) {
    case MG_THREAD_TID:
        if (value > 0x7fffffff)
            return -EINVAL;
        thread->tid = (u32)value;
        return 0;
    case MG_THREAD_CLEAR_TID: thread->clear_tid = value; return 0;
    case MG_THREAD_NICE: return set_nice(thread, value);
    case MG_THREAD_AFFINITY: return sched_set_affinity(thread, value);
    default: return -EINVAL;
    }
}

s64 native_thread_set(struct trap_frame *frame)
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_THREAD, MG_RIGHT_MANAGE, &ref);

    if (status < 0)
        return status;
    status = set_thread(ref.object, SYSCALL_ARG1(frame), SYSCALL_ARG2(frame));
    handle_ref_put(&ref);
    return status;
}

static u32 blocked_state(struct thread *thread)
{
    u32 ipc = atomic_load(&thread->ipc.state);

    if (thread->suspended)
        return MG_THREAD_SUSPENDED;
    return ipc == IPC_CALLING || ipc == IPC_AWAITING_REPLY ? MG_THREAD_WAITING_REPLY
                                                           : MG_THREAD_SLEEPING;
}

static u32 public_state(struct thread *thread)
{
    switch (thread_state(thread)) {
    case THREAD_NEW: return MG_THREAD_SUSPENDED;
    case THREAD_BLOCKED: return blocked_state(thread);
    case THREAD_DEAD: return MG_THREAD_DEAD;
    default: return MG_THREAD_RUNNING;
    }
}

s64 native_thread_info(struct trap_frame *frame)
{
    struct handle_ref ref;
    struct cpu_times times;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_THREAD, MG_RIGHT_READ, &ref);

    if (status < 0)
        return status;
    struct thread *thread = ref.object;
    const struct trap_frame *user = thread->ipc.frame;

    thread_times(thread, &times);
    struct mg_thread_info info = {
        .user_ns = times.user_ns,
        .kernel_ns = times.kernel_ns,
        .voluntary = thread->voluntary,
        .involuntary = thread->involuntary,
        .cpu = thread->cpu,
        .state = public_state(thread),
        .call = user->vector == TRAP_SYSCALL ? (u32)user->error_code : ~0u,
        .nice = thread->nice,
        .affinity = thread->affinity,
    };
    if (info.state == MG_THREAD_RUNNING || info.state == MG_THREAD_DEAD)
        info.call = ~0u;
    handle_ref_put(&ref);
    return user_write(SYSCALL_ARG1(frame), &info, sizeof(info));
}
