/*
 * A sparse map from a 64-bit index to a pointer: a radix tree with 64 links per node, no deeper
 * than its greatest index needs. Dense ranges of indices, as the pages of a file are, cost little
 * more than one pointer each. Nodes come from callbacks; values belong to the caller. Callers
 * bring their lock: readers may share it, radix_set and radix_remove need it alone.
 */
#pragma once

#include "lib/types.h"

struct radix_node {
    u64 used; /* bit i: link[i] is not NULL */
    void *link[64];
};

struct radix_memory {
    void *(*alloc)(void *context); /* memory for a struct radix_node, of any content, or NULL */
    void (*free)(void *context, void *node);
    void *context;
};

struct radix {
    void *root;          /* a node, or at height 0 the value at index 0 */
    unsigned int height; /* levels of nodes: indices below 64^height have a place */
    const struct radix_memory *memory;
};

/* An empty map; `memory` must outlive it. */
void radix_init(struct radix *radix, const struct radix_memory *memory);

/* The value at an index, or NULL. */
void *radix_get(const struct radix *radix, u64 index);

/* Sets the value, not NULL, at an index; false, with the map as it was, if there is no memory. */
nodiscard bool radix_set(struct radix *radix, u64 index, void *value);

/* Removes and returns the value at an index, or NULL; frees nodes that became empty. */
void *radix_remove(struct radix *radix, u64 index);

/*
 * The first value at or after *index, with its index stored there; NULL, with *index unchanged, if
 * there is none. To go on, add 1 to *index, and end if that gives 0.
 */
void *radix_next(const struct radix *radix, u64 *index);

/* Frees every node; the map is empty then. */
void radix_clear(struct radix *radix);

static inline bool radix_empty(const struct radix *radix)
{
    return !radix->root;
}

/* Visits the values at indices first to last; the body may remove the one it is at. */
#define radix_for_each(value, index, radix, first, last)                                         \
    for (u64 index = (first), index##_more = 1;                                                  \
         index##_more && (value = radix_next(radix, &index)) && index <= (last);                 \
         index##_more = ++index != 0)
