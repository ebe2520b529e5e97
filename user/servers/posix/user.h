/*
 * Data on its way between a client's memory, memory objects and the server's own buffers. All of
 * it moves by vm_copy, which checks addresses; nothing a client says about its memory is believed.
 */
#pragma once

#include "lib/types.h"
#include <merganser/abi.h>
#include <sys/uio.h>

struct thread;

#define IOV_LIMIT 1024
#define IO_LIMIT 0x7ffff000ul /* bytes one call moves at most */

/* Where the data of a read goes to, or that of a write comes from. */
struct uio {
    mg_handle task;          /* whose memory; MG_HANDLE_SELF for the server's own buffers */
    const struct iovec *vec; /* its pieces, in order */
    usize left;              /* bytes not yet moved */
    usize skip;              /* bytes of vec[0] that are done */
};

/* Copies a structure from or to the thread's task. 0 or -EFAULT. */
long user_get(struct thread *thread, void *to, u64 address, usize size);
long user_put(struct thread *thread, u64 address, const void *from, usize size);

/* Copies a string with its NUL. Length without it, -EFAULT, or -ENAMETOOLONG if it doesn't fit. */
long user_get_string(struct thread *thread, char *to, usize size, u64 address);

/* Puts one u32 or u64 unless the address is 0: the optional results of many calls. */
long user_put_u32(struct thread *thread, u64 address, u32 value);
long user_put_u64(struct thread *thread, u64 address, u64 value);

/* One piece of memory; `piece` must live as long as the uio. */
void uio_init(struct uio *io, mg_handle task, struct iovec *piece, u64 address, usize size);

/* Passes over `size` bytes, already moved by an earlier try. */
void uio_skip(struct uio *io, usize size);

/* Each moves at most `size` bytes and returns how many; -EFAULT if it could not move any. */
long uio_put(struct uio *io, const void *from, usize size);
long uio_get(struct uio *io, void *to, usize size);
long uio_put_object(struct uio *io, mg_handle object, u64 offset, usize size);
long uio_get_object(struct uio *io, mg_handle object, u64 offset, usize size);

/* Puts what lies at *position of a buffer in memory, and moves the position: a read of a text. */
long uio_put_at(struct uio *io, const void *bytes, usize size, u64 *position);
