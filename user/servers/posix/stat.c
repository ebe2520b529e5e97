/*
 * Looking at inodes: the stat family, access, statfs.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BLOCK_SIZE 4096
#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

static struct timespec time_of(s64 ns)
{
    return (struct timespec){ns / (s64)SECOND, ns % (s64)SECOND};
}

static void refresh(struct inode *inode)
{
    if (inode->ops->refresh)
        inode->ops->refresh(inode);
}

static long put_stat(struct thread *thread, u64 address, struct inode *inode)
{
    struct stat stat;

    refresh(inode);
    memset(&stat, 0, sizeof stat);
    stat.st_dev = inode->fs->device;
    stat.st_ino = inode->number;
    stat.st_nlink = inode->nlink;
    stat.st_mode = inode->mode;
    stat.st_uid = inode->uid;
    stat.st_gid = inode->gid;
    stat.st_rdev = inode->rdev;
    stat.st_size = (off_t)inode->size;
    stat.st_blksize = BLOCK_SIZE;
    stat.st_blocks = (blkcnt_t)inode->blocks;
    stat.st_atim = time_of(inode->atime);
    stat.st_mtim = time_of(inode->mtime);
    stat.st_ctim = time_of(inode->ctime);
    return user_put(thread, address, &stat, sizeof stat);
}

static long stat_at(struct thread *thread, int dirfd, u64 name, u64 address, u32 flags)
{
    u32 how =
        (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
    struct inode *inode;
    long error;

    if (flags & ~(u32)STAT_FLAGS)
        return -EINVAL;
    error = path_at(thread, dirfd, name, how, &inode);
    if (error)
        return error;
    error = put_stat(thread, address, inode);
    inode_put(inode);
    return error;
}

/* The inode of a descriptor; files without one of their own show an anonymous one. */
static struct inode *inode_of_fd(struct thread *thread, u64 fd)
{
    struct file *file = fd_get_any(thread->process, fd);

    return file ? file->inode : NULL;
}

long call_stat(struct thread *thread, const u64 *args)
{
    return stat_at(thread, AT_FDCWD, args[0], args[1], 0);
}

long call_lstat(struct thread *thread, const u64 *args)
{
    return stat_at(thread, AT_FDCWD, args[0], args[1], AT_SYMLINK_NOFOLLOW);
}

long call_fstat(struct thread *thread, const u64 *args)
{
    struct inode *inode = inode_of_fd(thread, args[0]);

    return inode ? put_stat(thread, args[1], inode) : -EBADF;
}

/* fstat as the C libraries call it: an empty name with AT_EMPTY_PATH. */
static bool names_descriptor(struct thread *thread, u64 name, u32 flags)
{
    char first;

    return flags & AT_EMPTY_PATH && (!name || (!user_get(thread, &first, name, 1) && !first));
}

long call_newfstatat(struct thread *thread, const u64 *args)
{
    if ((int)args[0] >= 0 && names_descriptor(thread, args[1], (u32)args[3])) {
        struct inode *inode = inode_of_fd(thread, args[0]);

        return inode ? put_stat(thread, args[2], inode) : -EBADF;
    }
    return stat_at(thread, (int)args[0], args[1], args[2], (u32)args[3]);
}

/* ---- statx ---- */

#define STATX_FILLED 0xfff /* STATX_BASIC_STATS | STATX_BTIME */

struct extended_time {
    s64 seconds;
    u32 ns, pad;
};

struct extended { /* struct statx */
    u32 mask, block_size;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad;
    u64 number, size, blocks, attributes_mask;
    struct extended_time accessed, born, changed, modified;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 spare[14];
};

static_assert(sizeof(struct extended) == 256, "struct statx");

static struct extended_time extended_time(s64 ns)
{
    struct timespec time = time_of(ns);

    return (struct extended_time){.seconds = time.tv_sec, .ns = (u32)time.tv_nsec};
}

