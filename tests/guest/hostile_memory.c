/*
 * Does the kernel keep its counts when four threads of a process, and its children, do anything to
 * the same two megabytes of addresses at once? Mappings of all kinds are made, moved, protected,
 * advised and taken away at random under each other's accesses, an object is truncated under its
 * mappings, pages are copied in and out from other tasks, while ksmd runs as fast as it can and is
 * switched on, off and back.
 *
 *     hostile_memory [CASE]            HOSTILE_SEED, HOSTILE_SECONDS in the environment
 *
 * vm: --smp 4 --mem 256
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <ucontext.h>

#include "hostile.h"

#define RW (PROT_READ | PROT_WRITE)
#define WORKERS 4
#define ARENA_PAGES 512
#define GUARD_PAGES 8 /* behind it; copies may reach so far */
#define OBJECT_PAGES 96
#define KSM_FOLDER "/sys/kernel/mm/ksm/"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static char *arena;
static long object;
static atomic_bool go, stop;
static atomic_long steps, faults, wrong;

struct worker {
    uint64_t random;
    pthread_t thread;
    void (*step)(struct worker *w);
};

static _Thread_local sigjmp_buf *landing; /* where a bad access goes on */

static uint64_t next_random(struct worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random >> 11;
}

static void caught(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *at = context;
    if (!landing) {
        note("signal %d at %p, rip %#llx, arena %p", signal, info->si_addr,
             at->uc_mcontext.gregs[REG_RIP], (void *)arena);
        _exit(99);
    }
    siglongjmp(*landing, 1);
}

static void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_NODEFER | SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static long environment(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

static void *work(void *argument)
{
    struct worker *w = argument;
    sigjmp_buf here;
    if (sigsetjmp(here, 0)) {
        faults++;
    }
    landing = &here;
    while (!go) {
        sched_yield();
    }
    while (!stop) {
        w->step(w);
        steps++;
    }
    return NULL;
}

/* Runs the step on all workers for some seconds. */
static void run(void (*step)(struct worker *w), void (*meanwhile)(void))
{
    static struct worker workers[WORKERS];
    uint64_t seed = (uint64_t)environment("HOSTILE_SEED", now_ns(CLOCK_REALTIME) / 1000 % 1000000);
    note("seed %lu", (unsigned long)seed);
    catch_faults();
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.random = seed * 1000003 + (uint64_t)i + 1, .step = step};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    go = true; /* not before: a stack must not come to lie in a hole of the arena */
    long end = now_ns(CLOCK_MONOTONIC) + environment("HOSTILE_SECONDS", 6) * 1000000000l;
    while (now_ns(CLOCK_MONOTONIC) < end) {
        meanwhile();
    }
    stop = true;
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    note("%ld steps, %ld faults", (long)steps, (long)faults);
}

static void switch_ksm(void)
{
    static const char *const values[] = {"1", "1", "0", "1", "2", "1"};
    static unsigned turn;
    spill(KSM_FOLDER "run", values[turn++ % 6]);
    pause_ms(100);
}

static void hurry_ksm(void)
{
    spill(KSM_FOLDER "pages_to_scan", "10000");
    spill(KSM_FOLDER "sleep_millisecs", "0");
    spill(KSM_FOLDER "run", "1");
}

static void calm_ksm(void)
{
    spill(KSM_FOLDER "run", "2");
    spill(KSM_FOLDER "run", "0");
    spill(KSM_FOLDER "pages_to_scan", "100");
    spill(KSM_FOLDER "sleep_millisecs", "20");
}

/* --- anything at all --- */

static char *some_page(struct worker *w)
{
    return arena + next_random(w) % ARENA_PAGES * PAGE;
}

static size_t some_length(struct worker *w, const char *from)
{
    size_t room = (size_t)(arena + ARENA_PAGES * PAGE - from) / PAGE;
    size_t most = next_random(w) % 8 ? 8 : 64;
    size_t pages = 1 + next_random(w) % most;
    return (pages < room ? pages : room) * PAGE;
}

static void touch_pages(struct worker *w)
{
    volatile long *at = (volatile long *)some_page(w);
    long word = (long)(next_random(w) % 4);
    uint64_t way = next_random(w) % 8;
    if (way < 3) { /* cheaper than a signal where nothing is mapped */
        mg_vm_copy(MG_HANDLE_SELF, at, MG_HANDLE_SELF, &word, sizeof word);
    } else if (way < 6) {
        mg_vm_copy(MG_HANDLE_SELF, &word, MG_HANDLE_SELF, at, sizeof word);
    } else if (way == 6) {
        *at = word;
    } else {
        (void)*at;
    }
}

