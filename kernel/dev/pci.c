/*
 * pci.c: configuration space, the walk over all buses, base addresses, interrupts.
 *
 * Configuration space is memory where the firmware's MCFG table says so (PCI Express: 1 MiB a bus,
 * mapped bus by bus as the walk gets there), else it is reached by a pair of I/O ports. The walk
 * begins at bus 0 and goes down into a bridge's secondary bus when it meets one. There is one
 * segment.
 *
 * Only the boot CPU comes here, before user space starts; the ports' lock is for later readers.
 */
#include "kernel/dev/pci.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/pagetable.h"
#include "kernel/base/lock.h"
#include "kernel/base/log.h"

enum { PORT_ADDRESS = 0xcf8, PORT_DATA = 0xcfc };
#define PORT_ENABLE (1u << 31)

enum { /* configuration space */
       CONFIG_ID = 0x00,
       CONFIG_COMMAND = 0x04,
       CONFIG_STATUS = 0x06,
       CONFIG_CLASS = 0x08,
       CONFIG_HEADER_TYPE = 0x0e,
       CONFIG_BAR = 0x10,
       CONFIG_SECONDARY_BUS = 0x19,
       CONFIG_CAPABILITIES = 0x34,
       CONFIG_INTERRUPT_LINE = 0x3c,
       CONFIG_INTERRUPT_PIN = 0x3d,
};
enum { COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_LINE = 1 << 10 };
enum { STATUS_CAPABILITIES = 1 << 4 };
enum { HEADER_BRIDGE = 1, HEADER_TYPE_MASK = 0x7f, HEADER_MULTIPLE = 0x80 };
enum { BAR_IO = 1, BAR_TYPE_MASK = 6, BAR_64BIT = 4, BAR_FLAGS = 0xf, BARS = 6 };
enum { MSIX_ENABLE = 1 << 15, MSIX_MASK_ALL = 1 << 14, MSIX_BIR_MASK = 7 };
enum { MSI_ENABLE = 1, MSI_COUNT_MASK = 7 << 4, MSI_64BIT = 1 << 7 };

#define BUS_BYTES (1u << 20)
#define FUNCTION_BYTES 4096u
#define NOBODY 0xffffffffu  /* what is read where no function is */
#define CAPABILITIES_MAX 48 /* more would not fit: the list is a circle */
#define BUSES 256

/* The ports of address and data belong together. */
static struct spinlock port_lock = SPINLOCK_INIT("pci ports", LOCK_ARCH);
static volatile u8 *bus_windows[BUSES]; /* mapped so far */

/* --- configuration space --- */

/* The data port stands for these four bytes from now on; port_lock held. */
static void select_port(const struct pci_function *function, u32 offset)
{
    io_out32(PORT_ADDRESS, PORT_ENABLE | (u32)function->bus << 16 | (u32)function->device << 11 |
                               (u32)function->function << 8 | (offset & ~3u));
}

u32 pci_read32(const struct pci_function *function, u32 offset)
{
    if (function->window)
        return *(volatile u32 *)(function->window + offset);
    u64 flags = spin_lock_irq(&port_lock);
    select_port(function, offset);
    u32 value = io_in32(PORT_DATA);
    spin_unlock_irq(&port_lock, flags);
    return value;
}

u16 pci_read16(const struct pci_function *function, u32 offset)
{
    return (u16)(pci_read32(function, offset & ~3u) >> (offset & 2) * 8);
}

u8 pci_read8(const struct pci_function *function, u32 offset)
{
    return (u8)(pci_read32(function, offset & ~3u) >> (offset & 3) * 8);
}

void pci_write32(const struct pci_function *function, u32 offset, u32 value)
{
    if (function->window) {
        *(volatile u32 *)(function->window + offset) = value;
        return;
    }
    u64 flags = spin_lock_irq(&port_lock);
    select_port(function, offset);
    io_out32(PORT_DATA, value);
    spin_unlock_irq(&port_lock, flags);
}

