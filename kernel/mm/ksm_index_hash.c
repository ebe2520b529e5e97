/*
 * ksm_index_hash.c: the index as two hash tables with chains; every operation is O(1).
 *
 * The tables are sized once, a bucket for about four frames of memory: even if every page of the
 * machine were scanned, unique and in the unstable table, a chain would be four long. The content
 * hash is good enough to take buckets from its low bits.
 *
 * An item stays in the unstable table as long as its page stays clean, over many passes: the dirty
 * bit tells, so nothing needs to be rebuilt.
 */
#include "kernel/base/slab.h"
#include "kernel/mm/ksm_internal.h"

#define BUCKETS_MIN 1024ul
#define BUCKETS_MAX (512ul * 1024) /* the largest block of the allocator, 4 MiB */
#define PAGES_PER_BUCKET 4

struct hash_index {
    u64 mask;
    struct ksm_node **stable;
    struct ksm_item **unstable;
};

static struct hash_index *hash(struct merge_index *index)
{
    return (struct hash_index *)index;
}

static void hash_destroy(struct merge_index *index)
{
    kfree(hash(index)->stable);
    kfree(hash(index)->unstable);
    kfree(index);
}

static struct merge_index *hash_create(u64 expected_pages)
{
    struct hash_index *index = kzalloc(sizeof(*index));
    u64 buckets = BUCKETS_MIN;

    if (!index)
        return NULL;
    while (buckets < BUCKETS_MAX && buckets * PAGES_PER_BUCKET < expected_pages)
        buckets *= 2;
    index->mask = buckets - 1;
    index->stable = kzalloc(buckets * sizeof(*index->stable));
    index->unstable = kzalloc(buckets * sizeof(*index->unstable));
    if (index->stable && index->unstable)
        return (struct merge_index *)index;
    hash_destroy((struct merge_index *)index);
    return NULL;
}

static struct ksm_node *hash_find_stable(struct merge_index *index, const struct ksm_key *key,
                                         struct ksm_node *after)
{
    struct ksm_node *node =
        after ? after->next : hash(index)->stable[key->hash & hash(index)->mask];

    while (node &&
           (node->hash != key->hash || node->domain != key->domain || node->numa != key->numa))
        node = node->next;
    return node;
}

static struct ksm_item *hash_find_unstable(struct merge_index *index, const struct ksm_key *key,
                                           struct ksm_item *after)
{
    struct ksm_item *item =
        after ? after->next : hash(index)->unstable[key->hash & hash(index)->mask];

    while (item && (item->hash != key->hash || item->numa != key->numa ||
                    ksm_item_domain(item) != key->domain))
        item = item->next;
    return item;
}

static void hash_insert_stable(struct merge_index *index, struct ksm_node *node)
{
    struct ksm_node **bucket = &hash(index)->stable[node->hash & hash(index)->mask];

    node->next = *bucket;
    if (node->next)
        node->next->link = &node->next;
    node->link = bucket;
    *bucket = node;
}

static void hash_insert_unstable(struct merge_index *index, struct ksm_item *item,
                                 const struct ksm_key *key)
{
    struct ksm_item **bucket = &hash(index)->unstable[key->hash & hash(index)->mask];

    item->next = *bucket;
    if (item->next)
        item->next->link = &item->next;
    item->link = bucket;
    *bucket = item;
}

static void hash_replace_stable(struct merge_index *index, struct ksm_node *old,
                                struct ksm_node *new)
{
    (void)index;
    new->next = old->next;
    new->link = old->link;
    *new->link = new;
    if (new->next)
        new->next->link = &new->next;
}

static void hash_remove_stable(struct merge_index *index, struct ksm_node *node)
{
    (void)index;
    *node->link = node->next;
    if (node->next)
        node->next->link = node->link;
}

static void hash_remove_unstable(struct merge_index *index, struct ksm_item *item)
{
    (void)index;
    *item->link = item->next;
    if (item->next)
        item->next->link = item->link;
}

static struct ksm_item *hash_outdated(struct merge_index *index)
{
    (void)index;
    return NULL;
}

const struct merge_index_ops merge_index_hash = {
    .name = "hash",
    .create = hash_create,
    .destroy = hash_destroy,
    .find_stable = hash_find_stable,
    .find_unstable = hash_find_unstable,
    .insert_stable = hash_insert_stable,
    .insert_unstable = hash_insert_unstable,
    .replace_stable = hash_replace_stable,
    .remove_stable = hash_remove_stable,
    .remove_unstable = hash_remove_unstable,
    .outdated = hash_outdated,
};
