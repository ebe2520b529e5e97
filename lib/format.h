/*
 * Formatted output into a buffer: the core of the kernel's log. The subset of printf that a kernel
 * needs: %d %i %u %x %X %o %c %s %p %%, sizes hh, h, l, ll and z, flags '0' '-' '#' '+' ' ', width
 * and precision (also `*`). No floating point, no %n. It allocates nothing and takes no lock.
 */
#pragma once

#include "lib/types.h"
#include <stdarg.h>

/*
 * Writes at most size - 1 characters and a NUL (nothing if size is 0). Returns the length of the
 * complete text without the NUL: greater than or equal to size means it was cut.
 */
printf_like(3, 4)
usize format(char *buffer, usize size, const char *pattern, ...);

printf_like(3, 0)
usize vformat(char *buffer, usize size, const char *pattern, va_list arguments);
