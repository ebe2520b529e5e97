/*
 * What the server asks of the machine itself: the kernel's log and its figures.
 */
#include "user/lib/spawn.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include <merganser/native.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mg_handle server_port = POSIX_HANDLE_PORT;
struct mg_boot_info boot_info;

printf_like(2, 0) static void write_line(const char *name, const char *template, va_list arguments)
{
    char line[256];
    usize prefix = strlen(strcpy(line, name));

    vsnprintf(line + prefix, sizeof line - prefix, template, arguments);
    mg_log_write(POSIX_HANDLE_SYSTEM, line, strlen(line));
}

void log_line(const char *template, ...)
{
    va_list arguments;

    va_start(arguments, template);
    write_line("posix: ", template, arguments);
    va_end(arguments);
}

void log_panic(const char *template, ...)
{
    va_list arguments;

    va_start(arguments, template);
    write_line("PANIC: posix: ", template, arguments);
    va_end(arguments);
}

usize log_get(u64 offset, void *to, usize size)
{
    long got = mg_log_read(POSIX_HANDLE_SYSTEM, offset, to, size);

    return got > 0 ? (usize)got : 0;
}

bool log_reaches(u64 offset)
{
    char byte;

    return log_get(offset, &byte, 1) > 0;
}

/* The kernel does not tell the end: steps that double pass it, then the interval is halved. */
u64 log_end(u64 low)
{
    u64 step = 1;

    while (log_reaches(low + step))
        step *= 2;
    for (u64 high = low + step; low < high;) {
        u64 middle = low + (high - low) / 2;

        if (log_reaches(middle))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool stats_memory(struct mg_memory_stats *memory)
{
    return mg_stats(POSIX_HANDLE_SYSTEM, MG_STATS_MEMORY, 0, memory, sizeof *memory) ==
           sizeof *memory;
}

/* Beside what is free, what programs have can make room as far as there is swap for it. */
static bool has_room(u64 bytes, u32 share)
{
    struct mg_memory_stats memory;
    u64 pages, reserve;

    if (!stats_memory(&memory))
        return true;
    pages = memory.free + MIN(memory.swap_free, memory.anonymous);
    reserve = memory.total / share;
    return pages > reserve && DIV_UP(bytes, 4096) <= pages - reserve;
}

bool stats_is_short(enum stats_use use, u64 bytes)
{
    static const struct {
        u32 share;    /* this part of memory stays free: one of so many */
        u32 interval; /* bytes used between two looks */
    } rules[STATS_USES] = {
        [STATS_CONTENT] = {16, 1 << 20},
        [STATS_RECORD] = {64, 1 << 16},
    };
    static struct {
        u64 unchecked;
        bool is_short;
    } states[STATS_USES];

    states[use].unchecked += bytes;
    if (states[use].unchecked < rules[use].interval && !states[use].is_short)
        return false;
    states[use].unchecked = 0;
    states[use].is_short = !has_room(bytes, rules[use].share);
    return states[use].is_short;
}
