/*
 * The system calls about signals; signal.c does what they ask for.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>

#define MASK_BYTES 8
#define STACK_AUTODISARM 0x80000000u
#define STACK_MIN 2048
#define ACTION_FLAGS                                                                               \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |             \
     SA_RESETHAND | 0x04000000ul /* SA_RESTORER */ | 0x800ul /* SA_EXPOSE_TAGBITS */)

/* ---- Actions, masks and stacks ---- */

/* A signal that is ignored from now on is not pending any more. */
static void drop_ignored(struct process *process, int number)
{
    const struct action *action = &process->actions->action[number];
    bool by_default =
        number == SIGCHLD || number == SIGURG || number == SIGWINCH || number == SIGCONT;
    struct thread *thread;
    siginfo_t info;

    if (action->handler != (u64)SIG_IGN && !(action->handler == (u64)SIG_DFL && by_default))
        return;
    list_for_each_entry(thread, &process->threads, process_link) {
        while (signal_take(thread, SIGNAL_BIT(number), &info))
            continue;
    }
}

long call_rt_sigaction(struct thread *thread, const u64 *args)
{
    u64 number = args[0];
    struct action *action, old, new;

    if (args[3] != MASK_BYTES || number < 1 || number > SIGNALS)
        return -EINVAL;
    action = &thread->process->actions->action[number];
    old = *action;
    if (args[1]) {
        if (number == SIGKILL || number == SIGSTOP)
            return -EINVAL;
        if (user_get(thread, &new, args[1], sizeof new))
            return -EFAULT;
        new.flags &= ACTION_FLAGS;
        new.mask &= ~SIGNALS_UNBLOCKABLE;
        *action = new;
        drop_ignored(thread->process, (int)number);
    }
    return args[2] ? user_put(thread, args[2], &old, sizeof old) : 0;
}

long call_rt_sigprocmask(struct thread *thread, const u64 *args)
{
    u64 set, old = thread->blocked;

    if (args[3] != MASK_BYTES)
        return -EINVAL;
    if (args[1]) {
        if (user_get(thread, &set, args[1], sizeof set))
            return -EFAULT;
        if (args[0] > SIG_SETMASK)
            return -EINVAL;
        signal_set_blocked(thread, args[0] == SIG_BLOCK     ? old | set
                                   : args[0] == SIG_UNBLOCK ? old & ~set
                                                            : set);
    }
    return user_put_u64(thread, args[2], old);
}

long call_rt_sigpending(struct thread *thread, const u64 *args)
{
    u64 set = (thread->pending.set | thread->process->pending.set) & thread->blocked;

    if (args[1] > MASK_BYTES)
        return -EINVAL;
    return user_put(thread, args[0], &set, args[1]);
}

static bool is_on_stack(struct thread *thread)
{
    const struct alternate_stack *stack = &thread->altstack;
    struct mg_regs regs;

    if (stack->flags & (SS_DISABLE | STACK_AUTODISARM) ||
        mg_thread_get_state(thread->handle, MG_STATE_REGS, &regs, sizeof regs) < 0)
        return false;
    return regs.rsp > stack->address && regs.rsp - stack->address <= stack->size;
}

static long set_altstack(struct thread *thread, const stack_t *stack, bool on_stack)
{
    u32 flags = (u32)stack->ss_flags & ~STACK_AUTODISARM;

    if (on_stack)
        return -EPERM;
    if (flags && flags != SS_DISABLE && flags != SS_ONSTACK)
        return -EINVAL;
    if (flags == SS_DISABLE) {
        thread->altstack = (struct alternate_stack){.flags = SS_DISABLE};
        return 0;
    }
    if (stack->ss_size < STACK_MIN)
        return -ENOMEM;
    thread->altstack = (struct alternate_stack){(u64)stack->ss_sp, stack->ss_size,
                                                (u32)stack->ss_flags & STACK_AUTODISARM};
    return 0;
}

