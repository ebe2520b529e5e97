/*
 * access.c: the memory of any space, for the kernel.
 *
 * A page is held by a reference taken under its table's lock while the entry allows the access; if
 * it does not, a fault is taken on the owner's behalf. Who reads keeps only the reference: the page
 * may be copied or unmapped meanwhile, and then the content is that of a moment ago. Who writes
 * must write to the page that the owner sees, so:
 *
 *   - a page is held for writing only when its entry is writable: it is the owner's alone;
 *   - it is pinned: fork gives the child a copy, merging and reuse by others are refused;
 *   - its entry is marked dirty when the hold begins and when it ends, so that the scanner, which
 *     may have cleared the mark in between, hashes it again.
 *
 * memory_copy holds at most one mm->lock at a time, so copies in both directions can't deadlock.
 */
#include "kernel/mm/access.h"
#include "kernel/base/errno.h"
#include "kernel/mm/mm.h"
#include "kernel/mm/object.h"
#include "kernel/sys/user.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

/* --- holding a page --- */

/* An entry of a physical range maps no counted frame: even where there is memory behind it, the
 * first reference put would give it to the allocator. */
static bool has_frame(pte_t pte)
{
    return !pte_is_special(pte) || pte_frame(pte) == zero_frame;
}

/* The frame at va with a reference, if the entry allows the access now. */
static struct frame *hold_present(struct mm *mm, va_t va, bool write)
{
    pte_t *slot = pt_walk(&mm->pt, va);
    struct frame *frame = NULL;

    if (!slot)
        return NULL;
    pt_lock(slot);
    pte_t pte = pte_read(slot);
    if (pte_is_present(pte) && (!write || pte_is_writable(pte)) && has_frame(pte)) {
        frame = pte_frame(pte);
        frame_get(frame);
        if (write) {
            __atomic_fetch_add(&frame->pins, 1, __ATOMIC_RELAXED);
            pte_set_bits(slot, PTE_D);
        }
    }
    pt_unlock(slot);
    return frame;
}

static bool is_device(struct mm *mm, va_t va)
{
    struct vma *vma = vma_at(mm, va);

    return vma && (vma->flags & VMA_PHYSICAL);
}

struct frame *mm_pin_page(struct mm *mm, va_t va, bool write)
{
    if (va >= USER_END)
        return NULL;
    for (;;) {
        rwsem_read(&mm->lock);
        struct frame *frame = hold_present(mm, va, write);
        bool device = !frame && is_device(mm, va);
        rwsem_read_done(&mm->lock);
        if (frame)
            return frame;
        if (device || mm_fault(mm, va, write ? ACCESS_WRITE : ACCESS_READ))
            return NULL;
    }
}

static void mark_dirty(struct mm *mm, va_t va, struct frame *frame)
{
    rwsem_read(&mm->lock);
    pte_t *slot = pt_walk(&mm->pt, va);
    if (slot) {
        pt_lock(slot);
        pte_t pte = pte_read(slot);
        if (pte_is_mapped(pte) && pte_pfn(pte).raw == frame_pfn(frame).raw)
            pte_set_bits(slot, PTE_D);
        pt_unlock(slot);
    }
    rwsem_read_done(&mm->lock);
}

void mm_unpin_page(struct mm *mm, va_t va, struct frame *frame, bool write)
{
    if (write) {
        mark_dirty(mm, va, frame);
        __atomic_fetch_sub(&frame->pins, 1, __ATOMIC_RELEASE);
    }
    frame_put(frame);
}

/* --- copying --- */

/* A page of one side, held. */
struct held {
    struct frame *frame; /* NULL: a page of zeros */
    bool bad;
};

static struct held side_hold(const struct memory_side *side, bool write)
{
    struct held held = {0};

    if (side->object) {
        bool beyond = true;

        if (!side->object->physical)
            held.frame = object_frame(side->object, side->offset >> PAGE_SHIFT, write, &beyond);
        held.bad = !held.frame && (write || beyond);
    } else {
        held.frame = mm_pin_page(side->mm, side->offset, write);
        held.bad = !held.frame;
    }
    return held;
}

static void side_release(const struct memory_side *side, struct frame *frame, bool write)
{
    if (!frame)
        return;
    if (side->object)
        frame_put(frame);
    else
        mm_unpin_page(side->mm, side->offset & PAGE_MASK, frame, write);
}

/* Copies within one page of each side; false when one of them can't be reached. */
static bool copy_piece(const struct memory_side *to, const struct memory_side *from, u64 len)
{
    struct held source = side_hold(from, false);

    if (source.bad)
        return false;
    struct held target = side_hold(to, true);
    if (!target.bad) {
        u8 *out = (u8 *)frame_page(target.frame) + to->offset % PAGE_SIZE;
        const u8 *in = (u8 *)frame_page(source.frame ? source.frame : zero_frame);

        memmove(out, in + from->offset % PAGE_SIZE, len);
        side_release(to, target.frame, true);
    }
    side_release(from, source.frame, false);
    return !target.bad;
}

s64 memory_copy(struct memory_side *to, struct memory_side *from, u64 len)
{
    u64 done = 0;

    while (done < len && !thread_is_dying()) {
        u64 piece = MIN(len - done, PAGE_SIZE - to->offset % PAGE_SIZE);

        piece = MIN(piece, PAGE_SIZE - from->offset % PAGE_SIZE);
        if (!copy_piece(to, from, piece))
            break;
        to->offset += piece;
        from->offset += piece;
        done += piece;
        sched_point();
    }
    return done || !len ? (s64)done : -EFAULT;
}

/* --- futex --- */

/* Private memory is known by its address in the space, shared memory by its place in the object. */
s64 futex_key(u64 address, bool private, struct futex_key *key)
{
    struct mm *mm = current_mm();

    *key = (struct futex_key){.space = mm, .offset = address};
    if (!user_range_ok(address, sizeof(u32)))
        return -EFAULT;
    if (private)
        return 0;
    rwsem_read(&mm->lock);
    struct vma *vma = vma_at(mm, address);
    if (vma && (vma->flags & VMA_SHARED)) {
        key->space = vma->object;
        key->offset = (vma_object_page(vma, address) << PAGE_SHIFT) + address % PAGE_SIZE;
    }
    rwsem_read_done(&mm->lock);
    return vma ? 0 : -EFAULT;
}
