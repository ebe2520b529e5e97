/*
 * tlb.h: one flush for many unmappings.
 *
 * Who takes a translation away or narrows it records (mm, range) and the frame to free in a batch,
 * drops its locks, and flushes once. Flushing bumps each mm's generation, sends at most one IPI to
 * each CPU that runs it (lazy CPUs compare generations when they return to it), waits for all, and
 * only then gives the frames back.
 *
 *   rule: no frame is reused before every CPU that could hold a translation to it has flushed.
 *
 * A flush must not be called with interrupts off, nor under a spinlock that is taken with
 * interrupts off.
 */
#pragma once

#include "kernel/base/cpu.h"
#include "kernel/mm/mm.h"

enum tlb_reason { TLB_UNMAP, TLB_PROTECT, TLB_FORK, TLB_MERGE, TLB_COW };

#define TLB_BATCH_FRAMES 480

struct tlb_batch {
    enum tlb_reason reason;
    struct mm *mm;   /* the space, or the first of `many` */
    bool many;       /* several spaces: everything is flushed on all their CPUs */
    bool tables;     /* page-table frames are among the frames: lazy CPUs must let go as well */
    va_t start, end; /* hull of what changed; start >= end: nothing to flush */
    u64 pages;       /* how many PTEs changed */
    cpumask_t cpus;  /* of all spaces, when many */
    u32 count;
    struct frame *frames[TLB_BATCH_FRAMES]; /* to be put after the flush, a reference each */
};

void tlb_batch_init(struct tlb_batch *batch, struct mm *mm, enum tlb_reason reason);
/* The PTEs of [start, end) in mm, or some of them, were taken away or narrowed. */
void tlb_batch_add_range(struct tlb_batch *batch, struct mm *mm, va_t start, va_t end);
static inline void tlb_batch_add(struct tlb_batch *batch, struct mm *mm, va_t va)
{
    tlb_batch_add_range(batch, mm, va, va + PAGE_SIZE);
}
static inline bool tlb_batch_full(const struct tlb_batch *batch)
{
    return batch->count == TLB_BATCH_FRAMES;
}
/* Its reference is dropped after the flush. True: the batch is full, flush it before the next. */
static inline bool tlb_batch_add_frame(struct tlb_batch *batch, struct frame *frame)
{
    batch->frames[batch->count++] = frame;
    return tlb_batch_full(batch);
}
/* Flushes, frees, and empties the batch for reuse. */
void tlb_batch_flush(struct tlb_batch *batch);
/* The same at once, for a range of one space that has no frames to free, or a page of it. */
void tlb_flush_range(struct mm *mm, va_t start, va_t end, enum tlb_reason reason);
void tlb_flush_page(struct mm *mm, va_t va, enum tlb_reason reason);

/* Called at every switch to a thread of `next` (NULL: kernel thread, keep the old space lazily).
 * Interrupts off. */
void tlb_switch_mm(struct mm *next);
/* Before an mm is freed: makes every CPU that still holds it lazily let go. */
void tlb_forget_mm(struct mm *mm);
/* What other CPUs ask of this one: shootdown_hook. Any context. */
void tlb_answer(void);
