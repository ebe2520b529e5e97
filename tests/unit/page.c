/* Filling, copying and comparing pages, against the C library. */
#include "lib/page.h"
#include "tests/unit/tap.h"
#include <string.h>

static u8 a[PAGE_BYTES] aligned_to(4096), b[PAGE_BYTES] aligned_to(4096);
static u8 fence[3 * PAGE_BYTES] aligned_to(4096);

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void fill_random(u8 *page)
{
    for (usize i = 0; i < PAGE_BYTES; i++)
        page[i] = random_u64();
}

static void test_zero_copy(void)
{
    u8 *middle = fence + PAGE_BYTES;

    memset(fence, 0xee, sizeof(fence));
    page_zero(middle);
    CHECK(page_is_zero(middle));
    CHECK(middle[-1] == 0xee && middle[PAGE_BYTES] == 0xee);
    fill_random(a);
    page_copy(middle, a);
    CHECK(memcmp(middle, a, PAGE_BYTES) == 0);
    CHECK(middle[-1] == 0xee && middle[PAGE_BYTES] == 0xee);
}

static void test_one_byte(void)
{
    for (usize i = 0; i < PAGE_BYTES; i++) {
        page_zero(a);
        page_zero(b);
        a[i] = 0x80;
        b[PAGE_BYTES - 1] = 0xff;
        CHECK(!page_is_zero(a));
        CHECK_EQ(sign(page_compare(a, b)), sign(memcmp(a, b, PAGE_BYTES)));
        CHECK_EQ(sign(page_compare(b, a)), sign(memcmp(b, a, PAGE_BYTES)));
        CHECK(!page_equal(a, b));
    }
}

static void test_random_compare(void)
{
    for (int round = 0; round < 500; round++) {
        fill_random(a);
        page_copy(b, a);
        CHECK(page_equal(a, b) && page_compare(a, b) == 0);
        for (int i = 0; i < 3; i++)
            b[random_below(PAGE_BYTES)] += random_below(256);
        CHECK_EQ(sign(page_compare(a, b)), sign(memcmp(a, b, PAGE_BYTES)));
        CHECK_EQ(page_equal(a, b), memcmp(a, b, PAGE_BYTES) == 0);
    }
}

int main(void)
{
    tap_run("zeroing and copying touch exactly one page", test_zero_copy);
    tap_run("a single byte is noticed at every place", test_one_byte);
    tap_run("the order is memcmp's", test_random_compare);
    return tap_done();
}
