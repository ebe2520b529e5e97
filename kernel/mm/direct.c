/*
 * direct.c: pages pinned for a block device while it reads or writes them.
 *
 *     direct_pin ----> device ----> interrupt ----> thread "direct" ----> done
 *     holds pages      uses them    queues it       lets go of them
 *
 * A device that reads from memory (a write to the disk) needs a page that keeps its content, and a
 * reference is enough for that: whoever writes to the page meanwhile finds that somebody else can
 * see it, and writes to a copy. A device that writes to memory needs the page that the owner sees
 * and goes on seeing: it is pinned (access.c). Fork then copies it for the child, merging refuses
 * it, and the owner's own write does not move it, even if its entry became read-only for a while.
 *
 * Letting go takes mm->lock, which an interrupt handler can't: so one thread does it for all.
 */
#include "kernel/mm/direct.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/task/thread.h"

static struct spinlock finished_lock = SPINLOCK_INIT("direct io", LOCK_DEVICE);
static struct list finished = LIST_INIT(finished); /* direct_io.link; guarded by finished_lock */
static struct wait_queue finished_queue = WAIT_QUEUE_INIT(finished_queue);

void direct_init(struct direct_io *io, struct mm *mm, bool into_memory,
                 void (*done)(struct direct_io *io))
{
    io->mm = mm;
    io->into_memory = into_memory;
    io->count = 0;
    io->bytes = 0;
    io->done = done;
}

s64 direct_pin(struct direct_io *io, va_t address, u64 bytes, u32 pieces)
{
    u64 done = 0;

    while (done < bytes && io->count < MIN(pieces, DIRECT_PIECES)) {
        va_t va = address + done;
        u32 offset = (u32)(va % PAGE_SIZE), piece = (u32)MIN(bytes - done, PAGE_SIZE - offset);
        struct frame *frame = mm_pin_page(io->mm, va - offset, io->into_memory);

        if (!frame)
            return -EFAULT;
        io->pages[io->count] = (struct direct_page){va - offset, frame};
        io->segments[io->count] = (struct block_segment){frame, offset, piece};
        io->count++;
        io->bytes += piece;
        done += piece;
    }
    return (s64)done;
}

static void unpin_last(struct direct_io *io)
{
    struct direct_page *page = &io->pages[--io->count];

    mm_unpin_page(io->mm, page->va, page->frame, io->into_memory);
}

void direct_cut(struct direct_io *io, u64 bytes)
{
    while (io->bytes > bytes) {
        struct block_segment *last = &io->segments[io->count - 1];
        u32 excess = (u32)MIN((u64)last->bytes, io->bytes - bytes);

        last->bytes -= excess;
        io->bytes -= excess;
        if (!last->bytes)
            unpin_last(io);
    }
}

void direct_abandon(struct direct_io *io)
{
    while (io->count)
        unpin_last(io);
    if (io->mm)
        mm_put(io->mm);
    io->mm = NULL;
}

/* --- the device is done --- */

static void request_done(struct block_request *request)
{
    struct direct_io *io = container_of(request, struct direct_io, request);
    u64 flags = spin_lock_irq(&finished_lock);

    list_add_tail(&io->link, &finished);
    spin_unlock_irq(&finished_lock, flags);
    wait_wake_one(&finished_queue);
}

static struct direct_io *take_finished(void)
{
    u64 flags = spin_lock_irq(&finished_lock);
    struct direct_io *io = NULL;

    if (!list_empty(&finished)) {
        io = list_first_entry(&finished, struct direct_io, link);
        list_remove(&io->link);
    }
    spin_unlock_irq(&finished_lock, flags);
    return io;
}

static void finisher(void *unused)
{
    (void)unused;
    for (;;) {
        wait_prepare(&finished_queue);
        struct direct_io *io = take_finished();

        if (!io) {
            wait_sleep(&finished_queue, false, 0);
            continue;
        }
        wait_cancel(&finished_queue);
        io->status = io->request.status;
        direct_abandon(io);
        io->done(io);
        sched_point();
    }
}

void direct_setup(void)
{
    if (!thread_create_kernel("direct", finisher, NULL, 0))
        panic("no memory for the thread that finishes I/O");
}

void direct_start(struct direct_io *io, struct block_device *device, u64 sector)
{
    enum block_op op = !io->count ? BLOCK_FLUSH : io->into_memory ? BLOCK_READ : BLOCK_WRITE;

    io->request = (struct block_request){
        .op = op,
        .sector = sector,
        .segments = io->segments,
        .segment_count = io->count,
        .done = request_done,
    };
    device->submit(device, &io->request);
}
