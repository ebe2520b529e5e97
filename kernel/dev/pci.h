/*
 * pci.h: finding devices on PCI, and what their drivers need of it.
 *
 * Functions are found once, at start-up, where the firmware has put them: bus numbers and base
 * addresses stay as they are. A driver is offered each function in turn.
 */
#pragma once

#include "lib/types.h"

struct pci_function {
    u8 bus, device, function;
    volatile u8
        *window; /* its 4 KiB of configuration space; NULL = by ports, the first 256 bytes */
    u16 vendor, product;
    u32 class_code; /* class, subclass, interface */
};

struct pci_driver {
    const char *name;
    /* Takes the function, or not. The structure is gone afterwards: copy it. */
    bool (*attach)(const struct pci_function *function);
};

/* Looks at every function and offers it to each of the drivers, until one takes it. */
void pci_scan(const struct pci_driver *const *drivers, usize count);

/* Registers in configuration space. Offsets are multiples of the width. */
u8 pci_read8(const struct pci_function *function, u32 offset);
u16 pci_read16(const struct pci_function *function, u32 offset);
u32 pci_read32(const struct pci_function *function, u32 offset);
void pci_write16(const struct pci_function *function, u32 offset, u16 value);
void pci_write32(const struct pci_function *function, u32 offset, u32 value);

enum { PCI_CAPABILITY_MSI = 5, PCI_CAPABILITY_VENDOR = 9, PCI_CAPABILITY_MSIX = 17 };
/* Offset of the first capability of a kind behind `after` (0 = of all); 0 = there is none. */
u32 pci_capability(const struct pci_function *function, u8 id, u32 after);

/* Maps part of what base address register `bar` (0..5) points to. NULL: it is no memory, or the
 * part lies outside. */
volatile void *pci_map(const struct pci_function *function, u32 bar, u64 offset, u64 bytes);

/* Lets the function answer at its addresses and use memory on its own. */
void pci_enable(const struct pci_function *function);

enum pci_interrupt {
    PCI_INTERRUPT_NONE,
    PCI_INTERRUPT_LINE,
    PCI_INTERRUPT_MSI,
    PCI_INTERRUPT_MSIX
};
/* Has `handler` called for the function's interrupt: by message if it can (with MSI-X: its first),
 * else by its line, which is then masked when handler is called and must be unmasked by
 * irq_line_unmask(*line). */
enum pci_interrupt pci_attach_interrupt(const struct pci_function *function,
                                        void (*handler)(void *context), void *context, u32 *line);
