/*
 * task.c: tasks: made, copied, ended.
 *
 *     task_create / task_fork ─▶ threads join ─▶ ... ─▶ last thread leaves (or task_kill without
 *     any): space and handles go ─▶ last reference: the structure goes
 *
 * A task that never had a thread ends with its last reference. task->mm is read by the task's own
 * threads without a lock, as it can't change while they run; everybody else takes a reference under
 * task->lock.
 *
 * A program that is not trusted with the machine can make tasks, which nobody but it may know of.
 * They are of one household, whose head is the task that a trusted one has made, such as a process:
 * when the head ends all do. Otherwise tasks that hold handles of each other, or a thread that
 * nobody can name, would stay for ever.
 */
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/base/refs.h"
#include "kernel/base/slab.h"
#include "kernel/task/ipc.h"
#include "kernel/task/sched.h"
#include "lib/string.h"

static struct slab_cache task_cache = SLAB_CACHE("task", struct task);
struct mm_hooks mm_hooks;

struct task kernel_task = {
    .refs = 1,
    .name = "kernel",
    .lock = SPINLOCK_INIT("task", LOCK_TASK),
    .threads = LIST_INIT(kernel_task.threads),
    .handles = {.lock = SPINLOCK_INIT("handle table", LOCK_HANDLES), .closed = true},
};

/* The household of the current task gets one more, unless that is the kernel or may do more. False:
 * it is breaking up. */
static bool join_household(struct task *task)
{
    struct task *maker = current_thread()->task, *head = maker->head ? maker->head : maker;

    if (maker == &kernel_task || (head == maker && handle_is_trusted(maker)))
        return true;
    spin_lock(&head->lock);
    bool joins = !atomic_load(&head->dying);
    if (joins) {
        task->head = task_get(head);
        list_add_tail(&task->head_link, &head->made);
    }
    spin_unlock(&head->lock);
    return joins;
}

static void leave_household(struct task *task)
{
    if (!task->head)
        return;
    spin_lock(&task->head->lock);
    list_remove(&task->head_link);
    spin_unlock(&task->head->lock);
}

struct task *task_create(struct mm *mm, struct port *server, u64 cookie)
{
    struct task *task = slab_zalloc(&task_cache);

    if (task && !mm)
        mm = mm_hooks.create();
    if (!task || !mm) {
        if (mm)
            mm_hooks.put(mm);
        if (task)
            slab_free(&task_cache, task);
        return NULL;
    }
    atomic_init(&task->refs, 1);
    task->mm = mm;
    handle_table_init(&task->handles);
    task->server = server ? port_get(server) : NULL;
    task->cookie = cookie;
    strlcpy(task->name, "?", sizeof(task->name));
    spin_init(&task->lock, "task", LOCK_TASK);
    list_init(&task->threads);
    wait_queue_init(&task->left);
    list_init(&task->made);
    list_init(&task->head_link);
    if (join_household(task))
        return task;
    task_put(task);
    return NULL;
}

struct task *task_get(struct task *task)
{
    atomic_fetch_add_explicit(&task->refs, 1, memory_order_relaxed);
    return task;
}

struct task *task_next_made(struct task *head, struct task *after)
{
    struct task *next = NULL;

    spin_lock(&head->lock);
    for (struct list *at = after ? after->head_link.next : head->made.next;
         at != &head->made && !next; at = at->next) {
        struct task *task = list_entry(at, struct task, head_link);

        if (refs_get_unless_zero(&task->refs))
            next = task;
    }
    spin_unlock(&head->lock);
    if (after)
        task_put(after);
    return next;
}

/* They have no household of their own, so this goes one deep; and the head is dying, so that there
 * will be no more of them. */
static void end_household(struct task *head)
{
    struct task *task = NULL;

    while ((task = task_next_made(head, task)))
        task_kill(task);
}

