/*
 * A text that grows: what a read of a file of /proc or /sys is served from.
 */
#pragma once

#include "lib/types.h"

struct text {
    char *bytes;
    usize used, size;
    bool failed; /* out of memory: what is there is not all */
};

/* Each adds at the end; a failure is only noted, so that a writer of many lines need not look. */
void text_add(struct text *text, const void *bytes, usize size);
__attribute__((format(printf, 2, 3))) void text_print(struct text *text, const char *format, ...);

/* Room for `size` bytes at the end, to be filled in and counted by the caller; NULL = no memory. */
void *text_reserve(struct text *text, usize size);

/* Adds blanks until the line that begins at `start` is `width` wide. */
void text_pad(struct text *text, usize start, usize width);

/* The bits set in a mask as "0-3,5", and a newline. */
void text_print_list(struct text *text, u64 mask);

void text_release(struct text *text);
