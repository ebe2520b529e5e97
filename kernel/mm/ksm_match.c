/*
 * ksm_match.c: what becomes of pages that did not change since they were hashed.
 *
 *   match    zeros? a merged frame of equal content? else a page of equal content in the unstable
 *            index? else it goes there itself
 *   protect  both sides of each match, one flush
 *   merge    a partner's frame becomes a merged frame, the page joins it (ksm_merge.c); one flush
 *            that frees the old frames
 *
 * Content is equal here as far as the index can tell; merging compares it once nobody can write.
 */
#include "kernel/base/counter.h"
#include "kernel/mm/ksm_internal.h"

u64 ksm_zero_hash;

/* --- match --- */

static bool match_zero(struct ksm_page *page)
{
    page->zero = page->item->check == (u32)ksm_zero_hash && atomic_load(&ksm_use_zero_pages);
    return page->zero;
}

static bool match_stable(struct ksm_page *page, const struct ksm_key *key)
{
    page->node = ksm_stable_find(key);
    page->merged = page->node ? page->node->frame : NULL;
    return page->node;
}

/* Locks the space of a page in the unstable index, without waiting. ksm_lock held: the space can't
 * go away before it has dropped the item. */
static bool partner_hold(struct ksm_step *step, struct ksm_page *page, struct ksm_item *item)
{
    struct mm *mm;

    ksm_item_place(item, &mm, &page->partner_va);
    if (!rwsem_try_read(&mm->lock)) {
        count(COUNT_ksm_refused_busy);
        return false;
    }
    if (!ksm_mm_try_get(mm)) {
        rwsem_read_done(&mm->lock);
        return false;
    }
    step->partners = true;
    page->partner_mm = mm;
    page->partner = item;
    return true;
}

void ksm_partners_put(struct ksm_step *step)
{
    for (u32 i = 0; step->partners && i < step->count; i++)
        if (step->pages[i].partner_mm)
            mm_put(step->pages[i].partner_mm);
    step->partners = false;
}

/* Whether the two pages are one frame already, as after fork: then there is nothing to win. */
static bool partner_is_same_frame(const struct ksm_step *step, const struct ksm_page *page)
{
    pte_t *ours = pt_walk(&step->mm->pt, page->va);
    pte_t *theirs = pt_walk(&page->partner_mm->pt, page->partner_va);

    return ours && theirs && pte_is_present(pte_read(ours)) && pte_is_present(pte_read(theirs)) &&
           pte_pfn(pte_read(ours)).raw == pte_pfn(pte_read(theirs)).raw;
}

/* Whether earlier pages of this step will already give the item's frame all mappings it may have:
 * itself, and they. */
static bool is_taken(const struct ksm_step *step, const struct ksm_page *page,
                     const struct ksm_item *item)
{
    u64 most = atomic_load_explicit(&ksm_max_page_sharing, memory_order_relaxed), mappings = 1;

    if (most >= KSM_LEAF_ITEMS)
        return false;
    for (const struct ksm_page *other = step->pages; other < page; other++)
        mappings += other->partner == item;
    return mappings >= most;
}

/* A page of the unstable index that can be merged with. */
static struct ksm_item *find_partner(const struct ksm_step *step, const struct ksm_page *page,
                                     const struct ksm_key *key)
{
    struct ksm_item *item = NULL;

    while ((item = ksm_index_ops->find_unstable(ksm_index, key, item)))
        if (!is_taken(step, page, item))
            return item;
    return NULL;
}

/* Finds a partner in the unstable index. Returns false when there is none at all, true when there
 * is one, won or not. ksm_lock held. */
static bool match_unstable(struct ksm_step *step, struct ksm_page *page, const struct ksm_key *key)
{
    struct ksm_item *partner = find_partner(step, page, key);

    if (!partner)
        return false;
    if (ksm_stable_is_full())
        return true; /* it tries again in each pass */
    if (partner_hold(step, page, partner) && partner_is_same_frame(step, page)) {
        page->partner = NULL;
        rwsem_read_done(&page->partner_mm->lock);
    }
    return true;
}

/*
 * The item of a clean page that was settled is looked up again, when that is asked for. The frame's
 * reference is gone, so its content may be another's by now: what is found then is refused when it
 * is merged.
 */
