/*
 * ksm_internal.h: what the files of the merging engine share.
 *
 *   ksm.c          registration of spaces, reuse, making pages private again
 *   ksm_item.c     the scan records and where they are kept
 *   ksm_stable.c   merged frames, and chains of those with equal content
 *   ksm_index_*.c  finding equal content
 *   ksm_merge.c    one page replaced by a merged frame
 *   ksm_scan.c     ksmd: which pages are looked at, when
 *   ksm_match.c    what is done with those that did not change
 *   ksm_advisor.c  how many pages at a time
 *   ksm_control.c  knobs
 *   ksm_figures.c  figures
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
    u64 round;              /* of all_spaces; guarded by ksm_scan_mutex */
};

struct ksm_stats {
    _Atomic u64 items;    /* not KSM_NONE */
    _Atomic u64 unstable; /* KSM_UNSTABLE */
    _Atomic u64 shared;   /* merged frames in use */
    _Atomic s64 mappings; /* PTEs that map merged frames */
    _Atomic s64 zero;     /* PTEs that map the zero page because the scanner put it there */
    _Atomic u64 scanned;  /* pages that were hashed or looked up */
    _Atomic u64 skipped;  /* pages that smart scan left out */
    _Atomic u64 full_scans;
    _Atomic u64 leaves; /* pages of items */
    _Atomic u64 chains; /* contents that have several merged frames */
    _Atomic u64 dups;   /* frames of those */
    _Atomic u64 bytes;  /* memory that all this takes, but for the index's tables */
};

extern struct ksm_stats ksm_stats;
extern struct spinlock ksm_lock;
extern struct list ksm_spaces;
extern const struct merge_index_ops *ksm_index_ops;
extern struct merge_index *ksm_index;

enum { KSM_RUN_STOP, KSM_RUN_MERGE, KSM_RUN_UNMERGE };

/* --- ksm_control.c: the knobs --- */
extern _Atomic u64 ksm_run, ksm_pages_to_scan, ksm_sleep_millisecs;
extern _Atomic u64 ksm_merge_across_nodes, ksm_max_page_sharing, ksm_max_kernel_pages;
extern _Atomic u64 ksm_use_zero_pages, ksm_smart_scan, ksm_prune_millisecs;
/* Candidates that were settled are to be looked at again: taken at the start of a pass. */
extern _Atomic bool ksm_look_again;
/* Somebody waits for ksm_scan_mutex: the scanner lets go after a step. */
extern _Atomic u64 ksm_waiting;
/* ksmd sleeps here; woken when a knob changes or a space is registered. */
extern struct wait_queue ksm_wake;
/* Held by ksmd while it scans, and by a change of what scanning relies on; rank above mm->lock. */
extern struct mutex ksm_scan_mutex;

/* The NUMA node in a frame's key: 0 while pages merge across nodes. */
static inline u8 ksm_numa(const struct frame *frame)
{
    if (atomic_load_explicit(&ksm_merge_across_nodes, memory_order_relaxed))
        return 0;
    return (u8)frame_node(frame);
}
/* A number as Linux's control files take it: decimal, up to max. 0, -EINVAL, -ERANGE. */
s64 ksm_parse(const char *text, usize length, u64 max, u64 *value);
/* Waits until ksmd is between two steps, and keeps it there until the release: takes and drops
 * ksm_scan_mutex. ksmd is not woken. */
void ksm_scan_hold(void);
void ksm_scan_release(void);

/* --- ksm_advisor.c: ksmd's, but for the knobs --- */
extern _Atomic u64 ksm_advisor; /* 0 none, 1 scan-time */
void ksm_advisor_pass_begins(void);
void ksm_advisor_pass_ended(void);
void ksm_advisor_init(void);
/* Sleeps after a batch that ended at `since`, so that ksmd uses no more than advisor_max_cpu. */
void ksm_advisor_rest(u64 since);

/* --- ksm_scan.c --- */
/* Moves ksmd's cursor off a space that goes away; ksm_lock held. */
void ksm_scan_forget(struct ksm_mm *space);
void ksm_scan_start(void);

/* One page of a step that needs more than a look. */
struct ksm_page {
    va_t va;
    struct ksm_item *item;
    struct frame *frame; /* referenced until hashed */
    bool dirty;
    bool candidate;           /* unchanged since its hash was taken */
    bool zero;                /* to be replaced by the zero page */
    u8 numa;                  /* of its key */
    struct ksm_node *node;    /* what it is to be merged into */
    struct frame *merged;     /* node's frame, referenced */
    struct ksm_item *partner; /* or a page of the unstable index, to become a node's first */
    struct mm *partner_mm;    /* referenced, and read-locked until the page is done */
    va_t partner_va;
};

/* What ksmd does at once: pages of one leaf of items. */
struct ksm_step {
    struct ksm_mm *space;
    struct mm *mm;
    struct vma *vma;
    struct ksm_item *leaf;
    u32 count;
    u32 skipped;
    u32 candidates; /* how many of the pages */
    bool partners;  /* there are some among them */
    u8 settled;     /* the state of a clean page that needs no look */
    struct ksm_page pages[KSM_LEAF_ITEMS];
    struct tlb_batch batch;
};

