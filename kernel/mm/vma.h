/*
 * vma.h: a VMA: a range of a space that is alike: rights, flags, and what is behind it.
 *
 * All of it is guarded by mm->lock. The range and offset of one that maps an object change under
 * object->lock as well, so that truncation sees them without mm->lock.
 */
#pragma once

#include "kernel/base/frame.h"
#include "lib/list.h"
#include "lib/rbtree.h"
#include "lib/types.h"

struct mm;
struct object;

/* vma->flags */
enum {
    VMA_SHARED = 1 << 0,    /* MAP_SHARED */
    VMA_GROWSDOWN = 1 << 1, /* a fault right below extends it */
    VMA_LOCKED = 1 << 2,    /* mlock */
    VMA_LOCKONFAULT = 1 << 3,
    VMA_MERGEABLE = 1 << 4,
    VMA_PHYSICAL = 1 << 5, /* its object is a physical range: frames are not counted */
    VMA_DONTFORK = 1 << 6,
    VMA_WIPEONFORK = 1 << 7,
    VMA_NORESERVE = 1 << 8,
    VMA_DONTDUMP = 1 << 9,
    VMA_SEQUENTIAL = 1 << 10,
    VMA_RANDOM = 1 << 11,
    VMA_MOVED = 1 << 12, /* private, and pgoff is not start / PAGE_SIZE: on mm->moved */
};

struct vma {
    struct rb_node node; /* in mm->vmas, by start */
    va_t start, end;
    struct mm *mm;
    u32 prot;                /* PROT_* */
    u32 max_prot;            /* what mprotect may grant */
    u32 flags;               /* VMA_* */
    u64 pgoff;               /* index of start: start / PAGE_SIZE when made, kept by mremap */
    struct object *object;   /* NULL = anonymous private; a reference */
    u64 offset;              /* page in the object at start */
    struct list object_link; /* in object->vmas, guarded by object->lock */
    struct list moved_link;  /* in mm->moved if VMA_MOVED */
};

static inline u64 vma_pages(const struct vma *vma)
{
    return (vma->end - vma->start) >> PAGE_SHIFT;
}
/* The index of a page, by which the rmap finds it: rmap.h. */
static inline u64 vma_index(const struct vma *vma, va_t va)
{
    return vma->pgoff + ((va - vma->start) >> PAGE_SHIFT);
}
/* Page in the object. */
static inline u64 vma_object_page(const struct vma *vma, va_t va)
{
    return vma->offset + ((va - vma->start) >> PAGE_SHIFT);
}
/* An anonymous private page may appear in it: what fork copies and the scanner visits. */
static inline bool vma_is_private(const struct vma *vma)
{
    return !(vma->flags & (VMA_SHARED | VMA_PHYSICAL));
}

/* --- looking (vma.c) --- */

struct vma *vma_find(struct mm *mm, va_t va); /* the first that ends above va, or NULL */
struct vma *vma_at(struct mm *mm, va_t va);   /* the one that contains va, or NULL */
struct vma *vma_next(const struct vma *vma);
struct vma *vma_prev(const struct vma *vma);
/* Every VMA whose pages include the index: call with NULL, then with the last one found. */
struct vma *vma_find_index(struct mm *mm, u64 index, va_t *va, struct vma *after);
/* A free range of len bytes, the highest below the mmap ceiling, or at hint if that is free; 0 =
 * none. Remembers where it looked: mm->lock for writing. */
va_t vma_find_gap(struct mm *mm, u64 len, va_t hint);

/* --- changing (vma.c): mm->lock is held for writing --- */

/* Not in the space yet: to be filled in and inserted, or given to vma_free. NULL = no memory, or
 * too many. */
struct vma *vma_create(struct mm *mm, va_t start, va_t end);
void vma_free(struct vma *vma);
/* The same, with everything but the range copied from another. */
struct vma *vma_copy(struct mm *mm, const struct vma *vma, va_t start, va_t end);
/* Into the tree, the object's list (which takes a reference) and the space's figures. The range is
 * free. */
void vma_insert(struct vma *vma);
void vma_remove(struct vma *vma); /* out of all that, and freed */
/* Splits so that a boundary is at va, if that lies inside: 0 or -ENOMEM. */
s64 vma_split(struct vma *vma, va_t va);
/* Merges with neighbours where everything fits; returns the VMA that remains. */
struct vma *vma_merge_neighbours(struct vma *vma);
/* Moves a boundary outwards or inwards; what was mapped there is the caller's business. */
void vma_resize(struct vma *vma, va_t start, va_t end);
void vma_set(struct vma *vma, u32 prot, u32 flags);
