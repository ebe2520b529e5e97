/*
 * virtio_blk.h: the driver of virtio's block devices.
 */
#pragma once

#include "kernel/dev/pci.h"

extern const struct pci_driver virtio_blk_driver;
