/*
 * mmap.c: mapping and unmapping.
 *
 * Mapping goes in three steps: check everything and find a place (nothing has changed), make room
 * if the place is fixed, then insert. What can fail for want of memory is prepared before room is
 * made, so that a failed call leaves the old mappings as they were.
 *
 * Unmapping: split at both ends, take the PTEs away, take the VMAs out, take out the tables that
 * nothing uses any more, flush once, and only then are frames and tables free.
 */
#include "kernel/base/errno.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/layout.h"
#include "kernel/mm/object.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/zap.h"
#include <merganser/abi.h>

/* --- unmapping --- */

static void release_table(struct frame *table, void *context)
{
    struct tlb_batch *batch = context;

    batch->tables = true;
    if (tlb_batch_add_frame(batch, table))
        tlb_batch_flush(batch);
}

/* The tables of the hole around [start, end) which no VMA reaches into. */
static void unlink_tables(struct mm *mm, va_t start, va_t end, struct tlb_batch *batch)
{
    struct vma *next = vma_find(mm, start);
    struct vma *prev =
        next ? vma_prev(next) : rb_entry_or_null(rb_last(&mm->vmas), struct vma, node);
    va_t hole_start = prev ? prev->end : 0, hole_end = next ? next->start : TABLES_END;
    va_t from = start, to = end;

    /* Of each level the tables that the range begins and ends in, if the hole has all of them:
     * others in the hole would have gone before. */
    for (u64 span = PT_LEAF_SPAN; span <= TABLES_END; span *= PT_LEAF_SPAN / PAGE_SIZE) {
        va_t low = ALIGN_DOWN(start, span), high = ALIGN_UP(end, span);

        if (low >= hole_start && low + span <= hole_end)
            from = low;
        if (high <= hole_end && high - span >= hole_start)
            to = high;
    }
    pt_unlink_tables(&mm->pt, from, to, release_table, batch);
    vma_gap_opened(mm, next);
}

static void unmap_vma(struct vma *vma, struct tlb_batch *batch)
{
    if (vma->mm->ksm)
        ksm_forget_range(vma->mm, vma->start, vma->end);
    zap_range(vma, vma->start, vma->end, batch);
    vma_remove(vma); /* before its tables go: truncation walks them as long as it finds the VMA */
}

/* Splits so that no VMA crosses start or end. A split that turned out to be in vain is undone. */
static s64 split_at_ends(struct mm *mm, va_t start, va_t end)
{
    struct vma *first = vma_at(mm, start);

    if (first && vma_split(first, start))
        return -ENOMEM;
    struct vma *last = vma_at(mm, end);
    if (last && vma_split(last, end)) {
        if (first)
            vma_merge_neighbours(first);
        return -ENOMEM;
    }
    return 0;
}

s64 layout_unmap(struct mm *mm, va_t start, va_t end)
{
    struct tlb_batch batch;
    struct vma *vma = vma_find(mm, start);

    if (!vma || vma->start >= end)
        return 0;
    if (split_at_ends(mm, start, end))
        return -ENOMEM;
    tlb_batch_init(&batch, mm, TLB_UNMAP);
    while ((vma = vma_find(mm, start)) && vma->start < end)
        unmap_vma(vma, &batch);
    unlink_tables(mm, start, end, &batch);
    tlb_batch_flush(&batch);
    return 0;
}

s64 mm_unmap(struct mm *mm, va_t addr, u64 len)
{
    if (!IS_ALIGNED(addr, PAGE_SIZE) || addr > USER_END || len > USER_END - addr || len == 0)
        return -EINVAL;
    rwsem_write(&mm->lock);
    s64 error = layout_unmap(mm, addr, addr + page_round(len));
    rwsem_write_done(&mm->lock);
    return error;
}

/* --- mapping: the checks --- */

/* A request as it stands after the checks. */
struct plan {
    const struct map_request *request;
    va_t addr;
    u64 len;
    u32 flags; /* VMA_* */
    struct vma *vma;
};

static bool is_fixed(const struct map_request *request)
{
    return request->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
}

