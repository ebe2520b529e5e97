/*
 * Whole pages of 4096 bytes, as memory: filled, copied, compared. Every address here is aligned
 * to 8 bytes. Copies use the quadword string instructions, one instruction for any processor,
 * and fast under emulators that run the byte forms a byte at a time.
 */
#pragma once

#include "lib/types.h"

#define PAGE_BYTES 4096ul
#define PAGE_WORDS (PAGE_BYTES / sizeof(u64))

static inline void page_zero(void *page)
{
    u64 words = PAGE_WORDS;

    __asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(0ul) : "memory");
}

/* The two pages do not overlap. */
static inline void page_copy(void *to, const void *from)
{
    u64 words = PAGE_WORDS;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

/* The order of two pages' bytes, as memcmp: negative, 0 or positive. */
int page_compare(const void *a, const void *b);

bool page_equal(const void *a, const void *b);

bool page_is_zero(const void *page);
