/*
 * The tasks: random steps, and forks of both kinds, until the director says stop.
 */
#define _GNU_SOURCE
#include "tests/guest/soak/soak.h"

#define CHILD_STEPS 30

/* All pages of the task; who else uses one of them is done soon. */
static void lock_all(const struct task *t)
{
    for (unsigned i = 0; i < PAGES; i++) {
        while (!page_try(&t->pages[i]) && shared->wrong == 0) {
            sched_yield();
        }
    }
}

static void unlock_all(const struct task *t)
{
    for (unsigned i = 0; i < PAGES; i++) {
        page_done(&t->pages[i]);
    }
}

/* --- fork --- */

/* The child knows what its pages hold from a copy of the table; the parent waits for it. */
static void fork_child(struct task *t)
{
    static struct content copies[TASKS][PAGES];
    int status = 0;
    lock_all(t);
    memcpy(copies[t->number], t->pages, sizeof copies[0]);
    pid_t pid = fork();
    if (pid == 0) {
        t->pages = copies[t->number];
        t->child = true;
        t->random ^= 0x1234567;
        if (pipe(t->pipe) < 0) { /* the old one is the parent's, which reads what it wrote */
            _exit(2);
        }
        unlock_all(t);
        check_all(t);
        random_steps(t, CHILD_STEPS);
        check_all(t);
        _exit(0);
    }
    unlock_all(t);
    atomic_fetch_add_explicit(&shared->forks, pid > 0, memory_order_relaxed);
    if (pid < 0) {
        complain("task %u: fork: %s", t->number, strerror(errno));
    }
    random_steps(t, CHILD_STEPS / 2);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        note("task %u: a child ended with wait status %#x", t->number, (unsigned)status);
        atomic_fetch_add(&shared->bad_children, 1);
    }
}

/* The child becomes the task, the parent ends. */
static void leave_to_child(struct task *t)
{
    lock_all(t);
    pid_t pid = fork();
    if (pid > 0) {
        _exit(0);
    }
    if (pid == 0) {
        shared->slots[t->number].pid = getpid();
        atomic_fetch_add_explicit(&shared->heirs, 1, memory_order_relaxed);
    } else {
        complain("task %u: fork: %s", t->number, strerror(errno));
    }
    unlock_all(t);
}

/* --- tasks --- */

static void *work(void *argument)
{
    struct task *t = argument;
    struct slot *slot = &shared->slots[t->number];
    slot->pid = getpid();
    slot->stride = t->stride;
    slot->area = t->area;
    while (!shared->stop && shared->wrong == 0) {
        random_steps(t, 40);
        unsigned chance = below(t, 12);
        if (chance == 0) {
            fork_child(t);
        } else if (chance == 1 && t->alone) {
            leave_to_child(t);
        } else if (chance < 4) {
            ksm_pause_ms(below(t, 20)); /* pages that are left alone for two passes merge */
        }
    }
    lock_all(t);
    slot->area = NULL;
    unlock_all(t);
    check_all(t);
    atomic_fetch_add(&shared->finished, 1);
    return NULL;
}

/* A process with so many tasks, whose pages lie alternately in one mapping. */
void run_process(unsigned first, unsigned count, uint64_t seed)
{
    static struct task tasks[THREADS];
    pthread_t ids[THREADS];
    byte *area = map_pages((size_t)PAGES * count, RW);
    madvise(area, (size_t)PAGES * count * PAGE, MADV_MERGEABLE);
    for (unsigned n = 0; n < count; n++) {
        struct task *t = &tasks[n];
        *t = (struct task){.number = first + n, .stride = count * PAGE, .alone = count == 1};
        t->area = area + n * PAGE;
        t->scratch = map_pages(1, PROT_NONE);
        t->pages = shared->slots[first + n].pages;
        t->random = seed * 1000003 + (first + n) * 7919 + 1;
        if (pipe(t->pipe) < 0) {
            bail("pipe");
        }
    }
    for (unsigned n = 1; n < count; n++) {
        pthread_create(&ids[n], NULL, work, &tasks[n]);
    }
    work(&tasks[0]);
    for (unsigned n = 1; n < count; n++) {
        pthread_join(ids[n], NULL);
    }
    _exit(0);
}
