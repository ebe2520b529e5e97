/*
 * sys_sleep.c: sleeping for a time.
 *
 * A sleep that is ended by work keeps its deadline in thread->restart_deadline. If the dispatcher
 * calls the handler again, the sleep goes on to the same moment.
 */
#include "kernel/base/errno.h"
#include "kernel/sys/linux_calls.h"
#include "kernel/sys/timespec.h"
#include "kernel/task/thread.h"

#define TIMER_ABSTIME 1u

/* Sleeps to the deadline. When it ends before, what is left of it goes to remain_to, unless that is
 * 0. */
static s64 sleep_until(u64 deadline, u64 remain_to)
{
    struct thread *self = current_thread();

    sched_prepare_sleep();
    if (sched_sleep_interruptible(deadline) != -EINTR)
        return 0;
    u64 now = time_ns();

    if (now >= deadline)
        return 0;
    if (remain_to && timespec_write(remain_to, deadline - now))
        return -EFAULT;
    self->restart_deadline = deadline;
    return -EINTR;
}

s64 sys_nanosleep(struct trap_frame *frame)
{
    u64 ns, deadline = current_thread()->restart_deadline;

    if (!deadline) {
        s64 status = timespec_read(SYSCALL_ARG0(frame), &ns);

        if (status < 0)
            return status;
        deadline = deadline_after(ns);
    }
    return sleep_until(deadline, SYSCALL_ARG1(frame));
}

/* How far a clock that can be slept on is ahead of time_ns. */
static s64 clock_offset(s32 clock, u64 *offset)
{
    *offset = 0;
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI: *offset = time_realtime_offset; return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM: return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE: return -EOPNOTSUPP;
    default: return -EINVAL;
    }
}

s64 sys_clock_nanosleep(struct trap_frame *frame)
{
    bool absolute = (u32)SYSCALL_ARG1(frame) & TIMER_ABSTIME;
    u64 ns, offset, deadline = current_thread()->restart_deadline;
    s64 status = clock_offset((s32)SYSCALL_ARG0(frame), &offset);

    if (status < 0)
        return status;
    if (!deadline) {
        status = timespec_read(SYSCALL_ARG2(frame), &ns);
        if (status < 0)
            return status;
        deadline = absolute ? deadline_at(ns, offset) : deadline_after(ns);
    }
    return sleep_until(deadline, absolute ? 0 : SYSCALL_ARG3(frame));
}

/* Sleeps are taken up again inside the kernel: from outside there is never one to go on with. */
s64 sys_restart_syscall(struct trap_frame *frame)
{
    frame->rax = (u64)-EINTR;
    return SYSCALL_NO_RESULT;
}