/* --- ksm_match.c --- */
extern u64 ksm_zero_hash; /* of a page of zeros */
/* Finds equals for the step's candidates, of which there are some, and merges them. */
void ksm_match_and_merge(struct ksm_step *step);
/* Once no mm->lock is held: drops the spaces of partners; its reference may be the last one. */
void ksm_partners_put(struct ksm_step *step);

/* --- ksm.c --- */
/* A space of the list with a reference, so that it can't go away: false when it is ending. ksm_lock
 * held. */
bool ksm_mm_try_get(struct mm *mm);
/* Everything merged becomes private again, in all spaces, and every record is forgotten: 0 or
 * -ENOMEM. ksm_scan_mutex held. */
s64 ksm_unmerge_all(void);
/* Every record is forgotten; zero pages stay where they are. Nothing may be merged.
 * ksm_scan_mutex held. */
void ksm_forget_all(void);
/* Another index, once the present one is empty: 0, -EBUSY (a space that is ending has records in it
 * yet) or -ENOMEM. ksm_scan_mutex held. */
s64 ksm_set_index(const struct merge_index_ops *ops);

/* --- ksm_stable.c --- */
/* A node without a frame, not in the index. NULL = no memory. */
struct ksm_node *ksm_node_create(const struct ksm_key *key);
void ksm_node_free(struct ksm_node *node);
/* The frame, which nobody else can reach now, becomes the node's: of kind MERGED. */
void ksm_node_take(struct ksm_node *node, struct frame *frame);
/* What follows needs ksm_lock. A node of this key that may have one mapping more, its frame
 * referenced; NULL = none. */
struct ksm_node *ksm_stable_find(const struct ksm_key *key);
/* A node with a frame can be found from now on. */
void ksm_stable_insert(struct ksm_node *node);
/* The node has lost its frame: its memory stays as long as items point to it. */
void ksm_stable_bury(struct ksm_node *node);
/* The frame is on another NUMA node than it was filed under. */
void ksm_stable_refile(struct ksm_node *node);
/* Whether a new merged frame would be one more than max_kernel_pages. */
bool ksm_stable_is_full(void);
/* One mapping more, beside those that are on their way, is within max_page_sharing. */
bool ksm_node_has_room(const struct ksm_node *node);

/* --- ksm_item.c --- */
/* The page of items for va, made if `create`; NULL = absent or no memory. */
struct ksm_item *ksm_leaf(struct ksm_mm *space, va_t va, bool create);
static inline u64 ksm_leaf_slot(va_t va)
{
    return va / PAGE_SIZE % KSM_LEAF_ITEMS;
}
/* Where an item's page is. ksm_lock held. */
void ksm_item_place(const struct ksm_item *item, struct mm **mm, va_t *va);
static inline u32 ksm_item_domain(const struct ksm_item *item)
{
    const struct ksm_mm *space = virt_frame(item)->owner;

    return space->mm->merge_domain; /* it changes only when the space has no items */
}
/* Whether the hash that is known of the page is this one. */
bool ksm_item_hash_is(const struct ksm_item *item, u64 hash);
/* Changes of state; ksm_lock held. To forget: leave index or node, state NONE. */
void ksm_item_forget(struct ksm_item *item);
void ksm_item_set_hash(struct ksm_item *item, u64 hash);
/* An UNSTABLE item leaves the index: HASHED. */
void ksm_item_set_hashed(struct ksm_item *item);
void ksm_item_set_unstable(struct ksm_item *item, const struct ksm_key *key);
void ksm_item_set_merged(struct ksm_item *item, struct ksm_node *node);
/* Smart scan: counts a visit, and tells whether to leave the page out this time. */
bool ksm_item_skip(struct ksm_item *item);
/* Drops all items in [start, end), and the pages of items that lie wholly inside. mm->lock:
 * write. */
void ksm_items_drop(struct ksm_mm *space, va_t start, va_t end);

/* --- ksm_merge.c: all with mm->lock held for reading --- */
/* What the scanner may merge at a PTE: the frame of a present private page, else NULL. For more
 * than a hint, its table's lock is held. */
static inline struct frame *ksm_candidate(pte_t pte)
{
    if (!pte_is_present(pte) || pte_is_special(pte))
        return NULL;
    struct frame *frame = pte_frame(pte);

    return frame_kind(frame) == FRAME_KIND_ANON ? frame : NULL;
}
/* Makes the page at va read-only, to be flushed by the caller. False: nothing to merge there, or
 * somebody works on it. */
bool ksm_protect_page(struct mm *mm, va_t va, struct tlb_batch *batch);
/*
 * The first page of a new node, protected and flushed, clean since it was hashed: its own frame
 * becomes the merged one where nobody else maps it, a copy otherwise. The frame with a reference
 * for the caller; NULL: the page is gone, changed or pinned, or there is no memory.
 */
struct frame *ksm_adopt_page(struct mm *mm, va_t va, struct ksm_node *node,
                             struct tlb_batch *batch);
enum ksm_merge_result { KSM_MERGE_DONE, KSM_MERGE_GONE, KSM_MERGE_PINNED, KSM_MERGE_DIFFERENT };
/* Replaces a protected page by `merged`, to which the caller holds a reference, or by the zero page
 * (merged NULL), if their contents are equal. The old frame goes into the batch. */
enum ksm_merge_result ksm_merge_page(struct mm *mm, va_t va, struct frame *merged,
                                     struct tlb_batch *batch);
