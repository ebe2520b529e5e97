/*
 * Bitmaps: arrays of 64-bit words, bit i in word i / 64. The caller gives the number of bits where
 * it matters; bits of the last word beyond it are never reported and never changed. Nothing here
 * is atomic; callers bring their lock.
 */
#pragma once

#include "lib/types.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline bool bitmap_test(const u64 *map, usize bit)
{
    return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(u64 *map, usize bit)
{
    map[bit / 64] |= BIT(bit % 64);
}

static inline void bitmap_clear(u64 *map, usize bit)
{
    map[bit / 64] &= ~BIT(bit % 64);
}

/* Sets or clears `count` bits from `first` on. */
void bitmap_set_range(u64 *map, usize first, usize count);
void bitmap_clear_range(u64 *map, usize first, usize count);

/* The first set (or clear) bit at or after `from`; `bits` if there is none. */
usize bitmap_find_set(const u64 *map, usize bits, usize from);
usize bitmap_find_clear(const u64 *map, usize bits, usize from);

/* The start of the first run of `count` clear bits at or after `from`; `bits` if there is none. */
usize bitmap_find_clear_range(const u64 *map, usize bits, usize from, usize count);

/* How many bits of the first `bits` are set? */
usize bitmap_weight(const u64 *map, usize bits);

/* How many bits of a word are set? No library call, no special instruction. */
static inline unsigned int bit_count(u64 word)
{
    word -= word >> 1 & 0x5555555555555555ull;
    word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return word * 0x0101010101010101ull >> 56;
}

/* The number of the lowest set bit; the word must not be 0. */
static inline unsigned int bit_lowest(u64 word)
{
    return __builtin_ctzll(word);
}

#define bitmap_for_each_set(bit, map, bits)                                                      \
    for (usize bit = bitmap_find_set(map, bits, 0); bit < (bits);                                \
         bit = bitmap_find_set(map, bits, bit + 1))
