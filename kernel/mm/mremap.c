/*
 * mremap.c: resizing and moving mappings.
 *
 * Shrinking is an unmap. Growing in place moves the VMA's end. Otherwise the mapping moves: a
 * second VMA is made at the new place with the same lineage index, so that the rmap finds the
 * frames there; every table that the new place needs is allocated; then the entries are carried
 * over, which can't fail; then the old VMA goes, or with MREMAP_DONTUNMAP stays, empty.
 *
 * While entries move, mm->lock is held for writing and so nobody looks for them but truncation,
 * which is kept out by object->lock.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/walk.h"

struct remap {
    struct mm *mm;
    va_t addr, new_addr;
    u64 old_len, new_len;
    u32 flags; /* MREMAP_* */
    va_t populate_start, populate_end;
};

/* --- moving the entries --- */

/* Makes the leaf tables at the new place for those of the old one: then moving can't fail. */
static s64 prepare_tables(const struct remap *remap)
{
    struct pagetable *pt = &remap->mm->pt;
    struct leaf_run run;

    for (va_t va = remap->addr; leaf_next(pt, &va, remap->addr + remap->old_len, &run);) {
        va_t first = run.va - remap->addr + remap->new_addr;
        va_t last = run.end - PAGE_SIZE - remap->addr + remap->new_addr;

        if (!pt_walk_alloc(pt, first) || !pt_walk_alloc(pt, last))
            return -ENOMEM;
    }
    return 0;
}

/* Carries the entries of one run over; counts the private frames among them. */
static u64 move_run(struct pagetable *pt, struct leaf_run run, va_t to)
{
    u64 anonymous = 0;

    pt_lock(run.slot);
    for (pte_t *slot = run.slot; run.va < run.end; run.va += PAGE_SIZE, to += PAGE_SIZE, slot++) {
        pte_t pte = pte_read(slot);

        if (pte_is_none(pte))
            continue;
        pte = pte_exchange(slot, (pte_t){0});
        pte_set(pt_walk(pt, to), pte);
        anonymous += pte_is_mapped(pte) && !pte_is_special(pte) &&
                     frame_kind(pte_frame(pte)) != FRAME_KIND_OBJECT;
    }
    pt_unlock(run.slot);
    return anonymous;
}

static u64 move_entries(const struct remap *remap)
{
    struct pagetable *pt = &remap->mm->pt;
    struct leaf_run run;
    u64 anonymous = 0;

    for (va_t va = remap->addr; leaf_next(pt, &va, remap->addr + remap->old_len, &run);)
        anonymous += move_run(pt, run, run.va - remap->addr + remap->new_addr);
    return anonymous;
}

/* --- moving the VMA --- */

/* A VMA whose pages have not been touched takes the index of its place, so that it can merge. */
static void settle_index(struct vma *vma)
{
    if (!(vma->flags & VMA_MOVED))
        return;
    list_remove(&vma->moved_link);
    vma->flags &= ~(u32)VMA_MOVED;
    vma->pgoff = vma->start >> PAGE_SHIFT;
}

static struct vma *prepare_target(const struct remap *remap, const struct vma *vma)
{
    struct vma *target =
        vma_copy(remap->mm, vma, remap->new_addr, remap->new_addr + remap->new_len);

    if (!target)
        return NULL;
    target->offset = vma_object_page(vma, remap->addr);
    target->pgoff =
        vma_is_private(vma) ? vma_index(vma, remap->addr) : remap->new_addr >> PAGE_SHIFT;
    return target;
}

/* Merged pages do not travel: the scanner's records are kept by address. */
static s64 unmerge(struct vma *vma, const struct remap *remap)
{
    if (!(vma->flags & VMA_MERGEABLE))
        return 0;
    return ksm_unshare_range(vma, remap->addr, remap->addr + remap->old_len);
}

static void release_old(const struct remap *remap)
{
    struct mm *mm = remap->mm;

    if (!(remap->flags & MREMAP_DONTUNMAP)) {
        /* it was isolated: can't fail */
        layout_unmap(mm, remap->addr, remap->addr + remap->old_len);
        return;
    }
    struct vma *old = vma_at(mm, remap->addr);
    vma_set(old, old->prot, old->flags & ~(u32)(VMA_LOCKED | VMA_LOCKONFAULT));
    settle_index(old);
    if (mm->ksm)
        ksm_forget_range(mm, remap->addr, remap->addr + remap->old_len);
    vma_merge_neighbours(old);
}

/* Everything that can fail: the old part a VMA of its own, the new one, pages unmerged, tables. */
static s64 prepare_move(const struct remap *remap, struct vma **vma, struct vma **target)
{
    u64 added = remap->flags & MREMAP_DONTUNMAP ? remap->new_len : remap->new_len - remap->old_len;

    if (vma_is_data((*vma)->prot, (*vma)->flags) && !memory_is_enough(added >> PAGE_SHIFT))
        return -ENOMEM;
    if (remap->old_len)
        *vma = vma_isolate(*vma, remap->addr, remap->addr + remap->old_len);
    *target = *vma ? prepare_target(remap, *vma) : NULL;
    if (!*target)
        return -ENOMEM;
    s64 error = unmerge(*vma, remap);
    if (!error)
        error = prepare_tables(remap);
    if (error) {
        vma_free(*target);
        vma_merge_neighbours(*vma);
    }
    return error;
}

