/*
 * A unit test is a program that prints TAP: one line per question asked, `ok 1 - what`, and a plan
 * at the end. A question is a function; inside it CHECK and CHECK_EQ note what is wrong, at most
 * five lines of it, and go on. Random tests draw from `random_u64`, which starts from a fixed seed
 * for each question, printed with a failure; MG_SEED in the environment sets another.
 *
 *     int main(void)
 *     {
 *         tap_run("what is asked", test_function);
 *         return tap_done();
 *     }
 */
#pragma once

#include "lib/types.h"
#include <stdio.h>
#include <stdlib.h>

static struct {
    unsigned int run, failed; /* questions */
    unsigned int complaints;  /* in this question */
    u64 seed, state;
} tap;

static inline void tap_run(const char *what, void (*question)(void))
{
    const char *seed = getenv("MG_SEED");

    tap.complaints = 0;
    tap.seed = tap.state = seed ? strtoull(seed, NULL, 0) : 20250101;
    question();
    tap.run++;
    tap.failed += tap.complaints != 0;
    printf("%sok %u - %s\n", tap.complaints ? "not " : "", tap.run, what);
    if (tap.complaints)
        printf("# %u checks failed, seed %lu\n", tap.complaints, tap.seed);
    fflush(stdout);
}

static inline int tap_done(void)
{
    printf("1..%u\n", tap.run);
    return tap.failed != 0;
}

/* True when a complaint may still be printed. */
static inline bool tap_complain(void)
{
    return tap.complaints++ < 5;
}

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition) && tap_complain())                                                      \
            printf("# %s:%d: not %s\n", __FILE__, __LINE__, #condition);                         \
    } while (0)

#define CHECK_EQ(got, expected)                                                                  \
    do {                                                                                         \
        s64 tap_got = (s64)(got), tap_expected = (s64)(expected);                                \
        if (tap_got != tap_expected && tap_complain())                                           \
            printf("# %s:%d: %s is %ld (%#lx), expected %ld (%#lx)\n", __FILE__, __LINE__, #got, \
                   tap_got, (u64)tap_got, tap_expected, (u64)tap_expected);                      \
    } while (0)

/* The next pseudo-random number (a counter through a mixer). */
static inline u64 random_u64(void)
{
    u64 x = tap.state += 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* Below n, which is not 0. */
static inline u64 random_below(u64 n)
{
    return random_u64() % n;
}
