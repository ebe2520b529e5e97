/*
 * See text.h.
 */
#include "user/servers/posix/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 1024ul

void *text_reserve(struct text *text, usize size)
{
    usize room = MAX(text->size, FIRST_SIZE);
    char *bytes;

    if (size <= text->size - text->used)
        return text->bytes + text->used;
    while (room - text->used < size)
        room *= 2;
    bytes = realloc(text->bytes, room);
    if (!bytes) {
        text->failed = true;
        return NULL;
    }
    text->bytes = bytes;
    text->size = room;
    return bytes + text->used;
}

void text_add(struct text *text, const void *bytes, usize size)
{
    void *to = text_reserve(text, size);

    if (!to)
        return;
    memcpy(to, bytes, size);
    text->used += size;
}

void text_print(struct text *text, const char *format, ...)
{
    char line[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text_add(text, line, MIN((usize)MAX(length, 0), sizeof line - 1));
}

void text_pad(struct text *text, usize start, usize width)
{
    while (!text->failed && text->used - start < width)
        text_add(text, " ", 1);
}

void text_print_list(struct text *text, u64 mask)
{
    const char *separator = "";

    for (u32 bit = 0; bit < 64; bit++) {
        u32 last = bit;

        if (!(mask >> bit & 1))
            continue;
        while (last < 63 && mask >> (last + 1) & 1)
            last++;
        if (last == bit)
            text_print(text, "%s%u", separator, bit);
        else
            text_print(text, "%s%u-%u", separator, bit, last);
        separator = ",";
        bit = last;
    }
    text_print(text, "\n");
}

void text_release(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}
