/*
 * Does every page keep its content while four processes and the four threads of a fifth write,
 * fork, protect, move and unmap at random, on all CPUs, and ksmd merges as fast as it can?
 *
 *     stress_cow [SECONDS [SEED]]
 *
 * Each worker knows what each of its pages must hold: the content of a seed, with one word perhaps
 * changed since. Most seeds are few and common to all workers, so that pages keep finding twins.
 * The pages of the threads lie alternately in one mapping: what one thread does to its page happens
 * under the others' eyes, in the same page tables. A child that a worker forks checks all of that
 * worker's pages, goes on at random itself, and checks again.
 *
 * vm: --smp 4 --mem 512
 * timeout: 150
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "ksm.h"

#define PROCESSES 4
#define THREADS 4
#define PAGES 96 /* of each worker */
#define COMMON_SEEDS 6
#define CHILD_STEPS 40
#define CHILDREN 3 /* of a worker at a time */

/* What a page must hold. */
struct content {
    uint64_t seed; /* 0: zeroes */
    uint16_t word; /* index of the changed word */
    bool changed;
    uint64_t value;   /* of that word */
    const char *last; /* what was done to it last, for the report */
};

struct worker {
    unsigned number, stride; /* page i is at area + i * stride */
    byte *area, *scratch;    /* scratch: a page's worth of address space to move a page to */
    uint64_t random;
    struct content pages[PAGES];
    pid_t children[CHILDREN];
    int pipe[2];
};

/* Shared by all processes. */
struct totals {
    atomic_long steps, checks, wrong, children, bad_children;
    atomic_bool stop;
};

static struct totals *totals;

