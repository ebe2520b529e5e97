/* The merge index, each implementation of it, against plain arrays of what it should hold. */
#include "tests/unit/host_frames.h"

#include "kernel/mm/ksm_index_hash.c"

#define ENTRIES 600
#define HASHES 40 /* few, so that many entries share one */
#define DOMAINS 3

static const struct merge_index_ops *const implementations[] = {&merge_index_hash};

static const struct merge_index_ops *ops;
static struct merge_index *merge_index;
static struct ksm_node nodes[ENTRIES];
static struct ksm_item items[ENTRIES];
static bool node_in[ENTRIES], item_in[ENTRIES];

static u64 some_hash(void)
{
    return random_below(HASHES) << 32 | 5; /* equal low bits: one bucket */
}

/* Every entry of a hash and domain is found exactly once, and no other. */
static void check_stable(u64 hash, u32 domain)
{
    usize expected = 0, found = 0;
    struct ksm_node *node = NULL;

    for (u32 i = 0; i < ENTRIES; i++)
        expected += node_in[i] && nodes[i].hash == hash && nodes[i].domain == domain;
    while ((node = ops->find_stable(merge_index, hash, domain, node))) {
        CHECK(node->hash == hash && node->domain == domain && node_in[node - nodes]);
        if (++found > expected)
            break;
    }
    CHECK_EQ(found, expected);
}

static void check_unstable(u64 hash, u32 domain)
{
    usize expected = 0, found = 0;
    struct ksm_item *item = NULL;

    for (u32 i = 0; i < ENTRIES; i++)
        expected += item_in[i] && items[i].hash == hash && items[i].domain == domain;
    while ((item = ops->find_unstable(merge_index, hash, domain, item))) {
        CHECK(item->hash == hash && item->domain == domain && item_in[item - items]);
        if (++found > expected)
            break;
    }
    CHECK_EQ(found, expected);
}

static void toggle_node(u32 i)
{
    if (node_in[i]) {
        ops->remove_stable(merge_index, &nodes[i]);
        CHECK(!nodes[i].link);
    } else {
        nodes[i].hash = some_hash();
        nodes[i].domain = random_below(DOMAINS);
        ops->insert_stable(merge_index, &nodes[i]);
        CHECK(nodes[i].link);
    }
    node_in[i] = !node_in[i];
}

static void toggle_item(u32 i)
{
    if (item_in[i]) {
        ops->remove_unstable(merge_index, &items[i]);
    } else {
        items[i].hash = some_hash();
        items[i].domain = random_below(DOMAINS);
        ops->insert_unstable(merge_index, &items[i]);
    }
    item_in[i] = !item_in[i];
}

static void test_random(void)
{
    for (int step = 0; step < 40000; step++) {
        if (random_below(2))
            toggle_node(random_below(ENTRIES));
        else
            toggle_item(random_below(ENTRIES));
        if (step % 50 == 0) {
            check_stable(some_hash(), random_below(DOMAINS));
            check_unstable(some_hash(), random_below(DOMAINS));
        }
    }
    for (u64 hash = 0; hash < HASHES; hash++) {
        for (u32 domain = 0; domain < DOMAINS; domain++) {
            check_stable(hash << 32 | 5, domain);
            check_unstable(hash << 32 | 5, domain);
        }
    }
}

/* The scanner removes what it finds while it goes on: it takes the next before. */
static void test_empty_again(void)
{
    for (u32 i = 0; i < ENTRIES; i++) {
        if (node_in[i])
            toggle_node(i);
        if (item_in[i])
            toggle_item(i);
    }
    for (u64 hash = 0; hash < HASHES; hash++) {
        CHECK(!ops->find_stable(merge_index, hash << 32 | 5, 0, NULL));
        CHECK(!ops->find_unstable(merge_index, hash << 32 | 5, 0, NULL));
    }
}

int main(void)
{
    char what[80];

    host_frames_init(32ul << 20);
    for (u32 i = 0; i < ARRAY_LEN(implementations); i++) {
        ops = implementations[i];
        merge_index = ops->create(8192);
        snprintf(what, sizeof(what), "%s: every entry of a hash and domain is found once",
                 ops->name);
        tap_run(what, test_random);
        snprintf(what, sizeof(what), "%s: removal leaves nothing behind", ops->name);
        tap_run(what, test_empty_again);
    }
    return tap_done();
}
