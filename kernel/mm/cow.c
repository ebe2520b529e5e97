/*
 * cow.c: a write to a page that is mapped read-only in writable private memory.
 *
 *   the zero page            a fresh page of zeros
 *   a page nobody else sees  reused: the entry becomes writable, nothing is copied
 *   any other                copied, and the copy takes its place
 *
 * cow_decide answers "does anybody else see it?" with the count rule (frame.h). It is asked with
 * the table locked, so our mapping stays and nobody can get a reference through it; if the one
 * reference is our mapping's (and those of pins, which are ours: a page is pinned for writing only
 * when it is exclusive, and stays so until unpinned), nobody can ever get one, and no lock on the
 * frame is needed. A mapping that another took away is counted out of maps before its TLB entries
 * are gone, and out of refs after: that is why maps alone proves nothing.
 *
 * The copy: prepare it with a reference to the original; look again; clear the entry, flush the
 * other CPUs, set the new entry. No CPU can then read the old page after another has written to the
 * new.
 */
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/tunable.h"
#include "kernel/mm/fault.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/zap.h"
#include "lib/format.h"
#include "lib/page.h"

enum cow_decision { COW_REUSE, COW_DO_COPY, COW_RETRY };

_Atomic u64 cow_policy = COW_EXACT;

/* --- the decision --- */

/* Whether a private frame with so many references belongs to the mapping that asks alone. */
static bool frame_is_ours(struct frame *frame, u32 refs)
{
    u32 maps = atomic_load_explicit(&frame->maps, memory_order_relaxed);

    switch (atomic_load_explicit(&cow_policy, memory_order_relaxed)) {
    case COW_EXACT: return maps == 1 && refs == 1 + __atomic_load_n(&frame->pins, __ATOMIC_RELAXED);
    case COW_COUNT: return refs == 1;
    case COW_MAPCOUNT: return maps == 1;
    default: return false;
    }
}

/* The last user of a merged frame gets it as a private one, and the figures follow. False: somebody
 * else can see it. */
static bool cow_reuse_merged(const struct fault *fault, struct frame *frame)
{
    struct mm *mm = fault->mm;

    if (!ksm_reuse_frame(frame, mm->lineage, vma_index(fault->vma, fault->va)))
        return false;
    ksm_count_mappings(-1);
    atomic_fetch_sub_explicit(&mm->rss_merged, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&mm->rss_anon, 1, memory_order_relaxed);
    return true;
}

static enum cow_decision copy_because(enum counter cause)
{
    count(cause);
    return COW_DO_COPY;
}

static enum cow_decision cow_decide_private(struct frame *frame, u32 refs)
{
    if (frame_is_ours(frame, refs))
        return COW_REUSE;
    if (atomic_load_explicit(&frame->maps, memory_order_relaxed) > 1)
        return copy_because(COUNT_cow_copy_shared);
    if (refs > 1 + __atomic_load_n(&frame->pins, __ATOMIC_RELAXED))
        return copy_because(COUNT_cow_copy_referenced);
    return copy_because(COUNT_cow_copy_policy);
}

static enum cow_decision cow_decide_merged(const struct fault *fault, struct frame *frame, u32 refs)
{
    if (refs != 1)
        return copy_because(COUNT_cow_ksm_shared);
    if (atomic_load(&cow_policy) != COW_EXACT)
        return copy_because(COUNT_cow_ksm_policy);
    return cow_reuse_merged(fault, frame) ? COW_REUSE : copy_because(COUNT_cow_ksm_raced);
}

static enum cow_decision cow_decide(const struct fault *fault, struct frame *frame)
{
    u32 refs = atomic_load_explicit(&frame->refs, memory_order_acquire);

    if (refs == 0)
        return COW_RETRY; /* frozen: its identity is changing */
    switch (frame_kind(frame)) {
    case FRAME_KIND_ANON: return cow_decide_private(frame, refs);
    case FRAME_KIND_MERGED: return cow_decide_merged(fault, frame, refs);
    default: return copy_because(COUNT_cow_copy_object); /* the object keeps its frame */
    }
}

