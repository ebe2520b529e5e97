/*
 * Calls on descriptors: duplicating, flags, and mapping their files.
 */
#define _GNU_SOURCE
#include "user/servers/posix/calls.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/lock.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <sys/mman.h>

#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC)

long call_dup(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get_any(thread->process, args[0]);

    return file ? fd_install(thread->process, file_get(file), 0, false) : -EBADF;
}

static long dup_to(struct thread *thread, u64 from, u64 to, bool cloexec)
{
    struct file *file = fd_get_any(thread->process, from);

    return file ? fd_install_at(thread->process, file_get(file), (u32)to, cloexec) : -EBADF;
}

long call_dup2(struct thread *thread, const u64 *args)
{
    if ((u32)args[0] == (u32)args[1])
        return fd_get_any(thread->process, args[0]) ? (long)(u32)args[1] : -EBADF;
    return dup_to(thread, args[0], args[1], false);
}

long call_dup3(struct thread *thread, const u64 *args)
{
    if ((u32)args[0] == (u32)args[1] || args[2] & ~(u64)O_CLOEXEC)
        return -EINVAL;
    return dup_to(thread, args[0], args[1], args[2] & O_CLOEXEC);
}

#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4

static long own_table(struct process *process)
{
    struct fd_table *copy;

    if (process->files->refs == 1)
        return 0;
    copy = fd_table_copy(process->files);
    if (!copy)
        return -ENOMEM;
    fd_table_put(process->files);
    process->files = copy;
    return 0;
}

long call_close_range(struct thread *thread, const u64 *args)
{
    struct process *process = thread->process;
    u32 first = (u32)args[0], last = (u32)args[1], flags = (u32)args[2];
    long error = 0;

    if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
        return -EINVAL;
    if (flags & CLOSE_RANGE_UNSHARE)
        error = own_table(process);
    for (u64 fd = first; !error && fd <= last && fd < process->files->size; fd++) {
        if (!process->files->files[fd])
            continue;
        if (flags & CLOSE_RANGE_CLOEXEC)
            process->files->cloexec[fd] = true;
        else
            fd_close(process, fd);
    }
    return error;
}

static long duplicate_from(struct process *process, struct file *file, u64 from, bool cloexec)
{
    if (from >= process->limits[RLIMIT_NOFILE].rlim_cur)
        return -EINVAL;
    return fd_install(process, file_get(file), (u32)from, cloexec);
}

static long set_flags(struct file *file, u32 flags)
{
    file->flags = (file->flags & ~(u32)SETTABLE) | (flags & SETTABLE);
    return 0;
}

long call_fcntl(struct thread *thread, const u64 *args)
{
    struct process *process = thread->process;
    struct file *file = fd_get_any(process, args[0]);
    u32 fd = (u32)args[0];

    if (!file)
        return -EBADF;
    switch (args[1]) {
    case F_DUPFD: return duplicate_from(process, file, (u32)args[2], false);
    case F_DUPFD_CLOEXEC: return duplicate_from(process, file, (u32)args[2], true);
    case F_GETFD: return process->files->cloexec[fd] ? FD_CLOEXEC : 0;
    case F_SETFD: process->files->cloexec[fd] = args[2] & FD_CLOEXEC; return 0;
    case F_GETFL: return file->flags;
    default: break;
    }
    if (file->flags & O_PATH)
        return -EBADF;
    switch (args[1]) {
    case F_SETFL: return set_flags(file, (u32)args[2]);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return lock_record(thread, file, (u32)args[1], args[2]);
    case F_SETOWN: file->owner = (u32)args[2]; return 0;
    case F_GETOWN: return (s32)file->owner;
    case F_ADD_SEALS: return file->inode ? tmpfs_add_seals(file, (u32)args[2]) : -EINVAL;
    case F_GET_SEALS: return file->inode ? tmpfs_get_seals(file->inode) : -EINVAL;
    case F_GETPIPE_SZ: return 65536;
    case F_SETPIPE_SZ: return 65536;
    default: return -EINVAL;
    }
}

long call_flock(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);

    return file ? lock_file(thread, file, (u32)args[1]) : -EBADF;
}

long call_ioctl(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[0]);
    u32 fd = (u32)args[0];

    if (!file)
        return -EBADF;
    switch ((u32)args[1]) {
    case 0x5450: /* FIONCLEX */
    case 0x5451: /* FIOCLEX */
        thread->process->files->cloexec[fd] = (u32)args[1] == 0x5451;
        return 0;
    default:
        return file->ops->ioctl ? file->ops->ioctl(file, thread, (u32)args[1], args[2]) : -ENOTTY;
    }
}

/* ---- mmap of a file: the kernel serves all other mappings itself ---- */

static long check_map(const struct file *file, const struct mg_map *map)
{
    u32 type = map->flags & 3;
    bool shared = type == MAP_SHARED || type == 3 /* MAP_SHARED_VALIDATE */;

    if (!shared && type != MAP_PRIVATE)
        return -EINVAL;
    if (map->offset & 4095)
        return -EINVAL;
    if (!map->len)
        return -EINVAL;
    if (!file_can_read(file))
        return -EACCES;
    if (shared && map->prot & PROT_WRITE && !file_can_write(file))
        return -EACCES;
    return file->ops->map ? 0 : -ENODEV;
}

long call_mmap(struct thread *thread, const u64 *args)
{
    struct file *file = fd_get(thread->process, args[4]);
    struct mg_map map = {
        .addr = args[0],
        .len = args[1],
        .prot = (u32)args[2],
        .flags = (u32)args[3],
        .offset = args[5],
    };
    long error;

    if (!file)
        return -EBADF;
    error = check_map(file, &map);
    if (error)
        return error;
    if ((map.flags & 3) == 3)
        map.flags = (map.flags & ~3u) | MAP_SHARED;
    if (map.flags & MAP_SHARED && !file_can_write(file))
        map.max_prot = PROT_READ | PROT_EXEC;
    error = file->ops->map(file, &map);
    return error ? error : mg_vm_map(thread->process->task, &map);
}
