/*
 * screen.c: the kernel's own text on the screen: boot messages and panics, on a framebuffer or the
 * VGA text screen.
 *
 * It only ever writes: reading a framebuffer is slow. So the text does not scroll: at the bottom it
 * goes on at the top, over the old lines, with one line kept empty in front.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/console.h"
#include "arch/x86_64/kmap.h"
#include "arch/x86_64/multiboot.h"
#include "lib/font.h"
#include "lib/string.h"

#define VGA_TEXT 0xb8000
enum { VGA_COLUMNS = 80, VGA_ROWS = 25, VGA_GREY = 0x0700 };
#define GREY 0xc0

static u32 rows, columns; /* 0: no screen */
static u32 row, column;
static u8 *pixels;          /* the framebuffer, or NULL */
static volatile u16 *cells; /* the VGA text screen, or NULL */

static void store_pixel(u8 *to, u32 value)
{
    if (boot_info.fb_bpp == 32) {
        *(volatile u32 *)to = value;
        return;
    }
    for (u32 byte = 0; byte < boot_info.fb_bpp / 8; byte++)
        ((volatile u8 *)to)[byte] = (u8)(value >> byte * 8);
}

static u32 text_colour(void)
{
    if (boot_info.fb_bpp == 16)
        return 0xc618;
    return (u32)GREY << boot_info.fb_red_shift | (u32)GREY << boot_info.fb_green_shift |
           (u32)GREY << boot_info.fb_blue_shift;
}

static void draw_pixels(char character)
{
    const u8 *glyph = font_glyph((u8)character);
    u32 step = boot_info.fb_bpp / 8, colour = text_colour();

    for (u32 y = 0; y < FONT_HEIGHT; y++) {
        u8 *to = pixels + (row * FONT_HEIGHT + y) * boot_info.fb_pitch + column * FONT_WIDTH * step;

        for (u32 x = 0; x < FONT_WIDTH; x++)
            store_pixel(to + x * step, glyph[y] << x & 0x80 ? colour : 0);
    }
}

static void draw(char character)
{
    if (pixels)
        draw_pixels(character);
    else
        cells[row * columns + column] = (u16)(VGA_GREY | (u8)character);
}

static void clear_row(u32 which)
{
    if (pixels)
        memset(pixels + which * FONT_HEIGHT * boot_info.fb_pitch, 0,
               FONT_HEIGHT * boot_info.fb_pitch);
    for (u32 i = 0; cells && i < columns; i++)
        cells[which * columns + i] = VGA_GREY;
}

static void new_line(void)
{
    column = 0;
    row = (row + 1) % rows;
    clear_row(row);
    clear_row((row + 1) % rows);
}

void screen_init(void)
{
    if (boot_screen == BOOT_SCREEN_PIXELS && !pixels) {
        pixels = kernel_map_framebuffer((pa_t){boot_info.framebuffer},
                                        boot_info.fb_pitch * boot_info.fb_height);
        rows = boot_info.fb_height / FONT_HEIGHT;
        columns = boot_info.fb_width / FONT_WIDTH;
    } else if (boot_screen == BOOT_SCREEN_TEXT && !cells) {
        cells = kernel_map_device((pa_t){VGA_TEXT}, PAGE_SIZE);
        rows = VGA_ROWS;
        columns = VGA_COLUMNS;
    }
    row = column = 0;
    for (u32 i = 0; i < rows; i++)
        clear_row(i);
}

void screen_write(const char *text, usize length)
{
    for (usize i = 0; rows && i < length; i++) {
        if (text[i] == '\n') {
            new_line();
            continue;
        }
        if (column == columns)
            new_line();
        draw(text[i]);
        column++;
    }
}
