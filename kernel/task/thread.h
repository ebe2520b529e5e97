/*
 * thread.h: threads: what is scheduled; how they sleep, are woken, stopped and ended.
 *
 * Threads are reference counted; handles hold references. Their structures are never used for
 * anything else, so a stale IPC token, or a look at another CPU's current thread, may read one
 * safely.
 *
 * Who may do what to a thread that sleeps:
 *
 *     state word = THREAD_BLOCKED | (mask of WORK_* bits that may end the sleep) << 8
 *
 * Waking is one compare-and-swap of that word from BLOCKED to WAKING: exactly one waker wins, and
 * only it then puts the thread on a run queue. So every sleep ends by one of the wakers its sleeper
 * knows of: whoever finds it in a queue, its own time-out, or a work bit in the mask.
 */
#pragma once

#include "arch/x86_64/arch.h"
#include "kernel/base/cpu.h"
#include "kernel/base/lock.h"
#include "kernel/task/handle.h"
#include "kernel/task/sync.h"
#include "kernel/task/task.h"
#include "kernel/task/timer.h"
#include "lib/list.h"
#include "lib/types.h"
#include <merganser/abi.h>

struct port;

#define THREAD_MAX 32768

enum thread_state {
    THREAD_NEW,      /* never ran */
    THREAD_RUNNING,  /* on a CPU */
    THREAD_RUNNABLE, /* in a run queue */
    THREAD_BLOCKED,  /* sleeping; the upper bits say which work may wake it */
    THREAD_WAKING,   /* a waker has won and will make it runnable */
    THREAD_DEAD,
};
#define THREAD_STATE_MASK 0xffu
#define THREAD_BLOCKED_FOR(work) (THREAD_BLOCKED | (work) << 8)

enum ipc_state {
    IPC_IDLE,
    IPC_CALLING, /* queued at a port */
    IPC_AWAITING_REPLY,
    IPC_RECEIVING, /* queued at a port */
    IPC_BROKEN,    /* nobody will answer any more: EPIPE */
};
enum ipc_kind { IPC_MESSAGE, IPC_SYSCALL, IPC_FAULT }; /* what the thread's call carries */

/* Bits of thread->work: looked at before returning to user mode, and by sleeps that allow it. */
enum { WORK_KILL = 1, WORK_SUSPEND = 2, WORK_INTERRUPT = 4, WORK_ANY = 7 };

struct thread {
    struct arch_thread arch; /* first: entry code knows */
    void *stack_top;
    _Atomic u32 state;  /* enum thread_state and the wake mask */
    _Atomic u32 on_cpu; /* 1 until the CPU has left its stack: nobody else may run it before */
    _Atomic u32 work;   /* WORK_* */
    u32 cpu;            /* where it is queued or ran last; run queue lock, or claimed */
    struct task *task;  /* reference; kernel_task once it is dead */
    cpumask_t affinity;
    s64 wake_result;         /* what the waker says: 0, -ETIMEDOUT, -EINTR, ... */
    struct thread *previous; /* who gave it the CPU: valid right after a switch */

    /* IPC: guarded by the port's lock while CALLING or RECEIVING, by `awaiting` while it awaits a
     * reply (ipc.c), else the thread's own */
    struct {
        _Atomic u64 awaiting;     /* the token it sleeps for; who swaps it to 0 owns the reply */
        u64 token;                /* of its latest call: sequence << 32 | id */
        struct task *server;      /* whose reply it awaits; only compared, never followed */
        struct trap_frame *frame; /* its user registers, where messages are read and written */
        _Atomic u32 state;        /* enum ipc_state */
        u32 kind;                 /* enum ipc_kind */
        struct port *port;        /* where it is queued */
        struct list link;         /* in the port's queue of callers */
        struct thread *next_receiver;
        u64 cookie;               /* of the handle it called through */
        u64 fault, fault_address; /* IPC_FAULT */

