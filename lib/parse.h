/*
 * Numbers from text, strictly: the whole string must be the number, but for one newline that a
 * shell's echo leaves at its end. No leading space, no empty string.
 */
#pragma once

#include "lib/types.h"

enum parse_status {
    PARSE_OK,
    PARSE_INVALID, /* not a number */
    PARSE_RANGE,   /* a number that does not fit */
};

/*
 * Base 2 to 36, or 0 to take it from the prefix: 0x is 16, 0b is 2, another leading 0 is 8, else
 * 10. One leading '+' is allowed. *value changes only when the result is PARSE_OK.
 */
nodiscard enum parse_status str_to_u64(const char *string, unsigned int base, u64 *value);

/* As str_to_u64; a leading '-' is allowed too. */
nodiscard enum parse_status str_to_s64(const char *string, unsigned int base, s64 *value);
