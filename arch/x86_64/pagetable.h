/*
 * pagetable.h: page tables of x86-64, four levels, 4 KiB pages for users. The only place that knows
 * PTE bits.
 *
 * A leaf entry is one of
 *   none       all zero
 *   present    maps a frame, the hardware uses it
 *   protnone   maps a frame for the kernel's accounting, but no access is allowed (PROT_NONE): not
 *              present to the hardware
 *   entry      swap or migration entry: type and value, no frame mapped
 * "mapped" below means present or protnone.
 *
 * The hardware sets the accessed and dirty bits behind our back, so an entry that may be present is
 * changed only by atomic exchange or compare-and-swap, never by load-modify-store. Callers hold the
 * leaf table's lock (pt_lock).
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
};

enum { PTE_READ = 1, PTE_WRITE = 2, PTE_EXEC = 4, PTE_UNCACHED = 8, PTE_WRITE_COMBINING = 16 };
enum pte_entry_type { PTE_ENTRY_SWAP = 1, PTE_ENTRY_MIGRATION = 2 };

#define USER_END 0x00007ffffffff000ul  /* one past the highest user address */
#define PT_LEAF_SPAN (512 * PAGE_SIZE) /* what one leaf table maps */

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
#define PTE_SW_KSM_ZERO (1ul << 11) /* zero page placed by the scanner */
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

/* A user mapping; prot of PTE_READ|WRITE|EXEC..., 0 = protnone. Accessed is set; dirty is set when
 * writable. */
pte_t pte_make(pfn_t pfn, u32 prot);
/* The same mapping with other rights; accessed, dirty and special are kept. */
pte_t pte_with_prot(pte_t pte, u32 prot);
static inline pte_t pte_readonly(pte_t pte)
{
    return (pte_t){pte.raw & ~PTE_W};
}
static inline pte_t pte_clean(pte_t pte)
{
    return (pte_t){pte.raw & ~PTE_D};
}
static inline pte_t pte_dirtied(pte_t pte)
{
    return (pte_t){pte.raw | PTE_D};
}
static inline pte_t pte_special(pte_t pte)
{
    return (pte_t){pte.raw | PTE_SW_SPECIAL};
}
pte_t pte_make_entry(enum pte_entry_type type, u64 value); /* value below 2^48 */
enum pte_entry_type pte_entry_type(pte_t pte);
u64 pte_entry_value(pte_t pte);

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

/* A new table with the kernel's half filled in. False = no memory. */
bool pt_create(struct pagetable *pt);
/* Frees the root; all leaf tables must have gone by pt_free_range. */
void pt_destroy(struct pagetable *pt);
/* The leaf slot of va, or NULL when its table does not exist. No lock needed while mm->lock is held
 * either way. */
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
/* The same, tables are made as needed (atomically published, so concurrent faults are fine). NULL =
 * no memory. */
pte_t *pt_walk_alloc(struct pagetable *pt, va_t va);
/* The next address >= va below end whose leaf table exists (rounded to what is skipped), or end.
 * Skips holes cheaply. */
va_t pt_next_present(const struct pagetable *pt, va_t va, va_t end);
/* Unlinks every table that lies wholly inside [start, end) and calls release for its frame (which
 * must reach no allocator before the TLB flush). All entries there must be none. mm->lock is held
 * for writing. */
void pt_unlink_tables(struct pagetable *pt, va_t start, va_t end,
                      void (*release)(struct frame *table, void *context), void *context);

/* The frame whose bit lock guards the PTEs of slot's table. */
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

/* --- the kernel's own mappings --- */

/* Maps one page into the kernel half (frame table, stacks, device registers); panics without memory
 * at start-up. */
void kernel_map_page(u64 virt, pa_t pa, u32 prot);
/* Device registers, uncached; NULL when the window is full. */
volatile void *kernel_map_device(pa_t pa, usize bytes);
/* The same, write-combining: for pixels. */
void *kernel_map_framebuffer(pa_t pa, usize bytes);
/* A kernel stack of `KERNEL_STACK_SIZE` with an unmapped guard page below; returns its top, NULL =
 * no memory. */
void *kernel_stack_alloc(void);
void kernel_stack_free(void *top);
#define KERNEL_STACK_SIZE (16 * 1024)

/* --- TLB instructions, this CPU only; policy is kernel/mm/tlb.c --- */
void tlb_local_page(va_t va);
void tlb_local_all(void); /* all but global entries */
/* Loads CR3 (also flushes, as there is no PCID reuse at this level). NULL = the kernel's own
 * table. */
#ifdef MG_HOST_TEST
void pt_load(const struct pagetable *pt);
#else
extern pa_t kernel_root_pa;
static inline void pt_load(const struct pagetable *pt)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(pt ? pt->root.raw : kernel_root_pa.raw) : "memory");
}
#endif
