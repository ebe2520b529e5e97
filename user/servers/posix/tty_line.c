/*
 * The line discipline: what typed bytes mean.
 *
 * Each byte goes through the same steps: flow control, signals, the mapping of carriage return and
 * newline, then in canonical mode the editing of a line that no read sees before it is complete.
 * All of it happens when the byte comes, by the modes of that moment, so ^C works while nobody
 * reads.
 *
 * While there are lines to read but no room for more, bytes stay with the console server; one long
 * line without an end loses what is beyond its limit, for only its end can make room.
 */
#define _GNU_SOURCE
#include "user/servers/posix/tty_line.h"
#include "user/lib/spawn.h"
#include <ctype.h>
#include <merganser/console.h>
#include <merganser/native.h>
#include <string.h>
#include <termios.h>

#define LINE_BYTES 4095u /* of one line, without its end */
#define TAB 8u
#define RUBOUT "\b \b"

static_assert(LINE_BYTES + CONSOLE_INLINE < INPUT_BYTES, "a line and what comes with its end fit");

static struct tty_input *const in = &tty.input;

static u8 *byte_at(u32 n)
{
    return &in->bytes[n % INPUT_BYTES];
}

static u8 *mark_at(u32 n)
{
    return &in->marks[n % INPUT_BYTES];
}

/* Is the byte this control character? 0 stands for a character that is switched off. */
static bool is_char(u8 byte, int which)
{
    return byte && byte == tty.modes.chars[which];
}

static bool is_extended(u8 byte, int which)
{
    return tty_has(IEXTEN) && is_char(byte, which);
}

static bool is_control(u8 byte)
{
    return byte < ' ' || byte == 0x7f;
}

static bool is_inside_character(u8 byte)
{
    return tty.modes.input & IUTF8 && (byte & 0xc0) == 0x80;
}

/* ---- Echo ---- */

static bool is_shown_as_two(u8 byte)
{
    return tty_has(ECHOCTL) && is_control(byte) && byte != '\t' && byte != '\n';
}

static void show(u8 byte)
{
    u8 two[2] = {'^', byte ^ 0x40};

    if (is_shown_as_two(byte))
        tty_output_text(two, 2);
    else
        tty_output_text(&byte, 1);
}

static void echo(u8 byte)
{
    if (tty_has(ECHO))
        show(byte);
}

static void echo_newline(void)
{
    if (tty_has(ECHO) || tty_has(ECHONL))
        tty_output_text("\n", 1);
}

/* How far the cursor moves when a byte is shown at a column. */
static u32 width_at(u8 byte, u32 column)
{
    if (byte == '\t')
        return TAB - column % TAB;
    if (is_control(byte))
        return is_shown_as_two(byte) ? 2 : 0;
    return !is_inside_character(byte);
}

/* Where the echo of the edited line up to byte n ends. */
static u32 column_of(u32 n)
{
    u32 column = in->start_column;

    for (u32 at = in->ready; at != n; at++)
        column += width_at(*byte_at(at), column);
    return column;
}

static void rub_out(u32 from)
{
    u32 start = column_of(from), end = column_of(in->tail);

    for (; end > start; end--)
        tty_output_text(RUBOUT, sizeof RUBOUT - 1);
}

/* ---- The edited line ---- */

static void store(u8 byte, enum mark mark)
{
    if (in->tail == in->ready)
        in->start_column = tty_output_column();
    *byte_at(in->tail) = byte;
    *mark_at(in->tail) = mark;
    in->tail++;
}

static void end_line(u8 byte, enum mark mark)
{
    store(byte, mark);
    in->ready = in->tail;
}

static void add(u8 byte)
{
    if (in->tail - in->ready >= LINE_BYTES) {
        if (tty.modes.input & IMAXBEL)
            tty_output_raw("\a", 1);
        return;
    }
    store(byte, MARK_NONE);
    echo(byte);
}

/* The start of the character that ends before byte n. */
static u32 character_before(u32 n)
{
    do
        n--;
    while (n != in->ready && is_inside_character(*byte_at(n)));
    return n;
}

/* Takes the line back to byte n; `byte` is what asked for it. */
static void erase_to(u32 n, u8 byte)
{
    if (n == in->tail)
        return;
    if (tty_has(ECHO) && tty_has(ECHOE))
        rub_out(n);
    else
        echo(byte);
    in->tail = n;
}

static void erase_word(u8 byte)
{
    bool seen = false;
    u32 n = in->tail;

    while (n != in->ready) {
        u32 before = character_before(n);
        u8 first = *byte_at(before);
        bool in_word = isalnum(first) || first == '_' || first >= 0x80;

        if (seen && !in_word)
            break;
        seen |= in_word;
        n = before;
    }
    erase_to(n, byte);
}

static void kill_line(u8 byte)
{
    if (tty_has(ECHOKE) && tty_has(ECHOE)) {
        erase_to(in->ready, byte);
        return;
    }
    echo(byte);
    if (tty_has(ECHO) && tty_has(ECHOK))
        tty_output_text("\n", 1);
    in->tail = in->ready;
}

static void show_again(u8 byte)
{
    if (!tty_has(ECHO))
        return;
    show(byte);
    tty_output_text("\n", 1);
    in->start_column = 0;
    for (u32 n = in->ready; n != in->tail; n++)
        show(*byte_at(n));
}

/* ---- One byte ---- */

/* True if it only edits the line. */
static bool edit(u8 byte)
{
    if (is_char(byte, VERASE))
        erase_to(in->tail == in->ready ? in->tail : character_before(in->tail), byte);
    else if (is_char(byte, VKILL))
        kill_line(byte);
    else if (is_extended(byte, VWERASE))
        erase_word(byte);
    else if (is_extended(byte, VREPRINT))
        show_again(byte);
    else
        return false;
    return true;
}

