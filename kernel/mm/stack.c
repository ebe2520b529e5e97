/*
 * stack.c: mappings that grow downwards when the page below is touched.
 *
 * A growing mapping keeps STACK_GUARD_GAP free between itself and what lies below, so that a stack
 * that overruns hits nothing; mmap keeps the same distance (vma_range_free). How far it may grow is
 * RLIMIT_STACK's business.
 */
#include "kernel/mm/fault.h"
#include "kernel/mm/layout.h"

static bool stack_may_grow(const struct vma *vma, va_t start)
{
    const struct mm *mm = vma->mm;
    const struct vma *below = vma_prev(vma);
    u64 pages = (vma->start - start) >> PAGE_SHIFT;

    if (start < MMAP_MIN_ADDRESS || vma->end - start > mm->limit_stack || pages > vma->pgoff)
        return false;
    if (below && below->prot && !(below->flags & VMA_GROWSDOWN) &&
        start - below->end < STACK_GUARD_GAP)
        return false;
    if ((vma->flags & VMA_LOCKED) && !mm_may_lock(mm, pages))
        return false;
    return mm_may_grow(mm, pages, false) && memory_is_enough(pages);
}

u32 stack_grow(struct mm *mm, va_t va)
{
    u32 result = MG_FAULT_MAPERR;

    rwsem_write(&mm->lock);
    struct vma *vma = vma_find(mm, va);
    if (vma && vma->start <= va) {
        result = 0; /* another thread was faster */
    } else if (vma && (vma->flags & VMA_GROWSDOWN) && stack_may_grow(vma, va)) {
        vma_resize(vma, va, vma->end);
        result = 0;
    }
    rwsem_write_done(&mm->lock);
    return result;
}
