/*
 * native_block.c: the native calls on block devices.
 *
 * An opened device is an object with the list of its transfers that have ended and were not yet
 * asked for. A transfer holds the object, the port it is to notify and the space it works in, so it
 * survives all of their handles; what nobody asks for goes with the object.
 */
#include "kernel/base/slab.h"
#include "kernel/mm/direct.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/machine.h"
#include "kernel/sys/native.h"
#include "kernel/task/port.h"
#include "lib/string.h"

struct opened {
    _Atomic u32 refs;
    struct block_device *device;
    struct spinlock lock; /* guards ended */
    struct list ended;    /* transfer.link */
};

struct transfer {
    struct direct_io io;
    struct list link;
    struct opened *opened; /* a reference until it is in the list */
    struct port *port;     /* a reference */
    u64 bits, cookie;
    s64 result;
};

/* --- the handle class --- */

static void opened_get(void *object)
{
    struct opened *opened = object;

    atomic_fetch_add_explicit(&opened->refs, 1, memory_order_relaxed);
}

static void opened_put(void *object)
{
    struct opened *opened = object;

    if (atomic_fetch_sub(&opened->refs, 1) != 1)
        return;
    while (!list_empty(&opened->ended)) {
        struct transfer *transfer = list_first_entry(&opened->ended, struct transfer, link);

        list_remove(&transfer->link);
        kfree(transfer);
    }
    kfree(opened);
}

void native_block_init(void)
{
    static const struct handle_class block_class = {.get = opened_get, .put = opened_put};

    handle_class_register(HANDLE_BLOCK, &block_class);
    direct_setup();
}

/* --- devices --- */

s64 native_block_info(struct trap_frame *frame)
{
    const struct block_device *device = block_at(SYSCALL_ARG1(frame));
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_READ);
    struct mg_block_info info = {0};

    if (status < 0)
        return status;
    if (!device)
        return -ENOENT;
    strlcpy(info.name, device->name, sizeof(info.name));
    info.bytes = device->sectors * BLOCK_SECTOR;
    info.block_bytes = device->block_bytes;
    info.flags = device->read_only ? MG_BLOCK_READ_ONLY : 0;
    return user_write(SYSCALL_ARG2(frame), &info, sizeof(info));
}

s64 native_block_open(struct trap_frame *frame)
{
    u64 rights = SYSCALL_ARG2(frame);
    struct block_device *device = block_at(SYSCALL_ARG1(frame));
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_MANAGE);

    if (status < 0)
        return status;
    if (!device)
        return -ENOENT;
    status = native_check_rights(rights, device->read_only ? MG_RIGHT_ALL & ~(u32)MG_RIGHT_WRITE
                                                           : MG_RIGHT_ALL);
    if (status < 0)
        return status;
    struct opened *opened = kzalloc(sizeof(*opened));

    if (!opened)
        return -ENOMEM;
    atomic_store(&opened->refs, 1);
    opened->device = device;
    spin_init(&opened->lock, "block handle", LOCK_DEVICE);
    list_init(&opened->ended);
    struct handle_ref ref = {HANDLE_BLOCK, (u32)rights, opened, 0};

    return handle_install(current_thread()->task, &ref, 0);
}

/* --- transfers --- */

static void transfer_done(struct direct_io *io)
{
    struct transfer *transfer = container_of(io, struct transfer, io);
    struct opened *opened = transfer->opened;
    struct port *port = transfer->port;
    u64 bits = transfer->bits;

    if (io->status < 0)
        transfer->result = io->status;
    u64 flags = spin_lock_irq(&opened->lock);
    list_add_tail(&transfer->link, &opened->ended); /* whoever asks now frees it */
    spin_unlock_irq(&opened->lock, flags);
    port_notify(port, bits);
    port_put(port);
    opened_put(opened);
}

/* Pins what the caller's pieces name, as much as fits one request of the device. */
static s64 pin_pieces(struct transfer *transfer, const struct mg_block_io *request)
{
    const struct block_device *device = transfer->opened->device;
    struct mg_block_piece piece;

    for (u64 i = 0; i < request->count; i++) {
        if (user_read(&piece, request->pieces + i * sizeof(piece), sizeof(piece)))
            return -EFAULT;
        if ((piece.address | piece.bytes) % BLOCK_SECTOR)
            return -EINVAL;
        if (!user_range_ok(piece.address, piece.bytes))
            return -EFAULT;
        s64 done = direct_pin(&transfer->io, piece.address, piece.bytes, device->segments_max);

        if (done < 0)
            return done;
        if ((u64)done < piece.bytes)
            break;
    }
    direct_cut(&transfer->io, ALIGN_DOWN(transfer->io.bytes, (u64)device->block_bytes));
    return block_range_ok(device, request->sector, transfer->io.bytes) ? 0 : -EINVAL;
}

