/*
 * Small kinds of files without a name: what their calls make, and what others make of them.
 */
#pragma once

#include "lib/types.h"

struct file;

/* A descriptor for a process, readable when it has ended. NULL = no memory. */
struct file *pidfd_create(u32 pid);

/* The pid a pidfd stands for; 0 if the file is none, PID_MAX if the process has been reaped. */
u32 pidfd_of(const struct file *file);

/* Random bytes for /dev/urandom, getrandom and AT_RANDOM. */
void random_bytes(void *to, usize size);
