/*
 * /proc: what the tools of Linux want to know about processes and the machine.
 */
#pragma once

/* Mounts it on /proc. */
void procfs_mount(void);
