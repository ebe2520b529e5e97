/*
 * timerfd: a timer whose expirations are read as a file. All clocks are kept as CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include "user/servers/posix/anon.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

struct timerfd {
    struct timer timer;
    u64 due; /* when it was to expire next, which `timer` forgets as it fires */
    u64 interval, expirations;
    bool realtime; /* absolute times are of CLOCK_REALTIME */
    struct wait_queue queue;
};

static void arm(struct timerfd *own, u64 when)
{
    own->due = when;
    timer_set(&own->timer, when);
}

static void fire(struct timer *timer)
{
    struct timerfd *own = container_of(timer, struct timerfd, timer);
    u64 times = own->interval ? (time_now() - own->due) / own->interval + 1 : 1;

    own->expirations += times;
    if (own->interval)
        arm(own, own->due + times * own->interval);
    wait_wake(&own->queue);
}

static long timer_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct timerfd *own = file->data;

    (void)position;
    if (io->left < sizeof own->expirations)
        return -EINVAL;
    if (!own->expirations)
        return file->flags & O_NONBLOCK ? -EAGAIN : wait_on(thread, &own->queue);
    if (uio_put(io, &own->expirations, sizeof own->expirations) != sizeof own->expirations)
        return -EFAULT;
    own->expirations = 0;
    return sizeof own->expirations;
}

static u32 timer_poll(struct file *file, struct wait_queue **queue)
{
    struct timerfd *own = file->data;

    *queue = &own->queue;
    return own->expirations ? POLLIN | POLLRDNORM : 0;
}

static void timer_release(struct file *file)
{
    struct timerfd *own = file->data;

    timer_set(&own->timer, 0);
    wait_queue_end(&own->queue);
    free(own);
}

static const struct file_ops ops = {
    .read = timer_read,
    .poll = timer_poll,
    .release = timer_release,
};

long call_timerfd_create(struct thread *thread, const u64 *args)
{
    u32 clock = (u32)args[0], flags = (u32)args[1];
    struct timerfd *own;
    struct inode *inode;
    struct file *file;

    if (flags & ~(u32)(TFD_CLOEXEC | TFD_NONBLOCK) ||
        (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME))
        return -EINVAL;
    own = calloc(1, sizeof *own);
    inode = own ? anon_shared() : NULL;
    file = inode ? file_create(&ops, inode, O_RDWR | (flags & TFD_NONBLOCK)) : NULL;
    if (!file) {
        if (inode)
            inode_put(inode);
        free(own);
        return -ENOMEM;
    }
    own->realtime = clock == CLOCK_REALTIME;
    own->timer.fire = fire;
    wait_queue_init(&own->queue);
    file->data = own;
    return fd_install(thread->process, file, 0, flags & TFD_CLOEXEC);
}

static struct timerfd *find(struct thread *thread, u64 fd, long *error)
{
    struct file *file = fd_get(thread->process, fd);

    *error = file ? -EINVAL : -EBADF;
    return file && file->ops == &ops ? file->data : NULL;
}

static struct itimerspec value_of(const struct timerfd *own)
{
    u64 now = time_now(), when = own->timer.when;
    u64 left = !when ? 0 : when > now ? when - now : 1;

    return (struct itimerspec){
        .it_interval = {(time_t)(own->interval / SECOND), (long)(own->interval % SECOND)},
        .it_value = {(time_t)(left / SECOND), (long)(left % SECOND)},
    };
}

long call_timerfd_settime(struct thread *thread, const u64 *args)
{
    struct itimerspec old, new;
    long error;
    struct timerfd *own = find(thread, args[0], &error);
    u64 value;

    if (args[1] & ~(u64)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    if (user_get(thread, &new, args[2], sizeof new))
        return -EFAULT;
    if (!own)
        return error;
    if (!timespec_is_valid(&new.it_value) || !timespec_is_valid(&new.it_interval))
        return -EINVAL;
    old = value_of(own);
    value = timespec_ns(&new.it_value);
    own->interval = value ? timespec_ns(&new.it_interval) : 0;
    own->expirations = 0;
    if (value && args[1] & TFD_TIMER_ABSTIME)
        value = time_from_absolute(value, own->realtime);
    else if (value)
        value += time_now();
    arm(own, value);
    return args[3] ? user_put(thread, args[3], &old, sizeof old) : 0;
}

long call_timerfd_gettime(struct thread *thread, const u64 *args)
{
    long error;
    const struct timerfd *own = find(thread, args[0], &error);
    struct itimerspec now;

    if (!own)
        return error;
    now = value_of(own);
    return user_put(thread, args[1], &now, sizeof now);
}
