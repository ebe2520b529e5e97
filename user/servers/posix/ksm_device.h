/*
 * /dev/ksm, the merging interface of 2009: ksm_device.c.
 */
#pragma once

#include "user/servers/posix/file.h"

struct process;

extern const struct file_ops ksm_device_ops;

/* The process's memory is another or none: what it registered there is forgotten. */
void ksm_device_forget(struct process *process);
