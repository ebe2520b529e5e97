/*
 * Memory and strings, as the C standard has them (strlcpy and strnlen as POSIX has them).
 *
 * In the kernel these are the functions the compiler itself calls, and small copies of constant
 * size are left to it to expand. In a hosted program (the unit tests, a server that shares code
 * of lib/) the C library owns those names, so there every function is called lib_NAME: the macros
 * below rename both the definitions and the calls. A hosted file that wants the C library's own
 * functions does not include this header.
 */
#pragma once

#include "lib/types.h"

#if __STDC_HOSTED__
#define memcpy lib_memcpy
#define memmove lib_memmove
#define memset lib_memset
#define memcmp lib_memcmp
#define memchr lib_memchr
#define strlen lib_strlen
#define strnlen lib_strnlen
#define strcmp lib_strcmp
#define strncmp lib_strncmp
#define strlcpy lib_strlcpy
#endif

void *memcpy(void *restrict to, const void *restrict from, usize size);
void *memmove(void *to, const void *from, usize size);
void *memset(void *to, int byte, usize size);
int memcmp(const void *a, const void *b, usize size);
void *memchr(const void *bytes, int byte, usize size);

usize strlen(const char *string);
usize strnlen(const char *string, usize limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, usize limit);

/* Copies what fits and always ends it with NUL, if size > 0; returns strlen(from). */
usize strlcpy(char *restrict to, const char *restrict from, usize size);

#if !__STDC_HOSTED__
#define memcpy(to, from, size) __builtin_memcpy(to, from, size)
#define memset(to, byte, size) __builtin_memset(to, byte, size)
#endif
