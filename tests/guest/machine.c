/*
 * Is the machine there as it was asked for? CPUs, memory and nodes are counted through Linux's
 * interfaces; the boot matrix passes what tools/vm was told.
 *
 *     machine [cpus=N] [mem=MB] [nodes=N]
 *
 * linux: no
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define MB (1ul << 20)
#define TOUCHED (8 * MB)

static int tests, failures;

static void check(int good, const char *what)
{
    printf("%s %d - %s\n", good ? "ok" : "not ok", ++tests, what);
    failures += !good;
}

/* The number after `name=` among the arguments, or 0. */
static long wanted(char **argv, const char *name)
{
    long value = 0;
    size_t length = strlen(name);
    for (char **word = argv + 1; *word; word++)
        if (strncmp(*word, name, length) == 0 && (*word)[length] == '=')
            sscanf(*word + length + 1, "%ld", &value);
    return value;
}

/* "0-3" tells four nodes. */
static long count_nodes(void)
{
    long first = 0, last = 0;
    FILE *file = fopen("/sys/devices/system/node/online", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%ld-%ld", &first, &last) < 2)
        last = first;
    fclose(file);
    return last + 1;
}

static void check_cpus(long wish)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    printf("# %d CPUs\n", count);
    check(wish ? count == wish : count > 0, "every CPU is there");
}

/* The firmware and the kernel keep some. */
static void check_memory(unsigned long wish_mb)
{
    struct sysinfo info;
    memset(&info, 0, sizeof info);
    check(sysinfo(&info) == 0, "sysinfo");
    unsigned long total = info.totalram * info.mem_unit / MB,
                  free = info.freeram * info.mem_unit / MB;
    printf("# %lu MB, %lu MB free\n", total, free);
    check(wish_mb ? total <= wish_mb && total + total / 8 + 16 >= wish_mb : total > 0,
          "memory is there");
}

/* Runs on every CPU in turn and touches memory from there. */
static void check_every_cpu(void)
{
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), good = 0;
    for (int cpu = 0; cpu < cpus; cpu++) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0)
            continue;
        unsigned char *page =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            continue;
        page[0] = (unsigned char)cpu;
        good += page[0] == (unsigned char)cpu && sched_getcpu() == cpu;
        munmap(page, 4096);
    }
    printf("# %d of %d CPUs ran this\n", good, cpus);
    check(good == cpus, "every CPU runs a thread");
}

static void check_fork(void)
{
    int status = -1;
    unsigned char *area =
        mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(area != MAP_FAILED, "memory can be mapped");
    if (area == MAP_FAILED)
        return;
    for (size_t at = 0; at < TOUCHED; at += 4096)
        area[at] = 1;
    pid_t child = fork();
    if (child == 0) {
        area[0] = 2;
        _exit(area[0] + area[4096]);
    }
    waitpid(child, &status, 0);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 3 && area[0] == 1,
          "a child has its own copy");
}

int main(int argc, char **argv)
{
    (void)argc;
    long nodes = wanted(argv, "nodes");
    check_cpus(wanted(argv, "cpus"));
    check_memory((unsigned long)wanted(argv, "mem"));
    check(nodes ? count_nodes() == nodes : count_nodes() > 0, "every node is there");
    check_every_cpu();
    check_fork();
    printf("1..%d\n", tests);
    return failures != 0;
}
