/*
 * mlock.c: keeping pages in memory.
 *
 * A locked VMA is one whose pages are brought in at once (or as they are touched, ONFAULT) and
 * stay. Marking comes first and under the lock; bringing in afterwards, as page faults would.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/layout.h"

#define LOCK_FLAGS ((u32)(VMA_LOCKED | VMA_LOCKONFAULT))

static s64 lock_part(struct vma *vma, va_t from, va_t to, void *flags)
{
    if (vma->flags & VMA_PHYSICAL)
        return 0;
    return vma_change(vma, from, to, vma->prot, (vma->flags & ~LOCK_FLAGS) | *(u32 *)flags);
}

static u64 locked_pages(struct mm *mm, va_t start, va_t end)
{
    u64 pages = 0;

    for (struct vma *vma = vma_find(mm, start); vma && vma->start < end; vma = vma_next(vma))
        if (vma->flags & VMA_LOCKED)
            pages += (MIN(end, vma->end) - MAX(start, vma->start)) >> PAGE_SHIFT;
    return pages;
}

static s64 lock_range(struct mm *mm, va_t start, va_t end, u32 flags)
{
    u64 pages = (end - start) >> PAGE_SHIFT;

    rwsem_write(&mm->lock);
    s64 error =
        flags && !mm_may_lock(mm, pages) && !mm_may_lock(mm, pages - locked_pages(mm, start, end))
            ? -ENOMEM
            : range_visit(mm, start, end, true, lock_part, &flags);
    rwsem_write_done(&mm->lock);
    return error;
}

/* The range widened to whole pages: -EINVAL when it wraps, 1 when it is empty. */
static s64 widen(va_t *addr, u64 len, va_t *end)
{
    u64 offset = *addr % PAGE_SIZE, bytes = page_round(len + offset);

    *addr -= offset;
    *end = *addr + bytes;
    if (*end < *addr)
        return -EINVAL;
    return *end == *addr;
}

s64 mm_lock_range(struct mm *mm, va_t addr, u64 len, u32 flags)
{
    va_t end;

    if (flags & ~MLOCK_ONFAULT)
        return -EINVAL;
    if (mm->limit_memlock == 0)
        return -EPERM;
    s64 error = widen(&addr, len, &end);
    if (error)
        return error < 0 ? error : 0;
    error = lock_range(mm, addr, end, VMA_LOCKED | (flags ? VMA_LOCKONFAULT : 0));
    if (error)
        return error;
    error = mm_populate(mm, addr, end);
    if (error == -EFAULT)
        return -ENOMEM;
    return error == -ENOMEM ? -EAGAIN : error;
}

s64 mm_unlock_range(struct mm *mm, va_t addr, u64 len)
{
    va_t end;
    s64 error = widen(&addr, len, &end);

    if (error)
        return error < 0 ? error : 0;
    return lock_range(mm, addr, end, 0);
}

static s64 lock_everything(struct mm *mm, u32 flags)
{
    u32 lock = VMA_LOCKED | (flags & MCL_ONFAULT ? VMA_LOCKONFAULT : 0);

    if ((flags & MCL_CURRENT) && mm->total > mm->limit_memlock >> PAGE_SHIFT)
        return -ENOMEM;
    mm->lock_future = flags & MCL_FUTURE ? lock : 0;
    if (flags & MCL_CURRENT)
        range_visit(mm, 0, USER_END, false, lock_part, &lock);
    return 0;
}

s64 mm_lock_all(struct mm *mm, u32 flags)
{
    if (flags == 0 || flags == MCL_ONFAULT || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)))
        return -EINVAL;
    if (mm->limit_memlock == 0)
        return -EPERM;
    rwsem_write(&mm->lock);
    s64 error = lock_everything(mm, flags);
    rwsem_write_done(&mm->lock);
    if (!error && (flags & MCL_CURRENT))
        mm_populate(mm, 0, USER_END);
    return error;
}

s64 mm_unlock_all(struct mm *mm)
{
    u32 none = 0;

    rwsem_write(&mm->lock);
    mm->lock_future = 0;
    range_visit(mm, 0, USER_END, false, lock_part, &none);
    rwsem_write_done(&mm->lock);
    return 0;
}
