/*
 * colour.c: the colours and attributes of text: the SGR sequence, and the 256 colours.
 */
#include "user/servers/console/terminal.h"

#define DEFAULT_INK 7

const struct pen pen_default = {.ink = COLOUR_DEFAULT, .paper = COLOUR_DEFAULT};

/* The 16 that have names: black, red, green, yellow, blue, magenta, cyan, white; then bright. */
static const u32 named[16] = {
    0x000000, 0xc03030, 0x30b030, 0xb08020, 0x4070d0, 0xb040b0, 0x30a0a0, 0xc0c0c0,
    0x606060, 0xff6060, 0x60ff60, 0xffff60, 0x70a0ff, 0xff70ff, 0x60ffff, 0xffffff,
};

/* 16..231 are a cube of six steps of red, green and blue, 232..255 greys. */
static u32 palette(u32 index)
{
    static const u8 steps[6] = {0, 95, 135, 175, 215, 255};
    u32 cube = index - 16, grey = 8 + 10 * (index - 232);

    if (index < 16)
        return named[index];
    if (index < 232)
        return (u32)steps[cube / 36] << 16 | (u32)steps[cube / 6 % 6] << 8 | steps[cube % 6];
    return grey << 16 | grey << 8 | grey;
}

static u32 resolve(u32 colour, u32 fallback, bool bright)
{
    if (colour & COLOUR_TRUE)
        return colour & 0xffffff;
    if (colour & COLOUR_DEFAULT)
        colour = fallback;
    return palette(bright && colour < 8 ? colour + 8 : colour);
}

void pen_colours(const struct pen *pen, struct cell *cell)
{
    u32 ink = resolve(pen->ink, DEFAULT_INK, pen->bold), paper = resolve(pen->paper, 0, false);

    if (pen->faint)
        ink = ink >> 1 & 0x7f7f7f;
    if (pen->hidden)
        ink = paper;
    cell->ink = (pen->reverse ? paper : ink) | (pen->underline ? CELL_UNDERLINE : 0);
    cell->paper = pen->reverse ? ink : paper;
}

/* 38 and 48: "5, one of 256" or "2, red, green, blue". Returns how many parameters that took. */
static u32 extended_colour(u32 *colour, const u32 *parameters, u32 count)
{
    if (count >= 2 && parameters[0] == 5) {
        *colour = parameters[1] & 0xff;
        return 2;
    }
    if (count >= 4 && parameters[0] == 2) {
        *colour = COLOUR_TRUE | (parameters[1] & 0xff) << 16 | (parameters[2] & 0xff) << 8 |
                  (parameters[3] & 0xff);
        return 4;
    }
    return count;
}

static void change_attribute(struct pen *pen, u32 parameter)
{
    switch (parameter) {
    case 0: *pen = pen_default; break;
    case 1: pen->bold = true; break;
    case 2: pen->faint = true; break;
    case 4: pen->underline = true; break;
    case 7: pen->reverse = true; break;
    case 8: pen->hidden = true; break;
    case 21: /* underlined twice */ pen->underline = true; break;
    case 22: pen->bold = pen->faint = false; break;
    case 24: pen->underline = false; break;
    case 27: pen->reverse = false; break;
    case 28: pen->hidden = false; break;
    case 39: pen->ink = COLOUR_DEFAULT; break;
    case 49: pen->paper = COLOUR_DEFAULT; break;
    }
}

void pen_change(struct pen *pen, const u32 *parameters, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        u32 parameter = parameters[i];

        if (parameter >= 30 && parameter <= 37)
            pen->ink = parameter - 30;
        else if (parameter >= 40 && parameter <= 47)
            pen->paper = parameter - 40;
        else if (parameter >= 90 && parameter <= 97)
            pen->ink = parameter - 90 + 8;
        else if (parameter >= 100 && parameter <= 107)
            pen->paper = parameter - 100 + 8;
        else if (parameter == 38 || parameter == 48)
            i += extended_colour(parameter == 38 ? &pen->ink : &pen->paper, parameters + i + 1,
                                 count - i - 1);
        else
            change_attribute(pen, parameter);
    }
}
