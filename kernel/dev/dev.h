/*
 * dev.h: the devices that the kernel drives itself.
 */
#pragma once

/* Finds them, once, at start-up: timers and interrupts work, other CPUs run. */
void dev_init(void);
