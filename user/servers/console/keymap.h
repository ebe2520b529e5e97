/*
 * keymap.h: what a terminal sends for the keys of a US keyboard. No hardware here, so that it runs
 * in unit tests too.
 */
#pragma once

#include "lib/types.h"

enum { KEYMAP_SCROLL_LED = 1, KEYMAP_NUM_LED = 2, KEYMAP_CAPS_LED = 4 };
#define KEYMAP_MAX 8 /* bytes that one scancode gives at most */

struct keymap {
    u8 held;       /* modifier keys, one bit each */
    u8 leds;       /* KEYMAP_*_LED: what is locked */
    bool extended; /* 0xe0 has come */
    u8 skip;       /* codes of the Pause key that are still to come */
};

/* Nothing is held, NumLock is on. */
void keymap_init(struct keymap *map);

/* Takes one byte of scancode set 1; returns how many bytes of `out` are what was typed, mostly 0 or
 * 1. Keys send what TERM=linux expects. */
u32 keymap_decode(struct keymap *map, u8 code, u8 out[KEYMAP_MAX]);
