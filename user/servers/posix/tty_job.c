/*
 * Whose terminal it is: the session that has it, the group in its foreground, and what happens to
 * the others.
 *
 * The terminal knows its session by number, and a process has it as controlling terminal when it is
 * in that session. So a process loses it by leaving the session or when its leader gives it up, but
 * not on its own.
 */
#define _GNU_SOURCE
#include "user/servers/posix/dev.h"
#include "user/servers/posix/tty.h"
#include "user/servers/posix/tty_line.h"
#include "user/servers/posix/user.h"
#include <errno.h>

bool tty_is_controlling(const struct process *process)
{
    return tty.session && process->sid == tty.session;
}

u32 tty_of(const struct process *process, s32 *foreground)
{
    bool controlling = tty_is_controlling(process);

    *foreground = controlling && tty.foreground ? (s32)tty.foreground : -1;
    return controlling ? (u32)dev_number(DEV_TTY_MAJOR, DEV_TTYS0) : 0;
}

static void take(const struct process *leader)
{
    tty.session = leader->sid;
    tty.foreground = leader->pgid;
}

static bool is_leader(const struct process *process)
{
    return process->sid == process->pid;
}

void tty_opened(struct process *process)
{
    if (is_leader(process) && !tty.session)
        take(process);
}

/* The session loses the terminal; its foreground group is told. */
static void leave(void)
{
    u32 foreground = tty.foreground;

    tty.session = tty.foreground = 0;
    if (!foreground)
        return;
    signal_send_group(foreground, SIGHUP, NULL);
    signal_send_group(foreground, SIGCONT, NULL);
}

void tty_session_ended(struct process *leader)
{
    if (!tty_is_controlling(leader))
        return;
    tty.generation++;
    tty_input_flush();
    leave();
    wait_wake(&tty.queue);
}

/* ---- Background ---- */

static bool refuses_signal(const struct thread *thread, int number)
{
    return thread->blocked & SIGNAL_BIT(number) ||
           thread->process->actions->action[number].handler == (u64)SIG_IGN;
}

long tty_check_background(struct thread *thread, bool reading)
{
    const struct process *process = thread->process;
    int number = reading ? SIGTTIN : SIGTTOU;

    if (!tty_is_controlling(process) || !tty.foreground || process->pgid == tty.foreground)
        return 0;
    if (refuses_signal(thread, number))
        return reading ? -EIO : 0;
    if (process_group_is_orphaned(process->pgid))
        return -EIO;
    signal_send_group(process->pgid, number, NULL);
    return -ERESTARTSYS;
}

/* ---- ioctls ---- */

/* Which group of a session it is: 0, or what is wrong with it. */
static long check_group(u32 pgid, u32 sid)
{
    struct process *process;
    long error = -ESRCH;

    list_for_each_entry(process, &process_all, all_link) {
        if (process->pgid != pgid)
            continue;
        if (process->sid == sid)
            return 0;
        error = -EPERM;
    }
    return error;
}

long tty_set_foreground(struct thread *thread, u64 address)
{
    long error;
    s32 pgid;

    if (!tty_is_controlling(thread->process))
        return -ENOTTY;
    error = tty_check_background(thread, false);
    if (error)
        return error;
    if (user_get(thread, &pgid, address, sizeof pgid))
        return -EFAULT;
    error = pgid < 0 ? -EINVAL : check_group((u32)pgid, tty.session);
    if (error)
        return error;
    tty.foreground = (u32)pgid;
    wait_wake(&tty.queue); /* who reads may be in the background now */
    return 0;
}

long tty_get_foreground(struct thread *thread, u64 address)
{
    if (!tty_is_controlling(thread->process))
        return -ENOTTY;
    return user_put(thread, address, &tty.foreground, sizeof tty.foreground);
}

long tty_get_session(struct thread *thread, u64 address)
{
    if (!tty_is_controlling(thread->process))
        return -ENOTTY;
    return user_put(thread, address, &tty.session, sizeof tty.session);
}

/* arg 1: take it from another session, as root may. */
long tty_make_controlling(struct thread *thread, u64 arg)
{
    const struct process *process = thread->process;

    if (!is_leader(process))
        return -EPERM;
    if (tty_is_controlling(process))
        return 0;
    if (tty.session && (arg != 1 || process->cred.euid))
        return -EPERM;
    take(process);
    return 0;
}

long tty_give_up(struct thread *thread)
{
    const struct process *process = thread->process;

    if (!tty_is_controlling(process))
        return -ENOTTY;
    if (!is_leader(process))
        return -EPERM;
    leave();
    return 0;
}
