/*
 * sys_futex.c: futex(2), and where a thread keeps its list of robust futexes.
 *
 * Waiting and waking are floor 3's (kernel/task/futex.c); here the operation is taken apart. The
 * operations with priority inheritance do not exist: ENOSYS.
 */
#include "kernel/base/errno.h"
#include "kernel/sys/linux_calls.h"
#include "kernel/sys/timespec.h"
#include "kernel/task/futex.h"
#include "kernel/task/thread.h"

enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_WAIT_REQUEUE_PI = 11,
    FUTEX_LOCK_PI = 6,
    FUTEX_LOCK_PI2 = 13,
    FUTEX_PRIVATE = 128,
    FUTEX_CLOCK_REALTIME = 256,
};

#define ROBUST_LIST_BYTES 24ul

static s64 check_word(u64 address)
{
    if (!IS_ALIGNED(address, sizeof(u32)))
        return -EINVAL;
    return user_range_ok(address, sizeof(u32)) ? 0 : -EFAULT;
}

/* At least one is woken, whatever the program asks for. */
static u32 wake_count(u64 count)
{
    return (s32)count > 1 ? (u32)count : 1;
}

static bool has_timeout(u32 command)
{
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI ||
           command == FUTEX_LOCK_PI2 || command == FUTEX_WAIT_REQUEUE_PI;
}

/* When the wait is to end; 0 = never. WAIT counts from now, the others name a moment. */
static s64 read_deadline(struct trap_frame *frame, u32 operation, u32 command, u64 *deadline)
{
    u64 ns, from = SYSCALL_ARG3(frame);

    *deadline = current_thread()->restart_deadline;
    if (*deadline || !from || !has_timeout(command))
        return 0;
    s64 status = timespec_read(from, &ns);

    if (status < 0)
        return status;
    if (command == FUTEX_WAIT)
        *deadline = deadline_after(ns);
    else
        *deadline = deadline_at(ns, operation & FUTEX_CLOCK_REALTIME ? time_realtime_offset : 0);
    return 0;
}

static s64 wait(u64 address, bool private, u32 value, u32 bits, u64 deadline)
{
    if (!bits)
        return -EINVAL;
    s64 status = check_word(address);

    if (status == 0)
        status = futex_wait(address, private, value, bits, deadline);
    if (status == -EINTR)
        current_thread()->restart_deadline = deadline;
    return status;
}

static s64 wake(u64 address, bool private, u64 count, u32 bits)
{
    if (!bits)
        return -EINVAL;
    s64 status = check_word(address);

    return status < 0 ? status : futex_wake(address, private, wake_count(count), bits);
}

static s64 requeue(struct trap_frame *frame, bool private, bool compare)
{
    struct futex_requeue request = {
        .from = SYSCALL_ARG0(frame),
        .to = SYSCALL_ARG4(frame),
        .private = private,
        .compare = compare,
        .wake = (u32)SYSCALL_ARG2(frame),
        .move = (u32)SYSCALL_ARG3(frame),
        .value = (u32)SYSCALL_ARG5(frame),
    };

    if ((s32)request.wake < 0 || (s32)request.move < 0)
        return -EINVAL;
    s64 status = check_word(request.from);

    if (status == 0)
        status = check_word(request.to);
    return status < 0 ? status : futex_requeue(&request);
}

static s64 wake_op(struct trap_frame *frame, bool private)
{
    u64 first = SYSCALL_ARG0(frame), second = SYSCALL_ARG4(frame);
    s64 status = check_word(first);

    if (status == 0)
        status = check_word(second);
    if (status < 0)
        return status;
    return futex_wake_op(first, second, private, wake_count(SYSCALL_ARG2(frame)),
                         wake_count(SYSCALL_ARG3(frame)), (u32)SYSCALL_ARG5(frame));
}

s64 sys_futex(struct trap_frame *frame)
{
    u64 address = SYSCALL_ARG0(frame), deadline;
    u32 operation = (u32)SYSCALL_ARG1(frame), value = (u32)SYSCALL_ARG2(frame);
    u32 command = operation & ~(u32)(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME);
    bool private = operation & FUTEX_PRIVATE;
    s64 status = read_deadline(frame, operation, command, &deadline);

    if (status < 0)
        return status;
    if ((operation & FUTEX_CLOCK_REALTIME) && command != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    switch (command) {
    case FUTEX_WAIT: return wait(address, private, value, ~0u, deadline);
    case FUTEX_WAIT_BITSET:
        return wait(address, private, value, (u32)SYSCALL_ARG5(frame), deadline);
    case FUTEX_WAKE: return wake(address, private, value, ~0u);
    case FUTEX_WAKE_BITSET: return wake(address, private, value, (u32)SYSCALL_ARG5(frame));
    case FUTEX_REQUEUE: return requeue(frame, private, false);
    case FUTEX_CMP_REQUEUE: return requeue(frame, private, true);
    case FUTEX_WAKE_OP: return wake_op(frame, private);
    default: return -ENOSYS;
    }
}

/* --- robust futexes --- */

s64 sys_set_robust_list(struct trap_frame *frame)
{
    if (SYSCALL_ARG1(frame) != ROBUST_LIST_BYTES)
        return -EINVAL;
    current_thread()->robust_list = SYSCALL_ARG0(frame);
    return 0;
}

/* Of a thread of the caller's task: 0 or -ESRCH. */
static s64 find_robust_list(u32 tid, u64 *head)
{
    struct thread *self = current_thread(), *thread;
    struct task *task = self->task;
    s64 status = -ESRCH;

    spin_lock(&task->lock);
    list_for_each_entry(thread, &task->threads, task_link) {
        if (thread->tid != (tid ? tid : self->tid))
            continue;
        *head = thread->robust_list;
        status = 0;
        break;
    }
    spin_unlock(&task->lock);
    return status;
}

s64 sys_get_robust_list(struct trap_frame *frame)
{
    static const u64 bytes = ROBUST_LIST_BYTES;
    u64 head;
    s64 status = find_robust_list((u32)SYSCALL_ARG0(frame), &head);

    if (status < 0)
        return status;
    if (user_write(SYSCALL_ARG2(frame), &bytes, sizeof(bytes)))
        return -EFAULT;
    return user_write(SYSCALL_ARG1(frame), &head, sizeof(head));
}
