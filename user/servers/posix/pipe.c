/*
 * Pipes, FIFOs, and the pairs of pipes behind socketpair.
 *
 * A pipe is a ring of 64 KiB in the server. It lives as long as one of its ends is open; a FIFO's
 * inode points to it meanwhile. Whoever changes what a pipe can do wakes its one queue.
 */
#define _GNU_SOURCE
#include "user/servers/posix/pipe.h"
#include "user/servers/posix/anon.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PIPE_SIZE 65536u
#define PIPE_COST 8192 /* what an empty one takes */

struct pipe {
    u8 *bytes;
    u32 head, used;       /* the oldest byte; how many */
    u32 touched;          /* bytes of the buffer that have memory: the first so many */
    u32 readers, writers; /* open ends, and those waiting in open for the other side */
    u32 reads, writes;    /* ends ever opened: lets an open see that the other side came */
    struct wait_queue queue;
    struct inode *fifo; /* that points to it, or NULL */
    struct pipe *twin;  /* of a socket pair: the other direction, or NULL */
};

static struct pipe *pipe_alloc(void)
{
    struct pipe *pipe = stats_is_short(STATS_RECORD, PIPE_COST) ? NULL : calloc(1, sizeof *pipe);

    if (!pipe)
        return NULL;
    pipe->bytes = malloc(PIPE_SIZE);
    if (!pipe->bytes) {
        free(pipe);
        return NULL;
    }
    wait_queue_init(&pipe->queue);
    return pipe;
}

static void pipe_free(struct pipe *pipe)
{
    if (pipe->fifo)
        pipe->fifo->fifo = NULL;
    if (pipe->twin)
        pipe->twin->twin = NULL;
    wait_queue_end(&pipe->queue);
    free(pipe->bytes);
    free(pipe);
}

/* Who polls one end of a socket pair waits for both directions, on the queue of one. */
static void pipe_wake(struct pipe *pipe)
{
    wait_wake(&pipe->queue);
    if (pipe->twin)
        wait_wake(&pipe->twin->queue);
}

static void pipe_open(struct pipe *pipe, bool reader, bool writer)
{
    pipe->readers += reader;
    pipe->writers += writer;
    pipe->reads += reader;
    pipe->writes += writer;
    pipe_wake(pipe);
}

static void pipe_close(struct pipe *pipe, bool reader, bool writer)
{
    pipe->readers -= reader;
    pipe->writers -= writer;
    pipe_wake(pipe);
    if (!pipe->readers && !pipe->writers)
        pipe_free(pipe);
}

/* ---- Data ---- */

/* Moves what is there, in at most two pieces. */
static long take(struct pipe *pipe, struct uio *io)
{
    long total = 0;

    while (pipe->used && io->left) {
        u32 piece = MIN(pipe->used, PIPE_SIZE - pipe->head);
        long done = uio_put(io, pipe->bytes + pipe->head, piece);

        if (done <= 0)
            return total ? total : done;
        pipe->head = (pipe->head + (u32)done) % PIPE_SIZE;
        pipe->used -= (u32)done;
        total += done;
    }
    return total;
}

static long add(struct pipe *pipe, struct uio *io)
{
    long total = 0;

    while (pipe->used < PIPE_SIZE && io->left) {
        u32 tail = (pipe->head + pipe->used) % PIPE_SIZE;
        u32 piece = MIN(PIPE_SIZE - pipe->used, PIPE_SIZE - tail);
        u32 end = tail + (u32)MIN((usize)piece, io->left);
        long done = -ENOMEM;

        if (end <= pipe->touched || !stats_is_short(STATS_CONTENT, end - pipe->touched))
            done = uio_get(io, pipe->bytes + tail, piece);
        pipe->touched = MAX(pipe->touched, end);

        if (done <= 0)
            return total ? total : done;
        pipe->used += (u32)done;
        total += done;
    }
    return total;
}

static long pipe_read(struct pipe *pipe, struct file *file, struct thread *thread, struct uio *io)
{
    long done;

    if (!io->left)
        return 0;
    if (!pipe->used) {
        if (!pipe->writers)
            return 0;
        return file->flags & O_NONBLOCK ? -EAGAIN : wait_on(thread, &pipe->queue);
    }
    done = take(pipe, io);
    pipe_wake(pipe);
    return done;
}

