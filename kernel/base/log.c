/*
 * log.c: the ring of log lines.
 *
 * `written` counts all bytes ever logged; byte n of the log is ring[n % LOG_BYTES] while n >=
 * written - LOG_BYTES. The lock is taken with interrupts off and nothing is taken under it, so a
 * line can be logged anywhere. A panic breaks it open.
 */
#include "kernel/base/log.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/lock.h"
#include "lib/format.h"

#define LOG_BYTES (128ul * 1024)
#define LINE_BYTES 256

static struct spinlock log_lock = SPINLOCK_INIT("log", LOCK_LOG);
static char ring[LOG_BYTES];
static u64 written;
void (*log_sink)(const char *text, usize length);

static void log_emit(const char *text, usize length)
{
    u64 flags = spin_lock_irq(&log_lock);

    for (usize i = 0; i < length; i++)
        ring[written++ % LOG_BYTES] = text[i];
    if (log_sink)
        log_sink(text, length);
    spin_unlock_irq(&log_lock, flags);
}

static void log_line_text(const char *text, usize length)
{
    char line[LINE_BYTES + 32];
    u64 now = time_ns();
    usize used = format(line, sizeof(line), "[%5lu.%06lu] %.*s\n", now / 1000000000,
                        now / 1000 % 1000000, (int)MIN(length, (usize)LINE_BYTES), text);

    log_emit(line, MIN(used, sizeof(line) - 1));
}

void log_line(const char *template, ...)
{
    char text[LINE_BYTES];
    va_list arguments;

    va_start(arguments, template);
    usize length = vformat(text, sizeof(text), template, arguments);
    va_end(arguments);
    log_line_text(text, MIN(length, sizeof(text) - 1));
}

void log_text(const char *text, usize length)
{
    while (length > 0) {
        usize line = 0;

        while (line < length && text[line] != '\n' && line < LINE_BYTES)
            line++;
        log_line_text(text, line);
        if (line < length && text[line] == '\n')
            line++;
        text += line;
        length -= line;
    }
}

usize log_read(u64 *offset, char *buffer, usize size)
{
    u64 flags = spin_lock_irq(&log_lock);
    u64 oldest = written > LOG_BYTES ? written - LOG_BYTES : 0;
    usize count = 0;

    *offset = MIN(MAX(*offset, oldest), written);
    while (count < size && *offset + count < written) {
        buffer[count] = ring[(*offset + count) % LOG_BYTES];
        count++;
    }
    spin_unlock_irq(&log_lock, flags);
    return count;
}

void log_break_lock(void)
{
    atomic_store(&log_lock.held, 0);
}
