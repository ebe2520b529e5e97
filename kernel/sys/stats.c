/*
 * stats.c: the frame table as user space sees it; see stats.h.
 */
#include "kernel/sys/stats.h"

/* --- one frame --- */

enum mg_frame_state stats_frame_state(pfn_t pfn)
{
    static const u8 states[] = {
        [FRAME_KIND_ABSENT] = MG_FRAME_ABSENT, [FRAME_KIND_RESERVED] = MG_FRAME_RESERVED,
        [FRAME_KIND_FREE] = MG_FRAME_FREE,     [FRAME_KIND_KERNEL] = MG_FRAME_KERNEL,
        [FRAME_KIND_SLAB] = MG_FRAME_SLAB,     [FRAME_KIND_PAGETABLE] = MG_FRAME_PAGETABLE,
        [FRAME_KIND_ANON] = MG_FRAME_PRIVATE,  [FRAME_KIND_OBJECT] = MG_FRAME_SHARED,
        [FRAME_KIND_ZERO] = MG_FRAME_ZERO,     [FRAME_KIND_MERGED] = MG_FRAME_MERGED,
    };

    if (!pfn_valid(pfn))
        return MG_FRAME_ABSENT;
    const struct frame *frame = pfn_frame(pfn);
    u32 flags = atomic_load_explicit(&frame->flags, memory_order_relaxed);
    u32 kind = flags & FRAME_KIND_MASK;

    if (kind == FRAME_KIND_ANON && __atomic_load_n(&frame->pins, __ATOMIC_RELAXED))
        return MG_FRAME_PINNED;
    if (flags & FRAME_SWAPCACHE)
        return MG_FRAME_SWAPCACHE;
    return kind < sizeof(states) ? states[kind] : MG_FRAME_RESERVED;
}

/* Bits of /proc/kpageflags. */
enum {
    KPF_LOCKED = 0,
    KPF_REFERENCED = 2,
    KPF_DIRTY = 4,
    KPF_ACTIVE = 6,
    KPF_SLAB = 7,
    KPF_WRITEBACK = 8,
    KPF_BUDDY = 10,
    KPF_MMAP = 11,
    KPF_ANON = 12,
    KPF_SWAPCACHE = 13,
    KPF_SWAPBACKED = 14,
    KPF_NOPAGE = 20,
    KPF_KSM = 21,
    KPF_ZERO_PAGE = 24,
    KPF_PGTABLE = 26,
};

static u64 kind_flags(u32 kind)
{
    switch (kind) {
    case FRAME_KIND_FREE: return BIT(KPF_BUDDY);
    case FRAME_KIND_PAGETABLE: return BIT(KPF_PGTABLE);
    case FRAME_KIND_SLAB: return BIT(KPF_SLAB);
    case FRAME_KIND_ANON: return BIT(KPF_ANON) | BIT(KPF_SWAPBACKED);
    case FRAME_KIND_OBJECT: return BIT(KPF_SWAPBACKED);
    case FRAME_KIND_ZERO: return BIT(KPF_ZERO_PAGE);
    case FRAME_KIND_MERGED: return BIT(KPF_ANON) | BIT(KPF_KSM) | BIT(KPF_SWAPBACKED);
    default: return 0;
    }
}

u64 stats_frame_flags(pfn_t pfn)
{
    static const struct {
        u32 ours, bit;
    } names[] = {
        {FRAME_LOCKED, KPF_LOCKED},       {FRAME_REFERENCED, KPF_REFERENCED},
        {FRAME_DIRTY, KPF_DIRTY},         {FRAME_ACTIVE, KPF_ACTIVE},
        {FRAME_WRITEBACK, KPF_WRITEBACK}, {FRAME_SWAPCACHE, KPF_SWAPCACHE},
    };

    if (!pfn_valid(pfn))
        return BIT(KPF_NOPAGE);
    u32 flags = atomic_load_explicit(&pfn_frame(pfn)->flags, memory_order_relaxed);
    u64 result = kind_flags(flags & FRAME_KIND_MASK);

    for (u32 i = 0; i < ARRAY_LEN(names); i++)
        if (flags & names[i].ours)
            result |= BIT(names[i].bit);
    return stats_frame_maps(pfn) ? result | BIT(KPF_MMAP) : result;
}

u64 stats_frame_maps(pfn_t pfn)
{
    /* In a slab the count is of objects. */
    if (!pfn_valid(pfn) || frame_kind(pfn_frame(pfn)) == FRAME_KIND_SLAB)
        return 0;
    return atomic_load_explicit(&pfn_frame(pfn)->maps, memory_order_relaxed);
}

/* --- all of them --- */

void stats_memory(struct mg_memory_stats *memory)
{
    *memory = (struct mg_memory_stats){
        .total = frames_total(),
        .free = frames_free(),
        .kernel = frames_of_kind(FRAME_KIND_KERNEL),
        .tables = frames_of_kind(FRAME_KIND_PAGETABLE),
        .slab = frames_of_kind(FRAME_KIND_SLAB),
        .anonymous = frames_of_kind(FRAME_KIND_ANON),
        .objects = frames_of_kind(FRAME_KIND_OBJECT),
        .merged = frames_of_kind(FRAME_KIND_MERGED),
        .frames_end = frame_table_end,
        .nodes = node_count,
        .cpus = cpu_count,
    };
}
