/*
 * Answers to clients. The latest one is kept back, so that the main loop can send it and receive
 * the next message in one kernel call; any earlier one is sent on its own.
 */
#include "user/servers/posix/reply.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <merganser/native.h>

static struct mg_msg kept; /* token 0 = none */

void reply_flush(void)
{
    if (kept.token)
        mg_ipc_reply(&kept);
    kept.token = 0;
}

void thread_reply(struct thread *thread, u64 label, u64 value)
{
    reply_flush();
    kept = (struct mg_msg){.token = thread->token, .label = label, .word = {value}};
    thread->token = 0;
}

void thread_finish(struct thread *thread, long result)
{
    bool plain = result >= -4095 && !signal_pending(thread) && !thread->restore_blocked &&
                 result != -ERESTARTSYS && result != -ERESTARTNOHAND;

    if (plain)
        thread_reply(thread, MG_REPLY_RETURN, (u64)result);
    else
        signal_return(thread, result);
}

void reply_and_receive(struct mg_msg *msg)
{
    do {
        *msg = kept;
        kept.token = 0;
    } while (mg_ipc_reply_recv(server_port, msg) < 0);
}
