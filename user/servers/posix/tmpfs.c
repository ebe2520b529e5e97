/*
 * Inodes of the RAM file system and the bodies of its files; see tmpfs.h.
 */
#define _GNU_SOURCE
#include "user/servers/posix/tmpfs.h"
#include "user/lib/spawn.h"
#include "user/servers/posix/block.h"
#include "user/servers/posix/dev.h"
#include "user/servers/posix/pipe.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define SIZE_LIMIT (1ull << 47)
#define TMPFS_MAGIC 0x01021994
#define INODE_COST 1024 /* with its name and what the kernel has for it */
#define SEALS_OF_WRITING (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

struct fs tmpfs_root_fs = {
    .type = "tmpfs",
    .source = "tmpfs",
    .target = "/",
    .device = 1,
    .magic = TMPFS_MAGIC,
};

static struct rb_root by_number = RB_ROOT_INIT, by_offset = RB_ROOT_INIT;

static const u8 zeros[PAGE];

/* ---- Finding the file behind a mapping ---- */

static struct tmpfs_inode *of_node(const struct rb_node *node)
{
    return container_of((struct rb_node *)node, struct tmpfs_inode, file.node);
}

static bool number_less(const struct rb_node *a, const struct rb_node *b)
{
    return of_node(a)->inode.number < of_node(b)->inode.number;
}

static bool offset_less(const struct rb_node *a, const struct rb_node *b)
{
    return of_node(a)->file.archive_offset < of_node(b)->file.archive_offset;
}

static void index_file(struct tmpfs_inode *inode)
{
    if (inode->file.in_archive)
        rb_insert(&by_offset, &inode->file.node, offset_less);
    else
        rb_insert(&by_number, &inode->file.node, number_less);
}

static void forget_file(struct tmpfs_inode *inode)
{
    if (inode->file.in_archive)
        rb_remove(&by_offset, &inode->file.node);
    else if (inode->file.object)
        rb_remove(&by_number, &inode->file.node);
}

static struct inode *find_by_number(u64 number)
{
    struct rb_node *node = by_number.node;

    while (node) {
        struct tmpfs_inode *inode = of_node(node);

        if (inode->inode.number == number)
            return &inode->inode;
        node = number < inode->inode.number ? node->left : node->right;
    }
    return NULL;
}

struct inode *tmpfs_find_mapped(u64 cookie, u64 *offset)
{
    struct rb_node *node = by_offset.node;
    struct tmpfs_inode *best = NULL;

    if (cookie)
        return find_by_number(cookie);
    while (node) { /* the last file that starts at or below the offset */
        bool below = of_node(node)->file.archive_offset <= *offset;

        if (below)
            best = of_node(node);
        node = below ? node->right : node->left;
    }
    if (!best || *offset >= best->file.archive_offset + ALIGN_UP(best->inode.size, PAGE))
        return NULL;
    *offset -= best->file.archive_offset;
    return &best->inode;
}

/* ---- Bodies ---- */

/* Makes the object hold at least `size` bytes. */
static long ensure_capacity(struct tmpfs_inode *inode, u64 size)
{
    long error;

    size = ALIGN_UP(size, PAGE);
    if (size <= inode->file.capacity)
        return 0;
    error = mg_object_resize(inode->file.object, size);
    if (error < 0)
        return -ENOSPC;
    inode->file.capacity = size;
    return 0;
}

/* Gives the file an object of its own, with what the archive holds. */
static long ensure_object(struct tmpfs_inode *inode)
{
    u64 size = inode->inode.size;
    long object;

    if (inode->file.object)
        return 0;
    object = mg_object_create(ALIGN_UP(size, PAGE), inode->inode.number);
    if (object < 0)
        return -ENOSPC;
    if (inode->file.in_archive && size &&
        mg_vm_copy(object, 0, POSIX_HANDLE_INITRD, inode->file.archive_offset, size) !=
            (long)size) {
        mg_handle_close(object);
        return -ENOSPC;
    }
    forget_file(inode);
    inode->file.in_archive = false;
    inode->file.object = (mg_handle)object;
    inode->file.capacity = ALIGN_UP(size, PAGE);
    index_file(inode);
    return 0;
}