static void receive_canonical(u8 byte)
{
    if (edit(byte))
        return;
    if (is_extended(byte, VLNEXT)) {
        in->literal = true;
        if (tty_has(ECHO) && tty_has(ECHOCTL))
            tty_output_text("^\b", 2);
    } else if (byte == '\n') {
        echo_newline();
        end_line(byte, MARK_LINE_END);
    } else if (is_char(byte, VEOF)) {
        end_line('\0', MARK_EOF);
    } else if (is_char(byte, VEOL) || is_extended(byte, VEOL2)) {
        echo(byte);
        end_line(byte, MARK_LINE_END);
    } else {
        add(byte);
    }
}

static void receive_raw(u8 byte)
{
    echo(byte);
    end_line(byte, MARK_NONE);
}

/* True for the characters that stop output and let it go on. */
static bool control_flow(u8 byte)
{
    if (!(tty.modes.input & IXON))
        return false;
    if (is_char(byte, VSTOP)) {
        tty_output_stop(true);
        return true;
    }
    if (is_char(byte, VSTART)) {
        tty_output_stop(false);
        return true;
    }
    if (tty_output_is_stopped() && tty.modes.input & IXANY)
        tty_output_stop(false);
    return false;
}

/* True for the characters that send a signal to the foreground group. */
static bool control_jobs(u8 byte)
{
    int number = is_char(byte, VINTR)   ? SIGINT
                 : is_char(byte, VQUIT) ? SIGQUIT
                 : is_char(byte, VSUSP) ? SIGTSTP
                                        : 0;

    if (!tty_has(ISIG) || !number)
        return false;
    if (!tty_has(NOFLSH)) {
        tty_input_flush();
        tty_output_flush();
    }
    tty_output_stop(false);
    echo(byte);
    if (tty.foreground)
        signal_send_group(tty.foreground, number, NULL);
    return true;
}

/* Carriage return and newline as the modes map them; false if the byte is to be ignored. */
static bool map_return(u8 *byte)
{
    if (*byte == '\r' && tty.modes.input & IGNCR)
        return false;
    if (*byte == '\r' && tty.modes.input & ICRNL)
        *byte = '\n';
    else if (*byte == '\n' && tty.modes.input & INLCR)
        *byte = '\r';
    return true;
}

static void receive(u8 byte)
{
    if (tty.modes.input & ISTRIP)
        byte &= 0x7f;
    if (in->literal) {
        in->literal = false;
        add(byte);
        return;
    }
    if (control_flow(byte) || control_jobs(byte) || !map_return(&byte))
        return;
    if (tty_has(ICANON))
        receive_canonical(byte);
    else
        receive_raw(byte);
}

/* ---- All that is there ---- */

static bool has_room(void)
{
    return INPUT_BYTES - (in->tail - in->head) >= CONSOLE_INLINE || !tty_input_is_ready();
}

void tty_input_take(void)
{
    while (in->more && has_room()) {
        struct mg_msg msg = {.label = CONSOLE_READ};
        u8 bytes[CONSOLE_INLINE];
        u64 count;

        if (mg_ipc_call(POSIX_HANDLE_CONSOLE, &msg) || msg.label || !msg.word[0]) {
            in->more = false;
            break;
        }
        count = MIN(msg.word[0], (u64)CONSOLE_INLINE);
        memcpy(bytes, &msg.word[1], sizeof bytes);
        for (u64 i = 0; i < count; i++)
            receive(bytes[i]);
        in->last = time_now();
        wait_wake(&tty.queue);
    }
    tty_output_push();
}

bool tty_input_type(u8 byte)
{
    if (!has_room())
        return false;
    receive(byte);
    in->last = time_now();
    wait_wake(&tty.queue);
    tty_output_push();
    return true;
}

/* ---- For read ---- */

u32 tty_input_available(void)
{
    u32 count = in->ready - in->head;

    for (u32 n = in->head; tty_has(ICANON) && n != in->ready; n++)
        count -= *mark_at(n) == MARK_EOF;
    return count;
}

bool tty_input_is_ready(void)
{
    return in->ready != in->head;
}

/* Copies a line without its end of file, or what is there; *next is the byte behind it. */
static usize copy_line(u8 *to, usize size, u32 *next)
{
    bool canonical = tty_has(ICANON);
    u32 n = in->head;
    usize count = 0;

    while (n != in->ready) {
        enum mark mark = canonical ? *mark_at(n) : MARK_NONE;

        if (count == size && mark != MARK_EOF)
            break;
        n++;
        if (mark == MARK_EOF)
            break;
        to[count++] = *byte_at(n - 1);
        if (mark == MARK_LINE_END)
            break;
    }
    *next = n;
    return count;
}

long tty_input_read(struct uio *io)
{
    static u8 line[INPUT_BYTES];
    u32 next;
    usize count = copy_line(line, MIN(io->left, sizeof line), &next);
    long done = count ? uio_put(io, line, count) : 0;

    if (done < 0)
        return done;
    in->head = done == (long)count ? next : in->head + (u32)done;
    tty_input_take();
    return done;
}

/* ---- Changes ---- */

void tty_input_flush(void)
{
    in->head = in->ready = in->tail;
    in->literal = false;
}

/* What was typed in raw mode counts as a line; in raw mode all there is can be read. */
void tty_input_mode_changed(bool was_canonical)
{
    bool canonical = tty_has(ICANON);

    if (canonical == was_canonical)
        return;
    in->literal = false;
    in->ready = in->tail;
    if (!canonical || in->head == in->tail)
        return;
    for (u32 n = in->head; n != in->tail; n++)
        *mark_at(n) = MARK_NONE;
    *mark_at(in->tail - 1) = MARK_LINE_END;
}
