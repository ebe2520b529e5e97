/*
 * log.h: the kernel log, panic and assertions.
 *
 * Lines go to a ring that user space reads (log_read), to the second serial port, and until the
 * console server takes over to the screen as well. A line starts with the seconds since the
 * kernel's entry.
 */
#pragma once

#include "lib/types.h"

/* One line, without newline; usable in any context. */
printf_like(1, 2)
void log_line(const char *format, ...);
/* Text from user space, stored as whole lines. */
void log_text(const char *text, usize length);
/* Copies from the ring starting at byte `offset` of all that was ever logged; *offset is moved on
 * to what is still held. */
usize log_read(u64 *offset, char *buffer, usize size);

/* Where a finished line goes besides the ring: arch/x86_64/console.c. */
extern void (*log_sink)(const char *text, usize length);
/* Panic only: whoever held the log's lock will not come back. */
void log_break_lock(void);

/* Stops all CPUs, prints the reason, registers and a backtrace with names, and halts. */
printf_like(1, 2)
_Noreturn void panic(const char *format, ...);
/* The same for a trap: registers and backtrace are its own. */
struct trap_frame;
printf_like(2, 3)
_Noreturn void panic_trap(const struct trap_frame *frame, const char *format, ...);

/* For faults of ours, not of users or the machine. */
#define assert(condition)                                                                          \
    do {                                                                                           \
        if (unlikely(!(condition)))                                                                \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition);                  \
    } while (0)
#define assert_eq(a, b)                                                                            \
    do {                                                                                           \
        u64 assert_a_ = (u64)(a), assert_b_ = (u64)(b);                                            \
        if (unlikely(assert_a_ != assert_b_))                                                      \
            panic("%s:%d: %s = %#lx, but %s = %#lx", __FILE__, __LINE__, #a, assert_a_, #b,        \
                  assert_b_);                                                                      \
    } while (0)

/* Checked in debug builds only. */
#ifdef MG_DEBUG
#define debug_assert(condition) assert(condition)
#else
#define debug_assert(condition) ((void)sizeof(condition))
#endif
