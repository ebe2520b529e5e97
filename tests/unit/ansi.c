/* The console's terminal: what the screen shows after a program has written this. */
// with: user/servers/console/ansi.c
// with: user/servers/console/terminal.c
// with: user/servers/console/colour.c
// with: user/servers/console/glyph.c
#include "tests/unit/tap.h"
#include "user/servers/console/glyph.h"
#include "user/servers/console/terminal.h"
#include <string.h>

#define ROWS 4
#define COLUMNS 8

static struct terminal terminal;

static void write_text(const char *text)
{
    terminal_write(&terminal, (const u8 *)text, (u32)strlen(text));
}

static void start(const char *text)
{
    terminal_destroy(&terminal);
    CHECK(terminal_init(&terminal, ROWS, COLUMNS));
    write_text(text);
}

/* Compares with rows separated by '|', blanks at their ends left out; '#' stands for what is not
 * ASCII. */
static bool shows(const char *expected)
{
    char text[ROWS * (COLUMNS + 1) + 1];
    u32 length = 0;

    for (u32 row = 0; row < ROWS; row++) {
        for (u32 column = 0; column < COLUMNS; column++) {
            u32 character = terminal.grid.lines[row][column].character;

            text[length++] = character < 0x7f ? (char)character : '#';
        }
        while (length && text[length - 1] == ' ')
            length--;
        text[length++] = '|';
    }
    text[length - 1] = 0;
    if (strcmp(text, expected) == 0)
        return true;
    printf("# shown: %s\n", text);
    return false;
}

static bool cursor_at(u32 row, u32 column)
{
    return terminal.cursor.row == row && terminal.cursor.column == column;
}

static const struct cell *cell(u32 row, u32 column)
{
    return &terminal.grid.lines[row][column];
}

static void test_text(void)
{
    start("one\r\ntwo\b\bX\tY");
    CHECK(shows("one|tXo    Y||"));
    CHECK(cursor_at(1, 7));
    start("12345678");
    CHECK(cursor_at(0, 7));
    write_text("9");
    CHECK(shows("12345678|9||"));
    start("12345678\r\nb");
    CHECK(shows("12345678|b||"));
    start("\033[?7l123456789");
    CHECK(shows("12345679|||"));
}

static void test_scroll(void)
{
    start("a\r\nb\r\nc\r\nd\r\ne");
    CHECK(shows("b|c|d|e"));
    start("a\r\nb\r\nc\r\nd\033[2;3r\033[3;1H\nx");
    CHECK(shows("a|c|x|d"));
    write_text("\033[2;1H\033My");
    CHECK(shows("a|y|c|d"));
    start("a\r\nb\r\nc\r\nd\033[2S");
    CHECK(shows("c|d||"));
    write_text("\033[T");
    CHECK(shows("|c|d|"));
    write_text("\033[99T");
    CHECK(shows("|||"));
}

static void test_moves(void)
{
    start("\033[3;4H");
    CHECK(cursor_at(2, 3));
    write_text("\033[A\033[2C");
    CHECK(cursor_at(1, 5));
    write_text("\033[99;99H");
    CHECK(cursor_at(3, 7));
    write_text("\033[9A\033[99D");
    CHECK(cursor_at(0, 0));
    write_text("\033[3d\033[5G");
    CHECK(cursor_at(2, 4));
    write_text("\0337\033[H\0338");
    CHECK(cursor_at(2, 4));
    write_text("\033[F");
    CHECK(cursor_at(1, 0));
    write_text("\033[2;3r\033[?6h");
    CHECK(cursor_at(1, 0));
    write_text("\033[9;2H");
    CHECK(cursor_at(2, 1));
}

static void test_erase(void)
{
    start("abcdefgh\033[1;4H\033[K");
    CHECK(shows("abc|||"));
    start("abcdefgh\033[1;4H\033[1K");
    CHECK(shows("    efgh|||"));
    start("a\r\nb\r\nc\r\nd\033[2;1H\033[J");
    CHECK(shows("a|||"));
    start("a\r\nb\r\nc\r\nd\033[2;1H\033[1J");
    CHECK(shows("||c|d"));
    start("a\r\nb\033[2J");
    CHECK(shows("|||"));
    CHECK(cursor_at(1, 1));
    start("abcdefgh\033[1;3H\033[2X");
    CHECK(shows("ab  efgh|||"));
}

