/*
 * Hashes for tables in memory: fast, well mixed, and different for each seed. They are not
 * cryptographic: two pages with one hash are candidates, never known to be equal. Whoever must
 * bear hostile content draws the seed at random at start-up and keeps it to himself.
 */
#pragma once

#include "lib/page.h"
#include "lib/types.h"

/* The hash of a page's 4096 bytes, in some 1,700 instructions; the address is 8-byte aligned. */
u64 hash_page(const void *page, u64 seed);

/* The hash of any bytes, at any alignment. */
u64 hash_bytes(const void *bytes, usize size, u64 seed);

/* Mixes 64 bits into 64 bits, one to one: no two values have the same hash. */
static inline u64 hash_u64(u64 x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    return x;
}
