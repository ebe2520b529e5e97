/*
 * The line editor: reads one line from a terminal with editing, history and completion.
 *
 * The terminal is in raw mode only while a line is read. After a key the line is drawn afresh:
 * carriage return, prompt, the part of the line that fits, erase to the right, cursor to its
 * column; but a character typed at the end of a line that fits is just printed, for serial lines
 * are slow. A character is a UTF-8 sequence; it is taken to be one column wide.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "sh.h"

#define HISTORY_MAX 200
#define CONTROL(letter) ((letter)&31)

enum key {
    KEY_END_OF_INPUT = -1,
    KEY_NONE = 256, /* an escape sequence of no use here */
    KEY_UP,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
};

struct editor {
    const char *prompt;
    struct text line;
    size_t cursor;     /* byte index */
    size_t first;      /* first byte shown */
    bool drawn;        /* the terminal shows the line as it is */
    int history_at;    /* history_count: the line being typed */
    struct text typed; /* that line, while the history is shown */
};

static char *history[HISTORY_MAX];
static int history_count;

static void history_add(const char *line)
{
    if (!*line || (history_count > 0 && strcmp(history[history_count - 1], line) == 0)) {
        return;
    }
    if (history_count == HISTORY_MAX) {
        free(history[0]);
        memmove(history, history + 1, (HISTORY_MAX - 1) * sizeof *history);
        history_count--;
    }
    history[history_count++] = must(strdup(line));
}

static int read_byte(void)
{
    unsigned char byte;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &byte, 1)) < 0 && errno == EINTR) {
    }
    return got == 1 ? byte : KEY_END_OF_INPUT;
}

/* Behind an escape: the sequence of a key, or nothing if the escape key itself was pressed. */
static int read_escape(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, 50) <= 0) {
        return KEY_NONE;
    }
    int introducer = read_byte(), number = 0, byte;
    if (introducer != '[' && introducer != 'O') {
        return KEY_NONE;
    }
    while ((byte = read_byte()) >= '0' && byte <= ';') {
        number = byte <= '9' ? 10 * number + byte - '0' : 0;
    }
    if (byte == '~') {
        return number == 1 || number == 7   ? KEY_HOME
               : number == 4 || number == 8 ? KEY_END
               : number == 3                ? KEY_DELETE
                                            : KEY_NONE;
    }
    switch (byte) {
    case 'A': return KEY_UP;
    case 'B': return KEY_DOWN;
    case 'C': return KEY_RIGHT;
    case 'D': return KEY_LEFT;
    case 'H': return KEY_HOME;
    case 'F': return KEY_END;
    }
    return KEY_NONE;
}

static int read_key(void)
{
    int byte = read_byte();
    return byte == CONTROL('[') ? read_escape() : byte;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

static size_t previous(const struct editor *e, size_t at)
{
    while (at > 0 && is_continuation(e->line.bytes[--at])) {
    }
    return at;
}

static size_t next(const struct editor *e, size_t at)
{
    if (at < e->line.length) {
        at++;
    }
    while (at < e->line.length && is_continuation(e->line.bytes[at])) {
        at++;
    }
    return at;
}

static size_t columns(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += !is_continuation(text[i]);
    }
    return count;
}

static size_t terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

static size_t room_for_line(const struct editor *e)
{
    size_t prompt = columns(e->prompt, strlen(e->prompt)), width = terminal_width();
    return width > prompt + 10 ? width - prompt - 1 : 10;
}

static void draw(struct editor *e)
{
    size_t prompt = columns(e->prompt, strlen(e->prompt)), room = room_for_line(e);
    if (e->first > e->cursor) {
        e->first = e->cursor;
    }
    while (columns(e->line.bytes + e->first, e->cursor - e->first) > room) {
        e->first = next(e, e->first);
    }
    size_t end = e->first;
    for (size_t shown = 0; shown < room && end < e->line.length; shown++) {
        end = next(e, end);
    }
    fprintf(stderr, "\r%s%.*s\033[K\r\033[%zuC", e->prompt, (int)(end - e->first),
            e->line.bytes + e->first,
            prompt + columns(e->line.bytes + e->first, e->cursor - e->first));
    fflush(stderr);
}

static void insert(struct editor *e, const char *bytes, size_t length)
{
    text_add(&e->line, bytes, length);
    memmove(e->line.bytes + e->cursor + length, e->line.bytes + e->cursor,
            e->line.length - length - e->cursor);
    memcpy(e->line.bytes + e->cursor, bytes, length);
    e->cursor += length;
    text_string(&e->line);
}

static void erase(struct editor *e, size_t from, size_t to)
{
    memmove(e->line.bytes + from, e->line.bytes + to, e->line.length - to);
    e->line.length -= to - from;
    e->cursor = from;
    text_string(&e->line);
}

