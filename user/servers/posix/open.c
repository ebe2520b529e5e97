/*
 * Opening and creating files.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/tty.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#define PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define KEPT_FLAGS                                                                                 \
    (ACCESS_MODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_NOATIME | O_PATH | O_DIRECT | O_SYNC |  \
     O_DSYNC | O_ASYNC | O_LARGEFILE)
#define LARGEFILE 0100000 /* what F_GETFL of Linux shows for every file of a 64-bit program */

static u32 path_poll(struct file *file, struct wait_queue **queue)
{
    (void)file;
    *queue = NULL;
    return POLLNVAL;
}

static const struct file_ops path_ops = {.poll = path_poll}; /* O_PATH: a place, not its content */

static long check_open(struct thread *thread, struct inode *inode, u32 flags)
{
    u32 access = flags & ACCESS_MODE;
    u32 may = (access != O_WRONLY ? MAY_READ : 0) | (access != O_RDONLY ? MAY_WRITE : 0) |
              (flags & O_TRUNC ? MAY_WRITE : 0);

    if (S_ISLNK(inode->mode))
        return -ELOOP;
    if (flags & O_DIRECTORY && !inode_is_dir(inode))
        return -ENOTDIR;
    if (inode_is_dir(inode) && may & MAY_WRITE)
        return -EISDIR;
    if (flags & O_NOATIME && !inode_is_owner(thread, inode))
        return -EPERM;
    if (may & MAY_WRITE && inode->runners)
        return -ETXTBSY;
    return inode_permission(thread, inode, may);
}

static long open_checked(struct thread *thread, struct inode *inode, u32 flags,
                         struct file **result)
{
    struct file *file = file_create(&path_ops, inode_get(inode), flags);
    long error;

    if (!file) {
        inode_put(inode);
        return -ENFILE;
    }
    if (flags & O_PATH) {
        *result = file;
        return 0;
    }
    error = inode->ops->open ? inode->ops->open(inode, file, thread) : -ENXIO;
    file->flags = (flags & KEPT_FLAGS) | LARGEFILE;
    if (error) {
        file->ops = &path_ops; /* nothing to release */
        file_put(file);
        return error;
    }
    *result = file;
    return 0;
}

long inode_open(struct thread *thread, struct inode *inode, u32 flags, struct file **file)
{
    long error = flags & O_PATH ? 0 : check_open(thread, inode, flags);

    return error ? error : open_checked(thread, inode, flags, file);
}

long path_create(struct thread *thread, struct path *path, u32 mode, u64 rdev)
{
    struct process *process = thread->process;
    struct inode *dir = path->dir, *inode;
    long error;

    if (path->inode)
        return -EEXIST;
    if (!dir->ops->create)
        return dir->fs->read_only ? -EROFS : -EPERM;
    error = inode_permission(thread, dir, MAY_WRITE | MAY_EXEC);
    if (error)
        return error;
    inode = dir->ops->create(dir, mode & ~(S_ISLNK(mode) ? 0 : process->fs->umask), rdev);
    if (!inode)
        return -ENOSPC;
    inode->uid = process->cred.fsuid;
    inode->gid = dir->mode & S_ISGID ? dir->gid : process->cred.fsgid;
    if (dir->mode & S_ISGID && S_ISDIR(mode))
        inode->mode |= S_ISGID;
    error = dir->ops->link(dir, path->name, inode);
    if (error)
        inode_put(inode);
    else
        path->inode = inode;
    return error;
}

/* O_TMPFILE: a file without a name in the file system of a directory. */
static long open_unnamed(struct thread *thread, struct path *path, u32 flags, u32 mode,
                         struct file **file)
{
    struct inode *inode;
    long error;

