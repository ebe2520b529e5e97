/*
 * ksm.c: who is scanned, and how a merged page becomes private again.
 *
 * A merged frame is of kind MERGED and owned by its node. It is born in ksm_match.c from two equal
 * pages and ends in one of two ways:
 *
 *   released  the last mapping went; frame_put found refs at 0 and calls ksm_frame_released
 *   reused    its last user writes; ksm_reuse_frame freezes the count at one and makes it an
 *             ordinary private frame
 *
 * A lookup in the stable index takes its reference under ksm_lock by frame_get_unless_zero. Reuse
 * freezes refs from 1 to 0 by compare-and-swap, also under ksm_lock: if the lookup was first the
 * swap fails and the fault copies; if the swap was first the node has left the index before the
 * lock is dropped. A release is noticed by the lookup as refs = 0. So a frame found through the
 * index is never one whose content may still change.
 */
#include "kernel/mm/ksm.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/refs.h"
#include "kernel/base/slab.h"
#include "kernel/mm/ksm_internal.h"
#include "kernel/mm/object.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/zap.h"
#include "kernel/task/thread.h"
#include "lib/hash.h"
#include "lib/page.h"

struct ksm_stats ksm_stats;
struct spinlock ksm_lock = SPINLOCK_INIT("ksm", LOCK_KSM);
struct list ksm_spaces = LIST_INIT(ksm_spaces);
struct mutex ksm_scan_mutex;
struct wait_queue ksm_wake;
const struct merge_index_ops *ksm_index_ops;
struct merge_index *ksm_index;

static void *radix_node_alloc(void *context)
{
    void *node = kmalloc(sizeof(struct radix_node));

    (void)context;
    if (node)
        atomic_fetch_add(&ksm_stats.bytes, sizeof(struct radix_node));
    return node;
}

static void radix_node_free(void *context, void *node)
{
    (void)context;
    atomic_fetch_sub(&ksm_stats.bytes, sizeof(struct radix_node));
    kfree(node);
}

static const struct radix_memory leaf_memory = {radix_node_alloc, radix_node_free, NULL};

void ksm_init(void)
{
    mutex_init(&ksm_scan_mutex, LOCK_KSM_SCAN);
    wait_queue_init(&ksm_wake);
    ksm_advisor_init();
    ksm_index_ops = &merge_index_hash;
    ksm_index = ksm_index_ops->create(frames_total());
    if (!ksm_index)
        panic("no memory for the merge index");
    ksm_zero_hash = hash_page(frame_page(zero_frame), 0);
    ksm_scan_start();
}

s64 ksm_set_index(const struct merge_index_ops *ops)
{
    /* Spaces that are ending are on no list any more, but may still take their records out. */
    if (atomic_load(&ksm_stats.unstable))
        return -EBUSY;
    struct merge_index *index = ops->create(frames_total());

    if (!index)
        return -ENOMEM;
    spin_lock(&ksm_lock);
    struct merge_index *old = ksm_index;
    const struct merge_index_ops *old_ops = ksm_index_ops;
    ksm_index = index;
    ksm_index_ops = ops;
    spin_unlock(&ksm_lock);
    old_ops->destroy(old);
    return 0;
}

/* --- spaces --- */

s64 ksm_register(struct mm *mm)
{
    if (mm->ksm)
        return 0;
    struct ksm_mm *space = kzalloc(sizeof(*space));
    if (!space)
        return -ENOMEM;
    space->mm = mm;
    radix_init(&space->leaves, &leaf_memory);
    atomic_fetch_add(&ksm_stats.bytes, sizeof(*space));
    mm->ksm = space;
    spin_lock(&ksm_lock);
    bool first = list_empty(&ksm_spaces);
    list_add_tail(&space->link, &ksm_spaces);
    spin_unlock(&ksm_lock);
    if (first) /* the others leave ksmd its sleep */
        wait_wake_all(&ksm_wake);
    return 0;
}

s64 ksm_fork(struct mm *child, struct mm *parent)
{
    return parent->ksm ? ksm_register(child) : 0;
}

bool ksm_mm_try_get(struct mm *mm)
{
    return refs_get_unless_zero(&mm->users);
}

