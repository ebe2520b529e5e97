/*
 * terminal.h: a text terminal without hardware: a grid of cells and a cursor (terminal.c), changed
 * by bytes as programs send them to a terminal (ansi.c). The screen paints the cells of the lines
 * that are marked as changed.
 *
 * The lines are pointers into one array, so that scrolling moves pointers, not cells. Rows and
 * columns count from 0.
 */
#pragma once

#include "lib/types.h"

#define TERMINAL_PARAMETERS 16
#define TERMINAL_ANSWER 32

struct cell {
    u32 character; /* Unicode */
    u32 ink;       /* 0xrrggbb; with CELL_UNDERLINE */
    u32 paper;     /* 0xrrggbb */
};
#define CELL_UNDERLINE (1u << 24)

/* A colour as programs name it: one of the 256, or COLOUR_TRUE | 0xrrggbb, or the default. */
#define COLOUR_TRUE (1u << 24)
#define COLOUR_DEFAULT (1u << 25)

struct pen {
    u32 ink, paper;
    bool bold, faint, underline, reverse, hidden;
};

struct cursor {
    u32 row, column;
    bool wrap; /* the last column was written: the next character goes to the next line */
    struct pen pen;
    bool graphics[2]; /* character sets G0 and G1: line drawing instead of ASCII */
    u8 set;           /* which of them is used */
};

struct grid {
    struct cell **lines;
    struct cell *cells;
};

struct terminal {
    u32 rows, columns;
    struct grid grid, other; /* the one in use; the other of main and alternate screen */
    bool alternate;
    bool *changed; /* one for each row */
    struct cursor cursor, saved, saved_main;
    u32 top, bottom; /* the scrolling region: first row, one past the last */
    bool show_cursor, auto_wrap, insert, origin;
    /* ansi.c: where it is in a sequence */
    u8 state, intermediate, private;
    u32 parameters[TERMINAL_PARAMETERS], parameter_count;
    u32 unicode, unicode_left; /* a UTF-8 sequence: bits so far, bytes to come */
    u32 last;                  /* the character written last, to repeat it */
    u32 to_skip;
    /* Answers to what programs ask, for their input. */
    u8 answer[TERMINAL_ANSWER];
    u32 answer_length;
};

/* --- terminal.c --- */

/* All blank. At least 1 by 2. False: no memory. */
bool terminal_init(struct terminal *terminal, u32 rows, u32 columns);
void terminal_destroy(struct terminal *terminal);
/* The state after power-on, screen cleared. */
void terminal_reset(struct terminal *terminal);

/* Writes one character at the cursor. */
void terminal_put(struct terminal *terminal, u32 character);
/* Moves the cursor, to the edge at most. */
void terminal_move(struct terminal *terminal, u32 row, u32 column);
/* To the next line or the one before, scrolling at the region's edge. */
void terminal_line_feed(struct terminal *terminal);
void terminal_reverse_line_feed(struct terminal *terminal);
/* Scrolls rows from..to-1 by count lines; those that come in are blank. */
void terminal_scroll_up(struct terminal *terminal, u32 from, u32 to, u32 count);
void terminal_scroll_down(struct terminal *terminal, u32 from, u32 to, u32 count);
/* Blanks columns from..to-1 of a row. */
void terminal_erase(struct terminal *terminal, u32 row, u32 from, u32 to);
/* Moves the rest of the cursor's line right or left by count columns. */
void terminal_insert_cells(struct terminal *terminal, u32 count);
void terminal_delete_cells(struct terminal *terminal, u32 count);
/* Changes between the main screen and the alternate one. */
void terminal_use_alternate(struct terminal *terminal, bool alternate);

/* --- ansi.c --- */

/* Takes what a program has written. Cut sequences go on with the next call. */
void terminal_write(struct terminal *terminal, const u8 *bytes, u32 length);

/* --- colour.c --- */

extern const struct pen pen_default;
/* The SGR sequence: ESC [ parameters m. */
void pen_change(struct pen *pen, const u32 *parameters, u32 count);
/* The colours of a cell written with this pen. */
void pen_colours(const struct pen *pen, struct cell *cell);
