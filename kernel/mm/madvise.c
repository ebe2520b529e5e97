/*
 * madvise.c: advice about ranges.
 *
 * A table tells for each advice how it is served: by setting or clearing flags of the VMAs, by
 * touching or dropping pages, or by nothing but a check, where Linux's answer can't be told from
 * doing nothing. Advice goes VMA by VMA; holes are stepped over and reported at the end.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/zap.h"

struct advice {
    /* What to do with one VMA's part of the range. */
    s64 (*apply)(struct vma *vma, va_t from, va_t to, const struct advice *advice);
    bool exclusive;      /* needs mm->lock for writing */
    u32 set, clear;      /* advise_flags */
    u32 refuse;          /* EINVAL for a VMA with one of these flags */
    bool only_anonymous; /* EINVAL for a VMA with an object, or shared */
};

/* --- advice that changes flags --- */

static s64 advise_flags(struct vma *vma, va_t from, va_t to, const struct advice *advice)
{
    u32 flags = (vma->flags & ~advice->clear) | advice->set;

    return vma_change(vma, from, to, vma->prot, flags) ? -EAGAIN : 0;
}

static s64 advise_mergeable(struct vma *vma, va_t from, va_t to, const struct advice *advice)
{
    if (!ksm_vma_eligible(vma) || (vma->flags & VMA_MERGEABLE))
        return 0;
    return ksm_register(vma->mm) ? -EAGAIN : advise_flags(vma, from, to, advice);
}

static s64 advise_unmergeable(struct vma *vma, va_t from, va_t to, const struct advice *advice)
{
    if (!(vma->flags & VMA_MERGEABLE))
        return 0;
    s64 error = ksm_unshare_range(vma, from, to);
    if (error)
        return error == -ENOMEM ? -EAGAIN : error;
    ksm_forget_range(vma->mm, from, to);
    return advise_flags(vma, from, to, advice);
}

/* --- advice about pages --- */

static s64 advise_nothing(struct vma *vma, va_t from, va_t to, const struct advice *advice)
{
    (void)vma, (void)from, (void)to, (void)advice;
    return 0;
}

/* Also serves MADV_FREE: free memory is worth more than the chance that the page is wanted
 * again. */
static s64 advise_drop(struct vma *vma, va_t from, va_t to, const struct advice *advice)
{
    struct tlb_batch batch;

    (void)advice;
    tlb_batch_init(&batch, vma->mm, TLB_UNMAP);
    zap_range(vma, from, to, &batch);
    tlb_batch_flush(&batch);
    return 0;
}

static s64 advise_remove(struct vma *vma, va_t from, va_t to, const struct advice *advice)
{
    (void)advice;
    if (!vma->object || vma->object->physical)
        return -EINVAL;
    if (!(vma->flags & VMA_SHARED) || !(vma->max_prot & PROT_WRITE))
        return -EACCES;
    object_punch(vma->object, vma_object_page(vma, from), vma_object_page(vma, to));
    return 0;
}

static const struct advice advices[] = {
    [MADV_NORMAL] = {advise_flags, true, .clear = VMA_RANDOM | VMA_SEQUENTIAL},
    [MADV_RANDOM] = {advise_flags, true, .set = VMA_RANDOM, .clear = VMA_SEQUENTIAL},
    [MADV_SEQUENTIAL] = {advise_flags, true, .set = VMA_SEQUENTIAL, .clear = VMA_RANDOM},
    [MADV_WILLNEED] = {.apply = advise_nothing},
    [MADV_DONTNEED] = {advise_drop, .refuse = VMA_LOCKED | VMA_PHYSICAL},
    [MADV_DONTNEED_LOCKED] = {advise_drop, .refuse = VMA_PHYSICAL},
    [MADV_FREE] = {advise_drop, .refuse = VMA_LOCKED | VMA_PHYSICAL, .only_anonymous = true},
    [MADV_REMOVE] = {advise_remove, .refuse = VMA_LOCKED},
    [MADV_DONTFORK] = {advise_flags, true, .set = VMA_DONTFORK},
    [MADV_DOFORK] = {advise_flags, true, .clear = VMA_DONTFORK, .refuse = VMA_PHYSICAL},
    [MADV_MERGEABLE] = {advise_mergeable, true, .set = VMA_MERGEABLE},
    [MADV_UNMERGEABLE] = {advise_unmergeable, true, .clear = VMA_MERGEABLE},
    [MADV_HUGEPAGE] = {.apply = advise_nothing},
    [MADV_NOHUGEPAGE] = {.apply = advise_nothing},
    [MADV_DONTDUMP] = {advise_flags, true, .set = VMA_DONTDUMP},
    [MADV_DODUMP] = {advise_flags, true, .clear = VMA_DONTDUMP, .refuse = VMA_PHYSICAL},
    [MADV_WIPEONFORK] = {advise_flags, true, .set = VMA_WIPEONFORK, .only_anonymous = true},
    [MADV_KEEPONFORK] = {advise_flags, true, .clear = VMA_WIPEONFORK},
    [MADV_COLD] = {advise_nothing, .refuse = VMA_LOCKED | VMA_PHYSICAL},
    [MADV_PAGEOUT] = {advise_nothing, .refuse = VMA_LOCKED | VMA_PHYSICAL},
};

static s64 advise_vma(struct vma *vma, va_t from, va_t to, void *context)
{
    const struct advice *advice = context;

    if ((vma->flags & advice->refuse) ||
        (advice->only_anonymous && (vma->object || (vma->flags & VMA_SHARED))))
        return -EINVAL;
    return advice->apply(vma, from, to, advice);
}

/* --- MADV_POPULATE_READ and _WRITE --- */

static s64 populate_vma(struct vma *vma, va_t from, va_t to, void *access)
{
    u32 wanted = *(u32 *)access;

    if ((vma->flags & VMA_PHYSICAL) || !vma_allows(vma, wanted))
        return -EINVAL;
    return fault_in(vma, from, to, wanted);
}

static s64 advise_populate(struct mm *mm, va_t start, va_t end, u32 access)
{
    rwsem_read(&mm->lock);
    s64 error = range_visit(mm, start, end, true, populate_vma, &access);
    rwsem_read_done(&mm->lock);
    return error;
}

/* --- the call --- */

static s64 advise_range(struct mm *mm, va_t start, va_t end, const struct advice *advice)
{
    if (advice->exclusive)
        rwsem_write(&mm->lock);
    else
        rwsem_read(&mm->lock);
    s64 error = range_visit(mm, start, end, false, advise_vma, (void *)advice);
    if (advice->exclusive)
        rwsem_write_done(&mm->lock);
    else
        rwsem_read_done(&mm->lock);
    return error;
}

s64 mm_advise(struct mm *mm, va_t addr, u64 len, u32 advice)
{
    bool populate = advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE;
    bool known = advice < ARRAY_LEN(advices) && advices[advice].apply;
    va_t end = addr + page_round(len);

    if ((!known && !populate) || !IS_ALIGNED(addr, PAGE_SIZE) || (len && !page_round(len)) ||
        end < addr)
        return -EINVAL;
    if (end == addr)
        return 0;
    if (populate)
        return advise_populate(mm, addr, end,
                               advice == MADV_POPULATE_WRITE ? ACCESS_WRITE : ACCESS_READ);
    return advise_range(mm, addr, end, &advices[advice]);
}
