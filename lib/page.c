/*
 * Comparing whole pages, a word at a time. The loops are unrolled 32 words deep so that a word
 * costs three instructions (load, compare, branch), or one where words can be gathered first.
 */
#include "lib/page.h"

#define UNROLL 32

/* The index of the first word in which the pages differ, or PAGE_WORDS. */
static inline usize first_difference(const u64 *a, const u64 *b)
{
    for (usize at = 0; at < PAGE_WORDS; at += UNROLL, a += UNROLL, b += UNROLL) {
#pragma GCC unroll 32
        for (usize i = 0; i < UNROLL; i++) {
            if (a[i] != b[i])
                return at + i;
        }
    }
    return PAGE_WORDS;
}

/* Words are little-endian: turned round, their order as numbers is the order of their bytes. */
int page_compare(const void *a, const void *b)
{
    usize at = first_difference(a, b);

    if (at == PAGE_WORDS)
        return 0;

    u64 x = __builtin_bswap64(((const u64 *)a)[at]);
    u64 y = __builtin_bswap64(((const u64 *)b)[at]);

    return x < y ? -1 : 1;
}

bool page_equal(const void *a, const void *b)
{
    return first_difference(a, b) == PAGE_WORDS;
}

bool page_is_zero(const void *page)
{
    const u64 *word = page;

    for (usize at = 0; at < PAGE_WORDS; at += UNROLL, word += UNROLL) {
        u64 seen = 0;

#pragma GCC unroll 32
        for (usize i = 0; i < UNROLL; i++)
            seen |= word[i];
        if (seen)
            return false;
    }
    return true;
}
