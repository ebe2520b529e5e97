/*
 * glyph.h: the shapes of characters beyond ASCII, made rather than stored: lines and blocks for
 * drawing, and the next best for letters with accents and for typographic signs.
 */
#pragma once

#include "lib/font.h"

/* The FONT_HEIGHT rows of a character's shape, bit 7 leftmost; valid until the next call. */
const u8 *glyph_rows(u32 character);
