/*
 * Changing what inodes are: modes, owners, times, sizes.
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
#include <sys/time.h>
#include <utime.h>

#define UNCHANGED ~0u /* an id of -1 */
#define FALLOC_KEEP_SIZE 1
#define FALLOC_PUNCH_HOLE 2

/* ---- Finding the inode a call means; then `change` does the rest ---- */

typedef long (*changer)(struct thread *thread, struct inode *inode, const void *how);

static long change_at(struct thread *thread, int dirfd, u64 name, u32 flags, changer change,
                      const void *how)
{
    u32 walk =
        (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
    struct inode *inode;
    long error;

    if (flags & ~(u32)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    error = path_at(thread, dirfd, name, walk, &inode);
    if (error)
        return error;
    error = inode->fs->read_only ? -EROFS : change(thread, inode, how);
    inode_put(inode);
    return error;
}

static long change_fd(struct thread *thread, u64 fd, changer change, const void *how)
{
    struct file *file = fd_get(thread->process, fd);

    if (!file || !file->inode)
        return -EBADF;
    return file->inode->fs->read_only ? -EROFS : change(thread, file->inode, how);
}

/* ---- Modes ---- */

static long set_mode(struct thread *thread, struct inode *inode, const void *how)
{
    u32 mode = *(const u32 *)how & 07777;

    if (S_ISLNK(inode->mode))
        return -EOPNOTSUPP;
    if (!inode_is_owner(thread, inode))
        return -EPERM;
    inode->mode = (inode->mode & S_IFMT) | mode;
    inode_touch(inode, TOUCH_CHANGE);
    return 0;
}

long call_chmod(struct thread *thread, const u64 *args)
{
    u32 mode = (u32)args[1];

    return change_at(thread, AT_FDCWD, args[0], 0, set_mode, &mode);
}

long call_fchmod(struct thread *thread, const u64 *args)
{
    u32 mode = (u32)args[1];

    return change_fd(thread, args[0], set_mode, &mode);
}

long call_fchmodat(struct thread *thread, const u64 *args)
{
    u32 mode = (u32)args[2];

    return change_at(thread, (int)args[0], args[1], 0, set_mode, &mode);
}

long call_fchmodat2(struct thread *thread, const u64 *args)
{
    u32 mode = (u32)args[2];

    return change_at(thread, (int)args[0], args[1], (u32)args[3], set_mode, &mode);
}

/* ---- Owners ---- */

struct owner {
    u32 uid, gid;
};

static long set_owner(struct thread *thread, struct inode *inode, const void *how)
{
    const struct owner *owner = how;
    const struct credentials *cred = &thread->process->cred;

    if (cred->fsuid) { /* may only keep the owner, and give the file to its own group */
        if (cred->fsuid != inode->uid || (owner->uid != UNCHANGED && owner->uid != inode->uid) ||
            (owner->gid != UNCHANGED && owner->gid != cred->fsgid))
            return -EPERM;
    }
    if (owner->uid != UNCHANGED)
        inode->uid = owner->uid;
    if (owner->gid != UNCHANGED)
        inode->gid = owner->gid;
    if (S_ISREG(inode->mode))
        inode->mode &= ~(u32)(S_ISUID | (inode->mode & S_IXGRP ? S_ISGID : 0));
    inode_touch(inode, TOUCH_CHANGE);
    return 0;
}

static long chown_at(struct thread *thread, int dirfd, u64 name, u64 uid, u64 gid, u32 flags)
{
    struct owner owner = {(u32)uid, (u32)gid};

    return change_at(thread, dirfd, name, flags, set_owner, &owner);
}

long call_chown(struct thread *thread, const u64 *args)
{
    return chown_at(thread, AT_FDCWD, args[0], args[1], args[2], 0);
}

long call_lchown(struct thread *thread, const u64 *args)
{
    return chown_at(thread, AT_FDCWD, args[0], args[1], args[2], AT_SYMLINK_NOFOLLOW);
}

long call_fchownat(struct thread *thread, const u64 *args)
{
    return chown_at(thread, (int)args[0], args[1], args[2], args[3], (u32)args[4]);
}

long call_fchown(struct thread *thread, const u64 *args)
{
    struct owner owner = {(u32)args[1], (u32)args[2]};

    return change_fd(thread, args[0], set_owner, &owner);
}

/* ---- Times ---- */

struct times { /* CLOCK_REALTIME in ns, or TIME_KEEP */
    s64 access, modify;
    bool now; /* both are now: whoever may write may do that */
};

#define TIME_KEEP INT64_MIN

static long set_times(struct thread *thread, struct inode *inode, const void *how)
{
    const struct times *times = how;
    bool owner = inode_is_owner(thread, inode);

    if (times->access == TIME_KEEP && times->modify == TIME_KEEP)
        return 0;
    if (!owner && (!times->now || inode_permission(thread, inode, MAY_WRITE)))
        return times->now ? -EACCES : -EPERM;
    if (times->access != TIME_KEEP)
        inode->atime = times->access;
    if (times->modify != TIME_KEEP)
        inode->mtime = times->modify;
    inode_touch(inode, TOUCH_CHANGE);
    return 0;
}

static long time_wanted(const struct timespec *time, s64 now, s64 *result)
{
    if (time->tv_nsec == UTIME_NOW)
        *result = now;
    else if (time->tv_nsec == UTIME_OMIT)
        *result = TIME_KEEP;
    else if ((u64)time->tv_nsec >= SECOND)
        return -EINVAL;
    else
        *result = time->tv_sec * (s64)SECOND + time->tv_nsec;
    return 0;
}

static long get_times(struct thread *thread, u64 address, struct times *times)
{
    struct timespec wanted[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    s64 now = (s64)time_real();
    long error;

    if (address && user_get(thread, wanted, address, sizeof wanted))
        return -EFAULT;
    times->now = wanted[0].tv_nsec == UTIME_NOW && wanted[1].tv_nsec == UTIME_NOW;
    error = time_wanted(&wanted[0], now, &times->access);
    return error ? error : time_wanted(&wanted[1], now, &times->modify);
}

long call_utimensat(struct thread *thread, const u64 *args)
{
    struct times times;
    long error = get_times(thread, args[2], &times);

    if (error)
        return error;
    if (!args[1])
        return args[3] ? -EINVAL : change_fd(thread, args[0], set_times, &times);
    return change_at(thread, (int)args[0], args[1], (u32)args[3], set_times, &times);
}

/* The older calls, with microseconds or seconds. */
static long utimes_at(struct thread *thread, int dirfd, u64 name, u64 address)
{
    struct timeval wanted[2];
    struct times times = {.now = !address};

    times.access = times.modify = (s64)time_real();
    if (address) {
        if (user_get(thread, wanted, address, sizeof wanted))
            return -EFAULT;
        if ((u64)wanted[0].tv_usec >= 1000000 || (u64)wanted[1].tv_usec >= 1000000)
            return -EINVAL;
        times.access = wanted[0].tv_sec * (s64)SECOND + wanted[0].tv_usec * 1000;
        times.modify = wanted[1].tv_sec * (s64)SECOND + wanted[1].tv_usec * 1000;
    }
    return change_at(thread, dirfd, name, 0, set_times, &times);
}

long call_utimes(struct thread *thread, const u64 *args)
{
    return utimes_at(thread, AT_FDCWD, args[0], args[1]);
}

long call_futimesat(struct thread *thread, const u64 *args)
{
    return utimes_at(thread, (int)args[0], args[1], args[2]);
}

long call_utime(struct thread *thread, const u64 *args)
{
    struct utimbuf wanted;
    struct times times = {.now = !args[1]};

    times.access = times.modify = (s64)time_real();
    if (args[1]) {
        if (user_get(thread, &wanted, args[1], sizeof wanted))
            return -EFAULT;
        times.access = wanted.actime * (s64)SECOND;
        times.modify = wanted.modtime * (s64)SECOND;
    }
    return change_at(thread, AT_FDCWD, args[0], 0, set_times, &times);
}

/* ---- Sizes ---- */

static long set_size(struct thread *thread, struct inode *inode, const void *how)
{
    s64 size = *(const s64 *)how;

    if (inode_is_dir(inode))
        return -EISDIR;
    if (!S_ISREG(inode->mode) || !inode->ops->truncate)
        return -EINVAL;
    if ((u64)size > thread->process->limits[RLIMIT_FSIZE].rlim_cur) {
        signal_send_thread(thread, SIGXFSZ, NULL);
        return -EFBIG;
    }
    return inode->ops->truncate(inode, (u64)size);
}

static long set_size_checked(struct thread *thread, struct inode *inode, const void *how)
{
    long error = inode_is_dir(inode) ? -EISDIR : inode_permission(thread, inode, MAY_WRITE);

    if (!error && inode->runners)
        error = -ETXTBSY;
    return error ? error : set_size(thread, inode, how);
}

long call_truncate(struct thread *thread, const u64 *args)
{
    s64 size = (s64)args[1];

    return size < 0 ? -EINVAL : change_at(thread, AT_FDCWD, args[0], 0, set_size_checked, &size);
}

long call_ftruncate(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);
    s64 size = (s64)args[1];

    if (!file)
        return -EBADF;
    if (size < 0 || !file_can_write(file))
        return -EINVAL;
    return change_fd(thread, args[0], set_size, &size);
}

/* Room in the file as far as it reaches, or will reach. */
static long allocate(struct thread *thread, struct inode *inode, u64 offset, u64 size,
                     bool keep_size)
{
    u64 end = offset + size;
    long error = 0;

    if (!keep_size && end > inode->size)
        error = set_size(thread, inode, &end);
    end = MIN(end, inode->size);
    return error || offset >= end ? error : tmpfs_allocate(inode, offset, end - offset);
}

long call_fallocate(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);
    u32 mode = (u32)args[1];
    s64 offset = (s64)args[2], size = (s64)args[3];

    if (!file || !file_can_write(file))
        return -EBADF;
    if (offset < 0 || size <= 0)
        return -EINVAL;
    if (!file->inode || !tmpfs_is_file(file->inode))
        return file->inode && S_ISREG(file->inode->mode) ? -EOPNOTSUPP : -ENODEV;
    if (offset > INT64_MAX - size)
        return -EFBIG;
    if (mode == (FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE))
        return tmpfs_get_seals(file->inode) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
                   ? -EPERM
                   : tmpfs_punch(file->inode, (u64)offset, (u64)size);
    if (mode & ~(u32)FALLOC_KEEP_SIZE)
        return -EOPNOTSUPP;
    return allocate(thread, file->inode, (u64)offset, (u64)size, mode);
}
