/*
 * ansi.c: bytes to a terminal: UTF-8 characters, control characters, and the escape sequences of
 * ECMA-48 and the DEC terminals that programs written for TERM=linux or xterm send.
 *
 *     TEXT ── ESC ──▶ ESCAPE ── [ ──▶ SEQUENCE ── a letter ──▶ TEXT
 *                       ├── ( ) # ... ──▶ DESIGNATE ── any ──▶ TEXT
 *                       ├── ] ──▶ COMMAND ── R ──▶ TEXT
 *                       │            ├── P ──▶ COLOUR ── seven digits ──▶ TEXT
 *                       │            └── any ──▶ STRING
 *                       ├── P ^ _ X ──▶ STRING ── BEL or ESC \ ──▶ TEXT
 *                       └── a letter ──▶ TEXT
 *
 * A control character inside a sequence is obeyed and the sequence goes on, as on the real ones.
 */
#include "user/servers/console/terminal.h"
#include <stdio.h>
#include <string.h>

enum state { TEXT, ESCAPE, SEQUENCE, DESIGNATE, COMMAND, COLOUR, STRING, STRING_ESCAPE };
enum { BELL = 7, SHIFT_OUT = 14, SHIFT_IN = 15, CANCEL = 24, SUBSTITUTE = 26, ESC = 27 };
#define TAB_WIDTH 8
#define UNKNOWN 0xfffd
#define PARAMETER_MAX 9999
#define COLOUR_DIGITS 7

/* The line drawing set, from '`' on. */
static const u16 graphics[] = {
    0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0, 0x00b1, 0x2424, 0x240b, 0x2518,
    0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c, 0x2524,
    0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3, 0x00b7,
};

/* --- sequences: ESC [ --- */

/* A parameter that counts something: 1 when it is missing or 0. */
static u32 count_of(const struct terminal *terminal, u32 which)
{
    u32 value = which < terminal->parameter_count ? terminal->parameters[which] : 0;

    return value ? value : 1;
}

static u32 parameter(const struct terminal *terminal, u32 which)
{
    return which < terminal->parameter_count ? terminal->parameters[which] : 0;
}

static void answer(struct terminal *terminal, const char *text)
{
    u32 length = (u32)strlen(text);

    if (terminal->answer_length + length > TERMINAL_ANSWER)
        return;
    memcpy(terminal->answer + terminal->answer_length, text, length);
    terminal->answer_length += length;
}

static void report(struct terminal *terminal)
{
    const struct cursor *cursor = &terminal->cursor;
    u32 row = cursor->row - (terminal->origin ? terminal->top : 0);
    char text[TERMINAL_ANSWER];

    if (parameter(terminal, 0) == 5)
        answer(terminal, "\033[0n");
    if (parameter(terminal, 0) != 6)
        return;
    snprintf(text, sizeof(text), "\033[%u;%uR", row + 1, cursor->column + 1);
    answer(terminal, text);
}

/* Up and down stop at the region's edges, if they start inside it. */
static void move_rows(struct terminal *terminal, bool down, u32 count)
{
    u32 row = terminal->cursor.row;
    u32 low = row >= terminal->top ? terminal->top : 0;
    u32 high = row < terminal->bottom ? terminal->bottom - 1 : terminal->rows - 1;

    row = down ? MIN(row + count, high) : row - MIN(count, row - low);
    terminal_move(terminal, row, terminal->cursor.column);
}

static void move_columns(struct terminal *terminal, bool right, u32 count)
{
    u32 column = terminal->cursor.column;

    column = right ? column + count : column - MIN(count, column);
    terminal_move(terminal, terminal->cursor.row, column);
}

/* To a row as programs count it: from 1, and from the region's top if so set. */
static void move_to(struct terminal *terminal, u32 row, u32 column)
{
    row--;
    if (terminal->origin)
        row = MIN(row + terminal->top, terminal->bottom - 1);
    terminal_move(terminal, row, column - 1);
}