/* The space of the task that the request works in; *mm NULL for a flush, which needs none. */
static s64 lookup_space(u64 handle, u32 op, struct mm **mm)
{
    struct handle_ref task;

    *mm = NULL;
    if (op == MG_BLOCK_FLUSH)
        return 0;
    s64 status = native_lookup(handle, HANDLE_TASK,
                               op == MG_BLOCK_READ ? MG_RIGHT_WRITE : MG_RIGHT_READ, &task);

    if (status == 0 && !(*mm = task_mm_get(task.object)))
        status = -ESRCH;
    handle_ref_put(&task);
    return status;
}

/* A transfer with the references it needs: the device's and the port's move into it. */
static struct transfer *make_transfer(const struct mg_block_io *request, struct handle_ref *device,
                                      struct handle_ref *port, struct mm *mm)
{
    struct transfer *transfer = kmalloc(sizeof(*transfer));

    if (!transfer)
        return NULL;
    transfer->opened = device->object;
    transfer->port = port->object;
    transfer->bits = request->bits;
    transfer->cookie = request->cookie;
    direct_init(&transfer->io, mm, request->op == MG_BLOCK_READ, transfer_done);
    *device = *port = (struct handle_ref){0};
    return transfer;
}

static s64 start_transfer(struct transfer *transfer, const struct mg_block_io *request)
{
    s64 status = request->op == MG_BLOCK_FLUSH ? 0 : pin_pieces(transfer, request);

    if (status == 0) {
        transfer->result = status = (s64)transfer->io.bytes;
        direct_start(&transfer->io, transfer->opened->device, request->sector);
        return status;
    }
    direct_abandon(&transfer->io);
    port_put(transfer->port);
    opened_put(transfer->opened);
    kfree(transfer);
    return status;
}

s64 native_block_start(struct trap_frame *frame)
{
    struct mg_block_io request;
    struct handle_ref device = {0}, port = {0};
    struct mm *mm = NULL;

    if (user_read(&request, SYSCALL_ARG2(frame), sizeof(request)))
        return -EFAULT;
    if (request.op > MG_BLOCK_FLUSH)
        return -EINVAL;
    s64 status =
        native_lookup(SYSCALL_ARG0(frame), HANDLE_BLOCK,
                      request.op == MG_BLOCK_READ ? MG_RIGHT_READ : MG_RIGHT_WRITE, &device);

    if (status == 0)
        status = native_lookup(request.port, HANDLE_PORT, MG_RIGHT_WRITE, &port);
    if (status == 0)
        status = lookup_space(SYSCALL_ARG1(frame), request.op, &mm);
    if (status == 0) {
        struct transfer *transfer = make_transfer(&request, &device, &port, mm);

        status = transfer ? start_transfer(transfer, &request) : -ENOMEM;
        if (!transfer && mm)
            mm_put(mm);
    }
    handle_ref_put(&port);
    handle_ref_put(&device);
    return status;
}

static struct transfer *take_ended(struct opened *opened)
{
    u64 flags = spin_lock_irq(&opened->lock);
    struct transfer *transfer = NULL;

    if (!list_empty(&opened->ended)) {
        transfer = list_first_entry(&opened->ended, struct transfer, link);
        list_remove(&transfer->link);
    }
    spin_unlock_irq(&opened->lock, flags);
    return transfer;
}

static void put_back(struct opened *opened, struct transfer *transfer)
{
    u64 flags = spin_lock_irq(&opened->lock);

    list_add(&transfer->link, &opened->ended);
    spin_unlock_irq(&opened->lock, flags);
}

s64 native_block_ended(struct trap_frame *frame)
{
    u64 to = SYSCALL_ARG1(frame), count = SYSCALL_ARG2(frame), done = 0;
    struct handle_ref ref;
    s64 status = native_lookup(SYSCALL_ARG0(frame), HANDLE_BLOCK, 0, &ref);
    struct transfer *transfer;

    while (status == 0 && done < count && (transfer = take_ended(ref.object))) {
        struct mg_block_result result = {transfer->cookie, transfer->result};

        status = user_write(to + done * sizeof(result), &result, sizeof(result));
        if (status == 0) {
            kfree(transfer);
            done++;
        } else {
            put_back(ref.object, transfer);
        }
    }
    handle_ref_put(&ref);
    return done ? (s64)done : status;
}
