/* The kernel log: stamps, long lines, text in pieces, and a reader who comes late. */
#include "tests/unit/host.h"

#include "kernel/base/log.c"
#include <string.h>

static u64 now = 12345678901;

u64 time_ns(void)
{
    return now;
}

static char sunk[1024];
static usize sunk_bytes;

static void sink(const char *text, usize length)
{
    CHECK(sunk_bytes + length < sizeof(sunk));
    memcpy(sunk + sunk_bytes, text, length);
    sunk[sunk_bytes += length] = '\0';
}

static void start_sink(void)
{
    sunk_bytes = 0;
    sunk[0] = '\0';
    log_sink = sink;
}

static void test_line(void)
{
    start_sink();
    log_line("%u frames of %s", 7u, "node 0");
    CHECK(strcmp(sunk, "[   12.345678] 7 frames of node 0\n") == 0);
    log_sink = NULL;
}

static void test_long(void)
{
    start_sink();
    log_line("%400d", 1);
    CHECK_EQ(sunk[sunk_bytes - 1], '\n');
    CHECK(sunk_bytes > 250 && sunk_bytes < 290);
    log_sink = NULL;
}

static void test_text(void)
{
    char wide[600];

    start_sink();
    log_text("one\ntwo\n\nthree", 14);
    CHECK(strcmp(sunk, "[   12.345678] one\n[   12.345678] two\n[   12.345678] \n"
                       "[   12.345678] three\n") == 0);
    start_sink();
    memset(wide, 'w', sizeof(wide));
    log_text(wide, sizeof(wide));
    usize letters = 0, lines = 0;
    for (usize i = 0; i < sunk_bytes; i++) {
        letters += sunk[i] == 'w';
        lines += sunk[i] == '\n';
    }
    CHECK_EQ(letters, sizeof(wide));
    CHECK_EQ(lines, 3);
    log_sink = NULL;
}

/* Reads in pieces of many sizes give the same as the sink got. */
static void test_read(void)
{
    u64 offset = UINT64_MAX;
    char text[1024];
    usize got = 0, size = 0;

    CHECK_EQ(log_read(&offset, text, sizeof(text)), 0); /* now offset is the end */
    start_sink();
    for (int i = 0; i < 20; i++)
        log_line("line %d", i);
    while ((got += size = log_read(&offset, text + got, 1 + random_below(40))), size)
        offset += size;
    CHECK_EQ(got, sunk_bytes);
    CHECK(memcmp(text, sunk, got) == 0);
    log_sink = NULL;
}

static void test_late(void)
{
    static char text[LOG_BYTES + 10];
    u64 offset = 0;

    for (int i = 0; i < 10000; i++)
        log_line("line %d", i);

    usize size = log_read(&offset, text, sizeof(text));

    CHECK_EQ(size, LOG_BYTES);
    CHECK_EQ(offset + size, written);
    CHECK(strncmp(text + size - 10, "line 9999\n", 10) == 0);
}

int main(void)
{
    host_init();
    tap_run("a line carries its time", test_line);
    tap_run("a long line is cut", test_long);
    tap_run("text from users becomes lines", test_text);
    tap_run("reading in pieces loses nothing", test_read);
    tap_run("a late reader gets what is still held", test_late);
    return tap_done();
}
