/*
 * Resource limits.
 */
#pragma once

struct process;

/* Tells the kernel of the limits that it keeps: after changes of them or of the process's user. */
void limits_tell(const struct process *process);

/* What process 1 starts with, and all others inherit. Its task must exist. */
void limits_init(struct process *process);
