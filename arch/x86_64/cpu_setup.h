/*
 * cpu_setup.h: what the processors can do, and how each is set up. Private to arch/.
 */
#pragma once

#include "lib/types.h"

struct cpu_features {
    bool smep, smap, umip, fsgsbase;
    bool xsave, xsaveopt;
    bool quick_switch; /* fsgsbase and xsaveopt */
    bool x2apic, tsc_deadline;
};
/* Of the boot CPU; the others are taken to be like it. */
extern struct cpu_features cpu_features;

/* Finds the features; patches the kernel's text where SMAP is missing, so it comes before the text
 * is read-only. */
void cpu_detect(void);
/* Control registers, system call entry, page attributes, FPU: on every CPU, after segments_load. */
void cpu_setup(void);
/* fpu.c: part of the two above. */
void fpu_detect(void);
void fpu_setup(void);