bool cow_is_settled(struct frame *frame)
{
    return frame_kind(frame) == FRAME_KIND_ANON &&
           frame_is_ours(frame, atomic_load_explicit(&frame->refs, memory_order_acquire));
}

/* --- carrying it out --- */

/* The entry stops mapping the old page everywhere, then maps the new one. The table is locked. */
static void cow_replace(struct fault *fault, struct frame *frame)
{
    pte_t old = pte_exchange(fault->slot, (pte_t){0});

    if (unlikely(pte_is_ksm_zero(old)))
        ksm_count_zero(fault->mm, -1);
    tlb_flush_page(fault->mm, fault->va, TLB_COW);
    fault_map_private(fault, frame);
}

static u32 cow_zero_page(struct fault *fault)
{
    struct frame *frame = fault_new_frame(fault, ALLOC_ZERO);

    if (!frame)
        return MG_FAULT_OOM;
    if (!fault_lock(fault)) {
        frame_put(frame);
        return 0;
    }
    cow_replace(fault, frame);
    pt_unlock(fault->slot);
    count(COUNT_fault_anon);
    return 0;
}

/* We hold a reference to `old` beside the mapping's; both are gone on return, if we did the
 * copy. */
static u32 cow_copy(struct fault *fault, struct frame *old)
{
    struct frame *copy = fault_new_frame(fault, 0);

    if (!copy) {
        frame_put(old);
        return MG_FAULT_OOM;
    }
    page_copy(frame_page(copy), frame_page(old));
    if (!fault_lock(fault)) {
        frame_put(copy);
        frame_put(old);
        return 0;
    }
    count(frame_kind(old) == FRAME_KIND_MERGED ? COUNT_cow_ksm : COUNT_cow_copy);
    frame_account_unmap(fault->mm, old);
    cow_replace(fault, copy);
    pt_unlock(fault->slot);
    atomic_fetch_add_explicit(&fault->mm->cow_faults, 1, memory_order_relaxed);
    frame_put(old);
    frame_put(old);
    return 0;
}

u32 fault_cow(struct fault *fault)
{
    if (pte_is_special(fault->pte))
        return cow_zero_page(fault);
    if (!fault_lock(fault))
        return 0;
    struct frame *frame = pte_frame(fault->pte);
    enum cow_decision decision = cow_decide(fault, frame);

    if (decision == COW_REUSE)
        pte_set_bits(fault->slot, PTE_W | PTE_D);
    else if (decision == COW_DO_COPY)
        frame_get(frame);
    pt_unlock(fault->slot);

    switch (decision) {
    case COW_REUSE: count(COUNT_cow_reuse); return 0;
    case COW_RETRY: count(COUNT_cow_retry); return 0;
    default: return cow_copy(fault, frame);
    }
}

/* --- the policy, by name --- */

static const char *const policy_names[] = {
    [COW_EXACT] = "exact", [COW_COUNT] = "count", [COW_MAPCOUNT] = "mapcount", [COW_COPY] = "copy"};

static s64 policy_read(const struct tunable *t, char *buffer, usize size)
{
    (void)t;
    return (s64)format(buffer, size, "%s\n", policy_names[atomic_load(&cow_policy)]);
}

static s64 policy_write(const struct tunable *t, const char *text, usize length)
{
    (void)t;
    for (u32 i = 0; i < ARRAY_LEN(policy_names); i++)
        if (tunable_is_word(text, length, policy_names[i])) {
            atomic_store(&cow_policy, i);
            return 0;
        }
    return -EINVAL;
}

TUNABLE(cow_policy, .name = "cow.policy",
        .help = "when a write reuses a page: exact count mapcount copy", .read = policy_read,
        .write = policy_write);
