/*
 * Waiting for children: wait4 and waitid, on one search.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/times.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define WAIT_ALL 0x40000000u   /* __WALL */
#define WAIT_CLONE 0x80000000u /* __WCLONE */
#define WAIT_NOTHREAD 0x20000000u
#define P_BY_PIDFD 3
#define STATUS_CONTINUED 0xffffu

struct wish { /* what the caller waits for */
    idtype_t kind;
    u32 id;
    u32 options;
};

struct found {
    struct process *child;
    u32 status; /* wait status */
    int code;   /* CLD_* */
};

static bool is_wanted(const struct wish *wish, const struct process *child)
{
    bool clone = child->exit_signal != SIGCHLD;

    if (!(wish->options & WAIT_ALL) && clone != !!(wish->options & WAIT_CLONE))
        return false;
    if (wish->kind == P_PID)
        return child->pid == wish->id;
    return wish->kind == P_ALL || child->pgid == wish->id;
}

/* Has this child something to tell? */
static bool has_news(const struct wish *wish, struct process *child, struct found *found)
{
    found->child = child;
    found->status = child->status;
    if (child->zombie && wish->options & WEXITED) {
        found->code = !WIFSIGNALED(child->status) ? CLD_EXITED
                      : WCOREDUMP(child->status)  ? CLD_DUMPED
                                                  : CLD_KILLED;
        return true;
    }
    if (child->changed == WAIT_STOPPED && wish->options & WSTOPPED) {
        found->code = CLD_STOPPED;
        return true;
    }
    if (child->changed == WAIT_CONTINUED && wish->options & WCONTINUED) {
        found->code = CLD_CONTINUED;
        found->status = STATUS_CONTINUED;
        return true;
    }
    return false;
}

/* 1 with *found, 0 for WNOHANG, -ECHILD, or a result of wait_on. */
static long find_child(struct thread *thread, const struct wish *wish, struct found *found)
{
    struct process *child, *parent = thread->process;
    bool any = false;

    list_for_each_entry(child, &parent->children, sibling) {
        if (!is_wanted(wish, child))
            continue;
        any = true;
        if (has_news(wish, child, found))
            return 1;
    }
    if (!any)
        return -ECHILD;
    return wish->options & WNOHANG ? 0 : wait_on(thread, &parent->child_wait);
}

/* Counts as seen: a zombie goes, other news are told once. */
static void consume(const struct wish *wish, const struct found *found)
{
    if (wish->options & WNOWAIT)
        return;
    if (found->child->zombie)
        process_reap(found->child);
    else
        found->child->changed = 0;
}

static long put_usage(struct thread *thread, u64 address, struct process *child)
{
    struct usage usage;

    if (!address)
        return 0;
    process_get_usage(child, &usage);
    return usage_put(thread, address, &usage);
}

static struct wish wish_of_pid(const struct process *process, s32 pid, u32 options)
{
    struct wish wish = {.kind = P_PID, .id = (u32)pid, .options = options | WEXITED};

    if (pid == -1)
        wish.kind = P_ALL;
    else if (pid <= 0)
        wish.kind = P_PGID;
    if (pid <= 0)
        wish.id = pid == 0 ? process->pgid : (u32)-pid;
    return wish;
}

long call_wait4(struct thread *thread, const u64 *args)
{
    const u32 known = WNOHANG | WUNTRACED | WCONTINUED | WAIT_ALL | WAIT_CLONE | WAIT_NOTHREAD;
    struct wish wish = wish_of_pid(thread->process, (s32)args[0], (u32)args[2]);
    struct found found;
    long result;

    if ((u32)args[2] & ~known)
        return -EINVAL;
    if ((s32)args[0] == INT32_MIN)
        return -ESRCH;
    result = find_child(thread, &wish, &found);
    if (result != 1)
        return result;
    result = found.child->pid;
    if (user_put_u32(thread, args[1], found.status) || put_usage(thread, args[3], found.child))
        result = -EFAULT;
    consume(&wish, &found);
    return result;
}

static long check_waitid(const u64 *args)
{
    const u32 known =
        WNOHANG | WEXITED | WSTOPPED | WCONTINUED | WNOWAIT | WAIT_ALL | WAIT_CLONE | WAIT_NOTHREAD;
    u32 kind = (u32)args[0], options = (u32)args[3];

    if (options & ~known || !(options & (WEXITED | WSTOPPED | WCONTINUED)))
        return -EINVAL;
    if (kind > P_BY_PIDFD || (kind == P_PID && (s32)args[1] <= 0) ||
        (kind == P_PGID && (s32)args[1] < 0))
        return -EINVAL;
    return 0;
}

static long put_info(struct thread *thread, u64 address, const struct found *found)
{
    siginfo_t info;

    if (!address)
        return 0;
    memset(&info, 0, sizeof info);
    if (found->child) {
        info.si_signo = SIGCHLD;
        info.si_code = found->code;
        info.si_pid = (pid_t)found->child->pid;
        info.si_uid = found->child->cred.uid;
        info.si_status = found->code == CLD_EXITED      ? WEXITSTATUS(found->status)
                         : found->code == CLD_STOPPED   ? WSTOPSIG(found->status)
                         : found->code == CLD_CONTINUED ? SIGCONT
                                                        : WTERMSIG(found->status);
    }
    return user_put(thread, address, &info, 32); /* the fields Linux writes, and their padding */
}

/* A descriptor stands for the process it was opened for. */
static long resolve_pidfd(struct thread *thread, struct wish *wish)
{
    struct file *file = fd_get(thread->process, wish->id);
    u32 pid = file ? pidfd_of(file) : 0;

    if (!pid)
        return -EBADF;
    wish->kind = P_PID;
    wish->id = pid;
    return 0;
}

long call_waitid(struct thread *thread, const u64 *args)
{
    struct wish wish = {(idtype_t)args[0], (u32)args[1], (u32)args[3]};
    struct found found = {0};
    long result = check_waitid(args);

    if (result)
        return result;
    if ((u32)wish.kind == P_BY_PIDFD)
        result = resolve_pidfd(thread, &wish);
    if (result)
        return result;
    if (wish.kind == P_PGID && !wish.id)
        wish.id = thread->process->pgid;
    result = find_child(thread, &wish, &found);
    if (result < 0)
        return result;
    if (!result)
        found.child = NULL;
    if (put_info(thread, args[2], &found) ||
        (found.child && put_usage(thread, args[4], found.child)))
        return -EFAULT;
    if (found.child)
        consume(&wish, &found);
    return 0;
}
