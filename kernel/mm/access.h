/*
 * access.h: what access.c registers with other floors.
 */
#pragma once

#include "kernel/task/futex.h"

s64 futex_key(u64 address, bool private, struct futex_key *key);
