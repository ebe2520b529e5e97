/*
 * See user.h.
 */
#include "user/servers/posix/user.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>

#define PAGE 4096ul

long user_get(struct thread *thread, void *to, u64 address, usize size)
{
    long copied = mg_vm_copy(MG_HANDLE_SELF, to, thread->process->task, address, size);

    return copied == (long)size ? 0 : -EFAULT;
}

long user_put(struct thread *thread, u64 address, const void *from, usize size)
{
    long copied = mg_vm_copy(thread->process->task, address, MG_HANDLE_SELF, from, size);

    return copied == (long)size ? 0 : -EFAULT;
}

long user_put_u32(struct thread *thread, u64 address, u32 value)
{
    return address ? user_put(thread, address, &value, sizeof value) : 0;
}

long user_put_u64(struct thread *thread, u64 address, u64 value)
{
    return address ? user_put(thread, address, &value, sizeof value) : 0;
}

/* Reads up to the next page boundary at a time: a string may end right before unmapped memory. */
long user_get_string(struct thread *thread, char *to, usize size, u64 address)
{
    usize done = 0;

    while (done < size) {
        usize room = MIN(size - done, PAGE - ((address + done) & (PAGE - 1)));
        usize chunk = MIN(room, done ? PAGE : 256);
        char *end;

        if (user_get(thread, to + done, address + done, chunk))
            return -EFAULT;
        end = memchr(to + done, '\0', chunk);
        if (end)
            return end - to;
        done += chunk;
    }
    return -ENAMETOOLONG;
}

void uio_init(struct uio *io, mg_handle task, struct iovec *piece, u64 address, usize size)
{
    piece->iov_base = (void *)address;
    piece->iov_len = size;
    *io = (struct uio){.task = task, .vec = piece, .left = size};
}

void uio_skip(struct uio *io, usize size)
{
    io->left -= size;
    io->skip += size;
    while (io->left && io->skip >= io->vec->iov_len) {
        io->skip -= io->vec->iov_len;
        io->vec++;
    }
}

/* The current piece: its address and how much of `size` fits. Empty pieces are passed over. */
static usize uio_piece(struct uio *io, usize size, u64 *address)
{
    uio_skip(io, 0);
    *address = (u64)io->vec->iov_base + io->skip;
    return MIN(size, io->vec->iov_len - io->skip);
}

/* Moves data between the client and another side, piece by piece, until one falls short. */
static long uio_move(struct uio *io, mg_handle other, u64 offset, usize size, bool to_client)
{
    usize done = 0;

    size = MIN(size, io->left);
    while (done < size) {
        u64 address;
        usize want = uio_piece(io, size - done, &address);
        long moved = to_client ? mg_vm_copy(io->task, address, other, offset + done, want)
                               : mg_vm_copy(other, offset + done, io->task, address, want);

        if (moved > 0) {
            uio_skip(io, (usize)moved);
            done += (usize)moved;
        }
        if (moved != (long)want)
            return done ? (long)done : moved < 0 ? moved : -EFAULT;
    }
    return (long)done;
}

long uio_put(struct uio *io, const void *from, usize size)
{
    if (io->task != MG_HANDLE_SELF)
        return uio_move(io, MG_HANDLE_SELF, (u64)from, size, true);
    size = MIN(size, io->left);
    for (usize done = 0; done < size;) {
        u64 address;
        usize piece = uio_piece(io, size - done, &address);

        memcpy((void *)address, (const char *)from + done, piece);
        uio_skip(io, piece);
        done += piece;
    }
    return (long)size;
}

long uio_get(struct uio *io, void *to, usize size)
{
    if (io->task != MG_HANDLE_SELF)
        return uio_move(io, MG_HANDLE_SELF, (u64)to, size, false);
    size = MIN(size, io->left);
    for (usize done = 0; done < size;) {
        u64 address;
        usize piece = uio_piece(io, size - done, &address);

        memcpy((char *)to + done, (const void *)address, piece);
        uio_skip(io, piece);
        done += piece;
    }
    return (long)size;
}

long uio_put_object(struct uio *io, mg_handle object, u64 offset, usize size)
{
    return uio_move(io, object, offset, size, true);
}

long uio_get_object(struct uio *io, mg_handle object, u64 offset, usize size)
{
    return uio_move(io, object, offset, size, false);
}

long uio_put_at(struct uio *io, const void *bytes, usize size, u64 *position)
{
    long done = 0;

    if (*position < size)
        done = uio_put(io, (const char *)bytes + *position, size - *position);
    if (done > 0)
        *position += (u64)done;
    return done;
}
