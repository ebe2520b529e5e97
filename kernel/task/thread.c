/*
 * thread.c: where threads come from and where they go.
 *
 * Structures come from a pool and go back to it, with kernel stack and FPU area still attached, so
 * that starting a thread costs little; they are never used for anything else. A structure keeps its
 * id for ever, and its IPC sequence goes on counting, so the tokens of a thread that is gone fit no
 * later one. A kernel thread, the reaper, frees the stacks of what the pool has too many of, and
 * the ports that nobody needs.
 *
 * References: one for being alive, dropped by whoever runs next on the dead thread's CPU; one for
 * each handle and holder.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/kstack.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/task/exit.h"
#include "kernel/task/port.h"
#include "kernel/task/sched.h"
#include "lib/string.h"

#define POOL_KEPT 64 /* structures with a stack; twice as many wake the reaper */
#define TRIM_PAUSE_NS 100000ul

struct thread *thread_table[THREAD_MAX];
_Atomic u32 thread_table_size = 1; /* id 0 is nobody */

static struct {
    struct spinlock lock; /* guards all; interrupts off */
    struct list ready;    /* thread.run_link: dead, with stack */
    struct list bare;     /* dead, without */
    u32 ready_count;
} pool = {
    .lock = SPINLOCK_INIT("thread pool", LOCK_WAIT),
    .ready = LIST_INIT(pool.ready),
    .bare = LIST_INIT(pool.bare),
};
static struct wait_queue reaper_queue = WAIT_QUEUE_INIT(reaper_queue);
static _Atomic bool reaper_wanted;
static struct slab_cache thread_cache = SLAB_CACHE("thread", struct thread);

/* --- the pool --- */

static struct thread *pool_pop(void)
{
    u64 flags = spin_lock_irq(&pool.lock);
    struct list *link = list_pop(&pool.ready);

    if (link)
        pool.ready_count--;
    else
        link = list_pop(&pool.bare);
    spin_unlock_irq(&pool.lock, flags);
    return link ? list_entry(link, struct thread, run_link) : NULL;
}

/* A structure that never was a thread, with the next id. */
static struct thread *pool_extend(void)
{
    struct thread *thread = slab_zalloc(&thread_cache);
    u64 flags = spin_lock_irq(&pool.lock);
    u32 id = atomic_load(&thread_table_size);
    bool room = id < THREAD_MAX;

    if (thread && room) {
        thread->id = id;
        thread->ipc.token = id;
        __atomic_store_n(&thread_table[id], thread, __ATOMIC_RELEASE); /* ipc.c looks by id */
        atomic_store_explicit(&thread_table_size, id + 1, memory_order_release);
    }
    spin_unlock_irq(&pool.lock, flags);
    if (thread && !room) {
        slab_free(&thread_cache, thread);
        thread = NULL;
    }
    return thread;
}

static void pool_push(struct thread *thread)
{
    u64 flags = spin_lock_irq(&pool.lock);
    bool too_many = false;

    if (thread->stack_top) {
        list_add(&thread->run_link, &pool.ready);
        too_many = ++pool.ready_count > 2 * POOL_KEPT;
    } else {
        list_add_tail(&thread->run_link, &pool.bare);
    }
    spin_unlock_irq(&pool.lock, flags);
    if (too_many)
        thread_wake_reaper();
}

void thread_wake_reaper(void)
{
    atomic_store(&reaper_wanted, true);
    wait_wake_one(&reaper_queue);
}

static void reap(void)
{
    u64 pause = TRIM_PAUSE_NS;

    while (pool.ready_count > POOL_KEPT) {
        struct thread *thread = pool_pop();

        if (!thread)
            return;
        if (thread->stack_top)
            kernel_stack_free(thread->stack_top);
        kfree(thread->fpu_memory);
        thread->stack_top = NULL;
        thread->fpu_memory = NULL;
        pool_push(thread);
        sched_point();
    }
    for (; kernel_stack_trim(); pause = MIN(pause * 2, 64 * TRIM_PAUSE_NS))
        sched_sleep_until(time_ns() + pause);
}

static void reaper(void *argument)
{
    (void)argument;
    for (;;) {
        wait_prepare(&reaper_queue);
        if (atomic_exchange(&reaper_wanted, false))
            wait_cancel(&reaper_queue);
        else
            wait_sleep(&reaper_queue, false, 0);
        reap();
        port_reap();
    }
}

/* --- making --- */

