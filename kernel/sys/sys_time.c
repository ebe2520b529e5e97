/*
 * sys_time.c: reading clocks.
 *
 * There is one clock, time_ns; the real time runs a fixed offset ahead of it, so TAI and the coarse
 * clocks are no others. CPU clocks count what a task or a thread has run. A program names a CPU
 * clock other than its own two by a negative number, ~id << 3 | THREAD | kind; the kernel knows
 * tasks and threads by number only within the caller's task.
 */
#include "kernel/base/errno.h"
#include "kernel/sys/linux_calls.h"
#include "kernel/sys/timespec.h"
#include "kernel/task/thread.h"

#define CPU_CLOCK_THREAD 4
enum { CPU_CLOCK_ALL, CPU_CLOCK_USER, CPU_CLOCK_RUN, CPU_CLOCK_NONE, CPU_CLOCK_KIND = 3 };

static u64 times_pick(const struct cpu_times *times, s32 kind)
{
    return kind == CPU_CLOCK_USER ? times->user_ns : times->total_ns;
}

/* True: a thread of the current task has the number, and its times are there. */
static bool find_thread_times(u32 tid, struct cpu_times *times)
{
    struct task *task = current_thread()->task;
    struct thread *thread;
    bool found = false;

    spin_lock(&task->lock);
    list_for_each_entry(thread, &task->threads, task_link) {
        if (thread->tid != tid)
            continue;
        thread_times(thread, times);
        found = true;
        break;
    }
    spin_unlock(&task->lock);
    return found;
}

/* A CPU clock that is named by a negative number. Another task's is the system server's to read. */
static s64 read_cpu_clock(s32 clock, u64 *ns)
{
    struct thread *self = current_thread();
    u32 id = ~(u32)(clock >> 3);
    s32 kind = clock & CPU_CLOCK_KIND;
    struct cpu_times times;

    if (kind == CPU_CLOCK_NONE)
        return -EINVAL;
    if (clock & CPU_CLOCK_THREAD) {
        if (!find_thread_times(id ? id : self->tid, &times))
            return -EINVAL;
    } else {
        if (id && id != self->task->pid)
            return SYSCALL_FORWARD;
        task_times(self->task, &times);
    }
    *ns = times_pick(&times, kind);
    return 0;
}

/* 0, or -EINVAL: there is no such clock. */
static s64 read_clock(s32 clock, u64 *ns)
{
    struct cpu_times times;

    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI: *ns = time_ns() + time_realtime_offset; return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM: *ns = time_ns(); return 0;
    case CLOCK_PROCESS_CPUTIME_ID: task_times(current_thread()->task, &times); break;
    case CLOCK_THREAD_CPUTIME_ID: thread_times(current_thread(), &times); break;
    default: return clock < 0 ? read_cpu_clock(clock, ns) : -EINVAL;
    }
    *ns = times.total_ns;
    return 0;
}

s64 sys_clock_gettime(struct trap_frame *frame)
{
    u64 ns;
    s64 status = read_clock((s32)SYSCALL_ARG0(frame), &ns);

    return status < 0 ? status : timespec_write(SYSCALL_ARG1(frame), ns);
}

s64 sys_clock_getres(struct trap_frame *frame)
{
    u64 ns, to = SYSCALL_ARG1(frame);
    s64 status = read_clock((s32)SYSCALL_ARG0(frame), &ns);

    return status < 0 || !to ? status : timespec_write(to, 1);
}

/* Nobody may: the machine's clock is the only one, and what depends on it is not asked. */
s64 sys_clock_settime(struct trap_frame *frame)
{
    u64 ns;

    if ((s32)SYSCALL_ARG0(frame) != CLOCK_REALTIME)
        return -EINVAL;
    s64 status = timespec_read(SYSCALL_ARG1(frame), &ns);

    return status < 0 ? status : -EPERM;
}

s64 sys_gettimeofday(struct trap_frame *frame)
{
    static const u32 utc[2];
    u64 time_to = SYSCALL_ARG0(frame), zone_to = SYSCALL_ARG1(frame);
    u64 microseconds = (time_ns() + time_realtime_offset) / 1000;
    u64 time[2] = {microseconds / 1000000, microseconds % 1000000};

    if (time_to && user_write(time_to, time, sizeof(time)))
        return -EFAULT;
    return zone_to ? user_write(zone_to, utc, sizeof(utc)) : 0;
}

s64 sys_time(struct trap_frame *frame)
{
    u64 to = SYSCALL_ARG0(frame);
    s64 seconds = (s64)((time_ns() + time_realtime_offset) / NS_PER_SECOND);

    return to && user_write(to, &seconds, sizeof(seconds)) ? -EFAULT : seconds;
}
