/* Memory and string functions, against the C library's, which the wrappers here keep reachable. */
#include <string.h>

static void *libc_memset(void *to, int byte, size_t size)
{
    return memset(to, byte, size);
}

static void *libc_memmove(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

static int libc_memcmp(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size);
}

static int libc_strncmp(const char *a, const char *b, size_t limit)
{
    return strncmp(a, b, limit);
}

#include "lib/string.h"
#include "tests/unit/tap.h"

#define SIZE 320

static u8 got[SIZE], expected[SIZE];

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void fill(u8 *bytes, usize size, u64 kinds)
{
    for (usize i = 0; i < size; i++)
        bytes[i] = random_below(kinds);
}

static void fill_both(void)
{
    fill(got, SIZE, 256);
    libc_memmove(expected, got, SIZE);
}

static void test_set_copy(void)
{
    u8 source[SIZE];

    for (usize size = 0; size < 200; size++) {
        usize to = random_below(SIZE - size), from = random_below(SIZE - size);

        fill_both();
        fill(source, SIZE, 256);
        CHECK(memcpy(got + to, source + from, size) == got + to);
        libc_memmove(expected + to, source + from, size);
        CHECK(libc_memcmp(got, expected, SIZE) == 0);
        CHECK(memset(got + to, 0x1a5, size) == got + to);
        libc_memset(expected + to, 0x1a5, size);
        CHECK(libc_memcmp(got, expected, SIZE) == 0);
    }
}

static void test_move(void)
{
    for (int round = 0; round < 30000; round++) {
        usize size = random_below(120);
        usize to = random_below(SIZE - size);
        usize from = CLAMP((s64)(to + random_below(40)) - 20, 0, (s64)(SIZE - size));

        fill_both();
        CHECK(memmove(got + to, got + from, size) == got + to);
        libc_memmove(expected + to, expected + from, size);
        CHECK(libc_memcmp(got, expected, SIZE) == 0);
    }
}

static void test_compare(void)
{
    u8 a[64], b[64];

    for (int round = 0; round < 30000; round++) {
        usize size = random_below(60);

        fill(a, sizeof(a), 256);
        libc_memmove(b, a, sizeof(a));
        b[random_below(sizeof(b))] = random_u64();
        CHECK_EQ(sign(memcmp(a, b, size)), sign(libc_memcmp(a, b, size)));
        CHECK(memchr(a, b[9], size) == NULL || *(u8 *)memchr(a, b[9], size) == b[9]);
    }
    CHECK(memchr("abc", 'c', 2) == NULL);
    CHECK_EQ(*(const char *)memchr("abc", 'c', 3), 'c');
}

/* Short strings of two letters, so that they often agree. */
static void test_strings(void)
{
    char a[12], b[12];

    for (int round = 0; round < 50000; round++) {
        usize limit = random_below(12);

        for (usize i = 0; i < sizeof(a); i++) {
            a[i] = "ab\xe9"[random_below(3)];
            b[i] = "ab\xe9"[random_below(3)];
        }
        a[random_below(sizeof(a))] = a[11] = '\0';
        b[random_below(4)] = b[11] = '\0';
        CHECK_EQ(sign(strncmp(a, b, limit)), sign(libc_strncmp(a, b, limit)));
        CHECK_EQ(sign(strcmp(a, b)), sign(libc_strncmp(a, b, sizeof(a))));
        CHECK_EQ(strnlen(a, limit), MIN(strlen(a), limit));
    }
}

static void test_strlcpy(void)
{
    char buffer[8] = "xxxxxxx";

    CHECK_EQ(strlcpy(buffer, "long enough", 0), 11);
    CHECK_EQ(buffer[0], 'x');
    CHECK_EQ(strlcpy(buffer, "long enough", 5), 11);
    CHECK(strcmp(buffer, "long") == 0);
    CHECK_EQ(buffer[5], 'x');
    CHECK_EQ(strlcpy(buffer, "ab", sizeof(buffer)), 2);
    CHECK(strcmp(buffer, "ab") == 0);
}

int main(void)
{
    tap_run("memset and memcpy touch exactly their bytes", test_set_copy);
    tap_run("memmove with every overlap", test_move);
    tap_run("memcmp and memchr", test_compare);
    tap_run("strings compare and are measured as in C", test_strings);
    tap_run("strlcpy cuts, ends and reports", test_strlcpy);
    return tap_done();
}
