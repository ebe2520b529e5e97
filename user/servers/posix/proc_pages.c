/*
 * Files whose position is an address or a page number: PID/mem, PID/pagemap, and the tables of all
 * frames.
 */
#include "user/lib/spawn.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/pseudo.h"
#include <errno.h>
#include <merganser/native.h>

#define ENTRY sizeof(u64)
#define CHUNK 2048 /* entries moved at a time */
#define PFN_MASK ((1ul << 55) - 1)

/* ---- mem ---- */

/* The task whose memory the file shows; 0 when it has gone. */
static mg_handle task_of(struct file *file)
{
    struct process *process = proc_process(pseudo_of(file->inode));

    return process ? process->task : 0;
}

static long mem_move(struct file *file, struct thread *thread, struct uio *io, u64 *position,
                     bool writing)
{
    struct process *process = proc_process(pseudo_of(file->inode));
    mg_handle task = task_of(file);
    long done;

    if (!task || !io->left)
        return 0;
    if (!proc_may_inspect(thread, process))
        return -EACCES;
    done = writing ? uio_get_object(io, task, *position, io->left)
                   : uio_put_object(io, task, *position, io->left);
    if (done <= 0)
        return -EIO;
    *position += (u64)done;
    return done;
}

static long mem_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return mem_move(file, thread, io, position, false);
}

static long mem_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return mem_move(file, thread, io, position, true);
}

const struct file_ops proc_mem_ops = {
    .read = mem_read,
    .write = mem_write,
    .poll = pseudo_poll,
    .size = pseudo_size,
};

/* ---- Tables of u64, one a page ---- */

/* Fills entries from a page number on: how many, 0 at the end, or -errno. */
typedef long (*fill)(struct file *file, struct thread *thread, u64 page, u64 *entries, u64 count);

static long read_table(struct file *file, struct thread *thread, struct uio *io, u64 *position,
                       fill fill_entries)
{
    static u64 entries[CHUNK];
    long total = 0;

    if (*position % ENTRY || io->left % ENTRY)
        return -EINVAL;
    while (io->left) {
        u64 wanted = MIN(io->left / ENTRY, (u64)CHUNK);
        long got = fill_entries(file, thread, *position / ENTRY, entries, wanted), put;

        if (got <= 0)
            return total ? total : got;
        put = uio_put(io, entries, (usize)got * ENTRY);
        if (put <= 0)
            return total ? total : put;
        *position += (u64)put;
        total += put;
        if (put < got * (long)ENTRY)
            break;
    }
    return total;
}

/* Frame numbers are shown only to who could do harm without them. */
static long fill_pagemap(struct file *file, struct thread *thread, u64 page, u64 *entries,
                         u64 count)
{
    bool trusted = has_capability(&thread->process->cred, CAP_SYS_ADMIN);
    mg_handle task = task_of(file);
    long got;

    if (!task || page >> (64 - 12))
        return 0;
    got = mg_vm_pagemap(task, page << 12, count, entries);
    for (long i = 0; !trusted && i < got; i++)
        entries[i] &= ~PFN_MASK;
    return got;
}

static long pagemap_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return read_table(file, thread, io, position, fill_pagemap);
}

const struct file_ops proc_pagemap_ops = {
    .read = pagemap_read,
    .poll = pseudo_poll,
    .size = pseudo_size,
};

static long fill_stats(u32 what, u64 page, void *entries, u64 bytes)
{
    return mg_stats(POSIX_HANDLE_SYSTEM, what, page, entries, bytes);
}

static long fill_flags(struct file *file, struct thread *thread, u64 page, u64 *entries, u64 count)
{
    long bytes = fill_stats(MG_STATS_FRAME_FLAGS, page, entries, count * ENTRY);

    (void)file;
    (void)thread;
    return bytes < 0 ? bytes : bytes / (long)ENTRY;
}

static long fill_count(struct file *file, struct thread *thread, u64 page, u64 *entries, u64 count)
{
    long bytes = fill_stats(MG_STATS_FRAME_COUNT, page, entries, count * ENTRY);

    (void)file;
    (void)thread;
    return bytes < 0 ? bytes : bytes / (long)ENTRY;
}

static long kpageflags_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return read_table(file, thread, io, position, fill_flags);
}

static long kpagecount_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    return read_table(file, thread, io, position, fill_count);
}

const struct file_ops proc_kpageflags_ops = {
    .read = kpageflags_read,
    .poll = pseudo_poll,
    .size = pseudo_size,
};

const struct file_ops proc_kpagecount_ops = {
    .read = kpagecount_read,
    .poll = pseudo_poll,
    .size = pseudo_size,
};

/* ---- The state of each frame, a byte each ---- */

static long frames_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    static u8 states[16384];
    long total = 0;

    (void)file;
    (void)thread;
    while (io->left) {
        long got = fill_stats(MG_STATS_FRAMES, *position, states, MIN(io->left, sizeof states));
        long put = got > 0 ? uio_put(io, states, (usize)got) : got;

        if (put <= 0)
            return total ? total : put;
        *position += (u64)put;
        total += put;
    }
    return total;
}

const struct file_ops proc_frames_ops = {
    .read = frames_read,
    .poll = pseudo_poll,
    .size = pseudo_size,
};
