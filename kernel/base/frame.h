/*
 * frame.h: physical memory, one `struct frame` for each 4 KiB.
 *
 *   pfn_t                physical page frame number
 *   frame_table[pfn]     its struct frame; virtually one array, each node's part allocated on that
 *   node
 *   frame_page(f)        the content, through the direct map
 *
 * The count rule (DESIGN 3): references = mappings + 1 if in the swap cache + pins + transient
 * holders. `refs` at 0 means free, or frozen by whoever took it from 1 to 0 by compare-and-swap
 * (frame_freeze). A reference may be taken from nothing only by frame_get_unless_zero.
 *
 * Identity (owner, index, kind) changes only under the frame lock or while the frame is frozen or
 * unpublished.
 */
#pragma once

#include "kernel/base/lock.h"
#include "lib/types.h"

#include <stdatomic.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ul
#define PAGE_MASK (~(PAGE_SIZE - 1))

typedef struct {
    u64 raw;
} pfn_t;
typedef struct {
    u64 raw;
} pa_t;           /* physical address */
typedef u64 va_t; /* user virtual address; kernel addresses are pointers */

static inline pa_t pfn_pa(pfn_t pfn)
{
    return (pa_t){pfn.raw << PAGE_SHIFT};
}
static inline pfn_t pa_pfn(pa_t pa)
{
    return (pfn_t){pa.raw >> PAGE_SHIFT};
}

#ifdef MG_HOST_TEST /* where an ordinary process can have them: tests/unit/host.h */
#define DIRECT_MAP_BASE 0x300000000000ul
#define FRAME_TABLE_BASE 0x310000000000ul
#else
#define DIRECT_MAP_BASE 0xffff800000000000ul
#define FRAME_TABLE_BASE 0xffffc00000000000ul
#endif

static inline void *pa_virt(pa_t pa)
{
    return (void *)(DIRECT_MAP_BASE + pa.raw);
}
/* Of an address in the direct map. */
static inline pa_t virt_pa(const void *virt)
{
    return (pa_t){(u64)virt - DIRECT_MAP_BASE};
}

enum frame_kind {                       /* what a frame is used for; the meaning of `owner` */
                  FRAME_KIND_ABSENT,    /* no memory there */
                  FRAME_KIND_RESERVED,  /* firmware, kernel image */
                  FRAME_KIND_FREE,      /* in the buddy allocator or a CPU's cache */
                  FRAME_KIND_KERNEL,    /* owner unused */
                  FRAME_KIND_PAGETABLE, /* owner: struct mm */
                  FRAME_KIND_SLAB,      /* owner: struct slab_cache */
                  FRAME_KIND_ANON,      /* owner: struct lineage; index: page index */
                  FRAME_KIND_OBJECT,    /* owner: struct object; index: page in the object */
                  FRAME_KIND_ZERO,      /* the shared zero page: mapped without counting */
                  FRAME_KIND_MERGED,    /* owner: struct ksm_node (a stable node) */
};

/* Bits of flags. Kind in the low 4. */
#define FRAME_KIND_MASK 0xfu
#define FRAME_LOCK_BIT 4
#define FRAME_LOCKED (1u << FRAME_LOCK_BIT)
#define FRAME_DIRTY (1u << 5)      /* content newer than any copy on swap */
#define FRAME_REFERENCED (1u << 6) /* clock's second chance */
#define FRAME_ACTIVE (1u << 7)
#define FRAME_ON_LIST (1u << 8) /* next/prev in use by a reclaim list */
#define FRAME_SWAPCACHE (1u << 9)
#define FRAME_WRITEBACK (1u << 10)
#define FRAME_MLOCKED (1u << 11)
#define FRAME_POISONED (1u << 12)
#define FRAME_ORDER_SHIFT 24 /* buddy order of a free block's first frame, or of an allocation's */
#define FRAME_NODE_SHIFT 28  /* NUMA node, 0..15 */

struct frame {
    _Atomic u32 refs;
    _Atomic u32 maps; /* PTEs that map it */
    _Atomic u32 flags;
    u32 pins; /* atomic; how many of refs are pins for I/O */
    void *owner;
    u64 index;
    u32 next, prev; /* frame numbers, 0 = none; buddy, caches, reclaim lists */
    u32 swap_slot;
    u32 audit; /* what the auditor has counted: kernel/mm/audit.c */
};
static_assert(sizeof(struct frame) <= 48, "struct frame grew");

#define frame_table ((struct frame *)FRAME_TABLE_BASE)
extern u64 frame_table_end; /* one past the highest frame number with memory */

