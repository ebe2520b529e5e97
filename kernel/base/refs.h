/*
 * refs.h: counts of references, where a count of zero is the end.
 */
#pragma once

#include "lib/types.h"

#include <stdatomic.h>

/* Takes a reference to what is found by way of a list or an index, which holds none. False: the
 * last one is gone, and whoever dropped it is taking the thing down. */
static inline bool refs_get_unless_zero(_Atomic u32 *refs)
{
    u32 count = atomic_load_explicit(refs, memory_order_relaxed);

    while (count != 0)
        if (atomic_compare_exchange_weak_explicit(refs, &count, count + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}
