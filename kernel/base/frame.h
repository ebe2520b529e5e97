/*
 * frame.h: physical memory, one `struct frame` for each 4 KiB.
 *
 *   pfn_t                number of a physical page
 *   frame_table[pfn]     its struct frame: one array by address, each node's part on that node
 *   frame_page(frame)    the content, through the direct map
 *
 * The count rule: references = mappings + 1 if an object has the frame + 1 if the swap cache has it
 * + pins + transient holders. `refs` at 0 means free, or frozen by whoever took it there by
 * compare-and-swap (frame_freeze). A reference may be taken from nothing only by
 * frame_get_unless_zero.
 *
 * Identity (kind, owner, index) changes only while nobody else can reach the frame: it is fresh, it
 * is frozen, or its last reference is going.
 */
#pragma once

#include "kernel/base/cpu.h"
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
} pa_t; /* physical address */

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

/* What a frame is used for, and what its owner and index mean. */
enum frame_kind {
    FRAME_KIND_ABSENT,    /* no memory there */
    FRAME_KIND_RESERVED,  /* firmware, kernel image */
    FRAME_KIND_FREE,      /* in the buddy allocator or a CPU's cache */
    FRAME_KIND_KERNEL,    /* whatever the kernel has allocated it for */
    FRAME_KIND_PAGETABLE, /* a user table's owner: struct pagetable */
    FRAME_KIND_SLAB,      /* owner: struct slab_cache */
    FRAME_KIND_ANON,      /* owner: struct lineage; index: page index */
    FRAME_KIND_OBJECT,    /* owner: struct object; index: page in the object */
    FRAME_KIND_ZERO,      /* the shared zero page: mapped without counting */
    FRAME_KIND_MERGED,    /* owner: struct ksm_node */
};

/* frame->flags: the kind in the low 4 bits, then these. */
#define FRAME_KIND_MASK 0xfu
#define FRAME_LOCKED (1u << 4)
#define FRAME_DIRTY (1u << 5)      /* the content is newer than any copy on swap */
#define FRAME_REFERENCED (1u << 6) /* the clock's second chance */
#define FRAME_ACTIVE (1u << 7)
#define FRAME_ON_LIST (1u << 8) /* in a list: a buddy's, as the first frame of a free block */
#define FRAME_SWAPCACHE (1u << 9)
#define FRAME_WRITEBACK (1u << 10)
#define FRAME_ORDER_SHIFT 24 /* order of a free block */
#define FRAME_ORDER_MASK (0xfu << FRAME_ORDER_SHIFT)
#define FRAME_NODE_SHIFT 28 /* NUMA node */
#define FRAME_NODE_MASK (0xfu << FRAME_NODE_SHIFT)

#define NODE_MAX 16 /* NUMA nodes */

struct frame {
    _Atomic u32 refs;
    _Atomic u32 maps; /* PTEs that map it */
    _Atomic u32 flags;
    u32 pins; /* atomic; how many of refs are pins for I/O */
    void *owner;
    u64 index;
    u32 next, prev; /* frame numbers, 0 = none: in a buddy's list, or a slab cache's */
    u32 swap_slot;
    u32 audit;      /* what the auditor has counted: kernel/mm/audit.c */
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
/* Counts n frames more of the kind. One instruction, as for an event: counter.h. */
static inline void frame_count_kind(enum frame_kind kind, s64 n)
{
    __asm__ volatile("addq %0, %%gs:%a1(,%2,8)"
                     :
                     : "er"(n), "i"(offsetof(struct cpu, kinds)), "r"((u64)kind)
                     : "memory", "cc");
}
/* How many frames are of a kind that is handed out (kernel and later); off by what other CPUs are
 * about to count. */
u64 frames_of_kind(enum frame_kind kind);

/* --- allocation (frame_alloc.c) --- */

/* Flags for frame_alloc. */
enum {
    ALLOC_ZERO = 1,      /* content zeroed */
    ALLOC_RESERVE = 2,   /* below the minimum watermark too: for those who free memory by it */
    ALLOC_NODE_ONLY = 4, /* no fallback to other nodes */
};
#define NODE_ANY (~0u)

/* 2^order contiguous frames (order <= 10) of `node` (NODE_ANY: this CPU's), or of the nearest with
 * room. The first has refs 1, all are of kind KERNEL with maps 0. NULL = no memory. Never
 * sleeps. */
struct frame *frame_alloc(u32 order, u32 flags, u32 node);
/* Gives a block back whose refs have fallen to 0; `order` as allocated. */
void frame_free(struct frame *frame, u32 order);
/* Many frames of order 0, all with refs at 0. */
void frame_free_many(struct frame **frames, usize count);

/* --- references (frame.c) --- */

static inline void frame_get(struct frame *frame)
{
    atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
}
bool frame_get_unless_zero(struct frame *frame);
/* Drops a reference to a frame of order 0; the last one frees it, after frame_release_hook. */
void frame_put(struct frame *frame);
/* Takes refs from `expected` to 0: nobody can get a reference until frame_unfreeze. False: it is
 * another number. */
bool frame_freeze(struct frame *frame, u32 expected);
void frame_unfreeze(struct frame *frame, u32 refs);

/* Called by frame_put when the last reference goes: floor 5 drops what the owner holds. */
extern void (*frame_release_hook)(struct frame *frame);
/* Called when free memory of a node falls below its low watermark; must not allocate or sleep. */
extern void (*frame_low_hook)(u32 node);

/* A spinlock, in flags. Of a page-table frame it guards the entries. */
void frame_lock(struct frame *frame);
void frame_unlock(struct frame *frame);

extern struct frame *zero_frame; /* the shared zero page */

/* --- figures --- */

struct node_stats {
    u64 total, free;
    u64 watermark_min, watermark_low, watermark_high;
};
extern u32 node_count;
void frame_node_stats(u32 node, struct node_stats *stats);
/* Free pages of all nodes, CPUs' caches included; approximate while others allocate. */
u64 frames_free(void);
u64 frames_total(void); /* pages of usable memory */

/* --- start-up --- */

/* Builds frame_table, its pages mapped by the function given, from what early.h knows of memory,
 * and hands everything that is still free to the allocator. */
void frame_init(void (*map_page)(u64 virt, pa_t pa));
/* Once all CPUs run: where many share little memory, each keeps fewer frames in its cache. */
void frame_cache_size(void);