/* A write of two bytes leaves its neighbours alone: some of them are cleared by writing ones. */
void pci_write16(const struct pci_function *function, u32 offset, u16 value)
{
    if (function->window) {
        *(volatile u16 *)(function->window + offset) = value;
        return;
    }
    u64 flags = spin_lock_irq(&port_lock);
    select_port(function, offset);
    io_out16((u16)(PORT_DATA + (offset & 2)), value);
    spin_unlock_irq(&port_lock, flags);
}

u32 pci_capability(const struct pci_function *function, u8 id, u32 after)
{
    u32 at = after ? pci_read8(function, after + 1) : 0;

    if (!after && pci_read16(function, CONFIG_STATUS) & STATUS_CAPABILITIES)
        at = pci_read8(function, CONFIG_CAPABILITIES);
    for (u32 seen = 0; (at &= ~3u) != 0 && seen < CAPABILITIES_MAX; seen++) {
        if (pci_read8(function, at) == id)
            return at;
        at = pci_read8(function, at + 1);
    }
    return 0;
}

/* --- memory --- */

/* Address and size of what a register points to; the size is found by writing ones, during which
 * the function must not answer. */
static u64 read_bar(const struct pci_function *function, u32 bar, u64 *bytes)
{
    u32 at = CONFIG_BAR + 4 * bar, low = pci_read32(function, at), high = 0;
    u16 command = pci_read16(function, CONFIG_COMMAND);
    u64 mask = ~0ul << 32;
    bool wide = (low & BAR_TYPE_MASK) == BAR_64BIT && bar + 1 < BARS;

    *bytes = 0;
    if (low & BAR_IO)
        return 0;
    pci_write16(function, CONFIG_COMMAND, command & ~COMMAND_MEMORY);
    pci_write32(function, at, ~0u);
    mask |= pci_read32(function, at) & ~(u32)BAR_FLAGS;
    pci_write32(function, at, low);
    if (wide) {
        high = pci_read32(function, at + 4);
        pci_write32(function, at + 4, ~0u);
        mask = (mask & ~0u) | (u64)pci_read32(function, at + 4) << 32;
        pci_write32(function, at + 4, high);
    }
    pci_write16(function, CONFIG_COMMAND, command);
    if (mask & ~0u)
        *bytes = ~mask + 1;
    return (u64)high << 32 | (low & ~(u32)BAR_FLAGS);
}

volatile void *pci_map(const struct pci_function *function, u32 bar, u64 offset, u64 bytes)
{
    u64 size = 0, address = bar < BARS ? read_bar(function, bar, &size) : 0;

    if (!address || offset > size || bytes > size - offset)
        return NULL;
    return kernel_map_device((pa_t){address + offset}, bytes);
}

void pci_enable(const struct pci_function *function)
{
    u16 command = pci_read16(function, CONFIG_COMMAND);

    pci_write16(function, CONFIG_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER);
}

/* --- interrupts --- */

static void disable_line(const struct pci_function *function)
{
    u16 command = pci_read16(function, CONFIG_COMMAND);

    pci_write16(function, CONFIG_COMMAND, command | COMMAND_NO_LINE);
}

/* All entries of the table start out masked; the first gets the message. */
static bool attach_msix(const struct pci_function *function, void (*handler)(void *context),
                        void *context)
{
    u32 at = pci_capability(function, PCI_CAPABILITY_MSIX, 0), data;
    u64 address;

    if (!at)
        return false;
    u32 where = pci_read32(function, at + 4);
    volatile u32 *entry = pci_map(function, where & MSIX_BIR_MASK, where & ~(u32)MSIX_BIR_MASK, 16);

    if (!entry || irq_message_attach(handler, context, &address, &data))
        return false;
    entry[0] = (u32)address;
    entry[1] = (u32)(address >> 32);
    entry[2] = data;
    entry[3] = 0; /* not masked */
    u16 control = pci_read16(function, at + 2) & (u16)~MSIX_MASK_ALL;
    pci_write16(function, at + 2, control | MSIX_ENABLE);
    return true;
}

