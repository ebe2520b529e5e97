/*
 * acpi_numa.c: NUMA nodes from the SRAT (which memory and which processors are near each other) and
 * the SLIT (distances).
 *
 * The firmware's proximity domains may have any number; our nodes are numbered 0, 1, ... in the
 * order in which memory of a new domain is named. A domain without memory is no node: its
 * processors count to node 0.
 */
#include "arch/x86_64/acpi.h"
#include "kernel/base/log.h"

enum { DISTANCE_LOCAL = 10, DISTANCE_REMOTE = 20 };
enum { SRAT_FIXED_BYTES = 48, SRAT_ENABLED = 1 };
enum { SRAT_LAPIC = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };

struct srat_lapic {
    struct acpi_entry entry;
    u8 domain_low, apic_id;
    u32 flags;
    u8 sapic, domain_high[3];
    u32 clock_domain;
} packed_struct;

struct srat_memory {
    struct acpi_entry entry;
    u32 domain;
    u16 reserved0;
    u64 base, length;
    u32 reserved1, flags;
    u64 reserved2;
} packed_struct;

struct srat_x2apic {
    struct acpi_entry entry;
    u16 reserved0;
    u32 domain, apic_id, flags, clock_domain, reserved1;
} packed_struct;

struct slit {
    struct acpi_header header;
    u64 localities;
    u8 distance[];
} packed_struct;

struct numa_distances numa_distances;

static u32 domain_of_node[NODE_MAX];
static struct {
    u32 apic_id, domain;
} cpu_domains[ACPI_CPUS_MAX];
static u32 cpu_domain_count;

/* The node of a domain, or acpi.nodes when it is not known. */
static u32 node_find(u32 domain)
{
    u32 node = 0;

    while (node < acpi.nodes && domain_of_node[node] != domain)
        node++;
    return node;
}

static void add_memory(const struct srat_memory *memory)
{
    u32 node = node_find(memory->domain);

    if (!(memory->flags & SRAT_ENABLED) || memory->length == 0)
        return;
    if (node == NODE_MAX || acpi.memory_count == ACPI_MEMORY_MAX) {
        log_line("acpi: memory at %#lx counts to node 0: too many nodes or ranges", memory->base);
        return;
    }
    if (node == acpi.nodes)
        domain_of_node[acpi.nodes++] = memory->domain;
    acpi.memory[acpi.memory_count++] =
        (struct memory_range){memory->base, memory->base + memory->length, node};
}

static void add_cpu(u32 apic_id, u32 domain, u32 flags)
{
    if (!(flags & SRAT_ENABLED) || cpu_domain_count == ACPI_CPUS_MAX)
        return;
    cpu_domains[cpu_domain_count].apic_id = apic_id;
    cpu_domains[cpu_domain_count++].domain = domain;
}

void acpi_read_srat(const struct acpi_header *table)
{
    acpi_for_each_entry(entry, table, SRAT_FIXED_BYTES)
    {
        const struct srat_lapic *lapic = (const void *)entry;
        const struct srat_x2apic *x2apic = (const void *)entry;
        u32 high = 0;

        switch (entry->type) {
        case SRAT_LAPIC:
            if (table->revision >= 2)
                high = (u32)lapic->domain_high[0] << 8 | (u32)lapic->domain_high[1] << 16 |
                       (u32)lapic->domain_high[2] << 24;
            add_cpu(lapic->apic_id, lapic->domain_low | high, lapic->flags);
            break;
        case SRAT_MEMORY: add_memory((const void *)entry); break;
        case SRAT_X2APIC: add_cpu(x2apic->apic_id, x2apic->domain, x2apic->flags); break;
        }
    }
}

/* Runs after the SRAT has been read. */
void acpi_read_slit(const struct acpi_header *table)
{
    const struct slit *slit = (const void *)table;

    for (u32 from = 0; from < acpi.nodes; from++)
        for (u32 to = 0; to < acpi.nodes; to++) {
            u64 i = domain_of_node[from], j = domain_of_node[to];

            if (i < slit->localities && j < slit->localities)
                numa_distances.distance[from][to] = slit->distance[i * slit->localities + j];
        }
}

u32 acpi_cpu_node(u32 apic_id)
{
    for (u32 i = 0; i < cpu_domain_count; i++)
        if (cpu_domains[i].apic_id == apic_id) {
            u32 node = node_find(cpu_domains[i].domain);

            return node < acpi.nodes ? node : 0;
        }
    return 0;
}

u32 acpi_node_of(u64 address, u64 *end)
{
    for (u32 i = 0; i < acpi.memory_count; i++) {
        const struct memory_range *range = &acpi.memory[i];

        if (address >= range->start && address < range->end) {
            *end = MIN(*end, range->end);
            return range->node;
        }
        if (range->start > address)
            *end = MIN(*end, range->start);
    }
    return 0;
}

void acpi_default_distances(void)
{
    for (u32 from = 0; from < NODE_MAX; from++)
        for (u32 to = 0; to < NODE_MAX; to++)
            if (numa_distances.distance[from][to] == 0)
                numa_distances.distance[from][to] = from == to ? DISTANCE_LOCAL : DISTANCE_REMOTE;
}
