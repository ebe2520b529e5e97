/*
 * keymap.c: from scancodes of set 1 to the bytes of a terminal.
 *
 * A key sends its code when it goes down and the code with bit 7 when it goes up; keys that the
 * first keyboards did not have put 0xe0 before. The tables are indexed by code: what a key gives
 * plain and with Shift. Alt puts ESC before a key's bytes; in the sequences of cursor keys all
 * modifiers go into a number, as xterm has it.
 */
#include "user/servers/console/keymap.h"

enum { /* codes with a meaning of their own */
       CODE_EXTENDED = 0xe0,
       CODE_PAUSE = 0xe1, /* two more codes follow, down as well as up */
       CODE_UP = 0x80,
       CODE_BACKSPACE = 0x0e,
       CODE_TAB = 0x0f,
       CODE_ENTER = 0x1c,
       CODE_CTRL = 0x1d,
       CODE_LEFT_SHIFT = 0x2a,
       CODE_SLASH = 0x35,
       CODE_RIGHT_SHIFT = 0x36,
       CODE_ALT = 0x38,
       CODE_CAPS = 0x3a,
       CODE_F1 = 0x3b,
       CODE_F10 = 0x44,
       CODE_NUM = 0x45,
       CODE_SCROLL = 0x46,
       CODE_PAD = 0x47, /* the numeric pad, up to CODE_PAD_END */
       CODE_PAD_END = 0x53,
       CODE_F11 = 0x57,
       CODE_F12 = 0x58,
};

enum {
    LEFT_SHIFT = 1,
    RIGHT_SHIFT = 2,
    LEFT_CTRL = 4,
    RIGHT_CTRL = 8,
    LEFT_ALT = 16,
    RIGHT_ALT = 32
};
#define SHIFT (LEFT_SHIFT | RIGHT_SHIFT)
#define CTRL (LEFT_CTRL | RIGHT_CTRL)
#define ALT (LEFT_ALT | RIGHT_ALT)

/* clang-format off */
static const char plain[0x59] =
    "\0" "\033" "1234567890-=" "\177" "\t" "qwertyuiop[]" "\r" "\0" "asdfghjkl;'`" "\0"
    "\\" "zxcvbnm,./" "\0" "*" "\0" " " "\0\0\0\0\0\0\0\0\0\0\0\0\0" "789-456+1230." "\0\0" "<";
static const char shifted[0x59] =
    "\0" "\033" "!@#$%^&*()_+" "\177" "\t" "QWERTYUIOP{}" "\r" "\0" "ASDFGHJKL:\"~" "\0"
    "|" "ZXCVBNM<>?" "\0" "*" "\0" " " "\0\0\0\0\0\0\0\0\0\0\0\0\0" "789-456+1230." "\0\0" ">";
/* clang-format on */

/* The pad without NumLock, and the grey keys, which have the same codes: ESC [ n ~ or ESC [ A. */
static const char pad[CODE_PAD_END - CODE_PAD + 1] = {
    1, 'A', 5, 0, 'D', 'G', 'C', 0, 4, 'B', 6, 2, 3,
};

/* F6 to F12: ESC [ n ~ */
static const u8 function_number[] = {17, 18, 19, 20, 21, 23, 24};

void keymap_init(struct keymap *map)
{
    *map = (struct keymap){.leds = KEYMAP_NUM_LED};
}

/* --- what keys send --- */

static u32 put_number(u8 *out, u32 number)
{
    u32 length = 0;

    if (number >= 10)
        out[length++] = (u8)('0' + number / 10);
    out[length++] = (u8)('0' + number % 10);
    return length;
}

/* ESC [ `number` ; modifiers `final`; without modifiers, and without a number that is 1. */
static u32 put_sequence(const struct keymap *map, u32 number, char final, u8 *out)
{
    u32 modifiers =
        1 + (map->held & SHIFT ? 1 : 0) + (map->held & ALT ? 2 : 0) + (map->held & CTRL ? 4 : 0);
    u32 length = 0;

    out[length++] = 033;
    out[length++] = '[';
    if (modifiers > 1 || final == '~')
        length += put_number(out + length, number);
    if (modifiers > 1) {
        out[length++] = ';';
        length += put_number(out + length, modifiers);
    }
    out[length++] = (u8) final;
    return length;
}

