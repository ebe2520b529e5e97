/*
 * Memory and string functions. Long fills and copies use the quadword string instructions (see
 * lib/page.h for why not the byte forms) and finish the last bytes singly; short ones are plain
 * loops, which the build keeps the compiler from turning back into calls to themselves.
 */
#include "lib/string.h"

#if !__STDC_HOSTED__
#undef memcpy
#undef memset
#endif

/* From this size on, setting up a string instruction pays. */
#define LONG_SIZE 32

/* A word at any address. */
struct unaligned {
    u64 value;
} __attribute__((packed, may_alias));

static inline u64 load(const u8 *at)
{
    return ((const struct unaligned *)at)->value;
}

void *memcpy(void *restrict to, const void *restrict from, usize size)
{
    u8 *target = to;
    const u8 *source = from;

    if (size >= LONG_SIZE) {
        usize words = size / 8;

        __asm__ volatile("rep movsq" : "+D"(target), "+S"(source), "+c"(words) : : "memory");
        size %= 8;
    }
    while (size--)
        *target++ = *source++;
    return to;
}

/* Copies from the last word down, so that a target above its source may overlap it. */
static void copy_down(u8 *target, const u8 *source, usize size)
{
    while (size >= 8) {
        size -= 8;
        ((struct unaligned *)(target + size))->value = load(source + size);
    }
    while (size--)
        target[size] = source[size];
}

/* Copies from the first word up, so that a target below its source may overlap it. */
static void copy_up(u8 *target, const u8 *source, usize size)
{
    for (; size >= 8; size -= 8, target += 8, source += 8)
        ((struct unaligned *)target)->value = load(source);
    while (size--)
        *target++ = *source++;
}

void *memmove(void *to, const void *from, usize size)
{
    u64 distance = (u64)to - (u64)from;

    if (distance >= size && -distance >= size)
        return memcpy(to, from, size);
    if (distance < size)
        copy_down(to, from, size);
    else
        copy_up(to, from, size);
    return to;
}

void *memset(void *to, int byte, usize size)
{
    u8 *target = to;

    if (size >= LONG_SIZE) {
        usize words = size / 8;

        __asm__ volatile("rep stosq"
                         : "+D"(target), "+c"(words)
                         : "a"((u8)byte * 0x0101010101010101ull)
                         : "memory");
        size %= 8;
    }
    while (size--)
        *target++ = byte;
    return to;
}

int memcmp(const void *a, const void *b, usize size)
{
    const u8 *left = a, *right = b;

    for (; size >= 8 && load(left) == load(right); size -= 8)
        left += 8, right += 8;
    for (; size; size--, left++, right++) {
        if (*left != *right)
            return *left - *right;
    }
    return 0;
}

void *memchr(const void *bytes, int byte, usize size)
{
    for (const u8 *at = bytes; size; size--, at++) {
        if (*at == (u8)byte)
            return (void *)at;
    }
    return NULL;
}

usize strlen(const char *string)
{
    usize length = 0;

    while (string[length])
        length++;
    return length;
}

usize strnlen(const char *string, usize limit)
{
    usize length = 0;

    while (length < limit && string[length])
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, usize limit)
{
    for (; limit; limit--, a++, b++) {
        if (*a != *b)
            return (u8)*a - (u8)*b;
        if (!*a)
            break;
    }
    return 0;
}

usize strlcpy(char *restrict to, const char *restrict from, usize size)
{
    usize length = strlen(from);

    if (size) {
        usize fits = MIN(length, size - 1);

        memcpy(to, from, fits);
        to[fits] = '\0';
    }
    return length;
}
