/*
 * Advisory locks.
 *
 * An inode has one list of all locks on it, of three kinds. A record lock covers a range of bytes
 * and belongs to a process (F_SETLK) or to an open file (F_OFD_SETLK); the two kinds exclude each
 * other. flock's cover the whole file, belong to an open file, and exclude only one another. The
 * record locks of one owner never overlap, and those of one type never touch: a new one swallows
 * what it covers.
 *
 * Who must wait sleeps on one queue for all files and looks again whenever any lock is given up. A
 * cycle of waiting processes is found by asking, before one more goes to sleep, what the others
 * sleep for: their calls' arguments still say it, so there is no graph to keep up to date.
 */
#define _GNU_SOURCE
#include "user/servers/posix/lock.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#define END_OF_ALL INT64_MAX /* a range without end */
#define CYCLE_LIMIT 10       /* processes looked at in a row */

enum kind { RECORD, RECORD_OF_FILE, WHOLE };

struct file_lock {
    struct file_lock *next; /* on the inode */
    struct list all_link;
    struct inode *inode; /* a reference */
    const void *owner;   /* struct process for RECORD, else struct file */
    enum kind kind;
    short type;     /* F_RDLCK, F_WRLCK; in a request also F_UNLCK */
    s64 start, end; /* first and last byte */
};

static struct list all = LIST_INIT(all);
static struct wait_queue queue = {.waiters = LIST_INIT(queue.waiters)};

/* ---- The list of an inode ---- */

static void lock_add(struct file_lock *lock, const struct file_lock *like)
{
    struct inode *inode = inode_get(like->inode);

    *lock = *like;
    lock->next = inode->locks;
    inode->locks = lock;
    list_add(&lock->all_link, &all);
}

/* Takes the lock off that *link points to. */
static void lock_remove(struct file_lock **link)
{
    struct file_lock *lock = *link;

    *link = lock->next;
    list_remove(&lock->all_link);
    inode_put(lock->inode);
    free(lock);
    wait_wake(&queue);
}

/* Gives up every lock of an owner on an inode that it holds by other means too. */
static void remove_owned(struct inode *inode, const void *owner)
{
    struct file_lock **link = &inode->locks;

    while (*link) {
        if ((*link)->owner == owner)
            lock_remove(link);
        else
            link = &(*link)->next;
    }
}

static bool is_same_owner(const struct file_lock *a, const struct file_lock *b)
{
    return a->kind == b->kind && a->owner == b->owner;
}

static bool is_overlapping(const struct file_lock *a, const struct file_lock *b)
{
    return a->start <= b->end && b->start <= a->end;
}

static bool is_touching(const struct file_lock *a, const struct file_lock *b)
{
    return is_overlapping(a, b) || (a->end != END_OF_ALL && a->end + 1 == b->start) ||
           (b->end != END_OF_ALL && b->end + 1 == a->start);
}

static bool is_conflict(const struct file_lock *lock, const struct file_lock *request)
{
    if ((lock->kind == WHOLE) != (request->kind == WHOLE) || is_same_owner(lock, request))
        return false;
    return (lock->type == F_WRLCK || request->type == F_WRLCK) && is_overlapping(lock, request);
}

/* Of the locks that stand in the way of a request the one that starts first, or NULL. */
static const struct file_lock *find_conflict(const struct file_lock *request)
{
    const struct file_lock *first = NULL;

    for (const struct file_lock *lock = request->inode->locks; lock; lock = lock->next) {
        if (is_conflict(lock, request) && (!first || lock->start < first->start))
            first = lock;
    }
    return first;
}

/* ---- Changing record locks ---- */

/* The request grows over those of its own type that it touches: they become one lock. */
static void widen(struct file_lock *request)
{
    for (const struct file_lock *lock = request->inode->locks; lock; lock = lock->next) {
        if (!is_same_owner(lock, request) || lock->type != request->type ||
            !is_touching(lock, request))
            continue;
        request->start = MIN(request->start, lock->start);
        request->end = MAX(request->end, lock->end);
    }
}

