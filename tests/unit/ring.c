/* The ring: order, fullness, wrapping counters, and two threads at once. */
#include "lib/ring.h"
#include "tests/unit/tap.h"
#include <pthread.h>
#include <sched.h>

#define STREAM 500000

static u8 memory[64];
static struct ring ring;

static void test_fill(void)
{
    u8 byte = 0;

    ring_init(&ring, memory, 8);
    CHECK(!ring_get(&ring, &byte));
    for (u8 i = 0; i < 8; i++)
        CHECK(ring_put(&ring, i));
    CHECK(!ring_put(&ring, 99));
    CHECK_EQ(ring_used(&ring), 8);
    for (u8 i = 0; i < 8; i++)
        CHECK(ring_get(&ring, &byte) && byte == i);
    CHECK_EQ(ring_used(&ring), 0);
}

/* Counters start just below 2^32, so that they wrap while bytes wait. */
static void test_wrap(void)
{
    u8 in[64], out[64];
    u8 sent = 0, received = 0;

    ring_init(&ring, memory, 64);
    atomic_store(&ring.head, UINT32_MAX - 100);
    atomic_store(&ring.tail, UINT32_MAX - 100);
    for (int round = 0; round < 1000; round++) {
        u32 size = random_below(64), free = 64 - ring_used(&ring);

        for (u32 i = 0; i < size; i++)
            in[i] = sent + i;
        u32 written = ring_write(&ring, in, size);
        CHECK_EQ(written, MIN(size, free));
        sent += written;

        u32 read = ring_read(&ring, out, random_below(64));
        for (u32 i = 0; i < read; i++)
            CHECK_EQ(out[i], (u8)(received + i));
        received += read;
    }
}

static void *produce(void *unused)
{
    (void)unused;
    for (u32 i = 0; i < STREAM; i++) {
        while (!ring_put(&ring, i ^ i >> 8))
            sched_yield();
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t producer;
    u8 byte;

    ring_init(&ring, memory, 64);
    CHECK_EQ(pthread_create(&producer, NULL, produce, NULL), 0);
    for (u32 i = 0; i < STREAM; i++) {
        while (!ring_get(&ring, &byte))
            sched_yield();
        CHECK_EQ(byte, (u8)(i ^ i >> 8));
    }
    pthread_join(producer, NULL);
    CHECK_EQ(ring_used(&ring), 0);
}

int main(void)
{
    tap_run("bytes come out in order; full and empty are told", test_fill);
    tap_run("counters wrap around unnoticed", test_wrap);
    tap_run("a producer and a consumer at once lose nothing", test_threads);
    return tap_done();
}
