/*
 * fork.c: the child's copy of a space.
 *
 * Private pages are shared copy-on-write: the parent's entry loses its right to write, the child
 * gets the same read-only entry, the frame one reference and one mapping more. A leaf table is done
 * in one loop under one hold of its lock, and the parent is flushed once, at the end. What a fault
 * can bring back is not copied: frames of objects, shared mappings. A page that a device may be
 * writing to (pinned) is copied at once, for the child, so that the parent keeps the frame that the
 * device has.
 *
 * The child's own tables need no lock. Nobody can reach them: the rmap and the scanner need its
 * mm->lock, which is held for writing, and truncation is kept out by the lock of the object.
 *
 * When memory runs out the child is torn down like any space. The parent's entries stay read-only,
 * which its next write puts right.
 */
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/walk.h"
#include "kernel/mm/zap.h"
#include "kernel/task/thread.h"
#include "lib/page.h"

/* One leaf run on its way from parent to child. */
struct fork_run {
    struct mm *child;
    struct vma *vma; /* the child's */
    /* the child's leaf table at the run's start; NULL until something is there to copy */
    pte_t *to;
    struct kind_counts counts;
    s64 ksm_zero;
};

/* A page of the child's own with the content of a pinned one. NULL = no memory. */
static struct frame *fork_copy_page(struct fork_run *fork, const struct frame *pinned, va_t va)
{
    struct frame *copy = frame_alloc(0, 0, NODE_ANY);

    if (!copy)
        return NULL;
    page_copy(frame_page(copy), frame_page(pinned));
    lineage_get(fork->child->lineage);
    count(COUNT_fork_pinned);
    copy->owner = fork->child->lineage;
    copy->index = vma_index(fork->vma, va);
    frame_set_kind(copy, FRAME_KIND_ANON);
    atomic_store_explicit(&copy->maps, 1, memory_order_relaxed);
    return copy;
}

/* Whether the child must not share the page. One policy of copy-on-write knows no pins, to show
 * what they are for (tests/guest/hazard_cow.c). */
static bool must_copy(const struct frame *frame)
{
    return unlikely(__atomic_load_n(&frame->pins, __ATOMIC_RELAXED) != 0) &&
           atomic_load_explicit(&cow_policy, memory_order_relaxed) != COW_MAPCOUNT;
}

/* Makes the parent's entry the child's: read-only, like the parent's from now on. False = no
 * memory. */
static bool fork_share(struct fork_run *fork, struct frame *frame, pte_t *from, va_t va,
                       pte_t *entry)
{
    if (must_copy(frame)) {
        struct frame *copy = fork_copy_page(fork, frame, va);

        if (!copy)
            return false;
        *entry = pte_dirtied(pte_make(frame_pfn(copy), vma_rights(fork->vma)));
        fork->counts.of[FRAME_KIND_ANON]++;
        return true;
    }
    if (pte_is_writable(*entry))
        pte_clear_bits(from, PTE_W);
    frame_get(frame);
    atomic_fetch_add_explicit(&frame->maps, 1, memory_order_relaxed);
    *entry = pte_dirtied(pte_readonly(*entry)); /* new to the scanner: mm.h */
    fork->counts.of[frame_kind(frame)]++;
    return true;
}

/* Copies the entries of one run; false = no memory. The parent's table is locked. */
static bool fork_copy_run(struct fork_run *fork, struct leaf_run run)
{
    const va_t start = run.va;

    for (; run.va < run.end; run.va += PAGE_SIZE, run.slot++) {
        pte_t entry = pte_read(run.slot);

        if (pte_is_none(entry))
            continue;
        bool counted = !pte_is_special(entry);
        if (counted && frame_kind(pte_frame(entry)) == FRAME_KIND_OBJECT)
            continue;
        if (!fork->to && !(fork->to = pt_walk_alloc(&fork->child->pt, start)))
            return false;
        if (counted && !fork_share(fork, pte_frame(entry), run.slot, run.va, &entry))
            return false;
        fork->ksm_zero += pte_is_ksm_zero(entry);
        pte_set(fork->to + ((run.va - start) >> PAGE_SHIFT), entry);
    }
    return true;
}

static bool fork_copy_pages(struct mm *parent, struct mm *child, struct vma *vma)
{
    struct leaf_run run;
    bool done = true;

    for (va_t va = vma->start; done && leaf_next(&parent->pt, &va, vma->end, &run);) {
        struct fork_run fork = {.child = child, .vma = vma};

        pt_lock(run.slot);
        done = fork_copy_run(&fork, run);
        pt_unlock(run.slot);
        mm_account(child, &fork.counts, 1);
        if (fork.ksm_zero)
            ksm_count_zero(child, fork.ksm_zero);
        sched_point();
    }
    return done;
}

/* The VMA and its pages. Memory locks are not inherited. */
static bool fork_copy_vma(struct mm *parent, struct mm *child, const struct vma *vma)
{
    struct vma *copy = vma_copy(child, vma, vma->start, vma->end);
    bool done = true;

    if (!copy)
        return false;
    copy->flags &= ~(u32)(VMA_LOCKED | VMA_LOCKONFAULT);
    vma_insert(copy);
    if (!vma_is_private(vma) || (vma->flags & VMA_WIPEONFORK))
        return true;
    if (vma->object)
        mutex_lock(&vma->object->lock);
    done = fork_copy_pages(parent, child, copy);
    if (vma->object)
        mutex_unlock(&vma->object->lock);
    return done;
}

static bool fork_copy_space(struct mm *parent, struct mm *child)
{
    child->brk_start = parent->brk_start;
    child->brk = parent->brk;
    child->stack_start = parent->stack_start;
    child->gap_top = parent->gap_top;
    child->gap_len = parent->gap_len;
    child->limit_memlock = parent->limit_memlock;
    child->limit_space = parent->limit_space;
    child->limit_stack = parent->limit_stack;
    child->limit_data = parent->limit_data;
    child->merge_any = parent->merge_any;
    child->merge_domain = parent->merge_domain;

    bool gap = false;
    for (struct vma *vma = vma_find(parent, 0); vma; vma = vma_next(vma)) {
        if (vma->flags & VMA_DONTFORK)
            gap = true;
        else if (!fork_copy_vma(parent, child, vma))
            return false;
    }
    if (gap)
        vma_gap_opened(child, NULL);
    return ksm_fork(child, parent) == 0;
}

struct mm *mm_fork(struct mm *parent)
{
    rwsem_write(&parent->lock);
    struct mm *child = mm_create_child(parent);
    if (!child) {
        rwsem_write_done(&parent->lock);
        return NULL;
    }
    bool done = fork_copy_space(parent, child);
    tlb_flush_range(parent, 0, USER_END, TLB_FORK);
    rwsem_write_done(&child->lock);
    rwsem_write_done(&parent->lock);
    if (!done) {
        mm_put(child);
        return NULL;
    }
    count(COUNT_fork);
    count_add(COUNT_fork_pages, mm_rss(child));
    return child;
}
