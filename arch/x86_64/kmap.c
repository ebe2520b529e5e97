/*
 * kmap.c: the kernel's half of every address space.
 *
 * The top-level entries are all made here, at start-up, and never change, so an address space gets
 * the kernel's half by copying them once (pagetable.c). Below them tables are only ever added, by
 * compare-and-swap, and never freed; so nothing here takes a lock, and no other CPU has to be told:
 * a new mapping can't be in its TLB.
 *
 * Rights: image text is executable and read-only, its constants read-only, all else writable and
 * not executable. The direct map shows text and constants read-only too, so that no writable way to
 * them exists.
 */
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/pagetable.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/early.h"
#include "kernel/base/log.h"

#define LEAF_SHIFT 12
#define LARGE_SHIFT 21 /* 2 MiB pages */
#define HUGE_SHIFT 30  /* 1 GiB pages */
#define ROOT_SHIFT 39

#define TABLE_BITS (PTE_P | PTE_W) /* rights are the leaves' business */
#define LEAF_BITS (PTE_P | PTE_A | PTE_D | PTE_G)

u64 *kernel_root;
pa_t kernel_root_pa;
static bool huge_pages;
static _Atomic u64 device_next = DEVICE_BASE;

static u64 *table_alloc(void)
{
    if (!zero_frame) /* set when frame_init is done */
        return pa_virt(early_alloc_page(NODE_ANY));
    struct frame *frame = frame_alloc(0, ALLOC_ZERO | ALLOC_RESERVE, NODE_ANY);
    if (!frame)
        return NULL;
    frame_set_kind(frame, FRAME_KIND_PAGETABLE);
    return frame_page(frame);
}

/* The table below an entry; made and published when there is none. NULL = no memory, or a large
 * page is in the way. */
static u64 *table_below(u64 *entry)
{
    u64 seen = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

    if (seen & PTE_PS)
        return NULL;
    if (!(seen & PTE_P)) {
        u64 *table = table_alloc();

        if (!table)
            return NULL;
        if (__atomic_compare_exchange_n(entry, &seen, virt_pa(table).raw | TABLE_BITS, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return table;
        frame_put(virt_frame(table)); /* another CPU was first */
    }
    return pa_virt((pa_t){seen & PTE_PFN_MASK});
}

/* The entry for virt in the table whose entries span 2^shift bytes. */
static u64 *kmap_entry(u64 virt, u32 shift)
{
    u64 *table = kernel_root;

    for (u32 level = ROOT_SHIFT; level > shift; level -= 9) {
        table = table_below(&table[virt >> level & 511]);
        if (!table)
            return NULL;
    }
    return &table[virt >> shift & 511];
}

u64 *kmap_leaf(u64 virt)
{
    return kmap_entry(virt, LEAF_SHIFT);
}

static bool fits(u64 virt, u64 pa, u64 bytes, u32 shift)
{
    return bytes >> shift && IS_ALIGNED(virt | pa, 1ul << shift);
}

/* Maps as much as one entry can; returns how much. An address that is mapped already is left
 * alone. */
static u64 kmap_step(u64 virt, u64 pa, u64 bytes, u64 bits)
{
    u32 shift = LEAF_SHIFT;

    if (huge_pages && fits(virt, pa, bytes, HUGE_SHIFT))
        shift = HUGE_SHIFT;
    else if (fits(virt, pa, bytes, LARGE_SHIFT))
        shift = LARGE_SHIFT;
    u64 *entry = kmap_entry(virt, shift);
    if (shift > LEAF_SHIFT && entry && (*entry & PTE_P) && !(*entry & PTE_PS)) {
        shift = LEAF_SHIFT; /* smaller pages are there already */
        entry = kmap_entry(virt, shift);
    }
    if (entry && !(*entry & PTE_P))
        *entry = pa | bits | LEAF_BITS | (shift > LEAF_SHIFT ? PTE_PS : 0);
    return 1ul << shift;
}

/* By the largest pages that fit. `bits` are rights: global, accessed and dirty are added. */
static void kmap_range(u64 virt, pa_t pa, u64 bytes, u64 bits)
{
    for (u64 done = 0; done < bytes;)
        done += kmap_step(virt + done, pa.raw + done, bytes - done, bits);
}

void kmap_direct(u64 start, u64 end)
{
    u64 fixed_start = kernel_pa(__text_start).raw, fixed_end = kernel_pa(__rodata_end).raw;

    start = ALIGN_DOWN(start, PAGE_SIZE);
    end = ALIGN_UP(end, PAGE_SIZE);
    while (start < end) {
        bool fixed = start >= fixed_start && start < fixed_end;
        u64 stop = end;

        if (fixed)
            stop = MIN(end, fixed_end);
        else if (start < fixed_start)
            stop = MIN(end, fixed_start);
        kmap_range(DIRECT_MAP_BASE + start, (pa_t){start}, stop - start,
                   PTE_NX | (fixed ? 0 : PTE_W));
        start = stop;
    }
}

static void map_image(const char *start, const char *end, u64 bits)
{
    kmap_range((u64)start, kernel_pa(start), (u64)(end - start), bits);
}

void kmap_init(void)
{
    huge_pages = cpuid(0x80000001, 0).edx & 1u << 26;
    kernel_root = pa_virt(early_alloc_page(NODE_ANY));
    kernel_root_pa = virt_pa(kernel_root);
    if (kernel_root_pa.raw >> 32)
        panic("there is no memory below 4 GiB for the page tables");
    map_image(__text_start, __text_end, 0);
    map_image(__rodata_start, __rodata_end, PTE_NX);
    map_image(__data_start, __data_end, PTE_NX | PTE_W);
    kmap_entry(FRAME_TABLE_BASE, HUGE_SHIFT);
    kmap_entry(DEVICE_BASE, HUGE_SHIFT);
    kmap_entry(STACK_BASE, HUGE_SHIFT);
}

/* --- single pages and devices --- */

void kernel_map_page(u64 virt, pa_t pa, u32 prot)
{
    u64 *leaf = kmap_leaf(virt);
    u64 bits = 0;

    if (!leaf)
        panic("no memory to map the kernel's page %#lx", virt);
    if (prot & PTE_WRITE)
        bits |= PTE_W;
    if (!(prot & PTE_EXEC))
        bits |= PTE_NX;
    if (prot & PTE_UNCACHED)
        bits |= PTE_PCD | PTE_PWT;
    else if (prot & PTE_WRITE_COMBINING)
        bits |= PTE_PWT;
    __atomic_store_n(leaf, pa.raw | bits | LEAF_BITS, __ATOMIC_RELEASE);
}

static void *map_window(pa_t pa, usize bytes, u32 prot)
{
    u64 offset = pa.raw % PAGE_SIZE;
    u64 span = ALIGN_UP(offset + bytes, PAGE_SIZE);
    u64 virt = __atomic_fetch_add(&device_next, span, __ATOMIC_RELAXED);

    if (virt + span > DEVICE_BASE + WINDOW_BYTES)
        return NULL;
    for (u64 at = 0; at < span; at += PAGE_SIZE)
        kernel_map_page(virt + at, (pa_t){pa.raw - offset + at}, prot);
    return (void *)(virt + offset);
}

volatile void *kernel_map_device(pa_t pa, usize bytes)
{
    return map_window(pa, bytes, PTE_READ | PTE_WRITE | PTE_UNCACHED);
}

void *kernel_map_framebuffer(pa_t pa, usize bytes)
{
    return map_window(pa, bytes, PTE_READ | PTE_WRITE | PTE_WRITE_COMBINING);
}