static bool attach_msi(const struct pci_function *function, void (*handler)(void *context),
                       void *context)
{
    u32 at = pci_capability(function, PCI_CAPABILITY_MSI, 0), data;
    u64 address;

    if (!at || irq_message_attach(handler, context, &address, &data))
        return false;
    u16 control = pci_read16(function, at + 2);
    bool wide = control & MSI_64BIT;

    pci_write32(function, at + 4, (u32)address);
    if (wide)
        pci_write32(function, at + 8, (u32)(address >> 32));
    pci_write16(function, at + (wide ? 12 : 8), (u16)data);
    pci_write16(function, at + 2, (control & (u16)~MSI_COUNT_MASK) | MSI_ENABLE);
    return true;
}

enum pci_interrupt pci_attach_interrupt(const struct pci_function *function,
                                        void (*handler)(void *context), void *context, u32 *line)
{
    *line = pci_read8(function, CONFIG_INTERRUPT_LINE);
    if (attach_msix(function, handler, context)) {
        disable_line(function);
        return PCI_INTERRUPT_MSIX;
    }
    if (attach_msi(function, handler, context)) {
        disable_line(function);
        return PCI_INTERRUPT_MSI;
    }
    if (!pci_read8(function, CONFIG_INTERRUPT_PIN) || irq_line_attach(*line, handler, context))
        return PCI_INTERRUPT_NONE;
    return PCI_INTERRUPT_LINE;
}

/* --- the walk --- */

/* The configuration space of a bus as memory, or NULL. */
static volatile u8 *bus_window(u32 bus)
{
    if (!pci_window.base.raw || bus < pci_window.first_bus || bus > pci_window.last_bus)
        return NULL;
    if (!bus_windows[bus]) {
        u64 offset = (u64)(bus - pci_window.first_bus) * BUS_BYTES;

        bus_windows[bus] = kernel_map_device((pa_t){pci_window.base.raw + offset}, BUS_BYTES);
    }
    return bus_windows[bus];
}

static bool find_function(struct pci_function *function)
{
    volatile u8 *window = bus_window(function->bus);
    u32 index = function->device * 8u + function->function;

    function->window = window ? window + index * FUNCTION_BYTES : NULL;
    u32 id = pci_read32(function, CONFIG_ID);
    if (id == NOBODY)
        return false;
    function->vendor = (u16)id;
    function->product = (u16)(id >> 16);
    function->class_code = pci_read32(function, CONFIG_CLASS) >> 8;
    return true;
}

/* The buses still to be walked are marked; a bridge adds the one behind it. */
struct walk {
    const struct pci_driver *const *drivers;
    usize driver_count;
    u64 known[BUSES / 64];
    u32 pending[BUSES], pending_count, functions;
};

static void walk_add(struct walk *walk, u32 bus)
{
    if (walk->known[bus / 64] & BIT(bus % 64))
        return;
    walk->known[bus / 64] |= BIT(bus % 64);
    walk->pending[walk->pending_count++] = bus;
}

static void visit(struct walk *walk, const struct pci_function *function)
{
    u8 type = pci_read8(function, CONFIG_HEADER_TYPE) & HEADER_TYPE_MASK;

    walk->functions++;
    if (type == HEADER_BRIDGE) {
        walk_add(walk, pci_read8(function, CONFIG_SECONDARY_BUS));
        return;
    }
    for (usize i = 0; i < walk->driver_count; i++)
        if (walk->drivers[i]->attach(function))
            return;
}

static void walk_bus(struct walk *walk, u32 bus)
{
    for (u8 device = 0; device < 32; device++) {
        u8 functions = 1;

        for (u8 number = 0; number < functions; number++) {
            struct pci_function function = {.bus = (u8)bus, .device = device, .function = number};

            if (!find_function(&function))
                continue;
            if (number == 0 && pci_read8(&function, CONFIG_HEADER_TYPE) & HEADER_MULTIPLE)
                functions = 8;
            visit(walk, &function);
        }
    }
}

void pci_scan(const struct pci_driver *const *drivers, usize count)
{
    static struct walk walk;

    walk.drivers = drivers;
    walk.driver_count = count;
    walk_add(&walk, 0);
    while (walk.pending_count)
        walk_bus(&walk, walk.pending[--walk.pending_count]);
    log_line("pci: %u functions, configured by %s", walk.functions,
             pci_window.base.raw ? "memory" : "ports");
}
