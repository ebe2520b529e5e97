/*
 * futex.h: waiting for a word of user memory to change: the kernel's half of futex(2).
 *
 * The key of a word is (mm, address) in private memory and (object, offset) in shared memory; floor
 * 5 tells which. All calls work on the current task's memory, may sleep, and give -EFAULT where it
 * is not mapped. Addresses are multiples of 4 in the user half: the caller has checked.
 */
#pragma once

#include "lib/types.h"

struct futex_key {
    const void *space;
    u64 offset;
};
/* Registered by floor 5: 0, or -EFAULT when the address is not mapped. */
extern s64 (*futex_key_hook)(u64 address, bool private, struct futex_key *key);

/* Sleeps while the word is `value`: 0 when woken, -EAGAIN when it is not, -EINTR, -ETIMEDOUT at
 * deadline (time_ns, 0 = none). Only a wake that shares a bit with bits ends it. */
s64 futex_wait(u64 address, bool private, u32 value, u32 bits, u64 deadline);
/* Wakes up to count waiters that share a bit; returns how many. */
s64 futex_wake(u64 address, bool private, u32 count, u32 bits);
/* Wakes up to `wake`, and moves up to `move` more to the other word. With `compare`, only if the
 * word is `value`: else -EAGAIN. Returns woken (with compare: and moved) waiters. */
struct futex_requeue {
    u64 from, to;
    bool private, compare;
    u32 wake, move, value;
};
s64 futex_requeue(const struct futex_requeue *request);
/* FUTEX_WAKE_OP: changes the second word, wakes at the first, and at the second if its old value
 * compares. */
s64 futex_wake_op(u64 first, u64 second, bool private, u32 wake_first, u32 wake_second,
                  u32 operation);

void futex_init(void);
