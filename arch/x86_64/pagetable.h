/*
 * pagetable.h: page tables of x86-64: four levels, 4 KiB pages for users. Only arch/ knows what the
 * bits of an entry (PTE) mean.
 *
 * A leaf entry is one of
 *   none       all zero
 *   present    maps a frame; the hardware uses it
 *   protnone   maps a frame that is counted but must not be touched (PROT_NONE): not present to the
 *              hardware
 *   entry      swapped out or being migrated: a type and a value, no frame
 * "mapped" below means present or protnone.
 *
 * The hardware sets the accessed and dirty bits behind our back, so an entry that may be present is
 * changed only by atomic exchange or compare-and-swap, never by load, modify, store. Callers hold
 * the leaf table's lock (pt_lock).
 */
#pragma once

#include "kernel/base/frame.h"
#include "lib/types.h"

typedef struct {
    u64 raw;
} pte_t;

struct pagetable {
    pa_t root;
    _Atomic u64 tables; /* page-table frames, the root included */
    u32 alloc_flags;    /* ALLOC_RESERVE for the memory of a server, which faults must find; or 0 */
};

/* What a mapping allows, and how it is cached: `prot` of the functions below. */
enum { PTE_READ = 1, PTE_WRITE = 2, PTE_EXEC = 4, PTE_UNCACHED = 8, PTE_WRITE_COMBINING = 16 };

#define USER_END 0x00007ffffffff000ul  /* one past the highest user address */
#define PT_LEAF_SPAN (512 * PAGE_SIZE) /* what one leaf table maps */

/* --- entries --- */

#define PTE_P (1ul << 0)
#define PTE_W (1ul << 1)
#define PTE_U (1ul << 2)
#define PTE_PWT (1ul << 3)
#define PTE_PCD (1ul << 4)
#define PTE_A (1ul << 5)
#define PTE_D (1ul << 6)
#define PTE_PS (1ul << 7)
#define PTE_G (1ul << 8)
#define PTE_SW_PROTNONE (1ul << 9)  /* with P clear: a frame is mapped, PROT_NONE */
#define PTE_SW_SPECIAL (1ul << 10)  /* the frame is not counted: zero page, physical range */
#define PTE_SW_KSM_ZERO (1ul << 11) /* the zero page, placed by the scanner */
#define PTE_NX (1ul << 63)
#define PTE_PFN_MASK 0x000ffffffffff000ul

static inline bool pte_is_none(pte_t pte)
{
    return pte.raw == 0;
}
static inline bool pte_is_present(pte_t pte)
{
    return pte.raw & PTE_P;
}
static inline bool pte_is_mapped(pte_t pte)
{
    return pte.raw & (PTE_P | PTE_SW_PROTNONE);
}
static inline bool pte_is_entry(pte_t pte)
{
    return pte.raw && !pte_is_mapped(pte);
}
static inline bool pte_is_special(pte_t pte)
{
    return pte.raw & PTE_SW_SPECIAL;
}
static inline bool pte_is_writable(pte_t pte)
{
    return pte.raw & PTE_W;
}
static inline bool pte_is_executable(pte_t pte)
{
    return !(pte.raw & PTE_NX);
}
static inline bool pte_is_dirty(pte_t pte)
{
    return pte.raw & PTE_D;
}
static inline bool pte_is_accessed(pte_t pte)
{
    return pte.raw & PTE_A;
}
/* The same entry, but for what the hardware may have noted in it meanwhile. */
static inline bool pte_same(pte_t a, pte_t b)
{
    return ((a.raw ^ b.raw) & ~(PTE_A | PTE_D)) == 0;
}
/* Whether `new` allows less than the mapping `old`, so that a TLB may hold too much. */
static inline bool pte_narrowed(pte_t old, pte_t new)
{
    return (old.raw & ~new.raw & (PTE_P | PTE_W)) || (~old.raw & new.raw & PTE_NX);
}
static inline pfn_t pte_pfn(pte_t pte)
{
    return (pfn_t){(pte.raw & PTE_PFN_MASK) >> PAGE_SHIFT};
}
static inline struct frame *pte_frame(pte_t pte)
{
    return pfn_frame(pte_pfn(pte));
}

/* A user mapping; without PTE_READ, WRITE or EXEC it is protnone. Accessed is set; dirty too when
 * it is writable. */
pte_t pte_make(pfn_t pfn, u32 prot);
/* The same mapping with other rights; accessed, dirty and special are kept. */
pte_t pte_with_prot(pte_t pte, u32 prot);
static inline pte_t pte_readonly(pte_t pte)
{
    return (pte_t){pte.raw & ~PTE_W};
}
static inline pte_t pte_dirtied(pte_t pte)
{
    return (pte_t){pte.raw | PTE_D};
}
static inline pte_t pte_special(pte_t pte)
{
    return (pte_t){pte.raw | PTE_SW_SPECIAL};
}

