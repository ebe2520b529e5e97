/*
 * The kernel's log: a stream of lines, of which the kernel keeps the last bytes.
 */
#pragma once

#include "lib/types.h"

/* One line, under the server's name. */
printf_like(1, 2) void log_line(const char *template, ...);

/* The same for what the system can't go on after; tools/vm knows the word in front of it. */
printf_like(1, 2) void log_panic(const char *template, ...);

#define LOG_KEPT_BYTES 131072ul /* that can be read back; not more than the kernel has */

/* The log's bytes from an offset in the stream on: how many. Those no longer kept are passed over.
 */
usize log_get(u64 offset, void *to, usize size);

/* Is there a byte behind this offset? */
bool log_reaches(u64 offset);

/* The number of bytes ever logged, looked for from `low` on, which must not be beyond it. */
u64 log_end(u64 low);
