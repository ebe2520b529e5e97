/*
 * buddy.c: splitting and uniting blocks of free frames. It touches only the frames it is given, so
 * the host's unit tests run it on an ordinary array.
 */
#include "kernel/base/buddy.h"

void buddy_init(struct buddy *buddy, struct frame *table, u32 node)
{
    *buddy = (struct buddy){.table = table, .node = node};
}

static void block_set(struct frame *frame, u32 order, bool listed)
{
    u32 flags = atomic_load_explicit(&frame->flags, memory_order_relaxed);

    flags &= ~(FRAME_ON_LIST | FRAME_ORDER_MASK);
    flags |= order << FRAME_ORDER_SHIFT | (listed ? FRAME_ON_LIST : 0);
    atomic_store_explicit(&frame->flags, flags, memory_order_relaxed);
}

static void list_push(struct buddy *buddy, u32 pfn, u32 order)
{
    struct frame *frame = &buddy->table[pfn];

    block_set(frame, order, true);
    frame->prev = 0;
    frame->next = buddy->head[order];
    if (frame->next)
        buddy->table[frame->next].prev = pfn;
    buddy->head[order] = pfn;
}

static void list_take(struct buddy *buddy, u32 pfn, u32 order)
{
    struct frame *frame = &buddy->table[pfn];

    if (frame->prev)
        buddy->table[frame->prev].next = frame->next;
    else
        buddy->head[order] = frame->next;
    if (frame->next)
        buddy->table[frame->next].prev = frame->prev;
    block_set(frame, 0, false);
}

u32 buddy_alloc(struct buddy *buddy, u32 order)
{
    u32 from = order;

    while (from < BUDDY_ORDERS && !buddy->head[from])
        from++;
    if (from == BUDDY_ORDERS)
        return 0;

    u32 pfn = buddy->head[from];
    list_take(buddy, pfn, from);
    while (from > order) {
        from--;
        list_push(buddy, pfn + (1u << from), from);
    }
    buddy->free -= 1ul << order;
    return pfn;
}

/* Whether a free block of exactly this order starts at pfn, on our lists. */
static bool block_is_free(const struct buddy *buddy, u32 pfn, u32 order)
{
    u32 flags = atomic_load_explicit(&buddy->table[pfn].flags, memory_order_relaxed);
    u32 want = FRAME_KIND_FREE | FRAME_ON_LIST | order << FRAME_ORDER_SHIFT |
               buddy->node << FRAME_NODE_SHIFT;
    u32 mask = FRAME_KIND_MASK | FRAME_ON_LIST | FRAME_ORDER_MASK | FRAME_NODE_MASK;

    return (flags & mask) == want;
}

void buddy_free(struct buddy *buddy, u32 pfn, u32 order)
{
    buddy->free += 1ul << order;
    while (order < BUDDY_ORDERS - 1) {
        u32 other = pfn ^ 1u << order;

        if (!block_is_free(buddy, other, order))
            break;
        list_take(buddy, other, order);
        pfn &= ~(1u << order);
        order++;
    }
    list_push(buddy, pfn, order);
}
