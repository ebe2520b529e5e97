/*
 * segments.h: selectors, and the part of struct cpu that only arch knows (cpu->arch).
 */
#pragma once

#include "kernel/base/cpu.h"
#include "lib/types.h"

/* SYSCALL and SYSRET want this order; the user's numbers are Linux's. There is no 32-bit user
 * code. */
enum {
    SELECTOR_KERNEL_CODE = 0x10,
    SELECTOR_KERNEL_DATA = 0x18,
    SELECTOR_USER_BASE = 0x23,
    SELECTOR_USER_DATA = 0x2b,
    SELECTOR_USER_CODE = 0x33,
    SELECTOR_TSS = 0x40,
};

/* Interrupt stack table slots: exceptions that must not rely on the current stack. */
enum { IST_NONE, IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK, IST_END };

struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 ist[8]; /* 0 is reserved */
    u64 reserved1;
    u16 reserved2;
    u16 io_map;
} packed_struct;
static_assert(sizeof(struct tss) == 104, "TSS");

struct cpu_arch {
    u64 gdt[10];
    struct tss tss;
};

static inline struct cpu_arch *cpu_arch(struct cpu *cpu)
{
    return cpu->arch;
}

/* Loads GDT, TSS, IDT and the GS base of the CPU that runs this. cpu->arch is set. */
void segments_load(struct cpu *cpu);
/* Gives the CPU its IST stacks; once, after the frame allocator is up. */
void segments_make_ist(struct cpu *cpu);
