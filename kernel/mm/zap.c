/*
 * zap.c: taking mappings away, and the accounting of mappings.
 *
 * A run of entries of one leaf table is cleared under its lock in one tight loop; what it mapped
 * goes into the batch (the mapping's reference with it), and the figures of the space are changed
 * once for the run. Nothing is freed here: the batch does that after its flush.
 *
 * Locks: mm->lock, or the lock of the object that the VMA maps, keeps the tables.
 */
#include "kernel/mm/zap.h"
#include "kernel/base/log.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/walk.h"
#include "kernel/task/thread.h"

/* --- one mapping --- */

void frame_account_map(struct mm *mm, struct frame *frame)
{
    enum frame_kind kind = frame_kind(frame);

    atomic_fetch_add_explicit(&frame->maps, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(mm_rss_counter(mm, kind), 1, memory_order_relaxed);
    if (kind == FRAME_KIND_MERGED)
        ksm_count_mappings(1);
}

void frame_account_unmap(struct mm *mm, struct frame *frame)
{
    enum frame_kind kind = frame_kind(frame);

    debug_assert(atomic_load_explicit(&frame->maps, memory_order_relaxed) != 0);
    atomic_fetch_sub_explicit(&frame->maps, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(mm_rss_counter(mm, kind), 1, memory_order_relaxed);
    if (kind == FRAME_KIND_MERGED)
        ksm_count_mappings(-1);
}

/* --- many --- */

void mm_account(struct mm *mm, const struct kind_counts *counts, s64 sign)
{
    u64 anon = counts->of[FRAME_KIND_ANON], merged = counts->of[FRAME_KIND_MERGED];
    u64 object = counts->of[FRAME_KIND_OBJECT];

    if (anon)
        atomic_fetch_add_explicit(&mm->rss_anon, (u64)sign * anon, memory_order_relaxed);
    if (object)
        atomic_fetch_add_explicit(&mm->rss_object, (u64)sign * object, memory_order_relaxed);
    if (merged) {
        atomic_fetch_add_explicit(&mm->rss_merged, (u64)sign * merged, memory_order_relaxed);
        ksm_count_mappings(sign * (s64)merged);
    }
}

/* Clears entries until the run ends or the batch is full; returns where it stopped. */
static va_t zap_run(struct mm *mm, struct leaf_run run, struct tlb_batch *batch)
{
    struct kind_counts counts = {0};
    va_t first = run.end, last = run.va;
    s64 ksm_zero = 0;

    for (; run.va < run.end && !tlb_batch_full(batch); run.va += PAGE_SIZE, run.slot++) {
        if (pte_is_none(pte_read(run.slot)))
            continue;
        pte_t pte = pte_exchange(run.slot, (pte_t){0});

        first = MIN(first, run.va);
        last = run.va + PAGE_SIZE;
        debug_assert(pte_is_mapped(pte));
        if (pte_is_special(pte)) {
            ksm_zero += pte_is_ksm_zero(pte);
            continue;
        }
        struct frame *frame = pte_frame(pte);
        debug_assert(atomic_load_explicit(&frame->maps, memory_order_relaxed) != 0);
        atomic_fetch_sub_explicit(&frame->maps, 1, memory_order_relaxed);
        counts.of[frame_kind(frame)]++;
        batch->frames[batch->count++] = frame;
    }
    if (first < last)
        tlb_batch_add_range(batch, mm, first, last);
    mm_account(mm, &counts, -1);
    if (ksm_zero)
        ksm_count_zero(mm, -ksm_zero);
    return run.va;
}

void zap_range(struct vma *vma, va_t start, va_t end, struct tlb_batch *batch)
{
    struct mm *mm = vma->mm;
    struct leaf_run run;

    mm_peak_rss(mm);
    for (va_t va = start; leaf_next(&mm->pt, &va, end, &run);) {
        pt_lock(run.slot);
        va = zap_run(mm, run, batch);
        pt_unlock(run.slot);
        if (tlb_batch_full(batch))
            tlb_batch_flush(batch);
        sched_point();
    }
}

/* --- only what the object itself owns: a hole is punched, private copies stay --- */

static void zap_run_shared(struct mm *mm, struct leaf_run run, struct tlb_batch *batch)
{
    for (; run.va < run.end; run.va += PAGE_SIZE, run.slot++) {
        pte_t pte = pte_read(run.slot);

        if (!pte_is_mapped(pte) || pte_is_special(pte) ||
            frame_kind(pte_frame(pte)) != FRAME_KIND_OBJECT)
            continue;
        pte_exchange(run.slot, (pte_t){0});
        frame_account_unmap(mm, pte_frame(pte));
        tlb_batch_add(batch, mm, run.va);
        if (tlb_batch_add_frame(batch, pte_frame(pte)))
            tlb_batch_flush(batch);
    }
}

void zap_shared_range(struct vma *vma, va_t start, va_t end, struct tlb_batch *batch)
{
    struct leaf_run run;

    for (va_t va = start; leaf_next(&vma->mm->pt, &va, end, &run);) {
        pt_lock(run.slot);
        zap_run_shared(vma->mm, run, batch);
        pt_unlock(run.slot);
    }
}
