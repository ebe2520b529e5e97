/*
 * layout.h: what the layout calls share: limits, ranges, and taking mappings away.
 *
 * All of it with mm->lock held for writing, except where told.
 */
#pragma once

#include "kernel/mm/mm.h"
#include "kernel/mm/mman.h"

/* Hints and searches stay above it; a fixed mapping may lie below. */
#define MMAP_MIN_ADDRESS 0x10000ul
/* Searches begin below it; the rest of the user half is left to the stack. */
#define MMAP_CEILING (USER_END - (1ul << 30))
/* The end of what the topmost leaf table maps, which is a little beyond the last user address. */
#define TABLES_END ALIGN_UP(USER_END, PT_LEAF_SPAN)
/* What stays free below a growing mapping. */
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/* Rounded up to pages; 0 when it is 0 or too large for that. */
static inline u64 page_round(u64 bytes)
{
    return (bytes + PAGE_SIZE - 1) & PAGE_MASK;
}

/* --- range.c, free ranges --- */
/* Nothing is mapped in [start, end), and no growing mapping too close above. Any lock. */
bool vma_range_free(struct mm *mm, va_t start, va_t end);
/* The range below `next` (NULL: everything above) has become free; searches must look there
 * again. */
void vma_gap_opened(struct mm *mm, const struct vma *next);

/* --- limits.c --- */
/* Private memory that its owner may write: what RLIMIT_DATA is about. */
static inline bool vma_is_data(u32 prot, u32 flags)
{
    return (prot & PROT_WRITE) && !(flags & (VMA_SHARED | VMA_GROWSDOWN));
}
/* RLIMIT_AS and, for data, RLIMIT_DATA leave room for so many pages more. */
bool mm_may_grow(const struct mm *mm, u64 pages, bool data);
/* RLIMIT_MEMLOCK leaves room for so many pages more. */
bool mm_may_lock(const struct mm *mm, u64 pages);
/* Not an obvious overcommit: the machine has so many pages at all. */
bool memory_is_enough(u64 pages);

/* --- mm.c --- */
/* An empty space below parent in the lineage tree, with its lock held for writing. NULL = no
 * memory. */
struct mm *mm_create_child(struct mm *parent);

/* --- mmap.c --- */
/* Unmaps a page-aligned range: 0 or -ENOMEM (nothing changed then, but for a split). */
s64 layout_unmap(struct mm *mm, va_t start, va_t end);

/* --- range.c, over several VMAs --- */
/* Calls visit for each VMA in [start, end) with the part of it that lies inside. Returns the first
 * error, else -ENOMEM when there was a hole, else 0. With `stop_at_hole` a hole ends it at once.
 * visit may split and merge. mm->lock for reading is enough if visit is content with that. */
s64 range_visit(struct mm *mm, va_t start, va_t end, bool stop_at_hole,
                s64 (*visit)(struct vma *vma, va_t from, va_t to, void *context), void *context);
/* Splits so that [from, to), which lies in vma, is a VMA of its own, and returns that; NULL = no
 * memory. */
struct vma *vma_isolate(struct vma *vma, va_t from, va_t to);
/* Sets rights and flags of a part of a VMA, and merges: 0 or -ENOMEM. */
s64 vma_change(struct vma *vma, va_t from, va_t to, u32 prot, u32 flags);

/* --- populate.c: takes mm->lock for reading itself --- */
/* Brings the pages of a range in, as accesses would. 0; -ENOMEM: a hole or no memory; -EFAULT:
 * bad. */
s64 mm_populate(struct mm *mm, va_t start, va_t end);
