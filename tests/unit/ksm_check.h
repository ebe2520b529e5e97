/*
 * What must hold in the simulated machine of ksm_machine.h, whatever its users do; and how tests of
 * it begin, pass and end.
 */
#pragma once

#include "tests/unit/ksm_machine.h"

/* --- what must hold --- */

static u32 maps[MEMORY / PAGE_SIZE];
static u64 rings, ring_nodes; /* found by going round */

/* Counts the mappings of one space, and compares them with what its TLB holds. */
static void count_space(struct space *space)
{
    u64 zero = 0;

    for (u64 page = 0; page < PAGES; page++) {
        pte_t *slot = pt_walk(&space->mm.pt, page_va(page));
        pte_t pte = slot ? pte_read(slot) : (pte_t){0};
        struct tlb_entry *entry = &tlb[space - spaces][page];

        if (pte_is_ksm_zero(pte))
            zero++;
        else if (pte_is_present(pte))
            maps[pte_pfn(pte).raw]++;
        if (!entry->frame)
            continue;
        CHECK(pte_frame(pte) == entry->frame);
        CHECK(!entry->writable || pte_is_writable(pte));
        CHECK(!entry->dirty || !entry->writable || pte_is_dirty(pte));
    }
    CHECK_EQ(space->mm.ksm_zero, zero);
}

/* Every node of the ring has the content and the key of the others, and one is in the index. */
static void check_ring(const struct ksm_node *node)
{
    u32 indexed = node->indexed, length = 1;

    for (struct list *at = node->dups.next; at != &node->dups; at = at->next, length++) {
        struct ksm_node *other = list_entry(at, struct ksm_node, dups);

        indexed += other->indexed;
        CHECK(page_equal(frame_page(node->frame), frame_page(other->frame)));
        CHECK(node->domain == other->domain && node->numa == other->numa);
    }
    CHECK_EQ(indexed, 1);
    if (node->indexed && length > 1) {
        rings++;
        ring_nodes += length;
    }
}

/* Recounts mappings, references and merged frames from the page tables. */
static void check_counts(void)
{
    s64 mappings = 0, zero = 0;
    u64 merged = 0;

    memset(maps, 0, sizeof(maps));
    rings = ring_nodes = 0;
    for (u32 i = 0; i < SPACES; i++) {
        if (spaces[i].alive)
            count_space(&spaces[i]);
        zero += spaces[i].alive ? (s64)spaces[i].mm.ksm_zero : 0;
    }
    for (u64 pfn = 0; pfn < frame_table_end; pfn++) {
        struct frame *frame = &frame_table[pfn];
        bool counted =
            frame_kind(frame) == FRAME_KIND_ANON || frame_kind(frame) == FRAME_KIND_MERGED;

        CHECK_EQ(maps[pfn], counted ? atomic_load(&frame->maps) : 0);
        if (counted)
            CHECK_EQ(atomic_load(&frame->refs), maps[pfn] + frame->pins);
        if (frame_kind(frame) == FRAME_KIND_MERGED) {
            mappings += maps[pfn];
            merged++;
            CHECK(maps[pfn] > 0);
            check_ring(frame->owner);
        }
    }
    CHECK_EQ(ksm_stats.chains, rings);
    CHECK_EQ(ksm_stats.dups, ring_nodes);
    CHECK_EQ(ksm_stats.zero, zero);
    CHECK_EQ(ksm_stats.mappings, mappings);
    CHECK_EQ(ksm_stats.shared, merged);
    CHECK_EQ(host.locks_held, 0);
}

static void check_contents(void)
{
    for (u32 i = 0; i < SPACES; i++)
        for (u64 page = 0; spaces[i].alive && page < PAGES; page++)
            user_load(&spaces[i], page);
}

/* Where pages of a content are, in each domain and, if that matters, on each NUMA node. */
static struct frame *home[4][2][CONTENTS + 1];

