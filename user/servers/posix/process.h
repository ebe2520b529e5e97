/*
 * Processes and threads, as POSIX knows them.
 *
 * A process is a task of the kernel, with what the kernel does not know about it: its place in the
 * tree, identity, files, signals and limits. A thread is a thread of that task. What clone may
 * share between processes (open files, directories, signal handlers) is reference counted.
 *
 *     parent --children--> process --threads--> thread --token--> the call it waits in
 *
 * A process without a thread is a zombie: it keeps its number and status until the parent waits.
 * Its task is gone by then. The kernel names a thread to us by its cookie, see thread_from_cookie.
 */
#pragma once

#include "lib/list.h"
#include "lib/types.h"
#include "user/servers/posix/event.h"
#include "user/servers/posix/signals.h"
#include <merganser/abi.h>
#include <sys/resource.h>

struct fd_table;
struct fs_context;
struct inode;

#define PID_MAX 32768
#define GROUPS_MAX 32
#define NAME_BYTES 16

struct credentials {
    u32 uid, euid, suid, fsuid;
    u32 gid, egid, sgid, fsgid;
    u32 group_count, groups[GROUPS_MAX];
    u64 cap_effective, cap_permitted, cap_inheritable;
};

/* The capabilities that something here asks for. */
enum {
    CAP_SETGID = 6,
    CAP_SETUID = 7,
    CAP_IPC_LOCK = 14,
    CAP_SYS_ADMIN = 21,
    CAP_SYS_RESOURCE = 24,
};

static inline bool has_capability(const struct credentials *cred, u32 which)
{
    return cred->cap_effective >> which & 1;
}

/* CPU time and the like of processes that were waited for. */
struct usage {
    u64 user_ns, kernel_ns, minor_faults, major_faults, max_rss; /* the last in pages */
    u64 voluntary, involuntary;
};

enum { ITIMERS = 3 }; /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */

struct interval_timer {
    struct timer timer;
    struct process *process;
    u64 expires, interval; /* in ns of the clock it counts by; 0 = not set */
};

/* What execve leaves for /proc: where the strings lie in the process's memory, and the program. */
struct program {
    struct inode *exe; /* a reference, or NULL */
    u64 arg_start, arg_end, env_start, env_end;
    u64 code_start, code_end, data_start, data_end, stack;
    u64 auxv[48];
    usize auxv_bytes;
};

struct process {
    u32 pid, pgid, sid;
    mg_handle task;              /* 0 for a zombie */
    bool zombie, stopped, exiting;
    bool executed;               /* has called execve since fork: setpgid refuses it */
    u32 status;                  /* wait status once it is a zombie or stopped */
    u32 exit_signal;             /* what the parent gets, SIGCHLD as a rule */

    struct process *parent;
    struct list children;        /* process.sibling */
    struct list sibling;
    struct list all_link;        /* in process_all */
    struct wait_queue child_wait;

    struct list threads;         /* thread.process_link */
    u32 thread_count;
    struct thread *leader;       /* NULL once it has ended before the others */

    struct credentials cred;
    struct fd_table *files;
    struct fs_context *fs;
    struct signal_actions *actions;
    struct pending pending;
    struct program program;
    struct rlimit limits[RLIM_NLIMITS];
    char name[NAME_BYTES];       /* of a zombie */

    struct thread *vfork_parent; /* sleeps until this process has executed or ended */
    struct wait_queue vfork_wait;

    struct interval_timer itimers[ITIMERS];
    struct list ptimers; /* struct ptimer.link */
    u32 next_ptimer;
    struct list ksm_regions;     /* what it registered by /dev/ksm: ksm_device.c */
    struct usage usage;          /* its own, filled in when it ends */
    struct usage children_usage;
    u64 start_time;              /* CLOCK_MONOTONIC, ns */
    int oom_score_adj;
    u32 personality, dumpable, death_signal;
    u32 changed;                 /* WAIT_* events not yet reported to the parent */
    bool subreaper, no_new_privileges, keep_capabilities;
};

enum { WAIT_STOPPED = 1, WAIT_CONTINUED = 2 };