long tmpfs_prepare(struct inode *inode, u64 size)
{
    long error = ensure_object(tmpfs_of(inode));

    return error ? error : ensure_capacity(tmpfs_of(inode), size);
}

/* What is behind the end in the last page must read as zero when the file grows again. */
static void clear_tail(struct tmpfs_inode *inode, u64 size)
{
    usize tail = (usize)(ALIGN_UP(size, PAGE) - size);

    if (tail)
        mg_vm_copy(inode->file.object, size, MG_HANDLE_SELF, zeros, tail);
}

long tmpfs_truncate(struct inode *base, u64 size)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    u32 sealed = size < base->size ? F_SEAL_SHRINK : size > base->size ? F_SEAL_GROW : 0;
    long error = size > SIZE_LIMIT            ? -EFBIG
                 : inode->file.seals & sealed ? -EPERM
                                              : ensure_object(inode);

    if (error)
        return error;
    if (size < base->size) {
        error = mg_object_resize(inode->file.object, ALIGN_UP(size, PAGE));
        if (error < 0)
            return error;
        inode->file.capacity = ALIGN_UP(size, PAGE);
        clear_tail(inode, size);
    } else {
        error = ensure_capacity(inode, size);
        if (error)
            return error;
    }
    base->size = size;
    inode_touch(base, TOUCH_MODIFY | TOUCH_CHANGE);
    return 0;
}

long tmpfs_map(struct inode *base, u64 offset, u64 size, bool shared, bool exact, mg_handle *object,
               u64 *object_offset)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    bool aligned = inode->file.in_archive && !(inode->file.archive_offset % PAGE);
    bool inside = offset + size <= ALIGN_DOWN(base->size, PAGE);
    long error;

    if (!inode->file.object && aligned && !shared && (inside || !exact)) {
        *object = POSIX_HANDLE_INITRD;
        *object_offset = inode->file.archive_offset + offset;
        return 0;
    }
    error = ensure_object(inode);
    *object = inode->file.object;
    *object_offset = offset;
    return error;
}

/* The object that holds the body, and the offset of its first byte there. */
static mg_handle body(struct tmpfs_inode *inode, u64 *start)
{
    *start = inode->file.in_archive ? inode->file.archive_offset : 0;
    return inode->file.in_archive ? POSIX_HANDLE_INITRD : inode->file.object;
}

long tmpfs_read(struct inode *base, void *to, u64 offset, usize size)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    u64 start;
    mg_handle object = body(inode, &start);

    if (offset >= base->size)
        return 0;
    size = MIN(size, base->size - offset);
    return mg_vm_copy(MG_HANDLE_SELF, to, object, start + offset, size);
}

long tmpfs_write(struct inode *base, u64 offset, struct uio *io, usize size)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    u32 sealed = SEALS_OF_WRITING | (offset + size > base->size ? F_SEAL_GROW : 0);
    long done;

    if (inode->file.seals & sealed)
        return -EPERM;
    done = offset > SIZE_LIMIT || size > SIZE_LIMIT - offset ? -EFBIG : ensure_object(inode);

    if (!done)
        done = ensure_capacity(inode, offset + size);
    if (!done && tmpfs_is_short(inode, offset, size))
        done = -ENOSPC;
    if (!done)
        done = uio_get_object(io, inode->file.object, offset, size);
    if (done == -ENOMEM)
        return -ENOSPC;
    if (done <= 0)
        return done;
    base->size = MAX(base->size, offset + (u64)done);
    inode_touch(base, TOUCH_MODIFY | TOUCH_CHANGE);
    return done;
}

/* ---- Open files ---- */

static long file_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct inode *base = file->inode;
    u64 start;
    mg_handle object = body(tmpfs_of(base), &start);
    long done;

    (void)thread;
    if (*position >= base->size || !io->left)
        return 0;
    done = uio_put_object(io, object, start + *position, base->size - *position);
    if (done > 0)
        *position += (u64)done;
    if (!(file->flags & O_NOATIME))
        inode_touch(base, TOUCH_ACCESS);
    return done;
}