static void type(struct editor *e, char byte)
{
    bool simple = e->cursor == e->line.length && e->first == 0 &&
                  columns(e->line.bytes, e->line.length) < room_for_line(e);
    insert(e, &byte, 1);
    if (simple) {
        fputc(byte, stderr);
        e->drawn = true;
    }
}

static void erase_word(struct editor *e)
{
    size_t from = e->cursor;
    while (from > 0 && e->line.bytes[from - 1] == ' ') {
        from--;
    }
    while (from > 0 && e->line.bytes[from - 1] != ' ') {
        from--;
    }
    erase(e, from, e->cursor);
}

static void replace_line(struct editor *e, const char *with)
{
    e->line.length = e->cursor = e->first = 0;
    insert(e, with, strlen(with));
}

static void show_history(struct editor *e, int step)
{
    int at = e->history_at + step;
    if (at < 0 || at > history_count) {
        return;
    }
    if (e->history_at == history_count) {
        e->typed.length = 0;
        text_add(&e->typed, e->line.bytes, e->line.length);
    }
    e->history_at = at;
    replace_line(e, at == history_count ? text_string(&e->typed) : history[at]);
}

static void complete(struct editor *e)
{
    struct text addition = {0}, choices = {0};
    size_t count = complete_at(e->line.bytes, e->cursor, &addition, &choices);
    if (addition.length > 0) {
        insert(e, addition.bytes, addition.length);
    } else if (count > 1) {
        fprintf(stderr, "\r\n%s\r\n", text_string(&choices));
    }
    text_free(&addition);
    text_free(&choices);
}

static void edit(struct editor *e, int key)
{
    switch (key) {
    case KEY_UP:
    case CONTROL('P'): show_history(e, -1); break;
    case KEY_DOWN:
    case CONTROL('N'): show_history(e, 1); break;
    case KEY_LEFT:
    case CONTROL('B'): e->cursor = previous(e, e->cursor); break;
    case KEY_RIGHT:
    case CONTROL('F'): e->cursor = next(e, e->cursor); break;
    case KEY_HOME:
    case CONTROL('A'): e->cursor = 0; break;
    case KEY_END:
    case CONTROL('E'): e->cursor = e->line.length; break;
    case KEY_DELETE:
    case CONTROL('D'): erase(e, e->cursor, next(e, e->cursor)); break;
    case 127:
    case CONTROL('H'): erase(e, previous(e, e->cursor), e->cursor); break;
    case CONTROL('U'): erase(e, 0, e->cursor); break;
    case CONTROL('K'):
        erase(e, e->cursor, e->line.length);
        e->cursor = e->line.length;
        break;
    case CONTROL('W'): erase_word(e); break;
    case CONTROL('L'): fputs("\033[H\033[2J", stderr); break;
    case '\t': complete(e); break;
    default:
        if (key >= ' ' && key < 256) {
            type(e, (char)key);
        }
    }
}

/* Returns true with a line, false at the end of input or, with shell.interrupted set, on Ctrl-C. */
static bool edit_until_done(struct editor *e)
{
    for (;;) {
        if (!e->drawn) {
            draw(e);
        }
        e->drawn = false;
        int key = read_key();
        if (key == '\r' || key == '\n') {
            return true;
        }
        if (key == CONTROL('C')) {
            fputs("^C", stderr);
            shell.interrupted = 1;
            return false;
        }
        if (key == KEY_END_OF_INPUT || (key == CONTROL('D') && e->line.length == 0)) {
            return false;
        }
        edit(e, key);
    }
}

/* Reads a line with the terminal's own simple editing, where there is no raw mode. */
static bool read_plainly(const char *prompt, struct text *into)
{
    fputs(prompt, stderr);
    for (int byte; (byte = read_byte()) != KEY_END_OF_INPUT;) {
        if (byte == '\n') {
            return true;
        }
        text_put(into, (char)byte);
    }
    return false;
}

/*
 * Shows prompt and appends a line, without its newline, to into. Returns false at the end of input,
 * and on Ctrl-C, which also sets shell.interrupted.
 */
bool line_read(const char *prompt, struct text *into)
{
    struct termios before, raw;
    if (tcgetattr(STDIN_FILENO, &before) < 0) {
        return read_plainly(prompt, into);
    }
    raw = before;
    raw.c_iflag &= (tcflag_t) ~(ICRNL | IXON | ISTRIP | INLCR);
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    struct editor e = {.prompt = prompt, .history_at = history_count};
    text_string(&e.line);
    bool got = edit_until_done(&e);
    if (got) {
        history_add(e.line.bytes);
        text_add(into, e.line.bytes, e.line.length);
    }
    fputs("\r\n", stderr);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    text_free(&e.line);
    text_free(&e.typed);
    return got;
}
