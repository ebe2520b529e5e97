/*
 * /sys: the knobs of merging, CPUs and memory nodes, under the names Linux gives them.
 */
#pragma once

/* Mounts it on /sys. */
void sysfs_mount(void);