long call_sigaltstack(struct thread *thread, const u64 *args)
{
    const struct alternate_stack *now = &thread->altstack;
    bool on_stack = is_on_stack(thread);
    stack_t old = {.ss_sp = (void *)now->address, .ss_size = now->size}, new;
    long error = 0;

    old.ss_flags = (int)now->flags | (on_stack ? SS_ONSTACK : 0);
    if (args[0]) {
        if (user_get(thread, &new, args[0], sizeof new))
            return -EFAULT;
        error = set_altstack(thread, &new, on_stack);
    }
    if (!error && args[1])
        error = user_put(thread, args[1], &old, sizeof old);
    return error;
}

long call_rt_sigreturn(struct thread *thread, const u64 *args)
{
    struct mg_regs regs;

    (void)args;
    if (mg_thread_get_state(thread->handle, MG_STATE_REGS, &regs, sizeof regs) < 0 ||
        signal_frame_pop(thread, &regs)) {
        signal_force(thread, SIGSEGV, SI_KERNEL, 0);
        return RESTORED;
    }
    thread->number = ~0u; /* whatever it was interrupted in has its result already */
    mg_thread_set_state(thread->handle, MG_STATE_REGS, &regs, sizeof regs);
    return RESTORED;
}

/* ---- Waiting for signals ---- */

/* Sleeps until a signal comes; the end of the call delivers it. */
static long sleep_for_signal(struct thread *thread)
{
    if (signal_pending(thread))
        return -ERESTARTNOHAND;
    thread->sleeping = true;
    return WAITING;
}

long call_pause(struct thread *thread, const u64 *args)
{
    (void)args;
    return sleep_for_signal(thread);
}

long call_rt_sigsuspend(struct thread *thread, const u64 *args)
{
    u64 mask;

    if (args[1] != MASK_BYTES)
        return -EINVAL;
    if (!thread->tried) {
        if (user_get(thread, &mask, args[0], sizeof mask))
            return -EFAULT;
        signal_set_blocked_for_call(thread, mask);
    }
    return sleep_for_signal(thread);
}

static long start_timedwait(struct thread *thread, u64 address)
{
    struct timespec timeout;

    if (!address)
        return 0;
    if (user_get(thread, &timeout, address, sizeof timeout))
        return -EFAULT;
    if (timeout.tv_sec < 0 || (u64)timeout.tv_nsec >= SECOND)
        return -EINVAL;
    thread->deadline = time_now() + (u64)timeout.tv_sec * SECOND + (u64)timeout.tv_nsec;
    return 0;
}

long call_rt_sigtimedwait(struct thread *thread, const u64 *args)
{
    siginfo_t info;
    long result;
    int number;
    u64 set;

    if (args[3] != MASK_BYTES)
        return -EINVAL;
    if (user_get(thread, &set, args[0], sizeof set))
        return -EFAULT;
    result = thread->tried ? 0 : start_timedwait(thread, args[2]);
    if (result)
        return result;
    number = signal_take(thread, set & ~SIGNALS_UNBLOCKABLE, &info);
    if (number)
        return args[1] && user_put(thread, args[1], &info, sizeof info) ? -EFAULT : number;
    result = wait_sleep(thread, thread->deadline);
    return result == -ETIMEDOUT ? -EAGAIN : result == -ERESTARTSYS ? -EINTR : result;
}

/* ---- Sending ---- */

static long send_checked(struct thread *thread, struct process *target, int number)
{
    siginfo_t info;
    bool same_session = number == SIGCONT && target->sid == thread->process->sid;

    if (!process_may_control(thread, target) && !same_session)
        return -EPERM;
    signal_info_user(&info, thread, number, SI_USER);
    if (number)
        signal_send_process(target, number, &info);
    return 0;
}

/* Sends to every process of a group, or with pgid 0 to all but process 1 and the sender. */
static long send_many(struct thread *thread, u32 pgid, int number)
{
    struct process *process;
    long result = -ESRCH;

    list_for_each_entry(process, &process_all, all_link) {
        long error;

        if (pgid ? process->pgid != pgid : process == process_init || process == thread->process)
            continue;
        error = send_checked(thread, process, number);
        if (!error || result == -ESRCH)
            result = error;
    }
    return result;
}

