/*
 * The frame allocator and the frame's counts: two NUMA nodes with holes and reservations, caches,
 * watermarks, and the debug checks that catch double frees and writes after free.
 */
#include "tests/unit/host.h"

#include "kernel/base/buddy.c"
#include "kernel/base/early.c"
#include "kernel/base/frame.c"
#include "kernel/base/frame_alloc.c"
#include <string.h>

#define MIB(n) ((n) << 20)
#define MEMORY_FRAMES (MIB(64ul) / PAGE_SIZE)

struct numa_distances numa_distances;
static u64 early_table_pages;

static void map_nothing(u64 virt, pa_t pa)
{
    (void)pa;
    CHECK(virt >= FRAME_TABLE_BASE);
    early_table_pages++;
}

/* Node 0 has 32 MiB with a hole at 16 to 17 MiB, node 1 has 32 MiB. */
static void boot(void)
{
    host_memory_init(MEMORY_FRAMES);
    numa_distances.distance[0][0] = numa_distances.distance[1][1] = 10;
    numa_distances.distance[0][1] = numa_distances.distance[1][0] = 20;
    early_add_range((struct memory_range){0, 0x9fc00, 0});
    early_add_range((struct memory_range){MIB(1), MIB(16), 0});
    early_add_range((struct memory_range){MIB(17), MIB(32), 0});
    early_add_range((struct memory_range){MIB(32), MIB(64), 1});
    early_reserve(MIB(2) + 100, MIB(3) - 100);
    frame_init(map_nothing);
}

static void test_start(void)
{
    struct node_stats stats[2];

    boot();
    CHECK_EQ(node_count, 2);
    CHECK_EQ(frame_table_end, MEMORY_FRAMES);
    CHECK_EQ(early_table_pages * PAGE_SIZE, MEMORY_FRAMES * sizeof(struct frame));
    CHECK_EQ(frames_total(), MEMORY_FRAMES - 1 - 0x61 - 0x100);
    frame_node_stats(0, &stats[0]);
    frame_node_stats(1, &stats[1]);
    CHECK_EQ(stats[0].total + stats[1].total, frames_total());
    CHECK(stats[1].free <= stats[1].total && stats[1].free > stats[1].total * 9 / 10);
    CHECK_EQ(frame_kind(zero_frame), FRAME_KIND_ZERO);
    CHECK_EQ(frame_kind(pfn_frame((pfn_t){0x200})), FRAME_KIND_RESERVED);
    CHECK_EQ(frame_kind(pfn_frame((pfn_t){0x2ff})), FRAME_KIND_RESERVED);
    CHECK_EQ(frame_kind(pfn_frame((pfn_t){0x300})), FRAME_KIND_FREE);
    CHECK(pfn_valid((pfn_t){0x300}) && pfn_valid((pfn_t){0x200}));
    CHECK(!pfn_valid((pfn_t){0x1000}) && !pfn_valid((pfn_t){MEMORY_FRAMES}));
    CHECK(!pfn_valid((pfn_t){UINT64_MAX}));
}

static void test_single(void)
{
    u64 free = frames_free();
    struct frame *frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);

    CHECK(frame && frame_kind(frame) == FRAME_KIND_KERNEL && frame_node(frame) == 0);
    CHECK_EQ(atomic_load(&frame->refs), 1);
    CHECK_EQ(atomic_load(&frame->maps), 0);
    CHECK(page_is_zero(frame_page(frame)));
    CHECK(virt_frame(frame_page(frame)) == frame);
    CHECK_EQ(frames_free(), free - 1);
    frame_put(frame);
    CHECK_EQ(frames_free(), free);
    CHECK_EQ(frame_kind(frame), FRAME_KIND_FREE);
}

static void test_nodes(void)
{
    struct frame *frame = frame_alloc(0, 0, 1);

    CHECK_EQ(frame_node(frame), 1);
    frame_put(frame);
    frame = frame_alloc(3, ALLOC_NODE_ONLY, 1);
    CHECK_EQ(frame_node(frame), 1);
    CHECK_EQ(frame_pfn(frame).raw % 8, 0);
    frame_free(frame, 3);
}

/* Takes everything there is; the frames end up chained through their first word. */
static u64 take_all(u32 flags, u32 node, struct frame **chain)
{
    struct frame *frame;
    u64 count = 0;

    while ((frame = frame_alloc(0, flags, node))) {
        *(struct frame **)frame_page(frame) = *chain;
        *chain = frame;
        count++;
    }
    return count;
}

static void give_all(struct frame *chain)
{
    while (chain) {
        struct frame *next = *(struct frame **)frame_page(chain);

        frame_put(chain);
        chain = next;
    }
}

static u32 low_calls;

static void note_low(u32 node)
{
    CHECK(node < 2);
    low_calls++;
}

static void test_exhaust(void)
{
    struct frame *chain = NULL;
    u64 free = frames_free();

    frame_low_hook = note_low;
    u64 own = take_all(ALLOC_NODE_ONLY, 0, &chain);
    CHECK(own > 6000 && own < 8192);
    CHECK(low_calls > 0);
    u64 other = take_all(0, NODE_ANY, &chain);
    CHECK(other > 7000); /* node 0 is used up to its reserve, so these are node 1's */
    u64 reserve = take_all(ALLOC_RESERVE, NODE_ANY, &chain);
    CHECK(reserve >= zones[0].watermark_min + zones[1].watermark_min);
    CHECK_EQ(own + other + reserve, free);
    CHECK_EQ(frames_free(), 0);
    CHECK(!frame_alloc(0, ALLOC_RESERVE, NODE_ANY));
    give_all(chain);
    CHECK_EQ(frames_free(), free);
    frame_low_hook = NULL;

    struct frame *large = frame_alloc(10, 0, 0); /* everything united again */
    CHECK(large);
    frame_free(large, 10);
}

