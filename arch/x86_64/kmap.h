/*
 * kmap.h: the kernel's half of every address space, and mapping into it. Private to arch/.
 *
 *   ffff8000 00000000   direct map: all of memory (DIRECT_MAP_BASE)
 *   ffffc000 00000000   frame table (FRAME_TABLE_BASE)
 *   ffffd000 00000000   device registers
 *   ffffe000 00000000   kernel stacks, each with a guard page below
 *   ffffffff 80000000   the kernel image
 */
#pragma once

#include "kernel/base/frame.h"
#include "lib/types.h"

#define KERNEL_BASE 0xffffffff80000000ul
#define DEVICE_BASE 0xffffd00000000000ul
#define STACK_BASE 0xffffe00000000000ul
#define WINDOW_BYTES (1ul << 39) /* of devices and stacks: one entry of the top-level table each */

extern u64 *kernel_root; /* the kernel's own top-level table, below 4 GiB */

/* Bounds of the image's parts, by the linker. */
extern char __kernel_start[], __kernel_end[];
extern char __text_start[], __text_end[];
extern char __rodata_start[], __rodata_end[];
extern char __data_start[], __data_end[];

static inline pa_t kernel_pa(const void *image_address)
{
    return (pa_t){(u64)image_address - KERNEL_BASE};
}

/* Makes the final tables: the image and the windows, no memory yet. */
void kmap_init(void);
/* Maps memory into the direct map. [start, end) is widened to whole pages; what is mapped already
 * stays as it is. */
void kmap_direct(u64 start, u64 end);
/* The leaf entry of a 4 KiB page in the kernel's half, its tables made as needed. NULL = no
 * memory. */
u64 *kmap_leaf(u64 virt);
/* Maps one page (PTE_READ and so on: pagetable.h); panics without memory for tables. */
void kernel_map_page(u64 virt, pa_t pa, u32 prot);
/* Memory of a device, write-combining: for pixels. */
void *kernel_map_framebuffer(pa_t pa, usize bytes);