static void test_edit(void)
{
    start("abcdefgh\033[1;3H\033[2@");
    CHECK(shows("ab  cdef|||"));
    write_text("\033[3P");
    CHECK(shows("abdef|||"));
    write_text("\033[4hXY\033[4lZ");
    CHECK(shows("abXYZef|||"));
    start("a\r\nb\r\nc\r\nd\033[2;1H\033[L");
    CHECK(shows("a||b|c"));
    write_text("\033[2M");
    CHECK(shows("a|c||"));
    start("ab\033[3b");
    CHECK(shows("abbbb|||"));
}

static void test_colours(void)
{
    start("a\033[31mb\033[1mc\033[0;44md\033[7me\033[m\033[38;5;196mf\033[48;2;1;2;3mg\033[0;4mh");
    CHECK_EQ(cell(0, 0)->ink, 0xc0c0c0);
    CHECK_EQ(cell(0, 0)->paper, 0);
    CHECK_EQ(cell(0, 1)->ink, 0xc03030);
    CHECK_EQ(cell(0, 2)->ink, 0xff6060);
    CHECK_EQ(cell(0, 3)->paper, 0x4070d0);
    CHECK_EQ(cell(0, 4)->ink, 0x4070d0);
    CHECK_EQ(cell(0, 5)->ink, 0xff0000);
    CHECK_EQ(cell(0, 6)->paper, 0x010203);
    CHECK_EQ(cell(0, 7)->ink, 0xc0c0c0 | CELL_UNDERLINE);
    start("\033[42m\033[K");
    CHECK_EQ(cell(0, 7)->paper, 0x30b030);
    start("\033[48;5;232m\033[K\033[38;5mx");
    CHECK_EQ(cell(0, 7)->paper, 0x080808);
}

static void test_characters(void)
{
    start("\xc3\xbc\xe2\x94\x80\xf0\x9f\x98\x80");
    CHECK_EQ(cell(0, 0)->character, 0xfc);
    CHECK_EQ(cell(0, 1)->character, 0x2500);
    CHECK_EQ(cell(0, 2)->character, 0x1f600);
    start("\xc3");
    write_text("\xa4\xff\xc3x");
    CHECK_EQ(cell(0, 0)->character, 0xe4);
    CHECK_EQ(cell(0, 1)->character, 0xfffd);
    CHECK_EQ(cell(0, 2)->character, 0xfffd);
    CHECK_EQ(cell(0, 3)->character, 'x');
    start("\033(0qx\033(Bq\033)0\016q\017q");
    CHECK_EQ(cell(0, 0)->character, 0x2500);
    CHECK_EQ(cell(0, 1)->character, 0x2502);
    CHECK_EQ(cell(0, 2)->character, 'q');
    CHECK_EQ(cell(0, 3)->character, 0x2500);
    CHECK_EQ(cell(0, 4)->character, 'q');
}

static void test_alternate(void)
{
    start("main\033[?1049h\033[2J\033[Hother");
    CHECK(shows("other|||"));
    write_text("\033[?1049l");
    CHECK(shows("main|||"));
    CHECK(cursor_at(0, 4));
    write_text("\033[?1049h\033c");
    CHECK(shows("|||"));
    write_text("\033[?25l");
    CHECK(!terminal.show_cursor);
}

/* Sequences that mean nothing here are swallowed whole. */
static void test_silence(void)
{
    start("a\033]0;title\007b\033]2;t\033\\c\033P1$q\033\\d\033[>4;2me\033[!pf\033[?1l");
    CHECK(shows("abcdef|||"));
    start("\033]Ra\033]P0123456b\033=c\033#8d\033[1 qe");
    CHECK(shows("abcde|||"));
    start("ab\033[3\r;2Hy");
    CHECK(shows("ab|| y|"));
    start("\033[1\030a");
    CHECK(shows("a|||"));
}

