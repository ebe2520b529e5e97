/*
 * tunable.c: finding tunables by name, and the plain number kind.
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

s64 tunable_read_u64(const struct tunable *t, char *buffer, usize size)
{
    return (s64)format(buffer, size, "%lu\n", atomic_load((_Atomic u64 *)t->value));
}

s64 tunable_parse_u64(const char *text, usize length, u64 *value)
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
    s64 error = tunable_parse_u64(text, length, &value);

    if (error)
        return error;
    if (value < t->min || value > t->max)
        return -EINVAL;
    atomic_store((_Atomic u64 *)t->value, value);
    return 0;
}
