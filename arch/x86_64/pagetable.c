/*
 * pagetable.c: page tables of user address spaces: making them, walking with allocation, taking
 * them down.
 *
 * Levels are named by how many address bits an entry spans: 39 (top), 30, 21, 12 (leaf). The upper
 * half of a top-level table is a copy of the kernel's, which never changes (kmap.c). User tables
 * are made by faults, several at a time under mm->lock for reading, hence published by
 * compare-and-swap; they go only with mm->lock held for writing.
 */
#include "arch/x86_64/pagetable.h"
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/regs.h"
#include "lib/string.h"

#define ROOT_SHIFT 39
#define LEAF_SHIFT 12
#define ENTRIES 512
#define TABLE_BITS (PTE_P | PTE_W | PTE_U | PTE_A) /* rights are the leaves' business */
#define ADDRESS_END (1ul << 47)                    /* of what the user half's tables span */

/* Swap and migration entries: bits 1-2 type, 12-59 value; the bits that say mapped are clear. */
#define ENTRY_TYPE_SHIFT 1
#define ENTRY_VALUE_SHIFT 12
#define ENTRY_VALUE_MASK ((1ul << 48) - 1)

/* --- entries --- */

static u64 rights(u32 prot)
{
    u64 bits;

    if (!(prot & (PTE_READ | PTE_WRITE | PTE_EXEC)))
        return PTE_SW_PROTNONE | PTE_NX;
    bits = PTE_P | PTE_U | PTE_A;
    if (prot & PTE_WRITE)
        bits |= PTE_W;
    if (!(prot & PTE_EXEC))
        bits |= PTE_NX;
    return bits;
}

pte_t pte_make(pfn_t pfn, u32 prot)
{
    u64 raw = pfn_pa(pfn).raw | rights(prot) | PTE_A;

    if (prot & PTE_WRITE)
        raw |= PTE_D;
    if (prot & PTE_UNCACHED)
        raw |= PTE_PCD | PTE_PWT;
    else if (prot & PTE_WRITE_COMBINING)
        raw |= PTE_PWT;
    return (pte_t){raw};
}

pte_t pte_with_prot(pte_t pte, u32 prot)
{
    const u64 kept =
        PTE_PFN_MASK | PTE_A | PTE_D | PTE_PCD | PTE_PWT | PTE_SW_SPECIAL | PTE_SW_KSM_ZERO;

    return (pte_t){(pte.raw & kept) | (rights(prot) & ~PTE_A)};
}

pte_t pte_make_entry(enum pte_entry_type type, u64 value)
{
    return (pte_t){(value & ENTRY_VALUE_MASK) << ENTRY_VALUE_SHIFT | (u64)type << ENTRY_TYPE_SHIFT};
}

enum pte_entry_type pte_entry_type(pte_t pte)
{
    return (enum pte_entry_type)(pte.raw >> ENTRY_TYPE_SHIFT & 3);
}

u64 pte_entry_value(pte_t pte)
{
    return pte.raw >> ENTRY_VALUE_SHIFT & ENTRY_VALUE_MASK;
}

/* --- making and walking --- */

static struct frame *table_alloc(struct pagetable *pt)
{
    struct frame *frame = frame_alloc(0, ALLOC_ZERO | pt->alloc_flags, NODE_ANY);

    if (!frame)
        return NULL;
    frame_set_kind(frame, FRAME_KIND_PAGETABLE);
    frame->owner = pt;
    __atomic_fetch_add(&pt->tables, 1, __ATOMIC_RELAXED);
    return frame;
}

static void table_free(struct pagetable *pt, struct frame *table)
{
    __atomic_fetch_sub(&pt->tables, 1, __ATOMIC_RELAXED);
    frame_put(table);
}

bool pt_create(struct pagetable *pt)
{
    struct frame *root;

    pt->tables = 0;
    root = table_alloc(pt);
    if (!root)
        return false;
    pt->root = pfn_pa(frame_pfn(root));
    memcpy((u64 *)frame_page(root) + ENTRIES / 2, kernel_root + ENTRIES / 2,
           ENTRIES / 2 * sizeof(u64));
    return true;
}

