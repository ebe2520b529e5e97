/*
 * ksm_merge.c: the primitive: one page of one space replaced by a merged frame of equal content.
 *
 *   protect   take the write permission away, note it for the flush
 *   flush     the caller's, one for many pages: from here no CPU writes through an old translation
 *   adopt     the first of two equal pages: its own frame becomes the merged one
 *   merge     under the page-table lock: still the read-only private page? the count rule? equal,
 *             byte by byte? replace
 *
 * Why it is safe. After the flush a user store faults; the fault waits for the page-table lock or
 * finds the frame its own and makes the entry writable again, which merge sees and refuses. Every
 * reference that could lead to a write without the entry (a pin for a device, a copy under way) is
 * counted in refs, and pins are taken under the page-table lock; so refs == maps means that nobody
 * but page tables can reach the frame, and all of those are read-only. A page that is refused after
 * it was protected stays read-only; its next write fault finds it exclusive and reuses it (cow.c).
 *
 * The content of `merged` can't change: it is mapped read-only everywhere, and a write fault copies
 * or, for its last user, takes it out of the index first.
 */
#include "kernel/base/counter.h"
#include "kernel/mm/ksm_internal.h"
#include "kernel/mm/rmap.h"
#include "kernel/mm/zap.h"
#include "lib/page.h"

/* The count rule for a page nobody works on: mappings, and the swap cache. */
static bool frame_only_mapped(struct frame *frame)
{
    u32 cached =
        atomic_load_explicit(&frame->flags, memory_order_relaxed) & FRAME_SWAPCACHE ? 1 : 0;

    return atomic_load_explicit(&frame->refs, memory_order_acquire) ==
           atomic_load_explicit(&frame->maps, memory_order_relaxed) + cached;
}

bool ksm_protect_page(struct mm *mm, va_t va, struct tlb_batch *batch)
{
    pte_t *slot = pt_walk(&mm->pt, va);

    if (!slot)
        return false;
    pt_lock(slot);
    pte_t pte = pte_read(slot);
    struct frame *frame = ksm_candidate(pte);
    bool possible = frame && frame_only_mapped(frame);

    if (possible && pte_is_writable(pte)) {
        pte_clear_bits(slot, PTE_W);
        tlb_batch_add(batch, mm, va);
    }
    pt_unlock(slot);
    if (frame && !possible)
        count(COUNT_ksm_refused_pinned);
    return possible;
}

/* Commits: the entry maps `merged` from now on, NULL: the zero page; the old frame's reference goes
 * to the batch. */
static void replace_frame(struct mm *mm, va_t va, pte_t *slot, pte_t old, struct frame *merged,
                          struct tlb_batch *batch)
{
    struct frame *frame = pte_frame(old);
    u32 prot = PTE_READ | (pte_is_executable(old) ? PTE_EXEC : 0);

    if (merged) {
        frame_get(merged);
        frame_account_map(mm, merged);
        pte_exchange(slot, pte_make(frame_pfn(merged), prot));
    } else {
        pte_exchange(slot, pte_ksm_zero(pte_make(frame_pfn(zero_frame), prot)));
        ksm_count_zero(mm, 1);
    }
    frame_account_unmap(mm, frame);
    tlb_batch_add(batch, mm, va);
    tlb_batch_add_frame(batch, frame);
    count(COUNT_ksm_merge);
}

static bool has_content_of(const struct frame *frame, const struct frame *merged)
{
    return merged ? page_equal(frame_page(frame), frame_page(merged))
                  : page_is_zero(frame_page(frame));
}

enum ksm_merge_result ksm_merge_page(struct mm *mm, va_t va, struct frame *merged,
                                     struct tlb_batch *batch)
{
    pte_t *slot = pt_walk(&mm->pt, va);
    enum ksm_merge_result result = KSM_MERGE_DONE;

    if (!slot)
        return KSM_MERGE_GONE;
    pt_lock(slot);
    pte_t pte = pte_read(slot);
    struct frame *frame = ksm_candidate(pte);

    if (!frame || pte_is_writable(pte))
        result = KSM_MERGE_GONE;
    else if (!frame_only_mapped(frame))
        result = KSM_MERGE_PINNED;
    else if (!has_content_of(frame, merged))
        result = KSM_MERGE_DIFFERENT;
    else
        replace_frame(mm, va, slot, pte, merged, batch);
    pt_unlock(slot);

    if (result == KSM_MERGE_PINNED)
        count(COUNT_ksm_refused_pinned);
    else if (result != KSM_MERGE_DONE)
        count(COUNT_ksm_refused_changed);
    return result;
}

/* --- the first page of a node --- */

/*
 * The entry is still as protect left it, and clean: after the flush no store can set the dirty bit
 * unnoticed, so the content is what it was when it was hashed.
 */
static bool is_unchanged(pte_t pte)
{
    return ksm_candidate(pte) && !pte_is_writable(pte) && !pte_is_dirty(pte);
}

/* In place, if the entry at hand is all there is: nobody can get a reference while refs is 0. The
 * lineage it leaves, whose reference the caller drops, in *lineage. Table locked. */
static bool adopt_in_place(struct mm *mm, struct frame *frame, struct ksm_node *node,
                           struct lineage **lineage)
{
    if (!frame_freeze(frame, 1))
        return false;
    *lineage = frame->owner;
    frame_account_unmap(mm, frame);
    ksm_node_take(node, frame);
    frame_account_map(mm, frame);
    frame_unfreeze(frame, 2); /* the mapping's, and the caller's */
    return true;
}

/* Where a merged page may be if this one becomes one. */
static struct frame *alloc_beside(pte_t pte)
{
    if (atomic_load(&ksm_merge_across_nodes) || !pte_is_present(pte))
        return frame_alloc(0, ALLOC_RESERVE, NODE_ANY);
    return frame_alloc(0, ALLOC_RESERVE | ALLOC_NODE_ONLY, frame_node(pte_frame(pte)));
}

/* The page is shared by a fork: the others keep it. */
static struct frame *adopt_copy(struct mm *mm, va_t va, pte_t *slot, struct ksm_node *node,
                                struct tlb_batch *batch)
{
    struct frame *copy = alloc_beside(pte_read(slot));

    if (!copy)
        return NULL;
    pt_lock(slot);
    pte_t pte = pte_read(slot);
    bool possible = is_unchanged(pte) && frame_only_mapped(pte_frame(pte));
    if (possible) {
        page_copy(frame_page(copy), frame_page(pte_frame(pte)));
        ksm_node_take(node, copy);
        replace_frame(mm, va, slot, pte, copy, batch);
    }
    pt_unlock(slot);
    if (!possible)
        frame_put(copy);
    return possible ? copy : NULL;
}

struct frame *ksm_adopt_page(struct mm *mm, va_t va, struct ksm_node *node, struct tlb_batch *batch)
{
    pte_t *slot = pt_walk(&mm->pt, va);
    struct lineage *lineage = NULL;

    if (!slot)
        return NULL;
    pt_lock(slot);
    pte_t pte = pte_read(slot);
    bool in_place = is_unchanged(pte) && adopt_in_place(mm, pte_frame(pte), node, &lineage);
    pt_unlock(slot);
    if (!in_place)
        return adopt_copy(mm, va, slot, node, batch);
    lineage_put(lineage); /* its lock ranks above the table's */
    count(COUNT_ksm_adopt);
    return pte_frame(pte);
}