/* Up to PIPE_BUF bytes go in at once or not at all; more go as room comes. */
static long pipe_write(struct pipe *pipe, struct file *file, struct thread *thread, struct uio *io)
{
    usize need = io->left <= PIPE_BUF && !thread->done ? io->left : 1;
    long done = 0;

    if (!io->left)
        return 0;
    if (!pipe->readers) {
        signal_send_thread(thread, SIGPIPE, NULL);
        return -EPIPE;
    }
    if (PIPE_SIZE - pipe->used >= need) {
        done = add(pipe, io);
        if (done)
            pipe_wake(pipe);
        if (done < 0 || !io->left)
            return done;
    }
    if (file->flags & O_NONBLOCK)
        return done ? done : -EAGAIN;
    thread->done += (u64)done;
    return wait_on(thread, &pipe->queue);
}

static u32 pipe_poll_read(const struct pipe *pipe)
{
    return (pipe->used ? POLLIN | POLLRDNORM : 0) | (pipe->writers ? 0 : POLLHUP);
}

static u32 pipe_poll_write(const struct pipe *pipe)
{
    return (PIPE_SIZE - pipe->used >= PIPE_BUF ? POLLOUT | POLLWRNORM : 0) |
           (pipe->readers ? 0 : POLLERR);
}

static long put_waiting(struct pipe *pipe, struct thread *thread, u64 request, u64 arg)
{
    return request == FIONREAD ? user_put(thread, arg, &pipe->used, sizeof pipe->used) : -ENOTTY;
}

/* ---- One pipe: ends and FIFOs ---- */

static long end_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    (void)position;
    return pipe_read(file->data, file, thread, io);
}

static long end_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    (void)position;
    return pipe_write(file->data, file, thread, io);
}

static u32 end_poll(struct file *file, struct wait_queue **queue)
{
    struct pipe *pipe = file->data;

    *queue = &pipe->queue;
    return (file_can_read(file) ? pipe_poll_read(pipe) : 0) |
           (file_can_write(file) ? pipe_poll_write(pipe) : 0);
}

static long end_ioctl(struct file *file, struct thread *thread, u64 request, u64 arg)
{
    return put_waiting(file->data, thread, request, arg);
}

static void end_release(struct file *file)
{
    pipe_close(file->data, file_can_read(file), file_can_write(file));
}

static const struct file_ops end_ops = {
    .read = end_read,
    .write = end_write,
    .poll = end_poll,
    .ioctl = end_ioctl,
    .release = end_release,
};

static struct file *open_end(struct pipe *pipe, struct inode *inode, u32 flags)
{
    struct file *file = file_create(&end_ops, inode_get(inode), flags);

    if (!file) {
        inode_put(inode);
        return NULL;
    }
    file->data = pipe;
    pipe_open(pipe, file_can_read(file), file_can_write(file));
    return file;
}

long pipe_create(struct file **reader, struct file **writer, u32 flags)
{
    struct inode *inode = anon_create(&pipe_fs, S_IFIFO | 0600);
    struct pipe *pipe;

    if (!inode)
        return -ENFILE;
    pipe = pipe_alloc();
    *reader = pipe ? open_end(pipe, inode, flags | O_RDONLY) : NULL;
    *writer = *reader ? open_end(pipe, inode, flags | O_WRONLY) : NULL;
    inode_put(inode);
    if (*writer)
        return 0;
    if (*reader)
        file_put(*reader);
    else if (pipe)
        pipe_free(pipe);
    return -ENFILE;
}

/* Has an end of the other kind been opened since this open began, or is one open? */
static bool other_side_came(const struct pipe *pipe, const struct file *file, u64 seen)
{
    if (file_can_read(file))
        return pipe->writers || pipe->writes != (u32)seen;
    return pipe->readers || pipe->reads != (u32)seen;
}

static long wait_for_other_side(struct pipe *pipe, struct file *file, struct thread *thread)
{
    bool reader = file_can_read(file);
    long result = WAITING;

    if (!thread->tried) /* remembered beside a mark that the end is counted */
        thread->done = 1ull << 32 | (reader ? pipe->writes : pipe->reads);
    if (other_side_came(pipe, file, thread->done))
        return 0;
    result = wait_on(thread, &pipe->queue);
    if (result != WAITING)
        pipe_close(pipe, reader, !reader);
    return result;
}

long fifo_open(struct inode *inode, struct file *file, struct thread *thread)
{
    struct pipe *pipe = inode->fifo ? inode->fifo : pipe_alloc();
    bool reader = file_can_read(file), writer = file_can_write(file);
    long result = 0;

    if (!pipe)
        return -ENOMEM;
    if (!reader && file->flags & O_NONBLOCK && !pipe->readers) {
        if (!inode->fifo)
            pipe_free(pipe);
        return -ENXIO;
    }
    pipe->fifo = inode;
    inode->fifo = pipe;
    if (!thread->tried)
        pipe_open(pipe, reader, writer);
    if (reader != writer && !(file->flags & O_NONBLOCK))
        result = wait_for_other_side(pipe, file, thread);
    if (!result) {
        thread->done = 0;
        file->ops = &end_ops;
        file->data = pipe;
    }
    return result;
}