static void test_answers(void)
{
    start("\r\nab\033[6n\033[5n\033[c");
    CHECK_EQ(terminal.answer_length, 6 + 4 + 5);
    CHECK(memcmp(terminal.answer, "\033[2;3R\033[0n\033[?6c", 15) == 0);
    write_text("\033[6n\033[6n\033[6n\033[6n");
    CHECK(terminal.answer_length <= TERMINAL_ANSWER);
}

/* Whatever comes, the cursor stays on the screen and no line is lost. */
static void test_random(void)
{
    static const char likely_bytes[] = "\033\033\033[[[0123456789;;?hlmrHJKLMPSTABCD@X\n\r\t7aM";

    start("");
    for (u32 i = 0; i < 2000000; i++) {
        u8 byte = random_below(4) ? (u8)likely_bytes[random_below(sizeof(likely_bytes) - 1)]
                                  : (u8)random_u64();

        terminal_write(&terminal, &byte, 1);
        terminal.answer_length = 0;
        CHECK(terminal.cursor.row < ROWS && terminal.cursor.column < COLUMNS);
        CHECK(terminal.top < terminal.bottom && terminal.bottom <= ROWS);
    }
    for (u32 row = 0; row < ROWS; row++)
        for (u32 other = 0; other < row; other++)
            CHECK(terminal.grid.lines[row] != terminal.grid.lines[other]);
}

/* A glyph in hexadecimal, rows that repeat written once with their number. */
static bool glyph_is(u32 character, const char *expected)
{
    const u8 *rows = glyph_rows(character);
    char text[128] = "";

    for (u32 i = 0, run; i < FONT_HEIGHT; i += run) {
        for (run = 1; i + run < FONT_HEIGHT && rows[i + run] == rows[i]; run++)
            ;
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%02x*%u", i ? " " : "",
                 rows[i], run);
    }
    if (strcmp(text, expected) == 0)
        return true;
    printf("# U+%04x: %s\n", character, text);
    return false;
}

static void test_glyphs(void)
{
    CHECK(glyph_is(0x2500, "00*7 ff*1 00*8"));
    CHECK(glyph_is(0x2502, "18*16"));
    CHECK(glyph_is(0x250c, "00*7 1f*1 18*8"));
    CHECK(glyph_is(0x253c, "18*7 ff*1 18*8"));
    CHECK(glyph_is(0x2551, "24*16"));
    CHECK(glyph_is(0x2554, "00*5 3f*1 20*3 27*1 24*6"));
    CHECK(glyph_is(0x256c, "24*5 e7*1 00*3 e7*1 24*6"));
    CHECK(glyph_is(0x255f, "24*7 27*1 24*8"));
    CHECK(glyph_is(0x2501, "00*6 ff*3 00*7"));
    CHECK(glyph_is(0x2580, "ff*8 00*8"));
    CHECK(glyph_is(0x2584, "00*8 ff*8"));
    CHECK(glyph_is(0x2588, "ff*16"));
    CHECK(glyph_is(0x258c, "f0*16"));
    CHECK(glyph_is(0x2598, "f0*8 00*8"));
    CHECK(glyph_is(0x2595, "01*16"));
    CHECK(memcmp(glyph_rows(0xe9), font_glyph('e'), FONT_HEIGHT) == 0);
    CHECK(memcmp(glyph_rows(0x4e00), font_glyph(FONT_UNKNOWN), FONT_HEIGHT) == 0);
    for (u32 character = 0; character < 0x3000; character++)
        glyph_rows(character);
}

int main(void)
{
    tap_run("text, wrapping, tabs and backspaces", test_text);
    tap_run("scrolling, the scrolling region", test_scroll);
    tap_run("moving the cursor", test_moves);
    tap_run("erasing", test_erase);
    tap_run("inserting and deleting", test_edit);
    tap_run("colours and attributes", test_colours);
    tap_run("UTF-8 and the line drawing set", test_characters);
    tap_run("the alternate screen, reset", test_alternate);
    tap_run("what is not known is not shown", test_silence);
    tap_run("answers to questions", test_answers);
    tap_run("any bytes do no harm", test_random);
    tap_run("the shapes of lines and blocks", test_glyphs);
    terminal_destroy(&terminal);
    return tap_done();
}