/* Space and handles go. Once: whoever finds them takes them out under the lock. */
static void release_resources(struct task *task)
{
    spin_lock(&task->lock);
    struct mm *mm = task->mm;

    task->mm = NULL;
    spin_unlock(&task->lock);
    handle_table_close(&task->handles);
    if (atomic_exchange(&task->received, false))
        ipc_task_ended(task);
    end_household(task);
    if (!mm)
        return;
    mm_hooks.put(mm);
    atomic_store(&task->released, true);
    wait_wake_all(&task->left);
}

static void task_free(struct task *task)
{
    release_resources(task);
    if (task->server)
        port_put(task->server);
    if (task->head)
        task_put(task->head);
    slab_free(&task_cache, task);
}

/* A task's end may drop the last reference of others, whose ends may do the same: they come one
 * after the other, for a chain of them may be longer than the stack. */
void task_put(struct task *task)
{
    struct thread *self = current_thread();
    struct list ending = LIST_INIT(ending), *link;

    if (atomic_fetch_sub(&task->refs, 1) != 1)
        return;
    leave_household(task); /* its link is free for what comes */
    if (self->ending) {
        list_add_tail(&task->head_link, self->ending);
        return;
    }
    self->ending = &ending;
    list_add(&task->head_link, &ending);
    while ((link = list_pop(&ending)))
        task_free(list_entry(link, struct task, head_link));
    self->ending = NULL;
}

struct mm *task_mm_get(struct task *task)
{
    spin_lock(&task->lock);
    struct mm *mm = task->mm ? mm_hooks.get(task->mm) : NULL;
    spin_unlock(&task->lock);
    return mm;
}

struct mm *task_mm_get_for(const struct handle_ref *ref)
{
    struct task *task = ref->object;

    spin_lock(&task->lock);
    bool meant = ref->rights & MG_RIGHT_MANAGE || ref->cookie == task->spaces;
    struct mm *mm = task->mm && meant ? mm_hooks.get(task->mm) : NULL;
    spin_unlock(&task->lock);
    return mm;
}

s64 task_join(struct task *task, struct thread *thread)
{
    s64 status = -ESRCH;

    spin_lock(&task->lock);
    if (!atomic_load(&task->dying)) {
        list_add_tail(&thread->task_link, &task->threads);
        task->thread_count++;
        status = 0;
    }
    spin_unlock(&task->lock);
    return status;
}

void task_leave(struct task *task, struct thread *self)
{
    bool last;

    sched_account_final(self);
    spin_lock(&task->lock);
    list_remove(&self->task_link);
    task->user_ns += self->user_ns;
    task->kernel_ns += self->kernel_ns;
    last = --task->thread_count == 0;
    if (last)
        atomic_store(&task->dying, true);
    spin_unlock(&task->lock);
    wait_wake_all(&task->left);
    /* From here on a kernel thread: the space may go while it still runs. */
    irq_disable();
    self->task = &kernel_task;
    sched_switch_mm_hook(NULL);
    irq_enable();
    if (last)
        release_resources(task);
    task_put(task);
}

void task_kill(struct task *task)
{
    struct thread *thread;
    bool empty;

    spin_lock(&task->lock);
    atomic_store(&task->dying, true);
    list_for_each_entry(thread, &task->threads, task_link) {
        thread_kill(thread);
    }
    empty = task->thread_count == 0;
    spin_unlock(&task->lock);
    if (empty)
        release_resources(task);
}

s64 task_wait_released(struct task *task)
{
    for (;;) {
        wait_prepare(&task->left);
        if (atomic_load(&task->released)) {
            wait_cancel(&task->left);
            return 0;
        }
        s64 status = wait_sleep(&task->left, true, 0);

        if (status < 0)
            return status;
    }
}

/* 0 and the only thread that is to live on (or NULL) with a reference; -EAGAIN: others are still
 * dying; -EBUSY: there are more; -ESRCH. */
