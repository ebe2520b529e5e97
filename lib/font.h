/*
 * The font of the kernel's screen and of the console server: printable ASCII, 8 pixels by 16.
 */
#pragma once

#include "lib/types.h"

#define FONT_WIDTH 8
#define FONT_HEIGHT 16
#define FONT_FIRST 32
#define FONT_COUNT 96
#define FONT_UNKNOWN 127 /* an empty box, for characters without a glyph */

extern const u8 font_glyphs[FONT_COUNT][FONT_HEIGHT];

/* The 16 rows of a character's shape; bit 7 is the leftmost pixel. */
static inline const u8 *font_glyph(u32 character)
{
    if (character < FONT_FIRST || character > FONT_UNKNOWN)
        character = FONT_UNKNOWN;
    return font_glyphs[character - FONT_FIRST];
}
