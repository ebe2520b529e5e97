/*
 * rmap.h: from a frame to the PTEs that map it, by lineage.
 *
 * fork makes a child's node below its parent's. An anonymous frame records the node of the space
 * that first touched it and its page index; it can be mapped only in that node's subtree, at the
 * addresses whose VMA holds that index. A node outlives its mm while it has children or owns
 * frames, so a frame's owner is always valid.
 *
 * One lock for each tree guards its shape and node->mm. A walk holds it, and takes each mm->lock by
 * trylock for reading: if one is busy the walk is incomplete and says so; whoever asked must then
 * not act on it.
 */
#pragma once

#include "kernel/base/lock.h"
#include "kernel/mm/mm.h"
#include "lib/list.h"

struct lineage_tree {
    struct spinlock lock; /* LOCK_LINEAGE; guards the shape of the tree and mm of each node */
    u64 nodes;
};

struct lineage {
    _Atomic u64 refs; /* mm (1), each child (1), each frame owned (1) */
    struct lineage_tree *tree;
    struct lineage *parent;
    struct list children, sibling;
    struct mm *mm; /* NULL once the space is gone */
};

/* NULL = no memory. */
struct lineage *lineage_create_root(struct mm *mm);
/* Before the child's space is filled; takes the tree lock. NULL = no memory. */
struct lineage *lineage_create_child(struct lineage *parent, struct mm *mm);
/* The space ends: node->mm = NULL. Its reference stays to be put. */
void lineage_detach(struct lineage *node);
static inline void lineage_get(struct lineage *node)
{
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
}
/* May take the tree lock: no lock of rank LOCK_LINEAGE or above is held. */
void lineage_put_many(struct lineage *node, u64 count);
static inline void lineage_put(struct lineage *node)
{
    lineage_put_many(node, 1);
}

enum rmap_result { RMAP_DONE, RMAP_STOPPED, RMAP_BUSY };
struct rmap_slot {
    struct mm *mm;
    struct vma *vma;
    va_t va;
    pte_t *slot; /* its table lock is held during the visit */
};
typedef bool (*rmap_visit)(struct rmap_slot *at, void *context);
/* Visits every PTE that maps frame (present or protnone). visit returns false to stop. The caller
 * holds a reference, so that the frame keeps its identity, and no spinlock of rank LOCK_LINEAGE or
 * above. */
enum rmap_result rmap_walk(struct frame *frame, rmap_visit visit, void *context);
/* The same from a given node and index, for frames that have lost theirs (merged). */
enum rmap_result rmap_walk_index(struct lineage *node, u64 index, struct frame *frame,
                                 rmap_visit visit, void *context);
