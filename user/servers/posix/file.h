/*
 * Open files and the tables of descriptors that name them.
 *
 * A struct file is what POSIX calls an open file description: an inode (or none, as for pipes'
 * relatives made without a name), a position, flags, and the operations of its kind. It is shared
 * by dup, fork and clone, and counted.
 */
#pragma once

#include "lib/types.h"
#include "user/servers/posix/event.h"
#include "user/servers/posix/user.h"
#include <merganser/abi.h>

struct dir_sink;
struct file;
struct inode;
struct process;

#define ACCESS_MODE 3u /* the bits of O_RDONLY, O_WRONLY and O_RDWR */

struct file_ops {
    /*
     * Moves data at *position and advances it: bytes, 0 at the end, -errno, or WAITING after having
     * put the thread on a queue (not for O_NONBLOCK: -EAGAIN).
     */
    long (*read)(struct file *file, struct thread *thread, struct uio *io, u64 *position);
    long (*write)(struct file *file, struct thread *thread, struct uio *io, u64 *position);
    /* What is possible now (POLL*), and which queue is woken when that may have changed. */
    u32 (*poll)(struct file *file, struct wait_queue **queue);
    long (*ioctl)(struct file *file, struct thread *thread, u64 request, u64 arg);
    /* Sets map->object and checks the rest: 0 or -errno. */
    long (*map)(struct file *file, struct mg_map *map);
    /* The size for SEEK_END; files without it can't be seeked. */
    long (*size)(struct file *file);
    /* fsync: may wait. NULL = nothing to be done. */
    long (*sync)(struct file *file, struct thread *thread);
    long (*iterate)(struct file *file, struct dir_sink *sink);
    void (*release)(struct file *file);
};

struct file {
    u32 refs;
    u32 flags; /* ACCESS_MODE, O_APPEND, O_NONBLOCK, ... */
    const struct file_ops *ops;
    struct inode *inode; /* a reference, or NULL */
    u64 position;
    void *data;          /* the kind's own */
    u32 owner;           /* F_SETOWN */
    struct list watchers; /* its places in the sets of epoll */
};

struct fd_table {
    u32 refs;
    u32 size;            /* of the arrays */
    u32 lowest;          /* no free number below */
    struct file **files;
    bool *cloexec;
};

#define FD_LIMIT 65536 /* RLIMIT_NOFILE can't be raised above it */

extern u32 file_count, file_limit;

/* An open file with one reference; takes over the inode's. NULL = ENFILE or no memory. */
struct file *file_create(const struct file_ops *ops, struct inode *inode, u32 flags);
struct file *file_get(struct file *file);
void file_put(struct file *file);

static inline bool file_can_read(const struct file *file)
{
    return (file->flags & ACCESS_MODE) != 1;
}
static inline bool file_can_write(const struct file *file)
{
    return (file->flags & ACCESS_MODE) != 0;
}

struct fd_table *fd_table_create(void);
struct fd_table *fd_table_copy(const struct fd_table *from);
void fd_table_put(struct fd_table *table);

/* The file of a descriptor, or NULL; no reference is taken. O_PATH files only with fd_get_any. */
struct file *fd_get(const struct process *process, u64 fd);
struct file *fd_get_any(const struct process *process, u64 fd);

/* Puts a file under the lowest free descriptor >= from; takes over the reference, also on error. */
long fd_install(struct process *process, struct file *file, u32 from, bool cloexec);

/* The same under a given number, closing what was there. */
long fd_install_at(struct process *process, struct file *file, u32 fd, bool cloexec);

long fd_close(struct process *process, u64 fd);

/* Closes what execve does not keep. */
void fd_close_on_exec(struct process *process);