static long put_statx(struct thread *thread, u64 address, struct inode *inode)
{
    struct extended stat;

    refresh(inode);
    stat = (struct extended){
        .mask = STATX_FILLED,
        .block_size = BLOCK_SIZE,
        .nlink = inode->nlink,
        .uid = inode->uid,
        .gid = inode->gid,
        .mode = (u16)inode->mode,
        .number = inode->number,
        .size = inode->size,
        .blocks = inode->blocks,
        .accessed = extended_time(inode->atime),
        .born = extended_time(inode->btime),
        .changed = extended_time(inode->ctime),
        .modified = extended_time(inode->mtime),
        .rdev_major = major(inode->rdev),
        .rdev_minor = minor(inode->rdev),
        .dev_major = major(inode->fs->device),
        .dev_minor = minor(inode->fs->device),
    };
    return user_put(thread, address, &stat, sizeof stat);
}

long call_statx(struct thread *thread, const u64 *args)
{
    u32 flags = (u32)args[2];
    u32 how =
        (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
    struct inode *inode;
    long error;

    if (flags & ~(u32)STAT_FLAGS || (u32)args[3] & 0x80000000u)
        return -EINVAL;
    if ((int)args[0] >= 0 && names_descriptor(thread, args[1], flags)) {
        inode = inode_of_fd(thread, args[0]);
        return inode ? put_statx(thread, args[4], inode) : -EBADF;
    }
    error = path_at(thread, (int)args[0], args[1], how, &inode);
    if (error)
        return error;
    error = put_statx(thread, args[4], inode);
    inode_put(inode);
    return error;
}

/* ---- access ---- */

static long access_at(struct thread *thread, int dirfd, u64 name, u32 mode, u32 flags)
{
    u32 how =
        (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
    struct inode *inode;
    long error;

    if (mode & ~7u || flags & ~(u32)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    error = path_at(thread, dirfd, name, how, &inode);
    if (error)
        return error;
    error = flags & AT_EACCESS ? inode_permission(thread, inode, mode)
                               : inode_permission_real(thread, inode, mode);
    inode_put(inode);
    return error;
}

long call_access(struct thread *thread, const u64 *args)
{
    return access_at(thread, AT_FDCWD, args[0], (u32)args[1], 0);
}

long call_faccessat(struct thread *thread, const u64 *args)
{
    return access_at(thread, (int)args[0], args[1], (u32)args[2], 0);
}

long call_faccessat2(struct thread *thread, const u64 *args)
{
    return access_at(thread, (int)args[0], args[1], (u32)args[2], (u32)args[3]);
}

/* ---- statfs ---- */

static long put_statfs(struct thread *thread, u64 address, const struct fs *fs)
{
    struct mg_memory_stats memory;
    struct statfs stat;

    memset(&stat, 0, sizeof stat);
    stat.f_type = fs->magic;
    stat.f_bsize = stat.f_frsize = BLOCK_SIZE;
    stat.f_namelen = NAME_MAX;
    stat.f_fsid.__val[0] = (int)fs->device;
    if (!fs->read_only && stats_memory(&memory)) {
        stat.f_blocks = memory.total;
        stat.f_bfree = stat.f_bavail = memory.free;
        stat.f_files = memory.total;
        stat.f_ffree = memory.free;
    }
    return user_put(thread, address, &stat, sizeof stat);
}

long call_statfs(struct thread *thread, const u64 *args)
{
    struct inode *inode;
    long error = path_at(thread, AT_FDCWD, args[0], PATH_FOLLOW, &inode);

    if (error)
        return error;
    error = put_statfs(thread, args[1], inode->fs);
    inode_put(inode);
    return error;
}

long call_fstatfs(struct thread *thread, const u64 *args)
{
    struct inode *inode = inode_of_fd(thread, args[0]);

    return inode ? put_statfs(thread, args[1], inode->fs) : -EBADF;
}
