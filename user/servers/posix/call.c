/*
 * The table of calls, and the way of one call through the server:
 *
 *     message -> call_begin -> handler --result--> answer
 *                                 \--WAITING--> wait queue --woken--> call_run -> handler again
 */
#include "user/servers/posix/block.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define NUMBERS 512

typedef long (*call_handler)(struct thread *thread, const u64 *args);

static const call_handler handlers[NUMBERS] = {
#define CALL_ENTRY(number, name) [number] = call_##name,
    CALLS(CALL_ENTRY)
#undef CALL_ENTRY
};

struct thread *call_current;

/* Of calls about things that do not exist here: what programs expect to hear. 0 = unknown. */
static long refusal(u32 number)
{
    switch (number) {
    case SYS_setxattr ... SYS_fremovexattr: return -EOPNOTSUPP;
    case SYS_unshare:
    case SYS_setns:
    case SYS_vhangup:
    case SYS_pivot_root:
    case SYS_acct:
    case SYS_iopl:
    case SYS_ioperm:
    case SYS_settimeofday:
    case SYS_init_module:
    case SYS_delete_module:
    case SYS_quotactl: return -EPERM;
    default: return 0;
    }
}

/* A call nobody serves: told once, for it is what the next program to be ported needs. */
static long call_unknown(struct thread *thread)
{
    static bool told[NUMBERS];
    u32 slot = MIN(thread->number, (u32)NUMBERS - 1);
    long error = refusal(thread->number);

    if (error)
        return error;
    if (!told[slot])
        log_line("%s[%u]: system call %u is not implemented", thread->name, thread->process->pid,
                 thread->number);
    told[slot] = true;
    return -ENOSYS;
}

void call_begin(struct thread *thread, u64 token, u32 number, const u64 *args)
{
    wait_forget(thread); /* it may be on the ready list for a signal: the call's end delivers it */
    thread->token = token;
    thread->number = number;
    memcpy(thread->args, args, sizeof thread->args);
    thread->tried = false;
    thread->timed_out = false;
    thread->done = 0;
    thread->deadline = 0;
}

void call_run(struct thread *thread)
{
    call_handler handler = thread->number < NUMBERS ? handlers[thread->number] : NULL;
    long result;

    call_current = thread;
    if (thread->number == CALL_FAULT)
        result = RESTORED; /* the instruction is tried again */
    else
        result = handler ? handler(thread, thread->args) : call_unknown(thread);
    if (result == WAITING)
        thread->tried = true;
    else if (result != GONE) {
        block_forget(thread);
        thread_finish(thread, result);
    }
}
