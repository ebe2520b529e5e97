/*
 * cpu.h: what the kernel keeps for each CPU.
 *
 * `struct cpu` is reached through the GS base in kernel mode. Its first fields are known to the
 * entry code in assembly by offset (static asserts in arch/x86_64). A field belongs to its own CPU
 * and is touched only there, with preemption not an issue since kernel code is never preempted; the
 * exceptions say how others use them.
 */
#pragma once

#include "kernel/base/lock.h"
#include "lib/types.h"

#define CPU_MAX 64
typedef u64 cpumask_t; /* bit n = CPU n */

#define CPU_COUNTERS 96

struct thread;
struct mm;

/* What this CPU's TLB may hold: kernel/mm/tlb.c. Initiators of a flush read mm and lazy. */
struct cpu_tlb {
    struct mm *_Atomic mm; /* the space in CR3; NULL = the kernel's own */
    _Atomic bool lazy;     /* no thread of mm runs: no IPI, generations are compared later */
    u64 generation;        /* of mm, up to which this CPU has flushed */
};

#define CPU_FRAME_CACHE 64
struct cpu_frame_cache { /* of order 0 and this CPU's node: frame_alloc.c */
    u32 count;
    u32 frame[CPU_FRAME_CACHE];
};

#ifdef MG_DEBUG
#define HELD_LOCKS 16
struct held_lock { /* lock.c: for the check of the lock order */
    const void *lock;
    u32 rank;
    u32 depth; /* of interrupts, when it was taken */
    const char *name;
};
#endif

struct cpu {
    /* at offsets that assembly knows */
    struct cpu *self;       /* 0: for `mov rax, gs:0` */
    u64 kernel_stack;       /* 8: top of the current thread's kernel stack */
    u64 user_rsp;           /* 16: scratch for the system call entry */
    struct thread *current; /* 24 */
    _Atomic u32 resched;    /* 32: schedule before user mode; set by other CPUs too */

    u32 id;
    cpumask_t bit; /* 1 << id */
    u32 apic_id, node;
    _Atomic bool online;

    struct cpu_tlb tlb;
    struct cpu_frame_cache frames;
    struct thread *idle;
    void *arch; /* GDT, TSS, IST stacks: arch/x86_64 */

    u64 interrupts, shootdowns_received, shootdowns_sent;
    u64 counters[CPU_COUNTERS]; /* by enum counter: counter.h */
    s64 kinds[16]; /* frames that became of each kind here, less those that ceased to be: frame.c */
    u32 interrupt_depth;
    bool interrupted_user; /* the interrupt being handled came from user mode */
#ifdef MG_DEBUG
    struct held_lock held[HELD_LOCKS];
    u32 held_count;
#endif
};

extern struct cpu *cpus[CPU_MAX]; /* by id, NULL beyond cpu_count */
extern u32 cpu_count;             /* CPUs found and started */

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* The current thread; like `this_cpu()->current`, but may be kept across sleeping. */
static inline struct thread *current_thread(void)
{
    struct thread *thread;
    __asm__ volatile("mov %%gs:24, %0" : "=r"(thread));
    return thread;
}
