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

void log_line(const char *template, ...)
{
    char line[256] = "posix: ";
    usize prefix = strlen(line);
    va_list arguments;

    va_start(arguments, template);
    vsnprintf(line + prefix, sizeof line - prefix, template, arguments);
    va_end(arguments);
    mg_log_write(POSIX_HANDLE_SYSTEM, line, strlen(line));
}

bool stats_memory(struct mg_memory_stats *memory)
{
    return mg_stats(POSIX_HANDLE_SYSTEM, MG_STATS_MEMORY, 0, memory, sizeof *memory) ==
           sizeof *memory;
}
