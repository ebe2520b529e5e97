/*
 * screen.c: paints the terminal's cells.
 *
 * The framebuffer is mapped write-combining: writing it in order is fast, reading it slow. So it is
 * never read. `shown` keeps what each cell on the screen looks like; painting goes through the
 * lines that the terminal marked and draws the cells that differ. Scrolling thus costs what has
 * really changed, and output that is faster than the painting is skipped, not queued.
 */
#include "user/servers/console/screen.h"
#include "lib/page.h"
#include "user/servers/console/glyph.h"
#include "user/servers/console/input.h"
#include "user/servers/console/terminal.h"
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define UNDERLINE_ROW 13
#define LOG_BYTES 4096
#define CELL_NEVER ~0u /* a character no cell has: draw it anyway */

static struct mg_boot_info info;
static u8 *pixels;
static u32 pixel_bytes;
static struct terminal terminal;
static struct cell *shown;
static u32 cursor_row, cursor_column; /* where the cursor is drawn */
static bool cursor_drawn;

/* --- pixels --- */

/* A colour 0xrrggbb in the framebuffer's form. */
static u32 pixel_of(u32 colour)
{
    u32 red = colour >> 16 & 0xff, green = colour >> 8 & 0xff, blue = colour & 0xff;

    if (pixel_bytes == 2) {
        red >>= 3;
        green >>= 2;
        blue >>= 3;
    }
    return red << info.fb_red_shift | green << info.fb_green_shift | blue << info.fb_blue_shift;
}

/* Writes a cell's row of pixels: where `bits` are set in one colour, else in the other. */
static void draw_row(u8 *to, u8 bits, u32 ink, u32 paper)
{
    u32 line[FONT_WIDTH];

    for (u32 i = 0; i < FONT_WIDTH; i++)
        line[i] = bits << i & 0x80 ? ink : paper;
    if (pixel_bytes == sizeof(u32)) {
        memcpy(to, line, sizeof(line));
        return;
    }
    for (u32 i = 0; i < FONT_WIDTH; i++)
        memcpy(to + i * pixel_bytes, &line[i], pixel_bytes);
}

static void draw_cell(u32 row, u32 column, const struct cell *cell)
{
    const u8 *shape = glyph_rows(cell->character);
    u32 ink = pixel_of(cell->ink), paper = pixel_of(cell->paper);
    u8 *to = pixels + (usize)row * FONT_HEIGHT * info.fb_pitch + column * FONT_WIDTH * pixel_bytes;

    for (u32 y = 0; y < FONT_HEIGHT; y++, to += info.fb_pitch) {
        bool line = cell->ink & CELL_UNDERLINE && y == UNDERLINE_ROW;

        draw_row(to, line ? 0xff : shape[y], ink, paper);
    }
}

/* --- painting --- */

static void paint_line(u32 row)
{
    const struct cell *line = terminal.grid.lines[row];
    struct cell *old = shown + (usize)row * terminal.columns;

    for (u32 column = 0; column < terminal.columns; column++) {
        if (memcmp(&old[column], &line[column], sizeof(*old)) == 0)
            continue;
        old[column] = line[column];
        draw_cell(row, column, &old[column]);
    }
}

/* The cell under the cursor is drawn with its colours exchanged. */
static void paint_cursor(void)
{
    struct cell cell;

    cursor_row = terminal.cursor.row;
    cursor_column = terminal.cursor.column;
    cursor_drawn = terminal.show_cursor;
    if (!cursor_drawn)
        return;
    cell = terminal.grid.lines[cursor_row][cursor_column];
    if ((cell.ink & 0xffffff) == cell.paper)
        cell.ink = ~cell.paper & 0xffffff;
    draw_cell(cursor_row, cursor_column,
              &(struct cell){cell.character, cell.paper, cell.ink & 0xffffff});
}

static bool cursor_moved(void)
{
    return cursor_drawn != terminal.show_cursor ||
           (cursor_drawn &&
            (cursor_row != terminal.cursor.row || cursor_column != terminal.cursor.column));
}

bool screen_changed(void)
{
    for (u32 row = 0; row < terminal.rows; row++)
        if (terminal.changed[row])
            return true;
    return cursor_moved();
}

void screen_paint(void)
{
    if (cursor_drawn) {
        shown[cursor_row * terminal.columns + cursor_column].character = CELL_NEVER;
        terminal.changed[cursor_row] = true;
    }
    for (u32 row = 0; row < terminal.rows; row++) {
        if (terminal.changed[row])
            paint_line(row);
        terminal.changed[row] = false;
    }
    paint_cursor();
}

/* --- output --- */

void screen_write(const u8 *bytes, u32 length, bool answer)
{
    terminal_write(&terminal, bytes, length);
    if (answer)
        input_add(INPUT_KEYBOARD, terminal.answer, terminal.answer_length);
    terminal.answer_length = 0;
}

struct screen_size screen_size(void)
{
    return (struct screen_size){terminal.rows, terminal.columns, terminal.columns * FONT_WIDTH,
                                terminal.rows * FONT_HEIGHT};
}

/* --- start --- */

static bool map_framebuffer(void)
{
    u64 start = ALIGN_DOWN(info.framebuffer, PAGE_BYTES);
    u64 end = ALIGN_UP(info.framebuffer + (u64)info.fb_pitch * info.fb_height, PAGE_BYTES);
    long object = mg_object_physical(MG_HANDLE_SYSTEM, start, end - start, MG_PHYS_WRITE_COMBINING);
    struct mg_map map = {.len = end - start,
                         .prot = PROT_READ | PROT_WRITE,
                         .flags = MAP_SHARED,
                         .object = (mg_handle)object};
    long at = object < 0 ? object : mg_vm_map(MG_HANDLE_SELF, &map);

    if (object >= 0)
        mg_handle_close(object);
    if (at < 0)
        return false;
    pixels = (u8 *)(at + (long)(info.framebuffer - start));
    return true;
}

static void show_log(void)
{
    u8 text[LOG_BYTES];
    long length;

    for (u64 offset = 0;; offset += (u64)length) {
        length = mg_log_read(MG_HANDLE_SYSTEM, offset, text, sizeof(text));
        if (length <= 0)
            return;
        for (long i = 0; i < length; i++) {
            if (text[i] == '\n')
                terminal_write(&terminal, (const u8 *)"\r", 1);
            terminal_write(&terminal, &text[i], 1);
        }
    }
}

static void clear(void)
{
    for (u32 y = 0; y < info.fb_height; y++)
        memset(pixels + (usize)y * info.fb_pitch, 0, info.fb_width * pixel_bytes);
    for (u32 i = 0; i < terminal.rows * terminal.columns; i++)
        shown[i].character = CELL_NEVER;
}

bool screen_start(u32 rows, u32 columns)
{
    u32 high, wide;

    if (mg_boot_info(MG_HANDLE_SYSTEM, &info) < 0 || !info.framebuffer)
        return false;
    pixel_bytes = info.fb_bpp / 8;
    high = info.fb_height / FONT_HEIGHT;
    wide = info.fb_width / FONT_WIDTH;
    if (pixel_bytes < 2 || pixel_bytes > sizeof(u32) || !high || wide < 2)
        return false;
    rows = rows ? MIN(rows, high) : high;
    columns = columns > 1 ? MIN(columns, wide) : wide;
    shown = calloc((usize)rows * columns, sizeof(*shown));
    if (!shown || !terminal_init(&terminal, rows, columns) || !map_framebuffer())
        return false;
    clear();
    show_log();
    screen_paint();
    return true;
}
