/*
 * fault.c: page faults, from the top down.
 *
 *   mm_fault          find the VMA, may it be done? grow the stack
 *     fault_resolve   look at the entry: what is missing?
 *       nothing there, anonymous   fault_zero_page (read) or fault_zero (write)
 *       nothing there, object      fault_object             fault_object.c
 *       there but read-only        fault_cow                cow.c
 *
 * Each of them has one shape: prepare (memory, content) without the table's lock; take it and look
 * again; commit, which can't fail. If the entry has changed meanwhile, another was faster: drop
 * what was prepared and let the access be tried again.
 *
 * Locks: mm->lock for reading keeps VMAs and tables; the table's lock guards the entry.
 */
#include "kernel/mm/fault.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/zap.h"
#include "kernel/task/thread.h"

/* --- the pieces --- */

bool fault_lock(struct fault *fault)
{
    pt_lock(fault->slot);
    if (likely(pte_same(pte_read(fault->slot), fault->pte)))
        return true;
    pt_unlock(fault->slot);
    return false;
}

struct frame *fault_new_frame(const struct fault *fault, u32 alloc_flags)
{
    struct frame *frame = frame_alloc(0, alloc_flags | fault->mm->pt.alloc_flags, NODE_ANY);

    if (!frame)
        return NULL;
    lineage_get(fault->mm->lineage);
    frame->owner = fault->mm->lineage;
    frame->index = vma_index(fault->vma, fault->va);
    frame_set_kind(frame, FRAME_KIND_ANON);
    return frame;
}

void fault_map_private(struct fault *fault, struct frame *frame)
{
    pte_t pte = pte_make(frame_pfn(frame), vma_rights(fault->vma));

    frame_account_map(fault->mm, frame);
    pte_set(fault->slot, pte_dirtied(pte)); /* new to the scanner: mm.h */
}

/* --- anonymous memory --- */

/* A read finds zeros: the one page of them that everybody shares, not counted. */
static u32 fault_zero_page(struct fault *fault)
{
    pte_t pte = pte_make(frame_pfn(zero_frame), vma_rights(fault->vma) & ~(u32)PTE_WRITE);

    if (!fault_lock(fault))
        return 0;
    pte_set(fault->slot, pte_special(pte));
    pt_unlock(fault->slot);
    count(COUNT_fault_zero);
    return 0;
}

static u32 fault_zero(struct fault *fault)
{
    struct frame *frame = fault_new_frame(fault, ALLOC_ZERO);

    if (!frame)
        return MG_FAULT_OOM;
    if (!fault_lock(fault)) {
        frame_put(frame);
        return 0;
    }
    fault_map_private(fault, frame);
    pt_unlock(fault->slot);
    count(COUNT_fault_anon);
    return 0;
}

/* --- classification --- */

static u32 fault_resolve(struct fault *fault)
{
    fault->slot = pt_walk_alloc(&fault->mm->pt, fault->va);
    if (!fault->slot)
        return MG_FAULT_OOM;
    fault->pte = pte_read(fault->slot);
    if (pte_is_none(fault->pte)) {
        if (fault->vma->object)
            return fault_object(fault);
        return fault->access & ACCESS_WRITE ? fault_zero(fault) : fault_zero_page(fault);
    }
    if (pte_allows(fault->pte, fault->access))
        return FAULT_NOTHING;
    debug_assert(pte_is_present(fault->pte)); /* entries agree with the rights of their VMA */
    debug_assert(vma_is_private(fault->vma));
    return fault_cow(fault);
}

static u32 fault_find_vma(struct fault *fault)
{
    struct vma *vma = vma_find(fault->mm, fault->va);

    if (!vma)
        return MG_FAULT_MAPERR;
    if (vma->start > fault->va)
        return vma->flags & VMA_GROWSDOWN ? FAULT_STACK : MG_FAULT_MAPERR;
    fault->vma = vma;
    return vma_allows(vma, fault->access) ? 0 : MG_FAULT_ACCERR;
}

u32 mm_fault(struct mm *mm, va_t va, u32 access)
{
    struct fault fault = {.mm = mm, .va = va & PAGE_MASK, .access = access};

    count(COUNT_pgfault);
    atomic_fetch_add_explicit(&mm->minor_faults, 1, memory_order_relaxed);
    rwsem_read(&mm->lock);
    u32 result = fault_find_vma(&fault);
    if (likely(result == 0))
        result = fault_resolve(&fault);
    rwsem_read_done(&mm->lock);
    if (likely(result == 0))
        return 0;
    if (result == FAULT_STACK)
        return stack_grow(mm, fault.va);
    if (result != FAULT_NOTHING)
        return result;
    count(COUNT_fault_spurious); /* another thread was faster, or the TLB was behind */
    return 0;
}

s64 fault_in(struct vma *vma, va_t from, va_t to, u32 access)
{
    struct fault fault = {.mm = vma->mm, .vma = vma, .access = access};

    for (fault.va = from; fault.va < to; fault.va += PAGE_SIZE) {
        u32 result;

        do
            result = fault_resolve(&fault);
        while (result == 0);
        if (result != FAULT_NOTHING)
            return result == MG_FAULT_OOM ? -ENOMEM : -EFAULT;
        if (thread_is_dying())
            return -EINTR;
        sched_point();
    }
    return 0;
}
