/*
 * glyph.c: draws lines (U+2500..257F), blocks (2580..259F) and braille (2800..28FF) into a cell of
 * 8 by 16 pixels.
 *
 * A line character has four arms from the middle to the edges, each light, heavy, double or
 * missing. An arm ends where the strokes across it end, so that corners close and neighbours
 * connect:
 *
 *     column  0 1 2 3 4 5 6 7        row  0 .. 4 5 6 7 8 9 10 .. 15
 *     light         # #                                #
 *     heavy       # # # #                            # # #
 *     double      #     #                          #       #
 */
#include "user/servers/console/glyph.h"
#include <string.h>

#define LINES 0x2500
#define BLOCKS 0x2580
#define BLOCKS_END 0x25a0
#define BRAILLE 0x2800
#define BRAILLE_END 0x2900
#define ACCENTED 0xc0
#define ACCENTED_END 0x100

enum weight { NO_ARM, LIGHT, HEAVY, DOUBLE };
enum { LEFT, RIGHT, UP, DOWN };

/* Two bits of weight for each arm: left, right, up, down from the lowest. Dashes count as lines. */
static const u8 arms[BLOCKS - LINES] = {
    0x05, 0x0a, 0x50, 0xa0, 0x05, 0x0a, 0x50, 0xa0, 0x05, 0x0a, 0x50, 0xa0, 0x44, 0x48, 0x84, 0x88,
    0x41, 0x42, 0x81, 0x82, 0x14, 0x18, 0x24, 0x28, 0x11, 0x12, 0x21, 0x22, 0x54, 0x58, 0x64, 0x94,
    0xa4, 0x68, 0x98, 0xa8, 0x51, 0x52, 0x61, 0x91, 0xa1, 0x62, 0x92, 0xa2, 0x45, 0x46, 0x49, 0x4a,
    0x85, 0x86, 0x89, 0x8a, 0x15, 0x16, 0x19, 0x1a, 0x25, 0x26, 0x29, 0x2a, 0x55, 0x56, 0x59, 0x5a,
    0x65, 0x95, 0xa5, 0x66, 0x69, 0x96, 0x99, 0x6a, 0x9a, 0xa6, 0xa9, 0xaa, 0x05, 0x0a, 0x50, 0xa0,
    0x0f, 0xf0, 0x4c, 0xc4, 0xcc, 0x43, 0xc1, 0xc3, 0x1c, 0x34, 0x3c, 0x13, 0x31, 0x33, 0x5c, 0xf4,
    0xfc, 0x53, 0xf1, 0xf3, 0x4f, 0xc5, 0xcf, 0x1f, 0x35, 0x3f, 0x5f, 0xf5, 0xff, 0x44, 0x41, 0x11,
    0x14, 0x00, 0x00, 0x00, 0x01, 0x10, 0x04, 0x40, 0x02, 0x20, 0x08, 0x80, 0x09, 0x90, 0x06, 0x60,
};

/* First and last pixel that a weight's strokes cover across their direction. */
struct extent {
    u8 from, to;
};
static const struct extent across_columns[] = {{3, 4}, {3, 4}, {2, 5}, {2, 5}};
static const struct extent across_rows[] = {{7, 7}, {7, 7}, {6, 8}, {5, 9}};

static u8 drawn[FONT_HEIGHT];

/* Fills a rectangle; the last column and row belong to it. */
static void fill(u32 column, u32 last_column, u32 row, u32 last_row)
{
    for (; row <= last_row; row++)
        drawn[row] |= (u8)(0xff >> column & 0xff << (FONT_WIDTH - 1 - last_column));
}

/* A stroke of a horizontal (else vertical) arm: along its direction and across it. */
static void stroke(bool horizontal, struct extent along, struct extent across)
{
    if (horizontal)
        fill(along.from, along.to, across.from, across.to);
    else
        fill(across.from, across.to, along.from, along.to);
}

/*
 * Draws one arm. `before` and `behind` are the weights of the two arms across it: left or up of the
 * middle, right or down of it. A double arm's two strokes end separately: each goes to the near
 * stroke of a double line on its own side, else to the far one.
 */
static void draw_arm(bool horizontal, bool first, enum weight weight, enum weight before,
                     enum weight behind)
{
    const struct extent *own = horizontal ? across_rows : across_columns;
    const struct extent *other = horizontal ? across_columns : across_rows;
    u32 end = (horizontal ? FONT_WIDTH : FONT_HEIGHT) - 1;
    struct extent cross = other[MAX((u32)before, (u32)behind)], across = own[weight];
    struct extent far = first ? (struct extent){0, cross.to} : (struct extent){cross.from, (u8)end};
    struct extent near =
        first ? (struct extent){0, cross.from} : (struct extent){cross.to, (u8)end};

