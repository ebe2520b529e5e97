/*
 * frame_alloc.c: the frame allocator: a buddy system for each NUMA node behind a cache of single
 * frames for each CPU.
 *
 *   frame_alloc(0) ── this CPU's cache ── empty: CACHE_BATCH frames at once from the node's zone
 *   frame_alloc(n) ── the node's zone, then the others by distance
 *
 * A zone's lock guards its buddy; the rest of a zone is set at start-up. A CPU's cache is touched
 * only by that CPU, outside interrupts, and kernel code is not preempted, so it needs no lock;
 * hence nothing here may be called from an interrupt handler. Debug builds fill free frames with a
 * pattern and check it when they are handed out: a write after free is found at the next use of the
 * frame.
 */
#include "arch/x86_64/arch.h"
#include "kernel/base/buddy.h"
#include "kernel/base/counter.h"
#include "kernel/base/early.h"
#include "kernel/base/log.h"
#include "lib/page.h"

#define CACHE_BATCH 32
#define CHUNK_FRAMES 1024ul    /* largest buddy block; the frame table exists for whole chunks */
#define CHUNKS_MAX (1ul << 18) /* 1 TiB of physical addresses */
#define FREE_PATTERN 0xfee1deadfee1deadul

struct zone {
    struct spinlock lock; /* guards buddy */
    struct buddy buddy;
    u64 total;
    u64 watermark_min; /* free frames that only ALLOC_RESERVE may take */
    u64 watermark_low, watermark_high;
    u32 fallback[NODE_MAX]; /* all nodes, nearest first */
};

static struct zone zones[NODE_MAX];
static u64 chunk_present[CHUNKS_MAX / 64];
static u32 cache_limit = CPU_FRAME_CACHE; /* frames a CPU may keep */

bool pfn_valid(pfn_t pfn)
{
    u64 chunk = pfn.raw / CHUNK_FRAMES;

    return chunk < CHUNKS_MAX && (chunk_present[chunk / 64] >> (chunk % 64) & 1) &&
           frame_kind(pfn_frame(pfn)) != FRAME_KIND_ABSENT;
}

/* --- poison, in debug builds --- */

#ifdef MG_DEBUG
static void poison_fill(struct frame *frame)
{
    u64 *words = frame_page(frame);

    for (u32 i = 0; i < PAGE_SIZE / 8; i++)
        words[i] = FREE_PATTERN;
}

static void poison_check(struct frame *frame)
{
    const u64 *words = frame_page(frame);

    for (u32 i = 0; i < PAGE_SIZE / 8; i++)
        if (words[i] != FREE_PATTERN)
            panic("frame %#lx was written after it was freed: byte %u holds %#lx",
                  frame_pfn(frame).raw, i * 8, words[i]);
}
#else
static void poison_fill(struct frame *frame)
{
    (void)frame;
}
static void poison_check(struct frame *frame)
{
    (void)frame;
}
#endif

/* --- handing out and taking back --- */

static struct frame *frame_hand_out(u32 pfn, u32 order, u32 flags)
{
    struct frame *frame = &frame_table[pfn];

    for (u32 i = 0; i < 1u << order; i++) {
        struct frame *f = frame + i;
        u32 node_bits = atomic_load_explicit(&f->flags, memory_order_relaxed) & FRAME_NODE_MASK;

        debug_assert(frame_kind(f) == FRAME_KIND_FREE);
        poison_check(f);
        atomic_store_explicit(&f->flags, node_bits | FRAME_KIND_KERNEL, memory_order_relaxed);
        f->owner = NULL;
        if (flags & ALLOC_ZERO)
            page_zero(frame_page(f));
    }
    atomic_store_explicit(&frame->refs, 1, memory_order_relaxed);
    frame_count_kind(FRAME_KIND_KERNEL, 1l << order);
    count_add(COUNT_pgalloc, 1ul << order);
    return frame;
}

static void frame_take_back(struct frame *frame, u32 order)
{
    for (u32 i = 0; i < 1u << order; i++) {
        struct frame *f = frame + i;
        u32 old = atomic_load_explicit(&f->flags, memory_order_relaxed);

        if (unlikely((old & FRAME_KIND_MASK) <= FRAME_KIND_FREE))
            panic("frame %#lx is freed, but it is of kind %u already", frame_pfn(f).raw,
                  old & FRAME_KIND_MASK);
        debug_assert(atomic_load_explicit(&f->refs, memory_order_relaxed) == 0 || order != 0);
        debug_assert(atomic_load_explicit(&f->maps, memory_order_relaxed) == 0);
        debug_assert(!(old & FRAME_LOCKED));
        atomic_store_explicit(&f->refs, 0, memory_order_relaxed);
        atomic_store_explicit(&f->flags, (old & FRAME_NODE_MASK) | FRAME_KIND_FREE,
                              memory_order_relaxed);
        frame_count_kind(old & FRAME_KIND_MASK, -1);
        poison_fill(f);
    }
    count_add(COUNT_pgfree, 1ul << order);
}

