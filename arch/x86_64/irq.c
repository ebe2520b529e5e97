/*
 * irq.c: who gets which interrupt; the interrupts that CPUs send each other.
 *
 * Device lines arrive at the boot CPU, each with a vector of its own. A level line stays masked
 * from its interrupt until irq_line_unmask; an edge line is not masked, as an edge in between would
 * be lost.
 */
#include "arch/x86_64/irq.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/kstack.h"
#include "arch/x86_64/regs.h"
#include "kernel/base/errno.h"
#include "kernel/base/lock.h"
#include "kernel/base/log.h"

#define LINE_MESSAGE (~0u) /* the gsi of what comes by message: of none */
#define MESSAGE_ADDRESS 0xfee00000ul

struct irq_line {
    void (*_Atomic handler)(void *context); /* NULL = free */
    _Atomic bool running;                   /* the boot CPU is in the handler */
    bool level;
    u32 gsi;
    void *context;
};

static struct irq_line lines[VECTOR_LINES_END - VECTOR_LINES];
static struct spinlock lines_lock = SPINLOCK_INIT("irq lines", LOCK_ARCH); /* who has a line */
static _Atomic bool stopping; /* a CPU has panicked: NMIs mean halt */

void (*shootdown_hook)(void);
void (*timer_hook)(void);

bool irq_enabled(void)
{
    u64 flags;

    __asm__ volatile("pushfq; pop %0" : "=r"(flags));
    return flags & RFLAGS_IF;
}

void cpu_idle(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

_Noreturn void cpu_halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}

/* --- dispatch --- */

static void line_interrupt(struct irq_line *line)
{
    void (*handler)(void *context);

    atomic_store(&line->running, true);
    handler = atomic_load(&line->handler);
    if (handler && line->level)
        ioapic_mask(line->gsi, true);
    lapic_end();
    if (handler)
        handler(line->context);
    atomic_store(&line->running, false);
}

static void interrupt_handle(u8 vector)
{
    if (vector >= VECTOR_LINES && vector < VECTOR_LINES_END) {
        line_interrupt(&lines[vector - VECTOR_LINES]);
        return;
    }
    if (vector == VECTOR_SPURIOUS || vector < VECTOR_LINES)
        return; /* these want no end of interrupt */
    lapic_end();
    if (vector == VECTOR_TIMER && timer_hook)
        timer_hook();
    else if (vector == VECTOR_SHOOTDOWN && shootdown_hook)
        shootdown_hook();
    else if (vector == VECTOR_STACKS)
        kstack_flush_here();
}

void interrupt_dispatch(struct trap_frame *frame)
{
    struct cpu *cpu = this_cpu();

    cpu->interrupts++;
    cpu->interrupt_depth++;
    cpu->interrupted_user = trap_from_user(frame);
    interrupt_handle((u8)frame->vector);
    cpu->interrupt_depth--;
}

void nmi_dispatch(void)
{
    if (atomic_load(&stopping))
        cpu_halt_forever();
    log_line("CPU %u: a non-maskable interrupt, for which there is no reason", this_cpu()->id);
}

/* --- lines --- */

static struct irq_line *line_find(u32 gsi)
{
    for (u32 i = 0; i < ARRAY_LEN(lines); i++)
        if (lines[i].handler && lines[i].gsi == gsi)
            return &lines[i];
    return NULL;
}

static struct irq_line *line_find_free(void)
{
    for (u32 i = 0; i < ARRAY_LEN(lines); i++)
        if (!lines[i].handler)
            return &lines[i];
    return NULL;
}

s64 irq_line_attach(u32 gsi, void (*handler)(void *context), void *context)
{
    u64 flags = spin_lock_irq(&lines_lock);
    struct irq_line *line = line_find_free();
    s64 result = -EBUSY;

    if (line && !line_find(gsi)) {
        line->gsi = gsi;
        line->context = context;
        atomic_store(&line->handler, handler);
        result = 0;
    }
    spin_unlock_irq(&lines_lock, flags);
    if (result)
        return result;
    if (!ioapic_route(gsi, (u8)(VECTOR_LINES + (line - lines)), &line->level)) {
        atomic_store(&line->handler, NULL);
        return -EINVAL;
    }
    ioapic_mask(gsi, false);
    return 0;
}

/* The address names the boot CPU's interrupt controller, the data is the vector, edge triggered. */
s64 irq_message_attach(void (*handler)(void *context), void *context, u64 *address, u32 *data)
{
    u64 flags = spin_lock_irq(&lines_lock);
    struct irq_line *line = line_find_free();

    if (line) {
        line->gsi = LINE_MESSAGE;
        line->level = false;
        line->context = context;
        atomic_store(&line->handler, handler);
    }
    spin_unlock_irq(&lines_lock, flags);
    if (!line)
        return -EBUSY;
    *address = MESSAGE_ADDRESS | (u64)cpus[0]->apic_id << 12;
    *data = (u32)(VECTOR_LINES + (line - lines));
    return 0;
}

void irq_line_unmask(u32 gsi)
{
    ioapic_mask(gsi, false);
}

void irq_line_detach(u32 gsi)
{
    u64 flags = spin_lock_irq(&lines_lock);
    struct irq_line *line = line_find(gsi);

    if (line) {
        ioapic_mask(gsi, true);
        atomic_store(&line->handler, NULL);
    }
    spin_unlock_irq(&lines_lock, flags);
    while (line && atomic_load(&line->running))
        spin_wait();
}

/* --- between CPUs --- */

static void ipi_send_one(u32 apic_id, enum ipi kind)
{
    switch (kind) {
    case IPI_RESCHEDULE: lapic_send(apic_id, VECTOR_RESCHEDULE); break;
    case IPI_SHOOTDOWN: lapic_send(apic_id, VECTOR_SHOOTDOWN); break;
    case IPI_STACKS: lapic_send(apic_id, VECTOR_STACKS); break;
    case IPI_STOP: lapic_send_nmi(apic_id); break;
    }
}

void ipi_send(cpumask_t mask, enum ipi kind)
{
    u32 self = this_cpu()->id;

    if (kind == IPI_STOP)
        atomic_store(&stopping, true);
    mask &= ~(1ul << self);
    for (; mask; mask &= mask - 1) {
        u32 id = (u32)__builtin_ctzl(mask);

        if (id >= cpu_count)
            break;
        if (atomic_load_explicit(&cpus[id]->online, memory_order_acquire))
            ipi_send_one(cpus[id]->apic_id, kind);
    }
}
