/* The arithmetic macros of lib/types.h. */
#include "lib/types.h"
#include "tests/unit/tap.h"

static void test_align(void)
{
    u32 narrow = 5;

    CHECK_EQ(ALIGN_DOWN(4097ul, 4096), 4096);
    CHECK_EQ(ALIGN_UP(4097ul, 4096), 8192);
    CHECK_EQ(ALIGN_UP(4096ul, 4096), 4096);
    CHECK_EQ(ALIGN_UP(0xffffffff00000001ul, 4096), 0xffffffff00001000ul);
    CHECK_EQ(ALIGN_UP(narrow, 8ul), 8);
    CHECK(IS_ALIGNED(8192ul, 4096) && !IS_ALIGNED(8193ul, 4096));
    CHECK(IS_POWER_OF_TWO(1) && IS_POWER_OF_TWO(64) && !IS_POWER_OF_TWO(0) && !IS_POWER_OF_TWO(6));
    CHECK_EQ(DIV_UP(9, 4), 3);
    CHECK_EQ(DIV_UP(8, 4), 2);
}

static void test_min_max(void)
{
    int calls = 0, low = -3;
    u64 big = 1ull << 40;
    u32 small = 7;

    CHECK_EQ(MIN(calls++, 10), 0);
    CHECK_EQ(calls, 1);
    CHECK_EQ(MIN(big, 4096), 4096);
    CHECK_EQ(MAX(big, small), big);
    CHECK_EQ(MIN(low, 2), -3);
    CHECK_EQ(MAX(MIN(big, 100), MIN(small, 200u)), 100);
    CHECK_EQ(CLAMP(low, 0, 9), 0);
}

static void test_container(void)
{
    struct outer {
        u32 first;
        u64 inner;
    } outer = {0, 0};
    u32 array[7] = {0};

    CHECK(container_of(&outer.inner, struct outer, inner) == &outer);
    CHECK_EQ(ARRAY_LEN(array), 7);
}

int main(void)
{
    tap_run("alignment rounds and keeps the type", test_align);
    tap_run("MIN and MAX evaluate once and nest", test_min_max);
    tap_run("container_of and ARRAY_LEN", test_container);
    return tap_done();
}