/* An entry that maps nothing: swapped out, or being migrated. Its value is below 2^48. */
enum pte_entry_type { PTE_ENTRY_SWAP = 1, PTE_ENTRY_MIGRATION = 2 };
/* The zero page, put there by the scanner. */
static inline bool pte_is_ksm_zero(pte_t pte)
{
    return (pte.raw & (PTE_SW_SPECIAL | PTE_SW_KSM_ZERO)) == (PTE_SW_SPECIAL | PTE_SW_KSM_ZERO);
}
static inline pte_t pte_ksm_zero(pte_t pte)
{
    return (pte_t){pte.raw | PTE_SW_SPECIAL | PTE_SW_KSM_ZERO};
}
pte_t pte_make_entry(enum pte_entry_type type, u64 value);
enum pte_entry_type pte_entry_type(pte_t pte);
u64 pte_entry_value(pte_t pte);

/* Reading and changing an entry where it lies. */
static inline pte_t pte_read(const pte_t *slot)
{
    return (pte_t){__atomic_load_n(&slot->raw, __ATOMIC_ACQUIRE)};
}
/* Only where the slot holds nothing that is present to the hardware. */
static inline void pte_set(pte_t *slot, pte_t pte)
{
    __atomic_store_n(&slot->raw, pte.raw, __ATOMIC_RELEASE);
}
static inline pte_t pte_exchange(pte_t *slot, pte_t pte)
{
    return (pte_t){__atomic_exchange_n(&slot->raw, pte.raw, __ATOMIC_ACQ_REL)};
}
static inline bool pte_cas(pte_t *slot, pte_t old, pte_t new)
{
    return __atomic_compare_exchange_n(&slot->raw, &old.raw, new.raw, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}
/* Atomically clear bits; return the entry as it was. No flush. */
static inline pte_t pte_clear_bits(pte_t *slot, u64 bits)
{
    return (pte_t){__atomic_fetch_and(&slot->raw, ~bits, __ATOMIC_ACQ_REL)};
}
static inline void pte_set_bits(pte_t *slot, u64 bits)
{
    __atomic_fetch_or(&slot->raw, bits, __ATOMIC_ACQ_REL);
}

/* --- tables --- */

/* A new root with the kernel's half filled in. False = no memory. */
bool pt_create(struct pagetable *pt);
/* Frees the root; all other tables have gone by pt_unlink_tables. */
void pt_destroy(struct pagetable *pt);
/* The leaf entry of va, or NULL when its table does not exist. mm->lock is held, either way. */
static inline pte_t *pt_walk(const struct pagetable *pt, va_t va)
{
    const u64 *table = (const u64 *)pa_virt(pt->root);

    for (u32 shift = 39; shift > PAGE_SHIFT; shift -= 9) {
        u64 entry = __atomic_load_n(&table[va >> shift & 511], __ATOMIC_ACQUIRE);

        if (!(entry & PTE_P))
            return NULL;
        table = (const u64 *)pa_virt((pa_t){entry & PTE_PFN_MASK});
    }
    return (pte_t *)&table[va >> PAGE_SHIFT & 511];
}
/* The same, with tables made as needed; several faults may do so at once. NULL = no memory. */
pte_t *pt_walk_alloc(struct pagetable *pt, va_t va);
/* The next address at or after va whose leaf table exists, or end; holes are skipped cheaply. */
va_t pt_next_present(const struct pagetable *pt, va_t va, va_t end);
/* Unlinks every table that lies wholly inside [start, end) and calls release for its frame (which
 * must reach no allocator before the TLB flush). All entries there must be none. mm->lock is held
 * for writing. */
void pt_unlink_tables(struct pagetable *pt, va_t start, va_t end,
                      void (*release)(struct frame *table, void *context), void *context);

/* The frame of the leaf table that slot is in; its lock guards all entries there. */
static inline struct frame *pt_table_frame(const pte_t *slot)
{
    return virt_frame(slot);
}
static inline void pt_lock(const pte_t *slot)
{
    frame_lock(pt_table_frame(slot));
}
static inline void pt_unlock(const pte_t *slot)
{
    frame_unlock(pt_table_frame(slot));
}

/* --- TLB: this CPU's only; who has to flush is decided in kernel/mm/tlb.c --- */

void tlb_local_page(va_t va);
void tlb_local_all(void); /* all but global entries */
/* Loads a space, which flushes the TLB as well. NULL = the kernel's own tables. */
#ifdef MG_HOST_TEST
void pt_load(const struct pagetable *pt);
#else
extern pa_t kernel_root_pa;
static inline void pt_load(const struct pagetable *pt)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(pt ? pt->root.raw : kernel_root_pa.raw) : "memory");
}
#endif
