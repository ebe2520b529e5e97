/*
 * The nodes in /dev, and the devices that are only a way to read or write: null, zero, full,
 * random. The terminal is in tty.c, the kernel's log in kmsg.c, ksm in ksm_device.c.
 */
#include "user/servers/posix/dev.h"
#include "user/servers/posix/ksm_device.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/tty.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK 65536

enum { MEM_NULL = 3, MEM_ZERO = 5, MEM_FULL = 7, MEM_RANDOM = 8, MEM_URANDOM = 9, MEM_KMSG = 11 };

static const u8 zeros[CHUNK];

/* ---- What they read as and do with what is written ---- */

static long read_nothing(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    (void)file;
    (void)thread;
    (void)io;
    (void)position;
    return 0;
}

static long read_zeros(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    long total = 0;

    (void)file;
    (void)thread;
    (void)position;
    while (io->left) {
        long done = uio_put(io, zeros, sizeof zeros);

        if (done <= 0)
            return total ? total : done;
        total += done;
    }
    return total;
}

static long read_random(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    long total = 0;

    (void)file;
    (void)thread;
    (void)position;
    while (io->left) {
        u8 bytes[1024];
        usize size = MIN(io->left, sizeof bytes);
        long done;

        random_bytes(bytes, size);
        done = uio_put(io, bytes, size);
        if (done <= 0)
            return total ? total : done;
        total += done;
    }
    return total;
}

static long write_nowhere(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    (void)file;
    (void)thread;
    (void)position;
    return (long)io->left;
}

static long write_full(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    (void)file;
    (void)thread;
    (void)position;
    return io->left ? -ENOSPC : 0;
}

/* They can be seeked, to no effect. */
static long size_none(struct file *file)
{
    (void)file;
    return 0;
}

/* Mapping /dev/zero is another way to ask for anonymous memory. */
static long map_zeros(struct file *file, struct mg_map *map)
{
    (void)file;
    map->flags |= MAP_ANONYMOUS;
    map->object = 0;
    map->offset = 0;
    return 0;
}

static const struct file_ops null_ops = {
    .read = read_nothing,
    .write = write_nowhere,
    .size = size_none,
};

static const struct file_ops zero_ops = {
    .read = read_zeros,
    .write = write_nowhere,
    .map = map_zeros,
    .size = size_none,
};

static const struct file_ops full_ops = {
    .read = read_zeros,
    .write = write_full,
    .size = size_none,
};

static const struct file_ops random_ops = {
    .read = read_random,
    .write = write_nowhere,
    .size = size_none,
};

/* ---- Nodes ---- */

static const struct node {
    const char *name;
    u32 major, minor, mode;
    const struct file_ops *ops;
} nodes[] = {
    {"null", DEV_MEM_MAJOR, MEM_NULL, 0666, &null_ops},
    {"zero", DEV_MEM_MAJOR, MEM_ZERO, 0666, &zero_ops},
    {"full", DEV_MEM_MAJOR, MEM_FULL, 0666, &full_ops},
    {"random", DEV_MEM_MAJOR, MEM_RANDOM, 0666, &random_ops},
    {"urandom", DEV_MEM_MAJOR, MEM_URANDOM, 0666, &random_ops},
    {"kmsg", DEV_MEM_MAJOR, MEM_KMSG, 0644, &kmsg_ops},
    {"ksm", DEV_MISC_MAJOR, DEV_KSM, 0666, &ksm_device_ops},
    {"tty", DEV_TTY_ALIAS_MAJOR, DEV_TTY_OWN, 0666, &tty_ops},
    {"console", DEV_TTY_ALIAS_MAJOR, DEV_CONSOLE, 0600, &tty_ops},
    {"ttyS0", DEV_TTY_MAJOR, DEV_TTYS0, 0660, &tty_ops},
};

static const struct link {
    const char *name, *target;
} links[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

static void name_node(struct inode *dir, const char *name, struct inode *inode)
{
    if (!inode || tmpfs_link(dir, name, inode))
        log_line("/dev/%s can't be made", name);
    if (inode)
        inode_put(inode);
}

/* A node the archive brings already is left as it is. */
static bool has_node(struct inode *dir, const char *name)
{
    return tmpfs_find(tmpfs_of(dir), name, strlen(name)) != NULL;
}

void dev_init(void)
{
    struct inode *dir = tmpfs_make_path("dev", 0755);

    if (!dir || !inode_is_dir(dir)) {
        log_line("/dev can't be made");
        return;
    }
    for (u32 i = 0; i < ARRAY_LEN(nodes); i++) {
        const struct node *node = &nodes[i];

        if (!has_node(dir, node->name))
            name_node(dir, node->name,
                      tmpfs_create(S_IFCHR | node->mode, dev_number(node->major, node->minor)));
    }
    for (u32 i = 0; i < ARRAY_LEN(links); i++) {
        if (!has_node(dir, links[i].name))
            name_node(dir, links[i].name,
                      tmpfs_create_link(links[i].target, strlen(links[i].target)));
    }
    inode_put(dir);
}

long dev_open(struct inode *inode, struct file *file, struct thread *thread)
{
    for (u32 i = 0; i < ARRAY_LEN(nodes); i++) {
        const struct node *node = &nodes[i];

        if (inode->rdev != dev_number(node->major, node->minor))
            continue;
        file->ops = node->ops;
        return node->ops == &tty_ops ? tty_open(file, thread->process) : 0;
    }
    return -ENXIO;
}
