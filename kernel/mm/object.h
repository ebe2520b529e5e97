/*
 * object.h: memory objects: sparse arrays of frames, named by handle, mapped shared or private
 * (copied on write).
 *
 * What the POSIX server's files, shared anonymous memory and device memory are. object->lock
 * (sleeping) guards the frames, the size and the list of VMAs; a fault takes it under mm->lock. A
 * physical range has no frames of its own: the address is base + offset.
 */
#pragma once

#include "kernel/base/frame.h"
#include "kernel/task/sync.h"
#include "lib/list.h"
#include "lib/radix.h"
#include "lib/types.h"
#include <merganser/abi.h>

struct vma;

struct object {
    _Atomic u32 refs;
    struct mutex lock;    /* guards all but refs, all_link and what never changes */
    u64 bytes;            /* size; pages beyond it fault with MG_FAULT_BUS */
    struct radix frames;  /* page -> struct frame, one reference each */
    u64 resident;
    struct list vmas;     /* vma->object_link; each holds a reference */
    struct list all_link; /* in the list of all objects (object.c) */
    u64 cookie;           /* its creator's name for it, shown by vm_query */
    bool physical;
    pa_t base;
    u32 cache; /* MG_PHYS_* */
};

/* NULL = no memory. */
struct object *object_create(u64 bytes, u64 cookie);
struct object *object_create_physical(pa_t base, u64 bytes, u32 cache);
/* Frames already filled (a boot module) become the object's content; they are never freed to the
 * allocator. The rest of the last page is zeroed. */
struct object *object_create_boot(pa_t start, u64 bytes);
struct object *object_get(struct object *object);
void object_put(struct object *object); /* may sleep */
/* The frame of a page, made (zeroed) if absent and `create`; with a reference for the caller. NULL:
 * absent, beyond the end (then *beyond is set), or no memory. Takes object->lock. */
struct frame *object_frame(struct object *object, u64 page, bool create, bool *beyond);
/* Shrinking takes mappings beyond the new end away, private copies too, and zeroes the rest of the
 * last page. 0, or -EINVAL for a physical range. */
s64 object_resize(struct object *object, u64 bytes);
/* Drops pages [first, end): they read as zeros afterwards. Private copies stay. */
void object_punch(struct object *object, u64 first, u64 end);

/* With object->lock held, and no reference for the caller. */
struct frame *object_find(struct object *object, u64 page);
struct frame *object_find_or_create(struct object *object, u64 page, bool *beyond);

/* All objects, one after the other, each with a reference that the next call puts; NULL begins and
 * ends. */
struct object *object_next(struct object *after);
void object_init(void);
