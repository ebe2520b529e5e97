/*
 * poll and select: one loop over descriptors, with the sets of each call around it.
 */
#define _GNU_SOURCE
#include "user/servers/posix/poll.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/epoll.h"
#include "user/servers/posix/file.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>

u32 poll_file(struct thread *thread, struct file *file, u32 events, bool wait)
{
    struct wait_queue *queue = NULL;
    u32 ready;

    if (epoll_is(file))
        return epoll_poll(thread, file, wait) & (events | POLL_ALWAYS);
    ready = file->ops->poll ? file->ops->poll(file, &queue) & (events | POLL_ALWAYS) : events;
    if (!ready && wait && queue)
        wait_add(thread, queue);
    return ready;
}

static u32 poll_one(struct thread *thread, s32 fd, u32 events, bool wait)
{
    struct file *file = fd_get(thread->process, (u32)fd);

    return file ? poll_file(thread, file, events, wait) : POLLNVAL;
}

static u32 poll_all(struct thread *thread, struct pollfd *fds, u64 count, bool wait)
{
    u32 ready = 0;

    for (u64 i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        fds[i].revents = (short)poll_one(thread, fds[i].fd, (u16)fds[i].events, wait && !ready);
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* What is left of the call's time, written back to where the timeout came from. */
static void put_remaining(struct thread *thread, u64 address, bool micro)
{
    u64 now = time_now(), left = thread->deadline > now ? thread->deadline - now : 0;
    struct timespec time = {(time_t)(left / SECOND), (long)(left % SECOND / (micro ? 1000 : 1))};

    if (address && thread->deadline)
        user_put(thread, address, &time, sizeof time);
}

long poll_start_timeout(struct thread *thread, u64 address, u64 unit, bool *zero)
{
    struct timespec time;

    *zero = false;
    if (!address)
        return 0;
    if (thread->tried)
        return 0;
    if (user_get(thread, &time, address, sizeof time))
        return -EFAULT;
    if (time.tv_sec < 0 || time.tv_nsec < 0 || (u64)time.tv_nsec * unit >= SECOND)
        return -EINVAL;
    *zero = !time.tv_sec && !time.tv_nsec;
    if (time.tv_sec < (time_t)(INT64_MAX / (s64)SECOND / 2))
        thread->deadline = time_now() + (u64)time.tv_sec * SECOND + (u64)time.tv_nsec * unit;
    return 0;
}

long poll_start_mask(struct thread *thread, u64 address, u64 size)
{
    u64 mask;

    if (!address || thread->tried)
        return 0;
    if (size != sizeof mask)
        return -EINVAL;
    if (user_get(thread, &mask, address, sizeof mask))
        return -EFAULT;
    signal_set_blocked_for_call(thread, mask);
    return 0;
}

static long do_poll(struct thread *thread, u64 address, u64 count, bool zero)
{
    struct pollfd *fds;
    long result = 0;

    if (count > thread->process->limits[RLIMIT_NOFILE].rlim_cur)
        return -EINVAL;
    fds = malloc(count * sizeof *fds + 1);
    if (!fds)
        return -ENOMEM;
    if (count && user_get(thread, fds, address, count * sizeof *fds))
        result = -EFAULT;
    if (!result)
        result = poll_all(thread, fds, count, !zero);
    if (!result && !zero)
        result = wait_sleep(thread, thread->deadline);
    else
        wait_forget(thread);
    if (result == -ETIMEDOUT)
        result = 0;
    if (result >= 0 && count && user_put(thread, address, fds, count * sizeof *fds))
        result = -EFAULT;
    free(fds);
    return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

long call_poll(struct thread *thread, const u64 *args)
{
    s32 timeout = (s32)args[2];

    if (!thread->tried && timeout > 0)
        thread->deadline = time_now() + (u64)timeout * (SECOND / 1000);
    return do_poll(thread, args[0], (u32)args[1], timeout == 0);
}

long call_ppoll(struct thread *thread, const u64 *args)
{
    bool zero;
    long result = poll_start_timeout(thread, args[2], 1, &zero);

    if (!result)
        result = poll_start_mask(thread, args[3], args[4]);
    if (!result)
        result = do_poll(thread, args[0], (u32)args[1], zero);
    if (result != WAITING)
        put_remaining(thread, args[2], false);
    return result;
}

/* ---- select ---- */

#define WORDS (FD_SETSIZE / 64)

enum { READ_SET, WRITE_SET, EXCEPT_SET, SETS };

struct sets {
    u64 in[SETS][WORDS], out[SETS][WORDS];
    u32 bytes; /* of each set that the caller has */
    u64 address[SETS];
};

static const u32 wanted[SETS] = {POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM, POLLPRI};
static const u32 counts_as[SETS] = {POLLIN | POLLRDNORM | POLLHUP | POLLERR,
                                    POLLOUT | POLLWRNORM | POLLERR, POLLPRI};

static bool in_set(const u64 *set, u32 fd)
{
    return set[fd / 64] >> fd % 64 & 1;
}

static long get_sets(struct thread *thread, const u64 *args, u32 count, struct sets *sets)
{
    memset(sets, 0, sizeof *sets);
    sets->bytes = ALIGN_UP(count, 64u) / 8;
    for (int i = 0; i < SETS; i++) {
        sets->address[i] = args[1 + i];
        if (args[1 + i] && sets->bytes && user_get(thread, sets->in[i], args[1 + i], sets->bytes))
            return -EFAULT;
    }
    return 0;
}

/* How many bits are ready, or -EBADF. */
static long select_all(struct thread *thread, u32 count, struct sets *sets, bool wait)
{
    long ready = 0;

    for (u32 fd = 0; fd < count; fd++) {
        u32 events = 0, found;

        for (int i = 0; i < SETS; i++)
            events |= in_set(sets->in[i], fd) ? wanted[i] : 0;
        if (!events)
            continue;
        found = poll_one(thread, (s32)fd, events, wait && !ready);
        if (found & POLLNVAL)
            return -EBADF;
        for (int i = 0; i < SETS; i++) {
            if (!in_set(sets->in[i], fd) || !(found & counts_as[i]))
                continue;
            sets->out[i][fd / 64] |= 1ull << fd % 64;
            ready++;
        }
    }
    return ready;
}

static long put_sets(struct thread *thread, const struct sets *sets)
{
    for (int i = 0; i < SETS; i++) {
        if (sets->address[i] && sets->bytes &&
            user_put(thread, sets->address[i], sets->out[i], sets->bytes))
            return -EFAULT;
    }
    return 0;
}

static long do_select(struct thread *thread, const u64 *args, bool zero)
{
    s32 count = (s32)args[0];
    struct sets sets;
    long result;

    if (count < 0)
        return -EINVAL;
    count = MIN(count, FD_SETSIZE);
    result = get_sets(thread, args, (u32)count, &sets);
    if (!result)
        result = select_all(thread, (u32)count, &sets, !zero);
    if (!result && !zero)
        result = wait_sleep(thread, thread->deadline);
    else
        wait_forget(thread);
    if (result == -ETIMEDOUT)
        result = 0;
    if (result >= 0 && put_sets(thread, &sets))
        result = -EFAULT;
    return result == -ERESTARTSYS ? -ERESTARTNOHAND : result;
}

long call_select(struct thread *thread, const u64 *args)
{
    bool zero;
    long result = poll_start_timeout(thread, args[4], 1000, &zero);

    if (!result)
        result = do_select(thread, args, zero);
    if (result != WAITING)
        put_remaining(thread, args[4], true);
    return result;
}

long call_pselect6(struct thread *thread, const u64 *args)
{
    u64 mask[2] = {0, 0}; /* pointer and size */
    bool zero;
    long result = poll_start_timeout(thread, args[4], 1, &zero);

    if (!result && args[5] && user_get(thread, mask, args[5], sizeof mask))
        result = -EFAULT;
    if (!result)
        result = poll_start_mask(thread, mask[0], mask[1]);
    if (!result)
        result = do_select(thread, args, zero);
    if (result != WAITING)
        put_remaining(thread, args[4], false);
    return result;
}
