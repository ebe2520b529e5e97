/*
 * ksm_index.h: how the scanner finds a page of equal content.
 *
 *   item  what is known of one scanned page: its content hash and where it stands. 32 bytes; 128 of
 *         them fill a page and describe 128 neighbouring pages of one space, so that (mm, address)
 *         follows from where the item lies (ksm_item.c).
 *   node  one merged frame. It holds no reference to the frame: when the last mapping goes, the
 *         frame goes, and takes the node out of the index (ksm_stable.c).
 *
 *   stable index     nodes: their content can't change, every mapping is read-only
 *   unstable index   items: their content may change; a match must be compared again once it is
 *                    write-protected
 *
 * Two implementations, to be compared: ksm_index_hash.c finds by hash and looks at no page;
 * ksm_index_tree.c finds by content, as the original design did. An index is only memory and
 * pointers, guarded by the caller's lock (ksm_lock).
 */
#pragma once

#include "kernel/base/frame.h"
#include "lib/list.h"
#include "lib/rbtree.h"
#include "lib/types.h"

enum ksm_item_state {
    KSM_NONE,     /* nothing known */
    KSM_HASHED,   /* hash holds; not in an index */
    KSM_UNSTABLE, /* hash holds; in the unstable index */
    KSM_MERGED,   /* its page maps node's frame; in node's list of items */
    KSM_STATES,
};

struct ksm_node;

struct ksm_item {
    union {
        struct {
            union {
                u64 hash;              /* HASHED, and UNSTABLE in the hash index */
                struct ksm_node *node; /* MERGED */
            };
            /* In a bucket (UNSTABLE) or in node->items (MERGED); link points at what points
             * here. */
            struct ksm_item *next, **link;
        };
        struct rb_node tree; /* UNSTABLE in the tree, instead of all that */
    };
    u32 check; /* low half of the hash, which outlives the tree */
    u8 state;
    u8 age;   /* smart scan: visits of the page while it was not merged, at most 255 */
    u8 skips; /* smart scan: visits to leave out from now on */
    u8 numa;  /* UNSTABLE: of its key */
};
static_assert(sizeof(struct ksm_item) == 32, "metadata of a scanned page is 32 bytes");

struct ksm_node {
    u64 hash;
    union {
        struct {
            struct ksm_node *next, **link; /* in a bucket */
        };
        struct rb_node tree;
    };
    struct frame *frame; /* NULL once it is gone or reused: the node waits for its items to leave */
    struct ksm_item *items; /* pages found here by the scanner; forked mappings: by lineage */
    struct list dups;       /* ring of all nodes with this content and key; alone: no chain */
    u32 item_count;
    u32 domain;
    u32 pruned_ms; /* when the chain was last put in order, of the indexed one */
    u8 numa;
    bool indexed; /* of a ring, one node is in the index for all */
};

/* What is equal besides content, and what the content is found by. */
struct ksm_key {
    u64 hash;
    u32 domain;
    u32 numa;         /* 0 while pages merge across NUMA nodes */
    const void *page; /* the content */
};

struct merge_index; /* what an implementation needs; made by its create */

/*
 * What an index offers. `find_*` begin with after = NULL and go on with the last result, so that
 * the caller sees every entry that may be equal to the key. Nothing here allocates but create.
 */
struct merge_index_ops {
    const char *name;
    bool overwrites_hash; /* the links of an item in the unstable index take the hash's place */
    struct merge_index *(*create)(u64 expected_pages); /* NULL = no memory */
    void (*destroy)(struct merge_index *index);        /* when it is empty */
    struct ksm_node *(*find_stable)(struct merge_index *index, const struct ksm_key *key,
                                    struct ksm_node *after);
    struct ksm_item *(*find_unstable)(struct merge_index *index, const struct ksm_key *key,
                                      struct ksm_item *after);
    /* The node's frame is there. */
    void (*insert_stable)(struct merge_index *index, struct ksm_node *node);
    /* The item's page has the key's content. */
    void (*insert_unstable)(struct merge_index *index, struct ksm_item *item,
                            const struct ksm_key *key);
    /* Another node of the same content and key takes its place. */
    void (*replace_stable)(struct merge_index *index, struct ksm_node *old, struct ksm_node *new);
    void (*remove_stable)(struct merge_index *index, struct ksm_node *node);
    void (*remove_unstable)(struct merge_index *index, struct ksm_item *item);
    /* Some item of an unstable index that begins each pass empty, to be removed; NULL = there is
     * none, or items stay. */
    struct ksm_item *(*outdated)(struct merge_index *index);
};

extern const struct merge_index_ops merge_index_hash, merge_index_tree;
