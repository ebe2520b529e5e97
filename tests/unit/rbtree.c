/* The red-black tree, against a sorted array. */
#include "lib/rbtree.h"
#include "tests/unit/tap.h"

#define KEYS 512

struct item {
    struct rb_node node;
    u64 key;
    u64 serial; /* order of insertion, for equal keys */
    bool present;
};

static struct item items[KEYS];

static struct item *item_of(const struct rb_node *node)
{
    return rb_entry((struct rb_node *)node, struct item, node);
}

static bool less(const struct rb_node *a, const struct rb_node *b)
{
    return item_of(a)->key < item_of(b)->key;
}

/* Some node of the key, or NULL. */
static struct rb_node *find(const struct rb_root *root, u64 key)
{
    struct rb_node *node = root->node;

    while (node && item_of(node)->key != key)
        node = key < item_of(node)->key ? node->left : node->right;
    return node;
}

/* Do forward and backward walks give `count` items in order? */
static void check_order(const struct rb_root *root, usize count)
{
    const struct item *before = NULL;
    usize seen = 0, seen_back = 0;

    rb_for_each(node, root) {
        const struct item *item = item_of(node);

        if (before)
            CHECK(before->key < item->key ||
                  (before->key == item->key && before->serial < item->serial));
        before = item;
        seen++;
    }
    for (struct rb_node *node = rb_last(root); node; node = rb_prev(node))
        seen_back++;
    CHECK_EQ(seen, count);
    CHECK_EQ(seen_back, count);
    CHECK(rb_check(root));
}

static void test_empty(void)
{
    struct rb_root root = RB_ROOT_INIT;

    CHECK(rb_check(&root));
    CHECK(!rb_first(&root) && !rb_last(&root));
    CHECK(!rb_entry_or_null(rb_first(&root), struct item, node));
    rb_insert(&root, &items[0].node, less);
    CHECK(rb_first(&root) == &items[0].node && rb_last(&root) == &items[0].node);
    rb_remove(&root, &items[0].node);
    CHECK(!rb_first(&root));
}

/* Inserts in one order, removes in another, checking at each step. */
static void run_order(u64 insert_factor, u64 remove_factor)
{
    struct rb_root root = RB_ROOT_INIT;

    for (u64 i = 0; i < KEYS; i++) {
        struct item *item = &items[i * insert_factor % KEYS];

        item->key = item - items;
        item->serial = i;
        rb_insert(&root, &item->node, less);
        CHECK(rb_check(&root));
    }
    check_order(&root, KEYS);
    for (u64 i = 0; i < KEYS; i++) {
        rb_remove(&root, &items[i * remove_factor % KEYS].node);
        check_order(&root, KEYS - i - 1);
    }
}

static void test_orders(void)
{
    run_order(1, 1);
    run_order(1, KEYS - 1);
    run_order(KEYS - 1, 1);
    run_order(317, 61);
}

static void test_random(void)
{
    struct rb_root root = RB_ROOT_INIT;
    usize count = 0;

    for (u64 step = 0; step < 20000; step++) {
        struct item *item = &items[random_below(KEYS)];

        if (item->present) {
            rb_remove(&root, &item->node);
            count--;
        } else {
            item->key = random_below(KEYS / 4); /* so that many are equal */
            item->serial = step;
            rb_insert(&root, &item->node, less);
            CHECK(item_of(find(&root, item->key))->key == item->key);
            count++;
        }
        item->present = !item->present;
        if (step % 16 == 0)
            check_order(&root, count);
    }
}

static void test_replace(void)
{
    struct rb_root root = RB_ROOT_INIT;
    struct item other[KEYS];

    for (u64 i = 0; i < KEYS; i++) {
        items[i].key = items[i].serial = i;
        rb_insert(&root, &items[i].node, less);
    }
    for (u64 i = 0; i < KEYS; i++) {
        other[i].key = other[i].serial = i;
        rb_replace(&root, &items[i].node, &other[i].node);
        items[i].key = ~0ul;
    }
    check_order(&root, KEYS);
    for (u64 i = 0; i < KEYS; i++)
        CHECK(find(&root, i) == &other[i].node);
}

static void test_check_sees(void)
{
    struct rb_root root = RB_ROOT_INIT;

    for (u64 i = 0; i < 7; i++) {
        items[i].key = i;
        rb_insert(&root, &items[i].node, less);
    }
    CHECK(rb_check(&root));
    root.node->left->parent_colour ^= 1;
    CHECK(!rb_check(&root));
    root.node->left->parent_colour ^= 1;
    root.node->parent_colour ^= 1;
    CHECK(!rb_check(&root));
    root.node->parent_colour ^= 1;
    root.node->right->left->parent_colour = 1;
    CHECK(!rb_check(&root));
}

int main(void)
{
    tap_run("an empty tree, and one with one node", test_empty);
    tap_run("rising, falling and scattered orders keep the rules", test_orders);
    tap_run("random insertion and removal with equal keys", test_random);
    tap_run("every node can be replaced", test_replace);
    tap_run("rb_check notices broken colours and parents", test_check_sees);
    return tap_done();
}
