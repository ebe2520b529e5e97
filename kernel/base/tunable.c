/*
 * tunable.c: finding tunables by name, setting them at boot, and the plain number kind.
 */
#include "kernel/base/tunable.h"
#include "kernel/base/errno.h"
#include "lib/format.h"
#include "lib/parse.h"
#include "lib/string.h"

#include <stdatomic.h>

extern const struct tunable __tunables_start[], __tunables_end[]; /* linker.ld */

const struct tunable *tunable_at(u64 index)
{
    return index < (u64)(__tunables_end - __tunables_start) ? &__tunables_start[index] : NULL;
}

const struct tunable *tunable_find(const char *name)
{
    for (const struct tunable *t = __tunables_start; t < __tunables_end; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}

/* Applies one word, if it is NAME=VALUE and NAME is a tunable. False: the value was refused. */
static bool apply_word(const char *word, usize length)
{
    const char *equals = memchr(word, '=', length);
    char name[TUNABLE_NAME_MAX];
    usize name_length = equals ? (usize)(equals - word) : length;

    if (!equals || name_length >= sizeof(name))
        return true;
    memcpy(name, word, name_length);
    name[name_length] = '\0';
    const struct tunable *t = tunable_find(name);
    if (!t)
        return true;
    return t->write && t->write(t, equals + 1, length - name_length - 1) == 0;
}

u32 tunable_apply_words(const char *words)
{
    u32 refused = 0;

    while (*words) {
        usize length = 0;

        while (words[length] && words[length] != ' ')
            length++;
        refused += !apply_word(words, length);
        words += length;
        words += *words == ' ';
    }
    return refused;
}

s64 tunable_read_u64(const struct tunable *t, char *buffer, usize size)
{
    return (s64)format(buffer, size, "%lu\n", atomic_load((_Atomic u64 *)t->value));
}

static s64 parse_u64(const char *text, usize length, u64 *value)
{
    char number[32];

    if (length >= sizeof(number))
        return -EINVAL;
    memcpy(number, text, length);
    number[length] = 0;
    switch (str_to_u64(number, 0, value)) {
    case PARSE_OK: return 0;
    case PARSE_RANGE: return -ERANGE;
    default: return -EINVAL;
    }
}

s64 tunable_write_u64(const struct tunable *t, const char *text, usize length)
{
    u64 value;
    s64 error = parse_u64(text, length, &value);

    if (error)
        return error;
    if (value < t->min || value > t->max)
        return -EINVAL;
    atomic_store((_Atomic u64 *)t->value, value);
    return 0;
}