        struct handle_ref passing;  /* a handle on its way out, or of no type */
        struct handle_ref incoming; /* one that was received and has no number yet */
    } ipc;

    /* scheduling: guarded by the run queue lock of `cpu` */
    struct list run_link;
    s32 nice;
    u32 priority; /* 0 highest .. 39; nice + 20 */
    u32 epoch;    /* turn of its run queue in which it may run */
    s64 slice;    /* ns left of its turn, while not running */
    u64 user_ns, kernel_ns;
    u64 unsplit_ns; /* run, but not yet known where: the next tick tells */
    u64 voluntary, involuntary;

    _Atomic u32 refs; /* 1 for being alive */
    u32 id;           /* index in the thread table */
    u32 tid;          /* what gettid returns */
    u64 cookie;       /* the server's name for it */
    struct list task_link;
    u64 clear_tid;   /* user address cleared and woken at the end; 0 = none */
    u64 robust_list; /* user address of the list of robust futexes; 0 = none */
    char name[TASK_NAME_BYTES];
    void (*entry)(void *); /* kernel threads: where they start */
    void *argument;
    void *fpu_memory; /* kept for the next thread in this structure */
    struct list *ending; /* of task_put: tasks whose last reference has gone */

    struct spinlock lock; /* guards suspended, regs_changed; rank LOCK_THREAD */
    bool suspended;       /* parked: has stopped for WORK_SUSPEND, registers complete */
    bool regs_changed;    /* somebody set its registers while it was parked */
    struct wait_queue suspenders; /* wait for it to stop */
    struct list wait_link;        /* in a wait queue */
    struct timer timer;           /* of its sleep */
    u64 restart_deadline;         /* of a sleep that is being taken up again; 0 = none */
#ifdef MG_DEBUG
    struct held_lock held[HELD_LOCKS]; /* while not running: sleeping locks it holds */
    u32 held_count;
#endif
};

/* By id; ids below thread_table_size have a structure, which stays. */
extern struct thread *thread_table[THREAD_MAX];
extern _Atomic u32 thread_table_size;

/* The current thread is to die: for loops that may be long, which then end early. */
static inline bool thread_is_dying(void)
{
    return atomic_load_explicit(&current_thread()->work, memory_order_relaxed) & WORK_KILL;
}

static inline u32 thread_state(struct thread *thread)
{
    return atomic_load_explicit(&thread->state, memory_order_acquire) & THREAD_STATE_MASK;
}

/* --- threads (thread.c) --- */

/* A user thread of task, not running: set its registers, then thread_resume. Two references: alive
 * and the caller's. -ENOMEM, -EAGAIN (too many threads), -ESRCH (the task is dying). */
s64 thread_create(struct task *task, u64 cookie, struct thread **thread);
/* A kernel thread; runs at once, on any CPU. NULL = no memory. The reference belongs to the
 * thread. */
struct thread *thread_create_kernel(const char *name, void (*entry)(void *), void *argument,
                                    s32 nice);
/* For sched.c: a thread structure around the running boot context, and an idle thread that never
 * stands in a queue. They panic without memory. */
struct thread *thread_adopt(const char *name);
struct thread *thread_create_idle(void (*entry)(void *));
struct thread *thread_get(struct thread *thread);
void thread_put(struct thread *thread); /* any context */
_Noreturn void thread_exit(void);
void thread_start_reaper(void);
/* There is something for the reaper to free. Any context. */
void thread_wake_reaper(void);

/* --- stopping and ending (work.c) --- */

/* Starts a new thread, or lets a suspended one go on. */
void thread_resume(struct thread *thread);
/* Returns when the thread is out of user mode and will not go back before resume: it is parked,
 * waits for the reply to a call, never ran, or is dead. Interruptible: -EINTR. A sleep it was in is
 * taken up again by resume, with its old deadline, as if nothing had been, unless it was
 * interrupted too or its registers were set meanwhile. -EDEADLK for oneself. */
