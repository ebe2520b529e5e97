/*
 * Content hashes by wide multiplication.
 *
 * The step takes 16 bytes, as two words, into a 64-bit state:
 *
 *     product = (state ^ first) * (key ^ second)      64 x 64 -> 128 bits
 *     state   = low half ^ high half
 *
 * Each bit of the input reaches both halves of the product. A factor of 0 would forget what came
 * before; keys and first states derive from the seed, so that nobody who does not know it can
 * choose bytes that make one. (Adding the halves would not do: as a sum the step is linear modulo
 * 2^64 - 1, and equal changes in two places can cancel each other out.)
 *
 * A page is read in four independent lanes, so that the processor overlaps their multiplications;
 * the lanes are folded by the same step and finished by a mixer that is one to one.
 */
#include "lib/hash.h"

#define LANES 4
#define UNROLL 4
#define GOLDEN 0x9e3779b97f4a7c15ull /* 2^64 divided by the golden ratio */

struct unaligned {
    u64 value;
} __attribute__((packed, may_alias));

/* In assembly, since six instructions do it and the compiler takes eight. */
static inline u64 step(u64 state, u64 key, u64 first, u64 second)
{
    __asm__("xor %2, %0\n\t"
            "mov %3, %%rax\n\t"
            "xor %1, %%rax\n\t"
            "mul %0\n\t"
            "mov %%rax, %0\n\t"
            "xor %%rdx, %0"
            : "+&r"(state)
            : "r"(key), "rm"(first), "rm"(second)
            : "rax", "rdx", "cc");
    return state;
}

/* The n-th key of a seed. */
static inline u64 key_of(u64 seed, u64 n)
{
    return hash_u64(seed + (n + 1) * GOLDEN);
}

u64 hash_page(const void *page, u64 seed)
{
    const u64 *word = page;
    const u64 *end = word + PAGE_WORDS;
    u64 key = key_of(seed, 0);
    u64 a = key_of(seed, 1), b = key_of(seed, 2), c = key_of(seed, 3), d = key_of(seed, 4);

    for (; word < end; word += UNROLL * 2 * LANES) {
#pragma GCC unroll 4
        for (u32 i = 0; i < UNROLL * 2 * LANES; i += 2 * LANES) {
            a = step(a, key, word[i + 0], word[i + 1]);
            b = step(b, key, word[i + 2], word[i + 3]);
            c = step(c, key, word[i + 4], word[i + 5]);
            d = step(d, key, word[i + 6], word[i + 7]);
        }
    }
    a = step(a, key, b, c);
    return hash_u64(step(a, key, d, PAGE_BYTES));
}

/* The last 1 to 8 bytes as a word. */
static u64 load_tail(const u8 *bytes, usize size)
{
    u64 word = 0;

    for (usize i = 0; i < size; i++)
        word |= (u64)bytes[i] << (8 * i);
    return word;
}

static inline u64 load_word(const u8 *bytes)
{
    return ((const struct unaligned *)bytes)->value;
}

u64 hash_bytes(const void *bytes, usize size, u64 seed)
{
    const u8 *byte = bytes;
    usize left = size;
    u64 key = key_of(seed, 0);
    u64 state = key_of(seed, 1);

    for (; left >= 16; left -= 16, byte += 16)
        state = step(state, key, load_word(byte), load_word(byte + 8));
    if (left > 8)
        state = step(state, key, load_word(byte), load_tail(byte + 8, left - 8));
    else
        state = step(state, key, load_tail(byte, left), 0);
    return hash_u64(step(state, key, size, GOLDEN));
}
