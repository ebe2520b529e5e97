/* Bitmaps, against an array of bools. */
#include "lib/bitmap.h"
#include "tests/unit/tap.h"
#include <string.h>

#define BITS_MAX 300

static u64 map[BITMAP_WORDS(BITS_MAX) + 1];
static bool model[BITS_MAX];
static usize bits;

static void start(usize count)
{
    bits = count;
    memset(map, 0, sizeof(map));
    memset(model, 0, sizeof(model));
    for (usize bit = bits; bit < sizeof(map) * 8; bit++) /* what lies beyond must not matter */
        map[bit / 64] |= random_u64() & 1 ? BIT(bit % 64) : 0;
}

static usize model_find(usize from, bool wanted)
{
    while (from < bits && model[from] != wanted)
        from++;
    return MIN(from, bits);
}

static usize model_find_clear_range(usize from, usize count)
{
    for (usize at = from; at < bits && at + count <= bits; at++) {
        usize run = 0;

        while (run < count && !model[at + run])
            run++;
        if (run == count)
            return at;
    }
    return bits;
}

static void check_all(void)
{
    usize weight = 0, visited = 0;

    for (usize i = 0; i < bits; i++) {
        CHECK_EQ(bitmap_test(map, i), model[i]);
        CHECK_EQ(bitmap_find_set(map, bits, i), model_find(i, true));
        CHECK_EQ(bitmap_find_clear(map, bits, i), model_find(i, false));
        weight += model[i];
    }
    CHECK_EQ(bitmap_find_set(map, bits, bits), bits);
    CHECK_EQ(bitmap_weight(map, bits), weight);
    bitmap_for_each_set(bit, map, bits) {
        CHECK(model[bit]);
        visited++;
    }
    CHECK_EQ(visited, weight);
}

static void test_bits(void)
{
    for (usize count = 1; count <= 200; count += 13) {
        start(count);
        for (usize i = 0; i < count; i++) {
            usize bit = random_below(count);

            model[bit] = !model[bit];
            if (model[bit])
                bitmap_set(map, bit);
            else
                bitmap_clear(map, bit);
        }
        check_all();
    }
}

static void change_range(usize first, usize count, bool value)
{
    u64 beyond = map[bits / 64] & ~(BIT(bits % 64) - 1);

    if (value)
        bitmap_set_range(map, first, count);
    else
        bitmap_clear_range(map, first, count);
    for (usize i = 0; i < count; i++)
        model[first + i] = value;
    CHECK_EQ(map[bits / 64] & ~(BIT(bits % 64) - 1), beyond);
}

static void test_ranges(void)
{
    for (int round = 0; round < 150; round++) {
        start(1 + random_below(BITS_MAX));
        for (int i = 0; i < 10; i++) {
            usize first = random_below(bits + 1);

            change_range(first, random_below(bits - first + 1), random_u64() & 1);
        }
        check_all();
        for (usize count = 1; count <= 70; count += 3) {
            usize from = random_below(bits + 1);

            CHECK_EQ(bitmap_find_clear_range(map, bits, from, count),
                     model_find_clear_range(from, count));
        }
    }
}

static void test_words(void)
{
    for (int i = 0; i < 64; i++) {
        CHECK_EQ(bit_lowest(BIT(i) | BIT(63)), i);
        CHECK_EQ(bit_count(BIT(i)), 1);
        CHECK_EQ(bit_count(BIT(i) - 1), i);
    }
    CHECK_EQ(bit_count(~0ull), 64);
}

int main(void)
{
    tap_run("single bits in maps of many sizes", test_bits);
    tap_run("ranges, and searches for clear runs", test_ranges);
    tap_run("lowest bit and number of bits in a word", test_words);
    return tap_done();
}
