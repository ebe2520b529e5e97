/*
 * object.c: memory objects.
 *
 * An object holds one reference to each of its frames; mappings and copies under way hold others.
 * Its frames are found by page number in a radix tree. Truncation sets the size first, so that no
 * fault brings a page back, then takes the mappings away through the list of VMAs, flushes, and
 * lets the frames go.
 *
 * Locks: object->lock guards everything but refs. Truncation reaches page tables by it alone,
 * without mm->lock: a VMA leaves the list before its tables may go (mmap.c).
 */
#include "kernel/mm/object.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/refs.h"
#include "kernel/base/slab.h"
#include "kernel/mm/mm.h"
#include "kernel/mm/release.h"
#include "kernel/mm/tlb.h"
#include "kernel/mm/zap.h"
#include "kernel/task/handle.h"
#include "kernel/task/thread.h"
#include "lib/string.h"

static struct slab_cache object_cache = SLAB_CACHE("object", struct object);
static struct slab_cache radix_cache = SLAB_CACHE("radix node", struct radix_node);
static struct spinlock object_list_lock = SPINLOCK_INIT("object list", LOCK_LINEAGE);
static struct list object_list = LIST_INIT(object_list); /* all_link; guarded by that lock */

static void *node_alloc(void *context)
{
    (void)context;
    return slab_alloc(&radix_cache);
}

static void node_free(void *context, void *node)
{
    (void)context;
    slab_free(&radix_cache, node);
}

static const struct radix_memory radix_memory = {node_alloc, node_free, NULL};

static u64 bytes_to_pages(u64 bytes)
{
    return bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
}

/* --- life --- */

struct object *object_create(u64 bytes, u64 cookie)
{
    struct object *object = slab_zalloc(&object_cache);

    if (!object)
        return NULL;
    atomic_init(&object->refs, 1);
    mutex_init(&object->lock, LOCK_OBJECT);
    object->bytes = bytes;
    radix_init(&object->frames, &radix_memory);
    list_init(&object->vmas);
    object->cookie = cookie;
    spin_lock(&object_list_lock);
    list_add_tail(&object->all_link, &object_list);
    spin_unlock(&object_list_lock);
    return object;
}

struct object *object_create_physical(pa_t base, u64 bytes, u32 cache)
{
    struct object *object = object_create(bytes, 0);

    if (object) {
        object->physical = true;
        object->base = base;
        object->cache = cache;
    }
    return object;
}

struct object *object_get(struct object *object)
{
    atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    return object;
}

/* Takes the frames [first, end) out and drops the object's references, some at a time. */
static void drop_frames(struct object *object, u64 first, u64 end)
{
    struct frame *frames[64], *frame;
    u32 count = 0;

    if (first >= end)
        return;
    radix_for_each(frame, page, &object->frames, first, end - 1) {
        radix_remove(&object->frames, page);
        object->resident--;
        frame->owner = NULL; /* somebody may hold it longer than there is an object */
        frames[count++] = frame;
        if (count == ARRAY_LEN(frames)) {
            frames_put_many(frames, count);
            count = 0;
            sched_point();
        }
    }
    frames_put_many(frames, count);
}

void object_put(struct object *object)
{
    if (atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) != 1)
        return;
    debug_assert(list_empty(&object->vmas));
    spin_lock(&object_list_lock);
    list_remove(&object->all_link);
    spin_unlock(&object_list_lock);
    drop_frames(object, 0, ~0ul);
    debug_assert(object->resident == 0);
    slab_free(&object_cache, object);
}

/* --- frames --- */

/* Puts a frame, whose reference becomes the object's, at a page. */
static bool add_frame(struct object *object, u64 page, struct frame *frame)
{
    if (!radix_set(&object->frames, page, frame))
        return false;
    frame->owner = object;
    frame->index = page;
    frame_set_kind(frame, FRAME_KIND_OBJECT);
    object->resident++;
    return true;
}

struct frame *object_find(struct object *object, u64 page)
{
    return page < bytes_to_pages(object->bytes) ? radix_get(&object->frames, page) : NULL;
}

struct frame *object_find_or_create(struct object *object, u64 page, bool *beyond)
{
    *beyond = page >= bytes_to_pages(object->bytes);
    if (*beyond)
        return NULL;
    struct frame *frame = radix_get(&object->frames, page);
    if (frame)
        return frame;
    frame = frame_alloc(0, ALLOC_ZERO, NODE_ANY);
    if (frame && !add_frame(object, page, frame)) {
        frame_put(frame);
        return NULL;
    }
    return frame;
}

