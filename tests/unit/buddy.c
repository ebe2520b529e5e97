/* The buddy allocator, on an ordinary array of frames, against a record of who owns what. */
#include "tests/unit/host.h"

#include "kernel/base/buddy.c"
#include <string.h>

#define FRAMES 8192u

static struct frame table[FRAMES];
static struct buddy buddy;
static bool taken[FRAMES];

static void set_kind(u32 pfn, enum frame_kind kind, u32 node)
{
    atomic_store(&table[pfn].flags, kind | node << FRAME_NODE_SHIFT);
}

/* All frames from `first` are free; those before are not memory that can be had. */
static void start(u32 first, u32 node)
{
    memset(table, 0, sizeof(table));
    memset(taken, 0, sizeof(taken));
    buddy_init(&buddy, table, node);
    for (u32 pfn = 0; pfn < FRAMES; pfn++)
        set_kind(pfn, pfn < first ? FRAME_KIND_RESERVED : FRAME_KIND_FREE, node);
    for (u32 pfn = first; pfn < FRAMES; pfn++)
        buddy_free(&buddy, pfn, 0);
}

/* Are the lists sound, and do they hold just the frames that nobody has taken? */
static void check_lists(void)
{
    static bool listed[FRAMES];
    u64 free = 0;

    memset(listed, 0, sizeof(listed));
    for (u32 order = 0; order < BUDDY_ORDERS; order++) {
        u32 before = 0;

        for (u32 pfn = buddy.head[order]; pfn; pfn = table[pfn].next) {
            CHECK_EQ(table[pfn].prev, before);
            CHECK_EQ(pfn % (1u << order), 0);
            CHECK_EQ(atomic_load(&table[pfn].flags) >> FRAME_ORDER_SHIFT & 0xf, order);
            CHECK(atomic_load(&table[pfn].flags) & FRAME_ON_LIST);
            for (u32 i = pfn; i < pfn + (1u << order); i++) {
                CHECK(!listed[i] && !taken[i]);
                listed[i] = true;
                free++;
            }
            before = pfn;
        }
    }
    CHECK_EQ(free, buddy.free);
    for (u32 pfn = 0; pfn < FRAMES; pfn++) {
        if (frame_kind(&table[pfn]) == FRAME_KIND_FREE)
            CHECK_EQ(listed[pfn], !taken[pfn]);
        else
            CHECK(!listed[pfn]);
    }
}

static u32 take(u32 order)
{
    u32 pfn = buddy_alloc(&buddy, order);

    CHECK_EQ(pfn % (1u << order), 0);
    for (u32 i = pfn; pfn && i < pfn + (1u << order); i++) {
        CHECK(!taken[i] && frame_kind(&table[i]) == FRAME_KIND_FREE);
        taken[i] = true;
    }
    return pfn;
}

static void give(u32 pfn, u32 order)
{
    memset(&taken[pfn], 0, 1u << order);
    buddy_free(&buddy, pfn, order);
}

static u32 blocks_of(u32 order)
{
    u32 count = 0;

    for (u32 pfn = buddy.head[order]; pfn; pfn = table[pfn].next)
        count++;
    return count;
}

static void test_unite(void)
{
    start(1024, 0);
    check_lists();
    CHECK_EQ(buddy.free, FRAMES - 1024);
    CHECK_EQ(blocks_of(10), 7); /* single frames united as far as they go */
    for (u32 order = 0; order < 10; order++)
        CHECK_EQ(blocks_of(order), 0);

    u32 pfn = take(0);
    for (u32 order = 0; order < 10; order++)
        CHECK_EQ(blocks_of(order), 1);
    check_lists();
    give(pfn, 0);
    CHECK_EQ(blocks_of(10), 7);
}

static void test_exhaust(void)
{
    start(1024, 3);
    for (u32 i = 0; i < 7; i++)
        CHECK(take(10));
    CHECK_EQ(take(10), 0);
    CHECK_EQ(take(0), 0);
    CHECK_EQ(buddy.free, 0);
    give(4096, 10);
    for (u32 i = 0; i < 1024; i++)
        CHECK(take(0));
    CHECK_EQ(take(0), 0);
    give(4096 + 17, 0);
    CHECK_EQ(take(1), 0);
    CHECK_EQ(take(0), 4096 + 17);
}

/* A neighbour that is reserved, of another node, or handed out is never united with. */
static void test_borders(void)
{
    start(FRAMES, 0);
    for (u32 pfn = 1024; pfn < 1032; pfn++)
        set_kind(pfn, FRAME_KIND_FREE, 0);
    set_kind(1025, FRAME_KIND_RESERVED, 0);
    buddy_free(&buddy, 1024, 0);
    CHECK_EQ(buddy.head[0], 1024);

    set_kind(1027, FRAME_KIND_FREE | FRAME_ON_LIST, 1); /* free, on the list of node 1 */
    taken[1027] = taken[1028] = taken[1029] = taken[1030] = taken[1031] = true;
    buddy_free(&buddy, 1026, 0);
    CHECK_EQ(blocks_of(0), 2);
    CHECK_EQ(blocks_of(1), 0);
    set_kind(1027, FRAME_KIND_RESERVED, 1);
    check_lists();

    taken[1028] = taken[1029] = false;
    buddy_free(&buddy, 1028, 1);
    CHECK_EQ(blocks_of(1), 1); /* 1030 is free, but handed out */
    check_lists();
}

static void test_random(void)
{
    enum { HELD = 600 };
    static struct {
        u32 pfn, order;
    } held[HELD];
    u32 count = 0;

    start(1024, 0);
    for (int step = 0; step < 50000; step++) {
        if (count < HELD && random_below(2)) {
            u32 order = random_below(16) ? random_below(4) : random_below(BUDDY_ORDERS);
            u32 pfn = take(order);

            if (pfn) {
                held[count].pfn = pfn;
                held[count++].order = order;
            }
        } else if (count) {
            u32 i = random_below(count);

            give(held[i].pfn, held[i].order);
            held[i] = held[--count];
        }
        if (step % 500 == 0)
            check_lists();
    }
    while (count--)
        give(held[count].pfn, held[count].order);
    check_lists();
    CHECK_EQ(blocks_of(10), 7);
}

int main(void)
{
    tap_run("freed frames unite, and split again", test_unite);
    tap_run("memory ends cleanly, for large and for small blocks", test_exhaust);
    tap_run("blocks never unite across a border", test_borders);
    tap_run("random allocation: no frame twice, none lost", test_random);
    return tap_done();
}
