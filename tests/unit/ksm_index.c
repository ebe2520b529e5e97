/* The merge index, each implementation of it, against plain arrays of what it should hold. */
#include "tests/unit/host_frames.h"
#include "tests/unit/host_radix.h"

#include "arch/x86_64/pagetable.c"
#include "kernel/mm/ksm_index_hash.c"
#include "kernel/mm/ksm_index_tree.c"

#include "kernel/mm/ksm_item.c"
#include <string.h>

#define HOW_MANY 600
#define CONTENTS 40 /* few, so that many entries share one */
#define DOMAINS 3
#define NODES 2

static const struct merge_index_ops *const implementations[] = {&merge_index_hash,
                                                                &merge_index_tree};

struct ksm_stats ksm_stats;
struct spinlock ksm_lock = SPINLOCK_INIT("ksm", LOCK_KSM);
const struct merge_index_ops *ksm_index_ops;
struct merge_index *ksm_index;
u64 *kernel_root;

static const struct merge_index_ops *ops;
static struct merge_index *merge_index;

/* An entry has a page, which holds its content, in each domain's space and as a node's frame. */
static struct entry {
    struct ksm_node node;
    struct ksm_item *item; /* of the domain it is in */
    struct frame *frame, *item_frame;
    u64 content, item_content;
    bool node_in, item_in;
} entries[HOW_MANY];

static struct domain {
    struct mm mm;
    struct ksm_mm space;
} domains[DOMAINS];

void ksm_node_free(struct ksm_node *node)
{
    panic("%p is freed", (void *)node);
}

/* Hashes with equal low bits: one bucket. */
static u64 hash_of(u64 content)
{
    return content << 32 | 5;
}

static void fill(void *page, u64 content)
{
    ((u64 *)page)[77] = content * 0x9e3779b97f4a7c15ul;
}

static struct ksm_key some_key(u64 content, u32 domain, u32 numa)
{
    static u64 page[512];

    fill(page, content);
    return (struct ksm_key){hash_of(content), domain, numa, page};
}

static void start(void)
{
    for (u32 d = 0; d < DOMAINS; d++) {
        domains[d].space.mm = &domains[d].mm;
        domains[d].mm.merge_domain = d;
        radix_init(&domains[d].space.leaves, &radix_memory);
        CHECK(pt_create(&domains[d].mm.pt));
    }
    for (u32 i = 0; i < HOW_MANY; i++) {
        entries[i].frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);
        entries[i].item_frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);
        frame_set_kind(entries[i].item_frame, FRAME_KIND_ANON);
        for (u32 d = 0; d < DOMAINS; d++)
            pte_set(pt_walk_alloc(&domains[d].mm.pt, i * PAGE_SIZE),
                    pte_make(frame_pfn(entries[i].item_frame), PTE_READ));
    }
}

/* Every entry of a content, domain and node is found exactly once, and no other. */
static void check_stable(const struct ksm_key *key, u64 content)
{
    usize expected = 0, found = 0;
    struct ksm_node *node = NULL;

    for (u32 i = 0; i < HOW_MANY; i++)
        expected += entries[i].node_in && entries[i].content == content &&
                    entries[i].node.domain == key->domain && entries[i].node.numa == key->numa;
    while ((node = ops->find_stable(merge_index, key, node))) {
        const struct entry *entry = container_of(node, struct entry, node);

        CHECK(entry->node_in && entry->content == content);
        CHECK(node->domain == key->domain && node->numa == key->numa);
        if (++found > expected)
            break;
    }
    CHECK_EQ(found, expected);
}

static void check_unstable(const struct ksm_key *key, u64 content)
{
    usize expected = 0, found = 0;
    struct ksm_item *item = NULL;

    for (u32 i = 0; i < HOW_MANY; i++)
        expected += entries[i].item_in && entries[i].item_content == content &&
                    ksm_item_domain(entries[i].item) == key->domain &&
                    entries[i].item->numa == key->numa;
    while ((item = ops->find_unstable(merge_index, key, item))) {
        struct mm *mm;
        va_t va;

        ksm_item_place(item, &mm, &va);
        const struct entry *entry = &entries[va / PAGE_SIZE];
        CHECK(entry->item == item && entry->item_in && entry->item_content == content);
        CHECK(mm->merge_domain == key->domain && item->numa == key->numa);
        if (++found > expected)
            break;
    }
    CHECK_EQ(found, expected);
}

