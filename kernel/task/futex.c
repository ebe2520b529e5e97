/*
 * futex.c: who waits for which word.
 *
 *     bucket[hash of key] ── waiter ── waiter ── ...     each on its thread's stack
 *
 * A waiter is put into its bucket before the word is read. The waker changes the word before it
 * looks into the bucket. Both take the bucket's lock in between, so either the waiter reads the new
 * value or the waker finds the waiter. Reading may fault and sleep; who is woken meanwhile is only
 * marked. Once the value was right the waiter prepares to sleep under the lock and says so
 * (`asleep`), and from then on the waker wakes it, under the lock too, so that a wake never reaches
 * a later sleep. A wake that came while the value turned out to be wrong was meant for somebody who
 * waits: it is passed on.
 */
#include "kernel/task/futex.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/errno.h"
#include "kernel/base/lock.h"
#include "kernel/task/thread.h"
#include "lib/hash.h"
#include "lib/list.h"

#define BUCKETS 256

struct bucket {
    struct spinlock lock; /* guards the list and the waiters in it */
    struct list waiters;
};

struct waiter {
    struct list link;
    struct bucket *bucket; /* changes by requeueing, under both locks */
    struct futex_key key;
    struct thread *thread;
    u32 bits, woken_bits; /* its own, and those of the wake that reached it */
    bool asleep;          /* may be woken */
    bool woken;           /* out of the list */
};

static struct bucket buckets[BUCKETS];

static s64 key_nothing(u64 address, bool private, struct futex_key *key)
{
    (void)address, (void)private, (void)key;
    return -EFAULT;
}
s64 (*futex_key_hook)(u64 address, bool private, struct futex_key *key) = key_nothing;

void futex_init(void)
{
    for (u32 i = 0; i < BUCKETS; i++) {
        spin_init(&buckets[i].lock, "futex", LOCK_FUTEX);
        list_init(&buckets[i].waiters);
    }
}

static struct bucket *bucket_of(const struct futex_key *key)
{
    return &buckets[hash_u64(hash_u64((u64)key->space) + key->offset) % BUCKETS];
}

static bool key_equal(const struct futex_key *a, const struct futex_key *b)
{
    return a->space == b->space && a->offset == b->offset;
}

/* --- a waiter in its bucket --- */

static struct bucket *lock_bucket_of(struct waiter *waiter)
{
    for (;;) {
        struct bucket *bucket = *(struct bucket *volatile *)&waiter->bucket;

        spin_lock(&bucket->lock);
        if (waiter->bucket == bucket)
            return bucket;
        spin_unlock(&bucket->lock);
    }
}

static void enqueue(struct waiter *waiter)
{
    spin_lock(&waiter->bucket->lock);
    list_add_tail(&waiter->link, &waiter->bucket->waiters);
    spin_unlock(&waiter->bucket->lock);
}

/* Out of the list, if it still is in one: then `status` is how the wait ended. A wake that came
 * first wins. */
static s64 dequeue(struct waiter *waiter, s64 status)
{
    struct bucket *bucket = lock_bucket_of(waiter);

    if (waiter->woken)
        status = 0;
    else
        list_remove(&waiter->link);
    spin_unlock(&bucket->lock);
    return status;
}

/* True: the thread is prepared to sleep. False: it has been woken already. */
static bool fall_asleep(struct waiter *waiter)
{
    struct bucket *bucket = lock_bucket_of(waiter);
    bool sleep = !waiter->woken;

    if (sleep) {
        waiter->asleep = true;
        sched_prepare_sleep();
    }
    spin_unlock(&bucket->lock);
    return sleep;
}

/* --- waking and waiting --- */

/* The bucket is locked. After `woken` is set a waiter that is not asleep may leave; one that is
 * asleep leaves only after our unlock, since dequeue takes the lock. */
static void wake(struct waiter *waiter, u32 bits)
{
    list_remove(&waiter->link);
    waiter->woken_bits = bits;
    waiter->woken = true;
    if (waiter->asleep)
        sched_wake(waiter->thread, 0);
}

static u32 wake_some(struct bucket *bucket, const struct futex_key *key, u32 count, u32 bits)
{
    struct waiter *waiter, *after;
    u32 woken = 0;

    list_for_each_entry_safe(waiter, after, &bucket->waiters, link) {
        if (woken == count)
            break;
        if (!(waiter->bits & bits) || !key_equal(&waiter->key, key))
            continue;
        wake(waiter, bits);
        woken++;
    }
    return woken;
}

static u32 wake_key(const struct futex_key *key, u32 count, u32 bits)
{
    struct bucket *bucket = bucket_of(key);

    spin_lock(&bucket->lock);
    u32 woken = wake_some(bucket, key, count, bits);
    spin_unlock(&bucket->lock);
    return woken;
}

/* The word could not be read or was another: this thread waits for nothing. */
static s64 refuse(struct waiter *waiter, s64 status)
{
    if (dequeue(waiter, status) == 0)
        wake_key(&waiter->key, 1, waiter->woken_bits);
    return status;
}

