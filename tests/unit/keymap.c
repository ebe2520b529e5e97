/* The keyboard's decoder: what a terminal would have sent for the keys that were pressed. */
// with: user/servers/console/keymap.c
#include "user/servers/console/keymap.h"
#include "tests/unit/tap.h"
#include <string.h>

static struct keymap map;

/* Gives the codes (hexadecimal, separated by spaces) to the decoder; true if `expected` comes
 * out. */
static bool typed(const char *codes, const char *expected)
{
    u8 out[256];
    u32 length = 0;
    char *end;

    for (; *codes; codes = end)
        length += keymap_decode(&map, (u8)strtoul(codes, &end, 16), out + length);
    out[length] = 0;
    return length == strlen(expected) && memcmp(out, expected, length) == 0;
}

static void test_letters(void)
{
    keymap_init(&map);
    CHECK(typed("1e 9e 30 b0 02 82 39 b9", "ab1 "));
    CHECK(typed("2a 1e 9e aa 1e 9e", "Aa"));
    CHECK(typed("36 28 a8 02 82 b6 28 a8", "\"!'"));
    CHECK(typed("1c 9c 0e 8e 0f 8f 01 81", "\r\177\t\033"));
    CHECK(typed("2b ab 2a 2b ab aa 56 d6", "\\|<"));
    CHECK(typed("1e 1e 1e 9e", "aaa"));
}

static void test_modifiers(void)
{
    keymap_init(&map);
    CHECK(typed("1d 2e ae 9d 2e ae", "\003c"));
    CHECK(typed("e0 1d 20 a0 e0 9d", "\004"));
    CHECK(typed("1d 1a 9a 2b ab 9d", "\033\034"));
    CHECK(typed("38 30 b0 b8", "\033b"));
    CHECK(typed("2a 36 aa 1e 9e b6 1e 9e", "Aa"));
    CHECK(typed("2a 0f 8f aa", "\033[Z"));
}

static void test_control_zero(void)
{
    u8 out[KEYMAP_MAX];

    keymap_init(&map);
    keymap_decode(&map, 0x1d, out);
    CHECK_EQ(keymap_decode(&map, 0x39, out), 1);
    CHECK_EQ(out[0], 0);
}

static void test_locks(void)
{
    keymap_init(&map);
    CHECK_EQ(map.leds, KEYMAP_NUM_LED);
    CHECK(typed("3a ba 1e 9e 02 82 2a 1e 9e aa", "A1a"));
    CHECK_EQ(map.leds, KEYMAP_NUM_LED | KEYMAP_CAPS_LED);
    CHECK(typed("3a ba 1e 9e 48 c8", "a8"));
    CHECK(typed("45 c5 48 c8 4f cf 53 d3 4e ce", "\033[A\033[4~\033[3~+"));
    CHECK_EQ(map.leds, 0);
}

static void test_sequences(void)
{
    keymap_init(&map);
    CHECK(typed("e0 48 e0 c8 e0 50 e0 d0 e0 4b e0 cb e0 4d e0 cd", "\033[A\033[B\033[D\033[C"));
    CHECK(typed("e0 47 e0 c7 e0 4f e0 cf e0 49 e0 51", "\033[1~\033[4~\033[5~\033[6~"));
    CHECK(typed("e0 52 e0 d2 e0 53 e0 d3", "\033[2~\033[3~"));
    CHECK(typed("1d e0 4d e0 cd 9d", "\033[1;5C"));
    CHECK(typed("2a e0 49 aa", "\033[5;2~"));
    CHECK(typed("3b bb 3f bf 40 c0 44 57 58", "\033[[A\033[[E\033[17~\033[21~\033[23~\033[24~"));
    CHECK(typed("e0 1c e0 9c e0 35 e0 b5", "\r/"));
}

/* Codes that mean nothing, or come wrapped in shifts nobody holds, give nothing and do no harm. */
static void test_odd_codes(void)
{
    keymap_init(&map);
    CHECK(typed("e0 2a e0 48 e0 c8 e0 aa 1e 9e", "\033[Aa"));
    CHECK(typed("e1 1d 45 e1 9d c5 1e 9e", "a"));
    CHECK_EQ(map.leds, KEYMAP_NUM_LED);
    CHECK_EQ(map.held, 0);
    CHECK(typed("e0 5b e0 db 7f 59 00 46 c6", ""));
    for (u32 i = 0; i < 1000000; i++) {
        u8 out[KEYMAP_MAX];

        CHECK(keymap_decode(&map, (u8)random_u64(), out) <= KEYMAP_MAX);
    }
}

int main(void)
{
    tap_run("letters, digits and signs, plain and with Shift", test_letters);
    tap_run("Ctrl and Alt", test_modifiers);
    tap_run("Ctrl-Space is a NUL", test_control_zero);
    tap_run("CapsLock and NumLock", test_locks);
    tap_run("cursor and function keys send sequences", test_sequences);
    tap_run("odd codes do no harm", test_odd_codes);
    return tap_done();
}
