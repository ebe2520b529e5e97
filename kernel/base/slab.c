/*
 * slab.c: objects of one size packed into pages, and kmalloc on top of it.
 *
 * A slab is one frame (of kind SLAB, owner: its cache) cut into objects; the free ones are chained
 * through their first word. The frame's fields serve as the slab's: index = address of the first
 * free object, maps = objects in use, next and prev link the slabs that have room. A slab that
 * becomes empty goes back to the frame allocator, except the last one with room. Debug builds fill
 * freed objects with a pattern and check it.
 *
 *   frame ── SLAB ──▶ page  | object | free ─┐ | object | free ◀┘ ... |
 *
 * kmalloc takes powers of two up to 2 KiB from such caches and whole blocks of frames beyond.
 */
#include "kernel/base/slab.h"
#include "kernel/base/frame.h"
#include "kernel/base/log.h"
#include "lib/string.h"

#define FREED_BYTE 0xdb

static u32 object_size(const struct slab_cache *cache)
{
    return ALIGN_UP(MAX(cache->size, (u32)sizeof(void *)), MAX(cache->align, 8u));
}

static void partial_add(struct slab_cache *cache, struct frame *slab)
{
    slab->prev = 0;
    slab->next = cache->partial ? (u32)frame_pfn(cache->partial).raw : 0;
    if (cache->partial)
        cache->partial->prev = (u32)frame_pfn(slab).raw;
    cache->partial = slab;
}

static void partial_remove(struct slab_cache *cache, struct frame *slab)
{
    struct frame *next = slab->next ? &frame_table[slab->next] : NULL;

    if (slab->prev)
        frame_table[slab->prev].next = slab->next;
    else
        cache->partial = next;
    if (next)
        next->prev = slab->prev;
}

static void object_poison(const struct slab_cache *cache, void *object)
{
#ifdef MG_DEBUG
    memset((u8 *)object + sizeof(void *), FREED_BYTE,
           cache->size > sizeof(void *) ? cache->size - sizeof(void *) : 0);
#else
    (void)cache, (void)object;
#endif
}

static void object_check(const struct slab_cache *cache, const void *object)
{
#ifdef MG_DEBUG
    for (u32 i = sizeof(void *); i < cache->size; i++)
        if (((const u8 *)object)[i] != FREED_BYTE)
            panic("%s %p was written after it was freed, at byte %u", cache->name, object, i);
#else
    (void)cache, (void)object;
#endif
}

static struct frame *slab_create(struct slab_cache *cache)
{
    struct frame *slab = frame_alloc(0, 0, NODE_ANY);

    if (!slab)
        return NULL;
    u8 *page = frame_page(slab);
    u32 size = object_size(cache);
    void *free = NULL;

    for (s32 at = (s32)(PAGE_SIZE / size * size - size); at >= 0; at -= (s32)size) {
        *(void **)(page + at) = free;
        free = page + at;
        object_poison(cache, free);
    }
    frame_set_kind(slab, FRAME_KIND_SLAB);
    slab->owner = cache;
    slab->index = (u64)free;
    return slab;
}

/* Makes sure that cache->partial has a slab. Called and returns with the lock held, dropped in
 * between. */
static bool cache_grow(struct slab_cache *cache)
{
    spin_unlock(&cache->lock);
    struct frame *slab = slab_create(cache);
    spin_lock(&cache->lock);
    if (slab) {
        partial_add(cache, slab);
        cache->slabs++;
    }
    return cache->partial != NULL;
}

void *slab_alloc(struct slab_cache *cache)
{
    void *object = NULL;

    spin_lock(&cache->lock);
    if (cache->partial || cache_grow(cache)) {
        struct frame *slab = cache->partial;

        object = (void *)slab->index;
        slab->index = (u64) * (void **)object;
        atomic_fetch_add_explicit(&slab->maps, 1, memory_order_relaxed);
        if (!slab->index)
            partial_remove(cache, slab);
        cache->objects++;
    }
    spin_unlock(&cache->lock);
    if (object)
        object_check(cache, object);
    return object;
}

void *slab_zalloc(struct slab_cache *cache)
{
    void *object = slab_alloc(cache);

    if (object)
        memset(object, 0, cache->size);
    return object;
}

void slab_free(struct slab_cache *cache, void *object)
{
    struct frame *slab = virt_frame(object), *empty = NULL;

    assert_eq(slab->owner, cache);
    object_poison(cache, object);
    spin_lock(&cache->lock);
    bool was_full = !slab->index;

    *(void **)object = (void *)slab->index;
    slab->index = (u64)object;
    cache->objects--;
    if (was_full)
        partial_add(cache, slab);
    if (atomic_fetch_sub_explicit(&slab->maps, 1, memory_order_relaxed) == 1 &&
        (slab->next || slab->prev)) {
        partial_remove(cache, slab);
        cache->slabs--;
        empty = slab;
    }
    spin_unlock(&cache->lock);
    if (empty)
        frame_put(empty);
}

/* --- kmalloc --- */

#define KMALLOC_CACHE(bytes)                                                                       \
    {                                                                                              \
        .name = "kmalloc-" #bytes, .size = (bytes), .align = 16,                                   \
        .lock = SPINLOCK_INIT("kmalloc-" #bytes, LOCK_SLAB)                                        \
    }

static struct slab_cache kmalloc_caches[] = {
    KMALLOC_CACHE(32),  KMALLOC_CACHE(64),   KMALLOC_CACHE(128),  KMALLOC_CACHE(256),
    KMALLOC_CACHE(512), KMALLOC_CACHE(1024), KMALLOC_CACHE(2048),
};

void *kmalloc(usize size)
{
    for (u32 i = 0; i < ARRAY_LEN(kmalloc_caches); i++)
        if (size <= kmalloc_caches[i].size)
            return slab_alloc(&kmalloc_caches[i]);

    u32 order = 0;
    while (order <= 10 && PAGE_SIZE << order < size)
        order++;
    if (order > 10)
        return NULL;
    struct frame *block = frame_alloc(order, 0, NODE_ANY);
    if (!block)
        return NULL;
    block->index = order;
    return frame_page(block);
}

void *kzalloc(usize size)
{
    void *memory = kmalloc(size);

    if (memory)
        memset(memory, 0, size);
    return memory;
}

void kfree(void *memory)
{
    if (!memory)
        return;
    struct frame *frame = virt_frame(memory);

    if (frame_kind(frame) == FRAME_KIND_SLAB) {
        slab_free(frame->owner, memory);
        return;
    }
    assert_eq(frame_kind(frame), FRAME_KIND_KERNEL);
    atomic_store_explicit(&frame->refs, 0, memory_order_relaxed);
    frame_free(frame, (u32)frame->index);
}
