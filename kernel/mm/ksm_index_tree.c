/*
 * ksm_index_tree.c: the index as two red-black trees ordered by content, the design merging began
 * with in 2009. It is here to be measured against the hash index.
 *
 *   stable tree     merged frames; their content stands still, so the order is exact
 *   unstable tree   candidates; their content may change under the tree, so the order is a guess
 *                   that gets worse with time: each pass begins with an empty tree
 *
 * A search compares whole pages, one on each level. A candidate's page is read where its entry
 * leads at that moment, without a reference: the item is in the index and ksm_lock is held, so its
 * space and page tables are there; if the frame is given away meanwhile, what is read is nonsense,
 * the search takes a wrong turn and an equal page is not found this time. What is found is compared
 * again before it is merged.
 *
 * A search that ends without a result remembers where it fell out of the tree, and an insertion of
 * the same content that follows under the same lock begins there.
 */
#include "kernel/base/slab.h"
#include "kernel/mm/ksm_internal.h"
#include "lib/page.h"

/* The place for a key that is not there; key.page NULL = not known. */
struct gap {
    struct ksm_key key;
    struct rb_node *parent, **link;
};

struct tree_index {
    struct rb_root stable, unstable;
    struct gap stable_gap, unstable_gap;
};

static struct tree_index *tree(struct merge_index *index)
{
    return (struct tree_index *)index;
}

static struct merge_index *tree_create(u64 expected_pages)
{
    (void)expected_pages;
    return kzalloc(sizeof(struct tree_index));
}

static void tree_destroy(struct merge_index *index)
{
    kfree(index);
}

/* --- the order: domain, NUMA node, content --- */

static int key_compare(const struct ksm_key *key, u32 domain, u32 numa, const void *page)
{
    if (key->domain != domain)
        return key->domain < domain ? -1 : 1;
    if (key->numa != numa)
        return key->numa < numa ? -1 : 1;
    return page_compare(key->page, page);
}

static int compare_node(const struct ksm_key *key, const struct rb_node *at)
{
    const struct ksm_node *node = rb_entry(at, struct ksm_node, tree);

    return key_compare(key, node->domain, node->numa, frame_page(node->frame));
}

/* A candidate whose page is gone counts as greater, in searches and insertions alike. */
static int compare_item(const struct ksm_key *key, const struct rb_node *at)
{
    const struct ksm_item *item = rb_entry(at, struct ksm_item, tree);
    struct mm *mm;
    va_t va;

    ksm_item_place(item, &mm, &va);
    const pte_t *slot = pt_walk(&mm->pt, va);
    struct frame *frame = slot ? ksm_candidate(pte_read(slot)) : NULL;

    return frame ? key_compare(key, mm->merge_domain, item->numa, frame_page(frame)) : -1;
}

typedef int (*compare_fn)(const struct ksm_key *key, const struct rb_node *at);

/* The first of those in order that are equal to the key. */
static struct rb_node *first_equal(struct rb_node *found, const struct ksm_key *key,
                                   compare_fn compare)
{
    struct rb_node *before;

    while ((before = rb_prev(found)) && compare(key, before) == 0)
        found = before;
    return found;
}

/* The first entry equal to the key; NULL, with the place in *gap, if there is none. */
static struct rb_node *tree_search(struct rb_root *root, const struct ksm_key *key,
                                   compare_fn compare, struct gap *gap)
{
    struct rb_node **link = &root->node, *parent = NULL;

    gap->key.page = NULL;
    while (*link) {
        int order = compare(key, *link);

        if (order == 0)
            return first_equal(*link, key, compare);
        parent = *link;
        link = order < 0 ? &parent->left : &parent->right;
    }
    *gap = (struct gap){*key, parent, link};
    return NULL;
}

/* The next one in order, if it is equal too. */
static struct rb_node *tree_next(struct rb_node *after, const struct ksm_key *key,
                                 compare_fn compare)
{
    struct rb_node *next = rb_next(after);

    return next && compare(key, next) == 0 ? next : NULL;
}

static bool same_key(const struct ksm_key *a, const struct ksm_key *b)
{
    return a->page == b->page && a->hash == b->hash && a->domain == b->domain && a->numa == b->numa;
}

/* Behind those that are equal. */
static void tree_insert(struct rb_root *root, struct rb_node *new, const struct ksm_key *key,
                        compare_fn compare, struct gap *gap)
{
    struct rb_node **link = &root->node, *parent = NULL;

    if (same_key(&gap->key, key)) {
        parent = gap->parent;
        link = gap->link;
    } else {
        while (*link) {
            parent = *link;
            link = compare(key, parent) < 0 ? &parent->left : &parent->right;
        }
    }
    gap->key.page = NULL;
    rb_link(new, parent, link);
    rb_insert_fixup(root, new);
}

/* --- the operations --- */

static struct ksm_node *tree_find_stable(struct merge_index *index, const struct ksm_key *key,
                                         struct ksm_node *after)
{
    struct rb_node *found =
        after ? tree_next(&after->tree, key, compare_node)
              : tree_search(&tree(index)->stable, key, compare_node, &tree(index)->stable_gap);

    return rb_entry_or_null(found, struct ksm_node, tree);
}

static struct ksm_item *tree_find_unstable(struct merge_index *index, const struct ksm_key *key,
                                           struct ksm_item *after)
{
    struct rb_node *found =
        after ? tree_next(&after->tree, key, compare_item)
              : tree_search(&tree(index)->unstable, key, compare_item, &tree(index)->unstable_gap);

    return rb_entry_or_null(found, struct ksm_item, tree);
}

static void tree_insert_stable(struct merge_index *index, struct ksm_node *node)
{
    const struct ksm_key key = {node->hash, node->domain, node->numa, frame_page(node->frame)};

    tree_insert(&tree(index)->stable, &node->tree, &key, compare_node, &tree(index)->stable_gap);
}

static void tree_insert_unstable(struct merge_index *index, struct ksm_item *item,
                                 const struct ksm_key *key)
{
    tree_insert(&tree(index)->unstable, &item->tree, key, compare_item, &tree(index)->unstable_gap);
}

static void tree_replace_stable(struct merge_index *index, struct ksm_node *old,
                                struct ksm_node *new)
{
    tree(index)->stable_gap.key.page = NULL;
    rb_replace(&tree(index)->stable, &old->tree, &new->tree);
}

static void tree_remove_stable(struct merge_index *index, struct ksm_node *node)
{
    tree(index)->stable_gap.key.page = NULL;
    rb_remove(&tree(index)->stable, &node->tree);
}

static void tree_remove_unstable(struct merge_index *index, struct ksm_item *item)
{
    tree(index)->unstable_gap.key.page = NULL;
    rb_remove(&tree(index)->unstable, &item->tree);
}

static struct ksm_item *tree_outdated(struct merge_index *index)
{
    return rb_entry_or_null(tree(index)->unstable.node, struct ksm_item, tree);
}

const struct merge_index_ops merge_index_tree = {
    .name = "tree",
    .overwrites_hash = true,
    .create = tree_create,
    .destroy = tree_destroy,
    .find_stable = tree_find_stable,
    .find_unstable = tree_find_unstable,
    .insert_stable = tree_insert_stable,
    .insert_unstable = tree_insert_unstable,
    .replace_stable = tree_replace_stable,
    .remove_stable = tree_remove_stable,
    .remove_unstable = tree_remove_unstable,
    .outdated = tree_outdated,
};