s64 thread_suspend(struct thread *thread);
/* A sleep the thread is in, or gets into before it is back in user mode, ends with EINTR. */
void thread_interrupt(struct thread *thread);
void thread_kill(struct thread *thread);
/* For changing a stopped thread's state: waits until its CPU has left it. -EBUSY when it is not
 * stopped: neither new, parked, nor waiting for the reply to a forwarded call. */
s64 thread_check_stopped(struct thread *thread);
/* Returns when the thread has left behind whatever it was doing in the kernel and in user mode
 * since before the call. At once if it is stopped. Not for oneself. */
void thread_let_pass(struct thread *thread);
/* Its registers were set from outside: whatever it was doing is not taken up again. */
void thread_regs_set(struct thread *thread);
/* The current thread was woken from an interruptible sleep by work. Dies or parks as asked; true:
 * take the sleep up again. False: end the call; with EINTR unless *changed, then leave the
 * registers alone. */
bool thread_sleep_ended(bool *changed);
/* Wakes who waits for the current thread to stop. */
void thread_tell_suspenders(struct thread *thread);

/* --- the scheduler (sched.c, sched_policy.c, idle.c) --- */

/* Makes the boot context a thread. */
void sched_init(void);
/* Gives the CPU away if somebody else should run; the caller stays runnable. */
void sched_yield(void);
/* For long loops in kernel threads and calls: yields when its turn is over. Must hold no
 * spinlock. */
void sched_point(void);

/* The two halves of every sleep. After sched_prepare_sleep no wake is lost; the caller checks its
 * condition and drops its locks, then gives up the CPU by sched_sleep until it is woken (the result
 * is the waker's), or goes on by sched_cancel_sleep. */
void sched_prepare_sleep(void);
s64 sched_sleep(void);
void sched_cancel_sleep(void);
/* As sched_prepare_sleep, but these work bits may end it: to be looked for before sched_sleep. */
void sched_prepare_sleep_for(u32 mask);
/* sched_sleep after sched_prepare_sleep, but ends with -EINTR when one of the work bits in mask is
 * or becomes pending, and with -ETIMEDOUT at `deadline` (time_ns; 0 = never). */
s64 sched_sleep_for(u32 mask, u64 deadline);
static inline s64 sched_sleep_interruptible(u64 deadline)
{
    return sched_sleep_for(WORK_ANY, deadline);
}

/* Wakes a blocked thread with a result; false when it was not blocked (somebody else was first).
 * Any context. Only for those whom the sleeper expects: see above. */
bool sched_wake(struct thread *thread, s64 result);
/* Wakes a thread whose sleep allows one of these work bits to end it. */
void sched_wake_for_work(struct thread *thread, u32 work);
/* Makes the CPU on which the thread runs, if it does, look at thread->work soon. */
void sched_kick(struct thread *thread);
/* A new thread's first run. False when it had been started before. */
bool sched_start(struct thread *thread);
/* Kernel threads: until time_ns() reaches `when`. */
void sched_sleep_until(u64 when);

/* -20..19; -EINVAL outside. */
s64 sched_set_nice(struct thread *thread, s32 nice);
/* -EINVAL when no running CPU is in the mask. Takes effect before it returns, except for a thread
 * that is running elsewhere: that one moves at its next boundary. */
s64 sched_set_affinity(struct thread *thread, cpumask_t mask);
extern _Atomic cpumask_t sched_cpus; /* CPUs that run threads */
void thread_times(struct thread *thread, struct cpu_times *times);
/* The current thread ends: everything it ran becomes user or kernel time. */
void sched_account_final(struct thread *self);
struct mg_cpu_stats;
void sched_cpu_stats(u32 cpu, struct mg_cpu_stats *stats);


/* How floor 5 hears that the CPU is about to run a thread of this mm (NULL: a kernel thread).
 * Interrupts are off. */
extern void (*sched_switch_mm_hook)(struct mm *next);
