/*
 * console.h: how the POSIX server talks to the console server.
 *
 * The console server drives the first serial line, the PS/2 keyboard and the framebuffer. It knows
 * bytes only: what goes out is text with ANSI escape sequences, what comes in is what a terminal
 * sends. Line editing, echo and signals are the business of whoever reads (the POSIX server's tty).
 * It never calls anybody, it only notifies, so calling it can't deadlock.
 *
 * Init gives the console server two handles, in this order: MG_HANDLE_SYSTEM and
 * CONSOLE_HANDLE_PORT, the port it serves (all rights). Its client gets a handle of the same port
 * with MG_RIGHT_WRITE. A reply's label is 0 or -errno.
 *
 *   call              in                                   out
 *   CONSOLE_ATTACH    handle: a port to notify (WRITE,
 *                     PASS); word[0], [1]: bits for "input
 *                     is there", "there is room again"
 *   CONSOLE_SHARE     handle: object for long writes
 *                     word[0]: bytes of it that are used
 *   CONSOLE_WRITE     word[0]: length, at most             word[0]: bytes taken, the rest is to be
 *                     CONSOLE_INLINE; word[1..5]: bytes    written after the notification of room
 *   CONSOLE_WRITE_SHARED  word[0]: length; word[1]:        word[0]: bytes taken, as above
 *                     offset in the shared object
 *   CONSOLE_READ                                           word[0]: length, 0 = nothing there;
 *                                                          word[1..5]: the bytes
 *   CONSOLE_SIZE                                           word[0], [1]: rows, columns;
 *                                                          word[2], [3]: pixels across, down, or 0
 *   CONSOLE_DRAIN                                          answered when all that was taken is out
 *
 * "Input is there" is notified once for input that comes while none was waiting: read until nothing
 * is left.
 */
#pragma once

#include <stdint.h>

enum console_call {
    CONSOLE_ATTACH = 1,
    CONSOLE_SHARE = 2,
    CONSOLE_WRITE = 3,
    CONSOLE_WRITE_SHARED = 4,
    CONSOLE_READ = 5,
    CONSOLE_SIZE = 6,
    CONSOLE_DRAIN = 7,
};

/* The port's handle in the console server's table. */
#define CONSOLE_HANDLE_PORT 3

/* Bytes that a message carries in word[1..5]. */
#define CONSOLE_INLINE 40
