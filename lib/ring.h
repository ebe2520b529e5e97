/*
 * A ring of bytes between one producer and one consumer, which may be an interrupt handler and a
 * thread, or two CPUs; no lock. The size is a power of two. `head` and `tail` count all bytes ever
 * written and read; they wrap around 2^32, and their difference is the number of bytes waiting.
 * Only the producer changes head, only the consumer tail; each publishes with release what the
 * other reads with acquire.
 */
#pragma once

#include "lib/types.h"
#include <stdatomic.h>

struct ring {
    u8 *bytes;
    u32 size;
    _Atomic u32 head; /* written by the producer */
    _Atomic u32 tail; /* written by the consumer */
};

/* `size` is a power of two, at most 2^31. */
static inline void ring_init(struct ring *ring, void *bytes, u32 size)
{
    ring->bytes = bytes;
    ring->size = size;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
}

/* How many bytes wait to be read? */
static inline u32 ring_used(struct ring *ring)
{
    u32 tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

    return atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
}

/* The producer: adds a byte; false if the ring is full. */
static inline bool ring_put(struct ring *ring, u8 byte)
{
    u32 head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == ring->size)
        return false;
    ring->bytes[head & (ring->size - 1)] = byte;
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

/* The consumer: takes the oldest byte; false if the ring is empty. */
static inline bool ring_get(struct ring *ring, u8 *byte)
{
    u32 tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    if (atomic_load_explicit(&ring->head, memory_order_acquire) == tail)
        return false;
    *byte = ring->bytes[tail & (ring->size - 1)];
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* The producer: adds as many of `size` bytes as fit; returns how many. */
static inline u32 ring_write(struct ring *ring, const void *bytes, u32 size)
{
    u32 written = 0;

    while (written < size && ring_put(ring, ((const u8 *)bytes)[written]))
        written++;
    return written;
}

/* The consumer: takes at most `size` bytes; returns how many. */
static inline u32 ring_read(struct ring *ring, void *bytes, u32 size)
{
    u32 read = 0;

    while (read < size && ring_get(ring, &((u8 *)bytes)[read]))
        read++;
    return read;
}
