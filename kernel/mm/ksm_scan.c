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
 *   match, protect, merge: ksm_match.c
 *
 * A page that is clean and in the unstable index costs nothing but the look at its entry: any page
 * that equals it will find it. Of those that cost more, smart scan leaves out the ones that did not
 * merge in many visits, most of the time.
 *
 * Why a change is never missed: every way to change a private page leaves the dirty bit set
 * afterwards. A store by the program, or by the kernel at the program's address, through a
 * translation loaded after our flush sets it in the entry; a fault that brings another frame
 * installs the entry dirty (mm.h); what is written by the frame and not by the address, by a device
 * or for another task, goes through a pin, which sets the bit when it ends (access.c). A hash that
 * was computed while the page changed is therefore followed by a dirty bit, and computed again.
 *
 * A pin marks the entry through which it was taken, which maps nothing any more if the page has
 * moved. So a pinned page is left alone: where it has moved to it has no hash yet (mremap forgets
 * the records of both ranges), and gets its first after the pin.
 */
#include "kernel/base/counter.h"
#include "kernel/mm/ksm_internal.h"
#include "kernel/task/thread.h"
#include "lib/hash.h"

static struct {
    struct ksm_mm *space; /* NULL = begin a pass; guarded by ksm_lock */
    va_t va; /* guarded likewise, but ksmd's while its reference keeps the space from ending */
    _Atomic u64 passes; /* completed */
} cursor;

static struct ksm_step step; /* ksmd's alone */