static u32 put_pad(const struct keymap *map, u8 code, u8 *out)
{
    char key = pad[code - CODE_PAD];

    if (!key)
        return 0;
    return key < 'A' ? put_sequence(map, (u32)key, '~', out) : put_sequence(map, 1, key, out);
}

/* The first five as the console of Linux has them: ESC [ [ A. */
static u32 put_function(const struct keymap *map, u32 number, u8 *out)
{
    if (number > 5)
        return put_sequence(map, function_number[number - 6], '~', out);
    out[0] = 033;
    out[1] = out[2] = '[';
    out[3] = (u8)('A' + number - 1);
    return 4;
}

static u8 with_ctrl(u8 character)
{
    switch (character) {
    case ' ':
    case '2': return 0;
    case '/':
    case '-': return 037;
    case 0177: return '\b';
    }
    if (character >= '3' && character <= '7')
        return (u8)(033 + character - '3');
    return character >= '@' ? character & 037 : character;
}

static u32 put_character(const struct keymap *map, u8 character, u8 *out)
{
    u32 length = 0;
    u8 small = character | 0x20;

    if (map->leds & KEYMAP_CAPS_LED && small >= 'a' && small <= 'z')
        character ^= 0x20;
    if (map->held & CTRL)
        character = with_ctrl(character);
    if (map->held & ALT)
        out[length++] = 033;
    out[length++] = character;
    return length;
}

/* --- which key it is --- */

static u8 modifier_of(u8 code, bool extended)
{
    switch (code) {
    case CODE_CTRL: return extended ? RIGHT_CTRL : LEFT_CTRL;
    case CODE_ALT: return extended ? RIGHT_ALT : LEFT_ALT;
    /* Grey keys come wrapped in shifts that nobody holds. */
    case CODE_LEFT_SHIFT: return extended ? 0 : LEFT_SHIFT;
    case CODE_RIGHT_SHIFT: return extended ? 0 : RIGHT_SHIFT;
    default: return 0;
    }
}

static u8 lock_of(u8 code, bool extended)
{
    if (extended)
        return 0;
    return code == CODE_CAPS     ? KEYMAP_CAPS_LED
           : code == CODE_NUM    ? KEYMAP_NUM_LED
           : code == CODE_SCROLL ? KEYMAP_SCROLL_LED
                                 : 0;
}

static u32 press_extended(const struct keymap *map, u8 code, u8 *out)
{
    if (code == CODE_ENTER || code == CODE_SLASH)
        return put_character(map, (u8)plain[code], out);
    return code >= CODE_PAD && code <= CODE_PAD_END ? put_pad(map, code, out) : 0;
}

static u32 press(const struct keymap *map, u8 code, u8 *out)
{
    char character;

    if (code >= CODE_F1 && code <= CODE_F10)
        return put_function(map, code - CODE_F1 + 1u, out);
    if (code == CODE_F11 || code == CODE_F12)
        return put_function(map, code - CODE_F11 + 11u, out);
    if (code >= CODE_PAD && code <= CODE_PAD_END && !(map->leds & KEYMAP_NUM_LED) &&
        pad[code - CODE_PAD])
        return put_pad(map, code, out);
    if (code == CODE_TAB && map->held & SHIFT)
        return put_sequence(&(struct keymap){0}, 1, 'Z', out);
    if (code >= sizeof(plain))
        return 0;
    character = (map->held & SHIFT ? shifted : plain)[code];
    return character ? put_character(map, (u8)character, out) : 0;
}

u32 keymap_decode(struct keymap *map, u8 code, u8 out[KEYMAP_MAX])
{
    bool extended = map->extended, up = code & CODE_UP;
    u8 key = code & (u8)~CODE_UP, modifier = modifier_of(key, extended);

    if (map->skip) {
        map->skip--;
        return 0;
    }
    map->extended = code == CODE_EXTENDED;
    map->skip = code == CODE_PAUSE ? 2 : 0;
    if (map->extended || map->skip)
        return 0;
    if (up) {
        map->held &= (u8)~modifier;
        return 0;
    }
    if (modifier) {
        map->held |= modifier;
        return 0;
    }
    map->leds ^= lock_of(key, extended);
    return extended ? press_extended(map, key, out) : press(map, key, out);
}
