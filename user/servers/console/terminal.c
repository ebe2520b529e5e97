/*
 * terminal.c: the cells of the terminal: writing, scrolling, erasing, the alternate screen.
 */
#include "user/servers/console/terminal.h"
#include <stdlib.h>
#include <string.h>

/* --- life --- */

static bool grid_init(struct grid *grid, u32 rows, u32 columns)
{
    grid->cells = calloc((usize)rows * columns, sizeof(*grid->cells));
    grid->lines = calloc(rows, sizeof(*grid->lines));
    for (u32 i = 0; grid->cells && grid->lines && i < rows; i++)
        grid->lines[i] = grid->cells + (usize)i * columns;
    return grid->cells && grid->lines;
}

static void grid_destroy(struct grid *grid)
{
    free(grid->cells);
    free(grid->lines);
}

bool terminal_init(struct terminal *terminal, u32 rows, u32 columns)
{
    *terminal = (struct terminal){.rows = rows, .columns = columns};
    terminal->changed = calloc(rows, sizeof(*terminal->changed));
    if (!terminal->changed || !grid_init(&terminal->grid, rows, columns) ||
        !grid_init(&terminal->other, rows, columns)) {
        terminal_destroy(terminal);
        return false;
    }
    terminal_reset(terminal);
    return true;
}

void terminal_destroy(struct terminal *terminal)
{
    grid_destroy(&terminal->grid);
    grid_destroy(&terminal->other);
    free(terminal->changed);
}

static void erase_all(struct terminal *terminal)
{
    for (u32 row = 0; row < terminal->rows; row++)
        terminal_erase(terminal, row, 0, terminal->columns);
}

void terminal_reset(struct terminal *terminal)
{
    terminal->cursor = (struct cursor){.pen = pen_default};
    terminal->saved = terminal->saved_main = terminal->cursor;
    terminal->top = 0;
    terminal->bottom = terminal->rows;
    terminal->show_cursor = terminal->auto_wrap = true;
    terminal->insert = terminal->origin = false;
    terminal->alternate = false;
    terminal->last = ' ';
    erase_all(terminal);
}

/* --- lines --- */

/* Blank cells keep the paper the pen has: that is how programs colour a whole line. */
void terminal_erase(struct terminal *terminal, u32 row, u32 from, u32 to)
{
    struct pen pen = {.ink = COLOUR_DEFAULT, .paper = terminal->cursor.pen.paper};
    struct cell blank = {.character = ' '};

    pen_colours(&pen, &blank);
    for (u32 column = from; column < to; column++)
        terminal->grid.lines[row][column] = blank;
    terminal->changed[row] = true;
}

static void erase_lines(struct terminal *terminal, u32 from, u32 to)
{
    for (u32 row = from; row < to; row++)
        terminal_erase(terminal, row, 0, terminal->columns);
}

/* Turns the lines from..to-1 round, until the first is where line from + count was. */
static void rotate(struct terminal *terminal, u32 from, u32 to, u32 count)
{
    struct cell **lines = terminal->grid.lines;

    for (u32 i = 0; i < count; i++) {
        struct cell *first = lines[from];

        memmove(lines + from, lines + from + 1, (to - from - 1) * sizeof(*lines));
        lines[to - 1] = first;
    }
    memset(terminal->changed + from, true, to - from);
}

void terminal_scroll_up(struct terminal *terminal, u32 from, u32 to, u32 count)
{
    count = MIN(count, to - from);
    rotate(terminal, from, to, count);
    erase_lines(terminal, to - count, to);
}

void terminal_scroll_down(struct terminal *terminal, u32 from, u32 to, u32 count)
{
    count = MIN(count, to - from);
    rotate(terminal, from, to, to - from - count);
    erase_lines(terminal, from, from + count);
}

void terminal_line_feed(struct terminal *terminal)
{
    struct cursor *cursor = &terminal->cursor;

    cursor->wrap = false;
    if (cursor->row + 1 == terminal->bottom)
        terminal_scroll_up(terminal, terminal->top, terminal->bottom, 1);
    else if (cursor->row + 1 < terminal->rows)
        cursor->row++;
}

void terminal_reverse_line_feed(struct terminal *terminal)
{
    struct cursor *cursor = &terminal->cursor;

    cursor->wrap = false;
    if (cursor->row == terminal->top)
        terminal_scroll_down(terminal, terminal->top, terminal->bottom, 1);
    else if (cursor->row > 0)
        cursor->row--;
}

/* --- cells --- */

void terminal_move(struct terminal *terminal, u32 row, u32 column)
{
    terminal->cursor.row = MIN(row, terminal->rows - 1);
    terminal->cursor.column = MIN(column, terminal->columns - 1);
    terminal->cursor.wrap = false;
}

void terminal_insert_cells(struct terminal *terminal, u32 count)
{
    struct cursor *cursor = &terminal->cursor;
    struct cell *at = terminal->grid.lines[cursor->row] + cursor->column;
    u32 rest = terminal->columns - cursor->column;

    count = MIN(count, rest);
    memmove(at + count, at, (rest - count) * sizeof(*at));
    terminal_erase(terminal, cursor->row, cursor->column, cursor->column + count);
    cursor->wrap = false;
}

void terminal_delete_cells(struct terminal *terminal, u32 count)
{
    struct cursor *cursor = &terminal->cursor;
    struct cell *at = terminal->grid.lines[cursor->row] + cursor->column;
    u32 rest = terminal->columns - cursor->column;

    count = MIN(count, rest);
    memmove(at, at + count, (rest - count) * sizeof(*at));
    terminal_erase(terminal, cursor->row, terminal->columns - count, terminal->columns);
    cursor->wrap = false;
}

/* The cursor stays on the last column once that is written, so that a full line does not scroll a
 * full screen; the line is left by the next character. */
void terminal_put(struct terminal *terminal, u32 character)
{
    struct cursor *cursor = &terminal->cursor;
    struct cell *cell;

    if (cursor->wrap) {
        cursor->column = 0;
        terminal_line_feed(terminal);
    }
    if (terminal->insert)
        terminal_insert_cells(terminal, 1);
    cell = &terminal->grid.lines[cursor->row][cursor->column];
    cell->character = character;
    pen_colours(&cursor->pen, cell);
    terminal->changed[cursor->row] = true;
    terminal->last = character;
    if (cursor->column + 1 < terminal->columns)
        cursor->column++;
    else
        cursor->wrap = terminal->auto_wrap;
}

/* --- two screens --- */

void terminal_use_alternate(struct terminal *terminal, bool alternate)
{
    struct grid grid = terminal->grid;

    if (terminal->alternate == alternate)
        return;
    terminal->alternate = alternate;
    terminal->grid = terminal->other;
    terminal->other = grid;
    memset(terminal->changed, true, terminal->rows);
    if (alternate)
        erase_all(terminal);
}
