/*
 * sys_thread.c: what a thread asks about itself, and its end when nobody serves its task.
 */
#include "kernel/base/errno.h"
#include "kernel/sys/linux_calls.h"
#include "kernel/sys/user.h"
#include "kernel/task/thread.h"

s64 sys_getpid(struct trap_frame *frame)
{
    (void)frame;
    return current_thread()->task->pid;
}

s64 sys_gettid(struct trap_frame *frame)
{
    (void)frame;
    return current_thread()->tid;
}

s64 sys_set_tid_address(struct trap_frame *frame)
{
    struct thread *self = current_thread();

    self->clear_tid = SYSCALL_ARG0(frame);
    return self->tid;
}

s64 sys_sched_yield(struct trap_frame *frame)
{
    (void)frame;
    sched_yield();
    return 0;
}

s64 sys_getcpu(struct trap_frame *frame)
{
    u64 cpu_to = SYSCALL_ARG0(frame), node_to = SYSCALL_ARG1(frame);
    u32 cpu = this_cpu()->id, node = cpus[cpu]->node;

    if (cpu_to && user_write(cpu_to, &cpu, sizeof(cpu)))
        return -EFAULT;
    return node_to ? user_write(node_to, &node, sizeof(node)) : 0;
}

s64 sys_arch_prctl(struct trap_frame *frame)
{
    return arch_prctl((u32)SYSCALL_ARG0(frame), SYSCALL_ARG1(frame));
}

/* Restartable sequences: C libraries try them first and do without. */
s64 sys_rseq(struct trap_frame *frame)
{
    (void)frame;
    return -ENOSYS;
}

/* --- the end: the server's to arrange, if there is one --- */

s64 sys_exit(struct trap_frame *frame)
{
    (void)frame;
    if (current_thread()->task->server)
        return SYSCALL_FORWARD;
    thread_exit();
}

s64 sys_exit_group(struct trap_frame *frame)
{
    struct task *task = current_thread()->task;

    (void)frame;
    if (task->server)
        return SYSCALL_FORWARD;
    task_kill(task);
    thread_exit();
}
