/*
 * counter.h: events counted per CPU without atomics, and summed when somebody asks.
 *
 * One list names them all; /proc/vmstat and the experiments print the names. A count is exact once
 * the CPUs are quiet.
 */
#pragma once

#include "kernel/base/cpu.h"
#include "lib/types.h"

#define COUNTERS(X)                                                                                \
    /* faults, by what they came to */                                                             \
    X(pgfault) X(pgmajfault) X(fault_zero) X(fault_anon) X(fault_object) X(fault_forwarded)        \
    X(fault_spurious)                                                                              \
    /* writes to pages that were read-only */                                                      \
    X(cow_copy) X(cow_reuse) X(cow_ksm) X(cow_ksm_reuse) X(cow_retry)                              \
    /* why a write was to copy a private page (others map it; others hold it; it belongs to an     \
     * object; the policy alone), and why a merged one (others map or hold it; the policy alone; a \
     * lookup was faster than the last writer) */                                                  \
    X(cow_copy_shared) X(cow_copy_referenced) X(cow_copy_object) X(cow_copy_policy)                \
    X(cow_ksm_shared) X(cow_ksm_policy) X(cow_ksm_raced)                                           \
    /* frames handed out and taken back; fork */                                                   \
    X(pgalloc) X(pgfree) X(alloc_fail) X(fork) X(fork_pages) X(fork_pinned)                        \
    /* shootdowns: what was done, what was spared, why */                                          \
    X(tlb_ipi) X(tlb_page) X(tlb_full) X(tlb_local) X(tlb_batch) X(tlb_avoided_lazy)               \
    X(tlb_generation_skip) X(tlb_reason_unmap) X(tlb_reason_protect) X(tlb_reason_fork)            \
    X(tlb_reason_merge) X(tlb_reason_cow)                                                          \
    /* walks from a frame to its entries */                                                        \
    X(rmap_walk) X(rmap_visit) X(rmap_busy)                                                        \
    /* merging, by pages */                                                                        \
    X(ksm_hashed) X(ksm_clean) X(ksm_merge) X(ksm_adopt) X(ksm_break) X(ksm_refused_pinned)        \
    X(ksm_refused_busy) X(ksm_refused_changed)                                                     \
    /* copies of merged pages on their way in from swap; 0 while nothing is swapped */             \
    X(ksm_swpin_copy)                                                                              \
    /* messages and the scheduler */                                                               \
    X(ipc_call) X(ipc_fast) X(ipc_notify) X(syscall_forwarded) X(context_switch) X(steal)

enum counter {
#define COUNTER_ENUM(name) COUNT_##name,
    COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
    COUNTER_END
};

static_assert(COUNTER_END <= CPU_COUNTERS, "struct cpu has too few counters");

extern const char *const counter_names[COUNTER_END];

/* One instruction, so that neither an interrupt nor a change of CPU comes in between. */
static inline void count_add(enum counter counter, u64 n)
{
    __asm__ volatile("addq %1, %%gs:%a0"
                     :
                     : "ri"(offsetof(struct cpu, counters) + 8 * (u64)counter), "er"(n)
                     : "memory", "cc");
}
static inline void count(enum counter counter)
{
    count_add(counter, 1);
}
u64 counter_sum(enum counter counter);
