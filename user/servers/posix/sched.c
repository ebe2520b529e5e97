/*
 * Scheduling, as far as the kernel has it: nice values and the CPUs a thread may use. All threads
 * are in the one time-sharing class, so real-time policies are refused.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SLICE_NS 4000000
#define REALTIME_MAX 99
#define NICE_MIN (-20)
#define NICE_MAX 19
#define RESET_ON_FORK 0x40000000

static struct thread *find(struct thread *thread, u64 tid)
{
    return (u32)tid ? thread_find((u32)tid) : thread;
}

static bool may_schedule(const struct thread *thread, const struct thread *target)
{
    const struct credentials *own = &thread->process->cred, *other = &target->process->cred;

    return own->euid == 0 || own->euid == other->uid || own->euid == other->euid;
}

/* ---- Nice ---- */

/* Without privilege, only down to what RLIMIT_NICE (20 - nice) allows. */
static long set_nice(struct thread *thread, struct thread *target, s32 nice)
{
    u64 allowed = thread->process->limits[RLIMIT_NICE].rlim_cur;

    nice = CLAMP(nice, NICE_MIN, NICE_MAX);
    if (!may_schedule(thread, target))
        return -EPERM;
    if (nice < target->nice && thread->process->cred.euid && (u64)(20 - nice) > allowed)
        return -EACCES;
    target->nice = nice;
    mg_thread_set(target->handle, MG_THREAD_NICE, nice);
    return 0;
}

/* Is a process among those that (which, who) of getpriority names? */
static bool is_meant(const struct thread *thread, const struct process *process, u32 which, u32 who)
{
    if (which == PRIO_PGRP)
        return process->pgid == (who ? who : thread->process->pgid);
    return process->cred.uid == (who ? who : thread->process->cred.uid);
}

long call_getpriority(struct thread *thread, const u64 *args)
{
    u32 which = (u32)args[0], who = (u32)args[1];
    struct thread *target = find(thread, who);
    struct process *process;
    long best = -ESRCH;

    if (which > PRIO_USER)
        return -EINVAL;
    if (which == PRIO_PROCESS)
        return target ? 20 - target->nice : -ESRCH;
    list_for_each_entry(process, &process_all, all_link) {
        if (!is_meant(thread, process, which, who))
            continue;
        list_for_each_entry(target, &process->threads, process_link)
            best = MAX(best, (long)(20 - target->nice));
    }
    return best;
}

long call_setpriority(struct thread *thread, const u64 *args)
{
    u32 which = (u32)args[0], who = (u32)args[1];
    struct thread *target = find(thread, who);
    struct process *process;
    long result = -ESRCH;

    if (which > PRIO_USER)
        return -EINVAL;
    if (which == PRIO_PROCESS)
        return target ? set_nice(thread, target, (s32)args[2]) : -ESRCH;
    list_for_each_entry(process, &process_all, all_link) {
        if (!is_meant(thread, process, which, who))
            continue;
        list_for_each_entry(target, &process->threads, process_link) {
            long error = set_nice(thread, target, (s32)args[2]);

            result = error || result == -ESRCH ? error : result;
        }
    }
    return result;
}

/* ---- CPUs ---- */

long call_sched_setaffinity(struct thread *thread, const u64 *args)
{
    struct thread *target = find(thread, args[0]);
    u64 mask = 0, present = boot_info.cpus < 64 ? (1ull << boot_info.cpus) - 1 : ~0ull;
    long error;

    if (!target)
        return -ESRCH;
    if (user_get(thread, &mask, args[2], MIN(args[1], (u64)sizeof mask)))
        return -EFAULT;
    if (!may_schedule(thread, target))
        return -EPERM;
    if (!(mask & present))
        return -EINVAL;
    error = mg_thread_set(target->handle, MG_THREAD_AFFINITY, mask & present);
    return error < 0 ? error : 0;
}

long call_sched_getaffinity(struct thread *thread, const u64 *args)
{
    struct thread *target = find(thread, args[0]);
    struct mg_thread_info info;

    if (args[1] % sizeof(u64) || args[1] < sizeof(u64))
        return -EINVAL;
    if (!target)
        return -ESRCH;
    if (mg_thread_info(target->handle, &info) < 0)
        return -ESRCH;
    if (boot_info.cpus < 64)
        info.affinity &= (1ull << boot_info.cpus) - 1;
    return user_put(thread, args[2], &info.affinity, sizeof(u64)) ? -EFAULT : (long)sizeof(u64);
}

