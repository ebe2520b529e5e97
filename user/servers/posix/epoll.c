/*
 * See epoll.h. A set is a list of items. Nothing is recorded when a file becomes ready: epoll_wait
 * asks every file of the set, and puts the thread on the queues of all when none is.
 *
 * An edge-triggered item is reported once for each time that its file's queue was woken: the queue
 * counts its wakes, the item remembers the count.
 */
#define _GNU_SOURCE
#include "user/servers/posix/epoll.h"
#include "user/servers/posix/anon.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/poll.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define DEPTH_MAX 5
#define BATCH 64 /* events that one call reports at most; the next call gets the others */
#define OPTIONS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

struct epoll {
    struct list items;
    struct wait_queue changed; /* an item has come, or is asked for something else */
};

struct item {
    struct list link;      /* in epoll->items */
    struct list file_link; /* in file->watchers */
    struct epoll *epoll;
    struct file *file;
    u32 fd, events;
    u64 data;
    bool disabled; /* EPOLLONESHOT: reported, and not yet modified */
    bool reported; /* EPOLLET: with the queue's count at `seen` */
    u64 seen;
};

static void item_free(struct item *item)
{
    list_remove(&item->link);
    list_remove(&item->file_link);
    free(item);
}

static void release(struct file *file)
{
    struct epoll *epoll = file->data;
    struct item *item, *after;

    list_for_each_entry_safe(item, after, &epoll->items, link)
        item_free(item);
    wait_queue_end(&epoll->changed);
    free(epoll);
}

static const struct file_ops ops = {.release = release};

bool epoll_is(const struct file *file)
{
    return file->ops == &ops;
}

void epoll_forget(struct file *file)
{
    struct item *item, *after;

    list_for_each_entry_safe(item, after, &file->watchers, file_link)
        item_free(item);
}

/* ---- Asking ---- */

/* How often the file's queue was woken; 0 for files without one. */
static u64 wakes_of(struct file *file)
{
    struct wait_queue *queue = NULL;

    if (file->ops->poll)
        file->ops->poll(file, &queue);
    return queue ? queue->wakes : 0;
}

static u32 poll_item(struct thread *thread, struct item *item, bool wait)
{
    u32 ready;

    if (item->disabled)
        return 0;
    ready = poll_file(thread, item->file, item->events & ~(u32)OPTIONS, false);
    if (ready && item->events & EPOLLET && item->reported && item->seen == wakes_of(item->file))
        ready = 0;
    if (!ready && wait)
        poll_file(thread, item->file, 0, true);
    return ready;
}

u32 epoll_poll(struct thread *thread, struct file *file, bool wait)
{
    struct epoll *epoll = file->data;
    struct item *item;

    list_for_each_entry(item, &epoll->items, link) {
        if (poll_item(thread, item, wait))
            return POLLIN | POLLRDNORM;
    }
    if (wait)
        wait_add(thread, &epoll->changed);
    return 0;
}

static void note_report(struct item *item)
{
    item->reported = true;
    item->seen = wakes_of(item->file);
    if (item->events & EPOLLONESHOT)
        item->disabled = true;
}

/* Fills in what is ready; what is reported goes to the list's end, so that all get their turn. */
static long collect(struct thread *thread, struct epoll *epoll, struct epoll_event *events,
                    long room, bool wait)
{
    struct item *item, *after;
    struct list told = LIST_INIT(told);
    long count = 0;

    list_for_each_entry_safe(item, after, &epoll->items, link) {
        u32 ready = count < room ? poll_item(thread, item, wait && !count) : 0;

        if (!ready)
            continue;
        events[count].events = ready;
        events[count++].data.u64 = item->data;
        note_report(item);
        list_move_tail(&item->link, &told);
    }
    list_splice_tail(&told, &epoll->items);
    return count;
}

/* ---- Calls ---- */

static long create(struct thread *thread, bool cloexec)
{
    struct epoll *epoll = calloc(1, sizeof *epoll);
    struct inode *inode = epoll ? anon_shared() : NULL;
    struct file *file = inode ? file_create(&ops, inode, O_RDWR) : NULL;

    if (!file) {
        if (inode)
            inode_put(inode);
        free(epoll);
        return -ENOMEM;
    }
    list_init(&epoll->items);
    wait_queue_init(&epoll->changed);
    file->data = epoll;
    return fd_install(thread->process, file, 0, cloexec);
}

long call_epoll_create1(struct thread *thread, const u64 *args)
{
    if (args[0] & ~(u64)EPOLL_CLOEXEC)
        return -EINVAL;
    return create(thread, args[0] & EPOLL_CLOEXEC);
}

long call_epoll_create(struct thread *thread, const u64 *args)
{
    return (s32)args[0] > 0 ? create(thread, false) : -EINVAL;
}

