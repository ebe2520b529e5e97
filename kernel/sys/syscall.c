/*
 * syscall.c: from the entry code to a call's handler, and what a call comes to.
 *
 *     syscall_dispatch ── handler ── result ─────────────────────────────▶ rax
 *                 │          └─ EINTR: a sleep was ended by work
 *                 │               suspended only: park, then call the handler again
 *                 │               interrupted: EINTR ────────────────────▶ rax
 *                 └─ no handler, or FORWARD: a message to the task's server, whose reply sets the
 *                    registers
 *
 * A call that its server has not taken yet when the thread is to be suspended has done nothing: the
 * registers are put back in front of the instruction, and the call is made again, after whatever
 * the thread is to run first.
 */
#include "kernel/sys/syscall.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/sys/linux_calls.h"
#include "kernel/sys/native.h"
#include "kernel/task/ipc.h"
#include "kernel/task/thread.h"

/* Length of the instruction `syscall`. */
#define SYSCALL_BYTES 2
/* Numbers from here on have no place in the label of a forwarded call. */
#define NUMBER_END 0x10000

static const syscall_handler linux_handlers[] = {
#define LINUX_ENTRY(number, name) [number] = sys_##name,
    LINUX_CALLS(LINUX_ENTRY)
#undef LINUX_ENTRY
};

static const syscall_handler native_handlers[MG_SYS_END - MG_SYS_FIRST] = {
#define NATIVE_ENTRY(number, name) [number - MG_SYS_FIRST] = native_##name,
    MG_NATIVE_CALLS(NATIVE_ENTRY)
#undef NATIVE_ENTRY
};

/* NULL: the server's. */
static always_inline syscall_handler find_handler(u64 number)
{
    if (likely(number < ARRAY_LEN(linux_handlers)))
        return linux_handlers[number];
    number -= MG_SYS_FIRST;
    return likely(number < ARRAY_LEN(native_handlers)) ? native_handlers[number] : NULL;
}

/* A handler's sleep was ended by work. The registers tell meanwhile of a call that was interrupted,
 * which is what it will have been if somebody changes them while the thread is parked. */
static noinline_fn s64 take_up_again(syscall_handler handler, struct trap_frame *frame)
{
    bool changed = false;
    s64 result = -EINTR;

    while (result == -EINTR) {
        frame->rax = (u64)result;
        if (!thread_sleep_ended(&changed))
            break;
        result = handler(frame);
    }
    current_thread()->restart_deadline = 0;
    return changed ? SYSCALL_NO_RESULT : result;
}

/* The thread will make its call again when it is back in user mode. */
static void put_back(struct trap_frame *frame)
{
    frame->rax = frame->error_code;
    frame->rip -= SYSCALL_BYTES;
    frame->rcx = frame->rip;
}

static noinline_fn s64 forward(struct trap_frame *frame)
{
    struct task *task = current_thread()->task;

    if (frame->error_code > ~0u) { /* a number is an int: the upper half means nothing */
        frame->error_code = (u32)frame->error_code;
        syscall_dispatch(frame);
        return SYSCALL_NO_RESULT;
    }
    if (frame->error_code >= NUMBER_END)
        return -ENOSYS;
    s64 status = ipc_forward_syscall(frame);

    if (status == -EINTR)
        put_back(frame);
    if (status == 0 || status == -EINTR)
        return SYSCALL_NO_RESULT;
    if (status == -EPIPE) {
        log_line("task %s ends: nobody serves its calls any more", task->name);
        task_kill(task);
    }
    return status;
}

void syscall_finish_special(struct trap_frame *frame, s64 result)
{
    if (result == -EINTR)
        result = take_up_again(find_handler(frame->error_code), frame);
    if (result == SYSCALL_FORWARD)
        result = forward(frame);
    if (result != SYSCALL_NO_RESULT)
        frame->rax = (u64)result;
}

void syscall_dispatch(struct trap_frame *frame)
{
    syscall_handler handler = find_handler(frame->error_code);
    s64 result = likely(handler) ? handler(frame) : SYSCALL_FORWARD;

    if (likely(result >= 0))
        frame->rax = (u64)result;
    else
        syscall_finish_special(frame, result);
}