/* ---- Policies ---- */

/* Of a policy and its priority: 0, or -EINVAL for what the kernel can't do. */
static long check_policy(u32 policy, s32 priority)
{
    bool known = policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;

    return known && !priority ? 0 : -EINVAL;
}

static long set_policy(struct thread *thread, u64 tid, u32 policy, s32 priority)
{
    struct thread *target = find(thread, tid);
    long error = (s32)tid < 0 ? -EINVAL : check_policy(policy & ~(u32)RESET_ON_FORK, priority);

    if (error)
        return error;
    if (!target)
        return -ESRCH;
    if (!may_schedule(thread, target))
        return -EPERM;
    target->policy = policy & ~(u32)RESET_ON_FORK;
    return 0;
}

long call_sched_setscheduler(struct thread *thread, const u64 *args)
{
    s32 priority;

    if (user_get(thread, &priority, args[2], sizeof priority))
        return args[2] ? -EFAULT : -EINVAL;
    return set_policy(thread, args[0], (u32)args[1], priority);
}

long call_sched_getscheduler(struct thread *thread, const u64 *args)
{
    const struct thread *target = find(thread, args[0]);

    if ((s32)args[0] < 0)
        return -EINVAL;
    return target ? (long)target->policy : -ESRCH;
}

long call_sched_setparam(struct thread *thread, const u64 *args)
{
    const struct thread *target = find(thread, args[0]);
    s32 priority;

    if (user_get(thread, &priority, args[1], sizeof priority))
        return args[1] ? -EFAULT : -EINVAL;
    return set_policy(thread, args[0], target ? target->policy : SCHED_OTHER, priority);
}

long call_sched_getparam(struct thread *thread, const u64 *args)
{
    s32 priority = 0;

    if ((s32)args[0] < 0 || !args[1])
        return -EINVAL;
    return find(thread, args[0]) ? user_put(thread, args[1], &priority, sizeof priority) : -ESRCH;
}

static bool is_realtime(u64 policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

long call_sched_get_priority_max(struct thread *thread, const u64 *args)
{
    (void)thread;
    return is_realtime(args[0]) ? REALTIME_MAX : check_policy((u32)args[0], 0);
}

long call_sched_get_priority_min(struct thread *thread, const u64 *args)
{
    (void)thread;
    return is_realtime(args[0]) ? 1 : check_policy((u32)args[0], 0);
}

long call_sched_rr_get_interval(struct thread *thread, const u64 *args)
{
    struct timespec slice = {0, SLICE_NS};

    if ((s32)args[0] < 0)
        return -EINVAL;
    return find(thread, args[0]) ? user_put(thread, args[1], &slice, sizeof slice) : -ESRCH;
}

struct attributes { /* struct sched_attr of Linux */
    u32 size, policy;
    u64 flags;
    s32 nice;
    u32 priority;
    u64 runtime, deadline, period;
};

long call_sched_setattr(struct thread *thread, const u64 *args)
{
    struct thread *target = find(thread, args[0]);
    struct attributes attributes;
    long error;

    if ((s32)args[0] < 0 || !args[1] || args[2])
        return -EINVAL;
    if (user_get(thread, &attributes, args[1], sizeof attributes))
        return -EFAULT;
    if (attributes.size && attributes.size < sizeof attributes)
        return -EINVAL;
    error = set_policy(thread, args[0], attributes.policy, (s32)attributes.priority);
    return error ? error : set_nice(thread, target, attributes.nice);
}

long call_sched_getattr(struct thread *thread, const u64 *args)
{
    const struct thread *target = find(thread, args[0]);
    struct attributes attributes = {.size = sizeof attributes};

    if ((s32)args[0] < 0 || !args[1] || args[2] < sizeof attributes || args[3])
        return -EINVAL;
    if (!target)
        return -ESRCH;
    attributes.policy = target->policy;
    attributes.nice = target->nice;
    return user_put(thread, args[1], &attributes, sizeof attributes);
}
