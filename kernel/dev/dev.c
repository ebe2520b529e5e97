/*
 * dev.c: which drivers there are.
 */
#include "kernel/dev/dev.h"
#include "kernel/dev/pci.h"
#include "kernel/dev/virtio_blk.h"

static const struct pci_driver *const drivers[] = {
    &virtio_blk_driver,
};

void dev_init(void)
{
    pci_scan(drivers, ARRAY_LEN(drivers));
}