/* Everything as new, but what the structure keeps. */
static void reset(struct thread *thread)
{
    u32 id = thread->id;
    u64 token = thread->ipc.token;
    void *stack_top = thread->stack_top, *fpu_memory = thread->fpu_memory;

    memset(thread, 0, sizeof(*thread));
    thread->id = id;
    thread->ipc.token = token;
    thread->stack_top = stack_top;
    thread->fpu_memory = fpu_memory;

    thread->task = &kernel_task;
    thread->affinity = ~0ul;
    thread->priority = PRIORITY_DEFAULT;
    thread->epoch = ~0u / 2; /* of no queue: its first turn is a fresh one */
    thread->cpu = this_cpu()->id;
    atomic_init(&thread->refs, 1);
    spin_init(&thread->lock, "thread", LOCK_THREAD);
    list_init(&thread->run_link);
    list_init(&thread->task_link);
    list_init(&thread->wait_link);
    list_init(&thread->ipc.link);
    wait_queue_init(&thread->suspenders);
    timer_init(&thread->timer, NULL);
}

static struct thread *make(bool user)
{
    struct thread *thread = pool_pop();

    if (!thread)
        thread = pool_extend();
    if (!thread)
        return NULL;
    reset(thread);
    if (!thread->stack_top)
        thread->stack_top = kernel_stack_alloc();
    if (!thread->fpu_memory && user)
        thread->fpu_memory = kmalloc(fpu_size);
    if (!thread->stack_top || (user && !thread->fpu_memory)) {
        pool_push(thread);
        return NULL;
    }
    if (user)
        thread->arch.fpu = thread->fpu_memory;
    thread->ipc.frame = thread_user_frame(thread);
    return thread;
}

static void start_user(void *argument)
{
    (void)argument;
    sched_finish_switch(current_thread());
    arch_return_to_user();
}

s64 thread_create(struct task *task, u64 cookie, struct thread **result)
{
    struct thread *thread = make(true);
    s64 status;

    if (!thread)
        return atomic_load(&thread_table_size) == THREAD_MAX ? -EAGAIN : -ENOMEM;
    arch_fpu_init(thread);
    arch_thread_prepare(thread, start_user, NULL);
    thread->cookie = cookie;
    memcpy(thread->name, task->name, sizeof(thread->name));
    thread->task = task_get(task);
    atomic_store(&thread->refs, 2);
    status = task_join(task, thread);
    if (status < 0) {
        task_put(task);
        thread->task = &kernel_task;
        pool_push(thread);
        return status;
    }
    *result = thread;
    return 0;
}

static void start_kernel(void *argument)
{
    struct thread *self = current_thread();

    (void)argument;
    sched_finish_switch(self);
    irq_enable();
    self->entry(self->argument);
    thread_exit();
}

static struct thread *make_kernel(const char *name, void (*entry)(void *), void *argument)
{
    struct thread *thread = make(false);

    if (!thread)
        return NULL;
    strlcpy(thread->name, name, sizeof(thread->name));
    thread->entry = entry;
    thread->argument = argument;
    arch_thread_prepare(thread, start_kernel, NULL);
    return thread;
}

struct thread *thread_create_kernel(const char *name, void (*entry)(void *), void *argument,
                                    s32 nice)
{
    struct thread *thread = make_kernel(name, entry, argument);

    if (!thread)
        return NULL;
    sched_set_nice(thread, nice);
    sched_start(thread);
    return thread;
}

struct thread *thread_create_idle(void (*entry)(void *))
{
    struct thread *thread = make_kernel("idle", entry, NULL);

    if (!thread)
        panic("no memory for the idle thread");
    return thread;
}

struct thread *thread_adopt(const char *name)
{
    struct thread *thread = pool_extend();

    if (!thread)
        panic("no memory for the first thread of CPU %u", this_cpu()->id);
    thread->stack_top = (void *)this_cpu()->kernel_stack;
    reset(thread);
    strlcpy(thread->name, name, sizeof(thread->name));
    atomic_store(&thread->state, THREAD_RUNNING);
    atomic_store(&thread->on_cpu, 1);
    return thread;
}

void thread_start_reaper(void)
{
    if (!thread_create_kernel("reaper", reaper, NULL, 0))
        panic("no memory for the reaper");
}

/* --- references and the end --- */

struct thread *thread_get(struct thread *thread)
{
    atomic_fetch_add_explicit(&thread->refs, 1, memory_order_relaxed);
    return thread;
}

void thread_put(struct thread *thread)
{
    if (atomic_fetch_sub(&thread->refs, 1) == 1)
        pool_push(thread);
}

void sched_finish_dead(struct thread *thread)
{
    thread_put(thread);
}

void thread_exit(void)
{
    struct thread *self = current_thread();

    if (self->task != &kernel_task) {
        exit_release_futexes(self);
        task_leave(self->task, self);
    }
    irq_disable();
    /* Nobody wakes it any more. Its CPU leaves the stack in sched_schedule. */
    atomic_store(&self->state, THREAD_DEAD);
    thread_tell_suspenders(self);
    sched_schedule();
    panic("a dead thread runs");
}
