/*
 * Moving data through open files: read, write and their vector, positioned and file-to-file forms.
 *
 * A call that had to wait after part of its work is done keeps the number of bytes in thread->done;
 * the next try passes over them. What interrupts it then ends it with that number.
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
#include <unistd.h>

#ifndef SEEK_DATA /* musl before 1.2.3 */
#define SEEK_DATA 3
#define SEEK_HOLE 4
#endif

typedef long (*mover)(struct file *file, struct thread *thread, struct uio *io, u64 *position);

static mover reader(struct file *file)
{
    return file_can_read(file) ? file->ops->read : NULL;
}

static mover writer(struct file *file)
{
    return file_can_write(file) ? file->ops->write : NULL;
}

/* What is wrong with a file that can't do what is asked. */
static long refusal(const struct file *file, bool writing)
{
    if (writing ? !file_can_write(file) : !file_can_read(file))
        return -EBADF;
    return file->inode && inode_is_dir(file->inode) ? -EISDIR : -EINVAL;
}

/* Calls the file's operation for a prepared transfer at a position that may be the file's own. */
static long transfer(struct thread *thread, struct file *file, struct uio *io, u64 *position,
                     bool writing)
{
    mover move = writing ? writer(file) : reader(file);
    long result;

    if (!move)
        return refusal(file, writing);
    io->left = MIN(io->left, IO_LIMIT);
    uio_skip(io, thread->done);
    result = move(file, thread, io, position);
    if (thread->done && result != WAITING) {
        result = result < 0 ? (long)thread->done : (long)thread->done + result;
        thread->done = 0;
    }
    return result;
}

static long transfer_one(struct thread *thread, const u64 *args, bool writing)
{
    struct file *file = fd_get(thread->process, args[0]);
    struct iovec piece;
    struct uio io;

    if (!file)
        return -EBADF;
    if (args[2] > INT64_MAX)
        return -EINVAL;
    uio_init(&io, thread->process->task, &piece, args[1], args[2]);
    return transfer(thread, file, &io, &file->position, writing);
}

long call_read(struct thread *thread, const u64 *args)
{
    return transfer_one(thread, args, false);
}

long call_write(struct thread *thread, const u64 *args)
{
    return transfer_one(thread, args, true);
}

/* ---- Vectors ---- */

/* Takes the vector from user memory and adds up its pieces. */
static long get_vector(struct thread *thread, u64 address, u64 count, struct iovec *vector,
                       struct uio *io)
{
    u64 total = 0;

    if (count > IOV_LIMIT)
        return -EINVAL;
    if (count && user_get(thread, vector, address, count * sizeof *vector))
        return -EFAULT;
    for (u64 i = 0; i < count; i++) {
        if (vector[i].iov_len > INT64_MAX - total)
            return -EINVAL;
        total += vector[i].iov_len;
    }
    *io = (struct uio){.task = thread->process->task, .vec = vector, .left = total};
    return 0;
}

static long transfer_vector(struct thread *thread, const u64 *args, bool writing)
{
    static struct iovec vector[IOV_LIMIT];
    struct file *file = fd_get(thread->process, args[0]);
    struct uio io;
    long error;

    if (!file)
        return -EBADF;
    error = get_vector(thread, args[1], args[2], vector, &io);
    return error ? error : transfer(thread, file, &io, &file->position, writing);
}

long call_readv(struct thread *thread, const u64 *args)
{
    return transfer_vector(thread, args, false);
}

long call_writev(struct thread *thread, const u64 *args)
{
    return transfer_vector(thread, args, true);
}

/* ---- At a position of the caller's ---- */

static long check_positioned(const struct file *file, s64 position)
{
    if (position < 0)
        return -EINVAL;
    return file->ops->size ? 0 : -ESPIPE;
}