/* Moves [addr, addr + old_len), which lies in vma, to the free range at new_addr. */
static s64 move_vma(struct remap *remap, struct vma *vma)
{
    struct vma *target;
    s64 error = prepare_move(remap, &vma, &target);

    if (error)
        return error;
    vma_insert(target);
    if (vma->object)
        mutex_lock(&vma->object->lock);
    u64 anonymous = move_entries(remap);
    if (vma->object)
        mutex_unlock(&vma->object->lock);
    if (remap->old_len) {
        tlb_flush_range(remap->mm, remap->addr, remap->addr + remap->old_len, TLB_UNMAP);
        release_old(remap);
    }
    if (!anonymous)
        settle_index(target);
    remap->populate_start = remap->new_addr + remap->old_len;
    remap->populate_end = target->flags & VMA_LOCKED ? remap->new_addr + remap->new_len : 0;
    vma_merge_neighbours(target);
    return (s64)remap->new_addr;
}

/* --- the call's forms --- */

/* Whether the part may become new_len long: 0 or the error. */
static s64 check_resize(const struct remap *remap, const struct vma *vma)
{
    u64 more =
        remap->new_len > remap->old_len ? (remap->new_len - remap->old_len) >> PAGE_SHIFT : 0;

    if (remap->old_len == 0 && !(vma->flags & VMA_SHARED))
        return -EINVAL;
    if ((remap->flags & MREMAP_DONTUNMAP) && (vma->flags & VMA_PHYSICAL))
        return -EINVAL;
    if (remap->old_len > vma->end - remap->addr)
        return -EFAULT;
    if (remap->new_len == remap->old_len)
        return 0;
    if (vma->flags & VMA_PHYSICAL)
        return -EFAULT;
    if ((vma->flags & VMA_LOCKED) && !mm_may_lock(remap->mm, more))
        return -EAGAIN;
    return mm_may_grow(remap->mm, more, vma_is_data(vma->prot, vma->flags)) ? 0 : -ENOMEM;
}

/* MREMAP_FIXED or MREMAP_DONTUNMAP. */
static s64 remap_to(struct remap *remap)
{
    struct mm *mm = remap->mm;
    bool fixed = remap->flags & MREMAP_FIXED;

    if (!IS_ALIGNED(remap->new_addr, PAGE_SIZE) || remap->new_len > USER_END ||
        remap->new_addr > USER_END - remap->new_len)
        return -EINVAL;
    if (remap->addr + remap->old_len > remap->new_addr &&
        remap->new_addr + remap->new_len > remap->addr)
        return -EINVAL;
    if (fixed && layout_unmap(mm, remap->new_addr, remap->new_addr + remap->new_len))
        return -ENOMEM;
    if (remap->old_len > remap->new_len) {
        if (layout_unmap(mm, remap->addr + remap->new_len, remap->addr + remap->old_len))
            return -ENOMEM;
        remap->old_len = remap->new_len;
    }
    struct vma *vma = vma_at(mm, remap->addr);
    if (!vma)
        return -EFAULT;
    s64 error = check_resize(remap, vma);
    if (error)
        return error;
    if ((remap->flags & MREMAP_DONTUNMAP) &&
        !mm_may_grow(mm, remap->old_len >> PAGE_SHIFT, vma_is_data(vma->prot, vma->flags)))
        return -ENOMEM;
    if (!fixed)
        remap->new_addr = vma_find_gap(mm, remap->new_len, remap->new_addr);
    return remap->new_addr || fixed ? move_vma(remap, vma) : -ENOMEM;
}

static s64 grow_in_place(struct remap *remap, struct vma *vma)
{
    va_t end = remap->addr + remap->new_len;

    if (vma_is_data(vma->prot, vma->flags) && !(vma->flags & VMA_NORESERVE) &&
        !memory_is_enough((end - vma->end) >> PAGE_SHIFT))
        return -ENOMEM;
    remap->populate_start = vma->end;
    remap->populate_end = vma->flags & VMA_LOCKED ? end : 0;
    vma_resize(vma, vma->start, end);
    vma_merge_neighbours(vma);
    return (s64)remap->addr;
}

static s64 remap_resize(struct remap *remap)
{
    struct mm *mm = remap->mm;
    struct vma *vma = vma_at(mm, remap->addr);

    if (!vma)
        return -EFAULT;
    if (remap->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
        return remap_to(remap);
    if (remap->old_len >= remap->new_len) {
        s64 error = 0;

        if (remap->old_len > USER_END - remap->addr)
            return -EINVAL;
        if (remap->old_len > remap->new_len)
            error = layout_unmap(mm, remap->addr + remap->new_len, remap->addr + remap->old_len);
        return error ? error : (s64)remap->addr;
    }
    s64 error = check_resize(remap, vma);
    if (error)
        return error;
    va_t end = remap->addr + remap->new_len;
    if (remap->old_len == vma->end - remap->addr && end > vma->end && end <= USER_END &&
        vma_range_free(mm, vma->end, end))
        return grow_in_place(remap, vma);
    if (!(remap->flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    remap->new_addr = vma_find_gap(mm, remap->new_len, 0);
    return remap->new_addr ? move_vma(remap, vma) : -ENOMEM;
}

s64 mm_remap(struct mm *mm, va_t addr, u64 old_len, u64 new_len, u32 flags, va_t new_addr)
{
    struct remap remap = {.mm = mm,
                          .addr = addr,
                          .new_addr = new_addr,
                          .old_len = page_round(old_len),
                          .new_len = page_round(new_len),
                          .flags = flags};

    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if ((flags & MREMAP_DONTUNMAP) && old_len != new_len)
        return -EINVAL;
    if (!IS_ALIGNED(addr, PAGE_SIZE) || remap.new_len == 0)
        return -EINVAL;
    rwsem_write(&mm->lock);
    s64 result = remap_resize(&remap);
    rwsem_write_done(&mm->lock);
    if (result >= 0 && remap.populate_start < remap.populate_end)
        mm_populate(mm, remap.populate_start, remap.populate_end);
    return result;
}
