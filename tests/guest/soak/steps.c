/*
 * What a task does to a page: it holds the page's record, does it, and notes what must be found.
 */
#define _GNU_SOURCE
#include "tests/guest/soak/soak.h"

#define COMMON_SEEDS 6

void complain(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (atomic_fetch_add(&shared->wrong, 1) < 10) {
        note("%s", text);
    }
}

static void set_content(struct content *c, uint64_t seed, const char *how)
{
    c->seed = seed;
    c->changed = false;
    snprintf(c->last, sizeof c->last, "%s", how);
}

static void set_word(struct content *c, unsigned word, uint64_t value, const char *how)
{
    c->changed = true;
    c->word = (uint16_t)word;
    c->value = value;
    snprintf(c->last, sizeof c->last, "%s", how);
}

/* The word that may be changed: only one of a page is. */
static unsigned pick_word(struct task *t, const struct content *c)
{
    return c->changed ? c->word : below(t, PAGE / 8);
}

/* Compares words with what page i of the task with this number must hold. */
static bool check_words(const struct task *t, const struct content *c, unsigned owner, unsigned i,
                        const volatile uint64_t *words)
{
    static _Thread_local uint64_t plain[PAGE / 8];
    if (c->seed) {
        fill_page(plain, c->seed);
    } else {
        memset(plain, 0, PAGE);
    }
    if (c->changed) {
        plain[c->word] = c->value;
    }
    atomic_fetch_add_explicit(&shared->checks, 1, memory_order_relaxed);
    for (unsigned at = 0; at < PAGE / 8; at++) {
        uint64_t got = words[at];
        if (got != plain[at]) {
            complain("task %u%s: page %u of task %u, word %u: %016lx, should be %016lx (seed %lu, "
                     "last: %s)",
                     t->number, t->child ? "'s child" : "", i, owner, at, (unsigned long)got,
                     (unsigned long)plain[at], (unsigned long)c->seed, c->last);
            return false;
        }
    }
    return true;
}

static bool check_page(const struct task *t, unsigned i)
{
    return check_words(t, &t->pages[i], t->number, i, (const void *)page_at(t, i));
}

void check_all(const struct task *t)
{
    for (unsigned i = 0; i < PAGES && shared->wrong == 0; i++) {
        if (page_try(&t->pages[i])) {
            check_page(t, i);
            page_done(&t->pages[i]);
        }
    }
}

/* --- steps: each does something to page i, which is held, and notes what it must hold now --- */

static void write_common(struct task *t, unsigned i)
{
    uint64_t seed = 1 + below(t, COMMON_SEEDS);
    fill_page(page_at(t, i), seed);
    set_content(&t->pages[i], seed, "common content");
}

static void write_own(struct task *t, unsigned i)
{
    uint64_t seed = (uint64_t)(t->number + 1) << 40 | below(t, 1u << 30);
    fill_page(page_at(t, i), seed);
    set_content(&t->pages[i], seed, "own content");
}

static void write_zeroes(struct task *t, unsigned i)
{
    memset(page_at(t, i), 0, PAGE);
    set_content(&t->pages[i], 0, "zeroes");
}

static void write_word(struct task *t, unsigned i)
{
    unsigned word = pick_word(t, &t->pages[i]);
    uint64_t value = below(t, 1u << 31);
    ((volatile uint64_t *)(void *)page_at(t, i))[word] = value;
    set_word(&t->pages[i], word, value, "a word");
}

static void kernel_writes(struct task *t, unsigned i)
{
    unsigned word = pick_word(t, &t->pages[i]);
    uint64_t value = below(t, 1u << 31);
    if (write(t->pipe[1], &value, 8) != 8 || read(t->pipe[0], page_at(t, i) + word * 8, 8) != 8) {
        complain("task %u: pipe: %s", t->number, strerror(errno));
    }
    set_word(&t->pages[i], word, value, "a word by read");
}

static void look(struct task *t, unsigned i)
{
    check_page(t, i);
}

static void drop(struct task *t, unsigned i)
{
    madvise(page_at(t, i), PAGE, MADV_DONTNEED);
    set_content(&t->pages[i], 0, "MADV_DONTNEED");
}

