/*
 * vma.c: the mappings of a space, in a red-black tree by address.
 *
 *     prev            vma             next
 *   [-----)         [-------)[--------------)        ...      ceiling
 *          <- gap ->         ^ no gap: merged, if the two are alike
 *
 * Invariants: VMAs do not overlap; two neighbours that touch and agree in everything are one; the
 * page figures of the space are the sums over its VMAs; a private VMA whose lineage index is not
 * its address is on mm->moved.
 *
 * Locks: everything that changes here needs mm->lock for writing. A VMA that maps an object is also
 * reached through the object, by truncation, which holds object->lock only: its range and offset
 * change under both locks.
 */
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"

static struct slab_cache vma_cache = SLAB_CACHE("vma", struct vma);
static _Atomic u64 vma_limit = 65530;
TUNABLE_U64(vma_limit, "mm.max_map_count", vma_limit, 16, 1ul << 30, "mappings a space may have");

/* --- finding --- */

struct vma *vma_find(struct mm *mm, va_t va)
{
    struct rb_node *node = mm->vmas.node;
    struct vma *found = NULL;

    while (node) {
        struct vma *vma = rb_entry(node, struct vma, node);

        if (vma->end <= va) {
            node = node->right;
            continue;
        }
        found = vma;
        if (vma->start <= va)
            break;
        node = node->left;
    }
    return found;
}

struct vma *vma_at(struct mm *mm, va_t va)
{
    struct vma *vma = vma_find(mm, va);

    return vma && vma->start <= va ? vma : NULL;
}

struct vma *vma_next(const struct vma *vma)
{
    return rb_entry_or_null(rb_next(&vma->node), struct vma, node);
}

struct vma *vma_prev(const struct vma *vma)
{
    return rb_entry_or_null(rb_prev(&vma->node), struct vma, node);
}

struct vma *vma_find_index(struct mm *mm, u64 index, va_t *va, struct vma *after)
{
    struct list *at = &mm->moved;

    if (!after) {
        struct vma *vma = vma_at(mm, index << PAGE_SHIFT);

        if (vma && vma_is_private(vma) && !(vma->flags & VMA_MOVED)) {
            *va = index << PAGE_SHIFT;
            return vma;
        }
    } else if (after->flags & VMA_MOVED) {
        at = &after->moved_link;
    }
    for (at = at->next; at != &mm->moved; at = at->next) {
        struct vma *vma = list_entry(at, struct vma, moved_link);

        if (index - vma->pgoff < vma_pages(vma)) {
            *va = vma->start + ((index - vma->pgoff) << PAGE_SHIFT);
            return vma;
        }
    }
    return NULL;
}

/* --- figures --- */

static void vma_count_pages(const struct vma *vma, s64 sign)
{
    struct mm *mm = vma->mm;
    u64 pages = (u64)(sign * (s64)vma_pages(vma));

    mm->total += pages;
    if (vma->flags & VMA_LOCKED)
        mm->locked += pages;
    if (vma->flags & VMA_GROWSDOWN)
        mm->stack += pages;
    if (vma_is_data(vma->prot, vma->flags))
        mm->data += pages;
    mm->peak_total = MAX(mm->peak_total, mm->total);
}

void vma_set(struct vma *vma, u32 prot, u32 flags)
{
    vma_count_pages(vma, -1);
    vma->prot = prot;
    vma->flags = flags;
    vma_count_pages(vma, 1);
}

/* --- making and placing --- */

struct vma *vma_create(struct mm *mm, va_t start, va_t end)
{
    struct vma *vma = mm->vma_count < atomic_load(&vma_limit) ? slab_zalloc(&vma_cache) : NULL;

    if (!vma)
        return NULL;
    vma->mm = mm;
    vma->start = start;
    vma->end = end;
    vma->pgoff = start >> PAGE_SHIFT;
    list_init(&vma->object_link);
    list_init(&vma->moved_link);
    return vma;
}

void vma_free(struct vma *vma)
{
    slab_free(&vma_cache, vma);
}

static void tree_insert(struct mm *mm, struct vma *vma)
{
    struct rb_node **link = &mm->vmas.node, *parent = NULL;

    while (*link) {
        struct vma *at = rb_entry(*link, struct vma, node);

        debug_assert(vma->end <= at->start || at->end <= vma->start);
        parent = *link;
        link = vma->start < at->start ? &parent->left : &parent->right;
    }
    rb_link(&vma->node, parent, link);
    rb_insert_fixup(&mm->vmas, &vma->node);
    mm->vma_count++;
}