void pt_destroy(struct pagetable *pt)
{
    table_free(pt, pfn_frame(pa_pfn(pt->root)));
    pt->root.raw = 0;
}

static noinline_fn u64 *table_make(struct pagetable *pt, u64 *entry)
{
    struct frame *table = table_alloc(pt);
    u64 seen = 0;

    if (!table)
        return NULL;
    if (__atomic_compare_exchange_n(entry, &seen, pfn_pa(frame_pfn(table)).raw | TABLE_BITS, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return frame_page(table);
    table_free(pt, table); /* another fault was first */
    return pa_virt((pa_t){seen & PTE_PFN_MASK});
}

pte_t *pt_walk_alloc(struct pagetable *pt, va_t va)
{
    u64 *table = pa_virt(pt->root);

#pragma GCC unroll 3
    for (u32 shift = ROOT_SHIFT; shift > LEAF_SHIFT; shift -= 9) {
        u64 *entry = &table[va >> shift & (ENTRIES - 1)];
        u64 seen = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

        if (likely(seen & PTE_P)) {
            table = pa_virt((pa_t){seen & PTE_PFN_MASK});
            continue;
        }
        table = table_make(pt, entry);
        if (!table)
            return NULL;
    }
    return (pte_t *)&table[va >> LEAF_SHIFT & (ENTRIES - 1)];
}

va_t pt_next_present(const struct pagetable *pt, va_t va, va_t end)
{
    while (va < end) {
        const u64 *table = pa_virt(pt->root);
        u32 shift = ROOT_SHIFT;

        for (; shift > LEAF_SHIFT; shift -= 9) {
            u64 entry = __atomic_load_n(&table[va >> shift & (ENTRIES - 1)], __ATOMIC_ACQUIRE);

            if (!(entry & PTE_P))
                break;
            table = pa_virt((pa_t){entry & PTE_PFN_MASK});
        }
        if (shift == LEAF_SHIFT)
            return va;
        va = ALIGN_DOWN(va, 1ul << shift) + (1ul << shift); /* past what the entry spans */
    }
    return end;
}

/* --- taking down --- */

struct unlink {
    struct pagetable *pt;
    va_t start, end; /* tables that lie wholly inside go */
    void (*release)(struct frame *table, void *context);
    void *context;
};

/* Goes through a table whose entries span 2^shift bytes and which maps from `base` on. */
static void unlink_below(const struct unlink *unlink, u64 *table, va_t base, u32 shift)
{
    u64 span = 1ul << shift;
    va_t first = MAX(unlink->start, base), last = MIN(unlink->end, base + ENTRIES * span);

    for (va_t va = ALIGN_DOWN(first, span); va < last; va += span) {
        u64 *entry = &table[va >> shift & (ENTRIES - 1)];

        if (!(*entry & PTE_P))
            continue;
        struct frame *below = pfn_frame(pte_pfn((pte_t){*entry}));
        if (shift > LEAF_SHIFT + 9)
            unlink_below(unlink, frame_page(below), va, shift - 9);
        if (va < unlink->start || va + span > unlink->end)
            continue;
        __atomic_store_n(entry, 0, __ATOMIC_RELEASE);
        __atomic_fetch_sub(&unlink->pt->tables, 1, __ATOMIC_RELAXED);
        unlink->release(below, unlink->context);
    }
}

void pt_unlink_tables(struct pagetable *pt, va_t start, va_t end,
                      void (*release)(struct frame *table, void *context), void *context)
{
    struct unlink unlink = {pt, start, end < USER_END ? end : ADDRESS_END, release, context};

    unlink_below(&unlink, pa_virt(pt->root), 0, ROOT_SHIFT);
}

/* --- TLB --- */

void tlb_local_page(va_t va)
{
    page_invalidate(va);
}

void tlb_local_all(void)
{
    cr3_write(cr3_read());
}