/* Does a set hold another, itself or in the sets it holds? Too deep counts as yes. */
static bool holds(struct file *set, struct file *other, u32 depth)
{
    struct epoll *epoll = set->data;
    struct item *item;

    if (set == other || depth == DEPTH_MAX)
        return true;
    list_for_each_entry(item, &epoll->items, link) {
        if (epoll_is(item->file) && holds(item->file, other, depth + 1))
            return true;
    }
    return false;
}

static struct item *find(struct epoll *epoll, const struct file *file, u32 fd)
{
    struct item *item;

    list_for_each_entry(item, &epoll->items, link) {
        if (item->file == file && item->fd == fd)
            return item;
    }
    return NULL;
}

static long add(struct file *set, struct file *file, u32 fd, const struct epoll_event *event)
{
    struct epoll *epoll = set->data;
    struct item *item;

    if (find(epoll, file, fd))
        return -EEXIST;
    if (epoll_is(file) ? event->events & EPOLLEXCLUSIVE : !file->ops->poll)
        return epoll_is(file) ? -EINVAL : -EPERM;
    if (file->inode && (S_ISREG(file->inode->mode) || S_ISDIR(file->inode->mode)))
        return -EPERM;
    if (epoll_is(file) && holds(file, set, 0))
        return -ELOOP;
    item = calloc(1, sizeof *item);
    if (!item)
        return -ENOMEM;
    *item = (struct item){
        .epoll = epoll, .file = file, .fd = fd, .events = event->events, .data = event->data.u64};
    list_add_tail(&item->link, &epoll->items);
    list_add_tail(&item->file_link, &file->watchers);
    wait_wake(&epoll->changed);
    return 0;
}

static long modify(struct epoll *epoll, struct item *item, const struct epoll_event *event)
{
    if ((event->events | item->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    item->events = event->events;
    item->data = event->data.u64;
    item->disabled = item->reported = false;
    wait_wake(&epoll->changed);
    return 0;
}

long call_epoll_ctl(struct thread *thread, const u64 *args)
{
    struct file *set = fd_get(thread->process, args[0]), *file = fd_get(thread->process, args[2]);
    struct epoll_event event = {0};
    struct item *item;

    if (args[1] != EPOLL_CTL_DEL && user_get(thread, &event, args[3], sizeof event))
        return -EFAULT;
    if (!set || !file)
        return -EBADF;
    if (!epoll_is(set) || set == file)
        return -EINVAL;
    if (args[1] == EPOLL_CTL_ADD)
        return add(set, file, (u32)args[2], &event);
    if (args[1] != EPOLL_CTL_MOD && args[1] != EPOLL_CTL_DEL)
        return -EINVAL;
    item = find(set->data, file, (u32)args[2]);
    if (!item)
        return -ENOENT;
    if (args[1] == EPOLL_CTL_MOD)
        return modify(set->data, item, &event);
    item_free(item);
    return 0;
}

static long do_wait(struct thread *thread, const u64 *args, bool zero)
{
    struct file *set = fd_get(thread->process, args[0]);
    struct epoll_event events[BATCH];
    s32 room = (s32)args[2];
    long count;

    if (!set)
        return -EBADF;
    if (!epoll_is(set) || room <= 0)
        return -EINVAL;
    count = collect(thread, set->data, events, MIN(room, BATCH), !zero);
    if (count || zero) {
        wait_forget(thread);
        return user_put(thread, args[1], events, (usize)count * sizeof *events) ? -EFAULT : count;
    }
    count = wait_add(thread, &((struct epoll *)set->data)->changed);
    if (!count)
        count = wait_sleep(thread, thread->deadline);
    return count == -ETIMEDOUT ? 0 : count == -ERESTARTSYS ? -EINTR : count;
}

static long wait_ms(struct thread *thread, const u64 *args)
{
    s32 timeout = (s32)args[3];

    if (!thread->tried && timeout > 0)
        thread->deadline = time_now() + (u64)timeout * (SECOND / 1000);
    return do_wait(thread, args, timeout == 0);
}

long call_epoll_wait(struct thread *thread, const u64 *args)
{
    return wait_ms(thread, args);
}

long call_epoll_pwait(struct thread *thread, const u64 *args)
{
    long error = poll_start_mask(thread, args[4], args[5]);

    return error ? error : wait_ms(thread, args);
}

long call_epoll_pwait2(struct thread *thread, const u64 *args)
{
    bool zero;
    long error = poll_start_timeout(thread, args[3], 1, &zero);

    if (!error)
        error = poll_start_mask(thread, args[4], args[5]);
    return error ? error : do_wait(thread, args, zero);
}
