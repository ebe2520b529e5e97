/*
 * Descriptors that stand for a process. One keeps the number and the time the process started, so
 * that a later process of the same number is not taken for it.
 */
#include "user/servers/posix/anon.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#define PIDFD_NONBLOCK O_NONBLOCK

struct pidfd {
    u32 pid;
    u64 start_time;
};

static struct process *process_of(const struct file *file)
{
    const struct pidfd *pidfd = file->data;
    struct process *process = process_find(pidfd->pid);

    return process && process->start_time == pidfd->start_time ? process : NULL;
}

/* Readable when the process has ended; its vfork queue is woken then. */
static u32 pidfd_poll(struct file *file, struct wait_queue **queue)
{
    struct process *process = process_of(file);

    *queue = process ? &process->vfork_wait : NULL;
    return process && !process->zombie ? 0 : POLLIN | POLLRDNORM | (process ? 0 : POLLHUP);
}

static void pidfd_release(struct file *file)
{
    free(file->data);
}

static const struct file_ops pidfd_ops = {.poll = pidfd_poll, .release = pidfd_release};

struct file *pidfd_create(u32 pid)
{
    struct pidfd *pidfd = malloc(sizeof *pidfd);
    struct inode *inode = pidfd ? anon_shared() : NULL;
    struct file *file = inode ? file_create(&pidfd_ops, inode, O_RDWR) : NULL;

    if (!file) {
        if (inode)
            inode_put(inode);
        free(pidfd);
        return NULL;
    }
    *pidfd = (struct pidfd){pid, process_find(pid)->start_time};
    file->data = pidfd;
    return file;
}

u32 pidfd_of(const struct file *file)
{
    const struct process *process;

    if (file->ops != &pidfd_ops)
        return 0;
    process = process_of(file);
    return process ? process->pid : PID_MAX;
}

long call_pidfd_open(struct thread *thread, const u64 *args)
{
    struct process *process = process_find((u32)args[0]);
    struct file *file;

    if ((s32)args[0] <= 0 || args[1] & ~(u64)PIDFD_NONBLOCK)
        return -EINVAL;
    if (!process)
        return thread_find((u32)args[0]) ? -EINVAL : -ESRCH;
    file = pidfd_create(process->pid);
    if (!file)
        return -ENOMEM;
    file->flags |= (u32)args[1];
    return fd_install(thread->process, file, 0, true);
}
