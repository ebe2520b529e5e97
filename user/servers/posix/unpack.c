/*
 * Filling the tree from cpio archives, before there is a process: no permissions, no mounts, links
 * in the way of a path are not followed.
 *
 * The body of a file of the initramfs stays where the boot loader put it, in the archive's object;
 * files of the overlay are copied, and take the place of what the initramfs had under their name.
 */
#include "lib/cpio.h"
#include "user/servers/posix/dev.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <string.h>

/* The next name of a path: its length, 0 at the end; "." is passed over. */
static usize next_name(const char **path, const char **name)
{
    usize length;

    do {
        *path += strspn(*path, "/");
        *name = *path;
        length = strcspn(*path, "/");
        *path += length;
    } while (length == 1 && **name == '.');
    return length;
}

/* The directory of that name, made if it is missing: a reference, or NULL. */
static struct inode *step_into(struct inode *dir, const char *name, usize length, u32 mode)
{
    char text[NAME_MAX + 1];
    struct inode *inode;

    if (!inode_is_dir(dir) || length > NAME_MAX)
        return NULL;
    if (!dir->ops->lookup(dir, name, length, &inode))
        return inode;
    inode = dir->ops->create(dir, S_IFDIR | mode, 0);
    if (!inode)
        return NULL;
    memcpy(text, name, length);
    text[length] = '\0';
    if (dir->ops->link(dir, text, inode)) {
        inode_put(inode);
        return NULL;
    }
    return inode;
}

/* Walks to the directory that holds the path's last name, which is left in `name`. */
static struct inode *walk_to_parent(const char *path, u32 mode, char *name)
{
    struct inode *dir = inode_get(fs_root), *below;
    const char *start, *next;
    usize length = next_name(&path, &start), more;

    while (dir && (more = next_name(&path, &next))) {
        below = step_into(dir, start, length, mode);
        inode_put(dir);
        dir = below;
        start = next;
        length = more;
    }
    length = MIN(length, (usize)NAME_MAX);
    memcpy(name, start, length);
    name[length] = '\0';
    return dir;
}

struct inode *tmpfs_make_path(const char *path, u32 mode)
{
    char name[NAME_MAX + 1];
    struct inode *dir = walk_to_parent(path, mode, name), *inode;

    if (!dir || !*name)
        return dir;
    inode = step_into(dir, name, strlen(name), mode);
    inode_put(dir);
    return inode;
}

static long copy_body(struct inode *inode, const struct cpio_entry *entry)
{
    struct iovec piece;
    struct uio io;
    long done;

    uio_init(&io, MG_HANDLE_SELF, &piece, (u64)entry->data, entry->size);
    done = entry->size ? tmpfs_write(inode, 0, &io, entry->size) : 0;
    return done == (long)entry->size ? 0 : -ENOSPC;
}

/* A file's inode; `offset`: of its body in the archive, if that stays there. */
static struct inode *make_file(const struct cpio_entry *entry, u64 offset, bool mapped)
{
    struct inode *inode;

    if (mapped && entry->size)
        return tmpfs_create_archived(entry->mode, offset, entry->size);
    inode = tmpfs_create(entry->mode, 0);
    if (inode && copy_body(inode, entry)) {
        inode_put(inode);
        return NULL;
    }
    return inode;
}

static struct inode *make_inode(const struct cpio_entry *entry, u64 offset, bool mapped)
{
    if (S_ISREG(entry->mode))
        return make_file(entry, offset, mapped);
    if (S_ISLNK(entry->mode))
        return tmpfs_create_link((const char *)entry->data, entry->size);
    return tmpfs_create(entry->mode, dev_number(entry->rdev_major, entry->rdev_minor));
}

static void set_attributes(struct inode *inode, const struct cpio_entry *entry)
{
    inode->uid = entry->uid;
    inode->gid = entry->gid;
    if (entry->mtime)
        inode->mtime = inode->ctime = inode->atime = (s64)(entry->mtime * SECOND);
}

static bool unpack_directory(const struct cpio_entry *entry)
{
    struct inode *dir = tmpfs_make_path(entry->name, 0755);

    if (!dir)
        return false;
    dir->mode = entry->mode;
    set_attributes(dir, entry);
    inode_put(dir);
    return true;
}

/* Links an inode under a name that may be taken, though not by a directory. */
static bool put_in_place(struct inode *dir, const char *name, struct inode *inode)
{
    struct dentry *old = tmpfs_find(tmpfs_of(dir), name, strlen(name));

    if (old && inode_is_dir(&old->inode->inode))
        return false;
    if (old)
        tmpfs_unlink(dir, name);
    return !tmpfs_link(dir, name, inode);
}

static bool unpack_entry(const struct cpio_entry *entry, u64 offset, bool mapped)
{
    char name[NAME_MAX + 1];
    struct inode *dir, *inode;
    bool done = false;

    if (S_ISDIR(entry->mode))
        return unpack_directory(entry);
    dir = walk_to_parent(entry->name, 0755, name);
    inode = dir && inode_is_dir(dir) && *name ? make_inode(entry, offset, mapped) : NULL;
    if (inode) {
        set_attributes(inode, entry);
        done = put_in_place(dir, name, inode);
        inode_put(inode);
    }
    if (dir)
        inode_put(dir);
    return done;
}

void tmpfs_unpack(const void *archive, usize size, bool mapped)
{
    struct cpio_entry entry;
    enum cpio_status status;
    struct cpio cpio;

    cpio_open(&cpio, archive, size);
    while ((status = cpio_next(&cpio, &entry)) == CPIO_ENTRY) {
        if (!unpack_entry(&entry, (u64)(entry.data - (const u8 *)archive), mapped))
            log_line("initramfs: no room for %s", entry.name);
    }
    if (status == CPIO_BAD)
        log_line("initramfs: broken at byte %zu of %zu", cpio.position, size);
}