static long transfer_one_at(struct thread *thread, const u64 *args, bool writing)
{
    struct file *file = fd_get(thread->process, args[0]);
    u64 position = args[3];
    struct iovec piece;
    struct uio io;
    long error;

    if (!file)
        return -EBADF;
    error = check_positioned(file, (s64)position);
    if (error)
        return error;
    uio_init(&io, thread->process->task, &piece, args[1], args[2]);
    return transfer(thread, file, &io, &position, writing);
}

long call_pread64(struct thread *thread, const u64 *args)
{
    return transfer_one_at(thread, args, false);
}

long call_pwrite64(struct thread *thread, const u64 *args)
{
    return transfer_one_at(thread, args, true);
}

static long transfer_vector_at(struct thread *thread, const u64 *args, bool writing)
{
    static struct iovec vector[IOV_LIMIT];
    struct file *file = fd_get(thread->process, args[0]);
    u64 position = args[3];
    struct uio io;
    long error;

    if (!file)
        return -EBADF;
    error = check_positioned(file, (s64)position);
    if (!error)
        error = get_vector(thread, args[1], args[2], vector, &io);
    return error ? error : transfer(thread, file, &io, &position, writing);
}

long call_preadv(struct thread *thread, const u64 *args)
{
    return transfer_vector_at(thread, args, false);
}

long call_pwritev(struct thread *thread, const u64 *args)
{
    return transfer_vector_at(thread, args, true);
}

long call_preadv2(struct thread *thread, const u64 *args)
{
    if (args[5])
        return -EOPNOTSUPP;
    return (s64)args[3] == -1 ? transfer_vector(thread, args, false)
                              : transfer_vector_at(thread, args, false);
}

long call_pwritev2(struct thread *thread, const u64 *args)
{
    if (args[5])
        return -EOPNOTSUPP;
    return (s64)args[3] == -1 ? transfer_vector(thread, args, true)
                              : transfer_vector_at(thread, args, true);
}

/* ---- Positions ---- */

long call_lseek(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);
    s64 offset = (s64)args[1], size, base;

    if (!file)
        return -EBADF;
    if (file->ops->iterate && args[2] <= SEEK_CUR) { /* a directory: getdents' position */
        base = args[2] == SEEK_CUR ? (s64)file->position : 0;
    } else {
        if (!file->ops->size)
            return -ESPIPE;
        size = file->ops->size(file);
        base = args[2] == SEEK_CUR ? (s64)file->position : args[2] == SEEK_END ? size : 0;
        if (args[2] == SEEK_DATA || args[2] == SEEK_HOLE) {
            if (offset < 0 || offset >= size)
                return -ENXIO;
            if (file->inode && tmpfs_is_file(file->inode))
                offset = tmpfs_seek(file->inode, (u64)offset, args[2] == SEEK_HOLE);
            else
                offset = args[2] == SEEK_HOLE ? size : offset;
            if (offset < 0)
                return offset;
        } else if (args[2] > SEEK_END) {
            return -EINVAL;
        }
    }
    if (__builtin_add_overflow(base, offset, &base) || base < 0)
        return -EINVAL;
    file->position = (u64)base;
    return base;
}

/* ---- File to file ---- */

#define CHUNK 65536

/* Copies up to `count` bytes through a buffer; stops where either side falls short. */
static long copy_files(struct thread *thread, struct file *in, u64 *in_position, struct file *out,
                       u64 *out_position, u64 count)
{
    static u8 buffer[CHUNK];
    mover read = reader(in), write = writer(out);
    u64 total = 0;

    while (total < count) {
        u64 from = *in_position;
        struct iovec piece;
        struct uio io;
        long got, put;

        uio_init(&io, MG_HANDLE_SELF, &piece, (u64)buffer, MIN(count - total, (u64)CHUNK));
        got = read(in, thread, &io, &from);
        if (got <= 0)
            return total ? (long)total : got;
        uio_init(&io, MG_HANDLE_SELF, &piece, (u64)buffer, (usize)got);
        put = write(out, thread, &io, out_position);
        if (put == WAITING && (total || thread->done))
            wait_forget(thread);
        if (put == WAITING && thread->done) { /* a part of it went out */
            put = (long)thread->done;
            thread->done = 0;
        }
        if (put <= 0)
            return total ? (long)total : put;
        *in_position += (u64)put;
        total += (u64)put;
    }
    return (long)total;
}

