/*
 * native_ipc.c: the four calls that pass messages. All of it is in kernel/task/ipc.c, which works
 * on the registers in the frame: the way from the table to there is one jump.
 */
#include "kernel/sys/native.h"
#include "kernel/task/ipc.h"

s64 native_ipc_call(struct trap_frame *frame)
{
    return ipc_call(frame);
}

s64 native_ipc_recv(struct trap_frame *frame)
{
    return ipc_recv(frame);
}

s64 native_ipc_reply(struct trap_frame *frame)
{
    return ipc_reply(frame);
}

s64 native_ipc_reply_recv(struct trap_frame *frame)
{
    return ipc_reply_recv(frame);
}
