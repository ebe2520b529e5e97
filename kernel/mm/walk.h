/*
 * walk.h: the leaf tables of an address range, one after the other.
 *
 *     struct leaf_run run;
 *     for (va_t va = start; leaf_next(&mm->pt, &va, end, &run);) {
 *         pt_lock(run.slot);
 *         ... run.slot is the entry of run.va; up to run.end the entries lie side by side ...
 *         pt_unlock(run.slot);
 *     }
 *
 * Ranges without a leaf table are skipped. The tables must not go away meanwhile: mm->lock is held,
 * or the lock of the object that the range maps.
 */
#pragma once

#include "arch/x86_64/pagetable.h"

struct leaf_run {
    va_t va, end;
    pte_t *slot;
};

/* The next run at or after *va, which moves behind it; false when there is none below end. */
static inline bool leaf_next(const struct pagetable *pt, va_t *va, va_t end, struct leaf_run *run)
{
    run->va = pt_next_present(pt, *va, end);
    if (run->va >= end)
        return false;
    run->slot = pt_walk(pt, run->va);
    run->end = MIN(end, ALIGN_DOWN(run->va, PT_LEAF_SPAN) + PT_LEAF_SPAN);
    *va = run->end;
    return true;
}
