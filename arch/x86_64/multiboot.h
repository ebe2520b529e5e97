/*
 * multiboot.h: what the boot loader told, in a form that does not depend on the loader. Valid after
 * multiboot_parse.
 *
 * boot_info, boot_modules and boot_module_count (arch.h) are filled too.
 */
#pragma once

#include "arch/x86_64/arch.h"
#include "lib/types.h"

/* The loader's numbers; others mean reserved. */
enum boot_range_type {
    BOOT_RANGE_USABLE = 1,
    BOOT_RANGE_ACPI = 3,
    BOOT_RANGE_NVS = 4,
};

struct boot_range {
    u64 start, end;
    u32 type;
};

#define BOOT_RANGES_MAX 192
extern struct boot_range boot_ranges[BOOT_RANGES_MAX];
extern u32 boot_range_count;

/* Parts of usable memory that hold something: kernel, modules, symbols. */
#define BOOT_RESERVED_MAX 16
extern struct boot_range boot_reserved[BOOT_RESERVED_MAX];
extern u32 boot_reserved_count;
void boot_reserve(u64 start, u64 end);

/* The ACPI root pointer structure, a copy of ours; the first byte is 0 when the loader gave
 * none. */
extern u8 boot_rsdp[36];

/* How the screen shows text. */
enum boot_screen { BOOT_SCREEN_NONE, BOOT_SCREEN_TEXT, BOOT_SCREEN_PIXELS };
extern enum boot_screen boot_screen;

void multiboot_parse(pa_t information);

/* symbol.c: the kernel's own ELF sections, `size` bytes for each of `count` headers. */
void symbol_init(const void *sections, u32 count, u32 size);
