/*
 * ioapic.c: the controllers that turn device lines (global system interrupts, GSIs) into vectors on
 * a CPU.
 *
 * Each has an index and a data register, and a redirection entry of two words for each of its
 * lines. ISA lines 0 to 15 are edge triggered and active high, and arrive at the GSI of the same
 * number, unless an override in the MADT says otherwise. Other lines are PCI's: level triggered and
 * active low. The old PICs are switched off.
 */
#include "arch/x86_64/acpi.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/irq.h"
#include "kernel/base/lock.h"

enum { IOAPIC_INDEX = 0, IOAPIC_DATA = 0x10 }; /* registers in memory */
enum { IOAPIC_VERSION = 1, IOAPIC_REDIRECTION = 0x10 };
enum { REDIRECT_ACTIVE_LOW = 1 << 13, REDIRECT_LEVEL = 1 << 15, REDIRECT_MASKED = 1 << 16 };
enum { PIC1 = 0x20, PIC2 = 0xa0 };
enum { ISA_LINES = 16 };

static struct ioapic {
    volatile u8 *registers;
    u32 gsi_base, lines;
} ioapics[ACPI_IOAPICS_MAX];

/* Index and data belong together. */
static struct spinlock ioapic_lock = SPINLOCK_INIT("ioapic", LOCK_ARCH);

static u32 ioapic_read(const struct ioapic *ioapic, u32 index)
{
    *(volatile u32 *)(ioapic->registers + IOAPIC_INDEX) = index;
    return *(volatile u32 *)(ioapic->registers + IOAPIC_DATA);
}

static void ioapic_write(const struct ioapic *ioapic, u32 index, u32 value)
{
    *(volatile u32 *)(ioapic->registers + IOAPIC_INDEX) = index;
    *(volatile u32 *)(ioapic->registers + IOAPIC_DATA) = value;
}

/* The controller of a GSI, or NULL. */
static const struct ioapic *ioapic_of(u32 gsi)
{
    for (u32 i = 0; i < acpi.ioapic_count; i++)
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].lines)
            return &ioapics[i];
    return NULL;
}

/* Where an ISA line really arrives; other numbers are GSIs already. */
static u32 translate(u32 gsi, bool *level, bool *active_low)
{
    *level = *active_low = gsi >= ISA_LINES;
    for (u32 i = 0; i < acpi.override_count; i++)
        if (acpi.overrides[i].irq == gsi) {
            *level = acpi.overrides[i].level;
            *active_low = acpi.overrides[i].active_low;
            return acpi.overrides[i].gsi;
        }
    return gsi;
}

bool ioapic_route(u32 gsi, u8 vector, bool *level)
{
    bool active_low;
    u32 real = translate(gsi, level, &active_low);
    const struct ioapic *ioapic = ioapic_of(real);

    if (!ioapic)
        return false;
    u32 index = IOAPIC_REDIRECTION + 2 * (real - ioapic->gsi_base);
    u32 low = vector | REDIRECT_MASKED | (*level ? REDIRECT_LEVEL : 0) |
              (active_low ? REDIRECT_ACTIVE_LOW : 0);
    u64 flags = spin_lock_irq(&ioapic_lock);
    ioapic_write(ioapic, index, REDIRECT_MASKED);
    ioapic_write(ioapic, index + 1, cpus[0]->apic_id << 24);
    ioapic_write(ioapic, index, low);
    spin_unlock_irq(&ioapic_lock, flags);
    return true;
}

void ioapic_mask(u32 gsi, bool masked)
{
    bool level, active_low;
    u32 real = translate(gsi, &level, &active_low);
    const struct ioapic *ioapic = ioapic_of(real);

    if (!ioapic)
        return;
    u32 index = IOAPIC_REDIRECTION + 2 * (real - ioapic->gsi_base);
    u64 flags = spin_lock_irq(&ioapic_lock);
    u32 low = ioapic_read(ioapic, index) & ~(u32)REDIRECT_MASKED;
    ioapic_write(ioapic, index, low | (masked ? REDIRECT_MASKED : 0));
    spin_unlock_irq(&ioapic_lock, flags);
}

/* Moves the PICs' vectors away from the exceptions (spurious ones still come) and masks all their
 * lines. */
static void pic_disable(void)
{
    enum { INIT = 0x11, CASCADE_LINE = 2, MODE_8086 = 1 };

    io_out8(PIC1, INIT);
    io_out8(PIC2, INIT);
    io_out8(PIC1 + 1, VECTOR_PIC);
    io_out8(PIC2 + 1, VECTOR_PIC + 8);
    io_out8(PIC1 + 1, 1 << CASCADE_LINE);
    io_out8(PIC2 + 1, CASCADE_LINE);
    io_out8(PIC1 + 1, MODE_8086);
    io_out8(PIC2 + 1, MODE_8086);
    io_out8(PIC1 + 1, 0xff);
    io_out8(PIC2 + 1, 0xff);
}

void ioapic_init(void)
{
    pic_disable();
    for (u32 i = 0; i < acpi.ioapic_count; i++) {
        struct ioapic *ioapic = &ioapics[i];

        ioapic->registers = kernel_map_device(acpi.ioapics[i].address, PAGE_SIZE);
        ioapic->gsi_base = acpi.ioapics[i].gsi_base;
        ioapic->lines = (ioapic_read(ioapic, IOAPIC_VERSION) >> 16 & 0xff) + 1;
        for (u32 line = 0; line < ioapic->lines; line++)
            ioapic_write(ioapic, IOAPIC_REDIRECTION + 2 * line, REDIRECT_MASKED);
    }
}
