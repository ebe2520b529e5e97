/*
 * Shared memory of System V.
 */
#pragma once

/* An address space has gone, or a part of one: drops the removed segments nobody maps any more. */
void shm_sweep(void);
