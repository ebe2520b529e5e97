/*
 * zap.h: taking mappings away, and accounting for many of them at once.
 */
#pragma once

#include "kernel/mm/mm.h"

/* Mappings by kind of frame. */
struct kind_counts {
    u64 of[FRAME_KIND_MASK + 1];
};
/* The space has so many mappings more (sign 1) or less (-1). */
void mm_account(struct mm *mm, const struct kind_counts *counts, s64 sign);

/* As zap_range, but mappings of private copies stay. object->lock is held. */
void zap_shared_range(struct vma *vma, va_t start, va_t end, struct tlb_batch *batch);
