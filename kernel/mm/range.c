/*
 * range.c: free ranges, and calls over ranges that cover several VMAs.
 *
 * A search for free space goes down from the ceiling and takes the highest gap that is large
 * enough. So that many mappings made one after the other do not each walk over all before them, the
 * space remembers how far down nothing of that size is free (gap_top, gap_len); what is unmapped
 * moves the mark up again.
 *
 * Locks: mm->lock for writing; range_visit and vma_range_free are content with reading.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/layout.h"

/* --- free ranges --- */

/* Where the range that a VMA keeps others out of begins: a growing one wants room below. */
static va_t vma_guarded_start(const struct vma *vma)
{
    if (!(vma->flags & VMA_GROWSDOWN))
        return vma->start;
    return vma->start > STACK_GUARD_GAP ? vma->start - STACK_GUARD_GAP : 0;
}

bool vma_range_free(struct mm *mm, va_t start, va_t end)
{
    struct vma *next = vma_find(mm, start);

    return !next || end <= vma_guarded_start(next);
}

/* The highest free range of len bytes below `top`. */
static va_t gap_below(struct mm *mm, u64 len, va_t top)
{
    struct vma *vma = vma_find(mm, top - 1);

    if (!vma)
        vma = rb_entry_or_null(rb_last(&mm->vmas), struct vma, node);
    for (; vma; vma = vma_prev(vma)) {
        if (vma->end <= top && top - vma->end >= len)
            return top - len;
        top = MIN(top, vma_guarded_start(vma));
    }
    return top >= MMAP_MIN_ADDRESS + len ? top - len : 0;
}

va_t vma_find_gap(struct mm *mm, u64 len, va_t hint)
{
    if (len > USER_END)
        return 0;
    if (hint && hint <= USER_END - len && vma_range_free(mm, hint, hint + len))
        return hint;
    va_t found = gap_below(mm, len, len >= mm->gap_len ? mm->gap_top : MMAP_CEILING);
    if (!found)
        return gap_below(mm, len, USER_END); /* above the ceiling rather than nowhere */
    mm->gap_top = found;
    mm->gap_len = len;
    return found;
}

void vma_gap_opened(struct mm *mm, const struct vma *next)
{
    va_t top = next ? MIN(next->start, MMAP_CEILING) : MMAP_CEILING;

    mm->gap_top = MAX(mm->gap_top, top);
}

/* --- over several VMAs --- */

s64 range_visit(struct mm *mm, va_t start, va_t end, bool stop_at_hole,
                s64 (*visit)(struct vma *vma, va_t from, va_t to, void *context), void *context)
{
    s64 hole = 0;

    while (start < end) {
        struct vma *vma = vma_find(mm, start);

        if (!vma || vma->start >= end)
            return -ENOMEM;
        if (vma->start > start) {
            if (stop_at_hole)
                return -ENOMEM;
            hole = -ENOMEM;
            start = vma->start;
        }
        va_t to = MIN(end, vma->end);
        s64 error = visit(vma, start, to, context);
        if (error)
            return error;
        start = to;
    }
    return hole;
}

struct vma *vma_isolate(struct vma *vma, va_t from, va_t to)
{
    if (vma_split(vma, from))
        return NULL;
    if (vma->start < from)
        vma = vma_next(vma);
    return vma_split(vma, to) ? NULL : vma;
}

s64 vma_change(struct vma *vma, va_t from, va_t to, u32 prot, u32 flags)
{
    if (vma->prot == prot && vma->flags == flags)
        return 0;
    vma = vma_isolate(vma, from, to);
    if (!vma)
        return -ENOMEM;
    vma_set(vma, prot, flags);
    vma_merge_neighbours(vma);
    return 0;
}
