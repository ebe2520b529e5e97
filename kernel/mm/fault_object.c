/*
 * fault_object.c: faults on mappings of objects.
 *
 * A shared mapping, and a private one that only reads, map the object's own frames; a write to a
 * private one takes a copy. object->lock is held from finding the frame to setting the entry, so
 * that truncation, which takes both away, comes before or after.
 *
 * A fault also maps the neighbours that are in memory already (mm.fault_around pages, aligned):
 * text is read in runs, and an entry costs far less than a fault.
 */
#include "kernel/base/counter.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/object.h"
#include "kernel/mm/zap.h"
#include "lib/page.h"

static _Atomic u64 fault_around = 16;
TUNABLE_U64(fault_around, "mm.fault_around", fault_around, 1, 512,
            "pages of an object mapped by one fault");

/* What an entry for the object's own frame may do. */
static u32 object_rights(const struct vma *vma)
{
    return vma_is_private(vma) ? vma_rights(vma) & ~(u32)PTE_WRITE : vma_rights(vma);
}

/* --- a physical range: nothing is counted --- */

static u32 cache_rights(const struct object *object)
{
    switch (object->cache) {
    case MG_PHYS_UNCACHED: return PTE_UNCACHED;
    case MG_PHYS_WRITE_COMBINING: return PTE_WRITE_COMBINING;
    default: return 0;
    }
}

static u32 fault_physical(struct fault *fault)
{
    const struct object *object = fault->vma->object;
    u64 offset = vma_object_page(fault->vma, fault->va) << PAGE_SHIFT;

    if (offset >= object->bytes)
        return MG_FAULT_BUS;
    pte_t pte = pte_make(pa_pfn((pa_t){object->base.raw + offset}),
                         vma_rights(fault->vma) | cache_rights(object));
    if (!fault_lock(fault))
        return 0;
    pte_set(fault->slot, pte_special(pte));
    pt_unlock(fault->slot);
    return 0;
}

/* --- frames of the object --- */

static void map_frame(pte_t *slot, struct frame *frame, struct mm *mm, u32 rights)
{
    frame_get(frame);
    frame_account_map(mm, frame);
    pte_set(slot, pte_make(frame_pfn(frame), rights));
}

/* Maps what is there around the fault, within the VMA and the leaf table. */
static void map_around(struct fault *fault, u64 pages)
{
    const struct vma *vma = fault->vma;
    u64 span = pages * PAGE_SIZE;
    va_t from = MAX(fault->va / span * span, vma->start);
    va_t to = MIN(fault->va / span * span + span, vma->end);

    from = MAX(from, ALIGN_DOWN(fault->va, PT_LEAF_SPAN));
    to = MIN(to, ALIGN_DOWN(fault->va, PT_LEAF_SPAN) + PT_LEAF_SPAN);
    pte_t *slot = fault->slot - ((fault->va - from) >> PAGE_SHIFT);
    for (va_t va = from; va < to; va += PAGE_SIZE, slot++) {
        if (!pte_is_none(pte_read(slot)))
            continue;
        struct frame *frame = object_find(vma->object, vma_object_page(vma, va));
        if (frame)
            map_frame(slot, frame, fault->mm, object_rights(vma));
    }
}

static u32 map_object_frame(struct fault *fault, struct frame *frame)
{
    u64 around = atomic_load_explicit(&fault_around, memory_order_relaxed);

    if (!fault_lock(fault))
        return 0;
    map_frame(fault->slot, frame, fault->mm, object_rights(fault->vma));
    if (around > 1)
        map_around(fault, around);
    pt_unlock(fault->slot);
    count(COUNT_fault_object);
    return 0;
}

static u32 map_private_copy(struct fault *fault, const struct frame *original)
{
    struct frame *copy = fault_new_frame(fault, 0);

    if (!copy)
        return MG_FAULT_OOM;
    page_copy(frame_page(copy), frame_page(original));
    if (!fault_lock(fault)) {
        frame_put(copy);
        return 0;
    }
    fault_map_private(fault, copy);
    pt_unlock(fault->slot);
    count(COUNT_cow_copy);
    count(COUNT_cow_copy_object);
    atomic_fetch_add_explicit(&fault->mm->cow_faults, 1, memory_order_relaxed);
    return 0;
}

u32 fault_object(struct fault *fault)
{
    struct object *object = fault->vma->object;
    bool beyond;
    u32 result;

    if (object->physical)
        return fault_physical(fault);
    mutex_lock(&object->lock);
    struct frame *frame =
        object_find_or_create(object, vma_object_page(fault->vma, fault->va), &beyond);
    if (!frame)
        result = beyond ? MG_FAULT_BUS : MG_FAULT_OOM;
    else if ((fault->access & ACCESS_WRITE) && vma_is_private(fault->vma))
        result = map_private_copy(fault, frame);
    else
        result = map_object_frame(fault, frame);
    mutex_unlock(&object->lock);
    return result;
}
