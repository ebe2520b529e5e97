/*
 * What the files of the soak test share: the table of what each page must hold, and the tasks.
 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "tests/guest/disk.h"
#include "tests/guest/ksm.h"

#define TASKS 16
#define THREADS 4 /* the last tasks are one process */
#define PAGES 64  /* of each task */

/* What a page must hold. */
struct content {
    atomic_flag busy; /* held by whoever uses the page or this record */
    bool changed;
    uint16_t word;  /* index of the changed word */
    uint64_t value; /* of that word */
    uint64_t seed;  /* of the others; 0: zeroes */
    char last[24];  /* what was done to it last, for the report */
};

/* What the others know of a task. */
struct slot {
    struct content pages[PAGES];
    _Atomic(byte *) area; /* NULL: not yet there, or gone */
    atomic_int pid;
    unsigned stride; /* page i is at area + i * stride */
};

struct shared {
    struct slot slots[TASKS];
    atomic_long steps, checks, wrong, forks, heirs, bad_children, peers, finished;
    atomic_bool stop;
    int disk; /* for transfers that pin pages; -1: there is none, or not ours to write */
};

struct task {
    unsigned number, stride;
    bool alone; /* a process of its own */
    bool child; /* of a task, with a table of its own that nobody else knows */
    byte *area, *scratch;
    struct content *pages;
    uint64_t random;
    int pipe[2];
};

extern struct shared *shared;

static inline unsigned below(struct task *t, unsigned limit)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (unsigned)(t->random >> 20) % limit;
}

static inline byte *page_at(const struct task *t, unsigned i)
{
    return t->area + (size_t)i * t->stride;
}

static inline bool page_try(struct content *c)
{
    return !atomic_flag_test_and_set_explicit(&c->busy, memory_order_acquire);
}

static inline void page_done(struct content *c)
{
    atomic_flag_clear_explicit(&c->busy, memory_order_release);
}

/* steps.c */

/* Counts a failure, which ends all tasks soon, and says what it was. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* So many random things, each to a random page of the task's. */
void random_steps(struct task *t, int count);
/* Compares all pages that nobody else uses now with what they must hold. */
void check_all(const struct task *t);

/* tasks.c */

/* A process with `count` tasks, the first of number `first`; does not return. */
__attribute__((noreturn)) void run_process(unsigned first, unsigned count, uint64_t seed);
