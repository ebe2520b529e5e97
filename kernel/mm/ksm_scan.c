/*
 * ksm_scan.c: ksmd, the thread that looks for equal pages.
 *
 * A cursor (space, address) goes round over the mergeable areas of all registered spaces. A step
 * takes at most one leaf of items (128 pages) and works in phases, so that locks are short and
 * flushes few:
 *
 *   gather   under the page-table lock: pages that need a look; dirty bits that are set are cleared
 *   flush    one; from here a store sets the bit again, so the hash and the bit belong together
 *   hash     the pages that were dirty; another hash than last time ends it for this page and pass
 *   match    a merged frame of the same hash? else a page of the same hash in the unstable index?
 *            else it goes there itself
 *   protect  both sides of a match, one flush
 *   merge    a partner's frame becomes a merged frame, the page joins it (ksm_merge.c); one flush
 *            that frees the old frames
 *
 * A page that is clean and in the unstable index costs nothing but the look at its entry: any page
 * that equals it will find it.
 *
 * Why a change is never missed: every way to change a private page leaves the dirty bit set
 * afterwards. A user store through a translation loaded after our flush sets it in the entry;
 * kernel stores on a task's behalf and device writes go through a pin, which sets the bit when it
 * ends (access.c); a fault that brings another frame installs the entry dirty (mm.h). A hash that
 * was computed while the page changed is therefore followed by a dirty bit, and computed again.
 */
#include "kernel/base/counter.h"
#include "kernel/base/slab.h"
#include "kernel/mm/ksm_internal.h"
#include "kernel/task/thread.h"
#include "lib/hash.h"

/* One page of a step that needs more than a look. */
struct scan_page {
    va_t va;
    struct ksm_item *item;
    struct frame *frame; /* referenced until hashed */
    bool dirty;
    bool candidate;           /* unchanged since its hash was taken */
    struct ksm_node *node;    /* what it is to be merged into */
    struct frame *merged;     /* node's frame, referenced */
    struct ksm_item *partner; /* or a page of the unstable index, to become a node's first */
    struct mm *partner_mm;    /* referenced, and read-locked until the page is done */
    va_t partner_va;
};

struct scan_step {
    struct ksm_mm *space;
    struct mm *mm;
    struct vma *vma;
    struct ksm_item *leaf;
    u32 count;
    struct scan_page pages[KSM_LEAF_ITEMS];
    struct tlb_batch batch;
};

static struct {
    struct ksm_mm *space; /* NULL = begin a pass; guarded by ksm_lock */
    va_t va;
} cursor;

static struct scan_step step; /* ksmd's alone */

/* Leaves a space, done or going away; past the last one a pass is complete. */
void ksm_scan_forget(struct ksm_mm *space)
{
    if (cursor.space != space)
        return;
    cursor.space = space->link.next == &ksm_spaces
                       ? NULL
                       : container_of(space->link.next, struct ksm_mm, link);
    cursor.va = 0;
    if (!cursor.space)
        atomic_fetch_add(&ksm_stats.full_scans, 1);
}

/* --- gather --- */

/* A merged page found by looking: its item joins the node, so that rmap finds the page. */
static void note_merged(struct ksm_item *item, struct frame *frame)
{
    if (item->state == KSM_MERGED && item->node == frame->owner)
        return;
    spin_lock(&ksm_lock);
    ksm_item_set_merged(item, frame->owner);
    spin_unlock(&ksm_lock);
}

static void note_absent(struct ksm_item *item)
{
    if (item->state == KSM_NONE)
        return;
    spin_lock(&ksm_lock);
    ksm_item_forget(item);
    spin_unlock(&ksm_lock);
}

