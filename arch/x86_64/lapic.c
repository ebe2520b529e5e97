/*
 * lapic.c: the local APIC of each CPU: interrupts to other CPUs, and the timer.
 *
 * It has two faces: xAPIC, registers in memory with 8-bit CPU ids; and x2APIC, the same registers
 * as MSRs with 32-bit ids. The second is used where the CPU has it (some firmware leaves no
 * choice). A register's MSR is 0x800 + offset / 16.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/regs.h"

/* Offsets of registers. */
enum {
    LAPIC_PRIORITY = 0x80,
    LAPIC_END = 0xb0,
    LAPIC_SPURIOUS = 0xf0,
    LAPIC_COMMAND = 0x300,
    LAPIC_COMMAND_HIGH = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_LVT_LINT1 = 0x360,
    LAPIC_LVT_ERROR = 0x370,
    LAPIC_TIMER_COUNT = 0x380,
    LAPIC_TIMER_LEFT = 0x390,
    LAPIC_TIMER_DIVIDE = 0x3e0,
};

enum { SPURIOUS_ENABLE = 1 << 8 };
enum { LVT_NMI = 4 << 8, LVT_MASKED = 1 << 16, LVT_TSC_DEADLINE = 2 << 17 };
enum { DIVIDE_BY_16 = 3 };
enum {
    COMMAND_NMI = 4 << 8,
    COMMAND_INIT = 5 << 8,
    COMMAND_STARTUP = 6 << 8,
    COMMAND_PENDING = 1 << 12,
    COMMAND_ASSERT = 1 << 14,
};
enum { APIC_BASE_X2 = 1 << 10, APIC_BASE_ENABLE = 1 << 11 };
#define APIC_BASE_ADDRESS 0x000ffffffffff000ul

static bool x2_mode;
static volatile u8 *registers;

static u32 lapic_read(u32 offset)
{
    if (x2_mode)
        return (u32)msr_read(MSR_X2APIC + offset / 16);
    return *(volatile u32 *)(registers + offset);
}

static void lapic_write(u32 offset, u32 value)
{
    if (x2_mode)
        msr_write(MSR_X2APIC + offset / 16, value);
    else
        *(volatile u32 *)(registers + offset) = value;
}

static void lapic_command(u32 apic_id, u32 command)
{
    if (x2_mode) {
        /* Writing this MSR does not wait for earlier stores. */
        __asm__ volatile("mfence" ::: "memory");
        msr_write(MSR_X2APIC + LAPIC_COMMAND / 16, (u64)apic_id << 32 | command);
        return;
    }
    u64 flags = irq_save(); /* the two halves belong together */
    lapic_write(LAPIC_COMMAND_HIGH, apic_id << 24);
    lapic_write(LAPIC_COMMAND, command);
    while (lapic_read(LAPIC_COMMAND) & COMMAND_PENDING)
        cpu_relax();
    irq_restore(flags);
}

void lapic_send(u32 apic_id, u8 vector)
{
    lapic_command(apic_id, COMMAND_ASSERT | vector);
}

void lapic_send_nmi(u32 apic_id)
{
    lapic_command(apic_id, COMMAND_ASSERT | COMMAND_NMI);
}

void lapic_send_init(u32 apic_id)
{
    lapic_command(apic_id, COMMAND_ASSERT | COMMAND_INIT);
}

void lapic_send_startup(u32 apic_id, u8 page)
{
    lapic_command(apic_id, COMMAND_ASSERT | COMMAND_STARTUP | page);
}

void lapic_end(void)
{
    lapic_write(LAPIC_END, 0);
}

void lapic_timer_count(u32 count)
{
    lapic_write(LAPIC_TIMER_COUNT, count);
}

u32 lapic_timer_left(void)
{
    return lapic_read(LAPIC_TIMER_LEFT);
}

void lapic_init(void)
{
    u64 base = msr_read(MSR_APIC_BASE);

    x2_mode = cpu_features.x2apic || (base & APIC_BASE_X2);
    if (!x2_mode)
        registers = kernel_map_device((pa_t){base & APIC_BASE_ADDRESS}, PAGE_SIZE);
}

void lapic_setup(void)
{
    u64 base = msr_read(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    u32 deadline = cpu_features.tsc_deadline ? LVT_TSC_DEADLINE : 0;

    msr_write(MSR_APIC_BASE, base);
    if (x2_mode)
        msr_write(MSR_APIC_BASE, base | APIC_BASE_X2);
    lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT1, LVT_NMI);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_16);
    lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | deadline);
    lapic_write(LAPIC_PRIORITY, 0);
}
