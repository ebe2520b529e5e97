/*
 * early.c: a list of free ranges, cut from the front. Used by one CPU, while the kernel starts.
 */
#include "kernel/base/early.h"
#include "kernel/base/log.h"
#include "lib/string.h"

/* What is below belongs to firmware habits and the other CPUs' trampoline, not to tables. */
#define LOW_MEMORY_END 0x100000ul

struct early_memory early_memory;

static void range_append(u64 start, u64 end, u32 node)
{
    if (start >= end)
        return;
    if (early_memory.free_count == EARLY_RANGES)
        panic("the memory map has more than %d ranges", EARLY_RANGES);
    early_memory.free[early_memory.free_count++] = (struct memory_range){start, end, node};
}

void early_add_range(struct memory_range range)
{
    range.start = ALIGN_UP(range.start, PAGE_SIZE);
    range.end = ALIGN_DOWN(range.end, PAGE_SIZE);
    if (range.start == 0)
        range.start = PAGE_SIZE; /* frame number 0 means "none" */
    if (range.start >= range.end)
        return;
    range_append(range.start, range.end, range.node);
    if (early_memory.all_count == EARLY_RANGES)
        panic("the memory map has more than %d ranges", EARLY_RANGES);
    early_memory.all[early_memory.all_count++] = range;
}

void early_reserve(u64 start, u64 end)
{
    start = ALIGN_DOWN(start, PAGE_SIZE);
    end = ALIGN_UP(end, PAGE_SIZE);
    for (u32 i = 0; i < early_memory.free_count; i++) {
        struct memory_range *range = &early_memory.free[i];
        u64 old_end = range->end;

        if (end <= range->start || start >= range->end)
            continue;
        range->end = MAX(range->start, start);
        range_append(MAX(end, range->start), old_end, range->node);
    }
}

/* Takes an aligned piece out of one range; what alignment leaves in front stays free. */
static bool range_carve(struct memory_range *range, u64 bytes, u64 align, u64 *start)
{
    u64 floor = MAX(range->start, LOW_MEMORY_END);
    u64 at = ALIGN_UP(floor, align);

    if (at >= range->end || range->end - at < bytes)
        return false;
    u64 front_start = range->start;
    range->start = at + bytes;
    range_append(front_start, at, range->node);
    *start = at;
    return true;
}

pa_t early_alloc(u64 bytes, u64 align, u32 node)
{
    u64 start;

    bytes = ALIGN_UP(bytes, PAGE_SIZE);
    for (u32 pass = 0; pass < 2; pass++)
        for (u32 i = 0; i < early_memory.free_count; i++) {
            struct memory_range *range = &early_memory.free[i];

            if (pass == 0 && node != NODE_ANY && range->node != node)
                continue;
            if (!range_carve(range, bytes, MAX(align, PAGE_SIZE), &start))
                continue;
            memset(pa_virt((pa_t){start}), 0, bytes);
            return (pa_t){start};
        }
    panic("out of memory while starting: %lu bytes", bytes);
}

pa_t early_alloc_page(u32 node)
{
    return early_alloc(PAGE_SIZE, PAGE_SIZE, node);
}