static void erase_screen(struct terminal *terminal, u32 how)
{
    u32 row = terminal->cursor.row, column = terminal->cursor.column;
    u32 first = how == 0 ? row + 1 : 0, end = how == 1 ? row : terminal->rows;

    if (how > 3)
        return;
    if (how == 0)
        terminal_erase(terminal, row, column, terminal->columns);
    if (how == 1)
        terminal_erase(terminal, row, 0, column + 1);
    for (; first < end; first++)
        terminal_erase(terminal, first, 0, terminal->columns);
}

static void erase_line(struct terminal *terminal, u32 how)
{
    u32 column = terminal->cursor.column;

    if (how <= 2)
        terminal_erase(terminal, terminal->cursor.row, how == 0 ? column : 0,
                       how == 1 ? column + 1 : terminal->columns);
}

static void erase_characters(struct terminal *terminal, u32 count)
{
    u32 column = terminal->cursor.column;

    terminal_erase(terminal, terminal->cursor.row, column, MIN(column + count, terminal->columns));
}

/* Inserting and deleting lines is scrolling what is below the cursor. */
static void change_lines(struct terminal *terminal, bool insert)
{
    u32 row = terminal->cursor.row;

    if (row < terminal->top || row >= terminal->bottom)
        return;
    if (insert)
        terminal_scroll_down(terminal, row, terminal->bottom, count_of(terminal, 0));
    else
        terminal_scroll_up(terminal, row, terminal->bottom, count_of(terminal, 0));
    terminal_move(terminal, row, 0);
}

static void set_region(struct terminal *terminal)
{
    u32 top = count_of(terminal, 0) - 1, bottom = parameter(terminal, 1);

    if (bottom == 0 || bottom > terminal->rows)
        bottom = terminal->rows;
    if (top + 1 >= bottom)
        return;
    terminal->top = top;
    terminal->bottom = bottom;
    move_to(terminal, 1, 1);
}

/* Numbers 1047 to 1049 differ in what else they do: 1048 saves the cursor, 1049 is both. */
static void set_alternate(struct terminal *terminal, bool on)
{
    if (on)
        terminal->saved_main = terminal->cursor;
    terminal_use_alternate(terminal, on);
    if (!on)
        terminal->cursor = terminal->saved_main;
}

static void set_private_mode(struct terminal *terminal, u32 mode, bool on)
{
    switch (mode) {
    case 6:
        terminal->origin = on;
        move_to(terminal, 1, 1);
        break;
    case 7: terminal->auto_wrap = on; break;
    case 25: terminal->show_cursor = on; break;
    case 47:
    case 1047: terminal_use_alternate(terminal, on); break;
    case 1048:
        if (on)
            terminal->saved = terminal->cursor;
        else
            terminal->cursor = terminal->saved;
        break;
    case 1049: set_alternate(terminal, on); break;
    }
}

static void set_modes(struct terminal *terminal, bool on)
{
    for (u32 i = 0; i < terminal->parameter_count; i++) {
        if (terminal->private == '?')
            set_private_mode(terminal, terminal->parameters[i], on);
        else if (terminal->parameters[i] == 4)
            terminal->insert = on;
    }
}

static void repeat(struct terminal *terminal, u32 count)
{
    for (count = MIN(count, terminal->rows * terminal->columns); count; count--)
        terminal_put(terminal, terminal->last);
}

static void move_sequence(struct terminal *terminal, u8 final, u32 count)
{
    struct cursor *cursor = &terminal->cursor;

    switch (final) {
    case 'A': move_rows(terminal, false, count); break;
    case 'B':
    case 'e': move_rows(terminal, true, count); break;
    case 'C':
    case 'a': move_columns(terminal, true, count); break;
    case 'D': move_columns(terminal, false, count); break;
    case 'E':
    case 'F':
        move_rows(terminal, final == 'E', count);
        cursor->column = 0;
        break;
    case 'G':
    case '`': terminal_move(terminal, cursor->row, count - 1); break;
    case 'H':
    case 'f': move_to(terminal, count, count_of(terminal, 1)); break;
    case 'd': move_to(terminal, count, cursor->column + 1); break;
    }
}

