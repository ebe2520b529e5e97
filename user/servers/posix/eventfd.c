/*
 * eventfd: a counter that is read and written as a file.
 */
#define _GNU_SOURCE
#include "user/servers/posix/anon.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
    u64 count;
    bool semaphore; /* a read takes one, not all */
    struct wait_queue queue;
};

static long wait_for(struct file *file, struct thread *thread)
{
    struct eventfd *event = file->data;

    return file->flags & O_NONBLOCK ? -EAGAIN : wait_on(thread, &event->queue);
}

static long event_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct eventfd *event = file->data;
    u64 value = event->semaphore ? 1 : event->count;
    long done;

    (void)position;
    if (io->left < sizeof value)
        return -EINVAL;
    if (!event->count)
        return wait_for(file, thread);
    done = uio_put(io, &value, sizeof value);
    if (done != sizeof value)
        return -EFAULT;
    event->count -= value;
    wait_wake(&event->queue);
    return done;
}

static long event_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct eventfd *event = file->data;
    u64 value;

    (void)position;
    if (io->left < sizeof value)
        return -EINVAL;
    if (uio_get(io, &value, sizeof value) != sizeof value)
        return -EFAULT;
    if (value > COUNT_MAX)
        return -EINVAL;
    if (value > COUNT_MAX - event->count)
        return wait_for(file, thread);
    event->count += value;
    wait_wake(&event->queue);
    return sizeof value;
}

static u32 event_poll(struct file *file, struct wait_queue **queue)
{
    struct eventfd *event = file->data;

    *queue = &event->queue;
    return (event->count ? POLLIN | POLLRDNORM : 0) |
           (event->count < COUNT_MAX ? POLLOUT | POLLWRNORM : 0);
}

static void event_release(struct file *file)
{
    struct eventfd *event = file->data;

    wait_queue_end(&event->queue);
    free(event);
}

static const struct file_ops ops = {
    .read = event_read,
    .write = event_write,
    .poll = event_poll,
    .release = event_release,
};

long call_eventfd2(struct thread *thread, const u64 *args)
{
    u32 flags = (u32)args[1];
    struct eventfd *event;
    struct inode *inode;
    struct file *file;

    if (flags & ~(u32)(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    event = calloc(1, sizeof *event);
    inode = event ? anon_shared() : NULL;
    file = inode ? file_create(&ops, inode, O_RDWR | (flags & EFD_NONBLOCK)) : NULL;
    if (!file) {
        if (inode)
            inode_put(inode);
        free(event);
        return -ENOMEM;
    }
    event->count = (u32)args[0];
    event->semaphore = flags & EFD_SEMAPHORE;
    wait_queue_init(&event->queue);
    file->data = event;
    return fd_install(thread->process, file, 0, flags & EFD_CLOEXEC);
}

long call_eventfd(struct thread *thread, const u64 *args)
{
    u64 all[6] = {args[0]};

    return call_eventfd2(thread, all);
}
