/*
 * ksm_index.h: how the scanner finds a page of equal content.
 *
 *   item  what is known of one scanned page: its content hash and where it stands. 32 bytes; 128 of
 *   them fill a page and
 *         describe 128 neighbouring pages of one space, so that (mm, address) follows from where
 *         the item lies (ksm_item.h).
 *   node  one merged frame. It holds no reference to the frame: when the last mapping goes, the
 *   frame goes, and takes the node
 *         out of the index.
 *
 *   stable index     nodes, by (hash, domain)           content can't change: every mapping is
 *   read-only unstable index   items, by (hash, domain)           content may change: a match must
 *   be compared again once write-protected
 *
 * An item stays in the unstable index as long as its page stays clean, over many passes: the dirty
 * bit tells, so nothing needs to be rebuilt. An index is only memory and pointers, guarded by the
 * caller's lock (ksm_lock).
 */
#pragma once

#include "kernel/base/frame.h"
#include "lib/types.h"

enum ksm_item_state {
    KSM_NONE,     /* nothing known */
    KSM_HASHED,   /* hash holds; not in an index */
    KSM_UNSTABLE, /* hash holds; in the unstable index */
    KSM_MERGED,   /* its page maps node's frame; in node's list of items */
};

struct ksm_node;

struct ksm_item {
    union {
        u64 hash;              /* HASHED, UNSTABLE */
        struct ksm_node *node; /* MERGED */
    };
    /* In a bucket (UNSTABLE) or in node->items (MERGED); link points at what points here. */
    struct ksm_item *next, **link;
    u32 state;
    u32 domain;
};
static_assert(sizeof(struct ksm_item) == 32, "metadata of a scanned page is 32 bytes");

struct ksm_node {
    u64 hash;
    struct ksm_node *next, **link; /* in a bucket; link NULL = not in the index */
    struct frame
        *frame; /* NULL once the frame is gone or reused: the node waits for its items to leave */
    struct ksm_item
        *items; /* pages found here by the scanner; forked mappings are found by lineage */
    u32 item_count;
    u32 domain;
};

struct merge_index; /* what an implementation needs; made by its create */

/*
 * What an index offers. `find_*` begin with after = NULL and go on with the last result, so that
 * the caller sees every entry of that hash and domain. Nothing here allocates after create, and
 * nothing looks at content.
 */
struct merge_index_ops {
    const char *name;
    struct merge_index *(*create)(u64 expected_pages); /* NULL = no memory */
    struct ksm_node *(*find_stable)(struct merge_index *index, u64 hash, u32 domain,
                                    struct ksm_node *after);
    struct ksm_item *(*find_unstable)(struct merge_index *index, u64 hash, u32 domain,
                                      struct ksm_item *after);
    void (*insert_stable)(struct merge_index *index, struct ksm_node *node);
    void (*insert_unstable)(struct merge_index *index, struct ksm_item *item);
    void (*remove_stable)(struct merge_index *index, struct ksm_node *node);
    void (*remove_unstable)(struct merge_index *index, struct ksm_item *item);
};

extern const struct merge_index_ops merge_index_hash;