static uint64_t next_random(struct worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static byte *page_at(const struct worker *w, unsigned i)
{
    return w->area + (size_t)i * w->stride;
}

static uint64_t wanted_word(const struct content *c, const uint64_t *plain, unsigned at)
{
    return c->changed && c->word == at ? c->value : plain[at];
}

/* Compares a page with what it must hold; tells about a difference. */
static bool check_page(const struct worker *w, unsigned i)
{
    static _Thread_local uint64_t plain[PAGE / 8];
    const struct content *c = &w->pages[i];
    const volatile uint64_t *words = (const volatile uint64_t *)(const void *)page_at(w, i);
    if (c->seed) {
        fill_page(plain, c->seed);
    } else {
        memset(plain, 0, PAGE);
    }
    atomic_fetch_add_explicit(&totals->checks, 1, memory_order_relaxed);
    for (unsigned at = 0; at < PAGE / 8; at++) {
        uint64_t got = words[at], wanted = wanted_word(c, plain, at);
        if (got != wanted) {
            note("worker %u, page %u at %p, word %u: %016lx, should be %016lx (seed %lu, last: %s)",
                 w->number, i, (const void *)page_at(w, i), at, (unsigned long)got,
                 (unsigned long)wanted, (unsigned long)c->seed, c->last);
            atomic_fetch_add(&totals->wrong, 1);
            return false;
        }
    }
    return true;
}

static bool check_all(const struct worker *w)
{
    for (unsigned i = 0; i < PAGES; i++) {
        if (!check_page(w, i)) {
            return false;
        }
    }
    return true;
}

static void set_content(struct worker *w, unsigned i, uint64_t seed, const char *how)
{
    w->pages[i] = (struct content){.seed = seed, .last = how};
}

/* The steps: each does something to page i and notes what it must hold now. */

static void write_common(struct worker *w, unsigned i)
{
    uint64_t seed = 1 + next_random(w) % COMMON_SEEDS;
    fill_page(page_at(w, i), seed);
    set_content(w, i, seed, "common content written");
}

static void write_own(struct worker *w, unsigned i)
{
    uint64_t seed = next_random(w) | 1ul << 40;
    fill_page(page_at(w, i), seed);
    set_content(w, i, seed, "own content written");
}

static void write_word(struct worker *w, unsigned i)
{
    struct content *c = &w->pages[i];
    if (!c->changed) {
        c->word = (uint16_t)(next_random(w) % (PAGE / 8));
    }
    c->changed = true;
    c->value = next_random(w);
    c->last = "one word written";
    ((volatile uint64_t *)(void *)page_at(w, i))[c->word] = c->value;
}

static void kernel_writes_word(struct worker *w, unsigned i)
{
    struct content *c = &w->pages[i];
    if (!c->changed) {
        c->word = (uint16_t)(next_random(w) % (PAGE / 8));
    }
    c->changed = true;
    c->value = next_random(w);
    c->last = "one word written by the kernel";
    if (write(w->pipe[1], &c->value, 8) != 8 ||
        read(w->pipe[0], page_at(w, i) + c->word * 8, 8) != 8) {
        note("worker %u: the pipe has failed: %s", w->number, strerror(errno));
        atomic_fetch_add(&totals->wrong, 1);
    }
}

static void check_step(struct worker *w, unsigned i)
{
    check_page(w, i);
}

static void drop(struct worker *w, unsigned i)
{
    madvise(page_at(w, i), PAGE, MADV_DONTNEED);
    set_content(w, i, 0, "MADV_DONTNEED");
}

static void replace_mapping(struct worker *w, unsigned i)
{
    if (next_random(w) % 2) {
        munmap(page_at(w, i), PAGE);
    }
    if (mmap(page_at(w, i), PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED) {
        bail("worker %u: mmap", w->number);
    }
    madvise(page_at(w, i), PAGE, MADV_MERGEABLE);
    set_content(w, i, 0, "mapped anew");
}

static void protect_and_back(struct worker *w, unsigned i)
{
    mprotect(page_at(w, i), PAGE, next_random(w) % 2 ? PROT_READ : PROT_NONE);
    sched_yield();
    if (mprotect(page_at(w, i), PAGE, RW) < 0) {
        bail("worker %u: mprotect", w->number);
    }
    check_page(w, i);
}

static void unmerge_and_back(struct worker *w, unsigned i)
{
    madvise(page_at(w, i), PAGE, MADV_UNMERGEABLE);
    check_page(w, i);
    madvise(page_at(w, i), PAGE, MADV_MERGEABLE);
}

static void move_and_back(struct worker *w, unsigned i)
{
    byte *home = page_at(w, i);
    int how = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (mremap(home, PAGE, PAGE, how, w->scratch) == MAP_FAILED) {
        bail("worker %u: mremap", w->number);
    }
    w->scratch[8 * w->pages[i].word] ^= 0; /* a write that changes nothing */
    if (mremap(w->scratch, PAGE, PAGE, how, home) == MAP_FAILED) {
        bail("worker %u: mremap back", w->number);
    }
    check_page(w, i);
}

static void copy_to_another(struct worker *w, unsigned i)
{
    unsigned to = (unsigned)(next_random(w) % PAGES);
    if (to != i) {
        memcpy(page_at(w, to), page_at(w, i), PAGE);
        w->pages[to] = w->pages[i];
        w->pages[to].last = "copied from another page";
    }
}

static void reap_worker(struct worker *w, int slot)
{
    int status = 0;
    if (w->children[slot] <= 0) {
        return;
    }
    while (waitpid(w->children[slot], &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        note("worker %u: a child ended with wait status %#x", w->number, (unsigned)status);
        atomic_fetch_add(&totals->bad_children, 1);
    }
    w->children[slot] = 0;
}

static void random_step(struct worker *w);

static void fork_child(struct worker *w, unsigned i)
{
    int slot = (int)(i % CHILDREN);
    reap_worker(w, slot);
    pid_t pid = fork();
    if (pid == 0) {
        memset(w->children, 0, sizeof w->children);
        w->random ^= 0x1234567;
        if (pipe(w->pipe) < 0) { /* not the parent's, which it reads from itself */
            _exit(2);
        }
        bool good = check_all(w);
        for (int step = 0; step < CHILD_STEPS && good; step++) {
            random_step(w);
        }
        good &= check_all(w);
        for (int c = 0; c < CHILDREN; c++) {
            reap_worker(w, c);
        }
        _exit(good ? 0 : 1);
    }
    if (pid < 0) {
        bail("worker %u: fork", w->number);
    }
    atomic_fetch_add(&totals->children, 1);
    w->children[slot] = pid;
}

static void random_step(struct worker *w)
{
    static void (*const steps[])(struct worker *, unsigned) = {
        write_common,       write_common,  write_common,    write_common,
        write_own,          write_word,    write_word,      write_word,
        kernel_writes_word, check_step,    check_step,      check_step,
        check_step,         drop,          replace_mapping, protect_and_back,
        unmerge_and_back,   move_and_back, copy_to_another, copy_to_another,
    };
    unsigned page = (unsigned)(next_random(w) % PAGES);
    if (next_random(w) % 200 == 0) {
        fork_child(w, page);
    } else {
        steps[next_random(w) % (sizeof steps / sizeof *steps)](w, page);
    }
    atomic_fetch_add_explicit(&totals->steps, 1, memory_order_relaxed);
}

static void pin_to_cpu(unsigned number)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all) == 0) {
        CPU_SET(number % (unsigned)CPU_COUNT(&all), &one);
        sched_setaffinity(0, sizeof one, &one); /* an error means: anywhere */
    }
}

