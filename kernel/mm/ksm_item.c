/*
 * ksm_item.c: the scan records.
 *
 * A leaf is one page of 128 items for 512 KiB of addresses. Its struct frame says whose they are:
 * owner is the ksm_mm, index the leaf's number. A radix tree by leaf number finds it, once for 128
 * pages of a scan.
 */
#include "kernel/base/frame.h"
#include "kernel/base/log.h"
#include "kernel/mm/ksm_internal.h"

static void count_leaves(s64 change)
{
    atomic_fetch_add(&ksm_stats.leaves, (u64)change);
    atomic_fetch_add(&ksm_stats.bytes, (u64)change * PAGE_SIZE);
}

struct ksm_item *ksm_leaf(struct ksm_mm *space, va_t va, bool create)
{
    u64 number = va / KSM_LEAF_SPAN;
    struct ksm_item *leaf = radix_get(&space->leaves, number);

    if (leaf || !create)
        return leaf;
    struct frame *frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);
    if (!frame)
        return NULL;
    frame->owner = space;
    frame->index = number;
    leaf = frame_page(frame);
    if (!radix_set(&space->leaves, number, leaf)) {
        frame_put(frame);
        return NULL;
    }
    count_leaves(1);
    return leaf;
}

static struct ksm_mm *item_space(const struct ksm_item *item)
{
    return virt_frame(item)->owner;
}

void ksm_item_place(const struct ksm_item *item, struct mm **mm, va_t *va)
{
    const struct frame *leaf = virt_frame(item);
    u64 slot = (u64)(item - (const struct ksm_item *)frame_page(leaf));

    *mm = item_space(item)->mm;
    *va = leaf->index * KSM_LEAF_SPAN + slot * PAGE_SIZE;
}

static void count_items(const struct ksm_item *item, s64 change)
{
    atomic_fetch_add(&item_space(item)->item_count, (u64)change);
    atomic_fetch_add(&ksm_stats.items, (u64)change);
}

/* Takes a merged item off its node; the node's memory goes with the last one, when its frame is
 * gone already. */
static void node_remove_item(struct ksm_item *item)
{
    struct ksm_node *node = item->node;

    *item->link = item->next;
    if (item->next)
        item->next->link = item->link;
    if (--node->item_count == 0 && !node->frame)
        ksm_node_free(node);
}

/* Out of whatever list the state says. */
static void item_detach(struct ksm_item *item)
{
    if (item->state == KSM_UNSTABLE) {
        ksm_index_ops->remove_unstable(ksm_index, item);
        atomic_fetch_sub(&ksm_stats.unstable, 1);
    } else if (item->state == KSM_MERGED) {
        node_remove_item(item);
    }
}

void ksm_item_forget(struct ksm_item *item)
{
    if (item->state == KSM_NONE)
        return;
    item_detach(item);
    item->state = KSM_NONE;
    item->age = item->skips = 0;
    count_items(item, -1);
}

bool ksm_item_hash_is(const struct ksm_item *item, u64 hash)
{
    if (item->state == KSM_UNSTABLE && ksm_index_ops->overwrites_hash)
        return item->check == (u32)hash;
    return (item->state == KSM_HASHED || item->state == KSM_UNSTABLE) && item->hash == hash;
}

void ksm_item_set_hash(struct ksm_item *item, u64 hash)
{
    item_detach(item);
    if (item->state == KSM_NONE)
        count_items(item, 1);
    item->state = KSM_HASHED;
    item->hash = hash;
    item->check = (u32)hash;
}

void ksm_item_set_hashed(struct ksm_item *item)
{
    debug_assert(item->state == KSM_UNSTABLE);
    item_detach(item);
    item->state = KSM_HASHED;
    if (ksm_index_ops->overwrites_hash)
        item->hash = item->check;
}

void ksm_item_set_unstable(struct ksm_item *item, const struct ksm_key *key)
{
    debug_assert(item->state == KSM_HASHED);
    item->state = KSM_UNSTABLE;
    item->numa = (u8)key->numa;
    ksm_index_ops->insert_unstable(ksm_index, item, key);
    atomic_fetch_add(&ksm_stats.unstable, 1);
}

void ksm_item_set_merged(struct ksm_item *item, struct ksm_node *node)
{
    item_detach(item);
    if (item->state == KSM_NONE)
        count_items(item, 1);
    item->state = KSM_MERGED;
    item->node = node;
    item->next = node->items;
    if (item->next)
        item->next->link = &item->next;
    item->link = &node->items;
    node->items = item;
    node->item_count++;
}

/*
 * The older a page has become without merging, the more visits are left out between two: 1 from
 * the fourth on, then 2, 4, 8.
 */
bool ksm_item_skip(struct ksm_item *item)
{
    u8 age = item->age;

    item->age += age < 255;
    if (age < 3)
        return false;
    if (item->skips) {
        item->skips--;
        return true;
    }
    item->skips = age <= 3 ? 1 : age <= 5 ? 2 : age <= 8 ? 4 : 8;
    return false;
}

/* Forgets the items of one leaf inside [start, end). Bounded by 128, so the lock is not held
 * long. */
static void leaf_forget(struct ksm_item *leaf, va_t base, va_t start, va_t end)
{
    u64 first = start > base ? (start - base) / PAGE_SIZE : 0;
    u64 last = MIN(KSM_LEAF_ITEMS, (end - base) / PAGE_SIZE);

    spin_lock(&ksm_lock);
    for (u64 i = first; i < last; i++)
        ksm_item_forget(&leaf[i]);
    spin_unlock(&ksm_lock);
}

void ksm_items_drop(struct ksm_mm *space, va_t start, va_t end)
{
    struct ksm_item *leaf;

    if (start >= end)
        return;
    radix_for_each(leaf, number, &space->leaves, start / KSM_LEAF_SPAN, (end - 1) / KSM_LEAF_SPAN) {
        va_t base = number * KSM_LEAF_SPAN;

        leaf_forget(leaf, base, start, end);
        if (start <= base && base + KSM_LEAF_SPAN <= end) {
            radix_remove(&space->leaves, number);
            frame_put(virt_frame(leaf));
            count_leaves(-1);
        }
    }
}
