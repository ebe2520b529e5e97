/*
 * segments.c: the descriptor tables that 64-bit mode still wants: a GDT and a TSS for each CPU, one
 * IDT for all.
 *
 * Every vector has an interrupt gate, so a handler starts with interrupts off. The double fault,
 * NMI and machine check run on stacks of their own (IST): the first because the current stack may
 * be what is broken, the others because they may come before the entry code has left the user's
 * stack.
 */
#include "arch/x86_64/segments.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/log.h"

/* Descriptors: long-mode code, data, by privilege. */
#define DESCRIPTOR_KERNEL_CODE 0x00209b0000000000ul
#define DESCRIPTOR_KERNEL_DATA 0x0000930000000000ul
#define DESCRIPTOR_USER_CODE 0x0020fb0000000000ul
#define DESCRIPTOR_USER_DATA 0x0000f30000000000ul
#define DESCRIPTOR_TSS 0x0000890000000000ul

struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};
enum { GATE_INTERRUPT = 0x8e, GATE_USER = 0x60 };

struct table_pointer {
    u16 limit;
    u64 base;
} packed_struct;

static struct gate idt[256] aligned_to(16);

extern const char trap_stubs[]; /* entry.asm: 16 bytes each */

static void idt_fill(void)
{
    for (u32 vector = 0; vector < ARRAY_LEN(idt); vector++) {
        u64 stub = (u64)trap_stubs + vector * 16;

        idt[vector] = (struct gate){
            .offset_low = (u16)stub,
            .selector = SELECTOR_KERNEL_CODE,
            .type = GATE_INTERRUPT,
            .offset_middle = (u16)(stub >> 16),
            .offset_high = (u32)(stub >> 32),
        };
    }
    idt[VECTOR_BREAKPOINT].type |= GATE_USER;
    idt[VECTOR_OVERFLOW].type |= GATE_USER;
}

static void gdt_fill(struct cpu_arch *arch)
{
    u64 tss = (u64)&arch->tss;

    arch->gdt[SELECTOR_KERNEL_CODE / 8] = DESCRIPTOR_KERNEL_CODE;
    arch->gdt[SELECTOR_KERNEL_DATA / 8] = DESCRIPTOR_KERNEL_DATA;
    arch->gdt[SELECTOR_USER_DATA / 8] = DESCRIPTOR_USER_DATA;
    arch->gdt[SELECTOR_USER_CODE / 8] = DESCRIPTOR_USER_CODE;
    arch->gdt[SELECTOR_TSS / 8] = DESCRIPTOR_TSS | (sizeof(struct tss) - 1) |
                                  (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
    arch->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
    arch->tss.io_map = sizeof(struct tss);
}

void segments_load(struct cpu *cpu)
{
    struct cpu_arch *arch = cpu_arch(cpu);
    struct table_pointer gdt_pointer = {sizeof(arch->gdt) - 1, (u64)arch->gdt};
    struct table_pointer idt_pointer = {sizeof(idt) - 1, (u64)idt};

    if (!idt[0].selector)
        idt_fill();
    gdt_fill(arch);
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n\t"
                     "1: movl %2, %%eax\n\t"
                     "movl %%eax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%fs\n\t"
                     "movl %%eax, %%gs\n\t"
                     "movl %3, %%eax\n\t"
                     "ltr %%ax\n\t"
                     "lidt %4"
                     :
                     : "m"(gdt_pointer), "i"(SELECTOR_KERNEL_CODE), "i"(SELECTOR_KERNEL_DATA),
                       "i"(SELECTOR_TSS), "m"(idt_pointer)
                     : "rax", "memory");
    cpu->self = cpu;
    msr_write(MSR_GS_BASE, (u64)cpu);
    msr_write(MSR_KERNEL_GS_BASE, 0);
}

/* A stack whose last 16 bytes hold the CPU: entry.asm looks there. */
static u64 ist_stack(struct cpu *cpu)
{
    u64 *top = kernel_stack_alloc();

    if (!top)
        panic("no memory for the interrupt stacks of CPU %u", cpu->id);
    top[-2] = (u64)cpu;
    return (u64)(top - 2);
}

void segments_make_ist(struct cpu *cpu)
{
    for (u32 slot = IST_NONE + 1; slot < IST_END; slot++)
        cpu_arch(cpu)->tss.ist[slot] = ist_stack(cpu);
    idt[VECTOR_DOUBLE_FAULT].ist = IST_DOUBLE_FAULT;
    idt[VECTOR_NMI].ist = IST_NMI;
    idt[VECTOR_MACHINE_CHECK].ist = IST_MACHINE_CHECK;
}
