/*
 * native_handle.c: the native calls on handles as such, and on ports.
 */
#include "kernel/sys/lookup.h"
#include "kernel/sys/native.h"
#include "kernel/task/port.h"

s64 native_null(struct trap_frame *frame)
{
    (void)frame;
    return 0;
}

s64 native_handle_close(struct trap_frame *frame)
{
    u64 handle = SYSCALL_ARG0(frame);

    return handle > ~0u ? -EBADF : handle_close(current_thread()->task, (mg_handle)handle);
}

/* Gives the caller another handle of what ref names, with rights out of those it has. The reference
 * is used up. */
static s64 install_narrowed(struct handle_ref *ref, u64 rights)
{
    s64 status = native_check_rights(rights, ref->rights);

    if (status < 0) {
        handle_ref_put(ref);
        return status;
    }
    ref->rights = (u32)rights;
    return handle_install(current_thread()->task, ref, 0);
}

s64 native_handle_dup(struct trap_frame *frame)
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_FREE, 0, &ref);

    return status < 0 ? status : install_narrowed(&ref, SYSCALL_ARG1(frame));
}

/* --- ports --- */

s64 native_port_create(struct trap_frame *frame)
{
    struct port *port = port_create();

    (void)frame;
    return port ? native_install(HANDLE_PORT, port) : -ENOMEM;
}

s64 native_port_mint(struct trap_frame *frame)
{
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_PORT, MG_RIGHT_MANAGE, &ref);

    if (status < 0)
        return status;
    ref.cookie = SYSCALL_ARG1(frame);
    return install_narrowed(&ref, SYSCALL_ARG2(frame));
}

/* Calls `act` on the port that the first argument names, with the second. */
static s64 act_on_port(struct trap_frame *frame, u32 right,
                       void (*act)(struct port *port, u64 value))
{
    struct handle_ref port;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_PORT, right, &port);

    if (status < 0)
        return status;
    act(port.object, SYSCALL_ARG1(frame));
    handle_ref_put(&port);
    return 0;
}

s64 native_port_notify(struct trap_frame *frame)
{
    return act_on_port(frame, MG_RIGHT_WRITE, port_notify);
}

s64 native_port_timer(struct trap_frame *frame)
{
    return act_on_port(frame, MG_RIGHT_MANAGE, port_set_timer);
}