/* Takes a range away from the owner's locks. The piece left behind a hole becomes *spare. */
static void cut(const struct file_lock *range, struct file_lock **spare)
{
    struct file_lock **link = &range->inode->locks, *lock;

    while ((lock = *link)) {
        struct file_lock tail = *lock;

        if (!is_same_owner(lock, range) || !is_overlapping(lock, range)) {
            link = &lock->next;
            continue;
        }
        if (lock->start < range->start && lock->end > range->end) {
            tail.start = range->end + 1;
            lock->end = range->start - 1;
            lock_add(*spare, &tail);
            *spare = NULL;
            return;
        }
        if (lock->start >= range->start && lock->end <= range->end) {
            lock_remove(link);
            continue;
        }
        if (lock->start < range->start)
            lock->end = range->start - 1;
        else
            lock->start = range->end + 1;
        link = &lock->next;
    }
}

/* Does what a request that nothing stands in the way of asks for. */
static long apply(struct file_lock *request)
{
    struct file_lock *lock = malloc(sizeof *lock), *spare = malloc(sizeof *spare);

    if (!lock || !spare) {
        free(lock);
        free(spare);
        return -ENOLCK;
    }
    if (request->type != F_UNLCK)
        widen(request);
    cut(request, &spare);
    if (request->type != F_UNLCK)
        lock_add(lock, request);
    else
        free(lock);
    free(spare);
    wait_wake(&queue); /* bytes may be free, or no longer locked for writing */
    return 0;
}

/* ---- Requests ---- */

static long set_range(struct file_lock *request, const struct file *file, const struct flock *flock)
{
    s64 start, base = flock->l_whence == SEEK_SET   ? 0
                      : flock->l_whence == SEEK_CUR ? (s64)file->position
                                                    : (s64)file->inode->size;

    if (flock->l_whence != SEEK_SET && flock->l_whence != SEEK_CUR && flock->l_whence != SEEK_END)
        return -EINVAL;
    if (__builtin_add_overflow(base, flock->l_start, &start))
        return -EOVERFLOW;
    request->start = flock->l_len < 0 ? start + flock->l_len : start;
    request->end = flock->l_len < 0 ? start - 1 : END_OF_ALL;
    if (start < 0 || request->start < 0)
        return -EINVAL;
    if (flock->l_len > 0 && __builtin_add_overflow(start, flock->l_len - 1, &request->end))
        return -EOVERFLOW;
    return 0;
}

