/*
 * ksm_stable.c: merged frames, and the chains of those with equal content.
 *
 * A walk over all mappings of a frame (to migrate it, to swap it out) takes as long as there are
 * many. So a merged frame takes no more mappings when it has max_page_sharing of them, fork aside;
 * the next equal page finds nothing, waits for another like it, and the two make a frame of their
 * own, a duplicate. Duplicates form a ring, a chain:
 *
 *     index ──▶ node ⇄ node ⇄ node        one of them, with room if any has, stands for all
 *
 * When the one in the index is full, a search goes round the ring for one with room, which changes
 * places with it. It looks at few; once in prune_millisecs it looks at all, and takes the fullest
 * that has room, so that those which have lost most of their mappings run empty. A frame that runs
 * empty leaves the ring by itself; one that is left alone is no chain any more.
 */
#include "kernel/base/slab.h"
#include "kernel/mm/ksm_internal.h"
#include "kernel/task/thread.h"
#include "lib/page.h"

#define CHAIN_LOOK 16 /* duplicates that an ordinary search looks at */

static struct slab_cache node_cache = SLAB_CACHE("ksm node", struct ksm_node);

/* --- one node --- */

struct ksm_node *ksm_node_create(const struct ksm_key *key)
{
    struct ksm_node *node = slab_alloc(&node_cache);

    if (!node)
        return NULL;
    *node = (struct ksm_node){.hash = key->hash, .domain = key->domain};
    list_init(&node->dups);
    atomic_fetch_add(&ksm_stats.bytes, sizeof(*node));
    return node;
}

void ksm_node_free(struct ksm_node *node)
{
    slab_free(&node_cache, node);
    atomic_fetch_sub(&ksm_stats.bytes, sizeof(*node));
}

void ksm_node_take(struct ksm_node *node, struct frame *frame)
{
    node->frame = frame;
    node->numa = ksm_numa(frame);
    frame->owner = node;
    frame->index = 0;
    frame_set_kind(frame, FRAME_KIND_MERGED);
    atomic_fetch_add(&ksm_stats.shared, 1);
}

bool ksm_stable_is_full(void)
{
    u64 most = atomic_load_explicit(&ksm_max_kernel_pages, memory_order_relaxed);

    return most && atomic_load_explicit(&ksm_stats.shared, memory_order_relaxed) >= most;
}

/* --- chains --- */

static u32 sharers(const struct ksm_node *node)
{
    return atomic_load_explicit(&node->frame->refs, memory_order_relaxed);
}

bool ksm_node_has_room(const struct ksm_node *node)
{
    return sharers(node) < atomic_load_explicit(&ksm_max_page_sharing, memory_order_relaxed);
}

/* The node has joined a ring (1), or is about to leave it (-1). */
static void count_ring(const struct ksm_node *node, s64 change)
{
    bool pair = list_is_single(&node->dups);

    atomic_fetch_add(&ksm_stats.chains, (u64)(pair ? change : 0));
    atomic_fetch_add(&ksm_stats.dups, (u64)(pair ? 2 * change : change));
}

/* `new` stands in the index for the ring from now on. */
static void change_places(struct ksm_node *old, struct ksm_node *new)
{
    ksm_index_ops->replace_stable(ksm_index, old, new);
    old->indexed = false;
    new->indexed = true;
    new->pruned_ms = old->pruned_ms;
}

static bool prune_due(struct ksm_node *node)
{
    u32 now = (u32)(time_ns() / 1000000);

    if (now - node->pruned_ms < atomic_load(&ksm_prune_millisecs))
        return false;
    node->pruned_ms = now;
    return true;
}

/* A member of a ring with room, found by going round from the indexed one. */
static struct ksm_node *chain_find(struct ksm_node *head)
{
    bool all = prune_due(head);
    struct ksm_node *best = NULL, *node = head;
    u32 looked = 0;

    do {
        if (sharers(node) && ksm_node_has_room(node) && (!best || sharers(node) > sharers(best)))
            best = node;
        node = list_entry(node->dups.next, struct ksm_node, dups);
    } while (node != head && (all || (!best && looked++ < CHAIN_LOOK)));
    if (best && best != head)
        change_places(head, best);
    return best;
}

/* --- the index --- */

struct ksm_node *ksm_stable_find(const struct ksm_key *key)
{
    struct ksm_node *node = NULL, *next;

    while ((next = node = ksm_index_ops->find_stable(ksm_index, key, node))) {
        if (!list_empty(&node->dups))
            next = chain_find(node);
        else if (!ksm_node_has_room(node))
            next = NULL;
        if (next && frame_get_unless_zero(next->frame))
            return next;
        if (next)
            node = next; /* it is in the index now */
    }
    return NULL;
}

/* The node in the index that stands for this content. */
static struct ksm_node *find_equal(const struct ksm_node *node)
{
    const struct ksm_key key = {node->hash, node->domain, node->numa, frame_page(node->frame)};
    struct ksm_node *at = NULL;

    while ((at = ksm_index_ops->find_stable(ksm_index, &key, at)))
        if (page_equal(frame_page(at->frame), key.page))
            break;
    return at;
}

/* It joins the chain of its content as the one to be found, for it has room. */
void ksm_stable_insert(struct ksm_node *node)
{
    struct ksm_node *equal = find_equal(node);

    if (equal) {
        list_add(&node->dups, &equal->dups);
        count_ring(node, 1);
        change_places(equal, node);
    } else {
        ksm_index_ops->insert_stable(ksm_index, node);
        node->indexed = true;
    }
}

/* Out of index and chain. */
static void stable_remove(struct ksm_node *node)
{
    if (list_empty(&node->dups)) {
        if (node->indexed)
            ksm_index_ops->remove_stable(ksm_index, node);
        node->indexed = false;
        return;
    }
    if (node->indexed)
        change_places(node, list_entry(node->dups.next, struct ksm_node, dups));
    count_ring(node, -1);
    list_remove(&node->dups);
}

void ksm_stable_bury(struct ksm_node *node)
{
    stable_remove(node);
    node->frame = NULL;
    atomic_fetch_sub(&ksm_stats.shared, 1);
    if (node->item_count == 0)
        ksm_node_free(node);
}

void ksm_stable_refile(struct ksm_node *node)
{
    u8 numa = ksm_numa(node->frame);

    if (numa == node->numa || (!node->indexed && list_empty(&node->dups)))
        return;
    stable_remove(node);
    node->numa = numa;
    ksm_stable_insert(node);
}
