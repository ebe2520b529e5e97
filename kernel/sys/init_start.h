/*
 * init_start.h: the first task.
 */
#pragma once

/* Makes the boot module "init" the first task, with the handles of the machine, and lets it run.
 * Panics, with the reason on the log, when there is no such program. Once, when all else is up. */
void init_start(void);
