/*
 * Calls that change or read the tree of names.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define RENAME_FLAGS 3 /* RENAME_NOREPLACE, RENAME_EXCHANGE */

/* ---- Making names ---- */

static long make(struct thread *thread, int dirfd, u64 name, u32 mode, u64 rdev)
{
    struct path path;
    long error = path_at_parent(thread, dirfd, name, PATH_CREATE, &path);

    if (error)
        return error;
    if (!path.inode && path.trailing_slash && !S_ISDIR(mode))
        error = -ENOENT;
    else
        error = path_create(thread, &path, mode, rdev);
    path_put(&path);
    return error;
}

long call_mkdir(struct thread *thread, const u64 *args)
{
    return make(thread, AT_FDCWD, args[0], S_IFDIR | (args[1] & 07777), 0);
}

long call_mkdirat(struct thread *thread, const u64 *args)
{
    return make(thread, (int)args[0], args[1], S_IFDIR | (args[2] & 07777), 0);
}

static long make_node(struct thread *thread, int dirfd, u64 name, u32 mode, u64 rdev)
{
    u32 type = mode & S_IFMT;

    if (type == S_IFDIR)
        return -EPERM;
    if (type == S_IFLNK || (type && type != S_IFREG && type != S_IFIFO && type != S_IFCHR &&
                            type != S_IFBLK && type != S_IFSOCK))
        return -EINVAL;
    if ((type == S_IFCHR || type == S_IFBLK) && thread->process->cred.euid)
        return -EPERM;
    return make(thread, dirfd, name, (type ? type : S_IFREG) | (mode & 07777), rdev);
}

long call_mknod(struct thread *thread, const u64 *args)
{
    return make_node(thread, AT_FDCWD, args[0], (u32)args[1], args[2]);
}

long call_mknodat(struct thread *thread, const u64 *args)
{
    return make_node(thread, (int)args[0], args[1], (u32)args[2], args[3]);
}

static long make_link_to(struct thread *thread, const char *target, struct path *path)
{
    struct inode *inode;
    long error;

    if (path->inode)
        return -EEXIST;
    if (!path->dir->ops->create)
        return path->dir->fs->read_only ? -EROFS : -EPERM;
    error = inode_permission(thread, path->dir, MAY_WRITE | MAY_EXEC);
    if (error)
        return error;
    inode = tmpfs_create_link(target, strlen(target));
    if (!inode)
        return -ENOSPC;
    inode->uid = thread->process->cred.fsuid;
    inode->gid = thread->process->cred.fsgid;
    error = path->dir->ops->link(path->dir, path->name, inode);
    inode_put(inode);
    return error;
}

static long symlink_at(struct thread *thread, u64 user_target, int dirfd, u64 name)
{
    char target[PATH_MAX];
    struct path path;
    long error = path_get_string(thread, target, user_target);

    if (!error && !*target)
        error = -ENOENT;
    if (!error)
        error = path_at_parent(thread, dirfd, name, PATH_CREATE, &path);
    if (error)
        return error;
    error = path.trailing_slash && !path.inode ? -ENOENT : make_link_to(thread, target, &path);
    path_put(&path);
    return error;
}

long call_symlink(struct thread *thread, const u64 *args)
{
    return symlink_at(thread, args[0], AT_FDCWD, args[1]);
}

long call_symlinkat(struct thread *thread, const u64 *args)
{
    return symlink_at(thread, args[0], (int)args[1], args[2]);
}

static long link_inode(struct thread *thread, struct inode *inode, int dirfd, u64 name)
{
    struct path path;
    long error = path_at_parent(thread, dirfd, name, PATH_CREATE, &path);

    if (error)
        return error;
    if (path.inode)
        error = -EEXIST;
    else if (inode_is_dir(inode))
        error = -EPERM;
    else if (path.dir->fs != inode->fs)
        error = -EXDEV;
    else if (!path.dir->ops->link)
        error = -EPERM;
    else
        error = inode_permission(thread, path.dir, MAY_WRITE | MAY_EXEC);
    if (!error)
        error = path.dir->ops->link(path.dir, path.name, inode);
    if (!error)
        inode_touch(inode, TOUCH_CHANGE);
    path_put(&path);
    return error;
}

