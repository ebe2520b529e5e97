/* The scan records: their states, their counts, and where they lie. */
#include "tests/unit/host_frames.h"
#include "tests/unit/host_radix.h"

#include "kernel/mm/ksm_index_hash.c"
#include "kernel/mm/ksm_item.c"

struct ksm_stats ksm_stats;
struct spinlock ksm_lock = SPINLOCK_INIT("ksm", LOCK_KSM);
const struct merge_index_ops *ksm_index_ops = &merge_index_hash;
struct merge_index *ksm_index;

static struct mm the_mm = {.merge_domain = 2}, *const some_mm = &the_mm;
static struct ksm_mm space;
static u32 nodes_freed;

void ksm_node_free(struct ksm_node *node)
{
    nodes_freed++;
    kfree(node);
}

static void start(void)
{
    space = (struct ksm_mm){.mm = some_mm};
    radix_init(&space.leaves, &radix_memory);
    ksm_stats = (struct ksm_stats){0};
}

static struct ksm_item *item_at(va_t va)
{
    return ksm_leaf(&space, va, true) + ksm_leaf_slot(va);
}

static void test_place(void)
{
    start();
    for (int i = 0; i < 300; i++) {
        va_t va = ALIGN_DOWN(random_u64() >> 17 >> random_below(20), PAGE_SIZE), found;
        struct mm *mm;

        ksm_item_place(item_at(va), &mm, &found);
        CHECK(mm == some_mm);
        CHECK_EQ(found, va);
        CHECK(item_at(va) == item_at(va));
    }
    CHECK(!ksm_leaf(&space, 1ul << 46, false));
    ksm_items_drop(&space, 0, 1ul << 47);
    CHECK(radix_empty(&space.leaves));
    CHECK_EQ(ksm_stats.leaves, 0);
    CHECK_EQ(ksm_stats.bytes, 0);
}

static void test_states(void)
{
    struct ksm_node *node = kzalloc(sizeof(*node));
    struct ksm_item *a, *b;

    const struct ksm_key key = {.hash = 77, .domain = 2, .numa = 1};
    start();
    a = item_at(0x5000);
    b = item_at(0x6000);
    ksm_item_set_hash(a, 77);
    CHECK(ksm_item_hash_is(a, 77) && !ksm_item_hash_is(a, 78) && !ksm_item_hash_is(b, 0));
    CHECK_EQ(space.item_count, 1);
    ksm_item_set_unstable(a, &key);
    CHECK_EQ(ksm_stats.unstable, 1);
    CHECK(ksm_index_ops->find_unstable(ksm_index, &key, NULL) == a);
    ksm_item_set_hash(a, 78); /* leaves the index by itself */
    CHECK(!ksm_index_ops->find_unstable(ksm_index, &key, NULL));
    ksm_item_set_unstable(a, &key);
    ksm_item_set_hashed(a);
    CHECK(a->state == KSM_HASHED && ksm_item_hash_is(a, 78));
    ksm_item_set_unstable(a, &key);

    node->frame = zero_frame;
    ksm_item_set_merged(a, node);
    ksm_item_set_merged(b, node);
    CHECK_EQ(ksm_stats.unstable, 0);
    CHECK_EQ(ksm_stats.items, 2);
    CHECK(node->item_count == 2 && node->items == b && b->next == a);
    ksm_item_set_hash(b, 1);
    CHECK(node->item_count == 1 && node->items == a);
    ksm_item_forget(a);
    ksm_item_forget(a);
    ksm_item_forget(b);
    CHECK(node->item_count == 0 && !node->items);
    CHECK_EQ(ksm_stats.items, 0);
    CHECK_EQ(space.item_count, 0);
    kfree(node);
    ksm_items_drop(&space, 0, 1ul << 47);
}

/* A node whose frame is gone goes with its last item. */
static void test_node_end(void)
{
    struct ksm_node *node = kzalloc(sizeof(*node));
    start();
    ksm_item_set_merged(item_at(0x5000), node);
    ksm_item_set_merged(item_at(0x9000), node);
    ksm_items_drop(&space, 0x5000, 0x6000);
    CHECK_EQ(node->item_count, 1);
    ksm_items_drop(&space, 0, 0x10000);
    CHECK_EQ(nodes_freed, 1);
    ksm_items_drop(&space, 0, 1ul << 47);
}

/* Dropping any range forgets just the items inside it and frees just the leaves inside it. */
static void test_drop(void)
{
    enum { PAGES = 1024 };
    u64 free = frames_free();

    for (int round = 0; round < 100; round++) {
        va_t base = KSM_LEAF_SPAN * random_below(1000);
        u64 first = random_below(PAGES), last = first + random_below(PAGES - first + 1);

        start();
        for (u64 page = 0; page < PAGES; page++) {
            struct ksm_item *item = item_at(base + page * PAGE_SIZE);

            const struct ksm_key key = {.hash = page, .domain = 2};

            ksm_item_set_hash(item, page);
            if (page % 2)
                ksm_item_set_unstable(item, &key);
        }
        ksm_items_drop(&space, base + first * PAGE_SIZE, base + last * PAGE_SIZE);
        CHECK_EQ(space.item_count, PAGES - (last - first));
        for (u64 page = 0; page < PAGES; page++) {
            va_t va = base + page * PAGE_SIZE;
            struct ksm_item *leaf = ksm_leaf(&space, va, false);
            bool kept = page < first || page >= last;

            CHECK(leaf || !kept);
            if (leaf)
                CHECK_EQ(leaf[ksm_leaf_slot(va)].state != KSM_NONE, kept);
        }
        ksm_items_drop(&space, base, base + PAGES * PAGE_SIZE);
        CHECK_EQ(space.item_count, 0);
        CHECK_EQ(ksm_stats.leaves, 0);
        CHECK_EQ(ksm_stats.unstable, 0);
    }
    CHECK(free - frames_free() <= 2); /* slabs that the radix nodes came from */
    CHECK_EQ(host.locks_held, 0);
}

int main(void)
{
    host_frames_init(32ul << 20);
    ksm_index = ksm_index_ops->create(8192);
    start();
    tap_run("an item tells the page it describes", test_place);
    tap_run("states, lists and counts follow each other", test_states);
    tap_run("a dead node goes with its last item", test_node_end);
    tap_run("a dropped range forgets exactly its pages", test_drop);
    return tap_done();
}