void ksm_exit(struct mm *mm)
{
    struct ksm_mm *space = mm->ksm;

    if (!space)
        return;
    spin_lock(&ksm_lock);
    ksm_scan_forget(space);
    list_remove(&space->link);
    spin_unlock(&ksm_lock);
    ksm_items_drop(space, 0, USER_END);
    /* The last leaf reaches beyond USER_END, so it was emptied but not freed. */
    ksm_items_drop(space, ALIGN_DOWN(USER_END, KSM_LEAF_SPAN), ALIGN_UP(USER_END, KSM_LEAF_SPAN));
    radix_clear(&space->leaves);
    mm->ksm = NULL;
    atomic_fetch_sub(&ksm_stats.bytes, sizeof(*space));
    kfree(space);
}

void ksm_forget_range(struct mm *mm, va_t start, va_t end)
{
    if (mm->ksm)
        ksm_items_drop(mm->ksm, start, end);
}

bool ksm_vma_eligible(const struct vma *vma)
{
    return vma_is_private(vma);
}

/* --- the merged frame --- */

void ksm_frame_released(struct frame *frame)
{
    spin_lock(&ksm_lock);
    ksm_stable_bury(frame->owner);
    spin_unlock(&ksm_lock);
    frame->owner = NULL;
}

bool ksm_reuse_frame(struct frame *frame, struct lineage *lineage, u64 index)
{
    spin_lock(&ksm_lock);
    if (!frame_freeze(frame, 1)) {
        spin_unlock(&ksm_lock);
        return false;
    }
    ksm_stable_bury(frame->owner);
    lineage_get(lineage);
    frame->owner = lineage;
    frame->index = index;
    frame_set_kind(frame, FRAME_KIND_ANON);
    frame_unfreeze(frame, 1);
    spin_unlock(&ksm_lock);
    count(COUNT_cow_ksm_reuse);
    return true;
}

void ksm_count_mappings(s64 change)
{
    atomic_fetch_add_explicit(&ksm_stats.mappings, change, memory_order_relaxed);
}

void ksm_count_zero(struct mm *mm, s64 change)
{
    atomic_fetch_add_explicit(&mm->ksm_zero, (u64)change, memory_order_relaxed);
    atomic_fetch_add_explicit(&ksm_stats.zero, change, memory_order_relaxed);
}

/* --- making private again --- */

/* The entry still maps the merged frame, or the zero page: map a private copy, read-only; the next
 * write finds it exclusive. */
static void unshare_commit(struct vma *vma, va_t va, pte_t *slot, pte_t old, struct frame *copy,
                           struct tlb_batch *batch)
{
    struct mm *mm = vma->mm;
    struct frame *merged = pte_frame(old);

    lineage_get(mm->lineage);
    copy->owner = mm->lineage;
    copy->index = vma_index(vma, va);
    frame_set_kind(copy, FRAME_KIND_ANON);
    frame_account_map(mm, copy);
    u32 prot = pte_is_present(old) ? PTE_READ | (pte_is_executable(old) ? PTE_EXEC : 0) : 0;
    /* mm.h: a frame that is new to the entry is installed dirty */
    pte_exchange(slot, pte_dirtied(pte_make(frame_pfn(copy), prot)));
    tlb_batch_add(batch, mm, va);
    if (pte_is_special(old)) {
        ksm_count_zero(mm, -1);
    } else {
        frame_account_unmap(mm, merged);
        tlb_batch_add_frame(batch, merged);
        count(COUNT_cow_ksm);
    }
    count(COUNT_ksm_break);
}

/* By the scanner: a merged frame, or the zero page. */
static bool maps_merged(pte_t pte)
{
    if (!pte_is_mapped(pte))
        return false;
    return pte_is_special(pte) ? pte_is_ksm_zero(pte)
                               : frame_kind(pte_frame(pte)) == FRAME_KIND_MERGED;
}

/* Prepares the copy without the lock; the entry may go meanwhile only by truncation of the object
 * below. */
static s64 unshare_page(struct vma *vma, va_t va, pte_t *slot, struct tlb_batch *batch)
{
    pte_t pte = pte_read(slot);

    if (!maps_merged(pte))
        return 0;
    struct frame *copy = frame_alloc(0, 0, NODE_ANY);
    if (!copy)
        return -ENOMEM;
    pt_lock(slot);
    pte = pte_read(slot);
    bool still = maps_merged(pte);
    if (still) {
        page_copy(frame_page(copy), frame_page(pte_frame(pte)));
        unshare_commit(vma, va, slot, pte, copy, batch);
    }
    pt_unlock(slot);
    if (!still)
        frame_put(copy);
    if (tlb_batch_full(batch))
        tlb_batch_flush(batch);
    return 0;
}

