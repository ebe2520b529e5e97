/*
 * start.c: the order in which the machine is brought up, from boot.asm to kernel_main.
 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/clock.h"
#include "arch/x86_64/console.h"
#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/memory.h"
#include "arch/x86_64/multiboot.h"
#include "arch/x86_64/regs.h"
#include "arch/x86_64/segments.h"
#include "kernel/base/log.h"

static struct cpu boot_cpu = {.bit = 1};
static struct cpu_arch boot_cpu_arch;

/* The boot CPU's APIC id, before its APIC is set up: leaf 0xb has all 32 bits. */
static u32 boot_apic_id(void)
{
    struct cpuid wide = {0};

    if (cpuid(0, 0).eax >= 0xb)
        wide = cpuid(0xb, 0);
    return wide.ebx ? wide.edx : cpuid(1, 0).ebx >> 24;
}

/* On a stack with a guard page from here on. */
static _Noreturn void start_on_stack(void)
{
    ioapic_init();
    lapic_init();
    lapic_setup();
    clock_init();
    kernel_main();
    panic("kernel_main returned");
}

static _Noreturn void switch_to_stack(void *top, void (*next)(void))
{
    boot_cpu.kernel_stack = (u64)top;
    boot_cpu_arch.tss.rsp[0] = (u64)top;
    __asm__ volatile("mov %0, %%rsp; xor %%ebp, %%ebp; call *%1; ud2" ::"r"(top), "r"(next)
                     : "memory");
    __builtin_unreachable();
}

/* Called by boot.asm with the boot loader's information; interrupts stay off until kernel_main's
 * threads run. */
_Noreturn void arch_start(u64 information);
_Noreturn void arch_start(u64 information)
{
    clock_start();
    boot_cpu.arch = &boot_cpu_arch;
    cpus[0] = &boot_cpu;
    cpu_count = 1;
    segments_load(&boot_cpu);
    console_init_serial();
    multiboot_parse((pa_t){information});
    cpu_detect();
    cpu_setup();
    acpi_parse();
    boot_cpu.apic_id = boot_apic_id();
    boot_cpu.node = acpi_cpu_node(boot_cpu.apic_id);
    atomic_store(&boot_cpu.online, true);
    memory_map();
    console_init();
    memory_init();
    segments_make_ist(&boot_cpu);
    switch_to_stack(kernel_stack_alloc(), start_on_stack);
}
