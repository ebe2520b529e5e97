/* Content hashes: every bit counts, every place counts, bits come out balanced. */
#include "lib/hash.h"
#include "lib/bitmap.h"
#include "tests/unit/tap.h"
#include <string.h>

#define SEED 12345
#define BITS (PAGE_BYTES * 8)

static u8 page[PAGE_BYTES] aligned_to(4096);
static u64 seen[BITS + PAGE_BYTES];

static int compare_u64(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;

    return (x > y) - (x < y);
}

static usize count_equal(u64 *hashes, usize count)
{
    usize equal = 0;

    qsort(hashes, count, sizeof(*hashes), compare_u64);
    for (usize i = 1; i < count; i++)
        equal += hashes[i] == hashes[i - 1];
    return equal;
}

static void fill_random(void)
{
    for (usize i = 0; i < PAGE_BYTES; i++)
        page[i] = random_u64();
}

static void test_single_bits(void)
{
    memset(page, 0, sizeof(page));
    for (usize bit = 0; bit < BITS; bit++) {
        page[bit / 8] ^= 1 << bit % 8;
        seen[bit] = hash_page(page, SEED);
        page[bit / 8] ^= 1 << bit % 8;
    }
    CHECK_EQ(count_equal(seen, BITS), 0);
}

/* Pages that are equal but for the place of one word, or for one repeated byte. */
static void test_places(void)
{
    usize count = 0;

    for (int byte = 0; byte < 256; byte++) {
        memset(page, byte, sizeof(page));
        seen[count++] = hash_page(page, SEED);
    }
    fill_random();
    for (usize i = 0; i + 16 <= PAGE_BYTES; i += 8) {
        u64 words[2], swapped[2];

        memcpy(words, page + i, 16);
        swapped[0] = words[1];
        swapped[1] = words[0];
        memcpy(page + i, swapped, 16);
        seen[count++] = hash_page(page, SEED);
        memcpy(page + i, words, 16);
    }
    CHECK_EQ(count_equal(seen, count), 0);
}

/* Flips random bits of random pages; each bit of the hash must turn about half of the time. */
static void test_avalanche(void)
{
    enum { ROUNDS = 4000 };
    u32 turned[64] = {0};
    u64 total = 0;

    for (int round = 0; round < ROUNDS; round++) {
        usize bit = random_below(BITS);

        if (round % 16 == 0)
            fill_random();

        u64 before = hash_page(page, SEED);

        page[bit / 8] ^= 1 << bit % 8;

        u64 change = before ^ hash_page(page, SEED);

        total += bit_count(change);
        for (int i = 0; i < 64; i++)
            turned[i] += change >> i & 1;
    }
    CHECK(total > 31.5 * ROUNDS && total < 32.5 * ROUNDS);
    for (int i = 0; i < 64; i++)
        CHECK(turned[i] > 0.45 * ROUNDS && turned[i] < 0.55 * ROUNDS);
}

/* Pages that count up: their hashes fill a table about as evenly as chance does. */
static void test_table(void)
{
    enum { PAGES = 8192, BUCKETS = 4096 };
    static u8 bucket[BUCKETS];
    usize empty = 0;

    memset(page, 0, sizeof(page));
    for (u64 i = 0; i < PAGES; i++) {
        memcpy(page + 64, &i, sizeof(i));
        bucket[hash_page(page, SEED) % BUCKETS]++;
    }
    for (usize i = 0; i < BUCKETS; i++)
        empty += bucket[i] == 0;
    /* chance leaves e^-2 of them empty: 554, deviation about 20 */
    CHECK(empty > 450 && empty < 660);
}

static void test_seed(void)
{
    fill_random();
    CHECK(hash_page(page, 1) == hash_page(page, 1));
    CHECK(hash_page(page, 1) != hash_page(page, 2));
    CHECK(hash_bytes(page, 9, 1) != hash_bytes(page, 9, 2));
}

static void test_bytes(void)
{
    static u8 shifted[300];
    usize count = 0;

    memset(page, 0, sizeof(page));
    for (usize size = 0; size <= 256; size++)
        seen[count++] = hash_bytes(page, size, SEED);
    for (usize i = 0; i < 100; i++) {
        page[i] = 1;
        seen[count++] = hash_bytes(page, 100, SEED);
        page[i] = 0;
    }
    CHECK_EQ(count_equal(seen, count), 0);
    fill_random();
    for (usize shift = 0; shift < 16; shift++) {
        memcpy(shifted + shift, page, 77);
        CHECK_EQ(hash_bytes(shifted + shift, 77, SEED), hash_bytes(page, 77, SEED));
    }
    for (usize size = 0; size < 64; size++) { /* reads nothing beyond its end */
        u8 *exact = malloc(size + !size);

        memcpy(exact, page, size);
        CHECK_EQ(hash_bytes(exact, size, SEED), hash_bytes(page, size, SEED));
        free(exact);
    }
}

static void test_u64(void)
{
    for (u64 i = 0; i < 20000; i++)
        seen[i] = hash_u64(i);
    CHECK_EQ(count_equal(seen, 20000), 0);
}

int main(void)
{
    tap_run("32,768 pages with one bit set all differ", test_single_bits);
    tap_run("exchanged words and repeated bytes differ", test_places);
    tap_run("half of the hash turns with any bit", test_avalanche);
    tap_run("counting pages spread over a table", test_table);
    tap_run("the seed matters", test_seed);
    tap_run("bytes of any length and alignment", test_bytes);
    tap_run("hash_u64 has no collisions", test_u64);
    return tap_done();
}