struct frame *object_frame(struct object *object, u64 page, bool create, bool *beyond)
{
    bool outside;

    mutex_lock(&object->lock);
    struct frame *frame =
        create ? object_find_or_create(object, page, &outside) : object_find(object, page);
    if (frame)
        frame_get(frame);
    if (beyond)
        *beyond = page >= bytes_to_pages(object->bytes);
    mutex_unlock(&object->lock);
    return frame;
}

/* The module's memory was reserved at start, so its frames have no count yet: one reference, a
 * pin, keeps them from the allocator for ever, the other is the object's. */
struct object *object_create_boot(pa_t start, u64 bytes)
{
    struct object *object = object_create(bytes, 0);

    if (!object)
        return NULL;
    for (u64 page = 0; page < bytes_to_pages(bytes); page++) {
        struct frame *frame = pfn_frame((pfn_t){pa_pfn(start).raw + page});

        atomic_store_explicit(&frame->refs, 2, memory_order_relaxed);
        frame->pins = 1;
        if (!add_frame(object, page, frame))
            panic("no memory for a boot module's pages");
    }
    if (bytes % PAGE_SIZE)
        memset((u8 *)pa_virt(start) + bytes, 0, PAGE_SIZE - bytes % PAGE_SIZE);
    return object;
}

/* --- taking pages away --- */

/* Takes every mapping of pages [first, end) away; private copies only when the pages cease to
 * be. */
static void unmap_pages(struct object *object, u64 first, u64 end, bool private_too)
{
    struct tlb_batch batch;
    struct vma *vma;

    list_for_each_entry(vma, &object->vmas, object_link) {
        u64 from = MAX(first, vma->offset), to = MIN(end, vma->offset + vma_pages(vma));

        if (from >= to)
            continue;
        va_t start = vma->start + ((from - vma->offset) << PAGE_SHIFT);
        va_t stop = vma->start + ((to - vma->offset) << PAGE_SHIFT);
        tlb_batch_init(&batch, vma->mm, TLB_UNMAP);
        if (private_too)
            zap_range(vma, start, stop, &batch);
        else
            zap_shared_range(vma, start, stop, &batch);
        tlb_batch_flush(&batch);
    }
}

/* What is beyond the end in the last page must read as zeros if the object grows again. */
static void zero_tail(struct object *object)
{
    u64 offset = object->bytes % PAGE_SIZE;
    struct frame *frame = offset ? object_find(object, object->bytes / PAGE_SIZE) : NULL;

    if (frame)
        memset((u8 *)frame_page(frame) + offset, 0, PAGE_SIZE - offset);
}

s64 object_resize(struct object *object, u64 bytes)
{
    if (object->physical)
        return -EINVAL;
    mutex_lock(&object->lock);
    u64 old = object->bytes;
    object->bytes = bytes;
    if (bytes < old) {
        unmap_pages(object, bytes_to_pages(bytes), ~0ul, true);
        drop_frames(object, bytes_to_pages(bytes), ~0ul);
        zero_tail(object);
    }
    mutex_unlock(&object->lock);
    return 0;
}

void object_punch(struct object *object, u64 first, u64 end)
{
    mutex_lock(&object->lock);
    unmap_pages(object, first, end, false);
    drop_frames(object, first, end);
    mutex_unlock(&object->lock);
}

/* --- all of them --- */

struct object *object_next(struct object *after)
{
    struct object *next = NULL;

    spin_lock(&object_list_lock);
    for (struct list *at = after ? after->all_link.next : object_list.next;
         at != &object_list && !next; at = at->next) {
        struct object *object = list_entry(at, struct object, all_link);

        if (refs_get_unless_zero(&object->refs))
            next = object;
    }
    spin_unlock(&object_list_lock);
    if (after)
        object_put(after);
    return next;
}

/* --- as seen by floor 3 --- */

static void handle_get(void *object)
{
    object_get(object);
}

static void handle_put(void *object)
{
    object_put(object);
}

static u64 handle_pages(const void *object)
{
    return ((const struct object *)object)->resident;
}

void object_init(void)
{
    static const struct handle_class object_class = {
        .get = handle_get, .put = handle_put, .pages = handle_pages};

    handle_class_register(HANDLE_OBJECT, &object_class);
}
