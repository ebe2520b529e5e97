/*
 * The benchmark: what is shared between its figures.
 *
 * One static program measures what the two kernels charge for the same request, in instructions. In
 * a virtual machine started with `-icount shift=0` the time-stamp counter advances by one for each
 * instruction executed, in user mode or in the kernel, so a difference of two readings is an exact
 * count and a second run gives it again. A figure is a function that prepares a situation, counts
 * one round of it and returns instructions per operation; main.c runs several rounds, each figure
 * in a process of its own, and prints the median.
 *
 * Only Linux's ABI is used outside native.c, so that the same file runs on both kernels.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096ul

/* Returned by a figure that could not be measured; bench_fail() has said why. */
#define BENCH_FAILED (-1.0)

struct figure {
    const char *name;     /* as printed and as --only takes it */
    const char *what;     /* one operation, in words */
    double (*run)(void);  /* one round: instructions per operation, or BENCH_FAILED */
    unsigned rounds;      /* how many rounds to take the median of, after one to warm up */
    bool merganser_only;  /* uses calls that Linux does not have */
};

extern const struct figure call_figures[], fault_figures[], process_figures[], merge_figures[];
extern const struct figure native_figures[];

/* Reads the instruction counter. By RDTSCP, which nothing else uses: tools/profile looks for it. */
static inline uint64_t bench_now(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (uint64_t)high << 32 | low;
}

/* Instructions from one bench_now() to the next with nothing between them. */
uint64_t bench_clock_cost(void);

/* Instructions since `start`, without what reading the clock costs. */
uint64_t bench_since(uint64_t start);

/* Says on standard output why a figure cannot be measured, and errno; returns BENCH_FAILED. */
double bench_fail(const char *why);

/* Maps `pages` private anonymous pages, none of them touched; NULL when that fails. */
char *bench_map(size_t pages);

/* Writes one byte into each page. */
void bench_touch(char *area, size_t pages);
