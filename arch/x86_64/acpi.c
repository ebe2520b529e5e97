/*
 * acpi.c: finds the ACPI tables and reads those with fixed layouts: MADT (processors and interrupt
 * controllers), FADT (power, timer), HPET, MCFG (PCI). NUMA is in acpi_numa.c. There is no
 * interpreter: the one thing taken from the DSDT's bytecode is the \_S5 package, whose encoding is
 * simple enough to be recognised.
 *
 * A table beyond 4 GiB can't be seen yet and is skipped; firmware puts none there.
 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/multiboot.h"
#include "kernel/base/log.h"
#include "lib/string.h"

struct rsdp {
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision;
    u32 rsdt;
    u32 length; /* from here on with revision 2 */
    u64 xsdt;
    u8 extended_checksum, reserved[3];
} packed_struct;
#define RSDP_OLD_BYTES 20

struct generic_address {
    u8 space, bits, offset, access;
    u64 address;
} packed_struct;
enum { SPACE_MEMORY = 0, SPACE_IO = 1 };

struct madt {
    struct acpi_header header;
    u32 lapic, flags;
} packed_struct;

enum {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_ADDRESS = 5,
    MADT_X2APIC = 9,
};
enum { MADT_CPU_ENABLED = 1 };

struct madt_lapic {
    struct acpi_entry entry;
    u8 acpi_id, apic_id;
    u32 flags;
} packed_struct;

struct madt_x2apic {
    struct acpi_entry entry;
    u16 reserved;
    u32 apic_id, flags, acpi_id;
} packed_struct;

struct madt_ioapic {
    struct acpi_entry entry;
    u8 id, reserved;
    u32 address, gsi_base;
} packed_struct;

struct madt_override {
    struct acpi_entry entry;
    u8 bus, irq;
    u32 gsi;
    u16 flags; /* polarity in bits 0-1, trigger in 2-3; 0 = as the bus has it, 3 = low or level */
} packed_struct;

struct madt_lapic_address {
    struct acpi_entry entry;
    u16 reserved;
    u64 address;
} packed_struct;

struct fadt {
    struct acpi_header header;
    u32 facs, dsdt;
    u8 reserved0[4];
    u32 smi_command;
    u8 acpi_enable, acpi_disable, reserved1[10];
    u32 pm1a_control, pm1b_control;
    u8 reserved2[4];
    u32 pm_timer;
    u8 reserved3[32];
    u32 flags;
    struct generic_address reset;
    u8 reset_value, reserved4[3];
    u64 x_facs, x_dsdt; /* from here on: later revisions */
    u8 reserved5[24];
    struct generic_address x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer;
} packed_struct;
static_assert(offsetof(struct fadt, pm1a_control) == 64, "FADT");
static_assert(offsetof(struct fadt, flags) == 112, "FADT");
static_assert(offsetof(struct fadt, x_dsdt) == 140, "FADT");
static_assert(offsetof(struct fadt, x_pm_timer) == 208, "FADT");
enum { FADT_TIMER_32BIT = 1 << 8, FADT_RESET = 1 << 10 };

struct hpet_table {
    struct acpi_header header;
    u32 id;
    struct generic_address address;
} packed_struct;

struct mcfg {
    struct acpi_header header;
    u8 reserved[8];
    struct {
        u64 base;
        u16 segment;
        u8 first_bus, last_bus;
        u8 reserved[4];
    } packed_struct windows[];
} packed_struct;
static_assert(sizeof(struct mcfg) == 44 && sizeof(((struct mcfg *)0)->windows[0]) == 16, "MCFG");

struct acpi acpi;
struct pci_window pci_window;

/* --- finding tables --- */

static bool checksum_ok(const void *bytes, usize count)
{
    u8 sum = 0;

    for (usize i = 0; i < count; i++)
        sum += ((const u8 *)bytes)[i];
    return sum == 0;
}

static const struct acpi_header *table_at(u64 address)
{
    const struct acpi_header *table = pa_virt((pa_t){address});

    if (address == 0 || address >= 0xffff0000ul)
        return NULL;
    if (!checksum_ok(table, table->length)) {
        log_line("acpi: table %.4s has a bad checksum, ignored", table->signature);
        return NULL;
    }
    return table;
}

