/*
 * fork, vfork, clone and clone3: one request, two ways to fulfil it.
 *
 *     clone_thread    CLONE_THREAD: one more thread in the task
 *     clone_process   everything else: a task of its own, with a copy of the address space or the
 *                     same one (CLONE_VM, as vfork has it)
 *
 * Either way the new thread starts as a copy of the caller's registers, with another result.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define CLONE_CLEAR_HANDLERS 0x100000000ull /* CLONE_CLEAR_SIGHAND */
#define CLONE_NAMESPACES                                                                           \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |     \
     CLONE_NEWCGROUP | 0x80ull)

struct request { /* struct clone_args of clone3 */
    u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    u64 set_tid, set_tid_size, cgroup;
};

static u8 fpu_state[MG_FPU_MAX];

static long check_request(const struct request *request)
{
    u64 flags = request->flags;

    if (flags & CLONE_NAMESPACES)
        return -EINVAL;
    if (flags & CLONE_SIGHAND && !(flags & CLONE_VM))
        return -EINVAL;
    if (flags & CLONE_THREAD && (!(flags & CLONE_SIGHAND) || flags & CLONE_PIDFD))
        return -EINVAL;
    if (flags & CLONE_SIGHAND && flags & CLONE_CLEAR_HANDLERS)
        return -EINVAL;
    return request->exit_signal > SIGNALS ? -EINVAL : 0;
}

/* Root may use all there is; others are held to their RLIMIT_NPROC. */
static bool may_have_another(const struct process *process)
{
    const struct process *other;
    u64 count = 0, limit = process->limits[RLIMIT_NPROC].rlim_cur;

    if (thread_count >= thread_limit)
        return false;
    if (process->cred.uid == 0 || limit == RLIM_INFINITY)
        return true;
    list_for_each_entry(other, &process_all, all_link) {
        count += other->cred.uid == process->cred.uid ? MAX(other->thread_count, 1u) : 0;
    }
    return count < limit;
}

/* The new thread begins where the caller is, with result 0. */
static long copy_state(struct thread *thread, struct thread *child, const struct request *request)
{
    struct mg_regs regs;
    long size = mg_thread_get_state(thread->handle, MG_STATE_REGS, &regs, sizeof regs);

    if (size < 0)
        return size;
    regs.rax = 0;
    regs.orig_rax = ~0ul;
    if (request->stack)
        regs.rsp = request->stack + request->stack_size;
    if (request->flags & CLONE_SETTLS)
        regs.fs_base = request->tls;
    size = mg_thread_set_state(child->handle, MG_STATE_REGS, &regs, sizeof regs);
    if (size < 0)
        return size;
    size = mg_thread_get_state(thread->handle, MG_STATE_FPU, fpu_state, sizeof fpu_state);
    if (size > 0)
        size = mg_thread_set_state(child->handle, MG_STATE_FPU, fpu_state, (u64)size);
    return size < 0 ? size : 0;
}

/* What is set up for any new thread once it exists. */
static long prepare_thread(struct thread *thread, struct thread *child,
                           const struct request *request)
{
    long error = copy_state(thread, child, request);

    if (error)
        return error;
    child->blocked = thread->blocked;
    child->nice = thread->nice;
    child->policy = thread->policy;
    memcpy(child->name, thread->name, NAME_BYTES);
    if (!(request->flags & CLONE_VM) || request->flags & CLONE_VFORK)
        child->altstack = thread->altstack;
    if (request->flags & CLONE_CHILD_CLEARTID)
        mg_thread_set(child->handle, MG_THREAD_CLEAR_TID, request->child_tid);
    if (request->flags & CLONE_CHILD_SETTID)
        user_put_u32(child, request->child_tid, child->tid);
    if (request->flags & CLONE_PARENT_SETTID)
        user_put_u32(thread, request->parent_tid, child->tid);
    return 0;
}

static long clone_thread(struct thread *thread, const struct request *request)
{
    struct thread *child;
    long error = thread_create(thread->process, &child);

    if (error)
        return error;
    error = prepare_thread(thread, child, request);
    if (error) {
        mg_thread_kill(child->handle);
        thread_free(child);
        return error;
    }
    mg_thread_resume(child->handle);
    return child->tid;
}

/* Shares or copies files, directories and handlers as the flags say. */
static bool copy_parts(struct process *parent, struct process *child, u64 flags)
{
    child->files = parent->files;
    child->fs = parent->fs;
    child->actions = parent->actions;
    if (flags & CLONE_FILES)
        child->files->refs++;
    else
        child->files = fd_table_copy(parent->files);
    if (flags & CLONE_FS)
        child->fs->refs++;
    else
        child->fs = fs_context_copy(parent->fs);
    if (flags & CLONE_SIGHAND)
        child->actions->refs++;
    else
        child->actions = signal_actions_copy(parent->actions);
    return child->files && child->fs && child->actions;
}