s64 ksm_unshare_range(struct vma *vma, va_t start, va_t end)
{
    struct tlb_batch *batch = kmalloc(sizeof(*batch));
    s64 error = 0;

    if (!batch)
        return -ENOMEM;
    tlb_batch_init(batch, vma->mm, TLB_MERGE);
    for (va_t va = start; va < end && !error; va += PAGE_SIZE) {
        va = pt_next_present(&vma->mm->pt, va, end);
        pte_t *slot = va < end ? pt_walk(&vma->mm->pt, va) : NULL;

        if (slot)
            error = unshare_page(vma, va, slot, batch);
        sched_point();
    }
    tlb_batch_flush(batch);
    kfree(batch);
    return error;
}

/* A space whose turn in this round is still to come, referenced. */
static struct mm *next_of_round(u64 round)
{
    struct mm *found = NULL;

    spin_lock(&ksm_lock);
    for (struct list *at = ksm_spaces.next; at != &ksm_spaces && !found; at = at->next) {
        struct ksm_mm *space = container_of(at, struct ksm_mm, link);

        if (space->round == round)
            continue;
        space->round = round;
        if (ksm_mm_try_get(space->mm))
            found = space->mm;
    }
    spin_unlock(&ksm_lock);
    return found;
}

/* Everything in the space becomes private and unknown to the scanner; the areas stay marked.
 * mm->lock: write. */
static s64 unmerge_space(struct mm *mm)
{
    s64 error = 0;

    for (struct vma *vma = vma_find(mm, 0); vma && !error; vma = vma_next(vma)) {
        if (!(vma->flags & VMA_MERGEABLE))
            continue;
        error = ksm_unshare_range(vma, vma->start, vma->end);
        ksm_forget_range(mm, vma->start, vma->end);
    }
    return error;
}

static s64 forget_space(struct mm *mm)
{
    ksm_forget_range(mm, 0, USER_END);
    return 0;
}

/* Each registered space once, with its lock held for writing, until there is an error. */
static s64 all_spaces(s64 (*visit)(struct mm *mm))
{
    static u64 round;
    struct mm *mm;
    s64 error = 0;

    round++;
    while (!error && (mm = next_of_round(round))) {
        rwsem_write(&mm->lock);
        error = visit(mm);
        rwsem_write_done(&mm->lock);
        mm_put(mm);
    }
    return error;
}

s64 ksm_unmerge_all(void)
{
    return all_spaces(unmerge_space);
}

void ksm_forget_all(void)
{
    all_spaces(forget_space);
}

s64 ksm_set_domain(struct mm *mm, u32 domain)
{
    s64 error = 0;

    rwsem_write(&mm->lock);
    if (domain != mm->merge_domain)
        error = unmerge_space(mm);
    if (!error)
        mm->merge_domain = domain;
    rwsem_write_done(&mm->lock);
    return error;
}

u64 ksm_item_count(const struct mm *mm)
{
    return mm->ksm ? atomic_load_explicit(&mm->ksm->item_count, memory_order_relaxed) : 0;
}

/* --- PR_SET_MEMORY_MERGE --- */

static void mark_all(struct mm *mm)
{
    for (struct vma *vma = vma_find(mm, 0); vma; vma = vma_next(vma))
        if (ksm_vma_eligible(vma))
            vma->flags |= VMA_MERGEABLE;
}

/* All or nothing: when a page can't be made private everything is marked again. */
static s64 unmark_all(struct mm *mm)
{
    s64 error = unmerge_space(mm);

    if (error) {
        mark_all(mm);
        return error;
    }
    for (struct vma *vma = vma_find(mm, 0); vma; vma = vma_next(vma))
        vma->flags &= ~(u32)VMA_MERGEABLE;
    return 0;
}

s64 ksm_set_merge_any(struct mm *mm, bool on)
{
    s64 error = 0;

    rwsem_write(&mm->lock);
    if (on && !mm->merge_any) {
        error = ksm_register(mm);
        if (!error)
            mark_all(mm);
    } else if (!on && mm->merge_any) {
        error = unmark_all(mm);
    }
    if (!error)
        mm->merge_any = on;
    rwsem_write_done(&mm->lock);
    return error;
}
