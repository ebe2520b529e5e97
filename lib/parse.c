/*
 * Numbers from text. One scanner reads the magnitude and saves why it stopped; the two public
 * functions add what is theirs, the sign and the range.
 */
#include "lib/parse.h"

/* The value of a digit, 0 to 35; 255 for another character. */
static unsigned int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A' + 10;
    return 255;
}

/* Skips a prefix that agrees with the base (0: sets the base from it). */
static const char *read_prefix(const char *at, unsigned int *base)
{
    char letter = at[0] == '0' ? at[1] | 0x20 : 0;
    unsigned int found = letter == 'x' ? 16 : letter == 'b' ? 2 : at[0] == '0' ? 8 : 10;

    if ((letter == 'x' || letter == 'b') && (*base == 0 || *base == found) &&
        digit_value(at[2]) < found)
        at += 2;
    if (*base == 0)
        *base = found;
    return at;
}

/* Digits to the string's end, or to a newline there. Malformed text wins over a wide number. */
static enum parse_status read_magnitude(const char *at, unsigned int base, u64 *value)
{
    enum parse_status status = PARSE_OK;
    u64 sum = 0;

    at = read_prefix(at, &base);
    if (digit_value(*at) >= base)
        return PARSE_INVALID;
    for (; digit_value(*at) < base; at++) {
        if (__builtin_mul_overflow(sum, base, &sum) ||
            __builtin_add_overflow(sum, digit_value(*at), &sum))
            status = PARSE_RANGE;
    }
    if (*at == '\n')
        at++;
    if (*at)
        return PARSE_INVALID;
    *value = sum;
    return status;
}

enum parse_status str_to_u64(const char *string, unsigned int base, u64 *value)
{
    u64 magnitude;
    enum parse_status status = read_magnitude(string + (*string == '+'), base, &magnitude);

    if (status == PARSE_OK)
        *value = magnitude;
    return status;
}

enum parse_status str_to_s64(const char *string, unsigned int base, s64 *value)
{
    bool negative = *string == '-';
    u64 magnitude;
    enum parse_status status =
        read_magnitude(string + (negative || *string == '+'), base, &magnitude);

    if (status != PARSE_OK)
        return status;
    if (magnitude > (u64)INT64_MAX + negative)
        return PARSE_RANGE;
    *value = negative ? (s64)-magnitude : (s64)magnitude;
    return PARSE_OK;
}
