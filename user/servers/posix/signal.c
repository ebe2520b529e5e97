/*
 * Generating signals and delivering them; see signals.h.
 *
 * To generate only queues: the thread that is to take the signal is put on the ready list, and what
 * the signal does (a frame, a stop, the end of the process) happens from the main loop or at the
 * end of the thread's call. So no caller of signal_send_* finds a process gone under its feet.
 */
#include "user/servers/posix/process.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STOPS                                                                                      \
    (SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) | SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))
#define IGNORED_BY_DEFAULT                                                                         \
    (SIGNAL_BIT(SIGCHLD) | SIGNAL_BIT(SIGURG) | SIGNAL_BIT(SIGWINCH) | SIGNAL_BIT(SIGCONT))
#define SYNCHRONOUS                                                                                \
    (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) |         \
     SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGSYS))
#define RETRY_NS 1000000

/* ---- Actions ---- */

struct signal_actions *signal_actions_create(void)
{
    struct signal_actions *actions = calloc(1, sizeof *actions);

    if (actions)
        actions->refs = 1;
    return actions;
}

struct signal_actions *signal_actions_copy(const struct signal_actions *from)
{
    struct signal_actions *actions = signal_actions_create();

    if (actions)
        memcpy(actions->action, from->action, sizeof from->action);
    return actions;
}

void signal_actions_put(struct signal_actions *actions)
{
    if (!--actions->refs)
        free(actions);
}

void signal_reset_for_exec(struct thread *thread)
{
    struct process *process = thread->process;
    struct signal_actions *actions = process->actions;

    if (actions->refs > 1) {
        actions = signal_actions_copy(actions);
        if (!actions)
            return;
        signal_actions_put(process->actions);
        process->actions = actions;
    }
    for (int number = 1; number <= SIGNALS; number++) {
        bool ignored = actions->action[number].handler == (u64)SIG_IGN;

        actions->action[number] = (struct action){.handler = ignored ? (u64)SIG_IGN : 0};
    }
    thread->altstack = (struct alternate_stack){.flags = SS_DISABLE};
}

/* ---- Queues ---- */

void signal_pending_init(struct pending *pending)
{
    pending->set = 0;
    list_init(&pending->queue);
}

static void pending_remove(struct pending *pending, u64 set)
{
    struct queued_signal *entry, *after;

    pending->set &= ~set;
    list_for_each_entry_safe(entry, after, &pending->queue, link) {
        if (!(SIGNAL_BIT(entry->info.si_signo) & set))
            continue;
        list_remove(&entry->link);
        free(entry);
    }
}

void signal_pending_flush(struct pending *pending)
{
    pending_remove(pending, ~0ull);
}

struct wait_queue signal_arrived = {.waiters = LIST_INIT(signal_arrived.waiters)};

siginfo_t *signal_find_timer(struct pending *pending, int number, int timer)
{
    struct queued_signal *entry;

    list_for_each_entry(entry, &pending->queue, link) {
        const siginfo_t *info = &entry->info;

        if (info->si_signo == number && info->si_code == SI_TIMER && info->si_timerid == timer)
            return &entry->info;
    }
    return NULL;
}

/* An ordinary signal is pending once; each real-time signal sent is kept. */
static void pending_add(struct pending *pending, int number, const siginfo_t *info)
{
    struct queued_signal *entry;

    if (number < FIRST_REALTIME && pending->set & SIGNAL_BIT(number))
        return;
    pending->set |= SIGNAL_BIT(number);
    wait_wake(&signal_arrived);
    entry = malloc(sizeof *entry);
    if (!entry)
        return; /* delivered without information */
    if (info) {
        entry->info = *info;
    } else {
        memset(&entry->info, 0, sizeof entry->info);
        entry->info.si_code = SI_KERNEL;
    }
    entry->info.si_signo = number;
    list_add_tail(&entry->link, &pending->queue);
}

/* Takes the oldest of one number off; the bit stays while more of them are queued. */
static void pending_take(struct pending *pending, int number, siginfo_t *info)
{
    struct queued_signal *entry, *after;
    bool found = false;

    memset(info, 0, sizeof *info);
    info->si_signo = number;
    pending->set &= ~SIGNAL_BIT(number);
    list_for_each_entry_safe(entry, after, &pending->queue, link) {
        if (entry->info.si_signo != number)
            continue;
        if (found) {
            pending->set |= SIGNAL_BIT(number);
            return;
        }
        found = true;
        *info = entry->info;
        list_remove(&entry->link);
        free(entry);
    }
}

