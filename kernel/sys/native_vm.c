/*
 * native_vm.c: the native calls on the memory of tasks.
 *
 * Rights: READ to look and to copy from, WRITE to map and to copy to. Addresses are those of the
 * task named; a buffer or structure is the caller's own.
 */
#include "kernel/mm/mm.h"
#include "kernel/mm/mman.h"
#include "kernel/mm/object.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/native.h"

#define COPY_LIMIT 0x7ffff000ul /* bytes a call copies at most, as Linux's reads and writes */

/* The space of the task that a handle names, with a reference: NULL with *status. */
static struct mm *lookup_space(u64 handle, u32 rights, s64 *status)
{
    struct handle_ref ref;
    struct mm *mm = NULL;

    *status = native_lookup(handle, HANDLE_TASK, rights, &ref);
    if (*status == 0) {
        mm = task_mm_get_for(&ref);
        *status = mm ? 0 : -ESRCH;
    }
    handle_ref_put(&ref);
    return mm;
}

/* --- layout --- */

/* Checks a request's object against the rights of its handle, and limits what may come later. */
static s64 take_object(const struct mg_map *map, struct map_request *request,
                       struct handle_ref *ref)
{
    bool shared = (map->flags & MAP_TYPE) != MAP_PRIVATE;
    u32 rights = MG_RIGHT_READ | (shared && map->prot & PROT_WRITE ? MG_RIGHT_WRITE : 0);
    s64 status = native_lookup(map->object, HANDLE_OBJECT, rights, ref);

    if (status < 0)
        return status;
    request->object = ref->object;
    if (shared && !(ref->rights & MG_RIGHT_WRITE)) {
        request->max_prot = (map->max_prot ? map->max_prot : PROT_ALL) & ~PROT_WRITE;
        if (!request->max_prot)
            request->max_prot = PROT_READ; /* 0 would mean everything */
    }
    return 0;
}

s64 native_vm_map(struct trap_frame *frame)
{
    struct handle_ref ref = {0};
    struct mg_map map;
    s64 status;

    if (user_read(&map, SYSCALL_ARG1(frame), sizeof(map)))
        return -EFAULT;
    if (!!map.object == !!(map.flags & MAP_ANONYMOUS) || map.max_prot & ~PROT_ALL)
        return -EINVAL;
    struct map_request request = {.addr = map.addr,
                                  .len = map.len,
                                  .prot = map.prot,
                                  .flags = map.flags,
                                  .max_prot = map.max_prot,
                                  .offset = map.offset};
    struct mm *mm = lookup_space(SYSCALL_ARG0(frame), MG_RIGHT_WRITE, &status);

    if (!mm)
        return status;
    if (map.object)
        status = take_object(&map, &request, &ref);
    if (status == 0)
        status = mm_map(mm, &request);
    handle_ref_put(&ref);
    mm_put(mm);
    return status;
}

s64 native_vm_unmap(struct trap_frame *frame)
{
    s64 status;
    struct mm *mm = lookup_space(SYSCALL_ARG0(frame), MG_RIGHT_WRITE, &status);

    if (!mm)
        return status;
    status = mm_unmap(mm, SYSCALL_ARG1(frame), SYSCALL_ARG2(frame));
    mm_put(mm);
    return status;
}

/* A call on a range with a last argument of 32 bits. */
static s64 change_range(struct trap_frame *frame, s64 (*change)(struct mm *, va_t, u64, u32))
{
    u64 value = SYSCALL_ARG3(frame);
    s64 status;
    struct mm *mm = lookup_space(SYSCALL_ARG0(frame), MG_RIGHT_WRITE, &status);

    if (!mm)
        return status;
    status =
        value > ~0u ? -EINVAL : change(mm, SYSCALL_ARG1(frame), SYSCALL_ARG2(frame), (u32)value);
    mm_put(mm);
    return status;
}

s64 native_vm_protect(struct trap_frame *frame)
{
    return change_range(frame, mm_protect);
}

s64 native_vm_advise(struct trap_frame *frame)
{
    return change_range(frame, mm_advise);
}

/* --- looking --- */

s64 native_vm_query(struct trap_frame *frame)
{
    struct mg_vma vma;
    s64 status;
    struct mm *mm = lookup_space(SYSCALL_ARG0(frame), MG_RIGHT_READ, &status);

    if (!mm)
        return status;
    status = mm_query(mm, SYSCALL_ARG1(frame), &vma);
    mm_put(mm);
    return status ? status : user_write(SYSCALL_ARG2(frame), &vma, sizeof(vma));
}

s64 native_vm_pagemap(struct trap_frame *frame)
{
    s64 status;
    struct mm *mm = lookup_space(SYSCALL_ARG0(frame), MG_RIGHT_READ, &status);

    if (!mm)
        return status;
    status = mm_pagemap(mm, SYSCALL_ARG1(frame), SYSCALL_ARG2(frame), (u64 *)SYSCALL_ARG3(frame));
    mm_put(mm);
    return status;
}

/* --- copying --- */

/* One side of a copy: what a handle of a task or an object names. */
static s64 lookup_side(u64 handle, u64 offset, u32 rights, struct memory_side *side)
{
    struct handle_ref ref;
    s64 status = native_lookup(handle, HANDLE_FREE, rights, &ref);

    *side = (struct memory_side){.offset = offset};
    if (status < 0)
        return status;
    if (ref.type == HANDLE_OBJECT) {
        side->object = ref.object; /* its reference too */
        return 0;
    }
    status = -EBADF;
    if (ref.type == HANDLE_TASK) {
        side->mm = task_mm_get_for(&ref);
        status = side->mm ? 0 : -ESRCH;
    }
    handle_ref_put(&ref);
    return status;
}

static void put_side(struct memory_side *side)
{
    if (side->object)
        object_put(side->object);
    if (side->mm)
        mm_put(side->mm);
}

s64 native_vm_copy(struct trap_frame *frame)
{
    struct memory_side to, from = {0};
    u64 len = MIN(SYSCALL_ARG4(frame), COPY_LIMIT);
    s64 status = lookup_side(SYSCALL_ARG0(frame), SYSCALL_ARG1(frame), MG_RIGHT_WRITE, &to);

    if (status == 0)
        status = lookup_side(SYSCALL_ARG2(frame), SYSCALL_ARG3(frame), MG_RIGHT_READ, &from);
    if (status == 0)
        status = memory_copy(&to, &from, len);
    put_side(&to);
    put_side(&from);
    return status;
}
