/*
 * process_vm_readv and process_vm_writev: the kernel copies from one task to the other.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>

/* A walk over the pieces of one side. */
struct side {
    mg_handle task;
    struct iovec *vec;
    u64 count;
    usize done; /* bytes of vec[0] */
};

/* The current piece's address, with how many bytes are left of it; 0 at the end. */
static usize piece_of(struct side *side, u64 *address)
{
    while (side->count && side->done == side->vec->iov_len) {
        side->vec++;
        side->count--;
        side->done = 0;
    }
    if (!side->count)
        return 0;
    *address = (u64)side->vec->iov_base + side->done;
    return side->vec->iov_len - side->done;
}

static long copy(struct side *to, struct side *from)
{
    long total = 0;

    while (total < (long)IO_LIMIT) {
        u64 target = 0, source = 0;
        usize size = MIN(piece_of(to, &target), piece_of(from, &source));
        long done;

        if (!size)
            break;
        done = mg_vm_copy(to->task, target, from->task, source, size);
        if (done > 0)
            total += done;
        if (done != (long)size)
            return total ? total : -EFAULT;
        to->done += size;
        from->done += size;
    }
    return total;
}

static long get_side(struct thread *thread, struct side *side, struct iovec *vec, u64 address,
                     u64 count)
{
    side->vec = vec;
    side->count = count;
    if (count > IOV_LIMIT)
        return -EINVAL;
    return count ? user_get(thread, vec, address, count * sizeof *vec) : 0;
}

static long transfer(struct thread *thread, const u64 *args, bool writing)
{
    static struct iovec local_vec[IOV_LIMIT], remote_vec[IOV_LIMIT];
    struct process *process = process_find((u32)args[0]);
    struct side local = {.task = thread->process->task}, remote = {0};
    long error;

    if (args[5])
        return -EINVAL;
    error = get_side(thread, &local, local_vec, args[1], args[2]);
    if (!error)
        error = get_side(thread, &remote, remote_vec, args[3], args[4]);
    if (error)
        return error;
    if (!process || !process->task)
        return -ESRCH;
    if (!process_may_control(thread, process))
        return -EPERM;
    remote.task = process->task;
    return writing ? copy(&remote, &local) : copy(&local, &remote);
}

long call_process_vm_readv(struct thread *thread, const u64 *args)
{
    return transfer(thread, args, false);
}

long call_process_vm_writev(struct thread *thread, const u64 *args)
{
    return transfer(thread, args, true);
}
