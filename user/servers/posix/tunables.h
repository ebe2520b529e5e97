/*
 * The kernel's tunables as files: all of them in /proc/merganser/tunables, those of merging under
 * the names Linux gives them in /sys/kernel/mm/ksm.
 */
#pragma once

#include "user/servers/posix/pseudo.h"

/* For the entry of a directory that holds all tunables: files of the owner alone, since reading one
 * may keep the machine busy (mm.audit). */
long tunables_find(struct pseudo_node *dir, const char *file, struct pseudo_child *child);
bool tunables_next(struct pseudo_node *dir, u64 *place, struct pseudo_child *child);
/* The same for those whose names begin with "ksm.", without that; anybody may read them. */
long tunables_find_ksm(struct pseudo_node *dir, const char *file, struct pseudo_child *child);
bool tunables_next_ksm(struct pseudo_node *dir, u64 *place, struct pseudo_child *child);
