/*
 * Addresses that an ordinary program must not get at, for the programs that try.
 */
#pragma once

#include <stdint.h>

#define KERNEL 0xffff800000000000ul /* the direct map */
#define KERNEL_TEXT 0xffffffff80200000ul
#define HOLE 0x0000800000000000ul /* no address at all */
#define USER_LAST 0x00007ffffffff000ul

static const uint64_t bad_addresses[] = {KERNEL,
                                         KERNEL + 0x100000,
                                         KERNEL_TEXT,
                                         KERNEL_TEXT + 8,
                                         0xffffc00000000000ul,
                                         HOLE,
                                         HOLE - 1,
                                         USER_LAST,
                                         0xfffffffffffffff8,
                                         0xffff7ffffffffff8ul,
                                         0xffffe00000000000ul,
                                         ~0ul};
#define BAD (sizeof bad_addresses / sizeof *bad_addresses)