static int first_of(u64 set)
{
    if (set & SYNCHRONOUS)
        set &= SYNCHRONOUS;
    return set ? __builtin_ctzll(set) + 1 : 0;
}

int signal_take(struct thread *thread, u64 set, siginfo_t *info)
{
    struct pending *own = &thread->pending, *shared = &thread->process->pending;
    int number = first_of(own->set & set);

    if (number) {
        pending_take(own, number, info);
        return number;
    }
    number = first_of(shared->set & set);
    if (number)
        pending_take(shared, number, info);
    return number;
}

bool signal_pending(const struct thread *thread)
{
    const struct process *process = thread->process;
    u64 set = (thread->pending.set | process->pending.set) & ~thread->blocked;

    return process->stopped ? set & SIGNAL_BIT(SIGKILL) : set != 0;
}

/* ---- Generating ---- */

static bool is_ignored(const struct process *process, int number)
{
    const struct action *action = &process->actions->action[number];

    if (process == process_init && action->handler == (u64)SIG_DFL)
        return true; /* process 1 dies of nothing it has not asked for */
    return action->handler == (u64)SIG_IGN ||
           (action->handler == (u64)SIG_DFL && SIGNAL_BIT(number) & IGNORED_BY_DEFAULT);
}

/* Stop signals and SIGCONT cancel each other; SIGCONT works even when it is blocked or ignored. */
static void job_control(struct process *process, int number)
{
    struct thread *thread;
    u64 cancelled = number == SIGCONT            ? STOPS
                    : SIGNAL_BIT(number) & STOPS ? SIGNAL_BIT(SIGCONT)
                                                 : 0;

    if (!cancelled)
        return;
    pending_remove(&process->pending, cancelled);
    list_for_each_entry(thread, &process->threads, process_link) {
        pending_remove(&thread->pending, cancelled);
    }
    if (number == SIGCONT)
        signal_continue(process);
}

/* Lets a thread look at its signals: from its sleep in a call, or from wherever it is. */
static void thread_wake(struct thread *thread)
{
    if (signal_pending(thread) && (!thread->token || thread->sleeping))
        wait_retry(thread);
}

void signal_send_thread(struct thread *thread, int number, const siginfo_t *info)
{
    struct process *process = thread->process;

    if (process->exiting)
        return;
    job_control(process, number);
    if (is_ignored(process, number) && !(thread->blocked & SIGNAL_BIT(number)))
        return;
    pending_add(&thread->pending, number, info);
    thread_wake(thread);
}

/* The thread that takes a signal to the process: the first one if it will, else any that will. */
static struct thread *choose_thread(struct process *process, int number)
{
    struct thread *thread;

    if (process->leader && !(process->leader->blocked & SIGNAL_BIT(number)))
        return process->leader;
    list_for_each_entry(thread, &process->threads, process_link) {
        if (!(thread->blocked & SIGNAL_BIT(number)))
            return thread;
    }
    return NULL;
}

/* A thread in sigtimedwait takes signals that it blocks. */
static void wake_waiters(struct process *process)
{
    struct thread *thread;

    list_for_each_entry(thread, &process->threads, process_link) {
        if (thread->sleeping && thread->number == SYS_rt_sigtimedwait)
            wait_retry(thread);
    }
}

void signal_send_process(struct process *process, int number, const siginfo_t *info)
{
    struct thread *thread;

    if (process->exiting || process->zombie)
        return;
    job_control(process, number);
    thread = choose_thread(process, number);
    if (thread && is_ignored(process, number))
        return;
    pending_add(&process->pending, number, info);
    if (thread)
        thread_wake(thread);
    else
        wake_waiters(process);
}

void signal_send_group(u32 pgid, int number, const siginfo_t *info)
{
    struct process *process;

    list_for_each_entry(process, &process_all, all_link) {
        if (process->pgid == pgid)
            signal_send_process(process, number, info);
    }
}

void signal_force(struct thread *thread, int number, int code, u64 address)
{
    struct action *action = &thread->process->actions->action[number];
    siginfo_t info;

    memset(&info, 0, sizeof info);
    info.si_code = code;
    info.si_addr = (void *)address;
    if (thread->blocked & SIGNAL_BIT(number) || action->handler == (u64)SIG_IGN) {
        thread->blocked &= ~SIGNAL_BIT(number);
        action->handler = (u64)SIG_DFL;
    }
    pending_add(&thread->pending, number, &info);
}