static void match_page(struct ksm_step *step, struct ksm_page *page)
{
    struct ksm_item *item = page->item;

    page->numa = ksm_numa(page->frame);
    spin_lock(&ksm_lock);
    if (unlikely(item->state == KSM_UNSTABLE))
        ksm_item_set_hashed(item);
    if (item->state == KSM_HASHED) {
        const struct ksm_key key = {item->hash, step->mm->merge_domain, page->numa,
                                    frame_page(page->frame)};

        if (!match_zero(page) && !match_stable(page, &key) && !match_unstable(step, page, &key))
            ksm_item_set_unstable(item, &key);
    }
    spin_unlock(&ksm_lock);
}

/* --- protect and merge --- */

static void protect_matched(struct ksm_step *step, struct ksm_page *page)
{
    if (!page->partner && !page->node && !page->zero)
        return;
    if (page->partner && !ksm_protect_page(page->partner_mm, page->partner_va, &step->batch))
        page->candidate = false;
    if (page->candidate && !ksm_protect_page(step->mm, page->va, &step->batch))
        page->candidate = false;
}

/* Makes a node of the partner's page. */
static struct ksm_node *node_from_partner(struct ksm_step *step, struct ksm_page *page)
{
    const struct ksm_key key = {.hash = page->item->hash, .domain = step->mm->merge_domain};
    struct ksm_node *node = ksm_stable_is_full() ? NULL : ksm_node_create(&key);

    if (!node)
        return NULL;
    page->merged = ksm_adopt_page(page->partner_mm, page->partner_va, node, &step->batch);
    if (!page->merged) {
        ksm_node_free(node);
        return NULL;
    }
    return node;
}

/* The node that an earlier page of this step has made of the partner, if it takes one more. */
static struct ksm_node *node_of_partner(struct ksm_page *page)
{
    struct ksm_node *node = page->partner->node;

    if (!node->frame || !ksm_node_has_room(node) || !frame_get_unless_zero(node->frame))
        return NULL;
    page->merged = node->frame;
    return node;
}

/*
 * Turns the partner into a node to merge with. An earlier page of this step may have done it. A
 * partner that fails leaves the unstable index until its next turn, so that it is in nobody's way.
 */
static void pair(struct ksm_step *step, struct ksm_page *page)
{
    struct ksm_item *partner = page->partner;
    bool fresh = partner->state != KSM_MERGED;
    struct ksm_node *node = fresh && page->candidate ? node_from_partner(step, page) : NULL;

    spin_lock(&ksm_lock);
    if (node) {
        ksm_stable_insert(node);
        ksm_item_set_merged(partner, node);
    } else if (!fresh) {
        node = node_of_partner(page);
    } else if (partner->state == KSM_UNSTABLE) {
        ksm_item_set_hashed(partner);
    }
    spin_unlock(&ksm_lock);
    page->node = node;
    if (node && node->numa != page->numa)
        page->candidate = false; /* the partner's page has moved since it was filed */
}

/* The page is what it was matched with from now on. */
static void note_result(struct ksm_page *page)
{
    spin_lock(&ksm_lock);
    if (page->zero)
        ksm_item_forget(page->item);
    else
        ksm_item_set_merged(page->item, page->node);
    spin_unlock(&ksm_lock);
}

static void merge_page(struct ksm_step *step, struct ksm_page *page)
{
    if (page->partner)
        pair(step, page);
    if (page->candidate && (page->node || page->zero) &&
        ksm_merge_page(step->mm, page->va, page->merged, &step->batch) == KSM_MERGE_DONE)
        note_result(page);
    if (tlb_batch_full(&step->batch))
        tlb_batch_flush(&step->batch);
    if (page->partner)
        rwsem_read_done(&page->partner_mm->lock);
    if (page->node)
        frame_put(page->merged);
}

void ksm_match_and_merge(struct ksm_step *step)
{
    for (u32 i = 0; i < step->count; i++)
        if (step->pages[i].candidate)
            match_page(step, &step->pages[i]);
    for (u32 i = 0; i < step->count; i++)
        protect_matched(step, &step->pages[i]);
    tlb_batch_flush(&step->batch);
    for (u32 i = 0; i < step->count; i++)
        merge_page(step, &step->pages[i]);
    tlb_batch_flush(&step->batch);
}
