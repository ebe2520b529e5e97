/*
 * power.c: turning the machine off and starting it again.
 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/clock.h"
#include "kernel/base/log.h"

enum { PM1_ENABLED = 1, PM1_TYPE_SHIFT = 10, PM1_SLEEP = 1 << 13 };
enum { KEYBOARD_COMMAND = 0x64, KEYBOARD_RESET = 0xfe, KEYBOARD_FULL = 2 };
#define WAIT_US 500000

/* Registers in memory are not used for these by any machine with I/O ports. */
static u16 pm1_read(const struct acpi_register *control)
{
    return io_in16((u16)control->address);
}

static void pm1_sleep(const struct acpi_register *control, u8 type)
{
    if (control->address && !control->memory)
        io_out16((u16)control->address, (u16)(type << PM1_TYPE_SHIFT | PM1_SLEEP));
}

/* Power registers work only once the firmware has handed them over. */
static void acpi_take_over(void)
{
    if (!acpi.smi_command || !acpi.acpi_enable || (pm1_read(&acpi.pm1a_control) & PM1_ENABLED))
        return;
    io_out8(acpi.smi_command, acpi.acpi_enable);
    for (u64 end = time_ns() + WAIT_US * 1000; time_ns() < end; cpu_relax())
        if (pm1_read(&acpi.pm1a_control) & PM1_ENABLED)
            return;
}

_Noreturn void machine_power_off(void)
{
    irq_disable();
    if (acpi.s5_found && acpi.pm1a_control.address && !acpi.pm1a_control.memory) {
        acpi_take_over();
        pm1_sleep(&acpi.pm1a_control, acpi.s5_type_a);
        pm1_sleep(&acpi.pm1b_control, acpi.s5_type_b);
        clock_delay_us(WAIT_US);
    }
    log_line("This machine can't turn itself off: it is safe to do so now.");
    ipi_send(~0ul, IPI_STOP);
    cpu_halt_forever();
}

_Noreturn void machine_reboot(void)
{
    static const struct {
        u16 limit;
        u64 base;
    } packed_struct no_idt = {0, 0};

    irq_disable();
    if (acpi.reset.address) {
        if (acpi.reset.memory)
            *(volatile u8 *)kernel_map_device((pa_t){acpi.reset.address}, 1) = acpi.reset_value;
        else
            io_out8((u16)acpi.reset.address, acpi.reset_value);
        clock_delay_us(WAIT_US);
    }
    for (u32 i = 0; i < WAIT_US && (io_in8(KEYBOARD_COMMAND) & KEYBOARD_FULL); i++)
        cpu_relax();
    io_out8(KEYBOARD_COMMAND, KEYBOARD_RESET);
    clock_delay_us(WAIT_US);
    __asm__ volatile("lidt %0; int3" ::"m"(no_idt)); /* without a handler for anything, it resets */
    cpu_halt_forever();
}
