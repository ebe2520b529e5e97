/*
 * fault.h: what the files of the fault path share.
 *
 * One fault is one struct fault. What resolves it gets it with mm->lock held, for reading or
 * writing, and returns 0 when something was done, or was found done by another, and the access is
 * to be tried again; FAULT_NOTHING when the entry allows the access already; else an enum mg_fault.
 * It holds no other lock on return.
 */
#pragma once

#include "kernel/mm/mm.h"
#include "kernel/mm/mman.h"

#define FAULT_NOTHING 0x100u
#define FAULT_STACK 0x101u /* the address is below a growing mapping */

struct fault {
    struct mm *mm;
    struct vma *vma;
    va_t va;    /* of the page */
    u32 access; /* ACCESS_* */
    pte_t *slot;
    pte_t pte; /* as it was when the fault was classified */
};

/* --- fault.c --- */

/* Brings in the pages of a range of one VMA that allows the access: 0, -ENOMEM, -EFAULT, -EINTR. */
s64 fault_in(struct vma *vma, va_t from, va_t to, u32 access);
/* Locks the table; false, and not locked, when the entry is not what it was. */
bool fault_lock(struct fault *fault);
/* A frame for this page, of this space; not mapped yet. NULL = no memory. */
struct frame *fault_new_frame(const struct fault *fault, u32 alloc_flags);
/* Lets the entry, which maps nothing, map a new private frame; its reference goes into the mapping.
 * The table is locked. */
void fault_map_private(struct fault *fault, struct frame *frame);

/* --- fault_object.c, cow.c, stack.c --- */

u32 fault_object(struct fault *fault);
u32 fault_cow(struct fault *fault);
/* Grows the mapping above va down to it: 0 or MG_FAULT_MAPERR. Takes mm->lock for writing. */
u32 stack_grow(struct mm *mm, va_t va);
/* A write would reuse the private frame and has nothing else to do. Its table is locked. */
bool cow_is_settled(struct frame *frame);
/* When a write reuses a page: cow.c. */
enum cow_policy { COW_EXACT, COW_COUNT, COW_MAPCOUNT, COW_COPY };
extern _Atomic u64 cow_policy;

/* --- rights --- */

static_assert(PROT_READ == PTE_READ && PROT_WRITE == PTE_WRITE && PROT_EXEC == PTE_EXEC,
              "rights of mappings and of entries have the same bits");

/* Of an entry in this VMA that nothing keeps read-only. What is not forbidden can be read. */
static inline u32 vma_rights(const struct vma *vma)
{
    return vma->prot ? vma->prot | PTE_READ : 0;
}
static inline bool vma_allows(const struct vma *vma, u32 access)
{
    if (access & ACCESS_WRITE)
        return vma->prot & PROT_WRITE;
    if (access & ACCESS_EXEC)
        return vma->prot & PROT_EXEC;
    return vma->prot != PROT_NONE;
}
static inline bool pte_allows(pte_t pte, u32 access)
{
    return pte_is_present(pte) && (!(access & ACCESS_WRITE) || pte_is_writable(pte));
}

/* --- figures --- */

/* The counter of pages mapped that a frame belongs to. */
static inline _Atomic u64 *mm_rss_counter(struct mm *mm, enum frame_kind kind)
{
    if (kind == FRAME_KIND_ANON)
        return &mm->rss_anon;
    return kind == FRAME_KIND_MERGED ? &mm->rss_merged : &mm->rss_object;
}
