/*
 * See block_io.h.
 *
 * With O_DIRECT the device reads and writes the caller's own pages; address, length and position
 * must then be multiples of its block size. Any other transfer goes through a buffer of the
 * server's, one for each device, so that two writers of parts of one block come one after the
 * other. Nothing is kept in that buffer: what is read comes from the device.
 *
 * A call for more than one transfer can move goes on with the next when one has ended, and keeps in
 * thread->done what it has moved. The file's position changes at the end. Where the data is not the
 * caller's (sendfile), a call is one transfer, as thread->done is not ours then.
 */
#define _GNU_SOURCE
#include "user/servers/posix/block_io.h"
#include "user/servers/posix/block.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SECTOR 512
#define BUFFER 131072u /* bytes: as many pages as the kernel takes of one request in any case */
#define PIECES 64
#define RESULTS 16

enum kind {
    OP_DIRECT,
    OP_READ,  /* into the buffer */
    OP_FILL,  /* the same, before part of it is overwritten */
    OP_STORE, /* from the buffer */
    OP_FLUSH,
};

struct block_op {
    struct list link; /* in ops */
    struct block_opened *opened;
    u64 cookie; /* of the thread that waits for it, 0 = nobody does */
    enum kind kind;
    bool writing, ended;
    long result;
    u64 at;                  /* position of the caller's data on the device */
    usize bytes;             /* how much of it, if it is in the buffer */
    u64 start, end;          /* the blocks around it */
    struct wait_queue queue; /* its thread */
};

struct list block_all_opened = LIST_INIT(block_all_opened);
static struct list ops = LIST_INIT(ops);

/* ---- Operations ---- */

static struct block_op *op_create(struct thread *thread, struct block_opened *opened,
                                  enum kind kind, bool writing)
{
    struct block_op *op = calloc(1, sizeof *op);

    if (!op)
        return NULL;
    op->opened = opened;
    op->cookie = thread->cookie;
    op->kind = kind;
    op->writing = writing;
    wait_queue_init(&op->queue);
    list_add_tail(&op->link, &ops);
    opened->ops++;
    return op;
}

static void free_if_unused(struct block_opened *opened)
{
    if (!opened->closed || opened->ops)
        return;
    list_remove(&opened->link);
    mg_handle_close(opened->handle);
    free(opened);
}

static void release_buffer(struct block_op *op)
{
    struct block_device *device = op->opened->device;

    if (device->user != op)
        return;
    device->user = NULL;
    wait_wake(&device->free);
}

static void op_free(struct block_op *op)
{
    struct block_opened *opened = op->opened;

    release_buffer(op);
    wait_queue_end(&op->queue);
    list_remove(&op->link);
    free(op);
    opened->ops--;
    free_if_unused(opened);
}

/* Nobody will ask for it. */
static void op_detach(struct block_op *op)
{
    op->cookie = 0;
    if (op->ended)
        op_free(op);
}

static struct block_op *op_find(const struct thread *thread, const struct block_opened *opened,
                                bool writing, bool flush)
{
    struct block_op *op;

    list_for_each_entry(op, &ops, link) {
        if (op->cookie == thread->cookie && op->opened == opened && op->writing == writing &&
            (op->kind == OP_FLUSH) == flush)
            return op;
    }
    return NULL;
}

/* Signals wait until the device is done. */
static long sleep_on(struct thread *thread, struct wait_queue *queue)
{
    long error = wait_add(thread, queue);

    if (error)
        return error;
    thread->sleeping = true;
    return WAITING;
}

/* Asks the kernel: 0, or -errno and the operation has ended. */
static long op_start(struct block_op *op, mg_handle task, const struct mg_block_piece *pieces,
                     u32 count, u64 position, u32 what)
{
    struct mg_block_io request = {
        .sector = position / SECTOR,
        .pieces = (u64)pieces,
        .op = what,
        .count = count,
        .port = server_port,
        .bits = BLOCK_NOTIFY,
        .cookie = (u64)op,
    };
    long result = mg_block_start(op->opened->handle, task, &request);

    op->ended = result < 0;
    op->result = result;
    return result < 0 ? result : 0;
}

/* Between the device and the buffer, for the blocks of the operation. */
static long buffer_start(struct block_op *op, u32 what)
{
    struct mg_block_piece piece = {
        .address = (u64)op->opened->device->buffer,
        .bytes = op->end - op->start,
    };

    return op_start(op, MG_HANDLE_SELF, &piece, 1, op->start, what);
}