static void gather_page(va_t va, pte_t *slot, pte_t pte, struct frame *frame, struct ksm_item *item)
{
    bool dirty = pte_is_dirty(pte) || item->state == KSM_NONE || item->state == KSM_MERGED;

    if (!dirty && item->state == KSM_UNSTABLE) {
        count(COUNT_ksm_clean);
        return;
    }
    if (pte_is_dirty(pte)) {
        pte_clear_bits(slot, PTE_D);
        tlb_batch_add(&step.batch, step.mm, va);
        if (!(atomic_load_explicit(&frame->flags, memory_order_relaxed) & FRAME_DIRTY))
            atomic_fetch_or_explicit(&frame->flags, FRAME_DIRTY, memory_order_relaxed);
    }
    frame_get(frame);
    step.pages[step.count++] =
        (struct scan_page){.va = va, .item = item, .frame = frame, .dirty = dirty};
}

/* Looks at [start, end) of one leaf; returns how many pages were present. */
static u64 gather(va_t start, va_t end, pte_t *slot)
{
    struct ksm_item *item = &step.leaf[ksm_leaf_slot(start)];
    u64 present = 0;

    pt_lock(slot);
    pte_t *first = slot;
    for (va_t va = start; va < end; va += PAGE_SIZE, slot++, item++) {
        pte_t pte = pte_read(slot);
        struct frame *frame = ksm_candidate(pte);

        if (frame)
            gather_page(va, slot, pte, frame, item);
        else if (pte_is_present(pte) && !pte_is_special(pte) &&
                 frame_kind(pte_frame(pte)) == FRAME_KIND_MERGED)
            note_merged(item, pte_frame(pte));
        else
            note_absent(item);
        present += pte_is_present(pte);
    }
    pt_unlock(first);
    return present;
}

/* --- hash --- */

static void hash_page_of(struct scan_page *page)
{
    struct ksm_item *item = page->item;

    if (!page->dirty) {
        page->candidate = true;
        return;
    }
    u64 hash = hash_page(frame_page(page->frame), 0);
    bool known = item->state == KSM_HASHED || item->state == KSM_UNSTABLE;

    count(COUNT_ksm_hashed);
    if (known && item->hash == hash) {
        page->candidate = item->state == KSM_HASHED;
        return;
    }
    spin_lock(&ksm_lock);
    ksm_item_set_hash(item, hash, step.mm->merge_domain);
    spin_unlock(&ksm_lock);
}

static void hash_pages(void)
{
    for (u32 i = 0; i < step.count; i++) {
        hash_page_of(&step.pages[i]);
        frame_put(step.pages[i].frame);
    }
    atomic_fetch_add(&ksm_stats.scanned, step.count);
}

/* --- match --- */

static bool match_stable(struct scan_page *page)
{
    struct ksm_node *node = NULL;
    u64 hash = page->item->hash;

    while ((node = ksm_index_ops->find_stable(ksm_index, hash, step.mm->merge_domain, node)))
        if (node->frame && frame_get_unless_zero(node->frame)) {
            page->node = node;
            page->merged = node->frame;
            return true;
        }
    return false;
}

/* Locks the space of a page in the unstable index, without waiting. ksm_lock held: the space can't go
 * away before it has dropped the item. */
static bool partner_hold(struct scan_page *page, struct ksm_item *item)
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
    page->partner_mm = mm;
    page->partner = item;
    return true;
}

/* The last reference may turn out to be ours, and a space is torn down with no mm->lock held. */
static void partners_put(void)
{
    for (u32 i = 0; i < step.count; i++) {
        if (step.pages[i].partner_mm)
            mm_put(step.pages[i].partner_mm);
        step.pages[i].partner_mm = NULL;
    }
}

/* Whether the two pages are one frame already, as after fork: then there is nothing to win. */
static bool partner_is_same_frame(const struct scan_page *page)
{
    pte_t *ours = pt_walk(&step.mm->pt, page->va);
    pte_t *theirs = pt_walk(&page->partner_mm->pt, page->partner_va);

    return ours && theirs && pte_is_present(pte_read(ours)) && pte_is_present(pte_read(theirs)) &&
           pte_pfn(pte_read(ours)).raw == pte_pfn(pte_read(theirs)).raw;
}