static void *work(void *argument)
{
    struct worker *w = argument;
    pin_to_cpu(w->number);
    while (!totals->stop && totals->wrong == 0) {
        for (int i = 0; i < 50; i++) {
            random_step(w);
        }
        if (next_random(w) % 8 == 0) {
            pause_ms(5); /* pages that are left alone for two passes merge */
        }
    }
    for (int slot = 0; slot < CHILDREN; slot++) {
        reap_worker(w, slot);
    }
    check_all(w);
    return NULL;
}

static void prepare_worker(struct worker *w, unsigned number, byte *area, unsigned stride,
                           uint64_t seed)
{
    *w = (struct worker){.number = number, .area = area, .stride = stride};
    w->random = seed * 1000003 + number * 7919 + 1;
    w->scratch = map_pages(1, PROT_NONE);
    for (unsigned i = 0; i < PAGES; i++) {
        w->pages[i].last = "never touched";
    }
    if (pipe(w->pipe) < 0) {
        bail("pipe");
    }
}

/* A process with so many threads; their pages alternate. */
__attribute__((noreturn)) static void run_process(unsigned first_number, unsigned threads,
                                                  uint64_t seed)
{
    static struct worker workers[THREADS];
    pthread_t ids[THREADS];
    byte *area = map_pages((size_t)PAGES * threads, RW);
    madvise(area, (size_t)PAGES * threads * PAGE, MADV_MERGEABLE);
    for (unsigned t = 0; t < threads; t++) {
        prepare_worker(&workers[t], first_number + t, area + t * PAGE, threads * PAGE, seed);
    }
    for (unsigned t = 1; t < threads; t++) {
        pthread_create(&ids[t], NULL, work, &workers[t]);
    }
    work(&workers[0]);
    for (unsigned t = 1; t < threads; t++) {
        pthread_join(ids[t], NULL);
    }
    _exit(0);
}

/* Meanwhile, from time to time: stop, unmerge everything, go on. */
static void disturb(double seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double end = (double)now.tv_sec + (double)now.tv_nsec / 1e9 + seconds, time = 0;
    long most = 0;
    for (int round = 1; time < end && totals->wrong == 0; round++) {
        pause_ms(250);
        long sharing = ksm_get("pages_sharing");
        most = sharing > most ? sharing : most;
        if (round % 16 == 0) {
            ksm_set("run", 2);
            ksm_set("run", 1);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    }
    note("at most %ld pages were shared at a time", most);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 60;
    uint64_t seed = argc > 2 ? (uint64_t)atol(argv[2]) : (uint64_t)getpid();
    pid_t pids[PROCESSES + 1];
    int ended_well = 0;
    tap_begin();
    totals = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!ksm_take()) {
        note("no merging in this kernel: copy-on-write alone");
    }
    note("%g seconds, seed %lu", seconds, (unsigned long)seed);
    for (unsigned p = 0; p <= PROCESSES; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            run_process(p, p == PROCESSES ? THREADS : 1, seed);
        }
    }
    disturb(seconds);
    totals->stop = true;
    for (int p = 0; p <= PROCESSES; p++) {
        int status = -1;
        waitpid(pids[p], &status, 0);
        ended_well += status == 0;
    }
    ksm_give_back();
    note("%ld steps, %ld pages checked, %ld children", totals->steps, totals->checks,
         totals->children);
    ok_equal(totals->wrong, 0, "no page ever held anything but its content");
    ok_equal(totals->bad_children, 0, "every child found and kept its pages");
    ok_equal(ended_well, PROCESSES + 1, "every process ended well");
    ok(totals->steps > 1000, "and much was done");
    return tap_end();
}