static void op_ended(struct block_op *op, long result)
{
    op->ended = true;
    op->result = result;
    if (op->kind == OP_STORE)
        release_buffer(op);
    if (op->cookie)
        wait_wake(&op->queue);
    else
        op_free(op);
}

/* Freeing an operation may free what it was opened by: one look at the list of those at a time. */
static bool take_results(struct block_opened *opened)
{
    struct mg_block_result results[RESULTS];
    long count = opened->ops ? mg_block_ended(opened->handle, results, RESULTS) : 0;

    for (long i = 0; i < count; i++)
        op_ended((struct block_op *)results[i].cookie, results[i].result);
    return count > 0;
}

void block_notified(void)
{
    struct block_opened *opened;
    bool again = true;

    while (again) {
        again = false;
        list_for_each_entry(opened, &block_all_opened, link) {
            again = take_results(opened);
            if (again)
                break;
        }
    }
}

void block_forget(const struct thread *thread)
{
    struct block_op *op, *after;

    list_for_each_entry_safe(op, after, &ops, link) {
        if (op->cookie == thread->cookie)
            op_detach(op);
    }
}

void block_close(struct block_opened *opened)
{
    struct block_op *op, *after;

    opened->closed = true;
    opened->ops++; /* it stays while we look */
    list_for_each_entry_safe(op, after, &ops, link) {
        if (op->opened == opened)
            op_detach(op);
    }
    opened->ops--;
    free_if_unused(opened);
}

/* ---- Straight into the caller's pages ---- */

static bool is_aligned(const struct block_device *device, const struct uio *io, u64 position)
{
    u64 bits = position | io->left, left = io->left;

    for (usize i = 0, skip = io->skip; left; i++, skip = 0) {
        u64 piece = MIN(io->vec[i].iov_len - skip, left);

        bits |= ((u64)io->vec[i].iov_base + skip) % SECTOR | piece;
        left -= piece;
    }
    return bits % device->info.block_bytes == 0;
}

/* The caller's memory, as far as it matters: how many pieces. */
static u32 list_pieces(const struct uio *io, u64 most, struct mg_block_piece pieces[PIECES])
{
    u64 left = MIN((u64)io->left, most);
    u32 count = 0;

    for (usize i = 0, skip = io->skip; left && count < PIECES; i++, skip = 0) {
        u64 bytes = MIN(io->vec[i].iov_len - skip, left);

        if (!bytes)
            continue;
        pieces[count++] = (struct mg_block_piece){(u64)io->vec[i].iov_base + skip, bytes};
        left -= bytes;
    }
    return count;
}

static long direct_start(struct block_op *op, const struct uio *io)
{
    struct mg_block_piece pieces[PIECES];
    u32 count = list_pieces(io, op->opened->device->info.bytes - op->at, pieces);

    return op_start(op, io->task, pieces, count, op->at,
                    op->writing ? MG_BLOCK_WRITE : MG_BLOCK_READ);
}

/* ---- Through the buffer ---- */

static bool has_buffer(struct block_device *device)
{
    void *memory;

    if (device->buffer)
        return true;
    memory = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    device->buffer = memory;
    return true;
}

/* Takes the caller's data into the buffer and starts writing. */
static long store(struct block_op *op, struct uio *io)
{
    u8 *to = op->opened->device->buffer + (op->at - op->start);
    long got = uio_get(io, to, op->bytes);

    op->ended = true; /* unless it is started below */
    if (got < 0)
        return got;
    if ((usize)got < op->bytes && op->kind != OP_FILL) { /* what follows in the buffer is stale */
        op->end = ALIGN_DOWN(op->at + (u64)got, (u64)op->opened->device->info.block_bytes);
        got = (long)(op->end - op->start);
        if (!got)
            return -EFAULT;
    }
    op->bytes = (usize)got;
    op->kind = OP_STORE;
    return buffer_start(op, MG_BLOCK_WRITE);
}

static long buffered_start(struct block_op *op, struct uio *io)
{
    struct block_device *device = op->opened->device;
    u64 block = device->info.block_bytes;

    device->user = op;
    op->start = ALIGN_DOWN(op->at, block);
    op->bytes = MIN(MIN(io->left, device->info.bytes - op->at), BUFFER - (op->at - op->start));
    op->end = ALIGN_UP(op->at + op->bytes, block);
    if (!op->writing)
        return buffer_start(op, MG_BLOCK_READ);
    if (op->start == op->at && op->end == op->at + op->bytes)
        return store(op, io);
    op->kind = OP_FILL;
    return buffer_start(op, MG_BLOCK_READ);
}