/* The loader's copy of the root pointer, or the one in a BIOS's memory, or NULL. */
static const struct rsdp *rsdp_find(void)
{
    const u16 *ebda_segment = pa_virt((pa_t){0x40e}); /* of the extended BIOS data area */
    const u64 ebda = (u64)*ebda_segment << 4;
    const struct {
        u64 start, end;
    } places[] = {{ebda, ebda + 1024}, {0xe0000, 0x100000}};

    if (boot_rsdp[0])
        return (const struct rsdp *)boot_rsdp;
    for (usize i = 0; i < ARRAY_LEN(places); i++)
        for (u64 at = places[i].start; at < places[i].end; at += 16) {
            const struct rsdp *rsdp = pa_virt((pa_t){at});

            if (memcmp(rsdp->signature, "RSD PTR ", 8) == 0 && checksum_ok(rsdp, RSDP_OLD_BYTES))
                return rsdp;
        }
    return NULL;
}

/* --- MADT --- */

static void add_cpu(u32 apic_id, u32 flags)
{
    if (!(flags & MADT_CPU_ENABLED) || acpi.cpu_count == ACPI_CPUS_MAX)
        return;
    for (u32 i = 0; i < acpi.cpu_count; i++)
        if (acpi.cpus[i].apic_id == apic_id)
            return; /* listed in both forms */
    acpi.cpus[acpi.cpu_count++].apic_id = apic_id;
}

static void add_ioapic(const struct madt_ioapic *entry)
{
    if (acpi.ioapic_count < ACPI_IOAPICS_MAX)
        acpi.ioapics[acpi.ioapic_count++] = (struct acpi_ioapic){{entry->address}, entry->gsi_base};
}

static void add_override(const struct madt_override *entry)
{
    if (acpi.override_count < ACPI_OVERRIDES_MAX)
        acpi.overrides[acpi.override_count++] =
            (struct acpi_override){.irq = entry->irq,
                                   .gsi = entry->gsi,
                                   .active_low = (entry->flags & 3) == 3,
                                   .level = (entry->flags >> 2 & 3) == 3};
}

static void read_madt(const struct acpi_header *table)
{
    acpi.lapic.raw = ((const struct madt *)table)->lapic;
    acpi_for_each_entry(entry, table, sizeof(struct madt))
    {
        const struct madt_lapic *lapic = (const void *)entry;
        const struct madt_x2apic *x2apic = (const void *)entry;

        switch (entry->type) {
        case MADT_LAPIC: add_cpu(lapic->apic_id, lapic->flags); break;
        case MADT_X2APIC: add_cpu(x2apic->apic_id, x2apic->flags); break;
        case MADT_IOAPIC: add_ioapic((const void *)entry); break;
        case MADT_OVERRIDE: add_override((const void *)entry); break;
        case MADT_LAPIC_ADDRESS:
            acpi.lapic.raw = ((const struct madt_lapic_address *)entry)->address;
            break;
        }
    }
}

/* --- FADT, DSDT --- */

/* The newer form of a register where the table is long enough to have it and it says something;
 * else the older one, an I/O port. */
static struct acpi_register read_register(const struct fadt *fadt,
                                          const struct generic_address *newer, u32 older)
{
    const u8 *end = (const u8 *)fadt + fadt->header.length;

    if ((const u8 *)(newer + 1) <= end && newer->address && newer->space <= SPACE_IO)
        return (struct acpi_register){newer->space == SPACE_MEMORY, newer->address};
    return (struct acpi_register){false, older};
}

/* An integer of a package: ZeroOp, OneOp or BytePrefix and the byte. */
static u8 read_aml_byte(const u8 **at)
{
    if (**at == 0x0a)
        (*at)++;
    return *(*at)++;
}

/* Looks for `Name (\_S5, Package () {a, b, ...})`: "_S5_", PackageOp, its length in 1 to 4 bytes,
 * the count, the values. */