/* No two domains share a merged frame, and equal pages of one domain are all in one frame. */
static void check_merged(void)
{
    memset(home, 0, sizeof(home));

    for (u32 i = 0; i < SPACES; i++) {
        struct space *space = &spaces[i];

        for (u64 page = 0; space->alive && page < PAGES; page++) {
            u64 content = space->content[page];

            if (!content)
                continue;
            struct frame *frame = pte_frame(pte_read(pt_walk(&space->mm.pt, page_va(page))));
            u32 node = ksm_merge_across_nodes ? 0 : frame_node(frame);
            struct frame **seen = &home[space->mm.merge_domain][node][content];
            CHECK(!*seen || *seen == frame);
            CHECK((frame == zero_frame) == (content == CONTENTS && ksm_use_zero_pages));
            *seen = frame;
        }
    }
    for (u32 content = 1; content <= CONTENTS; content++)
        for (u32 node = 0; node < 2; node++)
            CHECK(!home[1][node][content] || home[1][node][content] != home[2][node][content] ||
                  home[1][node][content] == zero_frame);
}

/* --- passes and settings --- */

static void pass(int times)
{
    for (; times; times--) {
        u64 passes = ksm_stats.full_scans;

        while (ksm_stats.full_scans == passes)
            scan_batch(100);
    }
}

struct setting {
    const char *index, *words;
    u64 zero, smart, across, sharing;
    bool merges_all; /* in few passes */
};

static void set_knobs(const struct setting *setting)
{
    char number[16];
    int length = snprintf(number, sizeof(number), "%lu", setting->sharing);

    atomic_store(&ksm_run, KSM_RUN_STOP);
    CHECK_EQ(index_write(NULL, setting->index, strlen(setting->index)), 0);
    CHECK_EQ(across_nodes_write(NULL, setting->across ? "1" : "0", 1), 0);
    CHECK_EQ(max_sharing_write(NULL, number, (usize)length), 0);
    atomic_store(&ksm_use_zero_pages, setting->zero);
    atomic_store(&ksm_smart_scan, setting->smart);
    CHECK_EQ(run_write(NULL, "1", 1), 0);
}

static void run(const struct setting *setting, const char *words, void (*test)(void))
{
    char name[160];

    snprintf(name, sizeof(name), "%s%s: %s", setting->index, setting->words, words);
    tap_run(name, test);
}

static void machine_init(void)
{
    static u64 root[512];

    host_init();
    host_memory_init(MEMORY / PAGE_SIZE);
    for (u32 i = 0; i < 4; i++)
        numa_distances.distance[i / 2][i % 2] = i / 2 == i % 2 ? 10 : 20;
    early_add_range((struct memory_range){PAGE_SIZE, MEMORY / 2, 0});
    early_add_range((struct memory_range){MEMORY / 2, MEMORY, 1});
    frame_init(host_map_nothing);
    kernel_root = root;
    frame_release_hook = release_frame;
    ksm_init();
}

static void test_end(void)
{
    for (u32 i = 0; i < SPACES; i++) {
        if (spaces[i].alive)
            user_exit(&spaces[i]);
    }
    for (u32 i = 0; i < SPACES; i++)
        CHECK_EQ(spaces[i].lineage.refs, 0);
    CHECK(list_empty(&ksm_spaces));
    CHECK_EQ(ksm_stats.shared, 0);
    CHECK_EQ(ksm_stats.mappings, 0);
    CHECK_EQ(ksm_stats.items, 0);
    CHECK_EQ(ksm_stats.unstable, 0);
    CHECK_EQ(ksm_stats.leaves, 0);
    CHECK_EQ(ksm_stats.bytes, 0);
    CHECK_EQ(ksm_stats.zero, 0);
    CHECK_EQ(ksm_stats.chains, 0);
    CHECK_EQ(ksm_stats.dups, 0);
    scan_batch(100);
    check_counts();
}
