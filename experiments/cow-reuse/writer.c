/*
 * What does the last writer of a page pay, and how often is there one?
 *
 *     writer --cases POLICY             instructions a write, in four situations
 *     writer --run POLICY NAME MERGE COMMAND   instructions and counters of a command of the shell
 *     writer --together POLICY,... ROUNDS   parent and child write the same pages, on two CPUs
 *
 * POLICY is one of cow.policy, or `linux` where the kernel has no choice.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>

#include "experiments/lab.h"

#define PAGES 1024ul
#define ROUNDS 5
#define SETTLE_MS 3000 /* what a kernel still does after booting is over by then */

static const char *policy;

/* --- one write, counted --- */

/* Forks a child that shares all pages and lives until sharer_end() closes `*door`. */
static pid_t sharer_begin(int *door)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0)
        lab_fail("pipe");
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    if (child < 0)
        lab_fail("fork");
    close(ends[0]);
    *door = ends[1];
    return child;
}

static void sharer_end(pid_t child, int door)
{
    close(door);
    waitpid(child, NULL, 0);
}

static double write_all(char *area)
{
    uint64_t start = lab_now();
    lab_touch(area, PAGES);
    return (double)(lab_now() - start) / PAGES;
}

static double after_fork(bool last)
{
    int door;
    char *area = lab_map(PAGES, MAP_PRIVATE);
    lab_touch(area, PAGES);
    pid_t child = sharer_begin(&door);
    if (last)
        sharer_end(child, door);
    double cost = write_all(area);
    if (!last)
        sharer_end(child, door);
    munmap(area, PAGES * PAGE);
    return cost;
}

/* Two equal areas are merged; the first is written to, and perhaps then the second. */
static double after_merge(bool last)
{
    char *area = lab_map(2 * PAGES, MAP_PRIVATE);
    for (size_t i = 0; i < 2 * PAGES; i++)
        lab_fill(area + i * PAGE, 1 + i % PAGES);
    lab_set(KSM, "smart_scan", "0");
    lab_set(KSM, "sleep_millisecs", "0");
    lab_set(KSM, "pages_to_scan", "100000");
    madvise(area, 2 * PAGES * PAGE, MADV_MERGEABLE);
    lab_set(KSM, "run", "1");
    lab_wait_ksm("pages_sharing", PAGES, 1);
    lab_set(KSM, "run", "0");
    double cost = write_all(area);
    if (last)
        cost = write_all(area + PAGES * PAGE);
    munmap(area, 2 * PAGES * PAGE);
    lab_set(KSM, "run", "2");
    lab_set(KSM, "run", "0");
    return cost;
}

static double fork_shared(void)
{
    return after_fork(false);
}
static double fork_last(void)
{
    return after_fork(true);
}
static double merge_shared(void)
{
    return after_merge(false);
}
static double merge_last(void)
{
    return after_merge(true);
}

static void cases(void)
{
    static const struct {
        const char *name;
        double (*measure)(void);
    } all[] = {{"fork_shared", fork_shared},
               {"fork_last", fork_last},
               {"merge_shared", merge_shared},
               {"merge_last", merge_last}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double costs[ROUNDS];
        all[i].measure(); /* warms up */
        for (int round = 0; round < ROUNDS; round++)
            costs[round] = all[i].measure();
        printf("csv cases,%s,%s,%.1f\n", policy, all[i].name, lab_median(costs, ROUNDS));
    }
}

/* --- a command --- */

static const char *const counted[] = {"pgfault", "fork",          "cow_copy", "cow_reuse",
                                      "cow_ksm", "cow_ksm_reuse", "cow_retry"};
#define COUNTED (sizeof counted / sizeof *counted)

static uint64_t run_once(bool merge, char *command)
{
    int status;
    uint64_t start = lab_now();
    pid_t child = fork();
    if (child == 0) {
        if (merge && prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) < 0)
            _exit(126);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        execl("/bin/busybox", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        lab_fail("%s: status %#x", command, (unsigned)status);
    return lab_now() - start;
}

/* Once to warm up, once to count. */
static void run(const char *name, bool merge, char *command)
{
    long before[COUNTED];
    if (merge) {
        lab_set(KSM, "sleep_millisecs", "1");
        lab_set(KSM, "pages_to_scan", "4000");
        lab_set(KSM, "run", "1");
    }
    run_once(merge, command);
    for (size_t i = 0; i < COUNTED; i++)
        before[i] = lab_counter(counted[i]);
    uint64_t cost = run_once(merge, command);
    printf("csv run,%s,%s,%lu", policy, name, (unsigned long)cost);
    for (size_t i = 0; i < COUNTED; i++)
        printf(",%ld", lab_counter(counted[i]) - before[i]);
    printf("\n");
    if (merge)
        lab_set(KSM, "run", "2");
}

/* --- at once --- */

struct gate {
    atomic_int arrived, done;
    _Atomic uint64_t ns[2];
};

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Waits for its turn, then writes to all pages; notes the time. */
static void write_in_turn(struct gate *gate, int side, bool at_once, char *area)
{
    pin(side);
    atomic_fetch_add(&gate->arrived, 1);
    while (gate->arrived < 2 || (!at_once && gate->done < side))
        ;
    uint64_t start = clock_ns();
    lab_touch(area, PAGES);
    gate->ns[side] = clock_ns() - start;
    gate->done = 1;
}

/* Parent and child write to the pages they share, at once or one after the other. */
static void together(int round, bool at_once)
{
    struct gate *gate = (struct gate *)(void *)lab_map(1, MAP_SHARED);
    char *area = lab_map(PAGES, MAP_PRIVATE);
    lab_touch(area, PAGES);
    long before = lab_counter("cow_copy");
    pid_t child = fork();
    if (child < 0)
        lab_fail("fork");
    write_in_turn(gate, child == 0, at_once, area);
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    printf("csv together,%s,%s,%d,%.0f,%.0f,%.3f\n", policy, at_once ? "at_once" : "in_turn", round,
           (double)gate->ns[0] / PAGES, (double)gate->ns[1] / PAGES,
           (double)(lab_counter("cow_copy") - before) / PAGES);
    munmap(area, PAGES * PAGE);
    munmap(gate, PAGE);
}

/* The policies take turns, so that what disturbs the host disturbs all of them alike. */
static void together_rounds(char *policies, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        char names[64];
        snprintf(names, sizeof names, "%s", policies);
        for (policy = strtok(names, ","); policy; policy = strtok(NULL, ",")) {
            lab_set(TUNABLES, "cow.policy", policy);
            together(round, true);
            together(round, false);
        }
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3)
        return 2;
    policy = argv[2];
    if (strcmp(policy, "linux") != 0 && !strchr(policy, ',') &&
        !lab_set(TUNABLES, "cow.policy", policy))
        lab_fail("cow.policy %s", policy);
    lab_sleep_ms(SETTLE_MS);
    if (strcmp(argv[1], "--cases") == 0)
        cases();
    else if (strcmp(argv[1], "--run") == 0 && argc == 6)
        run(argv[3], atoi(argv[4]) != 0, argv[5]);
    else if (strcmp(argv[1], "--together") == 0 && argc == 4)
        together_rounds(argv[2], atoi(argv[3]));
    else
        return 2;
    return 0;
}
