/*
 * clock.h: setting up time. Private to arch/; time_ns and the rest are in arch.h.
 */
#pragma once

#include "lib/types.h"

/* The kernel's entry: time 0. */
void clock_start(void);
/* Finds the rates of the TSC and of the local APIC's timer; on the boot CPU, after lapic_setup. */
void clock_init(void);
/* Busy-waits; after clock_init. */
void clock_delay_us(u64 us);
/* rtc.c: seconds since 1970. */
u64 rtc_read(void);
