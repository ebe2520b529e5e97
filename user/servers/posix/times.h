/*
 * CPU times and usage, in the forms the calls show them.
 */
#pragma once

#include "user/servers/posix/process.h"

/* Writes a struct rusage. 0 or -EFAULT. */
long usage_put(struct thread *thread, u64 address, const struct usage *usage);
