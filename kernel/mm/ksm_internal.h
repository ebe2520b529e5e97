/*
 * ksm_internal.h: what the files of the merging engine share.
 *
 *   ksm.c          registration of spaces, the merged frame's end, reuse, unsharing
 *   ksm_item.c     the scan records and where they are kept
 *   ksm_index_*.c  finding equal content
 *   ksm_merge.c    one page replaced by a merged frame
 *   ksm_scan.c     ksmd: which pages are looked at, when
 *   ksm_control.c  knobs and figures
 *
 * Locks. ksm_lock (a spinlock below the page-table and frame locks) guards the index, nodes, item
 * states and the list of spaces. Items of a space are made and freed only with its mm->lock held
 * (scanner: reading; unmap, exit: writing).
 */
#pragma once

#include "kernel/base/lock.h"
#include "kernel/mm/ksm.h"
#include "kernel/mm/ksm_index.h"
#include "kernel/mm/tlb.h"
#include "kernel/task/sync.h"
#include "lib/list.h"
#include "lib/radix.h"

#define KSM_LEAF_ITEMS 128ul
#define KSM_LEAF_SPAN (KSM_LEAF_ITEMS * PAGE_SIZE) /* address range one page of items describes */

/* One registered space. */
struct ksm_mm {
    struct mm *mm;
    struct list link;       /* in ksm_spaces; guarded by ksm_lock */
    struct radix leaves;    /* address / KSM_LEAF_SPAN -> page of items; guarded by mm->lock */
    _Atomic u64 item_count; /* items not KSM_NONE */
    u64 unmerge_round;      /* of ksm_unmerge_all; guarded by ksm_scan_mutex */
};

struct ksm_stats {
    _Atomic u64 items;    /* not KSM_NONE */
    _Atomic u64 unstable; /* KSM_UNSTABLE */
    _Atomic u64 shared;   /* merged frames in use */
    _Atomic s64 mappings; /* PTEs that map merged frames */
    _Atomic u64 scanned;  /* pages that were hashed or looked up */
    _Atomic u64 full_scans;
    _Atomic u64 leaves; /* pages of items */
};

extern struct ksm_stats ksm_stats;
extern struct spinlock ksm_lock;
extern struct list ksm_spaces;
extern const struct merge_index_ops *ksm_index_ops;
extern struct merge_index *ksm_index;

enum { KSM_RUN_STOP, KSM_RUN_MERGE, KSM_RUN_UNMERGE };
extern _Atomic u64 ksm_run, ksm_pages_to_scan, ksm_sleep_millisecs;
extern struct wait_queue
    ksm_wake; /* ksmd sleeps here; woken when a knob changes or a space is registered */

extern struct mutex
    /* held by ksmd while it scans and by a change of ksm_run; rank above mm->lock */
    ksm_scan_mutex;

/* --- ksm_scan.c --- */
/* Moves ksmd's cursor off a space that goes away; ksm_lock held. */
void ksm_scan_forget(struct ksm_mm *space);
void ksm_scan_start(void);

/* --- ksm.c --- */
/* A space of the list with a reference, so that it can't go away: false when it is ending. ksm_lock
 * held. */
bool ksm_mm_try_get(struct mm *mm);
/* Everything merged becomes private again, in all spaces: 0 or -ENOMEM. ksm_scan_mutex held. */
s64 ksm_unmerge_all(void);
/* A node without a frame, not in the index; kfree ends it while it stays so. NULL = no memory. */
struct ksm_node *ksm_node_create(u64 hash, u32 domain);
/* The frame, which nobody else can reach now, becomes the node's: of kind MERGED. */
void ksm_node_take(struct ksm_node *node, struct frame *frame);

/* --- ksm_item.c --- */
/* The page of items for va, made if `create`; NULL = absent or no memory. */
struct ksm_item *ksm_leaf(struct ksm_mm *space, va_t va, bool create);
static inline u64 ksm_leaf_slot(va_t va)
{
    return va / PAGE_SIZE % KSM_LEAF_ITEMS;
}
/* Where an item's page is. ksm_lock held. */
void ksm_item_place(const struct ksm_item *item, struct mm **mm, va_t *va);
/* Changes of state; ksm_lock held. To forget: leave index or node, state NONE. */
void ksm_item_forget(struct ksm_item *item);
void ksm_item_set_hash(struct ksm_item *item, u64 hash, u32 domain);
void ksm_item_set_unstable(struct ksm_item *item);
void ksm_item_set_merged(struct ksm_item *item, struct ksm_node *node);
/* Drops all items in [start, end), and the pages of items that lie wholly inside. mm->lock:
 * write. */
void ksm_items_drop(struct ksm_mm *space, va_t start, va_t end);

/* --- ksm_merge.c: all with mm->lock held for reading --- */
/* What the scanner may merge at a PTE: the frame of a present private page, else NULL. Its table's
 * lock is held. */
struct frame *ksm_candidate(pte_t pte);
/* Makes the page at va read-only, to be flushed by the caller. False: nothing to merge there, or
 * somebody works on it. */
bool ksm_protect_page(struct mm *mm, va_t va, struct tlb_batch *batch);
/*
 * The first page of a new node, protected and flushed, clean since it was hashed: its own frame
 * becomes the merged one where nobody else maps it, a copy otherwise. The frame with a reference for
 * the caller; NULL: the page is gone, changed or pinned, or there is no memory.
 */
struct frame *ksm_adopt_page(struct mm *mm, va_t va, struct ksm_node *node,
                             struct tlb_batch *batch);
enum ksm_merge_result { KSM_MERGE_DONE, KSM_MERGE_GONE, KSM_MERGE_PINNED, KSM_MERGE_DIFFERENT };
/* Replaces a protected page by `merged`, to which the caller holds a reference, if their contents
 * are equal. The old frame goes into the batch. */
enum ksm_merge_result ksm_merge_page(struct mm *mm, va_t va, struct frame *merged,
                                     struct tlb_batch *batch);