static void object_lock(const struct vma *vma)
{
    if (vma->object)
        mutex_lock(&vma->object->lock);
}

static void object_unlock(const struct vma *vma)
{
    if (vma->object)
        mutex_unlock(&vma->object->lock);
}

/* The object is locked, and lends the VMA a reference. */
static void vma_place(struct vma *vma)
{
    struct mm *mm = vma->mm;

    tree_insert(mm, vma);
    vma->flags &= ~(u32)VMA_MOVED;
    if (vma_is_private(vma) && vma->pgoff != vma->start >> PAGE_SHIFT) {
        vma->flags |= VMA_MOVED;
        list_add_tail(&vma->moved_link, &mm->moved);
    }
    if (vma->object)
        list_add_tail(&vma->object_link, &object_get(vma->object)->vmas);
    vma_count_pages(vma, 1);
}

/* The object is locked; its reference and the memory are still the VMA's. */
static void vma_displace(struct vma *vma)
{
    vma_count_pages(vma, -1);
    rb_remove(&vma->mm->vmas, &vma->node);
    vma->mm->vma_count--;
    list_remove(&vma->moved_link);
    list_remove(&vma->object_link);
}

static void vma_release(struct vma *vma)
{
    if (vma->object)
        object_put(vma->object);
    vma_free(vma);
}

/* The object is locked. */
static void vma_move_bounds(struct vma *vma, va_t start, va_t end)
{
    u64 forward = (u64)((s64)(start - vma->start) >> PAGE_SHIFT);

    vma_count_pages(vma, -1);
    vma->start = start;
    vma->end = end;
    vma->pgoff += forward;
    vma->offset += forward;
    vma_count_pages(vma, 1);
}

void vma_insert(struct vma *vma)
{
    object_lock(vma);
    vma_place(vma);
    object_unlock(vma);
}

void vma_remove(struct vma *vma)
{
    object_lock(vma);
    vma_displace(vma);
    object_unlock(vma);
    vma_release(vma);
}

void vma_resize(struct vma *vma, va_t start, va_t end)
{
    object_lock(vma);
    vma_move_bounds(vma, start, end);
    object_unlock(vma);
}

struct vma *vma_copy(struct mm *mm, const struct vma *vma, va_t start, va_t end)
{
    struct vma *copy = vma_create(mm, start, end);

    if (!copy)
        return NULL;
    copy->prot = vma->prot;
    copy->max_prot = vma->max_prot;
    copy->flags = vma->flags;
    copy->pgoff = vma->pgoff;
    copy->object = vma->object;
    copy->offset = vma->offset;
    return copy;
}

s64 vma_split(struct vma *vma, va_t va)
{
    if (va <= vma->start || va >= vma->end)
        return 0;
    struct vma *upper = vma_copy(vma->mm, vma, va, vma->end);
    if (!upper)
        return -ENOMEM;
    upper->pgoff = vma_index(vma, va);
    upper->offset = vma_object_page(vma, va);
    object_lock(vma);
    vma_move_bounds(vma, vma->start, va);
    vma_place(upper);
    object_unlock(vma);
    return 0;
}

/* --- merging --- */

static bool vma_can_join(const struct vma *low, const struct vma *high)
{
    if (low->end != high->start || low->flags != high->flags || low->prot != high->prot ||
        low->max_prot != high->max_prot || low->object != high->object ||
        (low->flags & VMA_PHYSICAL))
        return false;
    if (low->object && low->offset + vma_pages(low) != high->offset)
        return false;
    return !vma_is_private(low) || low->pgoff + vma_pages(low) == high->pgoff;
}

static void vma_join(struct vma *low, struct vma *high)
{
    object_lock(low);
    vma_displace(high);
    vma_move_bounds(low, low->start, high->end);
    object_unlock(low);
    vma_release(high);
}

struct vma *vma_merge_neighbours(struct vma *vma)
{
    struct vma *prev = vma_prev(vma), *next = vma_next(vma);

    if (next && vma_can_join(vma, next))
        vma_join(vma, next);
    if (prev && vma_can_join(prev, vma)) {
        vma_join(prev, vma);
        vma = prev;
    }
    return vma;
}
