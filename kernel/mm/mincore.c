/*
 * mincore.c: which pages are in memory; and msync, which has nothing to write anywhere.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/walk.h"
#include "kernel/sys/user.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

/* --- mincore --- */

#define INCORE_CHUNK 256ul /* pages asked about under one hold of the lock */

/* What is not mapped may still be in memory, as part of the object. */
static void incore_object(struct vma *vma, va_t from, va_t to, u8 *present)
{
    struct object *object = vma->object;
    u64 first = vma_object_page(vma, from);
    struct frame *frame;

    if (!object || object->physical)
        return;
    mutex_lock(&object->lock);
    radix_for_each(frame, page, &object->frames, first, vma_object_page(vma, to - PAGE_SIZE))
        present[page - first] = 1;
    mutex_unlock(&object->lock);
}

static s64 incore_part(struct vma *vma, va_t from, va_t to, void *context)
{
    u8 **cursor = context, *present = *cursor;
    struct leaf_run run;

    memset(present, 0, (to - from) >> PAGE_SHIFT);
    for (va_t va = from; leaf_next(&vma->mm->pt, &va, to, &run);)
        for (; run.va < run.end; run.va += PAGE_SIZE, run.slot++)
            if (pte_is_mapped(pte_read(run.slot)))
                present[(run.va - from) >> PAGE_SHIFT] = 1;
    incore_object(vma, from, to, present);
    *cursor += (to - from) >> PAGE_SHIFT;
    return 0;
}

s64 mm_incore(struct mm *mm, va_t addr, u64 len, u8 *user_vector)
{
    u8 present[INCORE_CHUNK];
    u64 pages = (len >> PAGE_SHIFT) + (len % PAGE_SIZE != 0);

    if (!IS_ALIGNED(addr, PAGE_SIZE))
        return -EINVAL;
    if (!user_range_ok(addr, len))
        return -ENOMEM;
    if (!user_range_ok((u64)user_vector, pages))
        return -EFAULT;
    while (pages > 0) {
        u64 chunk = MIN(pages, INCORE_CHUNK);
        u8 *cursor = present;

        rwsem_read(&mm->lock);
        s64 error = range_visit(mm, addr, addr + chunk * PAGE_SIZE, true, incore_part, &cursor);
        rwsem_read_done(&mm->lock);
        if (cursor != present && user_write((u64)user_vector, present, (usize)(cursor - present)))
            return -EFAULT;
        if (error)
            return error;
        addr += chunk * PAGE_SIZE;
        user_vector += chunk;
        pages -= chunk;
        if (thread_is_dying())
            return -EINTR;
        sched_point();
    }
    return 0;
}

/* --- msync --- */

static s64 sync_part(struct vma *vma, va_t from, va_t to, void *flags)
{
    (void)from, (void)to;
    return (*(u32 *)flags & MS_INVALIDATE) && (vma->flags & VMA_LOCKED) ? -EBUSY : 0;
}

s64 mm_sync(struct mm *mm, va_t addr, u64 len, u32 flags)
{
    va_t end = addr + page_round(len);

    if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || !IS_ALIGNED(addr, PAGE_SIZE) ||
        ((flags & MS_ASYNC) && (flags & MS_SYNC)))
        return -EINVAL;
    if (end < addr)
        return -ENOMEM;
    rwsem_read(&mm->lock);
    s64 error = range_visit(mm, addr, end, flags == MS_ASYNC, sync_part, &flags);
    rwsem_read_done(&mm->lock);
    return error;
}
