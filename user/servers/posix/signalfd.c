/*
 * signalfd: pending signals, read as a file by the process they are for. Who waits is woken by
 * every signal that becomes pending anywhere, and looks whether it is his.
 */
#define _GNU_SOURCE
#include "user/servers/posix/anon.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#define MASK_BYTES 8

struct signalfd {
    u64 mask;
};

static void translate(struct signalfd_siginfo *to, const siginfo_t *from)
{
    memset(to, 0, sizeof *to);
    to->ssi_signo = (u32)from->si_signo;
    to->ssi_code = from->si_code;
    to->ssi_errno = from->si_errno;
    if (from->si_code == SI_TIMER) {
        to->ssi_tid = (u32)from->si_timerid;
        to->ssi_overrun = (u32)from->si_overrun;
    } else {
        to->ssi_pid = (u32)from->si_pid;
        to->ssi_uid = from->si_uid;
    }
    if (from->si_signo == SIGCHLD) {
        to->ssi_status = from->si_status;
        to->ssi_utime = (u64)from->si_utime;
        to->ssi_stime = (u64)from->si_stime;
    } else {
        to->ssi_int = from->si_value.sival_int;
        to->ssi_ptr = (u64)from->si_value.sival_ptr;
    }
}

static long signal_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    const struct signalfd *own = file->data;
    struct signalfd_siginfo record;
    siginfo_t info;
    long total = 0;

    (void)position;
    if (io->left < sizeof record)
        return -EINVAL;
    while (io->left >= sizeof record && signal_take(thread, own->mask, &info)) {
        translate(&record, &info);
        if (uio_put(io, &record, sizeof record) != sizeof record)
            return total ? total : -EFAULT;
        total += (long)sizeof record;
    }
    if (total)
        return total;
    return file->flags & O_NONBLOCK ? -EAGAIN : wait_on(thread, &signal_arrived);
}

/* Of the process that asks, which the server answers at the moment. */
static u32 signal_poll(struct file *file, struct wait_queue **queue)
{
    const struct signalfd *own = file->data;
    const struct thread *thread = call_current;
    u64 pending = thread ? thread->pending.set | thread->process->pending.set : 0;

    *queue = &signal_arrived;
    return pending & own->mask ? POLLIN | POLLRDNORM : 0;
}

static void signal_release(struct file *file)
{
    free(file->data);
}

static const struct file_ops ops = {
    .read = signal_read,
    .poll = signal_poll,
    .release = signal_release,
};

static long create(struct thread *thread, u64 mask, u32 flags)
{
    struct signalfd *own = malloc(sizeof *own);
    struct inode *inode = own ? anon_shared() : NULL;
    struct file *file = inode ? file_create(&ops, inode, O_RDWR | (flags & SFD_NONBLOCK)) : NULL;

    if (!file) {
        if (inode)
            inode_put(inode);
        free(own);
        return -ENOMEM;
    }
    own->mask = mask;
    file->data = own;
    return fd_install(thread->process, file, 0, flags & SFD_CLOEXEC);
}

long call_signalfd4(struct thread *thread, const u64 *args)
{
    u32 flags = (u32)args[3];
    struct file *file;
    u64 mask;

    if (args[2] != MASK_BYTES || flags & ~(u32)(SFD_CLOEXEC | SFD_NONBLOCK))
        return -EINVAL;
    if (user_get(thread, &mask, args[1], sizeof mask))
        return -EFAULT;
    mask &= ~SIGNALS_UNBLOCKABLE;
    if ((s32)args[0] == -1)
        return create(thread, mask, flags);
    file = fd_get(thread->process, args[0]);
    if (!file || file->ops != &ops)
        return file ? -EINVAL : -EBADF;
    ((struct signalfd *)file->data)->mask = mask;
    wait_wake(&signal_arrived);
    return (s32)args[0];
}

long call_signalfd(struct thread *thread, const u64 *args)
{
    u64 all[6] = {args[0], args[1], args[2]};

    return call_signalfd4(thread, all);
}