    if (weight == DOUBLE) {
        stroke(horizontal, before == DOUBLE ? near : far,
               (struct extent){across.from, across.from});
        stroke(horizontal, behind == DOUBLE ? near : far, (struct extent){across.to, across.to});
    } else {
        stroke(horizontal, before == DOUBLE && behind == DOUBLE ? near : far, across);
    }
}

static void draw_line(u32 which)
{
    enum weight arm[4];

    for (u32 i = 0; i < 4; i++)
        arm[i] = arms[which] >> 2 * i & 3;
    for (u32 i = 0; i < 4; i++) {
        bool horizontal = i <= RIGHT;

        if (arm[i])
            draw_arm(horizontal, i == LEFT || i == UP, arm[i], arm[horizontal ? UP : LEFT],
                     arm[horizontal ? DOWN : RIGHT]);
    }
}

/* U+2571 to 2573: up to the right, down to the right, both. */
static void draw_diagonals(u32 which)
{
    for (u32 row = 0; row < FONT_HEIGHT; row++)
        drawn[row] = (u8)((which & 1 ? 1 << row / 2 : 0) | (which & 2 ? 0x80 >> row / 2 : 0));
}

static void draw_shade(u32 density)
{
    static const u8 pattern[3][2] = {{0x88, 0x22}, {0xaa, 0x55}, {0x77, 0xdd}};

    for (u32 row = 0; row < FONT_HEIGHT; row++)
        drawn[row] = pattern[density][row & 1];
}

/* One bit for each quarter: upper left, upper right, lower left, lower right. */
static void draw_quarters(u32 which)
{
    for (u32 i = 0; i < 4; i++)
        if (which & 1 << i)
            fill(i % 2 * 4, i % 2 * 4 + 3, i / 2 * 8, i / 2 * 8 + 7);
}

static void draw_block(u32 which)
{
    static const u8 quarters[] = {4, 8, 1, 13, 9, 7, 11, 2, 6, 14};

    if (which == 0)
        fill(0, 7, 0, 7);
    else if (which <= 8) /* eighths from below */
        fill(0, 7, 16 - 2 * which, 15);
    else if (which <= 15) /* eighths from the left, fewer and fewer */
        fill(0, 15 - which, 0, 15);
    else if (which == 16)
        fill(4, 7, 0, 15);
    else if (which <= 19)
        draw_shade(which - 17);
    else if (which == 20)
        fill(0, 7, 0, 1);
    else if (which == 21)
        fill(7, 7, 0, 15);
    else
        draw_quarters(quarters[which - 22]);
}

/* Dots 1 to 3 and 7 go down the left, 4 to 6 and 8 the right. */
static void draw_braille(u32 dots)
{
    static const u8 place[8][2] = {{1, 1}, {1, 5}, {1, 9},  {5, 1},
                                   {5, 5}, {5, 9}, {1, 13}, {5, 13}};

    for (u32 i = 0; i < 8; i++)
        if (dots & 1 << i)
            fill(place[i][0], place[i][0] + 1u, place[i][1], place[i][1] + 1u);
}

/* The character of ASCII that looks most like it, or FONT_UNKNOWN. */
static u32 nearest(u32 character)
{
    static const char letters[] =
        "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYPsaaaaaaaceeeeiiiidnooooo/ouuuuypy";
    static const struct {
        u16 from;
        char to;
    } signs[] = {
        {0x00a0, ' '}, {0x00b0, 'o'}, {0x00b5, 'u'},  {0x00b7, '.'},  {0x2010, '-'},
        {0x2013, '-'}, {0x2014, '-'}, {0x2018, '\''}, {0x2019, '\''}, {0x201c, '"'},
        {0x201d, '"'}, {0x2022, '*'}, {0x2026, '.'},  {0x2190, '<'},  {0x2191, '^'},
        {0x2192, '>'}, {0x2193, 'v'}, {0x2212, '-'},  {0x25c6, '*'},
    };

    if (character >= ACCENTED && character < ACCENTED_END)
        return (u8)letters[character - ACCENTED];
    for (u32 i = 0; i < ARRAY_LEN(signs); i++)
        if (signs[i].from == character)
            return (u8)signs[i].to;
    return FONT_UNKNOWN;
}

const u8 *glyph_rows(u32 character)
{
    if (character < FONT_UNKNOWN)
        return font_glyph(character);
    memset(drawn, 0, sizeof(drawn));
    if (character >= LINES + 0x71 && character <= LINES + 0x73)
        draw_diagonals(character - LINES - 0x70);
    else if (character >= LINES && character < BLOCKS)
        draw_line(character - LINES);
    else if (character >= BLOCKS && character < BLOCKS_END)
        draw_block(character - BLOCKS);
    else if (character >= BRAILLE && character < BRAILLE_END)
        draw_braille(character - BRAILLE);
    else
        return font_glyph(nearest(character));
    return drawn;
}
