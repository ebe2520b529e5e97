/*
 * frame.c: references, freezing and the lock bit of a frame.
 *
 * Who takes the count to zero by frame_put owns the frame alone, and gives it back. Freezing takes
 * it there from an expected value by compare-and-swap, without giving the frame back: meanwhile
 * frame_get_unless_zero fails, so nobody can come to see the frame, and its identity may change.
 */
#include "kernel/base/frame.h"
#include "kernel/base/log.h"
#include "kernel/base/refs.h"

u64 frame_table_end;
u32 node_count;
struct frame *zero_frame;
void (*frame_release_hook)(struct frame *frame);
void (*frame_low_hook)(u32 node);

u64 frames_of_kind(enum frame_kind kind)
{
    s64 sum = 0;

    for (u32 id = 0; id < cpu_count; id++)
        sum += *(const volatile s64 *)&cpus[id]->kinds[kind];
    return (u64)MAX(sum, 0l);
}

void frame_set_kind(struct frame *frame, enum frame_kind kind)
{
    u32 old = atomic_load_explicit(&frame->flags, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(&frame->flags, &old,
                                                  (old & ~FRAME_KIND_MASK) | kind,
                                                  memory_order_release, memory_order_relaxed))
        continue;
    frame_count_kind(old & FRAME_KIND_MASK, -1);
    frame_count_kind(kind, 1);
}

bool frame_get_unless_zero(struct frame *frame)
{
    return refs_get_unless_zero(&frame->refs);
}

bool frame_freeze(struct frame *frame, u32 expected)
{
    return atomic_compare_exchange_strong_explicit(&frame->refs, &expected, 0, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

void frame_unfreeze(struct frame *frame, u32 refs)
{
    debug_assert(atomic_load_explicit(&frame->refs, memory_order_relaxed) == 0);
    atomic_store_explicit(&frame->refs, refs, memory_order_release);
}

void frame_put(struct frame *frame)
{
    u32 before = atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel);

    debug_assert(before != 0);
    if (before != 1)
        return;
    if (frame_release_hook)
        frame_release_hook(frame);
    frame_free(frame, 0);
}

void frame_lock(struct frame *frame)
{
    while (unlikely(atomic_fetch_or_explicit(&frame->flags, FRAME_LOCKED, memory_order_acquire) &
                    FRAME_LOCKED))
        while (atomic_load_explicit(&frame->flags, memory_order_relaxed) & FRAME_LOCKED)
            spin_wait();
    lock_check_acquire(frame, LOCK_PAGETABLE, "page table", true);
}

void frame_unlock(struct frame *frame)
{
    lock_check_release(frame, LOCK_PAGETABLE);
    debug_assert(atomic_load_explicit(&frame->flags, memory_order_relaxed) & FRAME_LOCKED);
    atomic_fetch_and_explicit(&frame->flags, ~FRAME_LOCKED, memory_order_release);
}
