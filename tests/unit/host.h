/*
 * The floor under kernel sources that run on the host: one CPU, no interrupts, no other thread.
 *
 *   locks    only notice being taken twice or released unheld; waiting would be for ever
 *   panic    ends the test program, unless the test expects one: CHECK_PANIC(statement)
 *   this_cpu works as in the kernel: the GS base points at host_cpu
 *   frames   host_memory_init gives the direct map and the frame table real memory at the addresses
 *            that kernel/base/frame.h uses on the host
 *
 * A test program includes this once, and then the kernel's .c files that it examines, so that their
 * static parts can be looked at too.
 */
#pragma once

/* A process can't switch interrupts off, so the host has its own, below. */
#define irq_save hardware_irq_save
#define irq_restore hardware_irq_restore
#include "arch/x86_64/arch.h"
#undef irq_save
#undef irq_restore

#include "kernel/base/counter.h"
#include "kernel/base/cpu.h"
#include "kernel/base/errno.h"
#include "kernel/base/frame.h"
#include "kernel/base/lock.h"
#include "kernel/base/log.h"
#include "tests/unit/tap.h"
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct cpu host_cpu = {.self = &host_cpu, .online = true};

static struct {
    const void *lock[16];
    u32 locks_held;
    void (*wait)(void); /* for tests with several CPUs: what to do while spinning */
    bool panic_expected;
    jmp_buf panic_exit;
    char panic_text[256];
} host;

/* --- panic and log --- */

noreturn_fn void panic(const char *pattern, ...)
{
    va_list arguments;

    va_start(arguments, pattern);
    vsnprintf(host.panic_text, sizeof(host.panic_text), pattern, arguments);
    va_end(arguments);
    if (host.panic_expected)
        longjmp(host.panic_exit, 1);
    printf("# panic: %s\nBail out! the kernel's code panicked\n", host.panic_text);
    fflush(stdout);
    abort();
}

/* The statement must panic; locks it held are forgotten. */
#define CHECK_PANIC(statement)                                                                   \
    do {                                                                                         \
        u32 panic_locks = host.locks_held;                                                       \
        host.panic_expected = true;                                                              \
        if (setjmp(host.panic_exit) == 0) {                                                      \
            statement;                                                                           \
            if (tap_complain())                                                                  \
                printf("# %s:%d: no panic from %s\n", __FILE__, __LINE__, #statement);           \
        }                                                                                        \
        host.panic_expected = false;                                                             \
        host.locks_held = panic_locks;                                                           \
    } while (0)

/* --- locks --- */

void spin_init(struct spinlock *lock, const char *name, enum lock_rank rank)
{
    *lock = (struct spinlock)SPINLOCK_INIT(name, rank);
}

void spin_wait(void)
{
    if (!host.wait)
        panic("waits for a lock that nobody will release");
    host.wait();
}

void lock_check_acquire(const void *lock, u32 rank, const char *name, bool nested)
{
    (void)rank, (void)nested;
    if (host.locks_held == ARRAY_LEN(host.lock))
        panic("takes %s, and holds too many locks already", name);
    host.lock[host.locks_held++] = lock;
}

/* As in the kernel, a lock that was got by trying may be unknown here. */
void lock_check_release(const void *lock, u32 rank)
{
    (void)rank;
    for (u32 i = 0; i < host.locks_held; i++) {
        if (host.lock[i] == lock) {
            host.lock[i] = host.lock[--host.locks_held];
            return;
        }
    }
}

void lock_check_may_sleep(void)
{
    if (host.locks_held)
        panic("sleeps with %u locks held", host.locks_held);
}

bool spin_trylock(struct spinlock *lock)
{
    if (!spin_try_raw(lock))
        return false;
    lock_check_acquire(lock, lock->rank, lock->name, true);
    return true;
}

void spin_lock(struct spinlock *lock)
{
    if (!spin_trylock(lock))
        panic("takes %s twice", lock->name);
}

void spin_lock_nested(struct spinlock *lock)
{
    spin_lock(lock);
}

void spin_unlock(struct spinlock *lock)
{
    if (atomic_exchange(&lock->held, 0) == 0)
        panic("releases %s, which is not held", lock->name);
    lock_check_release(lock, lock->rank);
}

u64 spin_lock_irq(struct spinlock *lock)
{
    spin_lock(lock);
    return 0;
}

void spin_unlock_irq(struct spinlock *lock, u64 flags)
{
    (void)flags;
    spin_unlock(lock);
}

/* --- interrupts: there are none --- */

static inline u64 irq_save(void)
{
    return 0;
}

static inline void irq_restore(u64 flags)
{
    (void)flags;
}

bool irq_enabled(void)
{
    return true;
}

/* --- the CPU and its memory --- */

struct cpu *cpus[CPU_MAX];
u32 cpu_count;

static inline u64 host_counter(enum counter counter)
{
    return this_cpu()->counters[counter];
}

/* Call it first. */
static inline void host_init(void)
{
    cpus[0] = &host_cpu;
    cpu_count = 1;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, &host_cpu))
        panic("no GS base");
}

static inline void host_map(u64 address, usize bytes)
{
    void *wanted = (void *)address;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;

    if (mmap(wanted, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) != wanted)
        panic("no memory at %#lx", address);
}

/* Physical memory of so many frames, and their part of the frame table, all zero. */
static inline void host_memory_init(u64 frames)
{
    host_map(DIRECT_MAP_BASE, frames * PAGE_SIZE);
    host_map(FRAME_TABLE_BASE, ALIGN_UP(frames * sizeof(struct frame), PAGE_SIZE));
}
