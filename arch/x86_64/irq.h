/*
 * irq.h: vectors of exceptions and interrupts, who handles them, and the controllers. Private to
 * arch/.
 */
#pragma once

#include "lib/types.h"

/* Exceptions have the vectors below VECTOR_EXCEPTIONS; the others are ours to give. A vector's
 * upper half is its priority. */
enum {
    VECTOR_NMI = 2,
    VECTOR_BREAKPOINT = 3,
    VECTOR_OVERFLOW = 4,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_MACHINE_CHECK = 18,
    VECTOR_EXCEPTIONS = 32,
    VECTOR_PIC = 0x20, /* 16 of them: where a masked PIC's spurious interrupts go */
    VECTOR_LINES = 0x30, /* device lines, each its own */
    VECTOR_LINES_END = 0xe0,
    VECTOR_TIMER = 0xf0,
    VECTOR_RESCHEDULE = 0xf1,
    VECTOR_SHOOTDOWN = 0xf2,
    VECTOR_STACKS = 0xf3,
    VECTOR_SPURIOUS = 0xff,
};

struct trap_frame;
/* trap.c: from entry.asm, interrupts off. */
void trap_dispatch(struct trap_frame *frame);
/* irq.c: from trap.c, interrupts off. */
void interrupt_dispatch(struct trap_frame *frame);
void nmi_dispatch(void);

/* lapic.c: the interrupt controller in each CPU. */
void lapic_init(void);  /* once: finds it */
void lapic_setup(void); /* on each CPU */
void lapic_end(void);   /* the current interrupt is done */
void lapic_send(u32 apic_id, u8 vector);
void lapic_send_nmi(u32 apic_id);
void lapic_send_init(u32 apic_id);
void lapic_send_startup(u32 apic_id, u8 page); /* the CPU starts at page * 4096 */
/* The timer counts down from `count` (0 = off) by one each 16 bus cycles, then interrupts. */
void lapic_timer_count(u32 count);
u32 lapic_timer_left(void);

/* ioapic.c: the controllers of device lines. */
void ioapic_init(void);
/* Routes a line to a vector on the boot CPU, masked. ISA numbers are translated. False: no such
 * line. */
bool ioapic_route(u32 gsi, u8 vector, bool *level);
void ioapic_mask(u32 gsi, bool masked);
