/*
 * Resource limits: getrlimit, setrlimit, prlimit64. Those on memory are enforced by the kernel,
 * which is told of every change; a new process gets them with its parent's task.
 */
#include "user/servers/posix/limits.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>

#define MIB (1ul << 20)
#define THREADS_LOW 64u
#define THREADS_HIGH 30000u
#define FILES_LOW 4096u   /* open files there may be at least; as a rule one for each page */
#define PAGES_A_THREAD 64 /* twice what a small process takes, so that they can't use up all */

void limits_tell(const struct process *process)
{
    bool may_lock = has_capability(&process->cred, CAP_IPC_LOCK);
    u64 locked = process->limits[RLIMIT_MEMLOCK].rlim_cur;

    mg_task_set(process->task, MG_TASK_MEMLOCK_LIMIT, may_lock ? RLIM_INFINITY : locked);
    mg_task_set(process->task, MG_TASK_SPACE_LIMIT, process->limits[RLIMIT_AS].rlim_cur);
    mg_task_set(process->task, MG_TASK_STACK_LIMIT, process->limits[RLIMIT_STACK].rlim_cur);
    mg_task_set(process->task, MG_TASK_DATA_LIMIT, process->limits[RLIMIT_DATA].rlim_cur);
}

void limits_init(struct process *process)
{
    struct mg_memory_stats memory = {0};

    stats_memory(&memory);
    thread_limit = (u32)CLAMP(memory.total / PAGES_A_THREAD, THREADS_LOW, THREADS_HIGH);
    file_limit = (u32)CLAMP(memory.total, FILES_LOW, UINT32_MAX);
    for (u32 i = 0; i < RLIM_NLIMITS; i++)
        process->limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    process->limits[RLIMIT_STACK].rlim_cur = 8 * MIB;
    process->limits[RLIMIT_CORE].rlim_cur = 0;
    process->limits[RLIMIT_NPROC] = (struct rlimit){thread_limit / 2, thread_limit / 2};
    process->limits[RLIMIT_NOFILE] = (struct rlimit){1024, FD_LIMIT};
    process->limits[RLIMIT_MEMLOCK] = (struct rlimit){8 * MIB, 8 * MIB};
    process->limits[RLIMIT_SIGPENDING] = process->limits[RLIMIT_NPROC];
    process->limits[RLIMIT_MSGQUEUE] = (struct rlimit){819200, 819200};
    process->limits[RLIMIT_NICE] = (struct rlimit){0, 0};
    process->limits[RLIMIT_RTPRIO] = (struct rlimit){0, 0};
    limits_tell(process);
}

static long set_limit(struct thread *thread, struct process *process, u32 which,
                      const struct rlimit *new)
{
    struct rlimit *limit = &process->limits[which];

    if (new->rlim_cur > new->rlim_max)
        return -EINVAL;
    if (which == RLIMIT_NOFILE && new->rlim_max > FD_LIMIT)
        return -EPERM;
    if (new->rlim_max > limit->rlim_max && thread->process->cred.euid)
        return -EPERM;
    *limit = *new;
    limits_tell(process);
    return 0;
}

/* A limit of another process is for those of the same user, and for root. */
static bool may_touch(const struct thread *thread, const struct process *process)
{
    const struct credentials *own = &thread->process->cred, *other = &process->cred;

    return thread->process == process || own->euid == 0 ||
           (own->uid == other->uid && own->uid == other->euid && own->uid == other->suid &&
            own->gid == other->gid && own->gid == other->egid && own->gid == other->sgid);
}

long call_prlimit64(struct thread *thread, const u64 *args)
{
    struct process *process = (u32)args[0] ? process_find((u32)args[0]) : thread->process;
    u32 which = (u32)args[1];
    struct rlimit old, new;
    long error = 0;

    if (which >= RLIM_NLIMITS)
        return -EINVAL;
    if (args[2] && user_get(thread, &new, args[2], sizeof new))
        return -EFAULT;
    if (!process || process->zombie)
        return -ESRCH;
    if (!may_touch(thread, process))
        return -EPERM;
    old = process->limits[which];
    if (args[2])
        error = set_limit(thread, process, which, &new);
    if (!error && args[3])
        error = user_put(thread, args[3], &old, sizeof old);
    return error;
}

long call_getrlimit(struct thread *thread, const u64 *args)
{
    if (args[0] >= RLIM_NLIMITS)
        return -EINVAL;
    return user_put(thread, args[1], &thread->process->limits[args[0]], sizeof(struct rlimit));
}

long call_setrlimit(struct thread *thread, const u64 *args)
{
    struct rlimit new;

    if (args[0] >= RLIM_NLIMITS)
        return -EINVAL;
    if (user_get(thread, &new, args[1], sizeof new))
        return -EFAULT;
    return set_limit(thread, thread->process, (u32)args[0], &new);
}