bool signal_queue_is_full(const struct process *process)
{
    u64 queued = list_length(&process->pending.queue);
    const struct thread *thread;

    list_for_each_entry(thread, &process->threads, process_link) {
        queued += list_length(&thread->pending.queue);
    }
    return queued >= process->limits[RLIMIT_SIGPENDING].rlim_cur;
}

void signal_info_user(siginfo_t *info, const struct thread *sender, int number, int code)
{
    memset(info, 0, sizeof *info);
    info->si_signo = number;
    info->si_code = code;
    info->si_pid = (pid_t)sender->process->pid;
    info->si_uid = sender->process->cred.uid;
}

void signal_set_blocked(struct thread *thread, u64 mask)
{
    thread->blocked = mask & ~SIGNALS_UNBLOCKABLE;
}

void signal_set_blocked_for_call(struct thread *thread, u64 mask)
{
    if (!thread->restore_blocked)
        thread->saved_blocked = thread->blocked;
    thread->restore_blocked = true;
    signal_set_blocked(thread, mask);
}

/* ---- Job control ---- */

void signal_stop(struct process *process, int number)
{
    struct thread *thread;

    if (process->stopped)
        return;
    process->stopped = true;
    process->status = (u32)number << 8 | 0x7f;
    process->changed = WAIT_STOPPED;
    list_for_each_entry(thread, &process->threads, process_link) {
        mg_thread_suspend(thread->handle);
        thread->suspended = true;
    }
    process_notify_parent(process, CLD_STOPPED);
}

void signal_continue(struct process *process)
{
    struct thread *thread;

    if (!process->stopped)
        return;
    process->stopped = false;
    process->changed = WAIT_CONTINUED;
    list_for_each_entry(thread, &process->threads, process_link) {
        thread->suspended = false;
        mg_thread_resume(thread->handle);
        if (thread->sleeping || signal_pending(thread))
            wait_retry(thread);
    }
    process_notify_parent(process, CLD_CONTINUED);
}

/* ---- Delivering ---- */

/* A thread on its way back to user mode. */
struct delivery {
    struct thread *thread;
    struct mg_regs regs;
    bool loaded;  /* regs holds the thread's registers */
    bool handled; /* a handler will run */
    bool stolen;  /* it was running: suspended for this */
    long result;  /* of its call; RESTORED if the registers say all */
};

/* Puts the call's result into the registers, or has the call made again. */
static void apply_result(struct delivery *delivery, const struct action *handler)
{
    struct mg_regs *regs = &delivery->regs;
    long result = delivery->result;
    bool again = false;

    if (result == RESTORED)
        return;
    if (result == -ERESTARTSYS)
        again = !handler || handler->flags & SA_RESTART;
    else if (result == -ERESTARTNOHAND)
        again = !handler;
    if (again) {
        regs->rip -= 2; /* the length of `syscall` */
        regs->rax = delivery->thread->number;
    } else {
        bool interrupted = result == -ERESTARTSYS || result == -ERESTARTNOHAND;

        regs->rax = (u64)(interrupted ? -EINTR : result);
    }
    regs->orig_rax = ~0ul;
    delivery->result = RESTORED;
}

/* What a call that the kernel served, and that was interrupted, should come to. */
static long interrupted_result(const struct mg_regs *regs)
{
    if (regs->orig_rax == ~0ul || (long)regs->rax != -EINTR)
        return RESTORED;
    if (regs->orig_rax == SYS_futex && !regs->r10)
        return -ERESTARTSYS;
    return -EINTR;
}

static bool get_registers(struct delivery *delivery)
{
    delivery->loaded = mg_thread_get_state(delivery->thread->handle, MG_STATE_REGS, &delivery->regs,
                                           sizeof delivery->regs) >= 0;
    return delivery->loaded;
}

static void retry_later(struct timer *timer)
{
    wait_retry(container_of(timer, struct thread, timer));
}

/*
 * Brings a thread that runs, or sleeps in the kernel, to the boundary of user mode, and takes its
 * registers. False if its next call is already on its way to us: then that call's end delivers. A
 * thread that is not there yet (it waits for a disk) is tried again soon.
 */
static bool steal(struct delivery *delivery)
{
    struct thread *thread = delivery->thread;
    struct mg_thread_info info;

    /* No interrupt first: the call would have returned EINTR before we see that it was one. */
    mg_thread_suspend(thread->handle);
    delivery->stolen = true;
    if (mg_thread_info(thread->handle, &info) < 0 || info.state == MG_THREAD_WAITING_REPLY)
        return false;
    if (!get_registers(delivery)) {
        thread->timer.fire = retry_later;
        timer_set(&thread->timer, time_now() + RETRY_NS);
        return false;
    }
    delivery->result = interrupted_result(&delivery->regs);
    thread->number = (u32)delivery->regs.orig_rax;
    return true;
}

