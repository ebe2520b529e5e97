/* Formatting, against the C library's snprintf with random conversions. */
#include "lib/format.h"
#include "tests/unit/tap.h"
#include <string.h>

static char got[256], expected[256];

/* Formats what the compiler would rightly refuse. */
static usize format_odd(const char *pattern, ...)
{
    va_list arguments;
    usize length;

    va_start(arguments, pattern);
    length = vformat(got, sizeof(got), pattern, arguments);
    va_end(arguments);
    return length;
}

/* Do both give the same text for one value? */
#define CHECK_SAME(pattern, ...)                                                                   \
    do {                                                                                           \
        usize ours = format(got, sizeof(got), pattern, __VA_ARGS__);                               \
        int theirs = snprintf(expected, sizeof(expected), pattern, __VA_ARGS__);                   \
        if ((ours != (usize)theirs || strcmp(got, expected)) && tap_complain())                    \
            printf("# \"%s\": got <%s> %lu, expected <%s> %d\n", pattern, got, ours, expected,     \
                   theirs);                                                                        \
    } while (0)

/* A random specification for a conversion, with the flags that C defines for it. */
static void make_pattern(char *at, const char *flags, const char *size, char conversion)
{
    *at++ = '<';
    *at++ = '%';
    for (; *flags; flags++) {
        if (random_below(3) == 0)
            *at++ = *flags;
    }
    if (random_below(2))
        at += sprintf(at, "%lu", 1 + random_below(30));
    if (random_below(3) == 0 && conversion != 'c')
        at += sprintf(at, ".%lu", random_below(28));
    sprintf(at, "%s%c>", size, conversion);
}

static u64 random_number(void)
{
    return random_below(8) ? random_u64() >> random_below(64) : 0;
}

static void test_integers(void)
{
    static const char *const sizes[] = {"hh", "h", "", "l", "ll", "z"};
    static const char conversions[] = "diuxXo";

    for (int round = 0; round < 100000; round++) {
        const char *size = sizes[random_below(ARRAY_LEN(sizes))];
        char conversion = conversions[random_below(6)];
        bool is_signed = conversion == 'd' || conversion == 'i';
        const char *flags = is_signed ? "-0+ " : conversion == 'u' ? "-0" : "-0#";
        char pattern[40];
        u64 value = random_number() * (random_below(2) ? -1 : 1);

        make_pattern(pattern, flags, size, conversion);
        if (*size == 'l' || *size == 'z')
            CHECK_SAME(pattern, value);
        else
            CHECK_SAME(pattern, (int)value);
    }
}

static void test_text(void)
{
    static const char *const texts[] = {"", "a", "merganser", "a somewhat longer text to print"};

    for (int round = 0; round < 20000; round++) {
        const char *text = texts[random_below(ARRAY_LEN(texts))];
        int character = ' ' + random_below(90);
        char pattern[40];

        make_pattern(pattern, "-", "", 's');
        CHECK_SAME(pattern, text);
        make_pattern(pattern, "-", "", 'c');
        CHECK_SAME(pattern, character);
    }
    CHECK_SAME("%.3s|", "no end"); /* and reads no further than it prints */
    char open[3] = {'a', 'b', 'c'};
    CHECK_SAME("%.3s|", open);
}

static void test_stars(void)
{
    CHECK_SAME("%*d|%-*d|%.*d", 7, 42, 7, 42, 5, 42);
    CHECK_SAME("%*d|%.*d|%.*s", -7, 42, -3, 42, 2, "text");
    CHECK_SAME("%d%% of %s: %c%lu %#x", 99, "pages", 'x', ~0ul, 255u);
}

static void test_odd(void)
{
    format(got, sizeof(got), "%p", (void *)0xffff800000001000ul);
    CHECK(strcmp(got, "0xffff800000001000") == 0);
    format_odd("%s", NULL);
    CHECK(strcmp(got, "(null)") == 0);
    format_odd("%y %", 1);
    CHECK(strcmp(got, "y %") == 0);
    format_odd("no conversion", 1);
    CHECK(strcmp(got, "no conversion") == 0);
    CHECK_EQ(format_odd("%99999d", 1), 9999);
    CHECK_EQ(format_odd("%*d", INT32_MIN, 1), 9999);
    CHECK_EQ(format_odd("%.*d", INT32_MAX, 1), 9999);
}

/* Every size of buffer: the text is cut, ended, and its whole length reported. */
static void test_bounds(void)
{
    const char *whole = "frame 0x12 at 3";

    for (usize size = 0; size < 20; size++) {
        char *buffer = malloc(size + !size);

        CHECK_EQ(format(buffer, size, "frame %#x at %d", 0x12, 3), 15);
        if (size) {
            CHECK_EQ(strlen(buffer), MIN(size - 1, 15));
            CHECK(strncmp(buffer, whole, strlen(buffer)) == 0);
        }
        free(buffer);
    }
}

int main(void)
{
    tap_run("integers of all sizes as snprintf writes them", test_integers);
    tap_run("strings and characters as snprintf writes them", test_text);
    tap_run("width and precision from arguments", test_stars);
    tap_run("pointers, NULL, unknown conversions, huge widths", test_odd);
    tap_run("buffers of every size are respected", test_bounds);
    return tap_done();
}
