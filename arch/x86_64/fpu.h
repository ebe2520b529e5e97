/*
 * fpu.h: saving and loading the extended state, as fpu.c tells.
 */
#pragma once

#include "arch/x86_64/cpu_setup.h"
#include "lib/types.h"

struct xsave_area;
extern u64 fpu_parts; /* what is saved: bits of XCR0 */

static always_inline void fpu_save(void *area)
{
    if (likely(cpu_features.xsaveopt))
        __asm__ volatile("xsaveopt64 (%0)" ::"r"(area), "a"((u32)fpu_parts), "d"(0) : "memory");
    else if (cpu_features.xsave)
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((u32)fpu_parts), "d"(0) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

static always_inline void fpu_load(const void *area)
{
    if (likely(cpu_features.xsave))
        __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)fpu_parts), "d"(0) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}
