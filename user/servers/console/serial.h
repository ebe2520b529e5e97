/*
 * serial.h: the first serial port, a 16550: output through a buffer, input as it comes.
 */
#pragma once

#include "lib/types.h"

/* Finds the port, sets it to 115200 8N1 and binds its interrupt to notification `bit` of `port`.
 * False: there is no such port; then nothing else here may be called. */
bool serial_start(u32 port, u64 bit);

/* Takes output, as much as there is room for; returns the number of bytes taken. */
u32 serial_write(const u8 *bytes, u32 length);

/* Bytes that serial_write would take now. */
u32 serial_room(void);

/* Is everything that was taken buffered no longer / sent to the last bit? */
bool serial_handed_over(void);
bool serial_sent(void);

/*
 * Serves the port: sends what it takes, receives what it has. After an interrupt, and when
 * input_room() has grown.
 */
void serial_serve(void);