static void check(u64 content, u32 domain, u32 numa)
{
    const struct ksm_key key = some_key(content, domain, numa);

    check_stable(&key, content);
    check_unstable(&key, content);
}

static void toggle_node(struct entry *entry)
{
    struct ksm_node *node = &entry->node;

    if (entry->node_in) {
        ops->remove_stable(merge_index, node);
    } else {
        entry->content = random_below(CONTENTS);
        node->hash = hash_of(entry->content);
        node->domain = (u32)random_below(DOMAINS);
        node->numa = (u8)random_below(NODES);
        node->frame = entry->frame;
        fill(frame_page(entry->frame), entry->content);
        ops->insert_stable(merge_index, node);
    }
    entry->node_in = !entry->node_in;
}

static void toggle_item(struct entry *entry)
{
    if (entry->item_in) {
        ops->remove_unstable(merge_index, entry->item);
    } else {
        u32 domain = (u32)random_below(DOMAINS), numa = (u32)random_below(NODES);
        va_t va = (u64)(entry - entries) * PAGE_SIZE;

        entry->item_content = random_below(CONTENTS);
        fill(frame_page(entry->item_frame), entry->item_content);
        entry->item = ksm_leaf(&domains[domain].space, va, true) + ksm_leaf_slot(va);
        entry->item->hash = hash_of(entry->item_content);
        entry->item->numa = (u8)numa;
        const struct ksm_key key = some_key(entry->item_content, domain, numa);
        if (random_below(2)) /* as the scanner does */
            ops->find_unstable(merge_index, &key, NULL);
        ops->insert_unstable(merge_index, entry->item, &key);
    }
    entry->item_in = !entry->item_in;
}

/* Another node takes the place of one, with its content. */
static void replace_node(struct entry *old, struct entry *new)
{
    if (!old->node_in || new->node_in)
        return;
    new->content = old->content;
    new->node.hash = old->node.hash;
    new->node.domain = old->node.domain;
    new->node.numa = old->node.numa;
    new->node.frame = new->frame;
    fill(frame_page(new->frame), new->content);
    ops->replace_stable(merge_index, &old->node, &new->node);
    new->node_in = true;
    old->node_in = false;
}

static struct entry *some_entry(void)
{
    return &entries[random_below(HOW_MANY)];
}

static void test_random(void)
{
    for (int step = 0; step < 40000; step++) {
        switch (random_below(5)) {
        case 0:
        case 1: toggle_node(some_entry()); break;
        case 2: replace_node(some_entry(), some_entry()); break;
        default: toggle_item(some_entry());
        }
        if (step % 50 == 0)
            check(random_below(CONTENTS), (u32)random_below(DOMAINS), (u32)random_below(NODES));
    }
    for (u64 content = 0; content < CONTENTS; content++)
        for (u32 at = 0; at < DOMAINS * NODES; at++)
            check(content, at / NODES, at % NODES);
}

static void test_empty_again(void)
{
    for (u32 i = 0; i < HOW_MANY; i++) {
        if (entries[i].node_in)
            toggle_node(&entries[i]);
        if (entries[i].item_in)
            toggle_item(&entries[i]);
    }
    for (u64 content = 0; content < CONTENTS; content++)
        check(content, 0, 0);
    CHECK(!ops->outdated(merge_index));
    ops->destroy(merge_index);
}

int main(void)
{
    static u64 root[512];
    char what[80];

    host_frames_init(32ul << 20);
    kernel_root = root;
    start();
    for (u32 i = 0; i < ARRAY_LEN(implementations); i++) {
        ops = implementations[i];
        merge_index = ops->create(8192);
        snprintf(what, sizeof(what), "%s: every entry of a key is found once", ops->name);
        tap_run(what, test_random);
        snprintf(what, sizeof(what), "%s: removal leaves nothing behind", ops->name);
        tap_run(what, test_empty_again);
    }
    return tap_done();
}
