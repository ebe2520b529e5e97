/*
 * See file.h.
 */
#include "user/servers/posix/file.h"
#include "user/servers/posix/epoll.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/lock.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

u32 file_count, file_limit = 1 << 20;

/* Of a regular file: it can't be run meanwhile. */
static bool is_writer(const struct file *file)
{
    return file->inode && S_ISREG(file->inode->mode) && file_can_write(file) &&
           !(file->flags & O_PATH);
}

struct file *file_create(const struct file_ops *ops, struct inode *inode, u32 flags)
{
    struct file *file;

    if (file_count >= file_limit || stats_is_short(STATS_RECORD, sizeof *file))
        return NULL;
    file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->refs = 1;
    file->ops = ops;
    file->inode = inode;
    file->flags = flags;
    list_init(&file->watchers);
    if (is_writer(file))
        inode->writers++;
    file_count++;
    return file;
}

struct file *file_get(struct file *file)
{
    file->refs++;
    return file;
}

void file_put(struct file *file)
{
    if (--file->refs)
        return;
    epoll_forget(file);
    if (file->inode)
        lock_release_file(file);
    if (is_writer(file))
        file->inode->writers--;
    if (file->ops->release)
        file->ops->release(file);
    if (file->inode)
        inode_put(file->inode);
    file_count--;
    free(file);
}

/* Makes room for descriptors below `size`. */
static bool table_grow(struct fd_table *table, u32 size)
{
    struct file **files;
    bool *cloexec;

    if (size <= table->size)
        return true;
    size = MAX(ALIGN_UP(size, 32u), table->size * 2);
    files = realloc(table->files, size * sizeof *files);
    if (files)
        table->files = files;
    cloexec = realloc(table->cloexec, size);
    if (cloexec)
        table->cloexec = cloexec;
    if (!files || !cloexec)
        return false;
    memset(files + table->size, 0, (size - table->size) * sizeof *files);
    memset(cloexec + table->size, 0, size - table->size);
    table->size = size;
    return true;
}

struct fd_table *fd_table_create(void)
{
    struct fd_table *table = calloc(1, sizeof *table);

    if (table)
        table->refs = 1;
    return table;
}

struct fd_table *fd_table_copy(const struct fd_table *from)
{
    struct fd_table *table = fd_table_create();
    u32 used = from->size;

    while (used && !from->files[used - 1])
        used--;
    if (!table || !table_grow(table, used)) {
        if (table)
            fd_table_put(table);
        return NULL;
    }
    for (u32 fd = 0; fd < used; fd++) {
        if (!from->files[fd])
            continue;
        table->files[fd] = file_get(from->files[fd]);
        table->cloexec[fd] = from->cloexec[fd];
    }
    table->lowest = from->lowest;
    return table;
}

void fd_table_put(struct fd_table *table)
{
    if (--table->refs)
        return;
    for (u32 fd = 0; fd < table->size; fd++) {
        if (table->files[fd])
            file_put(table->files[fd]);
    }
    free(table->files);
    free(table->cloexec);
    free(table);
}

struct file *fd_get_any(const struct process *process, u64 fd)
{
    const struct fd_table *table = process->files;

    return (u32)fd < table->size ? table->files[(u32)fd] : NULL;
}

struct file *fd_get(const struct process *process, u64 fd)
{
    struct file *file = fd_get_any(process, fd);

    return file && !(file->flags & O_PATH) ? file : NULL;
}

static void table_set(struct fd_table *table, u32 fd, struct file *file, bool cloexec)
{
    table->files[fd] = file;
    table->cloexec[fd] = cloexec;
}

long fd_install(struct process *process, struct file *file, u32 from, bool cloexec)
{
    struct fd_table *table = process->files;
    u64 limit = process->limits[RLIMIT_NOFILE].rlim_cur;
    u32 fd = MAX(from, table->lowest);

    while (fd < table->size && table->files[fd])
        fd++;
    if (fd >= limit || !table_grow(table, fd + 1)) {
        file_put(file);
        return fd >= limit ? -EMFILE : -ENOMEM;
    }
    if (from <= table->lowest)
        table->lowest = fd + 1;
    table_set(table, fd, file, cloexec);
    return fd;
}

long fd_install_at(struct process *process, struct file *file, u32 fd, bool cloexec)
{
    struct fd_table *table = process->files;

    if (fd >= process->limits[RLIMIT_NOFILE].rlim_cur || !table_grow(table, fd + 1)) {
        file_put(file);
        return fd >= process->limits[RLIMIT_NOFILE].rlim_cur ? -EBADF : -ENOMEM;
    }
    if (table->files[fd])
        fd_close(process, fd);
    table_set(table, fd, file, cloexec);
    return fd;
}

long fd_close(struct process *process, u64 number)
{
    struct fd_table *table = process->files;
    struct file *file = fd_get_any(process, number);
    u32 fd = (u32)number;

    if (!file)
        return -EBADF;
    table_set(table, fd, NULL, false);
    table->lowest = MIN(table->lowest, fd);
    if (file->inode)
        lock_release_process(file->inode, process);
    file_put(file);
    return 0;
}

void fd_close_on_exec(struct process *process)
{
    struct fd_table *table = process->files;

    for (u32 fd = 0; fd < table->size; fd++) {
        if (table->files[fd] && table->cloexec[fd])
            fd_close(process, fd);
    }
}
