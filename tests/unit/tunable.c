/* Tunables: what a control file accepts, and how they are found. */
#include "tests/unit/host.h"

#include "kernel/base/tunable.c"

static _Atomic u64 pages = 100, level = 3;

/* In the kernel the linker collects them; here they stand in one array, and its end is computed. */
const struct tunable __tunables_start[] = {
    {.name = "test.pages",
     .help = "pages",
     .read = tunable_read_u64,
     .write = tunable_write_u64,
     .value = &pages,
     .min = 1,
     .max = UINT64_MAX},
    {.name = "test.level",
     .help = "level",
     .read = tunable_read_u64,
     .write = tunable_write_u64,
     .value = &level,
     .max = 9},
};
static_assert(sizeof(struct tunable) == 56, "the end of the array below");
__asm__(".globl __tunables_end\n.set __tunables_end, __tunables_start + 2 * 56");

static s64 write_text(const char *name, const char *text)
{
    const struct tunable *t = tunable_find(name);

    return t->write(t, text, strlen(text));
}

static void test_find(void)
{
    CHECK(tunable_at(0) && tunable_at(1) && !tunable_at(2) && !tunable_at(UINT64_MAX));
    CHECK(tunable_find("test.level") == tunable_at(1));
    CHECK(!tunable_find("test.leve") && !tunable_find("test.levels") && !tunable_find(""));
}

static void test_write(void)
{
    CHECK_EQ(write_text("test.pages", "250\n"), 0);
    CHECK_EQ(pages, 250);
    CHECK_EQ(write_text("test.pages", "0x10"), 0);
    CHECK_EQ(pages, 16);
    CHECK_EQ(write_text("test.pages", "18446744073709551615\n"), 0);
    CHECK_EQ(pages, UINT64_MAX);
    CHECK_EQ(write_text("test.level", "9"), 0);
    CHECK_EQ(level, 9);
}

static void test_refuse(void)
{
    static const char *const bad[] = {
        "", "\n", "-1", "x", "1 2", "1\n\n", "0000000000000000000000000000000000001"};

    pages = 7;
    for (u32 i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(write_text("test.pages", bad[i]), -EINVAL);
    CHECK_EQ(write_text("test.pages", "0"), -EINVAL); /* below min */
    CHECK_EQ(write_text("test.level", "10"), -EINVAL);
    CHECK_EQ(write_text("test.pages", "18446744073709551616"), -ERANGE);
    CHECK_EQ(pages, 7);
}

static void test_read(void)
{
    const struct tunable *t = tunable_find("test.pages");
    char text[8];

    pages = 1234;
    CHECK_EQ(t->read(t, text, sizeof(text)), 5);
    CHECK(strcmp(text, "1234\n") == 0);
}

static void test_words(void)
{
    pages = 7;
    level = 3;
    CHECK_EQ(tunable_apply_words(""), 0);
    CHECK_EQ(tunable_apply_words("noecho test.level=5 rows=24  test.pages=0x20"), 0);
    CHECK_EQ(pages, 32);
    CHECK_EQ(level, 5);
    CHECK_EQ(tunable_apply_words("test.level test.level= test.level=10 test.pages=8"), 2);
    CHECK_EQ(pages, 8);
    CHECK_EQ(level, 5);
}

int main(void)
{
    host_init();
    tap_run("tunables are found by name and by number", test_find);
    tap_run("numbers are written", test_write);
    tap_run("bad numbers are refused and change nothing", test_refuse);
    tap_run("numbers are read", test_read);
    tap_run("words of the command line are applied", test_words);
    return tap_done();
}
