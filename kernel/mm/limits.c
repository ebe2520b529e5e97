/*
 * limits.c: may the space have that much?
 *
 * The resource limits of the task, and the heuristic against overcommitment: memory is promised
 * without keeping count, but a single promise of more than the machine has is refused.
 */
#include "kernel/mm/layout.h"

bool mm_may_grow(const struct mm *mm, u64 pages, bool data)
{
    if (mm->total + pages > mm->limit_space >> PAGE_SHIFT)
        return false;
    return !data || mm->data + pages <= mm->limit_data >> PAGE_SHIFT;
}

bool mm_may_lock(const struct mm *mm, u64 pages)
{
    return mm->locked + pages <= mm->limit_memlock >> PAGE_SHIFT;
}

bool memory_is_enough(u64 pages)
{
    return pages <= frames_total();
}
