/*
 * rmap.c: walking from a frame to the entries that map it.
 *
 * The nodes of the owner's subtree are visited in preorder, without recursion: down to the first
 * child, else on to the next sibling of the nearest ancestor that has one. In each space the VMAs
 * that hold the index are looked up, and of each the one entry.
 *
 * frame->maps says how many entries there are; the walk ends when it has seen as many, so a page of
 * one process of a large family costs one look in most cases.
 */
#include "kernel/mm/rmap.h"
#include "kernel/base/counter.h"
#include "kernel/base/log.h"

struct walk {
    struct frame *frame;
    u64 index;
    u32 left; /* mappings not yet seen */
    rmap_visit visit;
    void *context;
};

static enum rmap_result visit_slot(struct walk *walk, struct vma *vma, va_t va)
{
    enum rmap_result result = RMAP_DONE;
    pte_t *slot = pt_walk(&vma->mm->pt, va);

    if (!slot)
        return RMAP_DONE;
    pt_lock(slot);
    pte_t pte = pte_read(slot);
    if (pte_is_mapped(pte) && pte_pfn(pte).raw == frame_pfn(walk->frame).raw) {
        struct rmap_slot at = {.mm = vma->mm, .vma = vma, .va = va, .slot = slot};

        count(COUNT_rmap_visit);
        walk->left--;
        if (!walk->visit(&at, walk->context))
            result = RMAP_STOPPED;
    }
    pt_unlock(slot);
    return result;
}

static enum rmap_result visit_space(struct walk *walk, struct mm *mm)
{
    enum rmap_result result = RMAP_DONE;
    struct vma *vma = NULL;
    va_t va;

    if (!rwsem_try_read(&mm->lock)) {
        count(COUNT_rmap_busy);
        return RMAP_BUSY;
    }
    while (result == RMAP_DONE && walk->left > 0 &&
           (vma = vma_find_index(mm, walk->index, &va, vma)))
        result = visit_slot(walk, vma, va);
    rwsem_read_done(&mm->lock);
    return result;
}

/* The node after this one in the subtree below top; NULL = that was the last. */
static struct lineage *next_node(struct lineage *node, const struct lineage *top)
{
    if (!list_empty(&node->children))
        return list_first_entry(&node->children, struct lineage, sibling);
    for (; node != top; node = node->parent)
        if (node->sibling.next != &node->parent->children)
            return list_next_entry(node, sibling);
    return NULL;
}

enum rmap_result rmap_walk_index(struct lineage *node, u64 index, struct frame *frame,
                                 rmap_visit visit, void *context)
{
    struct walk walk = {.frame = frame,
                        .index = index,
                        .left = atomic_load_explicit(&frame->maps, memory_order_relaxed),
                        .visit = visit,
                        .context = context};
    enum rmap_result result = RMAP_DONE;

    count(COUNT_rmap_walk);
    spin_lock(&node->tree->lock);
    for (struct lineage *at = node; at && walk.left > 0 && result == RMAP_DONE;
         at = next_node(at, node))
        if (at->mm)
            result = visit_space(&walk, at->mm);
    spin_unlock(&node->tree->lock);
    return result;
}

enum rmap_result rmap_walk(struct frame *frame, rmap_visit visit, void *context)
{
    debug_assert(frame_kind(frame) == FRAME_KIND_ANON);
    return rmap_walk_index(frame->owner, frame->index, frame, visit, context);
}