static void edit_sequence(struct terminal *terminal, u8 final, u32 count)
{
    switch (final) {
    case '@': terminal_insert_cells(terminal, count); break;
    case 'P': terminal_delete_cells(terminal, count); break;
    case 'X': erase_characters(terminal, count); break;
    case 'J': erase_screen(terminal, parameter(terminal, 0)); break;
    case 'K': erase_line(terminal, parameter(terminal, 0)); break;
    case 'L':
    case 'M': change_lines(terminal, final == 'L'); break;
    case 'S': terminal_scroll_up(terminal, terminal->top, terminal->bottom, count); break;
    case 'T': terminal_scroll_down(terminal, terminal->top, terminal->bottom, count); break;
    case 'b': repeat(terminal, count); break;
    }
}

/* Only modes have sequences with a sign before the parameters that mean something here. */
static void sequence(struct terminal *terminal, u8 final)
{
    if (terminal->intermediate || (terminal->private && final != 'h' && final != 'l'))
        return;
    switch (final) {
    case 'h':
    case 'l': set_modes(terminal, final == 'h'); break;
    case 'm':
        pen_change(&terminal->cursor.pen, terminal->parameters, terminal->parameter_count);
        break;
    case 'r': set_region(terminal); break;
    case 's': terminal->saved = terminal->cursor; break;
    case 'u': terminal->cursor = terminal->saved; break;
    case 'n': report(terminal); break;
    case 'c': answer(terminal, "\033[?6c"); break;
    default:
        move_sequence(terminal, final, count_of(terminal, 0));
        edit_sequence(terminal, final, count_of(terminal, 0));
    }
}

static void begin_sequence(struct terminal *terminal)
{
    terminal->state = SEQUENCE;
    terminal->private = terminal->intermediate = 0;
    terminal->parameter_count = 1;
    memset(terminal->parameters, 0, sizeof(terminal->parameters));
}

static void sequence_byte(struct terminal *terminal, u8 byte)
{
    u32 *last = &terminal->parameters[terminal->parameter_count - 1];

    if (byte >= '0' && byte <= '9') {
        *last = MIN(*last * 10 + byte - '0', PARAMETER_MAX);
    } else if (byte == ';' || byte == ':') {
        if (terminal->parameter_count < TERMINAL_PARAMETERS)
            terminal->parameter_count++;
    } else if (byte >= '<' && byte <= '?') {
        terminal->private = byte;
    } else if (byte < '@') {
        terminal->intermediate = byte;
    } else {
        terminal->state = TEXT;
        sequence(terminal, byte);
    }
}

/* --- other escapes --- */

static void escape_byte(struct terminal *terminal, u8 byte)
{
    terminal->state = TEXT;
    switch (byte) {
    case '[': begin_sequence(terminal); break;
    case ']': terminal->state = COMMAND; break;
    case 'P':
    case '^':
    case '_':
    case 'X': terminal->state = STRING; break;
    case '7': terminal->saved = terminal->cursor; break;
    case '8': terminal->cursor = terminal->saved; break;
    case 'D': terminal_line_feed(terminal); break;
    case 'E':
        terminal->cursor.column = 0;
        terminal_line_feed(terminal);
        break;
    case 'M': terminal_reverse_line_feed(terminal); break;
    case 'c':
        terminal_use_alternate(terminal, false);
        terminal_reset(terminal);
        break;
    default:
        if (byte >= ' ' && byte <= '/') {
            terminal->intermediate = byte;
            terminal->state = DESIGNATE;
        }
    }
}

