/*
 * release.h: frames on their way back to the allocator.
 */
#pragma once

#include "kernel/base/frame.h"

/* frame_release_hook: the last reference is gone; drops what the frame's identity holds. Takes
 * locks of rank LOCK_LINEAGE and LOCK_KSM. */
void frame_released(struct frame *frame);
/* frame_put for many; the array is used up. */
void frames_put_many(struct frame **frames, u32 count);
