/*
 * console.h: where the kernel log goes besides its ring: a serial port, and the screen while it is
 * the kernel's.
 */
#pragma once

#include "lib/types.h"

/* The serial port alone, before anything is known of the machine. */
void console_init_serial(void);
/* Moves the log to the other port if `log=com1` says so, and brings up the screen. After
 * multiboot_parse. */
void console_init(void);

/* serial.c */
bool serial_init(u16 port); /* false: no such port */
void serial_write(u16 port, const char *text, usize length);

/* screen.c: text on the framebuffer or the VGA text screen that boot_info describes. */
void screen_init(void);
void screen_write(const char *text, usize length);
