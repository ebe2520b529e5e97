/*
 * For sources that declare tunables: on the host nobody finds them, so nobody reads or writes them.
 */
#pragma once

#include "kernel/base/log.h"
#include "kernel/base/tunable.h"

s64 tunable_read_u64(const struct tunable *t, char *buffer, usize size)
{
    (void)buffer, (void)size;
    panic("%s is read", t->name);
}

s64 tunable_write_u64(const struct tunable *t, const char *text, usize length)
{
    (void)text, (void)length;
    panic("%s is written", t->name);
}
