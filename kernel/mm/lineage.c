/*
 * lineage.c: the tree that fork makes of address spaces.
 *
 *        shell ─┬─ make ─┬─ cc (ended; its frames live on in as)
 *               │        └─ as
 *               └─ less
 *
 * A node lives as long as anything refers to it: its space, a child, or a frame that it owns. When
 * the last goes the node leaves the tree and puts its parent. A node whose space has ended, that
 * owns no frame and has a single child, is of no use to a walk: the child takes its place, so that
 * a chain of forks whose parents exit (a daemon's life) does not grow for ever.
 *
 * Locks: the tree's lock guards parent, children and mm. The last reference is dropped without it
 * when there is no doubt that others remain.
 */
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/mm/rmap.h"

static struct slab_cache lineage_cache = SLAB_CACHE("lineage", struct lineage);
static struct slab_cache tree_cache = SLAB_CACHE("lineage tree", struct lineage_tree);

static struct lineage *node_create(struct lineage_tree *tree, struct mm *mm)
{
    struct lineage *node = slab_zalloc(&lineage_cache);

    if (!node)
        return NULL;
    atomic_init(&node->refs, 1);
    node->tree = tree;
    node->mm = mm;
    list_init(&node->children);
    list_init(&node->sibling);
    return node;
}

struct lineage *lineage_create_root(struct mm *mm)
{
    struct lineage_tree *tree = slab_zalloc(&tree_cache);
    struct lineage *node = tree ? node_create(tree, mm) : NULL;

    if (node) {
        spin_init(&tree->lock, "lineage", LOCK_LINEAGE);
        tree->nodes = 1;
    } else if (tree) {
        slab_free(&tree_cache, tree);
    }
    return node;
}

struct lineage *lineage_create_child(struct lineage *parent, struct mm *mm)
{
    struct lineage *node = node_create(parent->tree, mm);

    if (!node)
        return NULL;
    lineage_get(parent);
    spin_lock(&parent->tree->lock);
    node->parent = parent;
    list_add_tail(&node->sibling, &parent->children);
    parent->tree->nodes++;
    spin_unlock(&parent->tree->lock);
    return node;
}

void lineage_detach(struct lineage *node)
{
    spin_lock(&node->tree->lock);
    node->mm = NULL;
    spin_unlock(&node->tree->lock);
}

static void node_free(struct lineage *node)
{
    list_remove(&node->sibling);
    node->tree->nodes--;
    slab_free(&lineage_cache, node);
}

/* The one child's reference to the node becomes one to its parent, which the node held. */
static void node_bypass(struct lineage *node)
{
    struct lineage *child = list_first_entry(&node->children, struct lineage, sibling);

    list_remove(&child->sibling);
    child->parent = node->parent;
    if (node->parent)
        list_add(&child->sibling, &node->sibling);
    node_free(node);
}

/* Under the lock: frees the node and those above it that it kept, and closes gaps. */
static void node_drop(struct lineage *node, u64 count)
{
    for (; node; count = 1) {
        struct lineage *parent = node->parent;
        u64 left = atomic_fetch_sub_explicit(&node->refs, count, memory_order_acq_rel) - count;

        if (left == 1 && !node->mm && list_is_single(&node->children))
            node_bypass(node);
        if (left)
            return;
        node_free(node);
        node = parent;
    }
}

/* What keeps a node with a live space is that space. Otherwise the count tells; when it comes close
 * to nothing, the lock decides who is last. */
void lineage_put_many(struct lineage *node, u64 count)
{
    struct lineage_tree *tree = node->tree;
    u64 refs = atomic_load_explicit(&node->refs, memory_order_relaxed);

    debug_assert(refs >= count);
    while (refs > count + 1)
        if (atomic_compare_exchange_weak_explicit(&node->refs, &refs, refs - count,
                                                  memory_order_release, memory_order_relaxed))
            return;
    spin_lock(&tree->lock);
    node_drop(node, count);
    bool empty = tree->nodes == 0;
    spin_unlock(&tree->lock);
    if (empty)
        slab_free(&tree_cache, tree);
}
