/*
 * The end of threads and processes.
 *
 *     process_exit    task killed, files closed, children handed on; a zombie is left
 *     process_reap    the parent has seen it (or does not want to): the number is free again
 *
 * Nothing here waits: the kernel lets a killed task's threads go at their next boundary.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/ksm_device.h"
#include "user/servers/posix/lock.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/shm.h"
#include "user/servers/posix/tty.h"
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static void add_usage(struct usage *to, const struct usage *from)
{
    to->user_ns += from->user_ns;
    to->kernel_ns += from->kernel_ns;
    to->minor_faults += from->minor_faults;
    to->major_faults += from->major_faults;
    to->max_rss = MAX(to->max_rss, from->max_rss);
}

static void vfork_release(struct process *process)
{
    process->vfork_parent = NULL;
    wait_wake(&process->vfork_wait);
}

/* Who gets the children of a process that ends. */
static struct process *find_reaper(struct process *process)
{
    for (struct process *at = process->parent; at; at = at->parent) {
        if (at->subreaper && !at->exiting)
            return at;
    }
    return process_init;
}

static void hand_on_children(struct process *process)
{
    struct process *child, *after, *reaper = find_reaper(process);

    list_for_each_entry_safe(child, after, &process->children, sibling) {
        child->parent = reaper;
        child->exit_signal = SIGCHLD;
        list_move_tail(&child->sibling, &reaper->children);
        if (child->death_signal)
            signal_send_process(child, (int)child->death_signal, NULL);
        if (child->zombie)
            process_notify_parent(child, CLD_EXITED);
        else
            process_check_orphans(child);
    }
}

static void drop_threads(struct process *process)
{
    struct thread *thread, *after;

    if (process->leader)
        memcpy(process->name, process->leader->name, NAME_BYTES);
    list_for_each_entry_safe(thread, after, &process->threads, process_link)
        thread_free(thread);
}

static void drop_resources(struct process *process)
{
    lock_release_all(process);
    ksm_device_forget(process);
    fd_table_put(process->files);
    fs_context_put(process->fs);
    signal_actions_put(process->actions);
    signal_pending_flush(&process->pending);
    itimers_stop(process);
    ptimers_delete(process);
    if (process->program.exe)
        inode_put_running(process->program.exe);
    process->program.exe = NULL;
    process->files = NULL;
    process->fs = NULL;
    process->actions = NULL;
}

void process_exit(struct process *process, u32 status)
{
    if (process->exiting)
        return;
    process->exiting = true;
    if (process == process_init)
        log_panic("init has ended, wait status %#x", status);
    process_get_usage(process, &process->usage);
    mg_task_kill(process->task);
    drop_threads(process);
    mg_handle_close(process->task);
    process->task = 0;
    drop_resources(process);
    vfork_release(process);
    shm_sweep();
    if (process->sid == process->pid)
        tty_session_ended(process);
    hand_on_children(process);
    process->stopped = false;
    process->zombie = true;
    process->status = status;
    process_check_orphans(process);
    process_notify_parent(process, WIFSIGNALED(status) ? CLD_KILLED : CLD_EXITED);
}

void thread_exit(struct thread *thread, u32 status)
{
    struct process *process = thread->process;

    if (process->thread_count == 1) {
        process_exit(process, status);
        return;
    }
    if (process->leader == thread)
        memcpy(process->name, thread->name, NAME_BYTES);
    mg_thread_kill(thread->handle);
    thread_free(thread);
}

void process_kill_others(struct thread *thread)
{
    struct thread *other, *after;

    list_for_each_entry_safe(other, after, &thread->process->threads, process_link) {
        if (other == thread)
            continue;
        mg_thread_kill(other->handle);
        thread_free(other);
    }
    thread_become_leader(thread);
}

void process_reap(struct process *process)
{
    struct process *parent = process->parent;

    add_usage(&parent->children_usage, &process->usage);
    add_usage(&parent->children_usage, &process->children_usage);
    list_remove(&process->sibling);
    wait_queue_end(&process->child_wait);
    wait_queue_end(&process->vfork_wait);
    process_free_number(process);
    free(process);
}

/* Does the parent say that it will not wait for children? */
static bool parent_ignores(const struct process *parent, const struct process *child)
{
    const struct action *action = &parent->actions->action[SIGCHLD];

    return child->exit_signal == SIGCHLD &&
           (action->handler == (u64)SIG_IGN || action->flags & SA_NOCLDWAIT);
}

static void child_info(siginfo_t *info, const struct process *child, int code)
{
    u32 status = child->status;

    memset(info, 0, sizeof *info);
    info->si_signo = (int)child->exit_signal;
    info->si_code = code;
    info->si_pid = (pid_t)child->pid;
    info->si_uid = child->cred.uid;
    info->si_utime = (clock_t)(child->usage.user_ns / 10000000);
    info->si_stime = (clock_t)(child->usage.kernel_ns / 10000000);
    if (code == CLD_EXITED)
        info->si_status = WEXITSTATUS(status);
    else if (code == CLD_CONTINUED)
        info->si_status = SIGCONT;
    else
        info->si_status = code == CLD_STOPPED ? WSTOPSIG(status) : WTERMSIG(status);
}

void process_notify_parent(struct process *process, int code)
{
    struct process *parent = process->parent;
    bool ended = process->zombie;
    siginfo_t info;

    if (!parent)
        return;
    if (ended && WIFSIGNALED(process->status))
        code = WCOREDUMP(process->status) ? CLD_DUMPED : CLD_KILLED;
    child_info(&info, process, code);
    if (!ended) {
        info.si_signo = SIGCHLD;
        if (!(parent->actions->action[SIGCHLD].flags & SA_NOCLDSTOP))
            signal_send_process(parent, SIGCHLD, &info);
    } else if (process->exit_signal) {
        signal_send_process(parent, (int)process->exit_signal, &info);
    }
    wait_wake(&parent->child_wait);
    if (ended && parent_ignores(parent, process))
        process_reap(process);
}

/* A member whose parent is elsewhere in the session could look after the group. */
bool process_group_is_orphaned(u32 pgid)
{
    struct process *process;

    list_for_each_entry(process, &process_all, all_link) {
        const struct process *parent = process->parent;

        if (process->pgid != pgid || process->zombie || !parent || parent == process_init)
            continue;
        if (parent->pgid != pgid && parent->sid == process->sid)
            return false;
    }
    return true;
}

static bool group_has_stopped(u32 pgid)
{
    struct process *process;

    list_for_each_entry(process, &process_all, all_link) {
        if (process->pgid == pgid && process->stopped)
            return true;
    }
    return false;
}

void process_check_orphans(struct process *process)
{
    if (!group_has_stopped(process->pgid) || !process_group_is_orphaned(process->pgid))
        return;
    signal_send_group(process->pgid, SIGHUP, NULL);
    signal_send_group(process->pgid, SIGCONT, NULL);
}

/* ---- Calls ---- */

static u32 status_of(u64 code)
{
    return (u32)(code & 0xff) << 8;
}

long call_exit(struct thread *thread, const u64 *args)
{
    thread_exit(thread, status_of(args[0]));
    return GONE;
}

long call_exit_group(struct thread *thread, const u64 *args)
{
    process_exit(thread->process, status_of(args[0]));
    return GONE;
}
