/*
 * symbol.c: names for addresses in a backtrace, from the symbol table that the boot loader left in
 * memory.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/multiboot.h"
#include "lib/elf.h"

static const struct elf_symbol *symbols;
static u64 symbol_count;
static const char *names;

static const struct elf_section *section_at(const void *sections, u32 index, u32 size)
{
    return (const void *)((const u8 *)sections + (u64)index * size);
}

void symbol_init(const void *sections, u32 count, u32 size)
{
    for (u32 i = 0; i < count; i++) {
        const struct elf_section *table = section_at(sections, i, size);

        if (table->type != SHT_SYMTAB || table->link >= count)
            continue;
        const struct elf_section *strings = section_at(sections, table->link, size);

        symbols = pa_virt((pa_t){table->address});
        symbol_count = table->size / sizeof(*symbols);
        names = pa_virt((pa_t){strings->address});
        boot_reserve(table->address, table->address + table->size);
        boot_reserve(strings->address, strings->address + strings->size);
    }
}

/* A return address may be just beyond its function, behind a call that does not return. */
const char *symbol_find(u64 address, u64 *offset)
{
    const struct elf_symbol *best = NULL;

    for (u64 i = 0; i < symbol_count; i++) {
        const struct elf_symbol *symbol = &symbols[i];
        u32 type = symbol->info & 15;

        if (symbol->section == SHN_UNDEF || symbol->section >= SHN_ABS || symbol->name == 0)
            continue;
        if ((type != STT_FUNC && type != STT_NOTYPE) || symbol->value > address)
            continue;
        if (symbol->size && address - symbol->value > symbol->size)
            continue;
        if (!best || symbol->value > best->value)
            best = symbol;
    }
    if (!best)
        return NULL;
    *offset = address - best->value;
    return names + best->name;
}

/* Frames are followed only upwards and only within the stack that the first one is on. */
void backtrace_walk(u64 rip, u64 rbp, void (*visit)(u64 rip))
{
    u64 end = ALIGN_UP(rbp + 1, KERNEL_STACK_SIZE);

    visit(rip);
    while (rbp % 8 == 0 && rbp >= DIRECT_MAP_BASE && rbp + 16 <= end) {
        const u64 *frame = (const u64 *)rbp;

        if (frame[1] == 0)
            return;
        visit(frame[1]);
        if (frame[0] <= rbp)
            return;
        rbp = frame[0];
    }
}