static bool load(struct delivery *delivery)
{
    if (delivery->loaded)
        return true;
    if (!delivery->thread->token)
        return steal(delivery);
    return get_registers(delivery);
}

/* A signal without handler. False if the process has ended by it. */
static bool default_action(struct thread *thread, int number)
{
    struct process *process = thread->process;

    if (is_ignored(process, number))
        return true;
    if (SIGNAL_BIT(number) & STOPS) {
        signal_stop(process, number);
        return true;
    }
    process_exit(process, (u32)number);
    return false;
}

/* Runs a handler: a frame on the stack, its mask, and what its flags ask for. */
static bool run_handler(struct delivery *delivery, int number, const siginfo_t *info)
{
    struct thread *thread = delivery->thread;
    struct action *action = &thread->process->actions->action[number];
    u64 mask = thread->restore_blocked ? thread->saved_blocked : thread->blocked;

    apply_result(delivery, action);
    if (signal_frame_push(thread, &delivery->regs, number, info, action, mask)) {
        process_exit(thread->process, SIGSEGV);
        return false;
    }
    delivery->handled = true;
    thread->restore_blocked = false;
    signal_set_blocked(thread, thread->blocked | action->mask |
                                   (action->flags & SA_NODEFER ? 0 : SIGNAL_BIT(number)));
    if (action->flags & SA_RESETHAND)
        action->handler = (u64)SIG_DFL;
    return true;
}

enum outcome { ENDED, LATER, DELIVERED };

static enum outcome deliver_one(struct delivery *delivery)
{
    struct thread *thread = delivery->thread;
    siginfo_t info;
    int number = signal_take(thread, ~thread->blocked, &info);
    u64 handler = thread->process->actions->action[number].handler;

    if (handler == (u64)SIG_IGN)
        return DELIVERED;
    if (handler == (u64)SIG_DFL)
        return default_action(thread, number) ? DELIVERED : ENDED;
    if (!load(delivery)) {
        pending_add(&thread->pending, number, &info);
        return LATER;
    }
    return run_handler(delivery, number, &info) ? DELIVERED : ENDED;
}

static enum outcome deliver_all(struct delivery *delivery)
{
    struct thread *thread = delivery->thread;
    enum outcome outcome = DELIVERED;

    if ((thread->pending.set | thread->process->pending.set) & SIGNAL_BIT(SIGKILL) &&
        thread->process != process_init) {
        process_exit(thread->process, SIGKILL);
        return ENDED;
    }
    while (outcome == DELIVERED && signal_pending(thread))
        outcome = deliver_one(delivery);
    if (outcome == DELIVERED && thread->restore_blocked && !thread->process->stopped) {
        thread->blocked = thread->saved_blocked;
        thread->restore_blocked = false;
        if (signal_pending(thread))
            return deliver_all(delivery);
    }
    return outcome;
}

static void store(struct delivery *delivery)
{
    mg_thread_set_state(delivery->thread->handle, MG_STATE_REGS, &delivery->regs,
                        sizeof delivery->regs);
}

void signal_return(struct thread *thread, long result)
{
    struct delivery delivery = {.thread = thread, .result = result};
    bool again = result == -ERESTARTSYS || result == -ERESTARTNOHAND;

    if (deliver_all(&delivery) == ENDED)
        return;
    if (again && load(&delivery))
        apply_result(&delivery, NULL);
    if (delivery.loaded) {
        apply_result(&delivery, NULL);
        store(&delivery);
        thread_reply(thread, MG_REPLY_RESUME, 0);
    } else if (result == RESTORED) {
        thread_reply(thread, MG_REPLY_RESUME, 0);
    } else {
        thread_reply(thread, MG_REPLY_RETURN, (u64)result);
    }
}

void signal_kick(struct thread *thread)
{
    struct delivery delivery = {.thread = thread, .result = RESTORED};

    reply_flush();
    if (deliver_all(&delivery) == ENDED)
        return;
    if (delivery.loaded) {
        apply_result(&delivery, NULL);
        store(&delivery);
    }
    if (delivery.stolen && !thread->suspended)
        mg_thread_resume(thread->handle);
}
