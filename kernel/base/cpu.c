/*
 * cpu.c: the table of CPUs. arch fills it while it starts them; it does not change afterwards.
 */
#include "kernel/base/cpu.h"

struct cpu *cpus[CPU_MAX];
u32 cpu_count;
