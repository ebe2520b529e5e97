/*
 * Processes and threads: making them, and passing control from one to another.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define FORK_PAGES (32ul << 20 >> 12)
#define TRIPS 200
#define THREADS 20

/* musl has no header with these; a process-shared futex takes no flag. */
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

/* One fork, exit and wait, with 32 MB of touched memory to share and to let go. */
static double process_fork(void)
{
    char *area = bench_map(FORK_PAGES);
    if (!area)
        return bench_fail("mmap");
    bench_touch(area, FORK_PAGES);
    uint64_t start = bench_now();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child < 0 || waitpid(child, NULL, 0) != child)
        return bench_fail("fork or wait");
    uint64_t cost = bench_since(start);
    munmap(area, FORK_PAGES * PAGE_SIZE);
    return (double)cost;
}

/* Sends every byte that arrives back, until the other end closes. */
static void pipe_echo(int in, int out)
{
    char byte;
    while (read(in, &byte, 1) == 1 && write(out, &byte, 1) == 1)
        continue;
    _exit(0);
}

static double pipe_round_trip(void)
{
    int there[2], back[2];
    char byte = 'm';
    if (pipe(there) != 0 || pipe(back) != 0)
        return bench_fail("pipe");
    pid_t child = fork();
    if (child < 0)
        return bench_fail("fork");
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        pipe_echo(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    uint64_t start = bench_now();
    for (int i = 0; i < TRIPS; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            return bench_fail("pipe");
    uint64_t cost = bench_since(start);
    close(there[1]);
    close(back[0]);
    waitpid(child, NULL, 0);
    return (double)cost / TRIPS;
}

/* Sets `*baton` and wakes who waits for it. */
static void baton_give(int *baton)
{
    __atomic_store_n(baton, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, baton, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleeps until `*baton` is set, and clears it. */
static void baton_take(int *baton)
{
    while (!__atomic_load_n(baton, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, baton, FUTEX_WAIT, 0, NULL, NULL, 0);
    __atomic_store_n(baton, 0, __ATOMIC_SEQ_CST);
}

/* Two processes hand control to each other by futexes in shared memory; a trip is two switches. */
static double process_switch(void)
{
    uint64_t start = 0;
    int *baton = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (baton == MAP_FAILED)
        return bench_fail("mmap");
    pid_t child = fork();
    if (child < 0)
        return bench_fail("fork");
    for (int i = 0; child == 0 && i <= TRIPS; i++) {
        baton_take(&baton[0]);
        baton_give(&baton[1]);
    }
    if (child == 0)
        _exit(0);
    for (int i = 0; i <= TRIPS; i++) {
        if (i == 1)
            start = bench_now();
        baton_give(&baton[0]);
        baton_take(&baton[1]);
    }
    uint64_t cost = bench_since(start);
    waitpid(child, NULL, 0);
    munmap(baton, PAGE_SIZE);
    return (double)cost / (2 * TRIPS);
}

static void *thread_body(void *argument)
{
    return argument;
}

static double thread_create_join(void)
{
    pthread_t thread;
    uint64_t start = bench_now();
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, thread_body, NULL) != 0 ||
            pthread_join(thread, NULL) != 0)
            return bench_fail("pthread_create");
    return (double)bench_since(start) / THREADS;
}

const struct figure process_figures[] = {
    {"fork_exit_wait", "fork, exit and wait with 32 MB touched", process_fork, 5, false},
    {"pipe", "one byte through a pipe to another process and back", pipe_round_trip, 5, false},
    {"switch", "switch to another process, by futex", process_switch, 5, false},
    {"thread", "pthread_create and pthread_join", thread_create_join, 5, false},
    {0},
};
