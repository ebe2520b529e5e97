/*
 * What all calls that wait for descriptors share: poll, select, epoll.
 */
#pragma once

#include "lib/types.h"

struct file;
struct thread;

#define POLL_ALWAYS (0x8 | 0x10 | 0x20) /* POLLERR, POLLHUP, POLLNVAL need not be asked for */

/* What is ready of a file; if nothing and `wait`, the thread is put on its queue. */
u32 poll_file(struct thread *thread, struct file *file, u32 events, bool wait);

/* Turns a relative timeout at an address into the thread's deadline, once. `unit`: ns that its
 * second word counts. *zero: it must not wait at all. */
long poll_start_timeout(struct thread *thread, u64 address, u64 unit, bool *zero);

/* Takes the signal mask for the call, once. */
long poll_start_mask(struct thread *thread, u64 address, u64 size);
