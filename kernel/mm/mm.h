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
#include "kernel/task/sync.h"
#include "lib/list.h"
#include "lib/rbtree.h"
#include <merganser/abi.h>

struct object;
struct lineage;
struct ksm_mm;

/* --- VMAs (vma.c): guarded by mm->lock; range and offset of one with an object by object->lock
 * as well, so that truncation sees them without mm->lock --- */

enum {                       /* vma->flags */
    VMA_SHARED = 1 << 0,     /* MAP_SHARED */
    VMA_GROWSDOWN = 1 << 1,  /* a fault right below extends it */
    VMA_LOCKED = 1 << 2,     /* mlock */
    VMA_LOCKONFAULT = 1 << 3,
    VMA_MERGEABLE = 1 << 4,
    VMA_PHYSICAL = 1 << 5,   /* object is a physical range: frames are not counted */
    VMA_DONTFORK = 1 << 6,
    VMA_WIPEONFORK = 1 << 7,
    VMA_NORESERVE = 1 << 8,
    VMA_DONTDUMP = 1 << 9,
    VMA_SEQUENTIAL = 1 << 10,
    VMA_RANDOM = 1 << 11,
    VMA_MOVED = 1 << 12,     /* private, and pgoff is not start / PAGE_SIZE: on mm->moved */
};

struct vma {
    struct rb_node node;     /* in mm->vmas, by start */
    va_t start, end;
    struct mm *mm;
    u32 prot;                /* PROT_* */
    u32 max_prot;            /* what mprotect may grant */
    u32 flags;               /* VMA_* */
    /* lineage index of start: start / PAGE_SIZE when made, kept by mremap */
    u64 pgoff;
    struct object *object;   /* NULL = anonymous private; a reference */
    u64 offset;              /* page in the object at start */
    struct list object_link; /* in object->vmas, guarded by object->lock */
    struct list moved_link;  /* in mm->moved if VMA_MOVED */
};

static inline u64 vma_pages(const struct vma *vma)
{
    return (vma->end - vma->start) >> PAGE_SHIFT;
}
static inline u64 vma_index(const struct vma *vma, va_t va)
{
    return vma->pgoff + ((va - vma->start) >> PAGE_SHIFT);
}
/* Page in the object. */
static inline u64 vma_object_page(const struct vma *vma, va_t va)
{
    return vma->offset + ((va - vma->start) >> PAGE_SHIFT);
}
/* An anonymous private page may appear in it: what fork copies and the scanner visits. */
static inline bool vma_is_private(const struct vma *vma)
{
    return !(vma->flags & (VMA_SHARED | VMA_PHYSICAL));
}

struct mm {
    _Atomic u32 users;       /* tasks, and whoever works in it with mm_get */
    struct rwsem lock;
    struct pagetable pt;
    struct list all_link;    /* in the list of all spaces (mm.c) */

    /* the layout: guarded by lock */
    struct rb_root vmas;
    struct list moved;       /* VMAs with VMA_MOVED */
    u32 vma_count;
    u64 total, locked, data, stack; /* pages mapped */
    u64 peak_total;
    va_t brk_start, brk;
    va_t stack_start;        /* in the first growing mapping, which is the stack */
    va_t gap_top;            /* no free range of gap_len bytes or more lies above gap_top */
    u64 gap_len;
    bool merge_any;          /* PR_SET_MEMORY_MERGE */
    _Atomic bool wants_barriers; /* it has registered for membarrier(2) */
    u32 lock_future;         /* VMA_LOCKED, VMA_LOCKONFAULT: what MCL_FUTURE adds to new mappings */
    /* bytes; copied from the task's settings */
    u64 limit_memlock, limit_space, limit_stack, limit_data;

    struct lineage *lineage; /* our node: owner of the anonymous frames first touched here */
    u32 merge_domain;

    /* pages mapped, by kind of frame; merged is not in anon */
    _Atomic u64 rss_anon, rss_object, rss_merged, swapped;
    _Atomic u64 ksm_zero; /* entries with the zero page that the scanner has put there */
    _Atomic u64 minor_faults, major_faults, cow_faults;
    _Atomic u64 peak_rss;    /* as of the last unmapping; mm_peak_rss tells the present one */

    _Atomic u64 tlb_generation; /* counts changes that need a flush */
    _Atomic cpumask_t tlb_cpus; /* CPUs that may hold translations */

    /* the scanner's record; NULL = not registered. Guarded by the ksm lock */
    struct ksm_mm *ksm;
};