/* ---- Reading and writing ---- */

/* The next operation of a call, which then waits for it. */
static long begin(struct file *file, struct thread *thread, struct uio *io, u64 at, bool writing)
{
    struct block_opened *opened = file->data;
    struct block_device *device = opened->device;
    bool direct = file->flags & O_DIRECT && io->task != MG_HANDLE_SELF;
    struct block_op *op;
    long error;

    if (!direct && device->user)
        return sleep_on(thread, &device->free);
    if (!direct && !has_buffer(device))
        return -ENOMEM;
    op = op_create(thread, opened, direct ? OP_DIRECT : OP_READ, writing);
    if (!op)
        return -ENOMEM;
    op->at = at;
    error = direct ? direct_start(op, io) : buffered_start(op, io);
    if (!error)
        error = sleep_on(thread, &op->queue);
    if (error != WAITING)
        op_detach(op);
    return error;
}

/* An operation has ended: bytes moved, WAITING for its second half, or -errno. */
static long finish(struct block_op *op, struct thread *thread, struct uio *io)
{
    long result = op->result;

    if (result > 0 && op->kind == OP_FILL) {
        result = store(op, io);
        if (!result)
            return sleep_on(thread, &op->queue);
    } else if (result > 0 && op->kind == OP_READ) {
        /* the kernel may have taken less than all */
        u64 moved = MIN((u64)op->bytes, (u64)result - (op->at - op->start));

        result = uio_put(io, op->opened->device->buffer + (op->at - op->start), moved);
    } else if (result > 0) {
        if (op->kind == OP_STORE)
            result = (long)MIN((u64)op->bytes, (u64)result - (op->at - op->start));
        uio_skip(io, (usize)result);
    }
    op_detach(op);
    return result;
}

/* What a call of the caller's own data has come to. */
static long conclude(struct thread *thread, u64 *position, long result)
{
    *position += thread->done;
    return result; /* rw.c adds thread->done */
}

static long block_move_one(struct file *file, struct thread *thread, struct uio *io, u64 *position,
                           bool writing)
{
    struct block_op *op = op_find(thread, file->data, writing, false);
    long result;

    if (!op)
        return begin(file, thread, io, *position, writing);
    result = op->ended ? finish(op, thread, io) : sleep_on(thread, &op->queue);
    if (result > 0)
        *position += (u64)result;
    return result;
}

static long block_move_all(struct file *file, struct thread *thread, struct uio *io, u64 *position,
                           bool writing)
{
    struct block_opened *opened = file->data;
    struct block_op *op = op_find(thread, opened, writing, false);
    long result;

    if (op) {
        result = op->ended ? finish(op, thread, io) : sleep_on(thread, &op->queue);
        if (result == WAITING)
            return WAITING;
        if (result <= 0)
            return conclude(thread, position, result);
        thread->done += (u64)result;
    }
    if (!io->left || *position + thread->done >= opened->device->info.bytes)
        return conclude(thread, position, 0);
    result = begin(file, thread, io, *position + thread->done, writing);
    return result == WAITING ? WAITING : conclude(thread, position, result);
}

long block_move(struct file *file, struct thread *thread, struct uio *io, u64 *position,
                bool writing)
{
    const struct block_device *device = ((struct block_opened *)file->data)->device;
    bool own = io->task != MG_HANDLE_SELF;

    if (file->flags & O_DIRECT && own && !is_aligned(device, io, *position + thread->done))
        return -EINVAL;
    if (!thread->done && !io->left)
        return 0;
    if (*position >= device->info.bytes)
        return writing ? -ENOSPC : 0;
    return own ? block_move_all(file, thread, io, position, writing)
               : block_move_one(file, thread, io, position, writing);
}

long block_flush(struct file *file, struct thread *thread)
{
    struct block_opened *opened = file->data;
    struct block_op *op;
    long result;

    if (!file_can_write(file)) /* it has written nothing */
        return 0;
    op = op_find(thread, opened, true, true);
    if (op && op->ended) {
        result = op->result;
        op_detach(op);
        return result;
    }
    if (!op) {
        op = op_create(thread, opened, OP_FLUSH, true);
        if (!op)
            return -ENOMEM;
        result = op_start(op, 0, NULL, 0, 0, MG_BLOCK_FLUSH);
        if (result) {
            op_detach(op);
            return result;
        }
    }
    return sleep_on(thread, &op->queue);
}
