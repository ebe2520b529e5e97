/*
 * Helpers for tests that turn the kernel's knobs, by their names in /proc/merganser/tunables.
 */
#pragma once

#include "tap.h"

static inline const char *tunable_path(const char *name)
{
    static _Thread_local char path[128];
    snprintf(path, sizeof path, "/proc/merganser/tunables/%s", name);
    return path;
}

/* 0, or -1 with errno. */
static inline int tunable_set(const char *name, const char *value)
{
    return spill(tunable_path(name), value);
}

/* How many frames have wrong counts, -1 if that can't be asked. */
static inline long audit(void)
{
    return read_number(tunable_path("mm.audit"));
}
