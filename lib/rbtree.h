/*
 * Intrusive red-black tree. The caller embeds a `struct rb_node`, descends by its own order, and
 * hangs the new node on the link it ended at:
 *
 *     struct rb_node **link = &root->node, *parent = NULL;
 *     while (*link) {
 *         parent = *link;
 *         link = key < key_of(parent) ? &parent->left : &parent->right;
 *     }
 *     rb_link(node, parent, link);
 *     rb_insert_fixup(root, node);
 *
 * rb_insert does the same with an order given as a function. Callers bring their lock.
 */
#pragma once

#include "lib/types.h"

struct rb_node {
    u64 parent_colour; /* the parent's address; bit 0 is set when this node is black */
    struct rb_node *left, *right;
};

struct rb_root {
    struct rb_node *node;
};

#define RB_ROOT_INIT { NULL }

#define rb_entry(node, type, member) container_of(node, type, member)
#define rb_entry_or_null(node, type, member)                                                     \
    ({                                                                                           \
        struct rb_node *rb_entry_node = (node);                                                  \
        rb_entry_node ? rb_entry(rb_entry_node, type, member) : NULL;                            \
    })

/* Visits each node in order; the tree must not change meanwhile. */
#define rb_for_each(node, root)                                                                  \
    for (struct rb_node *node = rb_first(root); node; node = rb_next(node))

static inline void rb_init(struct rb_root *root)
{
    root->node = NULL;
}

static inline struct rb_node *rb_parent(const struct rb_node *node)
{
    return (struct rb_node *)(node->parent_colour & ~1ul);
}

/* Hangs node, as a red leaf, on `link`, which is a child link of parent or the root's. */
static inline void rb_link(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
    node->parent_colour = (u64)parent;
    node->left = NULL;
    node->right = NULL;
    *link = node;
}

/* Rebalances after rb_link. */
void rb_insert_fixup(struct rb_root *root, struct rb_node *node);

/* Takes node, which must be in the tree, out of it. */
void rb_remove(struct rb_root *root, struct rb_node *node);

/* Puts `new` in the place of `old`; the two must be equal in the tree's order. */
void rb_replace(struct rb_root *root, struct rb_node *old, struct rb_node *new);

/* The ends, and the neighbours in order; NULL where there is none. */
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

/*
 * Does the tree keep its rules: parents and children agree, no red node has a red child, every
 * path has the same number of black nodes? For tests and auditors; recurses to the tree's depth.
 */
bool rb_check(const struct rb_root *root);

/* Inserts node behind its equals; `less(a, b)` is the order. */
static inline void rb_insert(struct rb_root *root, struct rb_node *node,
                             bool (*less)(const struct rb_node *, const struct rb_node *))
{
    struct rb_node **link = &root->node, *parent = NULL;

    while (*link) {
        parent = *link;
        link = less(node, parent) ? &parent->left : &parent->right;
    }
    rb_link(node, parent, link);
    rb_insert_fixup(root, node);
}