/* How much of a write RLIMIT_FSIZE lets through; with none, SIGXFSZ. */
static long limit_write(struct thread *thread, u64 position, usize size)
{
    u64 limit = thread->process->limits[RLIMIT_FSIZE].rlim_cur;

    if (limit == RLIM_INFINITY || position + size <= limit)
        return (long)size;
    if (position < limit)
        return (long)(limit - position);
    signal_send_thread(thread, SIGXFSZ, NULL);
    return -EFBIG;
}

static long file_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    u64 at = file->flags & O_APPEND ? file->inode->size : *position;
    long size = limit_write(thread, at, io->left), done;

    if (size <= 0)
        return size;
    if (file->inode->mode & (S_ISUID | S_ISGID))
        file->inode->mode &= ~(u32)(S_ISUID | S_ISGID);
    done = tmpfs_write(file->inode, at, io, (usize)size);
    if (done > 0)
        *position = at + (u64)done;
    return done;
}

static u32 file_poll(struct file *file, struct wait_queue **queue)
{
    (void)file;
    *queue = NULL;
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

static long file_map(struct file *file, struct mg_map *map)
{
    bool shared = map->flags & MAP_SHARED && file_can_write(file);

    if (shared && tmpfs_of(file->inode)->file.seals & SEALS_OF_WRITING) {
        if (map->prot & PROT_WRITE)
            return -EPERM;
        map->max_prot = PROT_READ | PROT_EXEC;
    }
    return tmpfs_map(file->inode, map->offset, map->len, shared, true, &map->object, &map->offset);
}

static long file_size(struct file *file)
{
    return (long)file->inode->size;
}

static const struct file_ops regular_ops = {
    .read = file_read,
    .write = file_write,
    .poll = file_poll,
    .map = file_map,
    .size = file_size,
};

static const struct file_ops directory_ops = {
    .iterate = tmpfs_iterate,
    .poll = file_poll,
};

/* ---- Inodes ---- */

static long regular_open(struct inode *inode, struct file *file, struct thread *thread)
{
    (void)thread;
    file->ops = &regular_ops;
    return file->flags & O_TRUNC && inode->size ? tmpfs_truncate(inode, 0) : 0;
}

static long directory_open(struct inode *inode, struct file *file, struct thread *thread)
{
    (void)inode;
    (void)thread;
    file->ops = &directory_ops;
    return 0;
}

static long special_open(struct inode *inode, struct file *file, struct thread *thread)
{
    if (S_ISFIFO(inode->mode))
        return fifo_open(inode, file, thread);
    if (S_ISCHR(inode->mode))
        return dev_open(inode, file, thread);
    if (S_ISBLK(inode->mode))
        return block_open(inode, file, thread);
    return -ENXIO;
}

static void regular_refresh(struct inode *base)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    struct mg_object_info info;

    base->blocks = DIV_UP(base->size, 512);
    if (inode->file.object && mg_object_info(inode->file.object, &info) >= 0)
        base->blocks = info.resident * (PAGE / 512);
    else if (!inode->file.in_archive)
        base->blocks = 0;
}

static void directory_refresh(struct inode *base)
{
    base->size = tmpfs_of(base)->dir.count * 20ul + 40;
}

static void release(struct inode *base)
{
    struct tmpfs_inode *inode = tmpfs_of(base);

    if (S_ISREG(base->mode)) {
        forget_file(inode);
        if (inode->file.object)
            mg_handle_close(inode->file.object);
        free(inode->file.label);
    } else if (S_ISLNK(base->mode)) {
        free(inode->target);
    }
    free(inode);
}

static long link_read(struct inode *link, struct thread *thread, char *to, usize size)
{
    usize length = MIN(link->size, size);

    (void)thread;
    memcpy(to, tmpfs_of(link)->target, length);
    return (long)length;
}

static long lookup(struct inode *dir, const char *name, usize length, struct inode **result)
{
    struct dentry *dentry = tmpfs_find(tmpfs_of(dir), name, length);

    if (!dentry)
        return -ENOENT;
    *result = inode_get(&dentry->inode->inode);
    return 0;
}