static void abandon(struct process *child)
{
    if (child->task) {
        mg_task_kill(child->task);
        if (child->leader)
            thread_free(child->leader);
        mg_handle_close(child->task);
    }
    if (child->files)
        fd_table_put(child->files);
    if (child->fs)
        fs_context_put(child->fs);
    if (child->actions)
        signal_actions_put(child->actions);
    process_discard(child);
}

/* The task, its first thread and everything they start with. */
static long build_child(struct thread *thread, struct process *child, const struct request *request)
{
    u64 share = request->flags & CLONE_VM ? MG_FORK_SHARE_SPACE : 0;
    struct thread *leader;
    long result;

    if (!copy_parts(thread->process, child, request->flags))
        return -ENOMEM;
    if (request->flags & CLONE_CLEAR_HANDLERS)
        memset(child->actions->action, 0, sizeof child->actions->action);
    result = mg_task_fork(thread->process->task, server_port, child->pid, share);
    if (result < 0)
        return result;
    child->task = (mg_handle)result;
    mg_task_set(child->task, MG_TASK_PID, child->pid);
    result = thread_create(child, &leader);
    return result ? result : prepare_thread(thread, leader, request);
}

/* A pidfd for the parent, where it asked for one. */
static long give_pidfd(struct thread *thread, struct process *child, const struct request *request)
{
    struct file *file;
    long fd;

    if (!(request->flags & CLONE_PIDFD))
        return 0;
    file = pidfd_create(child->pid);
    if (!file)
        return -ENOMEM;
    fd = fd_install(thread->process, file, 0, true);
    return fd < 0 ? fd : user_put_u32(thread, request->pidfd, (u32)fd);
}

static long clone_process(struct thread *thread, const struct request *request)
{
    struct process *parent = thread->process, *child;
    long error;

    if (request->flags & CLONE_PARENT && parent->parent)
        parent = parent->parent;
    child = process_create(parent);
    if (!child)
        return -EAGAIN;
    child->exit_signal = (u32)request->exit_signal;
    error = build_child(thread, child, request);
    if (!error)
        error = give_pidfd(thread, child, request);
    if (error) {
        abandon(child);
        return error;
    }
    if (request->flags & CLONE_VFORK)
        child->vfork_parent = thread;
    mg_thread_resume(child->leader->handle);
    return child->pid;
}

/* The rest of vfork: until the child has a program of its own, or has ended. */
static long wait_for_vfork(struct thread *thread)
{
    struct process *child = process_find((u32)thread->done);

    if (!child || child->vfork_parent != thread)
        return (long)thread->done;
    if ((thread->pending.set | thread->process->pending.set) & SIGNAL_BIT(SIGKILL))
        return (long)thread->done;
    if (wait_add(thread, &child->vfork_wait))
        return (long)thread->done;
    thread->sleeping = true; /* other signals wait */
    return WAITING;
}

static long do_clone(struct thread *thread, const struct request *request)
{
    long result;

    if (thread->tried)
        return wait_for_vfork(thread);
    result = check_request(request);
    if (result)
        return result;
    if (!may_have_another(thread->process))
        return -EAGAIN;
    if (request->flags & CLONE_THREAD)
        return clone_thread(thread, request);
    result = clone_process(thread, request);
    if (result < 0 || !(request->flags & CLONE_VFORK))
        return result;
    thread->done = (u64)result;
    return wait_for_vfork(thread);
}

long call_fork(struct thread *thread, const u64 *args)
{
    (void)args;
    return do_clone(thread, &(struct request){.exit_signal = SIGCHLD});
}

long call_vfork(struct thread *thread, const u64 *args)
{
    (void)args;
    return do_clone(thread,
                    &(struct request){.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD});
}

long call_clone(struct thread *thread, const u64 *args)
{
    struct request request = {
        .flags = (u32)args[0] & ~0xffu,
        .exit_signal = args[0] & 0xff,
        .stack = args[1],
        .parent_tid = args[2],
        .pidfd = args[2],
        .child_tid = args[3],
        .tls = args[4],
    };

    if (request.flags & CLONE_PIDFD && request.flags & CLONE_PARENT_SETTID)
        return -EINVAL;
    return do_clone(thread, &request);
}

long call_clone3(struct thread *thread, const u64 *args)
{
    struct request request = {0};
    u64 size = args[1];

    if (size < offsetof(struct request, set_tid))
        return -EINVAL;
    if (size > sizeof request)
        return -E2BIG;
    if (user_get(thread, &request, args[0], size))
        return -EFAULT;
    if (request.set_tid_size || request.flags & 0xff || !request.stack != !request.stack_size)
        return -EINVAL;
    if (request.flags & CLONE_THREAD && request.exit_signal)
        return -EINVAL;
    return do_clone(thread, &request);
}