/* Whether the type of mapping exists for what is to be mapped. */
static s64 check_type(const struct map_request *request)
{
    u32 type = request->flags & MAP_TYPE;
    bool shared = type == MAP_SHARED || (type == MAP_SHARED_VALIDATE && request->object);

    if (type != MAP_PRIVATE && !shared)
        return -EINVAL;
    if ((request->flags & MAP_GROWSDOWN) && (shared || request->object))
        return -EINVAL;
    if (!request->object)
        return 0;
    if (request->object->physical && !shared)
        return -EINVAL;
    return shared && request->max_prot && (request->prot & ~request->max_prot & PROT_ALL) ? -EACCES
                                                                                          : 0;
}

/* There are no huge pages: the size asked for is unknown, or its pool is empty. */
static s64 check_huge(const struct map_request *request)
{
    u32 size = request->flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;

    if (!(request->flags & MAP_HUGETLB))
        return 0;
    return (request->flags & MAP_ANONYMOUS) && (size == 0 || size == 21 || size == 30) ? -ENOMEM
                                                                                       : -EINVAL;
}

static s64 check_request(struct plan *plan)
{
    const struct map_request *request = plan->request;
    s64 error = check_huge(request);

    if (error)
        return error;
    if (request->len == 0 || !IS_ALIGNED(request->offset, PAGE_SIZE))
        return -EINVAL;
    plan->len = page_round(request->len);
    if (plan->len == 0 || plan->len > USER_END)
        return -ENOMEM;
    if (request->offset + plan->len < request->offset)
        return -EOVERFLOW;
    return 0;
}

/* --- mapping: the place --- */

static s64 place_fixed(struct mm *mm, struct plan *plan)
{
    if (plan->addr > USER_END - plan->len)
        return -ENOMEM;
    if (!IS_ALIGNED(plan->addr, PAGE_SIZE))
        return -EINVAL;
    if (!(plan->request->flags & MAP_FIXED_NOREPLACE))
        return 0;
    struct vma *vma = vma_find(mm, plan->addr);
    return vma && vma->start < plan->addr + plan->len ? -EEXIST : 0;
}

/* The lowest free place for those who can only use 31 bits. */
static va_t place_low(struct mm *mm, u64 len)
{
    va_t addr = 1ul << 30, end = 1ul << 31;

    for (struct vma *vma; addr + len <= end; addr = vma->end) {
        vma = vma_find(mm, addr);
        if (vma_range_free(mm, addr, addr + len))
            return addr;
    }
    return 0;
}

static s64 find_place(struct mm *mm, struct plan *plan)
{
    const struct map_request *request = plan->request;

    plan->addr = request->addr;
    if (is_fixed(request))
        return place_fixed(mm, plan);
    va_t hint = request->addr & PAGE_MASK;
    if (hint && hint < MMAP_MIN_ADDRESS)
        hint = MMAP_MIN_ADDRESS;
    plan->addr =
        (request->flags & MAP_32BIT) ? place_low(mm, plan->len) : vma_find_gap(mm, plan->len, hint);
    return plan->addr ? 0 : -ENOMEM;
}

/* --- mapping: the limits --- */

/* Pages of [start, end) that are mapped. */
static u64 pages_mapped(struct mm *mm, va_t start, va_t end)
{
    u64 pages = 0;

    for (struct vma *vma = vma_find(mm, start); vma && vma->start < end; vma = vma_next(vma))
        pages += (MIN(end, vma->end) - MAX(start, vma->start)) >> PAGE_SHIFT;
    return pages;
}

static u32 vma_flags(const struct mm *mm, const struct map_request *request)
{
    u32 flags = mm->lock_future;

    if ((request->flags & MAP_TYPE) != MAP_PRIVATE)
        flags |= VMA_SHARED;
    if (request->object && request->object->physical)
        flags |= VMA_PHYSICAL;
    if (request->flags & MAP_GROWSDOWN)
        flags |= VMA_GROWSDOWN;
    if (request->flags & MAP_LOCKED)
        flags |= VMA_LOCKED;
    if (request->flags & MAP_NORESERVE)
        flags |= VMA_NORESERVE;
    return flags & VMA_PHYSICAL ? flags & ~(u32)(VMA_LOCKED | VMA_LOCKONFAULT) : flags;
}

