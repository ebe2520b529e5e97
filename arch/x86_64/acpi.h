/*
 * acpi.h: what the firmware's ACPI tables say, copied out once at start-up so that the tables are
 * not needed afterwards.
 */
#pragma once

#include "arch/x86_64/arch.h"
#include "kernel/base/cpu.h"
#include "kernel/base/early.h"
#include "lib/types.h"

#define ACPI_IOAPICS_MAX 16
#define ACPI_OVERRIDES_MAX 32
#define ACPI_MEMORY_MAX 64
#define ACPI_CPUS_MAX 256 /* enabled processors in the MADT; at most CPU_MAX of them are started */

struct acpi_cpu {
    u32 apic_id, node;
};

struct acpi_ioapic {
    pa_t address;
    u32 gsi_base;
};

/* The ISA interrupt `irq` arrives at `gsi`. */
struct acpi_override {
    u8 irq;
    u32 gsi;
    bool level, active_low;
};

/* A register: in I/O space or in memory. address 0 = there is none. */
struct acpi_register {
    bool memory;
    u64 address;
};

struct acpi {
    pa_t lapic;
    u32 cpu_count;
    struct acpi_cpu cpus[ACPI_CPUS_MAX];
    u32 ioapic_count;
    struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
    u32 override_count;
    struct acpi_override overrides[ACPI_OVERRIDES_MAX];
    u32 memory_count;
    struct memory_range memory[ACPI_MEMORY_MAX]; /* by node */
    u32 nodes;

    struct acpi_register pm_timer;
    bool pm_timer_32bit;
    struct acpi_register reset;
    u8 reset_value;
    struct acpi_register pm1a_control, pm1b_control;
    u16 smi_command;
    u8 acpi_enable;
    bool s5_found;
    u8 s5_type_a, s5_type_b; /* SLP_TYP values of the off state */

    pa_t hpet; /* 0 = none */
};
extern struct acpi acpi;

/* Reads the tables, through the first page tables (which map the low 4 GiB). */
void acpi_parse(void);

/* --- acpi_numa.c --- */

/* The node of an address; 0 where nothing is said. *end is lowered to where the answer may
 * change. */
u32 acpi_node_of(u64 address, u64 *end);
/* The node of a processor by its local APIC's id; 0 where nothing is said. */
u32 acpi_cpu_node(u32 apic_id);
struct acpi_header;
void acpi_read_srat(const struct acpi_header *table);
void acpi_read_slit(const struct acpi_header *table);
/* Fills in what no table has said. */
void acpi_default_distances(void);

/* --- for both --- */

/* Every table begins so. */
struct acpi_header {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem[6], oem_table[8];
    u32 oem_revision, creator, creator_revision;
} packed_struct;
static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");

/* MADT and SRAT are lists of these after a fixed part. */
struct acpi_entry {
    u8 type, length;
} packed_struct;

#define acpi_for_each_entry(entry, table, fixed_bytes)                                             \
    for (const struct acpi_entry *entry = (const void *)((const u8 *)(table) + (fixed_bytes));     \
         (const u8 *)(entry + 1) <= (const u8 *)(table) + (table)->length && entry->length >= 2;   \
         entry = (const void *)((const u8 *)entry + entry->length))
