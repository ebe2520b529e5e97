/*
 * What a terminal makes of typed bytes: lines and their editing, raw mode, mappings.
 *
 *   vm: --smp 2 --mem 256
 */
#define _GNU_SOURCE
#include "terminal.h"

#define CTRL(letter) ((letter)&0x1f)

static void lines_body(void)
{
    int count = -1;
    type("one\ntwo\n");
    ok(is_readable(), "a line is there");
    ok_equal(ioctl(tty, FIONREAD, &count), 0, "FIONREAD");
    ok_equal(count, 8, "both lines count");
    ok_text(read_text(100), "one\n", "read takes one line");
    ok_text(read_text(2), "tw", "a short read takes a part");
    ok_text(read_text(100), "o\n", "and the next one the rest");
    type("half");
    ok(!is_readable(), "a line without an end is not there");
    fcntl(tty, F_SETFL, O_NONBLOCK);
    ok_errno(read(tty, &count, 1), EAGAIN, "O_NONBLOCK");
    type(" and half\n");
    ok_text(read_text(100), "half and half\n", "its end makes it a line");
}

static void lines(void)
{
    in_session(lines_body);
}

static void editing_body(void)
{
    type("abx\x7f\x7f\x7f\x7fy\n");
    ok_text(read_text(100), "y\n", "erase, and no further than the line's start");
    type("a\xc3\xa4\x7f"
         "b\n");
    ok_text(read_text(100), "ab\n", "erase takes a character of UTF-8 as a whole");
    type("one two\x15three\n");
    ok_text(read_text(100), "three\n", "kill");
    type("one two  \x17three\n");
    ok_text(read_text(100), "one three\n", "word erase");
    type("a\x16\x03"
         "b\x16\x7f\n");
    ok_text(read_text(100),
            "a\x03"
            "b\x7f\n",
            "the next character taken literally");
}

static void set_utf8(void)
{
    struct termios modes;
    tcgetattr(tty, &modes);
    modes.c_iflag |= IUTF8;
    tcsetattr(tty, TCSANOW, &modes);
    editing_body();
}

static void editing(void)
{
    in_session(set_utf8);
}

static void end_of_file_body(void)
{
    type("\x04");
    ok(is_readable(), "an end of file is there");
    ok_text(read_text(100), "", "it reads as nothing");
    type("ab\x04"
         "c\n");
    ok_text(read_text(100), "ab", "behind text it ends a line");
    ok_text(read_text(100), "c\n", "the next line");
    type("abc\x04"
         "d\n");
    ok_text(read_text(3), "abc", "a read that ends right before it");
    ok_text(read_text(100), "d\n", "takes it along");
}

static void end_of_file(void)
{
    in_session(end_of_file_body);
}

static void set_input(tcflag_t off, tcflag_t on)
{
    struct termios modes;
    tcgetattr(tty, &modes);
    modes.c_iflag = (modes.c_iflag & ~off) | on;
    modes.c_cc[VEOL] = ';';
    tcsetattr(tty, TCSANOW, &modes);
}

static void mapping_body(void)
{
    const tcflag_t all = ICRNL | INLCR | IGNCR | ISTRIP;
    set_input(all, ICRNL);
    type("a\rb\n");
    ok_text(read_text(100), "a\n", "ICRNL");
    ok_text(read_text(100), "b\n", "a newline stays one");
    set_input(all, IGNCR);
    type("a\rb\n");
    ok_text(read_text(100), "ab\n", "IGNCR");
    set_input(all, INLCR);
    type("a\nb;");
    ok_text(read_text(100), "a\rb;", "INLCR, and VEOL ends a line");
    set_input(all, ISTRIP);
    type("\xe1\n");
    ok_text(read_text(100), "a\n", "ISTRIP");
}

static void mapping(void)
{
    in_session(mapping_body);
}

/* Milliseconds that a read of 100 bytes takes. */
static long timed_read(const char *wanted, const char *what)
{
    long start = now_ns(CLOCK_MONOTONIC);
    const char *got = read_text(100);
    long time = (now_ns(CLOCK_MONOTONIC) - start) / 1000000;
    ok_text(got, wanted, "%s", what);
    return time;
}

static void type_later(void)
{
    pause_ms(100);
    type("x");
    pause_ms(100);
    type("y");
}

