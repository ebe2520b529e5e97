/*
 * populate.c: pages brought in before they are touched (mlock, MAP_POPULATE).
 *
 * Works in stretches of at most one leaf table, and lets others have the lock and the CPU between.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/layout.h"
#include "kernel/task/thread.h"

/* Brings a stretch in as an access would that leaves nothing to do for later ones. */
static s64 populate_stretch(struct vma *vma, va_t from, va_t to)
{
    bool write = (vma->prot & PROT_WRITE) && !(vma->flags & VMA_SHARED);
    u32 access = write ? ACCESS_WRITE : ACCESS_READ;

    if (vma->flags & (VMA_PHYSICAL | VMA_LOCKONFAULT))
        return 0;
    return vma_allows(vma, access) ? fault_in(vma, from, to, access) : -EFAULT;
}

s64 mm_populate(struct mm *mm, va_t start, va_t end)
{
    s64 error = 0;

    while (start < end && !error) {
        rwsem_read(&mm->lock);
        struct vma *vma = vma_find(mm, start);
        if (vma && vma->start < end) {
            va_t from = MAX(start, vma->start);
            va_t to = MIN(MIN(end, vma->end), ALIGN_DOWN(from, PT_LEAF_SPAN) + PT_LEAF_SPAN);

            error = populate_stretch(vma, from, to);
            start = to;
        } else {
            start = end;
        }
        rwsem_read_done(&mm->lock);
        sched_point();
    }
    return error;
}