s64 futex_wait(u64 address, bool private, u32 value, u32 bits, u64 deadline)
{
    struct waiter waiter = {.thread = current_thread(), .bits = bits};
    u32 seen;
    s64 status = futex_key_hook(address, private, &waiter.key);

    if (status < 0)
        return status;
    waiter.bucket = bucket_of(&waiter.key);
    enqueue(&waiter);
    status = arch_load_user_u32((const u32 *)address, &seen);
    if (status == 0 && seen != value)
        status = -EAGAIN;
    if (status < 0)
        return refuse(&waiter, status);
    if (fall_asleep(&waiter))
        status = sched_sleep_interruptible(deadline);
    return dequeue(&waiter, status);
}

s64 futex_wake(u64 address, bool private, u32 count, u32 bits)
{
    struct futex_key key;
    s64 status = futex_key_hook(address, private, &key);

    return status < 0 ? status : wake_key(&key, count, bits);
}

/* --- moving waiters from one word to another --- */

static void lock_two(struct bucket *a, struct bucket *b)
{
    spin_lock(a < b ? &a->lock : &b->lock);
    if (a != b)
        spin_lock_nested(a < b ? &b->lock : &a->lock); /* in the order of their addresses */
}

static void unlock_two(struct bucket *a, struct bucket *b)
{
    spin_unlock(&a->lock);
    if (a != b)
        spin_unlock(&b->lock);
}

static u32 move_some(struct bucket *from, const struct futex_key *from_key, struct bucket *to,
                     const struct futex_key *to_key, u32 count)
{
    struct waiter *waiter, *after;
    u32 moved = 0;

    list_for_each_entry_safe(waiter, after, &from->waiters, link) {
        if (moved == count)
            break;
        if (!key_equal(&waiter->key, from_key))
            continue;
        waiter->key = *to_key;
        waiter->bucket = to;
        if (to != from)
            list_move_tail(&waiter->link, &to->waiters);
        moved++;
    }
    return moved;
}

s64 futex_requeue(const struct futex_requeue *request)
{
    struct futex_key from_key, to_key;
    u32 seen = request->value;
    s64 status = futex_key_hook(request->from, request->private, &from_key);

    if (status == 0)
        status = futex_key_hook(request->to, request->private, &to_key);
    if (status == 0 && request->compare)
        status = arch_load_user_u32((const u32 *)request->from, &seen);
    if (status < 0)
        return status;
    if (seen != request->value)
        return -EAGAIN;
    struct bucket *from = bucket_of(&from_key), *to = bucket_of(&to_key);

    lock_two(from, to);
    u32 woken = wake_some(from, &from_key, request->wake, ~0u);
    u32 moved = move_some(from, &from_key, to, &to_key, request->move);
    unlock_two(from, to);
    return request->compare ? woken + moved : woken;
}

/* --- FUTEX_WAKE_OP --- */

enum { OP_SET, OP_ADD, OP_OR, OP_ANDN, OP_XOR, OP_SHIFT = 8 };
enum { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE };

static s32 sign_extend_12(u32 bits)
{
    return (s32)(bits << 20) >> 20;
}

static s64 op_apply(u32 op, u32 old, u32 argument)
{
    switch (op) {
    case OP_SET: return argument;
    case OP_ADD: return old + argument;
    case OP_OR: return old | argument;
    case OP_ANDN: return old & ~argument;
    case OP_XOR: return old ^ argument;
    default: return -ENOSYS;
    }
}

static s64 op_compare(u32 compare, s32 old, s32 argument)
{
    switch (compare) {
    case CMP_EQ: return old == argument;
    case CMP_NE: return old != argument;
    case CMP_LT: return old < argument;
    case CMP_LE: return old <= argument;
    case CMP_GT: return old > argument;
    case CMP_GE: return old >= argument;
    default: return -ENOSYS;
    }
}

/* Changes the word as the operation says and gives its old value. */
static s64 op_change_word(u64 address, u32 operation, u32 *old)
{
    u32 op = operation >> 28, seen;
    u32 argument = (u32)sign_extend_12(operation >> 12 & 0xfff);
    s64 status = arch_load_user_u32((const u32 *)address, &seen);

    if (op & OP_SHIFT)
        argument = 1u << (argument & 31);
    while (status == 0) {
        s64 new = op_apply(op & ~(u32)OP_SHIFT, seen, argument);

        if (new < 0)
            return new;
        *old = seen;
        status = arch_cas_user_u32((u32 *)address, *old, (u32) new, &seen);
        if (seen == *old)
            break;
    }
    return status;
}

s64 futex_wake_op(u64 first, u64 second, bool private, u32 wake_first, u32 wake_second,
                  u32 operation)
{
    struct futex_key first_key, second_key;
    u32 old = 0, woken;
    s64 status = futex_key_hook(first, private, &first_key);

    if (status == 0)
        status = futex_key_hook(second, private, &second_key);
    if (status == 0)
        status = op_compare(operation >> 24 & 15, 0, 0); /* a comparison there is? */
    if (status >= 0)
        status = op_change_word(second, operation, &old);
    if (status < 0)
        return status;
    woken = wake_key(&first_key, wake_first, ~0u);
    if (op_compare(operation >> 24 & 15, (s32)old, sign_extend_12(operation & 0xfff)) > 0)
        woken += wake_key(&second_key, wake_second, ~0u);
    return woken;
}
