/*
 * mprotect.c: changing the rights of mappings.
 *
 * Rights that are taken away are flushed before the call returns, once for the whole range. A right
 * to write is given to an entry at once where the write would find the page its own anyway, so that
 * no fault follows; elsewhere the entry stays read-only and the fault decides (cow.c).
 */
#include "kernel/base/errno.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/walk.h"

struct protect {
    u32 prot;
    va_t flush_start, flush_end; /* hull of the entries that lost a right */
};

/* The entry as it is to be, with what the hardware notes in it kept. */
static pte_t entry_for(const struct vma *vma, pte_t pte, u32 rights)
{
    if ((rights & PTE_WRITE) && vma_is_private(vma) &&
        (pte_is_special(pte) || !cow_is_settled(pte_frame(pte))))
        rights &= ~(u32)PTE_WRITE;
    return pte_with_prot(pte, rights);
}

static pte_t change_entry(const struct vma *vma, pte_t *slot, u32 rights)
{
    pte_t old;

    do
        old = pte_read(slot);
    while (!pte_cas(slot, old, entry_for(vma, old, rights)));
    return old;
}

static void change_leaf(const struct vma *vma, struct leaf_run run, struct protect *protect)
{
    u32 rights = vma_rights(vma);

    for (; run.va < run.end; run.va += PAGE_SIZE, run.slot++) {
        if (!pte_is_mapped(pte_read(run.slot)))
            continue;
        pte_t old = change_entry(vma, run.slot, rights);
        if (!pte_narrowed(old, pte_read(run.slot)))
            continue;
        protect->flush_start = MIN(protect->flush_start, run.va);
        protect->flush_end = run.va + PAGE_SIZE;
    }
}

static void change_entries(struct vma *vma, va_t from, va_t to, struct protect *protect)
{
    struct leaf_run run;

    for (va_t va = from; leaf_next(&vma->mm->pt, &va, to, &run);) {
        pt_lock(run.slot);
        change_leaf(vma, run, protect);
        pt_unlock(run.slot);
    }
}

/* Whether the limits allow that private memory becomes writable. */
static bool may_become_data(const struct vma *vma, u64 pages, u32 prot)
{
    if (!vma_is_data(prot, vma->flags) || vma_is_data(vma->prot, vma->flags))
        return true;
    return mm_may_grow(vma->mm, 0, false) &&
           vma->mm->data + pages <= vma->mm->limit_data >> PAGE_SHIFT &&
           ((vma->flags & VMA_NORESERVE) || memory_is_enough(pages));
}

static s64 protect_part(struct vma *vma, va_t from, va_t to, void *context)
{
    struct protect *protect = context;

    if (protect->prot & ~vma->max_prot)
        return -EACCES;
    if (vma->prot == protect->prot)
        return 0;
    if (!may_become_data(vma, (to - from) >> PAGE_SHIFT, protect->prot))
        return -ENOMEM;
    vma = vma_isolate(vma, from, to);
    if (!vma)
        return -ENOMEM;
    vma_set(vma, protect->prot, vma->flags);
    change_entries(vma, from, to, protect);
    vma_merge_neighbours(vma);
    return 0;
}

/* PROT_GROWSDOWN: the change reaches down to the start of the growing mapping. */
static s64 extend_down(struct mm *mm, va_t *start, va_t end)
{
    struct vma *vma = vma_find(mm, *start);

    if (!vma || vma->start >= end)
        return -ENOMEM;
    if (!(vma->flags & VMA_GROWSDOWN))
        return -EINVAL;
    *start = vma->start;
    return 0;
}

/* PROT_GROWSUP: no mapping grows that way here. */
static s64 extend_up(struct mm *mm, va_t start)
{
    return vma_at(mm, start) ? -EINVAL : -ENOMEM;
}

static s64 protect_range(struct mm *mm, va_t start, va_t end, u32 prot, u32 grows)
{
    struct protect protect = {.prot = prot, .flush_start = USER_END};
    s64 error = 0;

    if (grows == PROT_GROWSDOWN)
        error = extend_down(mm, &start, end);
    else if (grows == PROT_GROWSUP)
        error = extend_up(mm, start);
    if (!error)
        error = range_visit(mm, start, end, true, protect_part, &protect);
    if (protect.flush_start < protect.flush_end)
        tlb_flush_range(mm, protect.flush_start, protect.flush_end, TLB_PROTECT);
    return error;
}

/* Locked memory that became writable gets pages of its own at once. */
static bool wants_populate(struct mm *mm, va_t start, u32 prot)
{
    struct vma *vma = vma_at(mm, start);

    return vma && (prot & PROT_WRITE) &&
           (vma->flags & (VMA_LOCKED | VMA_LOCKONFAULT | VMA_SHARED)) == VMA_LOCKED;
}

s64 mm_protect(struct mm *mm, va_t addr, u64 len, u32 prot)
{
    u32 grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);

    prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
    if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !IS_ALIGNED(addr, PAGE_SIZE))
        return -EINVAL;
    if (len == 0)
        return 0;
    va_t end = addr + page_round(len);
    if (end <= addr)
        return -ENOMEM;
    if (prot & ~(PROT_ALL | PROT_SEM))
        return -EINVAL;
    rwsem_write(&mm->lock);
    s64 error = protect_range(mm, addr, end, prot & PROT_ALL, grows);
    bool populate = !error && wants_populate(mm, addr, prot);
    rwsem_write_done(&mm->lock);
    if (populate)
        mm_populate(mm, addr, end);
    return error;
}
