/*
 * Block devices in /proc/partitions and /sys/block.
 */
#include "user/servers/posix/block.h"
#include "user/servers/posix/block_io.h"
#include "user/servers/posix/proc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECTOR 512
#define FILE_SIZE 4096

static u32 major_of(const struct block_device *device)
{
    return (u32)(device->number >> 8);
}

static u32 minor_of(const struct block_device *device)
{
    return (u32)(device->number & 0xff);
}

static bool is_read_only(const struct block_device *device)
{
    return device->info.flags & MG_BLOCK_READ_ONLY;
}

PROC_SHOW(partitions)
{
    const struct block_device *device;

    (void)node;
    (void)thread;
    text_print(text, "major minor  #blocks  name\n\n");
    for (u64 i = 0; (device = block_device_at(i)); i++)
        text_print(text, "%4u  %7u %10lu %s\n", major_of(device), minor_of(device),
                   device->info.bytes / 1024, device->info.name);
    return 0;
}

/* A file of one value of a device, in /sys/block/NAME/. */
#define VALUE(name, format, ...)                                                                   \
    static long show_##name(struct pseudo_node *node, struct thread *thread, struct text *text)    \
    {                                                                                              \
        const struct block_device *device = block_device_at(node->key.number);                     \
                                                                                                   \
        (void)thread;                                                                              \
        text_print(text, format "\n", __VA_ARGS__);                                                \
        return 0;                                                                                  \
    }

VALUE(dev, "%u:%u", major_of(device), minor_of(device))
VALUE(size, "%lu", device->info.bytes / SECTOR)
VALUE(ro, "%u", is_read_only(device))
VALUE(block_size, "%u", device->info.block_bytes)

#define SHOWN(name_, show_)                                                                        \
    {                                                                                              \
        .name = #name_, .mode = S_IFREG | 0444, .show = show_, .size = FILE_SIZE                   \
    }

static const struct pseudo_entry queue_entries[] = {
    SHOWN(logical_block_size, show_block_size),
    SHOWN(physical_block_size, show_block_size),
    {0},
};

static const struct pseudo_entry device_entries[] = {
    SHOWN(dev, show_dev),
    SHOWN(size, show_size),
    SHOWN(ro, show_ro),
    {.name = "queue", .mode = S_IFDIR | 0755, .entries = queue_entries},
    {0},
};

static const struct pseudo_entry device_entry = {.mode = S_IFDIR | 0755, .entries = device_entries};

static void set_shown(struct pseudo_child *child, const struct block_device *device, u64 index)
{
    child->entry = &device_entry;
    child->key.number = (u32)index;
    snprintf(child->name, sizeof child->name, "%s", device->info.name);
}

bool block_next_shown(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    const struct block_device *device = block_device_at(*place);

    (void)dir;
    if (device)
        set_shown(child, device, *place);
    return device;
}

/* `name` is child->name: it stays until one fits. */
long block_find_shown(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    const struct block_device *device;

    (void)dir;
    for (u64 i = 0; (device = block_device_at(i)); i++) {
        if (!strcmp(device->info.name, name)) {
            set_shown(child, device, i);
            return 0;
        }
    }
    return -ENOENT;
}