static void map_anew(struct task *t, unsigned i)
{
    if (below(t, 2)) {
        munmap(page_at(t, i), PAGE);
    }
    if (mmap(page_at(t, i), PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED) {
        complain("task %u: mmap: %s", t->number, strerror(errno));
    }
    madvise(page_at(t, i), PAGE, MADV_MERGEABLE);
    set_content(&t->pages[i], 0, "mapped anew");
}

static void move_and_back(struct task *t, unsigned i)
{
    byte *home = page_at(t, i);
    int how = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (mremap(home, PAGE, PAGE, how, t->scratch) == MAP_FAILED ||
        mremap(t->scratch, PAGE, PAGE, how, home) == MAP_FAILED) {
        complain("task %u: mremap: %s", t->number, strerror(errno));
        return;
    }
    check_page(t, i);
}

static void protect_and_back(struct task *t, unsigned i)
{
    mprotect(page_at(t, i), PAGE, below(t, 2) ? PROT_READ : PROT_NONE);
    sched_yield();
    if (mprotect(page_at(t, i), PAGE, RW) < 0) {
        complain("task %u: mprotect: %s", t->number, strerror(errno));
    }
    check_page(t, i);
}

static void lock_in_memory(struct task *t, unsigned i)
{
    mlock(page_at(t, i), PAGE);
    check_page(t, i);
    munlock(page_at(t, i), PAGE);
}

/* Out to a disk and back again: both pin the page, and what comes back must be in it. */
static void by_disk(struct task *t, unsigned i)
{
    byte *page = page_at(t, i);
    long place = (t->number + (t->child ? TASKS : 0)) * PAGES + i;
    if (shared->disk < 0) {
        return;
    }
    if (pwrite(shared->disk, page, PAGE, place * (long)PAGE) != (ssize_t)PAGE) {
        complain("task %u: write to the disk: %s", t->number, strerror(errno));
        return;
    }
    if (below(t, 2)) {
        memset(page, 255, PAGE);
    }
    if (pread(shared->disk, page, PAGE, place * (long)PAGE) != (ssize_t)PAGE) {
        complain("task %u: read from the disk: %s", t->number, strerror(errno));
    }
    check_page(t, i);
}

/* One page, or now and then all that the process has. */
static void register_anew(struct task *t, unsigned i)
{
    switch (below(t, 8)) {
    case 0: madvise(t->area, (size_t)PAGES * t->stride, MADV_UNMERGEABLE); break;
    case 1: madvise(t->area, (size_t)PAGES * t->stride, MADV_MERGEABLE); break;
    case 2: prctl(PR_SET_MEMORY_MERGE, below(t, 2), 0, 0, 0); break;
    case 3: spill("/proc/self/merge_domain", below(t, 2) ? "1" : "0"); break;
    default:
        madvise(page_at(t, i), PAGE, MADV_UNMERGEABLE);
        check_page(t, i);
        madvise(page_at(t, i), PAGE, MADV_MERGEABLE);
    }
}

static void copy_page(struct task *t, unsigned i)
{
    unsigned to = below(t, PAGES);
    struct content *from = &t->pages[i];
    if (to == i || !page_try(&t->pages[to])) {
        return;
    }
    memcpy(page_at(t, to), page_at(t, i), PAGE);
    set_content(&t->pages[to], from->seed, "a copy");
    if (from->changed) {
        set_word(&t->pages[to], from->word, from->value, "a copy with a word");
    }
    page_done(&t->pages[to]);
}

/* --- another task's page --- */

static void use_peer_page(struct task *t, struct slot *slot, unsigned owner, unsigned i)
{
    static _Thread_local uint64_t buffer[PAGE / 8];
    struct content *c = &slot->pages[i];
    byte *page = slot->area + (size_t)i * slot->stride;
    unsigned word = pick_word(t, c);
    uint64_t value = below(t, 1u << 31);
    bool reads = below(t, 2);
    struct iovec here = {reads ? (void *)buffer : (void *)&value, reads ? PAGE : 8};
    struct iovec there = {page + (reads ? 0 : word * 8), here.iov_len};
    ssize_t moved = reads ? process_vm_readv(slot->pid, &here, 1, &there, 1, 0)
                          : process_vm_writev(slot->pid, &here, 1, &there, 1, 0);
    if (moved != (ssize_t)here.iov_len) {
        complain("task %u: process_vm_%s of task %u (pid %d): %zd, %s", t->number,
                 reads ? "readv" : "writev", owner, (int)slot->pid, moved, strerror(errno));
    } else if (reads) {
        check_words(t, c, owner, i, buffer);
    } else {
        set_word(c, word, value, "a word by another");
    }
    atomic_fetch_add_explicit(&shared->peers, 1, memory_order_relaxed);
}

/* The page at hand plays no part; a page of another task is held beside it, if it is free. */
static void visit_peer(struct task *t, unsigned i)
{
    unsigned owner = below(t, TASKS);
    struct slot *slot = &shared->slots[owner];
    if (owner == t->number || !page_try(&slot->pages[i])) {
        return;
    }
    if (slot->area) { /* its owner can't go while we hold the page */
        use_peer_page(t, slot, owner, i);
    }
    page_done(&slot->pages[i]);
}

void random_steps(struct task *t, int count)
{
    static void (*const steps[])(struct task *, unsigned) = {
        write_common,
        write_common,
        write_common,
        write_common,
        write_own,
        write_zeroes,
        write_word,
        write_word,
        write_word,
        kernel_writes,
        look,
        look,
        look,
        drop,
        map_anew,
        move_and_back,
        protect_and_back,
        lock_in_memory,
        by_disk,
        by_disk,
        copy_page,
        register_anew,
        visit_peer,
        visit_peer,
        visit_peer,
        look,
    };
    for (int done = 0; done < count && shared->wrong == 0; done++) {
        unsigned page = below(t, PAGES);
        if (page_try(&t->pages[page])) {
            steps[below(t, sizeof steps / sizeof *steps)](t, page);
            page_done(&t->pages[page]);
        }
        atomic_fetch_add_explicit(&shared->steps, 1, memory_order_relaxed);
    }
}
