/*
 * native_object.c: the native calls on memory objects.
 */
#include "kernel/mm/object.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/native.h"

#define OBJECT_LIMIT (1ul << 62) /* bytes: offsets never overflow */
#define PHYSICAL_LIMIT (1ul << 52)

s64 native_object_create(struct trap_frame *frame)
{
    u64 bytes = SYSCALL_ARG0(frame);

    if (bytes > OBJECT_LIMIT)
        return -EINVAL;
    struct object *object = object_create(bytes, SYSCALL_ARG1(frame));

    return object ? native_install(HANDLE_OBJECT, object) : -ENOMEM;
}

s64 native_object_resize(struct trap_frame *frame)
{
    u64 bytes = SYSCALL_ARG1(frame);
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_OBJECT, MG_RIGHT_MANAGE, &ref);

    if (status < 0)
        return status;
    status = bytes > OBJECT_LIMIT ? -EINVAL : object_resize(ref.object, bytes);
    handle_ref_put(&ref);
    return status;
}

s64 native_object_info(struct trap_frame *frame)
{
    struct mg_object_info info = {0};
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_OBJECT, MG_RIGHT_READ, &ref);

    if (status < 0)
        return status;
    struct object *object = ref.object;

    mutex_lock(&object->lock);
    info.bytes = object->bytes;
    info.resident = object->resident;
    info.cookie = object->cookie;
    list_for_each(link, &object->vmas) {
        info.mappings++;
    }
    /* The rest of the references but our own; a mapping's holds one. */
    u64 others = atomic_load(&object->refs) - 1;

    info.handles = others > info.mappings ? others - info.mappings : 0;
    mutex_unlock(&object->lock);
    handle_ref_put(&ref);
    return user_write(SYSCALL_ARG1(frame), &info, sizeof(info));
}

/* --- holes --- */

/* The first page from `page` on that has a frame, or for a hole has none. */
static u64 seek_page(struct object *object, u64 page, bool hole)
{
    u64 next = page;

    if (!hole)
        return radix_next(&object->frames, &next) ? next : ~0ul;
    while (radix_get(&object->frames, page))
        page++;
    return page;
}

s64 native_object_seek(struct trap_frame *frame)
{
    u64 offset = SYSCALL_ARG1(frame), what = SYSCALL_ARG2(frame);
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_OBJECT, MG_RIGHT_READ, &ref);

    if (status < 0)
        return status;
    struct object *object = ref.object;

    mutex_lock(&object->lock);
    if (what > MG_SEEK_HOLE || object->physical) {
        status = -EINVAL;
    } else if (offset >= object->bytes) {
        status = -ENXIO;
    } else {
        u64 page = seek_page(object, offset >> PAGE_SHIFT, what == MG_SEEK_HOLE);

        status = page >= DIV_UP(object->bytes, PAGE_SIZE) ? -ENXIO
                                                          : (s64)MAX(offset, page << PAGE_SHIFT);
    }
    mutex_unlock(&object->lock);
    handle_ref_put(&ref);
    return status;
}

s64 native_object_punch(struct trap_frame *frame)
{
    u64 offset = SYSCALL_ARG1(frame), bytes = SYSCALL_ARG2(frame);
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_OBJECT, MG_RIGHT_WRITE, &ref);

    if (status < 0)
        return status;
    if (offset > OBJECT_LIMIT || bytes > OBJECT_LIMIT || ((struct object *)ref.object)->physical)
        status = -EINVAL;
    else if (DIV_UP(offset, PAGE_SIZE) < (offset + bytes) >> PAGE_SHIFT)
        object_punch(ref.object, DIV_UP(offset, PAGE_SIZE), (offset + bytes) >> PAGE_SHIFT);
    handle_ref_put(&ref);
    return status;
}

/* --- device memory --- */

/* Nothing in the range is memory that the kernel gives out: it must be a device's or the
 * firmware's. */
static bool is_device_range(u64 address, u64 bytes)
{
    u64 end = MIN((address + bytes) >> PAGE_SHIFT, frame_table_end);

    for (u64 page = address >> PAGE_SHIFT; page < end; page++)
        if (pfn_valid((pfn_t){page}) && frame_kind(pfn_frame((pfn_t){page})) != FRAME_KIND_RESERVED)
            return false;
    return true;
}

s64 native_object_physical(struct trap_frame *frame)
{
    u64 address = SYSCALL_ARG1(frame), bytes = SYSCALL_ARG2(frame), cache = SYSCALL_ARG3(frame);
    struct handle_ref system;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_SYSTEM, MG_RIGHT_MANAGE, &system);

    if (status < 0)
        return status;
    handle_ref_put(&system);
    if (!IS_ALIGNED(address | bytes, PAGE_SIZE) || bytes == 0 || bytes > PHYSICAL_LIMIT ||
        address > PHYSICAL_LIMIT - bytes || cache > MG_PHYS_CACHED ||
        !is_device_range(address, bytes))
        return -EINVAL;
    struct object *object = object_create_physical((pa_t){address}, bytes, (u32)cache);

    if (object && boot_info.framebuffer - address < bytes)
        screen_release(); /* who has it draws on it */
    return object ? native_install(HANDLE_OBJECT, object) : -ENOMEM;
}
