/*
 * prctl and personality: properties of a process or thread that have no call of their own. The
 * kernel serves PR_SET_MEMORY_MERGE and PR_GET_MEMORY_MERGE itself.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/prctl.h>

#define CAPABILITIES 41
#define DUMPABLE_MAX 1
#define SLACK_NS 50000
#define ASK_PERSONALITY 0xffffffffu

static long set_name(struct thread *thread, u64 address)
{
    char name[NAME_BYTES] = {0};
    long length = user_get_string(thread, name, sizeof name, address);

    if (length == -EFAULT)
        return length;
    name[NAME_BYTES - 1] = '\0'; /* a longer one is cut */
    memcpy(thread->name, name, sizeof name);
    if (thread->process->leader == thread)
        mg_task_set(thread->process->task, MG_TASK_NAME, name);
    return 0;
}

static long set_flag(bool *flag, u64 value)
{
    if (value > 1)
        return -EINVAL;
    *flag = value;
    return 0;
}

/* Once set, it stays. */
static long set_no_new_privileges(struct process *process, const u64 *args)
{
    if (args[1] != 1 || args[2] || args[3] || args[4])
        return -EINVAL;
    process->no_new_privileges = true;
    return 0;
}

static long set_word(u32 *word, u64 value, u64 max)
{
    if (value > max)
        return -EINVAL;
    *word = (u32)value;
    return 0;
}

long call_prctl(struct thread *thread, const u64 *args)
{
    struct process *process = thread->process;
    u64 arg = args[1];

    switch ((u32)args[0]) {
    case PR_SET_NAME: return set_name(thread, arg);
    case PR_GET_NAME: return user_put(thread, arg, thread->name, NAME_BYTES);
    case PR_SET_PDEATHSIG: return set_word(&process->death_signal, arg, SIGNALS);
    case PR_GET_PDEATHSIG:
        return user_put(thread, arg, &process->death_signal, sizeof process->death_signal);
    case PR_SET_DUMPABLE: return set_word(&process->dumpable, arg, DUMPABLE_MAX);
    case PR_GET_DUMPABLE: return process->dumpable;
    case PR_SET_KEEPCAPS: return set_flag(&process->keep_capabilities, arg);
    case PR_GET_KEEPCAPS: return process->keep_capabilities;
    case PR_SET_NO_NEW_PRIVS: return set_no_new_privileges(process, args);
    case PR_GET_NO_NEW_PRIVS: return process->no_new_privileges;
    case PR_SET_CHILD_SUBREAPER: process->subreaper = arg; return 0;
    case PR_GET_CHILD_SUBREAPER: {
        u32 value = process->subreaper;

        return user_put(thread, arg, &value, sizeof value);
    }
    case PR_CAPBSET_READ: return arg < CAPABILITIES ? 1 : -EINVAL;
    case PR_GET_TIMERSLACK: return SLACK_NS;
    case PR_GET_SECUREBITS:
    case PR_GET_SECCOMP: return 0;
    default: return -EINVAL;
    }
}

/* Any is taken, none changes what the kernel does. */
long call_personality(struct thread *thread, const u64 *args)
{
    u32 old = thread->process->personality;

    if ((u32)args[0] != ASK_PERSONALITY)
        thread->process->personality = (u32)args[0];
    return old;
}
