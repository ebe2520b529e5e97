/*
 * CPU times and usage: times, getrusage, and the CPU clocks of other processes, which programs name
 * by negative numbers; see itimer.c for timers.
 */
#define _GNU_SOURCE
#include "user/servers/posix/times.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <time.h>

#define TICK (SECOND / 100) /* what a clock_t of the calls counts */
#define RUSAGE_BYTES 144    /* as much of struct rusage as Linux writes */
#define KIB_A_PAGE 4

static struct timeval timeval_of(u64 ns)
{
    return (struct timeval){(time_t)(ns / SECOND), (suseconds_t)(ns % SECOND / 1000)};
}

long usage_put(struct thread *thread, u64 address, const struct usage *usage)
{
    struct rusage out;

    memset(&out, 0, sizeof out);
    out.ru_utime = timeval_of(usage->user_ns);
    out.ru_stime = timeval_of(usage->kernel_ns);
    out.ru_maxrss = (long)usage->max_rss * KIB_A_PAGE;
    out.ru_minflt = (long)usage->minor_faults;
    out.ru_majflt = (long)usage->major_faults;
    out.ru_nvcsw = (long)usage->voluntary;
    out.ru_nivcsw = (long)usage->involuntary;
    return user_put(thread, address, &out, RUSAGE_BYTES);
}

/* Context switches are counted by thread: those of the threads that live. */
static void add_switches(const struct process *process, struct usage *usage)
{
    struct mg_thread_info info;
    struct thread *thread;

    list_for_each_entry(thread, &process->threads, process_link) {
        if (mg_thread_info(thread->handle, &info) < 0)
            continue;
        usage->voluntary += info.voluntary;
        usage->involuntary += info.involuntary;
    }
}

static void thread_usage(struct thread *thread, struct usage *usage)
{
    struct mg_thread_info info;

    process_get_usage(thread->process, usage);
    if (mg_thread_info(thread->handle, &info) < 0)
        return;
    usage->user_ns = info.user_ns;
    usage->kernel_ns = info.kernel_ns;
    usage->voluntary = info.voluntary;
    usage->involuntary = info.involuntary;
}

long call_getrusage(struct thread *thread, const u64 *args)
{
    struct usage usage;

    switch ((s32)args[0]) {
    case RUSAGE_SELF:
        process_get_usage(thread->process, &usage);
        add_switches(thread->process, &usage);
        break;
    case RUSAGE_CHILDREN: usage = thread->process->children_usage; break;
    case RUSAGE_THREAD: thread_usage(thread, &usage); break;
    default: return -EINVAL;
    }
    return usage_put(thread, args[1], &usage);
}

long call_times(struct thread *thread, const u64 *args)
{
    const struct usage *children = &thread->process->children_usage;
    struct usage usage;
    struct tms out;

    process_get_usage(thread->process, &usage);
    out.tms_utime = (clock_t)(usage.user_ns / TICK);
    out.tms_stime = (clock_t)(usage.kernel_ns / TICK);
    out.tms_cutime = (clock_t)(children->user_ns / TICK);
    out.tms_cstime = (clock_t)(children->kernel_ns / TICK);
    if (args[0] && user_put(thread, args[0], &out, sizeof out))
        return -EFAULT;
    return (long)(time_now() / TICK);
}

/* ---- CPU clocks: ~pid << 3 | kind ---- */

enum { CLOCK_ALL, CLOCK_USER, CLOCK_RUN, CLOCK_KINDS };

static long read_clock(u64 number, u64 *ns)
{
    s32 clock = (s32)number;
    u32 kind = (u32)clock & 7;
    struct process *process = process_find(~(u32)(clock >> 3));
    struct usage usage;

    if (clock >= 0 || kind >= CLOCK_KINDS || !process)
        return -EINVAL;
    process_get_usage(process, &usage);
    *ns = usage.user_ns + (kind == CLOCK_USER ? 0 : usage.kernel_ns);
    return 0;
}

long call_clock_gettime(struct thread *thread, const u64 *args)
{
    struct timespec time;
    u64 ns;
    long error = read_clock(args[0], &ns);

    if (error)
        return error;
    time = (struct timespec){(time_t)(ns / SECOND), (long)(ns % SECOND)};
    return user_put(thread, args[1], &time, sizeof time);
}

long call_clock_getres(struct thread *thread, const u64 *args)
{
    struct timespec unit = {0, 1};
    u64 ns;
    long error = read_clock(args[0], &ns);

    if (error || !args[1])
        return error;
    return user_put(thread, args[1], &unit, sizeof unit);
}
