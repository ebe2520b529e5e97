/*
 * brk.c: the heap, a private mapping that grows and shrinks at its end.
 *
 * The heap is [brk_start, brk) rounded up to pages; it is a mapping like any other, and may merge
 * with its neighbours. When the break can't move the call returns where it stands.
 */
#include "kernel/mm/layout.h"

static bool brk_allowed(const struct mm *mm, va_t old_end, va_t new_end)
{
    u64 pages = (new_end - old_end) >> PAGE_SHIFT;

    if (new_end > USER_END)
        return false;
    if ((mm->lock_future & VMA_LOCKED) && !mm_may_lock(mm, pages))
        return false;
    return mm_may_grow(mm, pages, true) && memory_is_enough(pages);
}

static bool brk_grow(struct mm *mm, va_t old_end, va_t new_end)
{
    /* One page more than asked for, so that the heap does not touch what comes next. */
    if (!brk_allowed(mm, old_end, new_end) || !vma_range_free(mm, old_end, new_end + PAGE_SIZE))
        return false;
    struct vma *vma = vma_create(mm, old_end, new_end);
    if (!vma)
        return false;
    vma->prot = PROT_READ | PROT_WRITE;
    vma->max_prot = PROT_ALL;
    vma->flags = mm->lock_future | (mm->merge_any ? VMA_MERGEABLE : 0);
    vma_insert(vma);
    vma_merge_neighbours(vma);
    return true;
}

static bool brk_move(struct mm *mm, va_t old_end, va_t new_end)
{
    if (new_end > old_end)
        return brk_grow(mm, old_end, new_end);
    return new_end == old_end || layout_unmap(mm, new_end, old_end) == 0;
}

s64 mm_brk(struct mm *mm, va_t brk)
{
    rwsem_write(&mm->lock);
    va_t old_end = page_round(mm->brk), new_end = page_round(brk);
    bool moved = mm->brk_start != 0 && brk >= mm->brk_start && brk <= USER_END &&
                 brk - mm->brk_start <= mm->limit_data && brk_move(mm, old_end, new_end);

    if (moved)
        mm->brk = brk;
    s64 result = (s64)mm->brk;
    bool populate = moved && new_end > old_end && mm->lock_future == VMA_LOCKED;
    rwsem_write_done(&mm->lock);
    if (populate)
        mm_populate(mm, old_end, new_end);
    return result;
}