/* The position to use: the caller's variable, or the file's own. */
static long take_position(struct thread *thread, u64 address, struct file *file, u64 *position)
{
    *position = file->position;
    if (!address)
        return 0;
    if (!file->ops->size)
        return -ESPIPE;
    if (user_get(thread, position, address, sizeof *position))
        return -EFAULT;
    return (s64)*position < 0 ? -EINVAL : 0;
}

static long give_position(struct thread *thread, u64 address, struct file *file, u64 position)
{
    if (address)
        return user_put(thread, address, &position, sizeof position);
    file->position = position;
    return 0;
}

long call_sendfile(struct thread *thread, const u64 *args)
{
    struct file *out = fd_get(thread->process, args[0]), *in = fd_get(thread->process, args[1]);
    u64 position;
    long result;

    if (!in || !out || !file_can_read(in) || !file_can_write(out))
        return -EBADF;
    if (!in->ops->read || !in->ops->size || !out->ops->write || out->flags & O_APPEND)
        return -EINVAL;
    result = take_position(thread, args[2], in, &position);
    if (result)
        return result;
    result = copy_files(thread, in, &position, out, &out->position, MIN(args[3], IO_LIMIT));
    if (result > 0 && give_position(thread, args[2], in, position))
        return -EFAULT;
    return result;
}

long call_copy_file_range(struct thread *thread, const u64 *args)
{
    struct file *in = fd_get(thread->process, args[0]), *out = fd_get(thread->process, args[2]);
    u64 from, to;
    long result;

    if (!in || !out || !file_can_read(in) || !file_can_write(out) || out->flags & O_APPEND)
        return -EBADF;
    if (args[5])
        return -EINVAL;
    if ((in->inode && inode_is_dir(in->inode)) || (out->inode && inode_is_dir(out->inode)))
        return -EISDIR;
    if (!in->ops->size || !out->ops->size || !in->ops->read || !out->ops->write)
        return -EINVAL;
    result = take_position(thread, args[1], in, &from);
    if (!result)
        result = take_position(thread, args[3], out, &to);
    if (result)
        return result;
    if (in->inode == out->inode && from < to + args[4] && to < from + args[4])
        return -EINVAL;
    result = copy_files(thread, in, &from, out, &to, MIN(args[4], IO_LIMIT));
    if (result > 0 &&
        (give_position(thread, args[1], in, from) || give_position(thread, args[3], out, to)))
        return -EFAULT;
    return result;
}

/* ---- Nothing is ever written back: files live in memory, disks get all at once ---- */

static long check_fd(struct thread *thread, u64 fd)
{
    return fd_get(thread->process, fd) ? 0 : -EBADF;
}

long call_fsync(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);

    if (!file)
        return -EBADF;
    if (file->ops->sync)
        return file->ops->sync(file, thread);
    return file->inode && !S_ISFIFO(file->inode->mode) ? 0 : -EINVAL;
}

long call_fdatasync(struct thread *thread, const u64 *args)
{
    return call_fsync(thread, args);
}

long call_syncfs(struct thread *thread, const u64 *args)
{
    return check_fd(thread, args[0]);
}

long call_sync(struct thread *thread, const u64 *args)
{
    (void)thread;
    (void)args;
    return 0;
}

long call_fadvise64(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);

    if (!file)
        return -EBADF;
    if (!file->ops->size)
        return -ESPIPE;
    return args[3] > POSIX_FADV_NOREUSE || (s64)args[2] < 0 ? -EINVAL : 0;
}