static inline struct frame *pfn_frame(pfn_t pfn)
{
    return &frame_table[pfn.raw];
}
static inline pfn_t frame_pfn(const struct frame *frame)
{
    return (pfn_t){(u64)(frame - frame_table)};
}
static inline void *frame_page(const struct frame *frame)
{
    return pa_virt(pfn_pa(frame_pfn(frame)));
}
static inline struct frame *virt_frame(const void *direct_map_address)
{
    return pfn_frame(pa_pfn(virt_pa(direct_map_address)));
}
/* Whether the frame number is within the table and memory is behind it. Safe for any value. */
bool pfn_valid(pfn_t pfn);

static inline enum frame_kind frame_kind(const struct frame *frame)
{
    return (enum frame_kind)(atomic_load_explicit(&frame->flags, memory_order_relaxed) &
                             FRAME_KIND_MASK);
}
static inline u32 frame_node(const struct frame *frame)
{
    return atomic_load_explicit(&frame->flags, memory_order_relaxed) >> FRAME_NODE_SHIFT;
}
void frame_set_kind(struct frame *frame, enum frame_kind kind);

/* --- allocation (kernel/base/frame_alloc.c) --- */

enum {                 /* flags for frame_alloc */
       ALLOC_ZERO = 1, /* content zeroed */
       ALLOC_RESERVE =
           /* may use the reserve below the minimum watermark: kernel and servers that free
            * memory */
           2,
       ALLOC_NODE_ONLY = 4, /* no fallback to other nodes */
};
#define NODE_ANY (~0u)

/* Allocates 2^order contiguous frames (order <= 10) on `node`, or the nearest with room; NODE_ANY =
 * this CPU's. refs of the first is 1, kind FRAME_KIND_KERNEL, maps 0. Returns NULL when there is
 * none. Never sleeps. */
struct frame *frame_alloc(u32 order, u32 flags, u32 node);
/* Gives a block back whose refs have fallen to 0; `order` as allocated. */
void frame_free(struct frame *frame, u32 order);
/* Many order-0 frames at once (all refs already 0), fewer lock round trips. */
void frame_free_many(struct frame **frames, usize count);

static inline void frame_get(struct frame *frame)
{
    atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
}
bool frame_get_unless_zero(struct frame *frame);
/* Drops a reference of an order-0 frame; the last one frees it (through frame_release_hook for its
 * kind). */
void frame_put(struct frame *frame);
/* Atomically takes refs from `expected` to 0; while frozen nobody can get a reference. */
bool frame_freeze(struct frame *frame, u32 expected);
void frame_unfreeze(struct frame *frame, u32 refs);

/* Called by frame_put on the last reference, before the frame goes back: lets floor 5 drop the
 * owner. */
extern void (*frame_release_hook)(struct frame *frame);
/* Called when free memory falls below the low watermark; must not allocate or sleep. */
extern void (*frame_low_hook)(u32 node);

/* Bit spinlock in flags: identity of an anonymous or merged frame, or the PTEs of a page-table
 * frame. */
void frame_lock(struct frame *frame);
bool frame_trylock(struct frame *frame);
void frame_unlock(struct frame *frame);

extern struct frame *zero_frame; /* the shared zero page */

struct node_stats {
    u64 total, free;
    u64 watermark_min, watermark_low, watermark_high;
};
extern u32 node_count;
void frame_node_stats(u32 node, struct node_stats *stats);
u64 frames_free(
    void); /* pages, all nodes, per-CPU caches included; approximate while others allocate */
u64 frames_total(void); /* pages of usable memory */

/* --- start-up: called by arch with the memory map, once, before anything else allocates --- */

struct memory_range {
    u64 start, end; /* physical addresses, page aligned */
    u32 node;
};
/* Early page-at-a-time allocation from the memory map, before frame_init; zeroed, never freed.
 * Panics when exhausted. */
pa_t early_alloc_page(u32 node);
pa_t early_alloc(u64 bytes, u64 align, u32 node);
/* Tells about usable ranges; reserved pieces (kernel image, modules, tables) are taken out with
 * early_reserve. */
void early_add_range(struct memory_range range);
void early_reserve(u64 start, u64 end);
/* Builds frame_table (mapped by arch through the function given) and hands everything left over to
 * the buddy. */
void frame_init(void (*map_page)(u64 virt, pa_t pa));
/* Once all CPUs run: where many share little memory, each keeps fewer frames in its cache. */
void frame_cache_size(void);
