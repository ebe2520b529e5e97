/*
 * The benchmark's main program: chooses figures, runs each in a process of its own, prints medians.
 *
 *     bench [--list] [--time] [--only NAME[,NAME]...]
 *
 * One line goes out for each figure: `bench NAME VALUE`, instructions per operation with one
 * decimal, or `bench NAME failed` after a line with the reason, or `bench NAME none` where this
 * kernel lacks the call. The first line, `bench clock N`, tells what the counter says for a loop of
 * a million instructions: a million under -icount shift=0, else the figures are not instructions.
 * With --time they are nanoseconds, for machines that don't count.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <merganser/native.h>

#include "bench.h"

#define ROUNDS_MAX 16

/* What a kernel still does in the background after booting is over by then. */
#define SETTLE_SECONDS 3

static const struct figure *const groups[] = {call_figures, native_figures, fault_figures,
                                              process_figures, merge_figures};
#define GROUPS (sizeof groups / sizeof groups[0])

uint64_t bench_clock_cost(void)
{
    static uint64_t cost;
    if (!cost) {
        uint64_t start = bench_now();
        cost = bench_now() - start;
    }
    return cost;
}

uint64_t bench_since(uint64_t start)
{
    return bench_now() - start - bench_clock_cost();
}

double bench_fail(const char *why)
{
    printf("# %s: %s\n", why, strerror(errno));
    return BENCH_FAILED;
}

char *bench_map(size_t pages)
{
    char *area =
        mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return area == MAP_FAILED ? NULL : area;
}

void bench_touch(char *area, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        *(volatile char *)(area + i * PAGE_SIZE) = (char)i;
}

static double scale = 1; /* of figures: 1, or nanoseconds in a tick of the counter */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How long a tick of the time-stamp counter takes, by looking at both clocks for half a second. */
static double nanoseconds_in_a_tick(void)
{
    double start = seconds_now(), end = start;
    uint64_t ticks = __builtin_ia32_rdtsc();
    while (end < start + 0.5)
        end = seconds_now();
    return (end - start) * 1e9 / (double)(__builtin_ia32_rdtsc() - ticks);
}

/* Elsewhere the number of the null call is nobody's. */
static bool kernel_is_merganser(void)
{
    return mg_null() == 0;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The median of the figure's rounds, after one that warms up; BENCH_FAILED when one fails. */
static double figure_measure(const struct figure *figure)
{
    double values[ROUNDS_MAX] = {0};
    unsigned rounds = figure->rounds < ROUNDS_MAX ? figure->rounds : ROUNDS_MAX;
    if (rounds > 1 && figure->run() < 0)
        return BENCH_FAILED;
    for (unsigned i = 0; i < rounds; i++) {
        values[i] = figure->run();
        if (values[i] < 0)
            return BENCH_FAILED;
    }
    qsort(values, rounds, sizeof values[0], compare_doubles);
    return values[rounds / 2];
}

/* Measures and prints in the calling process; returns its exit status. */
static int figure_print(const struct figure *figure)
{
    bench_clock_cost();
    double value = figure_measure(figure);
    if (value < 0)
        return 1;
    printf("bench %s %.1f\n", figure->name, value * scale);
    return 0;
}

/* Runs the figure in a child, so that one that crashes leaves the others. */
static void figure_run(const struct figure *figure)
{
    int status = 1;
    if (figure->merganser_only && !kernel_is_merganser()) {
        printf("bench %s none\n", figure->name);
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        status = figure_print(figure);
        fflush(stdout);
        _exit(status);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        printf("bench %s failed\n", figure->name);
    fflush(stdout);
}

/* Prints what the counter shows for a loop of a million instructions. Not by bench_now: the profile
 * is to see the figures only. */
static void clock_print(void)
{
    uint64_t turns = 500000;
    uint64_t start = __builtin_ia32_rdtsc();
    __asm__ volatile("1: dec %0; jnz 1b" : "+r"(turns));
    printf("bench clock %lu\n", (unsigned long)(__builtin_ia32_rdtsc() - start));
}

/* True when `chosen`, names with commas between them, contains the figure's. */
static bool figure_chosen(const struct figure *figure, const char *chosen)
{
    size_t length = strlen(figure->name);
    for (const char *at = chosen; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, figure->name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    bool list = false, time = false;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else if (strcmp(argv[i], "--time") == 0) {
            time = true;
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            fprintf(stderr, "usage: bench [--list] [--time] [--only NAME[,NAME]...]\n");
            return 2;
        }
    }
    if (!list) {
        sleep(SETTLE_SECONDS);
        clock_print();
        scale = time ? nanoseconds_in_a_tick() : 1;
    }
    for (size_t i = 0; i < GROUPS; i++)
        for (const struct figure *figure = groups[i]; figure->name; figure++) {
            if (list)
                printf("%-18s %s\n", figure->name, figure->what);
            else if (!only || figure_chosen(figure, only))
                figure_run(figure);
        }
    return 0;
}