/* ---- Two pipes: each file reads one and writes the other ---- */

struct pair {
    struct pipe *in, *out;
};

static long pair_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct pair *pair = file->data;

    (void)position;
    return pipe_read(pair->in, file, thread, io);
}

static long pair_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct pair *pair = file->data;

    (void)position;
    return pipe_write(pair->out, file, thread, io);
}

static u32 pair_poll(struct file *file, struct wait_queue **queue)
{
    struct pair *pair = file->data;

    *queue = &pair->in->queue;
    return pipe_poll_read(pair->in) | pipe_poll_write(pair->out);
}

static long pair_ioctl(struct file *file, struct thread *thread, u64 request, u64 arg)
{
    return put_waiting(((struct pair *)file->data)->in, thread, request, arg);
}

static void pair_release(struct file *file)
{
    struct pair *pair = file->data;

    pipe_close(pair->in, true, false);
    pipe_close(pair->out, false, true);
    free(pair);
}

static const struct file_ops pair_ops = {
    .read = pair_read,
    .write = pair_write,
    .poll = pair_poll,
    .ioctl = pair_ioctl,
    .release = pair_release,
};

static struct file *open_pair(struct pipe *in, struct pipe *out, u32 flags)
{
    struct inode *inode = anon_create(&socket_fs, S_IFSOCK | 0777);
    struct pair *pair = malloc(sizeof *pair);
    struct file *file = inode && pair ? file_create(&pair_ops, inode, flags | O_RDWR) : NULL;

    pipe_open(in, true, false);
    pipe_open(out, false, true);
    if (!file) {
        pipe_close(in, true, false);
        pipe_close(out, false, true);
        free(pair);
        if (inode)
            inode_put(inode);
        return NULL;
    }
    *pair = (struct pair){in, out};
    file->data = pair;
    return file;
}

long pipe_create_pair(struct file **one, struct file **two, u32 flags)
{
    struct pipe *left = pipe_alloc(), *right = left ? pipe_alloc() : NULL;

    if (!right) {
        if (left)
            pipe_free(left);
        return -ENOMEM;
    }
    left->twin = right;
    right->twin = left;
    pipe_open(left, true, true); /* held until both files are there */
    pipe_open(right, true, true);
    *one = open_pair(left, right, flags);
    *two = *one ? open_pair(right, left, flags) : NULL;
    if (*one && !*two)
        file_put(*one);
    pipe_close(left, true, true);
    pipe_close(right, true, true);
    return *two ? 0 : -ENFILE;
}

/* ---- Calls ---- */

/* Gives both files descriptors, or neither. */
static long install_both(struct thread *thread, struct file *one, struct file *two, u64 address,
                         bool cloexec)
{
    struct process *process = thread->process;
    long first = fd_install(process, one, 0, cloexec), second;
    s32 fds[2];

    if (first < 0) {
        file_put(two);
        return first;
    }
    second = fd_install(process, two, 0, cloexec);
    fds[0] = (s32)first;
    fds[1] = (s32)second;
    if (second >= 0 && !user_put(thread, address, fds, sizeof fds))
        return 0;
    fd_close(process, (u64)first);
    if (second < 0)
        return second;
    fd_close(process, (u64)second);
    return -EFAULT;
}

long call_pipe2(struct thread *thread, const u64 *args)
{
    u32 flags = (u32)args[1];
    struct file *reader, *writer;
    long error;

    if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    error = pipe_create(&reader, &writer, flags & (O_NONBLOCK | O_DIRECT));
    return error ? error : install_both(thread, reader, writer, args[0], flags & O_CLOEXEC);
}

long call_pipe(struct thread *thread, const u64 *args)
{
    u64 all[6] = {args[0]};

    return call_pipe2(thread, all);
}

long call_socketpair(struct thread *thread, const u64 *args)
{
    u32 type = (u32)args[1] & 0xf, flags = (u32)args[1] & ~0xfu;
    struct file *one, *two;
    long error;

    if (args[0] != AF_UNIX)
        return -EAFNOSUPPORT;
    if (type != SOCK_STREAM)
        return type == SOCK_DGRAM || type == SOCK_SEQPACKET ? -EOPNOTSUPP : -EINVAL;
    error = pipe_create_pair(&one, &two, flags & O_NONBLOCK);
    return error ? error : install_both(thread, one, two, args[3], flags & O_CLOEXEC);
}

long call_socket(struct thread *thread, const u64 *args)
{
    (void)thread;
    return (u32)args[0] > 45 || (args[1] & 0xf) > 10 ? -EINVAL : -EAFNOSUPPORT;
}
