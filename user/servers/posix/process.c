/*
 * The table of numbers, and the making of processes and threads; see process.h. Ending them is in
 * exit.c.
 *
 * A slot stands for one pid or tid. Its generation counts the threads that had the number, so that
 * a message of a thread that was killed while it was sending is recognised and dropped. A thread
 * that takes over its process's number in execve keeps its cookie, and with it its first slot.
 */
#include "user/servers/posix/process.h"
#include "user/servers/posix/block.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/stats.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>

#define PROCESS_COST 8192 /* with its first thread, descriptors and handlers */

struct slot {
    struct process *process;
    struct thread *thread;
    struct thread *named; /* whose cookie has this number: as a rule the same */
    u32 generation;
};

struct list process_all = LIST_INIT(process_all);
struct process *process_init;
u32 process_count, thread_count, thread_limit, last_pid;

static struct slot slots[PID_MAX];
static bool wrapped; /* numbers are being used again */

struct process *process_find(u32 pid)
{
    return pid < PID_MAX ? slots[pid].process : NULL;
}

struct thread *thread_find(u32 tid)
{
    return tid < PID_MAX ? slots[tid].thread : NULL;
}

struct thread *thread_from_cookie(u64 cookie)
{
    struct thread *thread = slots[cookie % PID_MAX].named;

    return thread && thread->cookie == cookie ? thread : NULL;
}

/* A number that still names a group or a session must not come back. */
static bool number_is_free(u32 number)
{
    struct process *process;

    if (slots[number].process || slots[number].thread || slots[number].named)
        return false;
    if (!wrapped)
        return true;
    list_for_each_entry(process, &process_all, all_link) {
        if (process->pgid == number || process->sid == number)
            return false;
    }
    return true;
}

/* The next free number after the last one given; 0 if all are taken. */
static u32 number_alloc(void)
{
    for (u32 tries = 0; tries < PID_MAX; tries++) {
        if (++last_pid == PID_MAX) {
            last_pid = wrapped ? 300 : 2; /* as Linux: low numbers are not used twice */
            wrapped = true;
        }
        if (number_is_free(last_pid))
            return last_pid;
    }
    return 0;
}

static void process_init_lists(struct process *process)
{
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->threads);
    list_init(&process->ptimers);
    list_init(&process->ksm_regions);
    wait_queue_init(&process->child_wait);
    wait_queue_init(&process->vfork_wait);
    signal_pending_init(&process->pending);
}

/* What fork hands down, apart from what clone may share. */
static void process_inherit(struct process *process, struct process *parent)
{
    process->pgid = parent->pgid;
    process->sid = parent->sid;
    process->cred = parent->cred;
    process->oom_score_adj = parent->oom_score_adj;
    process->personality = parent->personality;
    process->dumpable = parent->dumpable;
    process->no_new_privileges = parent->no_new_privileges;
    process->keep_capabilities = parent->keep_capabilities;
    process->program = parent->program;
    if (process->program.exe)
        inode_get_running(process->program.exe);
    memcpy(process->limits, parent->limits, sizeof process->limits);
    process->parent = parent;
    list_add_tail(&process->sibling, &parent->children);
}

struct process *process_create(struct process *parent)
{
    struct process *process;

    if (stats_is_short(STATS_RECORD, PROCESS_COST))
        return NULL;
    process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process_init_lists(process);
    process->pid = number_alloc();
    if (!process->pid) {
        free(process);
        return NULL;
    }
    process->exit_signal = SIGCHLD;
    process->start_time = time_now();
    if (parent)
        process_inherit(process, parent);
    slots[process->pid].process = process;
    list_add_tail(&process->all_link, &process_all);
    process_count++;
    return process;
}

void process_discard(struct process *process)
{
    slots[process->pid].process = NULL;
    list_remove(&process->all_link);
    list_remove(&process->sibling);
    if (process->program.exe)
        inode_put_running(process->program.exe);
    process_count--;
    free(process);
}

static struct thread *thread_alloc(struct process *process, u32 tid)
{
    struct thread *thread = calloc(1, sizeof *thread);
    struct slot *slot = &slots[tid];

    if (!thread)
        return NULL;
    thread->tid = tid;
    thread->cookie = tid + (u64)++slot->generation * PID_MAX;
    thread->process = process;
    thread->altstack.flags = SS_DISABLE;
    list_init(&thread->waiters);
    list_init(&thread->ready_link);
    signal_pending_init(&thread->pending);
    return thread;
}

long thread_create(struct process *process, struct thread **result)
{
    bool first = !process->thread_count;
    u32 tid = first ? process->pid : thread_count < thread_limit ? number_alloc() : 0;
    struct thread *thread = tid ? thread_alloc(process, tid) : NULL;
    long handle = -EAGAIN;

    if (thread)
        handle = mg_thread_create(process->task, thread->cookie);
    if (handle < 0) {
        free(thread);
        return handle == -ENOMEM ? -EAGAIN : handle;
    }
    thread->handle = (mg_handle)handle;
    mg_thread_set(thread->handle, MG_THREAD_TID, tid);
    slots[tid].thread = slots[tid].named = thread;
    list_add_tail(&thread->process_link, &process->threads);
    process->thread_count++;
    thread_count++;
    if (first)
        process->leader = thread;
    *result = thread;
    return 0;
}

/* Forgets a thread that has ended or is being ended; its structure goes. */
void thread_free(struct thread *thread)
{
    struct process *process = thread->process;

    wait_forget(thread);
    block_forget(thread);
    signal_pending_flush(&thread->pending);
    mg_handle_close(thread->handle);
    slots[thread->tid].thread = NULL;
    slots[thread->cookie % PID_MAX].named = NULL;
    list_remove(&thread->process_link);
    process->thread_count--;
    thread_count--;
    if (process->leader == thread)
        process->leader = NULL;
    free(thread);
}

/* After the others have gone, the thread that called execve has the process's number. */
void thread_become_leader(struct thread *thread)
{
    struct process *process = thread->process;

    if (process->leader == thread)
        return;
    slots[thread->tid].thread = NULL;
    thread->tid = process->pid;
    slots[thread->tid].thread = thread;
    process->leader = thread;
    mg_thread_set(thread->handle, MG_THREAD_TID, thread->tid);
}

/* Gives a zombie's number back. */
void process_free_number(struct process *process)
{
    slots[process->pid].process = NULL;
    list_remove(&process->all_link);
    process_count--;
}

bool process_group_exists(u32 pgid, u32 sid)
{
    struct process *process;

    list_for_each_entry(process, &process_all, all_link) {
        if (process->pgid == pgid && process->sid == sid)
            return true;
    }
    return false;
}

bool process_may_control(const struct thread *thread, const struct process *target)
{
    const struct credentials *own = &thread->process->cred, *other = &target->cred;

    return own->euid == 0 || own->euid == other->uid || own->euid == other->suid ||
           own->uid == other->uid || own->uid == other->suid;
}

void process_get_usage(struct process *process, struct usage *usage)
{
    struct mg_task_info info;

    *usage = process->usage;
    if (!process->task || mg_task_info(process->task, &info) < 0)
        return;
    *usage = (struct usage){
        .user_ns = info.user_ns,
        .kernel_ns = info.kernel_ns,
        .minor_faults = info.minor_faults,
        .major_faults = info.major_faults,
        .max_rss = info.peak_rss,
    };
}