static struct inode *create(struct inode *dir, u32 mode, u64 rdev)
{
    (void)dir;
    return tmpfs_create(mode, rdev);
}

static bool is_empty(struct inode *dir)
{
    return !tmpfs_of(dir)->dir.count;
}

static struct tmpfs_inode *parent_of(struct tmpfs_inode *inode)
{
    if (inode_is_dir(&inode->inode))
        return inode->dir.parent;
    if (list_empty(&inode->dentries))
        return NULL;
    return list_first_entry(&inode->dentries, struct dentry, inode_link)->dir;
}

static struct inode *parent(struct inode *base)
{
    struct tmpfs_inode *dir = parent_of(tmpfs_of(base));

    return dir ? inode_get(&dir->inode) : NULL;
}

static long name_of(struct inode *base, char *to, usize size)
{
    struct tmpfs_inode *inode = tmpfs_of(base);
    struct dentry *dentry;

    if (list_empty(&inode->dentries))
        return -ENOENT;
    dentry = list_first_entry(&inode->dentries, struct dentry, inode_link);
    if (dentry->length > size)
        return -ENAMETOOLONG;
    memcpy(to, dentry->name, dentry->length);
    return dentry->length;
}

const struct inode_ops tmpfs_file_ops = {
    .open = regular_open,
    .truncate = tmpfs_truncate,
    .refresh = regular_refresh,
    .release = release,
    .parent = parent,
    .name = name_of,
};

const struct inode_ops tmpfs_dir_ops = {
    .lookup = lookup,
    .link = tmpfs_link,
    .unlink = tmpfs_unlink,
    .rename = tmpfs_rename,
    .create = create,
    .is_empty = is_empty,
    .open = directory_open,
    .refresh = directory_refresh,
    .release = release,
    .parent = parent,
    .name = name_of,
};

const struct inode_ops tmpfs_link_ops = {
    .readlink = link_read,
    .release = release,
    .parent = parent,
    .name = name_of,
};

const struct inode_ops tmpfs_special_ops = {
    .open = special_open,
    .release = release,
    .parent = parent,
    .name = name_of,
};

static const struct inode_ops *ops_of(u32 mode)
{
    return S_ISREG(mode)   ? &tmpfs_file_ops
           : S_ISDIR(mode) ? &tmpfs_dir_ops
           : S_ISLNK(mode) ? &tmpfs_link_ops
                           : &tmpfs_special_ops;
}

struct inode *tmpfs_create(u32 mode, u64 rdev)
{
    struct tmpfs_inode *inode;

    if (stats_is_short(STATS_RECORD, INODE_COST))
        return NULL;
    inode = calloc(1, sizeof *inode);
    if (!inode)
        return NULL;
    inode_init(&inode->inode, &tmpfs_root_fs, ops_of(mode), mode);
    inode->inode.rdev = rdev;
    if (S_ISREG(mode))
        inode->file.seals = F_SEAL_SEAL;
    list_init(&inode->dentries);
    return &inode->inode;
}

struct inode *tmpfs_create_link(const char *target, usize length)
{
    struct inode *inode = tmpfs_create(S_IFLNK | 0777, 0);
    char *copy = inode ? malloc(length + 1) : NULL;

    if (!copy) {
        free(inode ? tmpfs_of(inode) : NULL);
        return NULL;
    }
    memcpy(copy, target, length);
    copy[length] = '\0';
    tmpfs_of(inode)->target = copy;
    inode->size = length;
    return inode;
}

struct inode *tmpfs_create_archived(u32 mode, u64 offset, u64 size)
{
    struct inode *inode = tmpfs_create(mode, 0);

    if (!inode)
        return NULL;
    inode->size = size;
    tmpfs_of(inode)->file.in_archive = true;
    tmpfs_of(inode)->file.archive_offset = offset;
    index_file(tmpfs_of(inode));
    return inode;
}

struct inode *tmpfs_init(void)
{
    struct inode *root = tmpfs_create(S_IFDIR | 0755, 0);

    root->nlink = 2;
    tmpfs_of(root)->dir.parent = tmpfs_of(root);
    return root;
}
