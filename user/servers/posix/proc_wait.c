/*
 * PID/wchan: the call a thread sleeps in, by name. Most wait in this server; the calls in which the
 * kernel itself lets a thread sleep are few.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/proc.h"
#include <errno.h>
#include <merganser/native.h>

#define KERNEL_CALLS(X) X(35, nanosleep) X(202, futex) X(230, clock_nanosleep)

static const struct {
    u32 number;
    const char *name;
} calls[] = {
#define CALL_NAME(number_, name_) {number_, #name_},
    CALLS(CALL_NAME) KERNEL_CALLS(CALL_NAME)
#undef CALL_NAME
};

/* The number of the call a thread sleeps in, or ~0. */
static u32 waits_in(const struct thread *thread)
{
    struct mg_thread_info info;

    if (thread->token)
        return thread->sleeping ? thread->number : ~0u;
    if (mg_thread_info(thread->handle, &info) < 0 || info.state != MG_THREAD_SLEEPING)
        return ~0u;
    return info.call;
}

long proc_show_wchan(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct thread *thread = proc_thread(node);
    const char *name = "0"; /* awake, or hidden */
    u32 number;

    if (!process)
        return -ESRCH;
    if (thread && proc_may_inspect(reader, process)) {
        number = waits_in(thread);
        for (usize i = 0; i < ARRAY_LEN(calls); i++) {
            if (calls[i].number == number)
                name = calls[i].name;
        }
    }
    text_print(text, "%s", name);
    return 0;
}