static void find_s5(const struct acpi_header *dsdt)
{
    const u8 *bytes = (const u8 *)dsdt;

    for (u32 i = sizeof(*dsdt); i + 16 < dsdt->length; i++) {
        const u8 *at = bytes + i;

        if (memcmp(at, "_S5_\x12", 5) != 0)
            continue;
        at += 5;
        at += 1 + (*at >> 6); /* the length's first byte tells how many follow */
        at++;
        acpi.s5_type_a = read_aml_byte(&at);
        acpi.s5_type_b = read_aml_byte(&at);
        acpi.s5_found = true;
        return;
    }
}

static void read_fadt(const struct acpi_header *table)
{
    const struct fadt *fadt = (const void *)table;
    bool has_x = table->length >= offsetof(struct fadt, x_dsdt) + 8;
    const struct acpi_header *dsdt = table_at(has_x && fadt->x_dsdt ? fadt->x_dsdt : fadt->dsdt);

    acpi.pm_timer = read_register(fadt, &fadt->x_pm_timer, fadt->pm_timer);
    acpi.pm_timer_32bit = fadt->flags & FADT_TIMER_32BIT;
    acpi.pm1a_control = read_register(fadt, &fadt->x_pm1a_control, fadt->pm1a_control);
    acpi.pm1b_control = read_register(fadt, &fadt->x_pm1b_control, fadt->pm1b_control);
    acpi.smi_command = (u16)fadt->smi_command;
    acpi.acpi_enable = fadt->acpi_enable;
    if (table->length >= offsetof(struct fadt, x_facs) && (fadt->flags & FADT_RESET)) {
        acpi.reset = read_register(fadt, &fadt->reset, 0);
        acpi.reset_value = fadt->reset_value;
    }
    if (dsdt)
        find_s5(dsdt);
}

/* --- the others --- */

static void read_hpet(const struct acpi_header *table)
{
    const struct hpet_table *hpet = (const void *)table;

    if (hpet->address.space == SPACE_MEMORY)
        acpi.hpet.raw = hpet->address.address;
}

/* Segment 0 only: others are on machines with thousands of devices. */
static void read_mcfg(const struct acpi_header *table)
{
    const struct mcfg *mcfg = (const void *)table;
    u32 count = (table->length - sizeof(*mcfg)) / sizeof(mcfg->windows[0]);

    for (u32 i = 0; i < count; i++)
        if (mcfg->windows[i].segment == 0)
            pci_window = (struct pci_window){.base = {mcfg->windows[i].base},
                                             .first_bus = mcfg->windows[i].first_bus,
                                             .last_bus = mcfg->windows[i].last_bus};
}

static const struct {
    char signature[5];
    void (*read)(const struct acpi_header *table);
} readers[] = {
    {"SRAT", acpi_read_srat}, /* names the nodes, which the SLIT then relates */
    {"APIC", read_madt},      {"FACP", read_fadt}, {"HPET", read_hpet},
    {"SLIT", acpi_read_slit}, {"MCFG", read_mcfg},
};

/* Reads every table of one kind; `root` is the RSDT or, with 8-byte entries, the XSDT. */
static void read_tables(const struct acpi_header *root, u32 entry_bytes, usize kind)
{
    u32 count = (root->length - sizeof(*root)) / entry_bytes;

    for (u32 i = 0; i < count; i++) {
        u64 address = 0;

        memcpy(&address, (const u8 *)(root + 1) + i * entry_bytes, entry_bytes);
        const struct acpi_header *table = table_at(address);
        if (table && memcmp(table->signature, readers[kind].signature, 4) == 0)
            readers[kind].read(table);
    }
}

void acpi_parse(void)
{
    const struct rsdp *rsdp = rsdp_find();
    bool extended = rsdp && rsdp->revision >= 2 && rsdp->xsdt;
    const struct acpi_header *root = NULL;

    if (rsdp)
        root = table_at(extended ? rsdp->xsdt : rsdp->rsdt);
    if (root) {
        for (usize kind = 0; kind < ARRAY_LEN(readers); kind++)
            read_tables(root, extended ? 8 : 4, kind);
    } else {
        log_line("acpi: no tables found: one CPU, no I/O APIC");
    }
    acpi.nodes = MAX(acpi.nodes, 1u);
    acpi_default_distances();
    for (u32 i = 0; i < acpi.cpu_count; i++)
        acpi.cpus[i].node = acpi_cpu_node(acpi.cpus[i].apic_id);
}
