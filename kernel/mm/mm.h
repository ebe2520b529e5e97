/*
 * mm.h: address spaces.
 *
 * An mm is a page table, a tree of VMAs and a node in the lineage tree. mm->lock is a sleeping
 * reader-writer lock: faults, the scanner and user-memory access read; what changes the layout
 * (mmap, munmap, mprotect, mremap, brk, fork, exit) writes. PTEs change under their leaf table's
 * lock. Page-table pages are freed only with mm->lock held for writing, so a reader of the lock may
 * walk without more.
 *
 * Invariant on which the scanner relies: a PTE that newly maps an anonymous frame is installed with
 * the dirty bit set, so a page that is clean in the page table has not changed since the scanner
 * cleared the bit.
 */
#pragma once

#include "arch/x86_64/pagetable.h"
#include "kernel/base/cpu.h"
#include "kernel/base/frame.h"
#include "kernel/mm/vma.h"
#include "kernel/task/sync.h"
#include "lib/list.h"
#include "lib/rbtree.h"
#include <merganser/abi.h>

struct lineage;
struct ksm_mm;

struct mm {
    _Atomic u32 users; /* tasks, and whoever works in it with mm_get */
    struct rwsem lock; /* guards the layout, below; for page tables see above */
    struct pagetable pt;
    struct list all_link; /* in the list of all spaces (mm.c) */

    /* the layout: guarded by lock */
    struct rb_root vmas;
    struct list moved; /* VMAs with VMA_MOVED */
    u32 vma_count;
    u64 total, locked, data, stack; /* pages mapped */
    u64 peak_total;
    va_t brk_start, brk;
    va_t stack_start; /* in the first growing mapping, which is the stack */
    va_t gap_top;     /* no free range of gap_len bytes or more lies above it */
    u64 gap_len;
    bool merge_any;              /* PR_SET_MEMORY_MERGE */
    _Atomic bool wants_barriers; /* it has registered for membarrier(2) */
    u32 lock_future;             /* VMA_LOCKED, VMA_LOCKONFAULT: of new mappings, by MCL_FUTURE */
    u64 limit_memlock, limit_space, limit_stack, limit_data; /* bytes */

    struct lineage *lineage; /* our node: owner of the anonymous frames first touched here */
    u32 merge_domain;

    /* figures */
    _Atomic u64 rss_anon, rss_object, rss_merged, swapped; /* pages; merged is not in anon */
    _Atomic u64 ksm_zero; /* entries with the zero page that the scanner has put there */
    _Atomic u64 minor_faults, major_faults, cow_faults;
    _Atomic u64 peak_rss; /* as of the last unmapping; mm_peak_rss tells the present one */

    /* tlb.h */
    _Atomic u64 tlb_generation; /* counts changes that need a flush */
    _Atomic cpumask_t tlb_cpus; /* CPUs that may hold translations */

    struct ksm_mm *ksm; /* the scanner's record; NULL = not registered. Set under lock */
};

struct mm *mm_fork(struct mm *parent); /* NULL = no memory */
struct mm *mm_get(struct mm *mm);
/* The last put tears the space down; may sleep. */
void mm_put(struct mm *mm);
struct mm *current_mm(void);
/* Pages mapped now, and the most there ever were. */
u64 mm_rss(const struct mm *mm);
u64 mm_peak_rss(struct mm *mm);

/* --- calls on ranges (mmap.c, mremap.c, ...): results as on Linux; they take mm->lock --- */

struct map_request {
    va_t addr;
    u64 len;
    u32 prot, flags, max_prot; /* max_prot 0 = everything */
    struct object *object;     /* a reference is taken where kept */
    u64 offset;                /* bytes */
};
s64 mm_map(struct mm *mm, const struct map_request *request);
s64 mm_unmap(struct mm *mm, va_t addr, u64 len);
s64 mm_protect(struct mm *mm, va_t addr, u64 len, u32 prot);
s64 mm_remap(struct mm *mm, va_t addr, u64 old_len, u64 new_len, u32 flags, va_t new_addr);
s64 mm_brk(struct mm *mm, va_t brk);
s64 mm_advise(struct mm *mm, va_t addr, u64 len, u32 advice);
s64 mm_lock_range(struct mm *mm, va_t addr, u64 len, u32 flags);
s64 mm_unlock_range(struct mm *mm, va_t addr, u64 len);
s64 mm_lock_all(struct mm *mm, u32 flags);
s64 mm_unlock_all(struct mm *mm);
s64 mm_sync(struct mm *mm, va_t addr, u64 len, u32 flags);
s64 mm_incore(struct mm *mm, va_t addr, u64 len, u8 *user_vector);
s64 mm_query(struct mm *mm, va_t addr, struct mg_vma *result);
s64 mm_pagemap(struct mm *mm, va_t addr, u64 pages, u64 *user_buffer);

/* --- faults (fault.c) --- */

enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2 };
/* Returns 0 when the access can be tried again, else an enum mg_fault. Takes mm->lock for reading.
 * May sleep. */
u32 mm_fault(struct mm *mm, va_t va, u32 access);

/* --- the memory of any space, for the kernel (access.c) --- */

/* The frame at va, faulted in as needed, with a reference. For writing it is exclusive, pinned, and
 * its PTE is dirtied now and by unpin again (so that the scanner notices what was written in
 * between); `write` is to be told to unpin too. NULL = bad address. */
struct frame *mm_pin_page(struct mm *mm, va_t va, bool write);
void mm_unpin_page(struct mm *mm, va_t va, struct frame *frame, bool write);

/* One side of a copy: a space, or an object. */
struct memory_side {
    struct mm *mm;
    struct object *object; /* NULL: mm is meant */
    u64 offset;            /* address in mm, or byte in the object */
};
/* Bytes copied, or -EFAULT when the first failed already. */
s64 memory_copy(struct memory_side *to, struct memory_side *from, u64 len);

void mm_init(void);
