/*
 * tunable.h: knobs and read-only figures by name, for user space.
 *
 * A tunable is declared beside the code it belongs to; the linker collects them. Names have dots:
 * "ksm.pages_to_scan". Values are read and written as text, so that /sys is a thin layer on top.
 */
#pragma once

#include "lib/string.h"
#include "lib/types.h"

#define TUNABLE_NAME_MAX 64 /* bytes of a name, with the NUL */

struct tunable {
    const char *name;
    const char *help; /* one line, for people */
    /* Writes the value as text with a newline into buffer; returns the length, or -errno. */
    s64 (*read)(const struct tunable *t, char *buffer, usize size);
    /* Parses and applies; 0 or -errno. NULL = read only. May sleep. */
    s64 (*write)(const struct tunable *t, const char *text, usize length);
    void *value; /* _Atomic u64, for the generic functions */
    u64 min, max;
};

/* Registers a tunable at link time, in section .tunables. */
#define TUNABLE(identifier, ...)                                                                   \
    static const struct tunable __attribute__((used, section(".tunables"), aligned(8)))            \
    tunable_##identifier = {__VA_ARGS__}
/* A u64 between min and max. */
#define TUNABLE_U64(identifier, name_, variable, min_, max_, help_)                                \
    TUNABLE(identifier, .name = (name_), .help = (help_), .read = tunable_read_u64,                \
            .write = tunable_write_u64, .value = &(variable), .min = (min_), .max = (max_))

s64 tunable_read_u64(const struct tunable *t, char *buffer, usize size);
/* The text is a number, with or without a newline. -EINVAL, also outside of min..max; -ERANGE. */
s64 tunable_write_u64(const struct tunable *t, const char *text, usize length);

/* Whether the text is this word, with or without a newline: for values that are names. */
static inline bool tunable_is_word(const char *text, usize length, const char *word)
{
    if (length && text[length - 1] == '\n')
        length--;
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Applies those of the words, blanks between them, that are NAME=VALUE and name a tunable; returns
 * how many values were refused. Other words are somebody else's. May sleep. */
u32 tunable_apply_words(const char *words);

const struct tunable *tunable_find(const char *name);
const struct tunable *tunable_at(u64 index); /* NULL after the last */
