/* Numbers from text: bases, prefixes, ranges, and what must be refused. */
#include "lib/parse.h"
#include "tests/unit/tap.h"

#define UNTOUCHED 0x5a5a5a5a

struct sample {
    const char *text;
    unsigned int base;
    enum parse_status status;
    u64 value;
};

static void test_unsigned(void)
{
    static const struct sample samples[] = {
        {"0", 10, PARSE_OK, 0},
        {"0", 0, PARSE_OK, 0},
        {"42\n", 10, PARSE_OK, 42},
        {"+42", 10, PARSE_OK, 42},
        {"007", 10, PARSE_OK, 7},
        {"0755", 0, PARSE_OK, 0755},
        {"0x1F", 0, PARSE_OK, 31},
        {"0X1f", 16, PARSE_OK, 31},
        {"1f", 16, PARSE_OK, 31},
        {"0b101", 0, PARSE_OK, 5},
        {"0b1", 16, PARSE_OK, 0xb1},
        {"zz", 36, PARSE_OK, 35 * 36 + 35},
        {"18446744073709551615", 10, PARSE_OK, UINT64_MAX},
        {"0xffffffffffffffff", 0, PARSE_OK, UINT64_MAX},
        {"18446744073709551616", 10, PARSE_RANGE, 0},
        {"0x10000000000000000", 0, PARSE_RANGE, 0},
        {"99999999999999999999999x", 10, PARSE_INVALID, 0},
        {"", 10, PARSE_INVALID, 0},
        {"\n", 10, PARSE_INVALID, 0},
        {" 1", 10, PARSE_INVALID, 0},
        {"1 ", 10, PARSE_INVALID, 0},
        {"1\n\n", 10, PARSE_INVALID, 0},
        {"+", 10, PARSE_INVALID, 0},
        {"++1", 10, PARSE_INVALID, 0},
        {"-1", 10, PARSE_INVALID, 0},
        {"0x", 0, PARSE_INVALID, 0},
        {"0xg", 0, PARSE_INVALID, 0},
        {"08", 0, PARSE_INVALID, 0},
        {"12a", 10, PARSE_INVALID, 0},
    };

    for (usize i = 0; i < ARRAY_LEN(samples); i++) {
        u64 value = UNTOUCHED;

        CHECK_EQ(str_to_u64(samples[i].text, samples[i].base, &value), samples[i].status);
        CHECK_EQ(value, samples[i].status == PARSE_OK ? samples[i].value : UNTOUCHED);
    }
}

static void test_signed(void)
{
    static const struct sample samples[] = {
        {"-1", 10, PARSE_OK, -1ul},
        {"-0x10\n", 0, PARSE_OK, -16ul},
        {"9223372036854775807", 10, PARSE_OK, INT64_MAX},
        {"-9223372036854775808", 10, PARSE_OK, (u64)INT64_MIN},
        {"9223372036854775808", 10, PARSE_RANGE, 0},
        {"-9223372036854775809", 10, PARSE_RANGE, 0},
        {"-99999999999999999999", 10, PARSE_RANGE, 0},
        {"-", 10, PARSE_INVALID, 0},
        {"-+1", 10, PARSE_INVALID, 0},
        {"+-1", 10, PARSE_INVALID, 0},
    };

    for (usize i = 0; i < ARRAY_LEN(samples); i++) {
        s64 value = UNTOUCHED;

        CHECK_EQ(str_to_s64(samples[i].text, samples[i].base, &value), samples[i].status);
        CHECK_EQ(value, samples[i].status == PARSE_OK ? (s64)samples[i].value : UNTOUCHED);
    }
}

static void test_round_trip(void)
{
    for (int i = 0; i < 20000; i++) {
        u64 number = random_u64() >> random_below(64), value;
        char text[32];

        snprintf(text, sizeof(text), i % 3 == 0 ? "%lu" : i % 3 == 1 ? "%#lx" : "%#lo", number);
        CHECK_EQ(str_to_u64(text, 0, &value), PARSE_OK);
        CHECK_EQ(value, number);
    }
}

int main(void)
{
    tap_run("unsigned numbers, accepted and refused", test_unsigned);
    tap_run("signed numbers, accepted and refused", test_signed);
    tap_run("what printf writes is read back", test_round_trip);
    return tap_done();
}