/* Finds a partner in the unstable index. Returns false when there is none at all, true when there is
 * one, won or not. ksm_lock held. */
static bool match_unstable(struct scan_page *page)
{
    struct ksm_item *partner =
        ksm_index_ops->find_unstable(ksm_index, page->item->hash, step.mm->merge_domain, NULL);

    if (!partner)
        return false;
    if (partner_hold(page, partner) && partner_is_same_frame(page)) {
        page->partner = NULL;
        rwsem_read_done(&page->partner_mm->lock);
    }
    return true;
}

static void match_page(struct scan_page *page)
{
    spin_lock(&ksm_lock);
    if (page->item->state == KSM_HASHED && !match_stable(page) && !match_unstable(page))
        ksm_item_set_unstable(page->item);
    spin_unlock(&ksm_lock);
}

/* --- protect and merge --- */

static void protect_matched(struct scan_page *page)
{
    if (!page->partner && !page->node)
        return;
    if (page->partner && !ksm_protect_page(page->partner_mm, page->partner_va, &step.batch))
        page->candidate = false;
    if (page->candidate && !ksm_protect_page(step.mm, page->va, &step.batch))
        page->candidate = false;
}

/* Makes a node of the partner's page. */
static struct ksm_node *node_from_partner(struct scan_page *page)
{
    u32 domain = page->partner->domain;
    struct ksm_node *node = ksm_node_create(page->partner->hash, domain);

    if (!node)
        return NULL;
    page->merged = ksm_adopt_page(page->partner_mm, page->partner_va, node, &step.batch);
    if (!page->merged) {
        kfree(node);
        return NULL;
    }
    return node;
}

/*
 * Turns the partner into a node to merge with. An earlier page of this step may have done it. A
 * partner that fails leaves the unstable index until its next turn, so that it is in nobody's way.
 */
static void pair(struct scan_page *page)
{
    struct ksm_item *partner = page->partner;
    bool fresh = partner->state != KSM_MERGED;
    struct ksm_node *node = NULL;

    if (!fresh)
        node = partner->node;
    else if (page->candidate)
        node = node_from_partner(page);
    spin_lock(&ksm_lock);
    if (fresh && node) {
        ksm_index_ops->insert_stable(ksm_index, node);
        ksm_item_set_merged(partner, node);
    } else if (fresh) {
        ksm_item_set_hash(partner, partner->hash, partner->domain);
    } else if (node->frame && frame_get_unless_zero(node->frame)) {
        page->merged = node->frame;
    }
    spin_unlock(&ksm_lock);
    if (page->merged)
        page->node = node;
}

static void merge_page(struct scan_page *page)
{
    if (page->partner)
        pair(page);
    bool merged = page->candidate && page->node &&
                  ksm_merge_page(step.mm, page->va, page->merged, &step.batch) == KSM_MERGE_DONE;

    if (tlb_batch_full(&step.batch))
        tlb_batch_flush(&step.batch);
    if (merged) {
        spin_lock(&ksm_lock);
        ksm_item_set_merged(page->item, page->node);
        spin_unlock(&ksm_lock);
    }
    if (page->partner)
        rwsem_read_done(&page->partner_mm->lock);
    if (page->node)
        frame_put(page->merged);
}

static void match_and_merge(void)
{
    for (u32 i = 0; i < step.count; i++)
        if (step.pages[i].candidate)
            match_page(&step.pages[i]);
    for (u32 i = 0; i < step.count; i++)
        protect_matched(&step.pages[i]);
    tlb_batch_flush(&step.batch);
    for (u32 i = 0; i < step.count; i++)
        merge_page(&step.pages[i]);
    tlb_batch_flush(&step.batch);
}

/* --- steps and passes --- */

/* The next mergeable area at or after va, or NULL. */
static struct vma *next_area(struct mm *mm, va_t va)
{
    struct vma *vma = vma_find(mm, va);