struct mm *mm_create(void); /* empty; NULL = no memory */
struct mm *mm_fork(struct mm *parent);
struct mm *mm_get(struct mm *mm);
/* The last put tears the space down; may sleep. */
void mm_put(struct mm *mm);
struct mm *current_mm(void);
/* Pages mapped now, and the most there ever were. */
u64 mm_rss(const struct mm *mm);
u64 mm_peak_rss(struct mm *mm);

struct vma *vma_find(struct mm *mm, va_t va);   /* the first that ends above va, or NULL */
struct vma *vma_at(struct mm *mm, va_t va);     /* the one that contains va, or NULL */
struct vma *vma_next(const struct vma *vma);
struct vma *vma_prev(const struct vma *vma);
/* Every VMA whose pages include the lineage index: call with NULL, then with the last one found. */
struct vma *vma_find_index(struct mm *mm, u64 index, va_t *va, struct vma *after);
/* What follows needs mm->lock for writing. */
/* Splits so that a boundary is at va, if that lies inside: 0 or -ENOMEM. */
s64 vma_split(struct vma *vma, va_t va);
/* Merges with neighbours where everything fits; returns the VMA that remains. */
struct vma *vma_merge_neighbours(struct vma *vma);
/* Not in the space yet: to be filled in and inserted, or given to vma_free. NULL = no memory, or
 * too many. */
struct vma *vma_create(struct mm *mm, va_t start, va_t end);
void vma_free(struct vma *vma);
/* The same, with everything but the range copied from another. */
struct vma *vma_copy(struct mm *mm, const struct vma *vma, va_t start, va_t end);
/* Into the tree, the object's list (which takes a reference) and the space's figures. The range is
 * free. */
void vma_insert(struct vma *vma);
void vma_remove(struct vma *vma); /* out of all that, and freed */
/* Moves a boundary outwards or inwards; what was mapped there is the caller's business. */
void vma_resize(struct vma *vma, va_t start, va_t end);
void vma_set(struct vma *vma, u32 prot, u32 flags);
/* A free range of len bytes, the highest below the mmap ceiling, or at hint if that is free; 0 =
 * none. */
va_t vma_find_gap(struct mm *mm, u64 len, va_t hint);

/* --- layout calls (mmap.c, mremap.c, mprotect.c, madvise.c, mlock.c): Linux's results. Take
 * mm->lock themselves --- */
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

/* --- taking PTEs away (zap.c) --- */
struct tlb_batch;
/* Drops every mapping and entry in [start, end) of the VMA; frames go to the batch, which is
 * flushed when full. mm->lock read (DONTNEED) or write, or object->lock for a mapping of that
 * object. */
void zap_range(struct vma *vma, va_t start, va_t end, struct tlb_batch *batch);
/* The accounting of one mapping: frame->maps, rss by kind, merged mappings. map takes no reference,
 * unmap drops none. The leaf table's lock is held. */
void frame_account_map(struct mm *mm, struct frame *frame);
void frame_account_unmap(struct mm *mm, struct frame *frame);

/* --- faults (fault.c, cow.c) --- */
enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2, ACCESS_USER = 4 };
/* Returns 0 when the access can be tried again, else an enum mg_fault. Takes mm->lock for reading.
 * May sleep. */
u32 mm_fault(struct mm *mm, va_t va, u32 access);

enum cow_policy { COW_EXACT, COW_COUNT, COW_MAPCOUNT, COW_COPY };
extern _Atomic u64 cow_policy;

/* --- user memory for the kernel, of any mm (access.c) --- */
/* The frame at va, faulted in as needed, with a reference. For writing it is exclusive, pinned, and
 * its PTE is dirtied now and by unpin again (so that the scanner notices what was written in
 * between); `write` is to be told to unpin too. NULL = bad address. */
struct frame *mm_pin_page(struct mm *mm, va_t va, bool write);
void mm_unpin_page(struct mm *mm, va_t va, struct frame *frame, bool write);
/* Copies between two spaces, or a space and an object (object NULL = mm is meant): bytes done, or
 * -EFAULT when the first byte failed already. */
struct memory_side {
    struct mm *mm;
    struct object *object;
    u64 offset; /* address in mm, or byte in object */
};
s64 memory_copy(struct memory_side *to, struct memory_side *from, u64 len);

/* Recounts maps and references of every frame against all page tables and objects. Returns how many
 * frames are wrong, each logged; waits for a quiet moment, and counts what never was quiet as
 * right. */
u64 mm_audit(void);

void mm_init(void);