static void map_something(struct worker *w)
{
    static const int protections[] = {RW, RW, RW, PROT_READ, PROT_NONE, RW | PROT_EXEC};
    char *at = some_page(w);
    size_t length = some_length(w, at);
    int prot = protections[next_random(w) % 6];
    uint64_t kind = next_random(w) % 8;
    if (kind < 4) {
        mmap(at, length, prot, MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    } else if (kind == 4) {
        mmap(at, length, prot, MAP_FIXED | MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    } else if (kind == 5) {
        mmap(at, length, prot, MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE, -1, 0);
    } else {
        struct mg_map map = {
            .addr = (uint64_t)at,
            .len = length,
            .prot = (uint32_t)prot,
            .flags = MAP_FIXED | (kind == 6 ? MAP_SHARED : MAP_PRIVATE),
            .object = (mg_handle)object,
            .offset = next_random(w) % OBJECT_PAGES * PAGE,
        };
        mg_vm_map(MG_HANDLE_SELF, &map);
    }
}

static void move_something(struct worker *w)
{
    char *from = some_page(w), *to = some_page(w);
    size_t old = some_length(w, from), new = some_length(w, to), both = old < new ? old : new;
    switch (next_random(w) % 4) {
    case 0: mremap(from, old, new, MREMAP_MAYMOVE | MREMAP_FIXED, to); break;
    case 1: mremap(from, both, both, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to); break;
    case 2: mremap(from, old, new, 0); break;
    default: mremap(from, 0, new, MREMAP_MAYMOVE | MREMAP_FIXED, to); break;
    }
}

static void advise_something(struct worker *w)
{
    static const int advices[] = {MADV_DONTNEED,   MADV_DONTNEED,       MADV_MERGEABLE,
                                  MADV_MERGEABLE,  MADV_UNMERGEABLE,    MADV_WIPEONFORK,
                                  MADV_KEEPONFORK, MADV_POPULATE_WRITE, MADV_FREE,
                                  MADV_REMOVE,     MADV_DONTFORK,       MADV_POPULATE_READ};
    char *at = some_page(w);
    madvise(at, some_length(w, at), advices[next_random(w) % 12]);
}

static void fork_something(struct worker *w)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 20; i++) {
            sigjmp_buf here;
            landing = &here;
            if (!sigsetjmp(here, 0)) {
                touch_pages(w);
            }
        }
        _exit(0);
    }
    wrong += pid > 0 && reap(pid) != 0;
}

/* Copies between our addresses and those of a task that has them too, or the object. */
static void copy_something(struct worker *w)
{
    char *from = some_page(w), *to = some_page(w);
    long length = (long)(next_random(w) % (3 * PAGE));
    long at = (long)(next_random(w) % (OBJECT_PAGES * PAGE));
    struct iovec local = {from, (size_t)length}, remote = {to, (size_t)length};
    switch (next_random(w) % 5) {
    case 0: mg_vm_copy(MG_HANDLE_SELF, from, MG_HANDLE_SELF, to, length); break;
    case 1: mg_vm_copy(object, at, MG_HANDLE_SELF, to, length); break;
    case 2: mg_vm_copy(MG_HANDLE_SELF, from, object, at, length); break;
    case 3: process_vm_readv(getpid(), &local, 1, &remote, 1, 0); break;
    default: process_vm_writev(getpid(), &local, 1, &remote, 1, 0); break;
    }
}

static void child_of_our_own(struct worker *w)
{
    long task = mg_task_fork(MG_HANDLE_SELF, 0, 0, next_random(w) % 4 ? 0 : MG_FORK_SHARE_SPACE);
    if (task < 0) {
        return;
    }
    char *from = some_page(w), *to = some_page(w);
    struct mg_vma vma;
    mg_vm_copy(task, to, MG_HANDLE_SELF, from, 2 * PAGE);
    mg_vm_copy(MG_HANDLE_SELF, to, task, from, 2 * PAGE);
    mg_vm_unmap(task, from, some_length(w, from));
    mg_vm_query(task, to, &vma);
    if (next_random(w) % 2) {
        mg_task_reset_space(task);
    }
    if (next_random(w) % 2) {
        mg_task_kill(task);
    }
    mg_handle_close(task);
}