static bool is_of_file(u32 command)
{
    return command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

static long make_request(struct thread *thread, struct file *file, u32 command,
                         const struct flock *flock, struct file_lock *request)
{
    bool of_file = is_of_file(command);

    if (!file->inode || (of_file && flock->l_pid))
        return -EINVAL;
    if (flock->l_type != F_RDLCK && flock->l_type != F_WRLCK && flock->l_type != F_UNLCK)
        return -EINVAL;
    *request = (struct file_lock){
        .inode = file->inode,
        .kind = of_file ? RECORD_OF_FILE : RECORD,
        .owner = of_file ? (const void *)file : thread->process,
        .type = flock->l_type,
    };
    return set_range(request, file, flock);
}

/* Tells what a lock would meet: the user's structure is changed. */
static long get_lock(struct thread *thread, struct flock *flock, u64 address,
                     const struct file_lock *request)
{
    const struct file_lock *conflict;

    if (request->type == F_UNLCK)
        return -EINVAL;
    conflict = find_conflict(request);
    flock->l_type = conflict ? conflict->type : F_UNLCK;
    if (conflict) {
        flock->l_whence = SEEK_SET;
        flock->l_start = conflict->start;
        flock->l_len = conflict->end == END_OF_ALL ? 0 : conflict->end - conflict->start + 1;
        flock->l_pid = -1;
        if (conflict->kind == RECORD)
            flock->l_pid = (pid_t)((const struct process *)conflict->owner)->pid;
    }
    return user_put(thread, address, flock, sizeof *flock);
}

/* ---- Waiting ---- */

/* The process whose record lock a sleeping thread waits for, or NULL. */
static const struct process *find_holder(struct thread *thread)
{
    const struct file_lock *conflict = NULL;
    struct file_lock request;
    struct flock flock;
    struct file *file;

    if (!thread->sleeping || thread->number != SYS_fcntl || thread->args[1] != F_SETLKW)
        return NULL;
    file = fd_get(thread->process, thread->args[0]);
    if (!file || user_get(thread, &flock, thread->args[2], sizeof flock))
        return NULL;
    if (!make_request(thread, file, F_SETLKW, &flock, &request))
        conflict = find_conflict(&request);
    return conflict && conflict->kind == RECORD ? conflict->owner : NULL;
}

/* Does `from` sleep until `to`, or one that sleeps until `to`, gives up a lock? */
static bool is_waiting_for(const struct process *from, const struct process *to, int limit)
{
    struct thread *thread;

    if (!limit)
        return false;
    list_for_each_entry(thread, &from->threads, process_link) {
        const struct process *holder = find_holder(thread);

        if (holder && (holder == to || is_waiting_for(holder, to, limit - 1)))
            return true;
    }
    return false;
}

long lock_record(struct thread *thread, struct file *file, u32 command, u64 address)
{
    const struct file_lock *conflict;
    struct file_lock request;
    struct flock flock;
    long error;

    if (user_get(thread, &flock, address, sizeof flock))
        return -EFAULT;
    error = make_request(thread, file, command, &flock, &request);
    if (error)
        return error;
    if (command == F_GETLK || command == F_OFD_GETLK)
        return get_lock(thread, &flock, address, &request);
    if ((request.type == F_RDLCK && !file_can_read(file)) ||
        (request.type == F_WRLCK && !file_can_write(file)))
        return -EBADF;
    conflict = request.type == F_UNLCK ? NULL : find_conflict(&request);
    if (!conflict)
        return apply(&request);
    if (command != F_SETLKW && command != F_OFD_SETLKW)
        return -EAGAIN;
    if (conflict->kind == RECORD && request.kind == RECORD &&
        is_waiting_for(conflict->owner, thread->process, CYCLE_LIMIT))
        return -EDEADLK;
    return wait_on(thread, &queue);
}

/* ---- flock ---- */

/* The link to the lock that the open file has by flock; to NULL if it has none. */
static struct file_lock **find_whole(struct file *file)
{
    struct file_lock **link = &file->inode->locks;

    while (*link && ((*link)->kind != WHOLE || (*link)->owner != file))
        link = &(*link)->next;
    return link;
}

/* A change of type is not one step: the old lock goes even if the new one is then refused. */
long lock_file(struct thread *thread, struct file *file, u32 operation)
{
    u32 what = operation & ~(u32)LOCK_NB;
    struct file_lock request = {
        .inode = file->inode,
        .kind = WHOLE,
        .owner = file,
        .type = what == LOCK_EX ? F_WRLCK : F_RDLCK,
        .end = END_OF_ALL,
    };
    struct file_lock **old, *lock;

    if (!file->inode || (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN))
        return -EINVAL;
    old = find_whole(file);
    if (*old && what != LOCK_UN && (*old)->type == request.type)
        return 0;
    if (*old)
        lock_remove(old);
    if (what == LOCK_UN)
        return 0;
    if (find_conflict(&request))
        return operation & LOCK_NB ? -EAGAIN : wait_on(thread, &queue);
    lock = malloc(sizeof *lock);
    if (!lock)
        return -ENOLCK;
    lock_add(lock, &request);
    return 0;
}

/* ---- Giving up ---- */

void lock_release_process(struct inode *inode, struct process *process)
{
    remove_owned(inode, process);
}

void lock_release_file(struct file *file)
{
    remove_owned(file->inode, file);
}

void lock_release_all(struct process *process)
{
    struct file_lock *lock, *after;

    list_for_each_entry_safe(lock, after, &all, all_link) {
        struct file_lock **link = &lock->inode->locks;

        if (lock->owner != process)
            continue;
        while (*link != lock)
            link = &(*link)->next;
        lock_remove(link);
    }
}
