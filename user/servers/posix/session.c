/*
 * Where a process stands: parent, process group, session.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include <errno.h>

long call_getppid(struct thread *thread, const u64 *args)
{
    const struct process *parent = thread->process->parent;

    (void)args;
    return parent ? parent->pid : 0;
}

static struct process *find(struct thread *thread, u64 pid)
{
    return (u32)pid ? process_find((u32)pid) : thread->process;
}

long call_getpgrp(struct thread *thread, const u64 *args)
{
    (void)args;
    return thread->process->pgid;
}

long call_getpgid(struct thread *thread, const u64 *args)
{
    const struct process *process = find(thread, args[0]);

    return process ? (long)process->pgid : -ESRCH;
}

long call_getsid(struct thread *thread, const u64 *args)
{
    const struct process *process = find(thread, args[0]);

    return process ? (long)process->sid : -ESRCH;
}

/* A process may move itself and its children that have not yet executed, within its session. */
long call_setpgid(struct thread *thread, const u64 *args)
{
    struct process *self = thread->process, *process = find(thread, args[0]);
    u32 pgid;

    if ((s32)args[1] < 0)
        return -EINVAL;
    if (!process || (process != self && process->parent != self))
        return -ESRCH;
    if (process != self && process->sid != self->sid)
        return -EPERM;
    if (process != self && process->executed)
        return -EACCES;
    if (process->sid == process->pid)
        return -EPERM;
    pgid = (u32)args[1] ? (u32)args[1] : process->pid;
    if (pgid != process->pid && !process_group_exists(pgid, self->sid))
        return -EPERM;
    process->pgid = pgid;
    return 0;
}

long call_setsid(struct thread *thread, const u64 *args)
{
    struct process *self = thread->process, *other;

    (void)args;
    list_for_each_entry(other, &process_all, all_link) {
        if (other->pgid == self->pid)
            return -EPERM;
    }
    self->pgid = self->sid = self->pid;
    return self->pid;
}