static void anything(struct worker *w)
{
    char *at = some_page(w);
    uint64_t what = next_random(w) % 64;
    if (what < 30) {
        touch_pages(w);
    } else if (what < 38) {
        map_something(w);
    } else if (what < 42) {
        munmap(at, some_length(w, at));
    } else if (what < 46) {
        mprotect(at, some_length(w, at), next_random(w) % 4 ? RW : PROT_READ);
    } else if (what < 50) {
        move_something(w);
    } else if (what < 55) {
        advise_something(w);
    } else if (what < 58) {
        copy_something(w);
    } else if (what < 60) {
        mg_object_resize(object, next_random(w) % (OBJECT_PAGES * PAGE));
    } else if (what == 60) {
        mg_object_punch(object, next_random(w) % (OBJECT_PAGES * PAGE), 5 * PAGE);
    } else if (what == 61) {
        (next_random(w) % 2 ? mlock : munlock)(at, PAGE);
    } else if (next_random(w) % 4 == 0) {
        what == 62 ? fork_something(w) : child_of_our_own(w);
    }
}

static void fuzz(void)
{
    arena = mmap(NULL, (ARENA_PAGES + GUARD_PAGES) * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(arena + ARENA_PAGES * PAGE, GUARD_PAGES * PAGE, PROT_NONE);
    object = mg_object_create(OBJECT_PAGES * PAGE, 5);
    run(anything, switch_ksm);
    ok(steps > 500, "many things were done");
    ok_equal(wrong, 0, "children ended well");
}

static void anything_at_all(void)
{
    long before = free_bytes();
    hurry_ksm();
    ok_equal(tap_child(fuzz), 0, "a program that does anything");
    calm_ksm();
    all_is_well(before);
}

/* --- truncation: a page of the object holds its own number or zero, whatever has been --- */

static long *shared, *private;

static void check_word(uint64_t page, long seen)
{
    if (seen && (uint64_t)seen >> 32 != page + 1) {
        wrong++;
        note("page %lu holds %#lx", (unsigned long)page, (unsigned long)seen);
    }
}

static void use_object(struct worker *w)
{
    uint64_t page = next_random(w) % OBJECT_PAGES, word = next_random(w) % 512;
    long value = (long)((page + 1) << 32 | (next_random(w) & 0xffff)), seen = 0;
    switch (next_random(w) % 10) {
    case 0:
    case 1:
    case 2: check_word(page, shared[page * 512 + word]); break;
    case 3:
    case 4: shared[page * 512 + word] = value; break;
    case 5: check_word(page, private[page * 512 + word]); break;
    case 6:
        private
        [page * 512 + word] = value;
        break;
    case 7:
        mg_vm_copy(MG_HANDLE_SELF, &seen, object, (page * 512 + word) * 8, 8);
        check_word(page, seen);
        break;
    case 8: mg_vm_copy(object, (page * 512 + word) * 8, MG_HANDLE_SELF, &value, 8); break;
    default:
        if (next_random(w) % 4 == 0) {
            madvise(private, OBJECT_PAGES * PAGE, MADV_DONTNEED);
        }
    }
}

static void resize_object(void)
{
    static struct worker w = {.random = 12345};
    mg_object_resize(object, next_random(&w) % 4 ? (long)(OBJECT_PAGES * PAGE)
                                                 : (long)(next_random(&w) % OBJECT_PAGES * PAGE));
    if (next_random(&w) % 8 == 0) {
        mg_object_punch(object, next_random(&w) % OBJECT_PAGES * PAGE, 3 * PAGE);
    }
}

static void use_truncated(void)
{
    struct mg_map map = {.len = OBJECT_PAGES * PAGE, .prot = RW, .flags = MAP_SHARED};
    object = mg_object_create(OBJECT_PAGES * PAGE, 5);
    map.object = (mg_handle)object;
    shared = (long *)mg_vm_map(MG_HANDLE_SELF, &map);
    map.flags = MAP_PRIVATE;
    private = (long *)mg_vm_map(MG_HANDLE_SELF, &map);
    madvise(private, map.len, MADV_MERGEABLE);
    run(use_object, resize_object);
    ok(faults > 10, "accesses beyond the end");
    ok_equal(wrong, 0, "no page held anything but its own");
}

static void truncation(void)
{
    long before = free_bytes();
    hurry_ksm();
    ok_equal(tap_child(use_truncated), 0, "an object that is truncated under four threads");
    calm_ksm();
    all_is_well(before);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_SLOW_CASE(anything_at_all, 60),
        TAP_SLOW_CASE(truncation, 60),
    };

    return TAP_MAIN(cases);
}