    while (vma && !(vma->flags & VMA_MERGEABLE))
        vma = vma_next(vma);
    return vma;
}

/* One leaf's worth from *va on. Returns how many pages it looked at, at least 1; *va = 0 when the
 * space is done. */
static u64 scan_step(struct ksm_mm *space, va_t *va, u64 budget)
{
    struct vma *vma = next_area(space->mm, *va);

    if (!vma) {
        *va = 0;
        return 1;
    }
    va_t start = pt_next_present(&space->mm->pt, MAX(*va, vma->start), vma->end);
    if (start >= vma->end) {
        *va = vma->end;
        return 1;
    }
    va_t end = MIN(ALIGN_DOWN(start, KSM_LEAF_SPAN) + KSM_LEAF_SPAN, vma->end);
    end = MIN(end, start + budget * PAGE_SIZE);
    step.space = space;
    step.mm = space->mm;
    step.vma = vma;
    step.count = 0;
    step.leaf = ksm_leaf(space, start, true);
    pte_t *slot = pt_walk(&space->mm->pt, start);
    *va = end;
    if (!step.leaf || !slot)
        return 1;

    tlb_batch_init(&step.batch, step.mm, TLB_MERGE);
    u64 looked = gather(start, end, slot);
    tlb_batch_flush(&step.batch);
    hash_pages();
    match_and_merge();
    return MAX(looked, 1ul);
}

/* The space under the cursor, referenced; begins a new pass behind the last one. NULL = none is
 * registered. */
static struct ksm_mm *cursor_space(void)
{
    struct ksm_mm *space = NULL;

    spin_lock(&ksm_lock);
    for (struct list *at = cursor.space ? &cursor.space->link : ksm_spaces.next; at != &ksm_spaces;
         at = at->next) {
        space = container_of(at, struct ksm_mm, link);
        if (ksm_mm_try_get(space->mm))
            break;
        space = NULL; /* it is ending, and will leave the list */
    }
    if (space && space != cursor.space) {
        cursor.space = space;
        cursor.va = 0;
    }
    spin_unlock(&ksm_lock);
    return space;
}

static void scan_batch(u64 budget)
{
    mutex_lock(&ksm_scan_mutex);
    while (budget > 0 && atomic_load(&ksm_run) == KSM_RUN_MERGE) {
        struct ksm_mm *space = cursor_space();

        if (!space)
            break;
        struct mm *mm = space->mm;
        va_t va = cursor.va;
        rwsem_read(&mm->lock);
        budget -= MIN(scan_step(space, &va, budget), budget);
        rwsem_read_done(&mm->lock);
        partners_put();
        cursor.va = va;
        if (va == 0) {
            spin_lock(&ksm_lock);
            ksm_scan_forget(space);
            spin_unlock(&ksm_lock);
        }
        mm_put(mm);
        sched_point();
    }
    mutex_unlock(&ksm_scan_mutex);
}

static bool work_to_do(void)
{
    spin_lock(&ksm_lock);
    bool any = !list_empty(&ksm_spaces);
    spin_unlock(&ksm_lock);
    return any && atomic_load(&ksm_run) == KSM_RUN_MERGE;
}

static void ksmd(void *unused)
{
    (void)unused;
    for (;;) {
        u64 pause = atomic_load(&ksm_sleep_millisecs);

        wait_prepare(&ksm_wake);
        if (!work_to_do())
            wait_sleep(&ksm_wake, false, 0);
        else if (pause)
            wait_sleep(&ksm_wake, false, time_ns() + pause * 1000000);
        else
            wait_cancel(&ksm_wake);
        if (work_to_do())
            scan_batch(atomic_load(&ksm_pages_to_scan));
        sched_point();
    }
}

void ksm_scan_start(void)
{
    thread_create_kernel("ksmd", ksmd, NULL, 5);
}
