/*
 * Searching and filling bitmaps a word at a time. A range of bits touches a partial first word,
 * whole words, and a partial last word; `mask_between` names the bits of one word that lie in it.
 */
#include "lib/bitmap.h"

/* The bits [low, high) of a word, 0 <= low < high <= 64. */
static inline u64 mask_between(usize low, usize high)
{
    return (~0ull << low) & (~0ull >> (64 - high));
}

void bitmap_set_range(u64 *map, usize first, usize count)
{
    for (usize bit = first, end = first + count; bit < end; bit = ALIGN_DOWN(bit, 64) + 64)
        map[bit / 64] |= mask_between(bit % 64, MIN(end - ALIGN_DOWN(bit, 64), 64));
}

void bitmap_clear_range(u64 *map, usize first, usize count)
{
    for (usize bit = first, end = first + count; bit < end; bit = ALIGN_DOWN(bit, 64) + 64)
        map[bit / 64] &= ~mask_between(bit % 64, MIN(end - ALIGN_DOWN(bit, 64), 64));
}

/* The first bit at or after `from` that is set in the map xor `flip`. */
static usize find(const u64 *map, usize bits, usize from, u64 flip)
{
    for (usize bit = from; bit < bits; bit = ALIGN_DOWN(bit, 64) + 64) {
        u64 word = (map[bit / 64] ^ flip) & mask_between(bit % 64, 64);

        if (word)
            return MIN(ALIGN_DOWN(bit, 64) + bit_lowest(word), bits);
    }
    return bits;
}

usize bitmap_find_set(const u64 *map, usize bits, usize from)
{
    return find(map, bits, from, 0);
}

usize bitmap_find_clear(const u64 *map, usize bits, usize from)
{
    return find(map, bits, from, ~0ull);
}

usize bitmap_find_clear_range(const u64 *map, usize bits, usize from, usize count)
{
    usize start = bitmap_find_clear(map, bits, from);

    while (start < bits && count <= bits - start) {
        usize end = bitmap_find_set(map, start + count, start);

        if (end == start + count)
            return start;
        start = bitmap_find_clear(map, bits, end);
    }
    return bits;
}

usize bitmap_weight(const u64 *map, usize bits)
{
    usize weight = 0;

    for (usize i = 0; i < bits / 64; i++)
        weight += bit_count(map[i]);
    if (bits % 64)
        weight += bit_count(map[bits / 64] & mask_between(0, bits % 64));
    return weight;
}