struct thread {
    u32 tid;
    u64 cookie;
    struct process *process;
    struct list process_link;
    mg_handle handle;

    /* The call or fault it waits in. */
    u64 token;         /* 0 = it runs */
    u32 number;        /* of the call; ~0 for a fault */
    u64 args[6];
    bool tried;        /* its handler runs again, after WAITING */
    bool sleeping;     /* on wait queues, or to be woken by a timer */
    bool ready;        /* on the ready list */
    bool timed_out;
    u64 done;          /* bytes moved by earlier tries, or what else the handler keeps */
    u64 deadline;      /* of the call, worked out by the first try */
    struct list waiters; /* struct waiter.thread_link */
    struct waiter waiter; /* the first of them; more are allocated */
    struct list ready_link;
    struct timer timer;

    /* Signals. */
    u64 blocked;
    u64 saved_blocked; /* to be put back after sigsuspend and the like */
    bool restore_blocked;
    bool suspended;    /* by job control: must not run in user mode */
    struct pending pending;
    struct alternate_stack altstack;
    u64 trap, trap_error, trap_address; /* of its last fault, for the frame */
    char name[NAME_BYTES];
    s32 nice;
    u32 policy; /* SCHED_OTHER, SCHED_BATCH or SCHED_IDLE */
};

extern struct list process_all;     /* process.all_link */
extern struct process *process_init; /* pid 1 */
extern u32 process_count, thread_count, thread_limit;
extern u32 last_pid;

/* The table of pids and tids: who has a number, or NULL. */
struct process *process_find(u32 pid);
struct thread *thread_find(u32 tid);

/* The living thread that a cookie in a message names, or NULL. */
struct thread *thread_from_cookie(u64 cookie);

/* A process without task or threads, child of `parent` (NULL for the first). NULL = no number. */
struct process *process_create(struct process *parent);

/* Undoes process_create for a process that never ran. */
void process_discard(struct process *process);

/*
 * A thread of a process whose task exists, suspended; with the process's pid if it is the first.
 * 0, -EAGAIN or the kernel's error.
 */
long thread_create(struct process *process, struct thread **thread);

/* For exit.c: forgets a thread, and a zombie's number. */
void thread_free(struct thread *thread);
void process_free_number(struct process *process);

/* Makes the only thread left the one with the process's number. */
void thread_become_leader(struct thread *thread);

/* Ends one thread; the last one ends the process with `status` (wait status). */
void thread_exit(struct thread *thread, u32 status);

/* Ends every thread but one, for execve; that one takes over the process's number. */
void process_kill_others(struct thread *thread);

/* Ends a process: all threads, the task, files; then it is a zombie, or gone. */
void process_exit(struct process *process, u32 status);

/* Frees a zombie, after its usage went to the parent. */
void process_reap(struct process *process);

/* Lets a parent know that a child ended, stopped or continued. */
void process_notify_parent(struct process *process, int code);

/* May `thread` act on the process as kill(2) and others ask? */
bool process_may_control(const struct thread *thread, const struct process *target);

/* The end of a process's interval timers (itimer.c) and POSIX timers (ptimer.c). */
void itimers_stop(struct process *process);
void ptimers_delete(struct process *process);

/* CPU times of a living process so far, or of a zombie when it ended. */
void process_get_usage(struct process *process, struct usage *usage);

/* Is some process of the group in this session? */
bool process_group_exists(u32 pgid, u32 sid);

/* Is nobody left who could continue the group when it stops? */
bool process_group_is_orphaned(u32 pgid);

/* Sends SIGHUP and SIGCONT to stopped groups that nobody is left to look after. */
void process_check_orphans(struct process *process);

/* Answers the call the thread waits in; then it runs, in a signal handler where one is due. */
void thread_finish(struct thread *thread, long result);

/* The same without a look at signals. */
void thread_reply(struct thread *thread, u64 label, u64 value);

/* Sends the answer that is kept back to be combined with the next receive. */
void reply_flush(void);

/* The server's own handles. */
extern mg_handle server_port;
