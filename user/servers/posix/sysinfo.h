/*
 * Figures of the machine that both /proc and /sys show.
 */
#pragma once

#include "lib/types.h"
#include <merganser/abi.h>

#define SYSINFO_CPUS 64 /* more than any machine this runs on */

/* Each CPU's figures, into an array of SYSINFO_CPUS: how many there are. */
u32 sysinfo_cpus(struct mg_cpu_stats *cpus);