static bool zone_allows(const struct zone *zone, u32 order, u32 flags)
{
    u64 left = (flags & ALLOC_RESERVE) ? 0 : zone->watermark_min;

    return zone->buddy.free >= left + (1ul << order);
}

static u32 zone_alloc(struct zone *zone, u32 order, u32 flags)
{
    u32 pfn = 0;

    spin_lock(&zone->lock);
    if (zone_allows(zone, order, flags))
        pfn = buddy_alloc(&zone->buddy, order);
    u64 left = zone->buddy.free;
    spin_unlock(&zone->lock);
    if (left < zone->watermark_low && frame_low_hook)
        frame_low_hook(zone->buddy.node);
    return pfn;
}

static u32 zones_alloc(u32 order, u32 flags, u32 node)
{
    const struct zone *first = &zones[node];
    u32 tries = (flags & ALLOC_NODE_ONLY) ? 1 : node_count;

    for (u32 i = 0; i < tries; i++) {
        u32 pfn = zone_alloc(&zones[first->fallback[i]], order, flags);

        if (pfn)
            return pfn;
    }
    count(COUNT_alloc_fail);
    return 0;
}

/* Fills this CPU's cache from its own node; false when the node has nothing to give. */
static bool cache_refill(struct cpu *cpu)
{
    struct zone *zone = &zones[cpu->node];
    u32 want = MIN((u32)CACHE_BATCH, cache_limit);

    spin_lock(&zone->lock);
    while (cpu->frames.count < want && zone_allows(zone, 0, 0))
        cpu->frames.frame[cpu->frames.count++] = buddy_alloc(&zone->buddy, 0);
    u64 left = zone->buddy.free;
    spin_unlock(&zone->lock);
    if (left < zone->watermark_low && frame_low_hook)
        frame_low_hook(cpu->node);
    return cpu->frames.count != 0;
}

struct frame *frame_alloc(u32 order, u32 flags, u32 node)
{
    struct cpu *cpu = this_cpu();
    u32 pfn;

    if (node == NODE_ANY)
        node = cpu->node;
    if (order == 0 && node == cpu->node && (cpu->frames.count != 0 || cache_refill(cpu)))
        pfn = cpu->frames.frame[--cpu->frames.count];
    else
        pfn = zones_alloc(order, flags, node);
    return pfn ? frame_hand_out(pfn, order, flags) : NULL;
}

/* Returns all but `keep` of this CPU's cached frames to their zone. */
static void cache_drain(struct cpu *cpu, u32 keep)
{
    struct zone *zone = &zones[cpu->node];

    spin_lock(&zone->lock);
    while (cpu->frames.count > keep)
        buddy_free(&zone->buddy, cpu->frames.frame[--cpu->frames.count], 0);
    spin_unlock(&zone->lock);
}

static void zone_give(struct frame *frame, u32 order)
{
    struct zone *zone = &zones[frame_node(frame)];

    spin_lock(&zone->lock);
    buddy_free(&zone->buddy, (u32)frame_pfn(frame).raw, order);
    spin_unlock(&zone->lock);
}

static void frame_give_one(struct cpu *cpu, struct frame *frame)
{
    frame_take_back(frame, 0);
    if (frame_node(frame) != cpu->node) {
        zone_give(frame, 0);
        return;
    }
    if (cpu->frames.count >= cache_limit)
        cache_drain(cpu, cache_limit / 2);
    cpu->frames.frame[cpu->frames.count++] = (u32)frame_pfn(frame).raw;
}

void frame_free(struct frame *frame, u32 order)
{
    if (order == 0) {
        frame_give_one(this_cpu(), frame);
        return;
    }
    frame_take_back(frame, order);
    zone_give(frame, order);
}

void frame_free_many(struct frame **frames, usize count)
{
    struct cpu *cpu = this_cpu();

    for (usize i = 0; i < count; i++)
        frame_give_one(cpu, frames[i]);
}

/* --- figures --- */

void frame_node_stats(u32 node, struct node_stats *stats)
{
    struct zone *zone = &zones[node];

    spin_lock(&zone->lock);
    *stats = (struct node_stats){.total = zone->total,
                                 .free = zone->buddy.free,
                                 .watermark_min = zone->watermark_min,
                                 .watermark_low = zone->watermark_low,
                                 .watermark_high = zone->watermark_high};
    spin_unlock(&zone->lock);
}

u64 frames_free(void)
{
    u64 sum = 0;

    for (u32 node = 0; node < node_count; node++)
        sum += zones[node].buddy.free;
    for (u32 id = 0; id < cpu_count; id++)
        sum += cpus[id]->frames.count;
    return sum;
}

