/*
 * The shell's memory: an arena for whatever lives as long as a command, growing strings for the
 * rest.
 *
 * The arena is a list of blocks, newest first. A mark is the number of bytes handed out so far;
 * releasing to a mark gives everything younger back. Running out of memory ends the shell: it has
 * nothing better to do.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sh.h"

#define BLOCK_BYTES 16384

struct block {
    struct block *older;
    size_t base; /* arena position of bytes[0] */
    size_t used, size;
    _Alignas(16) char bytes[];
};

static struct block *newest;

/* Returns pointer, or ends the shell if it is null. */
void *must(void *pointer)
{
    if (!pointer) {
        complain("out of memory");
        exit(2);
    }
    return pointer;
}

/* Prints a message of the shell's own on standard error. */
void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", shell.name ? shell.name : "sh");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* Returns zeroed memory, aligned for anything, that lives until a release to an older mark. */
void *arena_alloc(size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (!newest || newest->size - newest->used < bytes) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        struct block *block = must(malloc(sizeof *block + size));
        *block = (struct block){.older = newest, .base = arena_mark(), .size = size};
        newest = block;
    }
    void *memory = newest->bytes + newest->used;
    newest->used += bytes;
    return memset(memory, 0, bytes);
}

/* Returns a copy of length bytes of text, ended by a zero byte. */
char *arena_copy(const char *text, size_t length)
{
    char *copy = arena_alloc(length + 1);
    memcpy(copy, text, length);
    return copy;
}

/* Returns what printf would have printed. */
char *arena_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *string = arena_alloc((size_t)length + 1);
    vsnprintf(string, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return string;
}

/* Returns the mark to give to arena_release. */
size_t arena_mark(void)
{
    return newest ? newest->base + newest->used : 0;
}

/* Frees everything allocated since arena_mark returned mark. */
void arena_release(size_t mark)
{
    while (newest && newest->base >= mark) {
        struct block *block = newest;
        newest = block->older;
        free(block);
    }
    if (newest && newest->base + newest->used > mark) {
        newest->used = mark - newest->base;
    }
}

void text_put(struct text *text, char byte)
{
    if (text->length == text->capacity) {
        text->capacity = text->capacity ? 2 * text->capacity : 64;
        text->bytes = must(realloc(text->bytes, text->capacity));
    }
    text->bytes[text->length++] = byte;
}

void text_add(struct text *text, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        text_put(text, bytes[i]);
    }
}

char *text_string(struct text *text)
{
    text_put(text, '\0');
    text->length--;
    return text->bytes;
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}
