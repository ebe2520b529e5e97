/*
 * Lines for the kernel's log.
 */
#pragma once

#include "lib/types.h"

/* One line, under the server's name. */
printf_like(1, 2) void log_line(const char *template, ...);