static void test_many(void)
{
    struct frame *frames[200];
    u64 free = frames_free();

    for (u32 i = 0; i < ARRAY_LEN(frames); i++) {
        frames[i] = frame_alloc(0, 0, i % 2);
        CHECK(frame_freeze(frames[i], 1));
    }
    frame_free_many(frames, ARRAY_LEN(frames));
    CHECK_EQ(frames_free(), free);
}

static struct frame *released;

static void note_release(struct frame *frame)
{
    CHECK_EQ(frame_kind(frame), FRAME_KIND_ANON);
    released = frame;
}

static void test_counts(void)
{
    struct frame *frame = frame_alloc(0, 0, NODE_ANY);

    frame_set_kind(frame, FRAME_KIND_ANON);
    frame_release_hook = note_release;
    frame_get(frame);
    CHECK(!frame_freeze(frame, 1));
    CHECK(frame_freeze(frame, 2));
    CHECK(!frame_get_unless_zero(frame));
    frame_unfreeze(frame, 1);
    CHECK(frame_get_unless_zero(frame));
    frame_put(frame);
    CHECK(!released);
    frame_put(frame);
    CHECK(released == frame);
    frame_release_hook = NULL;
}

static void test_kinds(void)
{
    u64 kernel = frames_of_kind(FRAME_KIND_KERNEL), anon = frames_of_kind(FRAME_KIND_ANON);
    struct frame *block = frame_alloc(2, 0, NODE_ANY), *one = frame_alloc(0, 0, NODE_ANY);

    CHECK_EQ(frames_of_kind(FRAME_KIND_KERNEL), kernel + 5);
    frame_set_kind(one, FRAME_KIND_ANON);
    frame_set_kind(one, FRAME_KIND_ANON);
    CHECK_EQ(frames_of_kind(FRAME_KIND_KERNEL), kernel + 4);
    CHECK_EQ(frames_of_kind(FRAME_KIND_ANON), anon + 1);
    frame_put(one);
    frame_free(block, 2);
    CHECK_EQ(frames_of_kind(FRAME_KIND_KERNEL), kernel);
    CHECK_EQ(frames_of_kind(FRAME_KIND_ANON), anon);
}

static void test_locks(void)
{
    struct frame *frame = frame_alloc(0, 0, NODE_ANY);

    frame_lock(frame);
    CHECK_EQ(atomic_load(&frame->flags) & FRAME_LOCKED, FRAME_LOCKED);
    CHECK_EQ(frame_kind(frame), FRAME_KIND_KERNEL);
    CHECK_EQ(host.locks_held, 1);
    frame_unlock(frame);
    CHECK_EQ(atomic_load(&frame->flags) & FRAME_LOCKED, 0);
    frame_put(frame);
    CHECK_EQ(host.locks_held, 0);
}

static void test_misuse(void)
{
    struct frame *frame = frame_alloc(0, 0, NODE_ANY);
    u64 *words = frame_page(frame);

    frame_put(frame);
    CHECK_PANIC(frame_free(frame, 0));
    CHECK_PANIC(frame_free(pfn_frame((pfn_t){0x200}), 0)); /* reserved */
    words[100] = 1;
    CHECK_PANIC(frame_alloc(0, 0, NODE_ANY));
    CHECK(strstr(host.panic_text, "after it was freed"));
}

static void test_random(void)
{
    enum { HELD = 500 };
    static struct {
        struct frame *frame;
        u32 order;
    } held[HELD];
    u32 count = 0;
    u64 free = frames_free();

    for (int step = 0; step < 20000; step++) {
        u32 order = random_below(4) ? 0 : random_below(6);

        if (count < HELD && random_below(2)) {
            struct frame *frame = frame_alloc(order, 0, random_below(3) ? NODE_ANY : 1);

            CHECK(frame);
            *(u64 *)frame_page(frame) = frame_pfn(frame).raw;
            held[count].frame = frame;
            held[count++].order = order;
        } else if (count) {
            u32 i = random_below(count);
            struct frame *frame = held[i].frame;

            CHECK_EQ(*(u64 *)frame_page(frame), frame_pfn(frame).raw);
            if (held[i].order == 0)
                frame_put(frame);
            else
                frame_free(frame, held[i].order);
            held[i] = held[--count];
        }
        host_cpu.node = random_below(1000) ? host_cpu.node : 0;
    }
    for (u32 i = 0; i < count; i++) {
        atomic_store(&held[i].frame->refs, 0);
        frame_free(held[i].frame, held[i].order);
    }
    CHECK_EQ(frames_free(), free);
}

int main(void)
{
    host_init();
    tap_run("the memory map becomes zones", test_start);
    tap_run("a frame is taken and given back", test_single);
    tap_run("nodes are respected", test_nodes);
    tap_run("memory ends at the reserve, and comes back whole", test_exhaust);
    tap_run("many frames are given back at once", test_many);
    tap_run("references, freezing and the release hook", test_counts);
    tap_run("how many frames are of each kind", test_kinds);
    tap_run("the lock bit", test_locks);
    tap_run("random use of both nodes", test_random);
    tap_run("double frees and writes after free are caught", test_misuse);
    return tap_done();
}
