/*
 * slab.h: memory for kernel objects smaller than a page, and kmalloc for odd sizes.
 *
 * Nothing here sleeps; NULL means no memory. Objects come back uninitialised unless the name says
 * zero.
 */
#pragma once

#include "kernel/base/lock.h"
#include "lib/types.h"

struct slab_cache {
    const char *name;
    u32 size, align;
    struct spinlock lock;  /* guards all below */
    struct frame *partial; /* slabs with a free object */
    u64 objects, slabs;
};

#define SLAB_CACHE(name_, type)                                                                    \
    {.name = (name_), .size = sizeof(type), .align = _Alignof(type),                               \
     .lock = SPINLOCK_INIT(name_, LOCK_SLAB)}

void *slab_alloc(struct slab_cache *cache);
void *slab_zalloc(struct slab_cache *cache);
void slab_free(struct slab_cache *cache, void *object);

/* Any size up to 4 MiB. kfree(NULL) is allowed. */
void *kmalloc(usize size);
void *kzalloc(usize size);
void kfree(void *memory);