static void raw_body(void)
{
    raw_mode(1, 0);
    type("ab");
    ok_text(read_text(1), "a", "MIN 1: what is there");
    ok_text(read_text(100), "b", "without waiting for more");
    pid_t typist = start(type_later);
    raw_mode(2, 0);
    ok_text(read_text(100), "xy", "MIN 2 waits for two bytes");
    ok_equal(reap(typist), 0, "that were typed one by one");
    type("z");
    ok(!is_readable(), "poll waits for MIN, too");
    ok_text(read_text(1), "z", "but a read of one byte does not");
    raw_mode(0, 0);
    ok_text(read_text(100), "", "MIN 0, TIME 0: nothing there, nothing read");
    raw_mode(0, 3);
    long time = timed_read("", "MIN 0, TIME 3: nothing comes");
    ok(time >= 290 && time < 3000, "0.3 s are waited for, took %ld ms", time);
    typist = start(type_later);
    timed_read("x", "MIN 0, TIME 3: the first byte ends it");
    reap(typist);
    ok_text(read_text(100), "y", "the second byte");
    raw_mode(5, 10);
    typist = start(type_later);
    time = timed_read("xy", "MIN 5, TIME 10: ends when no more comes");
    ok(time >= 1100, "that is 1 s after the last byte, took %ld ms", time);
    reap(typist);
}

static void raw(void)
{
    in_session(raw_body);
}

static void switching_body(void)
{
    raw_mode(1, 0);
    type("raw");
    local_modes(0, ICANON);
    ok(is_readable(), "from raw to canonical mode: what was typed is a line");
    ok_text(read_text(100), "raw", "with no end");
    type("line");
    raw_mode(1, 0);
    ok_text(read_text(100), "line", "from canonical to raw: what is edited can be read");
    type("gone");
    ok_equal(tcflush(tty, TCIFLUSH), 0, "tcflush");
    ok(!is_readable(), "drops what was typed");
    ok_equal(tcflush(tty, 77), -1, "it knows what it can flush");
}

static void switching(void)
{
    in_session(switching_body);
}

static void long_line_body(void)
{
    static char text[5000];
    memset(text, 'x', sizeof text);
    text[4200] = '\n';
    text[4201] = 'z';
    text[4202] = '\n';
    for (size_t at = 0; at < 4203; at += 1401) {
        type_bytes(text + at, 1401);
    }
    ok_equal(read(tty, text, sizeof text), 4096, "a line is cut to 4095 characters and its end");
    ok(text[4095] == '\n', "its end is kept");
    ok_text(read_text(100), "z\n", "and so is the next line");
}

static void long_line(void)
{
    in_session(long_line_body);
}

static void modes_body(void)
{
    struct termios modes, changed;
    ok(isatty(tty), "isatty");
    ok_equal(tcgetattr(tty, &modes), 0, "tcgetattr");
    changed = modes;
    changed.c_oflag &= ~(tcflag_t)ONLCR;
    changed.c_cc[VINTR] = CTRL('G');
    ok_equal(tcsetattr(tty, TCSADRAIN, &changed), 0, "tcsetattr, drained");
    tcgetattr(tty, &changed);
    ok(!(changed.c_oflag & ONLCR) && changed.c_cc[VINTR] == CTRL('G'), "the modes are changed");
    ok(changed.c_lflag == modes.c_lflag && changed.c_cc[VSUSP] == modes.c_cc[VSUSP],
       "the others are not");
    type("typed\n");
    ok_equal(tcsetattr(tty, TCSAFLUSH, &modes), 0, "tcsetattr, flushed");
    ok(!is_readable(), "what was typed is dropped");
    ok_equal(tcdrain(tty), 0, "tcdrain");
    ok_errno(lseek(tty, 0, SEEK_SET), ESPIPE, "no position");
    ok_errno(ioctl(tty, 0x12345678, 0), ENOTTY, "an ioctl that nobody knows");
}

static void modes(void)
{
    in_session(modes_body);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(lines), TAP_CASE(editing),   TAP_CASE(end_of_file), TAP_CASE(mapping),
        TAP_CASE(raw),   TAP_CASE(switching), TAP_CASE(long_line),   TAP_CASE(modes),
    };
    return TAP_MAIN(cases);
}