    if (!inode_is_dir(path->inode) || !path->inode->ops->create)
        return inode_is_dir(path->inode) ? -EOPNOTSUPP : -ENOTDIR;
    error = inode_permission(thread, path->inode, MAY_WRITE | MAY_EXEC);
    if (error)
        return error;
    inode = tmpfs_create(S_IFREG | (mode & 07777 & ~thread->process->fs->umask), 0);
    if (!inode)
        return -ENOSPC;
    inode->fs = path->inode->fs;
    inode->uid = thread->process->cred.fsuid;
    inode->gid = thread->process->cred.fsgid;
    error = open_checked(thread, inode, flags & ~(u32)O_TMPFILE, file);
    inode_put(inode);
    return error;
}

/* The end of a walk for opening: an inode to open, made if need be. */
static long open_found(struct thread *thread, struct path *path, u32 flags, u32 mode,
                       struct file **file)
{
    long error;

    if ((flags & O_TMPFILE) == O_TMPFILE)
        return open_unnamed(thread, path, flags, mode, file);
    if (path->inode) {
        if (flags & O_CREAT && flags & O_EXCL)
            return -EEXIST;
        if (flags & O_CREAT && inode_is_dir(path->inode))
            return -EISDIR;
        return inode_open(thread, path->inode, flags, file);
    }
    if (path->trailing_slash)
        return -EISDIR;
    error = path_create(thread, path, S_IFREG | (mode & 07777), 0);
    return error ? error : open_checked(thread, path->inode, flags, file);
}

long file_open(struct thread *thread, int dirfd, const char *name, u32 flags, u32 mode,
               struct file **file)
{
    struct path path;
    u32 how = 0;
    long error;

    if (flags & O_PATH)
        flags &= PATH_FLAGS;
    if (!(flags & O_NOFOLLOW) && !(flags & O_CREAT && flags & O_EXCL))
        how |= PATH_FOLLOW;
    if (flags & O_CREAT && !(flags & O_PATH))
        how |= PATH_CREATE;
    if (flags & O_DIRECTORY && (flags & O_TMPFILE) != O_TMPFILE && !(flags & O_CREAT))
        how |= PATH_DIRECTORY;
    error = path_walk(thread, dirfd, name, how, &path);
    if (error)
        return error;
    error = open_found(thread, &path, flags, mode, file);
    path_put(&path);
    return error;
}

static long open_at(struct thread *thread, int dirfd, u64 user_name, u32 flags, u32 mode)
{
    char name[PATH_MAX];
    struct file *file;
    long error = path_get_string(thread, name, user_name);

    if (!error && (flags & O_TMPFILE) == O_TMPFILE && (flags & ACCESS_MODE) == O_RDONLY)
        error = -EINVAL;
    if (!error)
        error = file_open(thread, dirfd, name, flags, mode, &file);
    if (error)
        return error;
    if (file->ops == &tty_ops && !(flags & O_NOCTTY))
        tty_opened(thread->process);
    return fd_install(thread->process, file, 0, flags & O_CLOEXEC);
}

long call_open(struct thread *thread, const u64 *args)
{
    return open_at(thread, AT_FDCWD, args[0], (u32)args[1], (u32)args[2]);
}

long call_openat(struct thread *thread, const u64 *args)
{
    return open_at(thread, (int)args[0], args[1], (u32)args[2], (u32)args[3]);
}

struct open_how {
    u64 flags, mode, resolve;
};

/* Without the ways to resolve a path that openat does not have. */
long call_openat2(struct thread *thread, const u64 *args)
{
    struct open_how how;

    if (args[3] < sizeof how)
        return -EINVAL;
    if (args[3] > sizeof how)
        return -E2BIG;
    if (user_get(thread, &how, args[2], sizeof how))
        return -EFAULT;
    if (how.flags > UINT32_MAX || how.mode & ~07777ull || how.resolve)
        return -EINVAL;
    return open_at(thread, (int)args[0], args[1], (u32)how.flags, (u32)how.mode);
}

long call_creat(struct thread *thread, const u64 *args)
{
    return open_at(thread, AT_FDCWD, args[0], O_CREAT | O_WRONLY | O_TRUNC, (u32)args[1]);
}

long call_close(struct thread *thread, const u64 *args)
{
    return fd_close(thread->process, args[0]);
}