static long link_at(struct thread *thread, int from, u64 name, int to, u64 new_name, u32 flags)
{
    struct inode *inode;
    u32 how =
        (flags & AT_SYMLINK_FOLLOW ? PATH_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
    long error;

    if (flags & ~(u32)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    error = path_at(thread, from, name, how, &inode);
    if (error)
        return error;
    error = link_inode(thread, inode, to, new_name);
    inode_put(inode);
    return error;
}

long call_link(struct thread *thread, const u64 *args)
{
    return link_at(thread, AT_FDCWD, args[0], AT_FDCWD, args[1], 0);
}

long call_linkat(struct thread *thread, const u64 *args)
{
    return link_at(thread, (int)args[0], args[1], (int)args[2], args[3], (u32)args[4]);
}

/* ---- Taking names away ---- */

/* In a sticky directory only the owners of the file or the directory may. */
static long check_remove(struct thread *thread, const struct inode *dir, const struct inode *inode)
{
    long error = inode_permission(thread, dir, MAY_WRITE | MAY_EXEC);

    if (error)
        return error;
    if (dir->mode & S_ISVTX && !inode_is_owner(thread, dir) && !inode_is_owner(thread, inode))
        return -EPERM;
    return inode->covered ? -EBUSY : 0;
}

static long remove_path(struct thread *thread, const struct path *path, bool directory)
{
    struct inode *inode = path->inode, *dir = path->dir;
    long error;

    if (path->special && directory)
        return dir == thread->process->fs->root ? -EBUSY
               : !strcmp(path->name, "..")      ? -ENOTEMPTY
                                                : -EINVAL;
    if (path->special)
        return -EISDIR;
    if (directory != inode_is_dir(inode))
        return directory ? -ENOTDIR : -EISDIR;
    error = check_remove(thread, dir, inode);
    if (error)
        return error;
    if (!dir->ops->unlink)
        return dir->fs->read_only ? -EROFS : -EPERM;
    if (directory && !inode->ops->is_empty(inode))
        return -ENOTEMPTY;
    return dir->ops->unlink(dir, path->name);
}

static long remove_at(struct thread *thread, int dirfd, u64 name, bool directory)
{
    struct path path;
    long error = path_at_parent(thread, dirfd, name, 0, &path);

    if (error)
        return error;
    error = remove_path(thread, &path, directory);
    path_put(&path);
    return error;
}

long call_unlink(struct thread *thread, const u64 *args)
{
    return remove_at(thread, AT_FDCWD, args[0], false);
}

long call_rmdir(struct thread *thread, const u64 *args)
{
    return remove_at(thread, AT_FDCWD, args[0], true);
}

long call_unlinkat(struct thread *thread, const u64 *args)
{
    if (args[2] & ~(u64)AT_REMOVEDIR)
        return -EINVAL;
    return remove_at(thread, (int)args[0], args[1], args[2] & AT_REMOVEDIR);
}

static long rename_paths(struct thread *thread, struct path *from, struct path *to, u32 flags)
{
    long error;

    if (from->special || to->special)
        return -EBUSY;
    if (from->dir->fs != to->dir->fs)
        return -EXDEV;
    if (!from->dir->ops->rename)
        return from->dir->fs->read_only ? -EROFS : -EPERM;
    error = check_remove(thread, from->dir, from->inode);
    if (!error)
        error = to->inode ? check_remove(thread, to->dir, to->inode)
                          : inode_permission(thread, to->dir, MAY_WRITE | MAY_EXEC);
    if (!error && to->trailing_slash && !inode_is_dir(from->inode))
        error = -ENOTDIR;
    return error ? error : from->dir->ops->rename(from->dir, from->name, to->dir, to->name, flags);
}

static long rename_at(struct thread *thread, int from_fd, u64 name, int to_fd, u64 new_name,
                      u32 flags)
{
    struct path from, to;
    long error;

    if (flags & ~(u32)RENAME_FLAGS || flags == RENAME_FLAGS)
        return -EINVAL;
    error = path_at_parent(thread, from_fd, name, 0, &from);
    if (error)
        return error;
    error = path_at_parent(thread, to_fd, new_name, PATH_CREATE, &to);
    if (!error) {
        error = rename_paths(thread, &from, &to, flags);
        path_put(&to);
    }
    path_put(&from);
    return error;
}

long call_rename(struct thread *thread, const u64 *args)
{
    return rename_at(thread, AT_FDCWD, args[0], AT_FDCWD, args[1], 0);
}

long call_renameat(struct thread *thread, const u64 *args)
{
    return rename_at(thread, (int)args[0], args[1], (int)args[2], args[3], 0);
}

long call_renameat2(struct thread *thread, const u64 *args)
{
    return rename_at(thread, (int)args[0], args[1], (int)args[2], args[3], (u32)args[4]);
}

/* ---- Reading links and directories ---- */

static long readlink_at(struct thread *thread, int dirfd, u64 name, u64 to, u64 size)
{
    char text[PATH_MAX];
    struct inode *inode;
    long length;

    if ((s32)size <= 0)
        return -EINVAL;
    length = path_at(thread, dirfd, name, PATH_EMPTY, &inode);
    if (length)
        return length;
    length = S_ISLNK(inode->mode)
                 ? inode->ops->readlink(inode, thread, text, MIN((usize)size, sizeof text))
                 : -EINVAL;
    inode_put(inode);
    if (length > 0 && user_put(thread, to, text, (usize)length))
        return -EFAULT;
    return length;
}

long call_readlink(struct thread *thread, const u64 *args)
{
    return readlink_at(thread, AT_FDCWD, args[0], args[1], args[2]);
}

long call_readlinkat(struct thread *thread, const u64 *args)
{
    return readlink_at(thread, (int)args[0], args[1], args[2], args[3]);
}

struct record { /* struct linux_dirent64 */
    u64 number;
    u64 next;
    u16 length;
    u8 type;
    char name[];
} packed_struct;

struct listing {
    struct dir_sink sink;
    u8 bytes[32768];
    usize used, size;
    bool full;
};

static bool put_record(struct dir_sink *sink, const char *name, usize length, u64 number, u32 mode,
                       u64 next)
{
    struct listing *listing = container_of(sink, struct listing, sink);
    usize size = ALIGN_UP(offsetof(struct record, name) + length + 1, (usize)8);
    struct record *record = (struct record *)(listing->bytes + listing->used);

    if (size > listing->size - listing->used) {
        listing->full = true;
        return false;
    }
    memset(record, 0, size);
    record->number = number;
    record->next = next;
    record->length = (u16)size;
    record->type = (u8)(mode >> 12);
    memcpy(record->name, name, length);
    listing->used += size;
    sink->position = next;
    return true;
}

/* "." and "..", which no file system lists itself. */
static bool put_dots(struct listing *listing, struct inode *dir)
{
    struct dir_sink *sink = &listing->sink;
    struct inode *parent;
    u64 number = dir->number;

    if (sink->position == 0 && !put_record(sink, ".", 1, dir->number, S_IFDIR, 1))
        return false;
    if (sink->position != 1)
        return true;
    parent = dir->ops->parent ? dir->ops->parent(dir) : NULL;
    if (parent) {
        number = parent->number;
        inode_put(parent);
    }
    return put_record(sink, "..", 2, number, S_IFDIR, 2);
}

long call_getdents64(struct thread *thread, const u64 *args)
{
    static struct listing listing;
    struct file *file = fd_get(thread->process, args[0]);
    long error = 0;

    if (!file)
        return -EBADF;
    if (!file->ops->iterate)
        return -ENOTDIR;
    listing.sink = (struct dir_sink){file->position, put_record};
    listing.used = 0;
    listing.full = false;
    listing.size = MIN((usize)(u32)args[2], sizeof listing.bytes);
    if (put_dots(&listing, file->inode))
        error = file->ops->iterate(file, &listing.sink);
    if (error)
        return error;
    if (!listing.used)
        return listing.full ? -EINVAL : 0;
    if (user_put(thread, args[1], listing.bytes, listing.used))
        return -EFAULT;
    file->position = listing.sink.position;
    return (long)listing.used;
}

/* ---- Where a process is ---- */

long call_getcwd(struct thread *thread, const u64 *args)
{
    char path[PATH_MAX];
    long length = path_of(thread, thread->process->fs->cwd, path, sizeof path);

    if (length < 0)
        return length;
    if (args[1] < (u64)length + 1)
        return -ERANGE;
    return user_put(thread, args[0], path, (usize)length + 1) ? -EFAULT : length + 1;
}

static long set_dir(struct thread *thread, struct inode **dir, struct inode *inode)
{
    long error = inode_is_dir(inode) ? inode_permission(thread, inode, MAY_EXEC) : -ENOTDIR;

    if (error)
        return error;
    inode_get(inode);
    inode_put(*dir);
    *dir = inode;
    return 0;
}

static long change_dir(struct thread *thread, struct inode **dir, u64 name)
{
    struct inode *inode;
    long error = path_at(thread, AT_FDCWD, name, PATH_FOLLOW, &inode);

    if (error)
        return error;
    error = set_dir(thread, dir, inode);
    inode_put(inode);
    return error;
}

long call_chdir(struct thread *thread, const u64 *args)
{
    return change_dir(thread, &thread->process->fs->cwd, args[0]);
}

long call_fchdir(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get_any(thread->process, args[0]);

    if (!file)
        return -EBADF;
    return file->inode ? set_dir(thread, &thread->process->fs->cwd, file->inode) : -ENOTDIR;
}

long call_chroot(struct thread *thread, const u64 *args)
{
    if (thread->process->cred.euid)
        return -EPERM;
    return change_dir(thread, &thread->process->fs->root, args[0]);
}

long call_umask(struct thread *thread, const u64 *args)
{
    struct fs_context *fs = thread->process->fs;
    u32 old = fs->umask;

    fs->umask = (u32)args[0] & 0777;
    return old;
}
