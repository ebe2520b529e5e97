/*
 * release.c: frames on their way back to the allocator.
 *
 * A private frame holds a reference to its lineage node, a merged one is the body of a stable node.
 * Frames that are dropped together mostly belong to one space: their node is put once for a run.
 */
#include "kernel/mm/release.h"
#include "kernel/base/log.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/rmap.h"

void frame_released(struct frame *frame)
{
    debug_assert(atomic_load_explicit(&frame->maps, memory_order_relaxed) == 0);
    debug_assert(frame->pins == 0);
    switch (frame_kind(frame)) {
    case FRAME_KIND_ANON: lineage_put_many(frame->owner, 1); break;
    case FRAME_KIND_MERGED: ksm_frame_released(frame); break;
    default: break;
    }
}

/* Owners of private frames that were released one after the other. */
struct owner_run {
    struct lineage *owner;
    u64 count;
};

static void run_end(struct owner_run *run)
{
    if (run->count)
        lineage_put_many(run->owner, run->count);
    run->count = 0;
}

static void run_add(struct owner_run *run, struct lineage *owner)
{
    if (run->owner != owner)
        run_end(run);
    run->owner = owner;
    run->count++;
}

void frames_put_many(struct frame **frames, u32 count)
{
    struct owner_run run = {0};
    u32 freed = 0;

    for (u32 i = 0; i < count; i++) {
        struct frame *frame = frames[i];

        debug_assert(atomic_load_explicit(&frame->refs, memory_order_relaxed) != 0);
        if (atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) != 1)
            continue;
        if (likely(frame_kind(frame) == FRAME_KIND_ANON))
            run_add(&run, frame->owner);
        else
            frame_released(frame);
        frames[freed++] = frame;
    }
    run_end(&run);
    frame_free_many(frames, freed);
}
