/*
 * Resource limits.
 */
#pragma once

struct process;

/* What process 1 starts with, and all others inherit. Its task must exist. */
void limits_init(struct process *process);
