/*
 * smp.c: starts the other CPUs.
 *
 * All get INIT at once and the 10 ms they may need for it. Then one after the other gets STARTUP,
 * with its struct cpu and its stack in the trampoline page, and is waited for. A CPU that stays
 * silent is skipped; it has no number then.
 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/clock.h"
#include "arch/x86_64/cpu_setup.h"
#include "arch/x86_64/irq.h"
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/memory.h"
#include "arch/x86_64/segments.h"
#include "kernel/base/log.h"
#include "lib/parse.h"
#include "lib/string.h"

#define INIT_US 10000
#define STARTUP_US 1000     /* before the STARTUP is repeated */
#define PATIENCE_US 5000000 /* an emulator may have few host CPUs for many guests */

struct trampoline {
    void *stack;
    struct cpu *cpu;
    pa_t page_table;
};

extern const char trampoline_start[], trampoline_end[], trampoline_parameters[];
static_assert(offsetof(struct trampoline, cpu) == 8, "TRAMPOLINE_CPU");
static_assert(offsetof(struct trampoline, page_table) == 16, "TRAMPOLINE_CR3");

/* struct cpu and what belongs to it, on the CPU's own node. */
struct cpu_block {
    struct cpu cpu;
    struct cpu_arch arch;
};

static struct cpu *cpu_make(const struct acpi_cpu *from, u32 id)
{
    u32 order = 0;
    struct frame *frame;

    while (PAGE_SIZE << order < sizeof(struct cpu_block))
        order++;
    frame = frame_alloc(order, ALLOC_ZERO, from->node);
    void *stack = kernel_stack_alloc();
    if (!frame || !stack)
        panic("no memory to start CPU %u", id);

    struct cpu_block *block = frame_page(frame);
    block->cpu.self = &block->cpu;
    block->cpu.arch = &block->arch;
    block->cpu.id = id;
    block->cpu.bit = BIT(id);
    block->cpu.apic_id = from->apic_id;
    block->cpu.node = from->node;
    block->cpu.kernel_stack = (u64)stack;
    segments_make_ist(&block->cpu);
    return &block->cpu;
}

/* The started CPU's first C function: the kernel's page tables, the stack of its struct cpu. */
_Noreturn void smp_entry(struct cpu *cpu);
_Noreturn void smp_entry(struct cpu *cpu)
{
    segments_load(cpu);
    cpu_setup();
    cpu_arch(cpu)->tss.rsp[0] = cpu->kernel_stack;
    lapic_setup();
    atomic_store(&cpu->online, true);
    cpu_main();
}

static bool wait_online(const struct cpu *cpu, u64 us)
{
    for (u64 end = time_ns() + us * 1000; time_ns() < end; cpu_relax())
        if (atomic_load(&cpu->online))
            return true;
    return false;
}

static bool cpu_start(struct cpu *cpu)
{
    struct trampoline *parameters =
        pa_virt((pa_t){memory_trampoline + (u64)(trampoline_parameters - trampoline_start)});

    *parameters = (struct trampoline){(void *)cpu->kernel_stack, cpu, virt_pa(kernel_root)};
    atomic_thread_fence(memory_order_seq_cst);
    lapic_send_startup(cpu->apic_id, (u8)(memory_trampoline >> PAGE_SHIFT));
    if (wait_online(cpu, STARTUP_US))
        return true;
    lapic_send_startup(cpu->apic_id, (u8)(memory_trampoline >> PAGE_SHIFT));
    return wait_online(cpu, PATIENCE_US);
}

/* How many CPUs may run: all, or the argument maxcpus=. */
static u64 cpu_limit(void)
{
    char value[8];
    u64 limit;

    if (boot_argument("maxcpus", value, sizeof(value)) &&
        str_to_u64(value, 10, &limit) == PARSE_OK && limit >= 1)
        return MIN(limit, (u64)CPU_MAX);
    return CPU_MAX;
}

static void start_all(u64 limit)
{
    for (u32 i = 0; i < acpi.cpu_count && cpu_count < limit; i++) {
        if (acpi.cpus[i].apic_id == cpus[0]->apic_id)
            continue;
        struct cpu *cpu = cpu_make(&acpi.cpus[i], cpu_count);
        cpus[cpu_count++] = cpu; /* first, since it is looked up as soon as it runs */
        if (cpu_start(cpu))
            continue;
        cpus[--cpu_count] = NULL;
        log_line("smp: CPU with APIC id %u does not start", cpu->apic_id);
    }
}

void smp_start(void)
{
    u64 limit = cpu_limit();

    if (acpi.cpu_count > limit)
        log_line("smp: %lu of %u CPUs are used", limit, acpi.cpu_count);
    if (limit == 1 || acpi.cpu_count < 2)
        return;
    if (!memory_trampoline) {
        log_line("smp: no memory below 1 MiB, so the other CPUs can't be started");
        return;
    }
    memcpy(pa_virt((pa_t){memory_trampoline}), trampoline_start,
           (usize)(trampoline_end - trampoline_start));
    for (u32 i = 0; i < acpi.cpu_count; i++)
        if (acpi.cpus[i].apic_id != cpus[0]->apic_id)
            lapic_send_init(acpi.cpus[i].apic_id);
    clock_delay_us(INIT_US);
    start_all(limit);
}
