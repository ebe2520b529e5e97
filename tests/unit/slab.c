/* The slab allocator and kmalloc, on the real frame allocator. */
#include "tests/unit/host_frames.h"
#include <string.h>

struct thing {
    u64 words[5];
};

static struct slab_cache things = SLAB_CACHE("thing", struct thing);

static void test_objects(void)
{
    enum { COUNT = 1000 };
    static struct thing *held[COUNT];

    for (u64 i = 0; i < COUNT; i++) {
        held[i] = slab_alloc(&things);
        memset(held[i], (int)i, sizeof(struct thing));
    }
    CHECK_EQ(things.objects, COUNT);
    for (u64 i = 0; i < COUNT; i++) {
        for (u64 j = 0; j < 5; j++)
            CHECK_EQ(held[i]->words[j], (i & 0xff) * 0x0101010101010101ul);
        slab_free(&things, held[i]);
    }
    CHECK_EQ(things.objects, 0);
    CHECK_EQ(things.slabs, 1); /* one is kept */
}

static void test_zeroed(void)
{
    struct thing *thing = slab_zalloc(&things);

    for (u64 j = 0; j < 5; j++)
        CHECK_EQ(thing->words[j], 0);
    slab_free(&things, thing);
}

static void test_aligned(void)
{
    static struct slab_cache cache = {
        .name = "aligned", .size = 100, .align = 64, .lock = SPINLOCK_INIT("aligned", LOCK_SLAB)};
    void *held[50];

    for (u32 i = 0; i < 50; i++) {
        held[i] = slab_alloc(&cache);
        CHECK_EQ((u64)held[i] % 64, 0);
        memset(held[i], 1, 100);
    }
    for (u32 i = 0; i < 50; i++)
        slab_free(&cache, held[i]);
}

static void test_random(void)
{
    enum { HELD = 2000 };
    static u64 *held[HELD];
    u64 free = frames_free();
    u32 count = 0;

    for (int step = 0; step < 100000; step++) {
        if (count < HELD && random_below(100) < (step / 10000 % 2 ? 30 : 70)) {
            held[count] = slab_alloc(&things);
            *held[count] = (u64)held[count];
            count++;
        } else if (count) {
            u32 i = random_below(count);

            CHECK_EQ(*held[i], (u64)held[i]);
            slab_free(&things, held[i]);
            held[i] = held[--count];
        }
    }
    while (count)
        slab_free(&things, held[--count]);
    CHECK_EQ(things.objects, 0);
    CHECK_EQ(frames_free() + things.slabs, free + 1);
}

static void test_kmalloc(void)
{
    static const usize sizes[] = {1, 32, 33, 100, 2048, 2049, 4096, 4097, 9000, 1 << 20, 4 << 20};
    u64 free = frames_free();

    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < ARRAY_LEN(sizes); i++) {
            u8 *memory = kzalloc(sizes[i]);

            CHECK(memory && memory[0] == 0 && memory[sizes[i] - 1] == 0);
            memset(memory, 0xcc, sizes[i]);
            kfree(memory);
        }
    }
    kfree(NULL);
    CHECK(!kmalloc((4 << 20) + 1));
    CHECK(free - frames_free() <= ARRAY_LEN(kmalloc_caches));
}

static void test_no_memory(void)
{
    static struct slab_cache large = {
        .name = "large", .size = 1024, .align = 8, .lock = SPINLOCK_INIT("large", LOCK_SLAB)};
    void *chain = NULL, *object;
    u64 free = frames_free();

    while ((object = slab_alloc(&large))) {
        *(void **)object = chain;
        chain = object;
    }
    CHECK(!slab_zalloc(&large) && !kmalloc(4096) && !kzalloc(4096));
    while ((object = chain)) {
        chain = *(void **)object;
        slab_free(&large, object);
    }
    CHECK_EQ(frames_free() + large.slabs, free);
    CHECK_EQ(host.locks_held, 0);
}

static void test_misuse(void)
{
    struct thing *thing = slab_alloc(&things);

    slab_free(&things, thing);
    thing->words[3] = 7;
    CHECK_PANIC(slab_alloc(&things));
    CHECK(strstr(host.panic_text, "after it was freed"));
}

int main(void)
{
    host_frames_init(32ul << 20);
    tap_run("objects are apart, and slabs go back", test_objects);
    tap_run("zeroed objects", test_zeroed);
    tap_run("alignment is kept", test_aligned);
    tap_run("random use loses no frame", test_random);
    tap_run("kmalloc of every class and of whole blocks", test_kmalloc);
    tap_run("running out of memory is told and undone", test_no_memory);
    tap_run("a write after free is caught", test_misuse);
    return tap_done();
}
