/*
 * memory.c: which memory there is, and the way to a running frame allocator.
 *
 *   1. usable memory below 4 GiB goes to the early allocator: the first page tables map it
 *   2. final page tables are made from it and loaded: they map everything
 *   3. the memory above 4 GiB follows, and frame_init turns all of it over to the buddy allocator
 *
 * Each range is cut at the borders of NUMA nodes (acpi_numa.c). What is in use (kernel, modules,
 * symbols, trampoline) is taken out in between.
 */
#include "arch/x86_64/memory.h"
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/fw_cfg.h"
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/multiboot.h"
#include "arch/x86_64/pagetable.h"
#include "kernel/base/early.h"
#include "kernel/base/log.h"

#define FIRST_TABLES_END (1ul << 32) /* boot.asm maps so much */
#define LOW_END 0x9f000ul            /* below the BIOS's data at the end of conventional memory */
#define MINIMUM_BYTES (48ul << 20)

u64 memory_trampoline;

/* Tells the early allocator about the part of a usable range between `low` and `high`, node by
 * node. */
static u64 add_usable(const struct boot_range *range, u64 low, u64 high)
{
    u64 start = MAX(range->start, low), stop = MIN(range->end, high), bytes = 0;

    while (start < stop) {
        u64 end = stop;
        u32 node = acpi_node_of(start, &end);

        early_add_range((struct memory_range){start, end, node});
        bytes += end - start;
        start = end;
    }
    return bytes;
}

static u64 add_all_usable(u64 low, u64 high)
{
    u64 bytes = 0;

    for (u32 i = 0; i < boot_range_count; i++)
        if (boot_ranges[i].type == BOOT_RANGE_USABLE)
            bytes += add_usable(&boot_ranges[i], low, high);
    return bytes;
}

static void find_trampoline(void)
{
    for (u32 i = 0; i < boot_range_count && !memory_trampoline; i++) {
        const struct boot_range *range = &boot_ranges[i];
        u64 page = ALIGN_DOWN(MIN(range->end, LOW_END) - 1, PAGE_SIZE);

        if (range->type == BOOT_RANGE_USABLE && range->start < LOW_END && page >= PAGE_SIZE &&
            page >= range->start && page + PAGE_SIZE <= range->end)
            memory_trampoline = page;
    }
    if (memory_trampoline)
        boot_reserve(memory_trampoline, memory_trampoline + PAGE_SIZE);
}

static void map_all_memory(void)
{
    for (u32 i = 0; i < boot_range_count; i++) {
        u32 type = boot_ranges[i].type;

        if (type == BOOT_RANGE_USABLE || type == BOOT_RANGE_ACPI || type == BOOT_RANGE_NVS)
            kmap_direct(boot_ranges[i].start, boot_ranges[i].end);
    }
}

static void map_table_page(u64 virt, pa_t pa)
{
    kernel_map_page(virt, pa, PTE_READ | PTE_WRITE);
}

static u64 bytes_found;

void memory_map(void)
{
    boot_reserve(kernel_pa(__kernel_start).raw, kernel_pa(__kernel_end).raw);
    find_trampoline();
    bytes_found = add_all_usable(0, FIRST_TABLES_END);
    for (u32 i = 0; i < boot_reserved_count; i++)
        early_reserve(boot_reserved[i].start, boot_reserved[i].end);
    kmap_init();
    map_all_memory();
    pt_load(NULL);
}

void memory_init(void)
{
    bytes_found += add_all_usable(FIRST_TABLES_END, UINT64_MAX);
    if (bytes_found < MINIMUM_BYTES)
        panic("this machine has too little memory: %lu MiB, at least %lu are needed",
              bytes_found >> 20, MINIMUM_BYTES >> 20);
    fw_cfg_read();
    frame_init(map_table_page);
}
