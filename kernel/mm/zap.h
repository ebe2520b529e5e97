/*
 * zap.h: taking mappings away, and the accounting of mappings.
 */
#pragma once

#include "kernel/mm/mm.h"

struct tlb_batch;

/* Drops every mapping and entry in [start, end) of the VMA; frames go to the batch, which is
 * flushed when full. mm->lock read (DONTNEED) or write, or object->lock for a mapping of that
 * object. */
void zap_range(struct vma *vma, va_t start, va_t end, struct tlb_batch *batch);
/* The same, but mappings of private copies stay. object->lock is held. */
void zap_shared_range(struct vma *vma, va_t start, va_t end, struct tlb_batch *batch);

/* One mapping comes or goes: frame->maps, the figure of its kind, merged mappings. The reference is
 * the caller's business. The leaf table's lock is held. */
void frame_account_map(struct mm *mm, struct frame *frame);
void frame_account_unmap(struct mm *mm, struct frame *frame);

/* Mappings by kind of frame. */
struct kind_counts {
    u64 of[FRAME_KIND_MASK + 1];
};
/* The space has so many mappings more (sign 1) or less (-1). */
void mm_account(struct mm *mm, const struct kind_counts *counts, s64 sign);
