/*
 * task.h: tasks: an address space, a table of handles, and the server that foreign calls go to.
 *
 * A task is ended by task_kill: its threads die at their next boundary with user mode or sleep, and
 * the last one to go tears down the space. It is reference counted; its threads and handles hold
 * references.
 */
#pragma once

#include "kernel/base/lock.h"
#include "kernel/task/handle.h"
#include "kernel/task/sync.h"
#include "lib/list.h"
#include "lib/types.h"

struct mm;
struct port;
struct thread;

#define TASK_NAME_BYTES 16

struct task {
    _Atomic u32 refs;
    struct mm *mm; /* NULL: the kernel's, or gone. Changes under lock, while no thread can run */
    struct handle_table handles;
    struct port *server; /* where calls and faults go; NULL = none. Set at most once */
    u64 cookie;          /* the server's name for it */
    u32 pid;             /* what getpid returns */
    char name[TASK_NAME_BYTES];
    struct task *head;     /* ends with that one; a reference. NULL: stands alone */
    _Atomic bool dying;    /* no new threads */
    _Atomic bool received; /* has taken a call: at its end somebody may await its reply */
    _Atomic bool released; /* has ended: space and handles are gone */

    struct spinlock lock; /* guards mm, and what follows up to spaces */
    struct list threads;  /* thread.task_link */
    u32 thread_count;
    u64 user_ns, kernel_ns; /* of threads that have ended */
    struct wait_queue left; /* for a thread that leaves, and for the release */
    struct list made;       /* head_link of the tasks whose head this one is */
    u32 spaces;             /* how often its space was exchanged */

    struct list head_link; /* in head->made, guarded by its lock; after the last put: to be ended */
};

extern struct task kernel_task;

/* A task with an empty address space (or with `mm`, whose reference is taken over, also on
 * failure). Takes a reference of server. It ends with the task that makes it, or with that one's
 * own head; the tasks that those with the system handle make stand alone. NULL = no memory. */
struct task *task_create(struct mm *mm, struct port *server, u64 cookie);
struct task *task_get(struct task *task);
void task_put(struct task *task); /* may sleep */
/* Marks all threads for death and wakes them; returns at once. */
void task_kill(struct task *task);
/* After task_kill: sleeps until the last thread has left, and space and handles are gone. 0 or
 * -EINTR. Not for a thread of the task. */
s64 task_wait_released(struct task *task);
/* Takes the task's space away and gives a new, empty one. At most one thread may be left that was
 * not killed, and it must be stopped or wait for a reply: else -EBUSY. Waits for killed ones to be
 * gone: -EINTR. -ENOMEM; -ESRCH when the task has ended. */
s64 task_reset_space(struct task *task);
/* A task whose space is a copy of the parent's, or the same one (MG_FORK_SHARE_SPACE). */
s64 task_fork(const struct handle_ref *parent, struct port *server, u64 cookie, u32 flags,
              struct task **child);
/* The tasks that end with `head`, one after the other, each with a reference that the next call
 * drops: begins with NULL, NULL after the last. */
struct task *task_next_made(struct task *head, struct task *after);
/* The task's space with a reference, NULL when it has none any more. */
struct mm *task_mm_get(struct task *task);
/* The same through a handle: NULL also when the space is not the one that the handle is for. */
struct mm *task_mm_get_for(const struct handle_ref *ref);
void task_set_name(struct task *task, const char *name);

struct cpu_times {
    u64 user_ns, kernel_ns;
    u64 total_ns; /* with what is not yet known to be one or the other */
};
/* Of all its threads, ended ones included. */
void task_times(struct task *task, struct cpu_times *times);

/* For thread.c. join: -ESRCH when the task is dying. leave: the last one ends the task; may
 * sleep. */
s64 task_join(struct task *task, struct thread *thread);
void task_leave(struct task *task, struct thread *thread);

/* How this floor reaches floor 5: making, copying and releasing address spaces. */
struct mm_hooks {
    struct mm *(*create)(void);
    struct mm *(*fork)(struct mm *mm); /* NULL = no memory */
    struct mm *(*get)(struct mm *mm);
    void (*put)(struct mm *mm); /* may sleep */
};
extern struct mm_hooks mm_hooks;
