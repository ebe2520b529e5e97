/*
 * memhog: takes memory, fills it, and holds it, for experiments.
 *
 *     memhog [--fill zero|same|unique|none] [--merge] [--seconds S] [--rewrite] MB
 *
 * same: every page holds the same; unique: no two pages of any memhog are alike. --merge offers the
 * memory for merging; --rewrite writes a word of every page again and again.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#endif
#define PAGE 4096ul

static void fill_page(uint64_t *page, uint64_t seed)
{
    for (size_t i = 0; i < PAGE / sizeof *page; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        page[i] = seed;
    }
}

static void fill(char *memory, size_t pages, const char *how)
{
    uint64_t own = (uint64_t)getpid() << 32;
    for (size_t i = 0; i < pages; i++) {
        uint64_t *page = (uint64_t *)(void *)(memory + i * PAGE);
        if (strcmp(how, "zero") == 0) {
            memset(page, 0, PAGE);
        } else if (strcmp(how, "none") != 0) {
            fill_page(page, strcmp(how, "same") == 0 ? 1 : own + i);
        }
    }
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Holds the memory until the time is over; 0 is for ever. */
static void hold(char *memory, size_t pages, double seconds, bool rewrite)
{
    double end = now_seconds() + seconds;
    for (unsigned round = 1; seconds == 0 || now_seconds() < end; round++) {
        for (size_t i = 0; rewrite && i < pages; i++) {
            *(volatile unsigned *)(void *)(memory + i * PAGE) = round;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static int usage(void)
{
    fputs("usage: memhog [--fill zero|same|unique|none] [--merge] [--seconds S] [--rewrite] MB\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"fill", required_argument, NULL, 'f'},
        {"merge", no_argument, NULL, 'm'},
        {"seconds", required_argument, NULL, 's'},
        {"rewrite", no_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    const char *how = "unique";
    bool merge = false, rewrite = false;
    double seconds = 0;
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) >= 0;) {
        if (c == 'f') {
            how = optarg;
        } else if (c == 's') {
            seconds = atof(optarg);
        } else if (c == 'm') {
            merge = true;
        } else if (c == 'r') {
            rewrite = true;
        } else {
            return usage();
        }
    }
    double megabytes = optind == argc - 1 ? atof(argv[optind]) : 0;
    if (megabytes <= 0 || !strstr("zero same unique none", how)) {
        return usage();
    }
    size_t pages = (size_t)(megabytes * 256);
    char *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || (merge && madvise(memory, pages * PAGE, MADV_MERGEABLE) < 0)) {
        fprintf(stderr, "memhog: %s\n", strerror(errno));
        return 1;
    }
    fill(memory, pages, how);
    printf("memhog: process %d holds %.1f MB\n", (int)getpid(), megabytes);
    fflush(stdout);
    hold(memory, pages, seconds, rewrite);
    return 0;
}