static s64 find_survivor(struct task *task, struct thread **survivor)
{
    struct thread *thread;
    s64 status = 0;

    *survivor = NULL;
    spin_lock(&task->lock);
    list_for_each_entry(thread, &task->threads, task_link) {
        if (atomic_load(&thread->work) & WORK_KILL)
            status = status == -EBUSY ? status : -EAGAIN;
        else if (*survivor)
            status = -EBUSY;
        else
            *survivor = thread;
    }
    if (atomic_load(&task->dying))
        status = -ESRCH;
    if (status == 0 && *survivor)
        thread_get(*survivor);
    spin_unlock(&task->lock);
    return status;
}

/* Waits until the threads that were killed have left. */
static s64 wait_for_survivor(struct task *task, struct thread **survivor)
{
    for (;;) {
        wait_prepare(&task->left);
        s64 status = find_survivor(task, survivor);

        if (status != -EAGAIN) {
            wait_cancel(&task->left);
            return status;
        }
        status = wait_sleep(&task->left, true, 0);
        if (status < 0)
            return status;
    }
}

/* Nobody but the survivor may run in the old space. */
static s64 exchange_space(struct task *task, const struct thread *survivor, struct mm *new,
                          struct mm **old)
{
    s64 status = 0;

    spin_lock(&task->lock);
    *old = task->mm;
    if (!*old)
        status = -ESRCH;
    else if (task->thread_count > (survivor ? 1 : 0))
        status = -EBUSY;
    else
        task->mm = new;
    task->spaces += status == 0;
    spin_unlock(&task->lock);
    return status;
}

s64 task_reset_space(struct task *task)
{
    struct mm *new = mm_hooks.create(), *old;
    struct thread *thread;

    if (!new)
        return -ENOMEM;
    s64 status = wait_for_survivor(task, &thread);
    if (status < 0) {
        mm_hooks.put(new);
        return status;
    }
    if (thread)
        status = thread_check_stopped(thread);
    if (status == 0 && thread)
        thread->clear_tid = thread->robust_list = 0; /* addresses in the space that goes */
    if (status == 0)
        status = exchange_space(task, thread, new, &old);
    /* If its reply came after the check, it may be in the kernel with the old space in hand. */
    if (status == 0 && thread)
        thread_let_pass(thread);
    if (thread)
        thread_put(thread);
    mm_hooks.put(status == 0 ? old : new);
    return status;
}

s64 task_fork(const struct handle_ref *parent, struct port *server, u64 cookie, u32 flags,
              struct task **child)
{
    struct mm *mm = task_mm_get_for(parent), *copy = mm;

    if (!mm)
        return -ESRCH;
    if (!(flags & MG_FORK_SHARE_SPACE)) {
        copy = mm_hooks.fork(mm);
        mm_hooks.put(mm);
        if (!copy)
            return -ENOMEM;
    }
    *child = task_create(copy, server, cookie);
    if (!*child)
        return -ENOMEM;
    task_set_name(*child, ((const struct task *)parent->object)->name);
    return 0;
}

void task_set_name(struct task *task, const char *name)
{
    struct thread *thread;

    spin_lock(&task->lock);
    strlcpy(task->name, name, sizeof(task->name));
    list_for_each_entry(thread, &task->threads, task_link) {
        strlcpy(thread->name, task->name, sizeof(thread->name));
    }
    spin_unlock(&task->lock);
}

void task_times(struct task *task, struct cpu_times *times)
{
    struct thread *thread;

    spin_lock(&task->lock);
    times->user_ns = task->user_ns;
    times->kernel_ns = task->kernel_ns;
    times->total_ns = task->user_ns + task->kernel_ns;
    list_for_each_entry(thread, &task->threads, task_link) {
        struct cpu_times one;

        thread_times(thread, &one);
        times->user_ns += one.user_ns;
        times->kernel_ns += one.kernel_ns;
        times->total_ns += one.total_ns;
    }
    spin_unlock(&task->lock);
}