static void designate_byte(struct terminal *terminal, u8 byte)
{
    if (terminal->intermediate == '(' || terminal->intermediate == ')')
        terminal->cursor.graphics[terminal->intermediate - '('] = byte == '0';
    terminal->state = TEXT;
}

/* After ESC ]: the console of Linux has two that set colours and have no end mark. */
static void command_byte(struct terminal *terminal, u8 byte)
{
    terminal->state = byte == 'R' ? TEXT : byte == 'P' ? COLOUR : STRING;
    terminal->to_skip = COLOUR_DIGITS;
}

static void colour_byte(struct terminal *terminal)
{
    if (--terminal->to_skip == 0)
        terminal->state = TEXT;
}

/* A title or the like: nothing to be seen. */
static void string_byte(struct terminal *terminal, u8 byte)
{
    if (byte == BELL || (terminal->state == STRING_ESCAPE && byte == '\\'))
        terminal->state = TEXT;
    else
        terminal->state = byte == ESC ? STRING_ESCAPE : STRING;
}

/* --- text --- */

static void control(struct terminal *terminal, u8 byte)
{
    struct cursor *cursor = &terminal->cursor;

    switch (byte) {
    case '\b': move_columns(terminal, false, 1); break;
    case '\t':
        terminal_move(terminal, cursor->row, ALIGN_DOWN(cursor->column, TAB_WIDTH) + TAB_WIDTH);
        break;
    case '\n':
    case '\v':
    case '\f': terminal_line_feed(terminal); break;
    case '\r': terminal_move(terminal, cursor->row, 0); break;
    case SHIFT_OUT:
    case SHIFT_IN: cursor->set = byte == SHIFT_OUT; break;
    case CANCEL:
    case SUBSTITUTE: terminal->state = TEXT; break;
    case ESC: terminal->state = ESCAPE; break;
    }
}

static void begin_unicode(struct terminal *terminal, u8 byte)
{
    if (byte >= 0xc2 && byte <= 0xdf) {
        terminal->unicode = byte & 0x1f;
        terminal->unicode_left = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        terminal->unicode = byte & 0x0f;
        terminal->unicode_left = 2;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        terminal->unicode = byte & 0x07;
        terminal->unicode_left = 3;
    } else {
        terminal_put(terminal, UNKNOWN);
    }
}

static void text_byte(struct terminal *terminal, u8 byte)
{
    const struct cursor *cursor = &terminal->cursor;

    if (terminal->unicode_left && (byte & 0xc0) == 0x80) {
        terminal->unicode = terminal->unicode << 6 | (byte & 0x3f);
        if (--terminal->unicode_left == 0)
            terminal_put(terminal, terminal->unicode);
        return;
    }
    if (terminal->unicode_left) {
        terminal->unicode_left = 0;
        terminal_put(terminal, UNKNOWN);
    }
    if (byte >= 0x80)
        begin_unicode(terminal, byte);
    else if (byte >= '`' && byte <= '~' && cursor->graphics[cursor->set])
        terminal_put(terminal, graphics[byte - '`']);
    else if (byte != 0x7f)
        terminal_put(terminal, byte);
}

void terminal_write(struct terminal *terminal, const u8 *bytes, u32 length)
{
    for (u32 i = 0; i < length; i++) {
        u8 byte = bytes[i];

        if (byte < ' ' && terminal->state < STRING) {
            terminal->unicode_left = 0;
            control(terminal, byte);
            continue;
        }
        switch ((enum state)terminal->state) {
        case TEXT: text_byte(terminal, byte); break;
        case ESCAPE: escape_byte(terminal, byte); break;
        case SEQUENCE: sequence_byte(terminal, byte); break;
        case DESIGNATE: designate_byte(terminal, byte); break;
        case COMMAND: command_byte(terminal, byte); break;
        case COLOUR: colour_byte(terminal); break;
        case STRING:
        case STRING_ESCAPE: string_byte(terminal, byte); break;
        }
    }
}
