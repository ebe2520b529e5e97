/* The radix map, against a sorted array, with memory that can run out at any allocation. */
#include "lib/radix.h"
#include "tests/unit/tap.h"
#include <string.h>

#define ENTRIES_MAX 4096

static struct {
    u64 index[ENTRIES_MAX];
    void *value[ENTRIES_MAX];
    usize count;
} model;

static usize nodes;          /* allocated now */
static s64 allocations_left; /* before the next one fails */

static void *alloc(void *context)
{
    CHECK(context == &nodes);
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    nodes++;
    return memset(malloc(sizeof(struct radix_node)), 0xa5, sizeof(struct radix_node));
}

static void release(void *context, void *node)
{
    CHECK(context == &nodes);
    nodes--;
    free(node);
}

static const struct radix_memory memory = {.alloc = alloc, .free = release, .context = &nodes};
static struct radix radix;

static void start(void)
{
    radix_init(&radix, &memory);
    model.count = 0;
    allocations_left = -1;
}

/* Where the index is or would be in the model. */
static usize model_position(u64 index)
{
    usize at = 0;

    while (at < model.count && model.index[at] < index)
        at++;
    return at;
}

static void *model_get(u64 index)
{
    usize at = model_position(index);

    return at < model.count && model.index[at] == index ? model.value[at] : NULL;
}

static void model_set(u64 index, void *value)
{
    usize at = model_position(index);

    if (!model_get(index)) {
        memmove(&model.index[at + 1], &model.index[at], (model.count - at) * sizeof(u64));
        memmove(&model.value[at + 1], &model.value[at], (model.count - at) * sizeof(void *));
        model.count++;
    }
    model.index[at] = index;
    model.value[at] = value;
}

static void model_remove(u64 index)
{
    usize at = model_position(index);

    if (!model_get(index))
        return;
    model.count--;
    memmove(&model.index[at], &model.index[at + 1], (model.count - at) * sizeof(u64));
    memmove(&model.value[at], &model.value[at + 1], (model.count - at) * sizeof(void *));
}

/* Is the map the model, by iteration and by look-up? */
static void check_same(void)
{
    usize at = 0;
    void *value;

    radix_for_each(value, index, &radix, 0, UINT64_MAX) {
        if (at < model.count) {
            CHECK_EQ(index, model.index[at]);
            CHECK(value == model.value[at]);
        }
        at++;
    }
    CHECK_EQ(at, model.count);
    for (usize i = 0; i < model.count; i++)
        CHECK(radix_get(&radix, model.index[i]) == model.value[i]);
    CHECK_EQ(radix_empty(&radix), model.count == 0);
    if (model.count == 0)
        CHECK_EQ(nodes, 0);
}

/* Dense near 0, at the borders of levels, and at the top of the range. */
static u64 random_index(void)
{
    switch (random_below(4)) {
    case 0: return random_below(200);
    case 1: return BIT(6 * random_below(11)) + random_below(5) - 2;
    case 2: return UINT64_MAX - random_below(70);
    default: return random_u64() >> random_below(64);
    }
}

static void *random_value(void)
{
    return (void *)(1 + random_below(1000000));
}

static void test_few(void)
{
    u64 index = 0;

    start();
    CHECK(radix_empty(&radix) && !radix_get(&radix, 0) && !radix_remove(&radix, 7));
    CHECK(!radix_next(&radix, &index));
    CHECK(radix_set(&radix, 0, &index));
    CHECK_EQ(nodes, 0); /* one value at 0 needs no node */
    CHECK(radix_get(&radix, 0) == &index && !radix_get(&radix, 1));
    CHECK(radix_set(&radix, UINT64_MAX, &radix));
    CHECK(radix_get(&radix, 0) == &index && radix_get(&radix, UINT64_MAX) == &radix);
    index = 1;
    CHECK(radix_next(&radix, &index) == &radix && index == UINT64_MAX);
    CHECK(radix_remove(&radix, UINT64_MAX) == &radix);
    CHECK_EQ(nodes, 0); /* and the tree is low again */
    CHECK(radix_remove(&radix, 0) == &index);
    CHECK(radix_empty(&radix));
}

static void test_random(void)
{
    start();
    for (int step = 0; step < 20000; step++) {
        u64 index = random_index();
        bool shrinking = step / 2000 % 2;

        if (random_below(3) < (shrinking ? 1 : 2) && model.count < ENTRIES_MAX) {
            void *value = random_value();

            CHECK(radix_set(&radix, index, value));
            model_set(index, value);
        } else {
            if (model.count && random_below(2))
                index = model.index[random_below(model.count)];
            CHECK(radix_remove(&radix, index) == model_get(index));
            model_remove(index);
        }
        if (step % 100 == 0)
            check_same();
    }
    radix_clear(&radix);
    model.count = 0;
    check_same();
}

static void test_next(void)
{
    start();
    for (int i = 0; i < 300; i++) {
        u64 index = random_index();

        CHECK(radix_set(&radix, index, &radix));
        model_set(index, &radix);
    }
    for (int i = 0; i < 5000; i++) {
        u64 from = random_index(), index = from;
        usize at = model_position(from);
        void *value = radix_next(&radix, &index);

        CHECK_EQ(value != NULL, at < model.count);
        CHECK_EQ(index, at < model.count ? model.index[at] : from);
    }
    radix_clear(&radix);
    CHECK_EQ(nodes, 0);
}

static void test_ranges(void)
{
    void *value;
    u64 sum = 0;

    start();
    for (u64 i = 0; i < 1000; i++)
        CHECK(radix_set(&radix, i, &sum));
    radix_for_each(value, i, &radix, 10, 20)
        sum += i;
    CHECK_EQ(sum, 165);
    radix_for_each(value, i, &radix, 100, 899)
        CHECK(radix_remove(&radix, i) == value);
    sum = 0;
    radix_for_each(value, i, &radix, 0, UINT64_MAX)
        sum++;
    CHECK_EQ(sum, 200);
    radix_for_each(value, i, &radix, 0, UINT64_MAX)
        radix_remove(&radix, i);
    CHECK(radix_empty(&radix));
    CHECK_EQ(nodes, 0);
}

/* A failed radix_set changes nothing and leaks nothing, whichever allocation fails. */
static void test_no_memory(void)
{
    start();
    for (int step = 0; step < 3000; step++) {
        u64 index = random_index();
        usize before = nodes;
        void *value = random_value();

        allocations_left = random_below(12);
        if (radix_set(&radix, index, value))
            model_set(index, value);
        else
            CHECK_EQ(nodes, before);
        allocations_left = -1;
        if (random_below(2) && model.count) {
            index = model.index[random_below(model.count)];
            radix_remove(&radix, index);
            model_remove(index);
        }
        if (step % 20 == 0)
            check_same();
    }
    radix_clear(&radix);
    CHECK_EQ(nodes, 0);
}

int main(void)
{
    tap_run("no, one and two values, at both ends", test_few);
    tap_run("random setting and removal", test_random);
    tap_run("the next value from any index", test_next);
    tap_run("ranges are visited, and emptied while visited", test_ranges);
    tap_run("running out of memory changes nothing", test_no_memory);
    return tap_done();
}
