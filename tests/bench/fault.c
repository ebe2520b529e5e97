/*
 * Page faults and layout calls on private anonymous memory.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define FAULT_PAGES 1024ul
#define LAYOUT_PAGES 16ul
#define LAYOUT_CALLS 200

static double fault_read(void)
{
    char *area = bench_map(FAULT_PAGES);
    if (!area)
        return bench_fail("mmap");
    uint64_t start = bench_now();
    for (size_t i = 0; i < FAULT_PAGES; i++)
        (void)*(volatile char *)(area + i * PAGE_SIZE);
    uint64_t cost = bench_since(start);
    munmap(area, FAULT_PAGES * PAGE_SIZE);
    return (double)cost / FAULT_PAGES;
}

static double fault_write(void)
{
    char *area = bench_map(FAULT_PAGES);
    if (!area)
        return bench_fail("mmap");
    uint64_t start = bench_now();
    bench_touch(area, FAULT_PAGES);
    uint64_t cost = bench_since(start);
    munmap(area, FAULT_PAGES * PAGE_SIZE);
    return (double)cost / FAULT_PAGES;
}

/* Forks a child that shares all pages and lives until fault_end_sharer() closes `*door`. */
static pid_t fault_fork_sharer(int *door)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    *door = ends[1];
    return child;
}

static void fault_end_sharer(pid_t child, int door)
{
    close(door);
    waitpid(child, NULL, 0);
}

/* Writes to pages that a child shares, or has shared until it ended (`alone`). */
static double fault_after_fork(bool alone)
{
    int door;
    char *area = bench_map(FAULT_PAGES);
    if (!area)
        return bench_fail("mmap");
    bench_touch(area, FAULT_PAGES);
    pid_t child = fault_fork_sharer(&door);
    if (child < 0)
        return bench_fail("fork");
    if (alone)
        fault_end_sharer(child, door);
    uint64_t start = bench_now();
    bench_touch(area, FAULT_PAGES);
    uint64_t cost = bench_since(start);
    if (!alone)
        fault_end_sharer(child, door);
    munmap(area, FAULT_PAGES * PAGE_SIZE);
    return (double)cost / FAULT_PAGES;
}

static double fault_cow(void)
{
    return fault_after_fork(false);
}

static double fault_last_sharer(void)
{
    return fault_after_fork(true);
}

static double layout_map_unmap(void)
{
    uint64_t start = bench_now();
    for (int i = 0; i < LAYOUT_CALLS; i++) {
        char *area = bench_map(LAYOUT_PAGES);
        if (!area || munmap(area, LAYOUT_PAGES * PAGE_SIZE) != 0)
            return bench_fail("mmap or munmap");
    }
    return (double)bench_since(start) / LAYOUT_CALLS;
}

static double layout_unmap_page(void)
{
    char *area = bench_map(FAULT_PAGES);
    if (!area)
        return bench_fail("mmap");
    bench_touch(area, FAULT_PAGES);
    uint64_t start = bench_now();
    if (munmap(area, FAULT_PAGES * PAGE_SIZE) != 0)
        return bench_fail("munmap");
    return (double)bench_since(start) / FAULT_PAGES;
}

static double layout_protect(void)
{
    size_t size = LAYOUT_PAGES * PAGE_SIZE;
    char *area = bench_map(LAYOUT_PAGES);
    if (!area)
        return bench_fail("mmap");
    bench_touch(area, LAYOUT_PAGES);
    uint64_t start = bench_now();
    for (int i = 0; i < LAYOUT_CALLS; i++) {
        int protection = i % 2 ? PROT_READ | PROT_WRITE : PROT_READ;
        if (mprotect(area, size, protection) != 0)
            return bench_fail("mprotect");
    }
    uint64_t cost = bench_since(start);
    munmap(area, size);
    return (double)cost / LAYOUT_CALLS;
}

const struct figure fault_figures[] = {
    {"fault_read", "first read of an anonymous page", fault_read, 5, false},
    {"fault_write", "first write to an anonymous page", fault_write, 5, false},
    {"fault_cow", "write to a page that a child shares: a copy", fault_cow, 5, false},
    {"fault_last_sharer", "write to a page whose other sharer has exited", fault_last_sharer, 5,
     false},
    {"map_unmap", "mmap and munmap of 16 untouched pages", layout_map_unmap, 9, false},
    {"unmap_page", "munmap, for each page that was touched", layout_unmap_page, 5, false},
    {"protect", "mprotect of 16 touched pages", layout_protect, 9, false},
    {0},
};
