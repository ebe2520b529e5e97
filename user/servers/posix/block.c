/*
 * Block devices as files: nodes, opening, ioctl. Moving data is in block_io.c.
 *
 * Each open file has a handle of its own from the kernel, with the rights of the file's mode: a
 * disk that no program opened for writing can't be written to, whatever goes wrong here.
 */
#define _GNU_SOURCE
#include "user/servers/posix/block.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/block_io.h"
#include "user/servers/posix/dev.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define DEVICES_MAX 26
#define MAJOR 254
#define MINORS 16 /* of a device: room for partitions */
#define SECTOR 512
#define PHYSICAL_BLOCK_GET _IO(0x12, 123)

static struct block_device devices[DEVICES_MAX];
static u32 device_count;

struct block_device *block_device_at(u64 index)
{
    return index < device_count ? &devices[index] : NULL;
}

static void make_node(struct inode *dir, const struct block_device *device)
{
    struct inode *inode = tmpfs_create(S_IFBLK | 0660, device->number);

    if (!inode || tmpfs_link(dir, device->info.name, inode))
        log_line("/dev/%s can't be made", device->info.name);
    if (inode)
        inode_put(inode);
}

void block_init(void)
{
    struct inode *dir = tmpfs_make_path("dev", 0755);

    for (u32 i = 0; dir && i < DEVICES_MAX; i++) {
        struct block_device *device = &devices[i];

        if (mg_block_info(POSIX_HANDLE_SYSTEM, i, &device->info) < 0)
            break;
        device->number = dev_number(MAJOR, i * MINORS);
        wait_queue_init(&device->free);
        device_count++;
        make_node(dir, device);
    }
    if (dir)
        inode_put(dir);
}

static long read_device(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return block_move(file, thread, io, position, false);
}

static long write_device(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return block_move(file, thread, io, position, true);
}

static long device_size(struct file *file)
{
    return (long)((struct block_opened *)file->data)->device->info.bytes;
}

static long device_ioctl(struct file *file, struct thread *thread, u64 request, u64 arg)
{
    const struct mg_block_info *info = &((struct block_opened *)file->data)->device->info;
    u64 sectors = info->bytes / SECTOR;
    int value;

    switch (request) {
    case BLKGETSIZE64: return user_put(thread, arg, &info->bytes, sizeof info->bytes);
    case BLKGETSIZE: return user_put(thread, arg, &sectors, sizeof sectors);
    case BLKSSZGET:
    case BLKBSZGET:
    case PHYSICAL_BLOCK_GET:
        value = (int)info->block_bytes;
        return user_put(thread, arg, &value, sizeof value);
    case BLKROGET:
        value = info->flags & MG_BLOCK_READ_ONLY;
        return user_put(thread, arg, &value, sizeof value);
    case BLKFLSBUF: /* nothing is kept */ return thread->process->cred.euid ? -EACCES : 0;
    default: return -ENOTTY;
    }
}

static void device_release(struct file *file)
{
    block_close(file->data);
}

static const struct file_ops device_ops = {
    .read = read_device,
    .write = write_device,
    .ioctl = device_ioctl,
    .size = device_size,
    .sync = block_flush,
    .release = device_release,
};

static struct block_device *find_device(u64 number)
{
    for (u32 i = 0; i < device_count; i++) {
        if (devices[i].number == number)
            return &devices[i];
    }
    return NULL;
}

long block_open(struct inode *inode, struct file *file, struct thread *thread)
{
    struct block_device *device = find_device(inode->rdev);
    u32 rights = (file_can_read(file) ? MG_RIGHT_READ : 0) |
                 /* a part of a block is read before it is written */
                 (file_can_write(file) ? MG_RIGHT_READ | MG_RIGHT_WRITE : 0);
    struct block_opened *opened;
    long handle;

    (void)thread;
    if (!device)
        return -ENXIO;
    handle = mg_block_open(POSIX_HANDLE_SYSTEM, device - devices, rights);
    if (handle < 0)
        return handle;
    opened = calloc(1, sizeof *opened);
    if (!opened) {
        mg_handle_close((mg_handle)handle);
        return -ENOMEM;
    }
    opened->device = device;
    opened->handle = (mg_handle)handle;
    list_add_tail(&opened->link, &block_all_opened);
    file->ops = &device_ops;
    file->data = opened;
    return 0;
}
