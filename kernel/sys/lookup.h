/*
 * lookup.h: what the native calls share: handles and strings that a user program names.
 *
 * A handler takes what it needs, in this order: its structures copied in, its handles looked up
 * (each then holds a reference), the work, the references put. An empty handle_ref may be put, so
 * that one exit is enough.
 */
#pragma once

#include "kernel/sys/user.h"
#include "kernel/task/handle.h"
#include "kernel/task/thread.h"
#include "lib/types.h"

/* An argument register as a handle of the calling task: 0 with a reference, -EBADF, -EACCES.
 * HANDLE_FREE means any type. */
static inline s64 native_lookup(u64 handle, enum handle_type type, u32 rights,
                                struct handle_ref *ref)
{
    *ref = (struct handle_ref){0};
    if (handle > ~0u)
        return -EBADF;
    return handle_lookup(current_thread()->task, (mg_handle)handle, type, rights, ref);
}

/* Gives the calling task a handle of a new object with all rights; the caller's reference goes into
 * the table, or away on failure. The handle or -errno. */
static inline s64 native_install(enum handle_type type, void *object)
{
    struct handle_ref ref = {type, MG_RIGHT_ALL, object, 0};

    return handle_install(current_thread()->task, &ref, 0);
}

/* Whether rights that a caller asks for can be had from a handle that has `held`: 0, -EINVAL,
 * -EACCES. */
static inline s64 native_check_rights(u64 wanted, u32 held)
{
    if (wanted & ~(u64)MG_RIGHT_ALL)
        return -EINVAL;
    return wanted & ~(u64)held ? -EACCES : 0;
}

/* Copies a string of the calling task, cut to size - 1 characters, with its NUL: its length or
 * -EFAULT. */
static inline s64 native_read_string(char *to, u64 from, usize size)
{
    usize most = from < USER_END ? MIN(size - 1, (usize)(USER_END - from)) : 0;
    s64 length = most ? arch_string_user(to, (const char *)from, most) : -EFAULT;

    if (length < 0 || (length == (s64)most && most < size - 1))
        return -EFAULT;
    to[length] = '\0';
    return length;
}