long call_kill(struct thread *thread, const u64 *args)
{
    s32 pid = (s32)args[0], number = (s32)args[1];
    struct process *target;

    if (number < 0 || number > SIGNALS)
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid <= 0)
        return send_many(thread,
                         pid == -1  ? 0
                         : pid == 0 ? thread->process->pgid
                                    : (u32)-pid,
                         number);
    target = process_find((u32)pid);
    if (!target && thread_find((u32)pid))
        target = thread_find((u32)pid)->process;
    return target ? send_checked(thread, target, number) : -ESRCH;
}

/* tkill and tgkill; tgid 0 = any. */
static long send_to_thread(struct thread *thread, u32 tgid, u32 tid, int number,
                           const siginfo_t *info)
{
    struct thread *target = thread_find(tid);

    if (number < 0 || number > SIGNALS)
        return -EINVAL;
    if (!target || (tgid && target->process->pid != tgid))
        return -ESRCH;
    if (!process_may_control(thread, target->process))
        return -EPERM;
    if (number)
        signal_send_thread(target, number, info);
    return 0;
}

long call_tgkill(struct thread *thread, const u64 *args)
{
    siginfo_t info;

    if ((s32)args[0] <= 0 || (s32)args[1] <= 0)
        return -EINVAL;
    signal_info_user(&info, thread, (int)args[2], SI_TKILL);
    return send_to_thread(thread, (u32)args[0], (u32)args[1], (s32)args[2], &info);
}

long call_tkill(struct thread *thread, const u64 *args)
{
    siginfo_t info;

    if ((s32)args[0] <= 0)
        return -EINVAL;
    signal_info_user(&info, thread, (int)args[1], SI_TKILL);
    return send_to_thread(thread, 0, (u32)args[0], (s32)args[1], &info);
}

/* Takes a siginfo from the user, who may not pretend to be the kernel to others. */
static long get_info(struct thread *thread, siginfo_t *info, u64 address, int number, u32 pid)
{
    if (user_get(thread, info, address, sizeof *info))
        return -EFAULT;
    info->si_signo = number;
    if ((info->si_code >= 0 || info->si_code == SI_TKILL) && pid != thread->process->pid)
        return -EPERM;
    return 0;
}

static long queue_to_process(struct thread *thread, struct process *target, int number, u64 address)
{
    siginfo_t info;
    long error;

    if (number < 0 || number > SIGNALS)
        return -EINVAL;
    if (!target)
        return -ESRCH;
    error = get_info(thread, &info, address, number, target->pid);
    if (error)
        return error;
    if (!process_may_control(thread, target))
        return -EPERM;
    if (number >= FIRST_REALTIME && signal_queue_is_full(target))
        return -EAGAIN;
    if (number)
        signal_send_process(target, number, &info);
    return 0;
}

long call_rt_sigqueueinfo(struct thread *thread, const u64 *args)
{
    return queue_to_process(thread, process_find((u32)args[0]), (s32)args[1], args[2]);
}

long call_rt_tgsigqueueinfo(struct thread *thread, const u64 *args)
{
    siginfo_t info;
    long error;

    if ((s32)args[0] <= 0 || (s32)args[1] <= 0)
        return -EINVAL;
    error = get_info(thread, &info, args[3], (s32)args[2], (u32)args[0]);
    return error ? error : send_to_thread(thread, (u32)args[0], (u32)args[1], (s32)args[2], &info);
}

long call_pidfd_send_signal(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);
    u32 pid = file ? pidfd_of(file) : 0;

    if (!pid || args[3])
        return file && args[3] ? -EINVAL : -EBADF;
    if (args[2])
        return queue_to_process(thread, process_find(pid), (s32)args[1], args[2]);
    if ((s32)args[1] < 0 || args[1] > SIGNALS)
        return -EINVAL;
    return process_find(pid) ? send_checked(thread, process_find(pid), (s32)args[1]) : -ESRCH;
}
