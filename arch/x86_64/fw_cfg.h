/*
 * fw_cfg.h: what QEMU's firmware configuration device has for us.
 */
#pragma once

/* Adds opt/merganser/args to the command line, fills boot_info.command and the module "overlay".
 * Nothing happens on a machine without the device. Before frame_init: the overlay's memory comes
 * from early_alloc. */
void fw_cfg_read(void);
