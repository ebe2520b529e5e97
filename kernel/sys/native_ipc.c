/*
 * native_ipc.c: the four calls that pass messages. All of it is in kernel/task/ipc.c, which works
 * on the registers in the frame.
 *
 * entry.asm knows their numbers and calls them without the dispatcher, which costs as much as a
 * tenth of a message; the ordinary table has them for calls that are taken up again after a
 * suspend.
 */
#include "kernel/sys/native.h"
#include "kernel/sys/syscall.h"
#include "kernel/task/ipc.h"

const syscall_handler ipc_entries[] = {ipc_call, ipc_recv, ipc_reply, ipc_reply_recv};
static_assert(MG_SYS_ipc_call == 0x1010 && MG_SYS_ipc_reply_recv == 0x1013, "IPC_FIRST, IPC_END");

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