u64 frames_total(void)
{
    u64 sum = 0;

    for (u32 node = 0; node < node_count; node++)
        sum += zones[node].total;
    return sum;
}

/* --- start-up --- */

/* Makes the frame table exist for one chunk, in memory of the chunk's node. */
static void chunk_map(u64 chunk, u32 node, void (*map_page)(u64 virt, pa_t pa))
{
    u64 table = FRAME_TABLE_BASE + chunk * CHUNK_FRAMES * sizeof(struct frame);
    u64 bytes = CHUNK_FRAMES * sizeof(struct frame);

    if (chunk >= CHUNKS_MAX)
        panic("memory beyond %lu GiB is not supported",
              CHUNKS_MAX * CHUNK_FRAMES * PAGE_SIZE >> 30);
    if (chunk_present[chunk / 64] >> (chunk % 64) & 1)
        return;
    for (u64 offset = 0; offset < bytes; offset += PAGE_SIZE)
        map_page(table + offset, early_alloc_page(node));
    chunk_present[chunk / 64] |= 1ul << (chunk % 64);
}
static_assert(CHUNK_FRAMES * sizeof(struct frame) % PAGE_SIZE == 0,
              "a chunk's part of the frame table is whole pages");

static void range_mark(const struct memory_range *range, enum frame_kind kind)
{
    for (u64 pfn = range->start >> PAGE_SHIFT; pfn < range->end >> PAGE_SHIFT; pfn++)
        atomic_store_explicit(&frame_table[pfn].flags, kind | range->node << FRAME_NODE_SHIFT,
                              memory_order_relaxed);
}

/* Gives a free range to its zone in the largest aligned blocks. */
static void range_release(const struct memory_range *range)
{
    struct zone *zone = &zones[range->node];
    u64 pfn = range->start >> PAGE_SHIFT, end = range->end >> PAGE_SHIFT;

    while (pfn < end) {
        u32 order = 0;

        while (order < BUDDY_ORDERS - 1 && IS_ALIGNED(pfn, 2ul << order) &&
               pfn + (2ul << order) <= end)
            order++;
        for (u64 i = 0; i < 1ul << order; i++)
            poison_fill(&frame_table[pfn + i]);
        buddy_free(&zone->buddy, (u32)pfn, order);
        pfn += 1ul << order;
    }
}

static void zone_set_fallback(u32 node)
{
    struct zone *zone = &zones[node];

    for (u32 i = 0; i < node_count; i++) {
        u32 at = i;

        while (at > 0 && numa_distances.distance[node][zone->fallback[at - 1]] >
                             numa_distances.distance[node][i]) {
            zone->fallback[at] = zone->fallback[at - 1];
            at--;
        }
        zone->fallback[at] = i;
    }
}

static void zone_set_watermarks(struct zone *zone)
{
    zone->watermark_min = zone->total / 256;
    zone->watermark_low = zone->watermark_min * 5 / 4;
    zone->watermark_high = zone->watermark_min * 3 / 2;
}

void frame_cache_size(void)
{
    u64 share = frames_total() / (64 * cpu_count);

    cache_limit = (u32)MIN(MAX(share, 4ul), (u64)CPU_FRAME_CACHE);
}

void frame_init(void (*map_page)(u64 virt, pa_t pa))
{
    for (u32 i = 0; i < early_memory.all_count; i++) {
        const struct memory_range *range = &early_memory.all[i];

        if (range->node >= NODE_MAX)
            panic("NUMA node %u: at most %d are supported", range->node, NODE_MAX);
        node_count = MAX(node_count, range->node + 1);
        frame_table_end = MAX(frame_table_end, range->end >> PAGE_SHIFT);
        for (u64 chunk = range->start / (CHUNK_FRAMES * PAGE_SIZE);
             chunk * CHUNK_FRAMES * PAGE_SIZE < range->end; chunk++)
            chunk_map(chunk, range->node, map_page);
    }
    for (u32 node = 0; node < node_count; node++) {
        spin_init(&zones[node].lock, "zone", LOCK_BUDDY);
        buddy_init(&zones[node].buddy, frame_table, node);
        zone_set_fallback(node);
    }
    for (u32 i = 0; i < early_memory.all_count; i++) {
        range_mark(&early_memory.all[i], FRAME_KIND_RESERVED);
        zones[early_memory.all[i].node].total +=
            (early_memory.all[i].end - early_memory.all[i].start) >> PAGE_SHIFT;
    }
    for (u32 i = 0; i < early_memory.free_count; i++) {
        range_mark(&early_memory.free[i], FRAME_KIND_FREE);
        range_release(&early_memory.free[i]);
    }
    for (u32 node = 0; node < node_count; node++)
        zone_set_watermarks(&zones[node]);

    zero_frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);
    frame_set_kind(zero_frame, FRAME_KIND_ZERO);
}