/* Memory that the mapping may come to need of its own. */
static bool is_accounted(const struct plan *plan)
{
    if (plan->flags & (VMA_NORESERVE | VMA_PHYSICAL))
        return false;
    return plan->flags & VMA_SHARED ? !plan->request->object
                                    : (plan->request->prot & PROT_WRITE) != 0;
}

static s64 check_limits(struct mm *mm, const struct plan *plan)
{
    u64 pages = plan->len >> PAGE_SHIFT;
    bool data = vma_is_data(plan->request->prot, plan->flags);

    if ((plan->flags & VMA_LOCKED) && mm->limit_memlock == 0)
        return -EPERM;
    if ((plan->flags & VMA_LOCKED) && !mm_may_lock(mm, pages))
        return -EAGAIN;
    if (!mm_may_grow(mm, pages, data) &&
        !mm_may_grow(mm, pages - pages_mapped(mm, plan->addr, plan->addr + plan->len), data))
        return -ENOMEM;
    return is_accounted(plan) && !memory_is_enough(pages) ? -ENOMEM : 0;
}

/* --- mapping: the work --- */

/* The VMA with everything it needs, not yet inserted. */
static s64 prepare_vma(struct mm *mm, struct plan *plan)
{
    const struct map_request *request = plan->request;
    struct vma *vma = vma_create(mm, plan->addr, plan->addr + plan->len);

    if (!vma)
        return -ENOMEM;
    vma->prot = request->prot & PROT_ALL;
    vma->max_prot = (plan->flags & VMA_SHARED) && request->max_prot ? request->max_prot : PROT_ALL;
    vma->flags = plan->flags;
    vma->object = request->object;
    vma->offset = request->offset >> PAGE_SHIFT;
    if (mm->merge_any && ksm_vma_eligible(vma))
        vma->flags |= VMA_MERGEABLE;
    plan->vma = vma;
    return 0;
}

/* Shared anonymous memory is an object that nobody else has a name for. */
static s64 map_planned(struct mm *mm, struct plan *plan)
{
    bool anonymous_shared = (plan->flags & VMA_SHARED) && !plan->request->object;
    s64 error = prepare_vma(mm, plan);

    if (error)
        return error;
    struct object *own = anonymous_shared ? object_create(plan->len, MG_COOKIE_ANONYMOUS) : NULL;
    if (anonymous_shared) {
        plan->vma->object = own;
        plan->vma->offset = 0;
    }
    if ((anonymous_shared && !own) ||
        (is_fixed(plan->request) && layout_unmap(mm, plan->addr, plan->addr + plan->len)))
        error = -ENOMEM;
    if (error) {
        vma_free(plan->vma);
    } else {
        vma_insert(plan->vma);
        if ((plan->flags & VMA_GROWSDOWN) && !mm->stack_start)
            mm->stack_start = plan->vma->end - 1;
        vma_merge_neighbours(plan->vma);
    }
    if (own)
        object_put(own);
    return error;
}

s64 mm_map(struct mm *mm, const struct map_request *request)
{
    struct plan plan = {.request = request};
    s64 error = check_request(&plan);

    if (error)
        return error;
    rwsem_write(&mm->lock);
    error = find_place(mm, &plan);
    if (!error)
        error = check_type(request);
    if (!error) {
        plan.flags = vma_flags(mm, request);
        error = check_limits(mm, &plan);
    }
    if (!error)
        error = map_planned(mm, &plan);
    rwsem_write_done(&mm->lock);
    if (error)
        return error;
    bool now = (request->flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE ||
               (plan.flags & (VMA_LOCKED | VMA_LOCKONFAULT)) == VMA_LOCKED;
    if (now)
        mm_populate(mm, plan.addr, plan.addr + plan.len);
    return (s64)plan.addr;
}