/* Leaves a space, done or going away; past the last one a pass is complete. */
void ksm_scan_forget(struct ksm_mm *space)
{
    if (cursor.space != space)
        return;
    cursor.space = space->link.next == &ksm_spaces
                       ? NULL
                       : container_of(space->link.next, struct ksm_mm, link);
    cursor.va = 0;
    if (!cursor.space) {
        atomic_fetch_add(&cursor.passes, 1);
        atomic_fetch_add(&ksm_stats.full_scans, 1);
    }
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

/* Smart scan: the page is left out this time. What was known of it may have changed. */
static bool left_out(struct ksm_item *item)
{
    if (!atomic_load_explicit(&ksm_smart_scan, memory_order_relaxed) || !ksm_item_skip(item))
        return false;
    if (item->state == KSM_UNSTABLE || item->state == KSM_MERGED) {
        spin_lock(&ksm_lock);
        if (item->state == KSM_UNSTABLE)
            ksm_item_set_hashed(item);
        else
            ksm_item_set_hash(item, 0); /* its own is not known, and the entry is dirty */
        spin_unlock(&ksm_lock);
    }
    step.skipped++;
    return true;
}

static void gather_page(va_t va, pte_t *slot, pte_t pte, struct frame *frame, struct ksm_item *item)
{
    bool dirty = pte_is_dirty(pte) || item->state == KSM_NONE || item->state == KSM_MERGED;

    if (!dirty && item->state == step.settled) {
        count(COUNT_ksm_clean);
        return;
    }
    /* Acquire: what was written before the last pin ended is seen by the hash. */
    if (__atomic_load_n(&frame->pins, __ATOMIC_ACQUIRE)) {
        count(COUNT_ksm_refused_pinned);
        return;
    }
    if (left_out(item))
        return;
    if (pte_is_dirty(pte)) {
        pte_clear_bits(slot, PTE_D);
        tlb_batch_add(&step.batch, step.mm, va);
        if (!(atomic_load_explicit(&frame->flags, memory_order_relaxed) & FRAME_DIRTY))
            atomic_fetch_or_explicit(&frame->flags, FRAME_DIRTY, memory_order_relaxed);
    }
    frame_get(frame);
    step.pages[step.count++] =
        (struct ksm_page){.va = va, .item = item, .frame = frame, .dirty = dirty};
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

/* Merged frames that have moved to another NUMA node are to be found among those of that node. */
static void refile_merged(va_t start, va_t end)
{
    struct ksm_item *item = &step.leaf[ksm_leaf_slot(start)];

    spin_lock(&ksm_lock);
    for (; start < end; start += PAGE_SIZE, item++)
        if (item->state == KSM_MERGED && item->node->frame)
            ksm_stable_refile(item->node);
    spin_unlock(&ksm_lock);
}

/* --- hash --- */

static void hash_page_of(struct ksm_page *page)
{
    struct ksm_item *item = page->item;

    if (!page->dirty) {
        page->candidate = true;
        step.candidates++;
        return;
    }
    u64 hash = hash_page(frame_page(page->frame), 0);

    count(COUNT_ksm_hashed);
    if (ksm_item_hash_is(item, hash)) {
        page->candidate = item->state != step.settled || item->numa != ksm_numa(page->frame);
        step.candidates += page->candidate;
        return;
    }
    spin_lock(&ksm_lock);
    ksm_item_set_hash(item, hash);
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
    step.count = step.skipped = step.candidates = 0;
    step.leaf = ksm_leaf(space, start, true);
    pte_t *slot = pt_walk(&space->mm->pt, start);
    *va = end;
    if (!step.leaf || !slot)
        return 1;

    tlb_batch_init(&step.batch, step.mm, TLB_MERGE);
    u64 looked = gather(start, end, slot);
    tlb_batch_flush(&step.batch);
    if (!atomic_load_explicit(&ksm_merge_across_nodes, memory_order_relaxed))
        refile_merged(start, end);
    hash_pages();
    if (step.candidates)
        ksm_match_and_merge(&step);
    atomic_fetch_add(&ksm_stats.skipped, step.skipped);
    return MAX(looked - step.skipped, 1ul);
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

/* An index that begins each pass empty is emptied, a little at a time. */
static void drop_outdated(void)
{
    struct ksm_item *item;

    do {
        spin_lock(&ksm_lock);
        for (u32 i = 0; (item = ksm_index_ops->outdated(ksm_index)) && i < KSM_LEAF_ITEMS; i++)
            ksm_item_set_hashed(item);
        spin_unlock(&ksm_lock);
        sched_point();
    } while (item);
}

/* Between two passes. */
static void turn_over(void)
{
    static u64 seen = ~0ul;
    u64 passes = atomic_load_explicit(&cursor.passes, memory_order_relaxed);

    if (passes == seen)
        return;
    seen = passes;
    ksm_advisor_pass_begins();
    drop_outdated();
    step.settled = atomic_exchange(&ksm_look_again, false) ? KSM_STATES : KSM_UNSTABLE;
}

/* Some pages of the space under the cursor; returns how many. */
static u64 scan_space(struct ksm_mm *space, u64 budget)
{
    struct mm *mm = space->mm;
    va_t va = cursor.va;

    rwsem_read(&mm->lock);
    u64 looked = scan_step(space, &va, budget);
    rwsem_read_done(&mm->lock);
    ksm_partners_put(&step);
    cursor.va = va;
    if (va == 0) {
        spin_lock(&ksm_lock);
        ksm_scan_forget(space);
        spin_unlock(&ksm_lock);
    }
    mm_put(mm);
    return looked;
}

/* So many pages, but not beyond the end of a pass: nobody is visited twice without a sleep. */
static void scan_batch(u64 budget)
{
    mutex_lock(&ksm_scan_mutex);
    turn_over();
    u64 passes = atomic_load(&cursor.passes);
    while (budget > 0 && atomic_load(&ksm_run) == KSM_RUN_MERGE && !atomic_load(&ksm_waiting)) {
        struct ksm_mm *space = cursor_space();

        if (!space)
            break;
        budget -= MIN(scan_space(space, budget), budget);
        if (atomic_load(&cursor.passes) != passes) {
            ksm_advisor_pass_ended();
            break;
        }
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
        u64 since = time_ns();

        wait_prepare(&ksm_wake);
        u64 pause = atomic_load(&ksm_sleep_millisecs) * 1000000; /* a change wakes us */
        if (!work_to_do())
            wait_sleep(&ksm_wake, false, 0);
        else if (pause)
            wait_sleep(&ksm_wake, false, since + pause);
        else
            wait_cancel(&ksm_wake);
        ksm_advisor_rest(since);
        if (work_to_do())
            scan_batch(atomic_load(&ksm_pages_to_scan));
        sched_point();
    }
}

void ksm_scan_start(void)
{
    step.settled = KSM_UNSTABLE;
    thread_create_kernel("ksmd", ksmd, NULL, 5);
}
