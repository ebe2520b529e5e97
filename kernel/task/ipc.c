/*
 * ipc.c: calls, receives and replies.
 *
 * A message is copied once, from the registers of one thread to those of the other: both lie at the
 * top of their kernel stacks.
 *
 *     caller                                           receiver
 *     IDLE ─▶ CALLING ── a receiver takes it ─▶        RECEIVING ─▶ IDLE, with the message
 *       │                                              (a thread of the same task replies)
 *       └── a receiver waits ──▶ AWAITING_REPLY ─▶ IDLE, with the reply
 *
 * Who may touch a sleeping thread's registers and state:
 *   - CALLING, RECEIVING: who holds the port's lock and takes it out of the queue. A thread that
 *     wakes up for another reason takes the lock and looks whether it is still queued. ipc.port may
 *     be dead and even another port by then; it stays a port (port.c), and the state says that it
 *     is not queued.
 *   - AWAITING_REPLY: who changes ipc.awaiting from the token to 0 by compare-and-swap. The token
 *     names one call of one thread, so a stale one never fits; ipc.server does not change while
 *     awaiting holds the token. The winner writes the registers, claims the sleeper, then changes
 *     the state; a caller that loses its own token to him waits for the state. In both cases the
 *     waker's claim comes before the step that lets a thread that is awake go on (the unlock, the
 *     state), so it never hits a later sleep of the same thread.
 *
 * The fast path, both ways: no reference is counted (a lock that is taken under the handle table's
 * lock pins the port), no queue of the scheduler is touched and no clock is read; the CPU goes
 * straight to the other thread. Interrupts are off from the first look at the port to the switch,
 * and on again in the thread that was switched to when it leaves.
 */
#include "kernel/task/ipc.h"
#include "kernel/base/counter.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/task/port.h"
#include "kernel/task/sched.h"

/* --- finding the port --- */

/*
 * Locks the port that a handle of the task names; NULL: there is none with this right. Interrupts
 * are off. While the table is locked the entry holds a reference, and who drops the last one takes
 * port->lock before: so once we hold that lock the port stays until we let go, or break our sleep
 * in it.
 */
static always_inline struct port *lock_port(struct task *task, u64 handle, u32 right, u64 *cookie)
{
    struct handle_table *table = &task->handles;
    struct port *port = NULL;

    spin_lock(&table->lock);
    if (likely(handle < table->size)) {
        const struct handle_entry *entry = &table->entries[handle];

        if (likely((entry->key & (HANDLE_KEY_TYPE | right)) == HANDLE_KEY(HANDLE_PORT, right))) {
            port = entry->object;
            *cookie = entry->cookie;
            spin_lock(&port->lock);
        }
    }
    spin_unlock(&table->lock);
    return port;
}

static noinline_fn s64 port_error(struct task *task, u64 handle, u32 right)
{
    struct handle_ref ref;
    s64 status = -EBADF;

    irq_enable();
    if (handle <= ~0u)
        status = handle_lookup(task, (mg_handle)handle, HANDLE_PORT, right, &ref);
    if (status == 0) {
        handle_ref_put(&ref); /* it has appeared since */
        status = -EBADF;
    }
    return status;
}

/* --- handles in messages --- */

/* The handle the current thread wants to pass on, with a reference. */
static noinline_fn s64 take_passed(struct thread *self, u64 handle)
{
    if (handle > ~0u)
        return -EBADF;
    return handle_lookup(self->task, (mg_handle)handle, HANDLE_FREE, MG_RIGHT_PASS,
                         &self->ipc.passing);
}

static noinline_fn void give_passed(struct thread *from, struct thread *to)
{
    to->ipc.incoming = from->ipc.passing;
    from->ipc.passing.type = HANDLE_FREE;
}

/* Gives a handle that came with a message its number; 0 if there is no room. Interrupts are on. */
static noinline_fn void name_incoming(struct thread *self, struct trap_frame *frame)
{
    s64 handle = handle_install(self->task, &self->ipc.incoming, 0);

    frame->rbx = handle > 0 ? (u64)handle : 0;
}

/* The end of every call and receive. */
static always_inline s64 finish(struct thread *self, struct trap_frame *frame, s64 status)
{
    irq_enable();
    if (unlikely(self->ipc.incoming.type))
        name_incoming(self, frame);
    if (unlikely(self->ipc.passing.type))
        handle_ref_put(&self->ipc.passing);
    return status;
}

/* --- messages --- */

static always_inline void copy_words(struct trap_frame *to, const struct trap_frame *from)
{
    to->rdx = from->rdx;
    to->r10 = from->r10;
    to->r8 = from->r8;
    to->r9 = from->r9;
    to->r12 = from->r12;
    to->r13 = from->r13;
    to->r14 = from->r14;
    to->rbx = 0;
}

static void write_syscall(struct trap_frame *to, const struct trap_frame *from)
{
    to->rdx = MG_LABEL_SYSCALL + from->error_code;
    to->r10 = from->rdi;
    to->r8 = from->rsi;
    to->r9 = from->rdx;
    to->r12 = from->r10;
    to->r13 = from->r8;
    to->r14 = from->r9;
    to->rbx = 0;
}

static void write_fault(struct trap_frame *to, const struct thread *caller)
{
    const struct trap_frame *from = caller->ipc.frame;

    to->rdx = MG_LABEL_FAULT + caller->ipc.fault;
    to->r10 = caller->ipc.fault_address;
    to->r8 = from->vector;
    to->r9 = from->error_code;
    to->r12 = from->rip;
    to->r13 = to->r14 = 0;
    to->rbx = 0;
}

/* The receiver gets the caller's message, the caller a new token. Both are asleep or about to be,
 * and ours: the port is locked. Publishing the token is the last step: from then on the reply may
 * come. */
static always_inline void take_call(struct thread *caller, enum ipc_kind kind, u64 cookie,
                                    struct thread *receiver)
{
    struct trap_frame *to = receiver->ipc.frame;
    u64 token = caller->ipc.token += 1ul << 32;

    to->rax = 0;
    to->rdi = cookie;
    to->rsi = token;
    if (likely(kind == IPC_MESSAGE))
        copy_words(to, caller->ipc.frame);
    else if (kind == IPC_SYSCALL)
        write_syscall(to, caller->ipc.frame);
    else
        write_fault(to, caller);
    if (unlikely(caller->ipc.passing.type))
        give_passed(caller, receiver);
    caller->ipc.server = receiver->task;
    atomic_store_explicit(&receiver->task->received, true, memory_order_relaxed);
    atomic_store_explicit(&caller->ipc.state, IPC_AWAITING_REPLY, memory_order_relaxed);
    atomic_store_explicit(&caller->ipc.awaiting, token, memory_order_release);
}

/* The thread that a token names, with its reply now ours to give; NULL: stale, or not ours. */
static always_inline struct thread *claim_reply(struct thread *self, u64 token)
{
    u32 id = (u32)token;
    struct thread *caller;

    if (unlikely(id >= THREAD_MAX))
        return NULL;
    caller = __atomic_load_n(&thread_table[id], __ATOMIC_ACQUIRE);
    if (unlikely(!caller || /* as is thread_table[0], so token is not 0 */
                 atomic_load_explicit(&caller->ipc.awaiting, memory_order_acquire) != token ||
                 caller->ipc.server != self->task))
        return NULL;
    return atomic_compare_exchange_strong(&caller->ipc.awaiting, &token, 0) ? caller : NULL;
}

/* Writes the reply and claims the caller. Returns it, to be run; NULL if it is awake. */
static always_inline struct thread *write_reply(struct thread *caller, struct thread *self,
                                                const struct trap_frame *from)
{
    struct trap_frame *to = caller->ipc.frame;

    if (likely(caller->ipc.kind == IPC_MESSAGE)) {
        to->rax = 0;
        copy_words(to, from);
        if (unlikely(self->ipc.passing.type))
            give_passed(self, caller);
    } else if (from->rdx == MG_REPLY_RETURN) {
        to->rax = from->r10;
    }
    bool claimed = sched_claim_from(caller, THREAD_BLOCKED_FOR(WORK_KILL));

    atomic_store_explicit(&caller->ipc.state, IPC_IDLE, memory_order_release);
    return likely(claimed) ? caller : NULL;
}

/* --- calling --- */

/* Takes a caller that was woken by work out of the port's queue. False: a receiver had taken its
 * call. */
static bool leave_callers(struct thread *self)
{
    struct port *port = self->ipc.port;
    u64 flags = spin_lock_irq(&port->lock);
    bool queued = atomic_load(&self->ipc.state) == IPC_CALLING;

    if (queued) {
        list_remove(&self->ipc.link);
        atomic_store(&self->ipc.state, IPC_IDLE);
    }
    spin_unlock_irq(&port->lock, flags);
    return queued;
}

/* Somebody has claimed our reply, and writes it right now with interrupts off. */
static void wait_for_writer(struct thread *self)
{
    while (atomic_load_explicit(&self->ipc.state, memory_order_acquire) == IPC_AWAITING_REPLY)
        spin_wait();
}

/* A call that was taken, whose caller is to die: true if the reply is not to come any more. */
static bool give_up_reply(struct thread *self)
{
    u64 token = self->ipc.token;

    if (atomic_compare_exchange_strong(&self->ipc.awaiting, &token, 0)) {
        atomic_store(&self->ipc.state, IPC_IDLE);
        return true;
    }
    wait_for_writer(self);
    return false;
}

/* Sleeps again for the reply to a call that was taken, after a wake by SUSPEND. */
static void await_reply(struct thread *self)
{
    sched_prepare_sleep_for(WORK_KILL);
    thread_tell_suspenders(self);
    if (atomic_load(&self->ipc.awaiting) && !(atomic_load(&self->work) & WORK_KILL)) {
        sched_sleep();
        return;
    }
    sched_cancel_sleep();
    if (!atomic_load(&self->ipc.awaiting))
        wait_for_writer(self);
}

/* The sleep of a call ended otherwise than by the reply, or was not entered. 0 if the reply is
 * there after all. */
static noinline_fn s64 call_interrupted(struct thread *self)
{
    irq_enable();
    for (;;) {
        switch (atomic_load_explicit(&self->ipc.state, memory_order_acquire)) {
        case IPC_IDLE: return 0;
        case IPC_BROKEN: atomic_store(&self->ipc.state, IPC_IDLE); return -EPIPE;
        case IPC_CALLING:
            if (leave_callers(self))
                return -EINTR;
            break;
        default:
            if (!(atomic_load(&self->work) & WORK_KILL))
                await_reply(self);
            else if (give_up_reply(self))
                return -EINTR;
        }
    }
}

/* Nobody waits at the port, which is locked: gets into the queue and sleeps. Messages of the
 * kernel's own may be taken back when the thread is to be suspended. */
static noinline_fn s64 call_queue(struct thread *self, struct port *port, u64 cookie)
{
    u32 mask = self->ipc.kind == IPC_MESSAGE ? WORK_KILL : WORK_KILL | WORK_SUSPEND;
    u32 state = THREAD_BLOCKED_FOR(WORK_KILL);

    if (port->dead) {
        spin_unlock(&port->lock);
        sched_cancel_sleep();
        return -EPIPE;
    }
    count(COUNT_ipc_call);
    self->ipc.port = port;
    self->ipc.cookie = cookie;
    atomic_store(&self->ipc.state, IPC_CALLING);
    list_add_tail(&self->ipc.link, &port->callers);
    atomic_compare_exchange_strong(&self->state, &state, THREAD_BLOCKED_FOR(mask));
    spin_unlock(&port->lock);
    if (atomic_load(&self->work) & mask)
        sched_cancel_sleep();
    else
        sched_schedule();
    return call_interrupted(self);
}

/* The port is locked, interrupts are off and the thread is prepared to sleep. */
static always_inline s64 call_port(struct thread *self, enum ipc_kind kind, struct port *port,
                                   u64 cookie)
{
    struct thread *receiver = port->receivers;

    if (unlikely(!receiver))
        return call_queue(self, port, cookie);
    port->receivers = receiver->ipc.next_receiver;
    atomic_store_explicit(&receiver->ipc.state, IPC_IDLE, memory_order_relaxed);
    take_call(self, kind, cookie, receiver);
    if (unlikely(!sched_claim_from(receiver, THREAD_BLOCKED_FOR(WORK_ANY))))
        receiver = NULL;
    spin_unlock(&port->lock);
    count(COUNT_ipc_fast);
    sched_hand_over(self, receiver);
    return likely(self->wake_result == 0) ? 0 : call_interrupted(self);
}

/* Prepares the sleep of a call; false: the thread is to die. */
static always_inline bool prepare_call(struct thread *self)
{
    irq_disable();
    atomic_exchange(&self->state, THREAD_BLOCKED_FOR(WORK_KILL));
    return likely(
        !(atomic_load_explicit(&self->work, memory_order_relaxed) & (WORK_KILL | WORK_SUSPEND)));
}

s64 ipc_call(struct trap_frame *frame)
{
    struct thread *self = current_thread();
    u64 cookie;

    if (unlikely(frame->rbx)) {
        s64 status = take_passed(self, frame->rbx);

        if (status < 0)
            return status;
    }
    self->ipc.kind = IPC_MESSAGE;
    if (unlikely(!prepare_call(self))) {
        if (atomic_load(&self->work) & WORK_KILL) {
            sched_cancel_sleep();
            return finish(self, frame, -EINTR);
        }
        thread_tell_suspenders(self); /* the call goes on, and it parks afterwards */
    }
    struct port *port = lock_port(self->task, frame->rdi, MG_RIGHT_WRITE, &cookie);

    if (unlikely(!port)) {
        sched_cancel_sleep();
        return finish(self, frame, port_error(self->task, frame->rdi, MG_RIGHT_WRITE));
    }
    return finish(self, frame, call_port(self, IPC_MESSAGE, port, cookie));
}

/* Sends one of the kernel's own messages to the task's server. */
static s64 forward(struct thread *self, enum ipc_kind kind)
{
    struct port *port = self->task->server;

    if (unlikely(!port))
        return -ENOSYS;
    self->ipc.kind = kind;
    if (unlikely(!prepare_call(self))) {
        sched_cancel_sleep();
        irq_enable();
        return -EINTR;
    }
    spin_lock(&port->lock);
    s64 status = call_port(self, kind, port, self->cookie);

    irq_enable();
    return status;
}

s64 ipc_forward_syscall(struct trap_frame *frame)
{
    (void)frame;
    count(COUNT_syscall_forwarded);
    return forward(current_thread(), IPC_SYSCALL);
}

static const char *const fault_names[] = {
    [MG_FAULT_MAPERR] = "touched unmapped memory", [MG_FAULT_ACCERR] = "was refused memory",
    [MG_FAULT_BUS] = "touched lost memory",        [MG_FAULT_OOM] = "found no memory",
    [MG_FAULT_TRAP] = "hit a processor exception",
};

void ipc_forward_fault(struct trap_frame *frame, enum mg_fault fault, va_t address)
{
    struct thread *self = current_thread();

    count(COUNT_fault_forwarded);
    self->ipc.fault = fault;
    self->ipc.fault_address = address;
    s64 status = forward(self, IPC_FAULT);

    /* Interrupted by a suspend: the instruction will fault again. */
    if (status == 0 || status == -EINTR)
        return;
    log_line("task %s %s, with nobody to tell: address %#lx, rip %#lx, trap %lu, error %#lx",
             self->task->name, fault_names[fault], address, frame->rip, frame->vector,
             frame->error_code);
    task_kill(self->task);
}

/* --- receiving --- */

static void leave_receivers(struct thread *self, struct port *port)
{
    struct thread **at = &port->receivers;

    while (*at != self)
        at = &(*at)->ipc.next_receiver;
    *at = self->ipc.next_receiver;
}

/* The sleep of a receiver ended otherwise than by a message, or was not entered. */
static noinline_fn s64 recv_interrupted(struct thread *self)
{
    struct port *port = self->ipc.port;
    u64 flags = spin_lock_irq(&port->lock);
    u32 state = atomic_load(&self->ipc.state);

    if (state == IPC_RECEIVING)
        leave_receivers(self, port);
    atomic_store(&self->ipc.state, IPC_IDLE);
    spin_unlock_irq(&port->lock, flags);
    return state == IPC_RECEIVING ? -EINTR : state == IPC_BROKEN ? -EPIPE : 0;
}

/* A receive that does not sleep, though it is prepared to: something waits at the port, which is
 * locked, or there is none. */
static noinline_fn s64 receive_awake(struct thread *self, const struct trap_frame *frame,
                                     struct port *port, struct thread *caller)
{
    u64 handle = frame->rdi; /* the message overwrites it */

    if (port && port->notified) {
        port_deliver_notification(port, self->ipc.frame);
    } else if (port) {
        struct thread *first = list_first_entry(&port->callers, struct thread, ipc.link);

        u32 queued = THREAD_BLOCKED_FOR(WORK_KILL | WORK_SUSPEND);

        list_remove(&first->ipc.link);
        /* It can't be taken back any more: from here on it counts as stopped. */
        atomic_compare_exchange_strong(&first->state, &queued, THREAD_BLOCKED_FOR(WORK_KILL));
        take_call(first, first->ipc.kind, first->ipc.cookie, self);
    }
    if (port)
        spin_unlock(&port->lock);
    if (caller)
        sched_run_claimed(caller, 0);
    sched_cancel_sleep();
    return port ? 0 : port_error(self->task, handle, MG_RIGHT_READ);
}

/* Receives from a port, and lets `caller`, claimed after its reply was written, go on (NULL:
 * nobody). Interrupts are off. */
static always_inline s64 receive(struct thread *self, struct trap_frame *frame,
                                 struct thread *caller)
{
    u64 cookie;

    atomic_exchange(&self->state, THREAD_BLOCKED_FOR(WORK_ANY));
    struct port *port = lock_port(self->task, frame->rdi, MG_RIGHT_READ, &cookie);

    if (unlikely(!port || port->notified || !list_empty(&port->callers)))
        return receive_awake(self, frame, port, caller);
    self->ipc.port = port;
    atomic_store_explicit(&self->ipc.state, IPC_RECEIVING, memory_order_relaxed);
    self->ipc.next_receiver = port->receivers;
    port->receivers = self;
    spin_unlock(&port->lock);
    if (unlikely(atomic_load_explicit(&self->work, memory_order_relaxed) & WORK_ANY)) {
        if (caller)
            sched_run_claimed(caller, 0);
        sched_cancel_sleep();
        return recv_interrupted(self);
    }
    sched_hand_over(self, caller);
    return likely(self->wake_result == 0) ? 0 : recv_interrupted(self);
}

s64 ipc_recv(struct trap_frame *frame)
{
    struct thread *self = current_thread();

    irq_disable();
    return finish(self, frame, receive(self, frame, NULL));
}

/* --- replying --- */

s64 ipc_reply(struct trap_frame *frame)
{
    struct thread *self = current_thread(), *caller;

    if (unlikely(frame->rbx)) {
        s64 status = take_passed(self, frame->rbx);

        if (status < 0)
            return status;
    }
    irq_disable();
    caller = claim_reply(self, frame->rsi);
    s64 status = caller ? 0 : -ESRCH;

    if (caller)
        caller = write_reply(caller, self, frame);
    if (caller)
        sched_run_claimed(caller, 0);
    return finish(self, frame, status);
}

s64 ipc_reply_recv(struct trap_frame *frame)
{
    struct thread *self = current_thread(), *caller;

    if (unlikely(frame->rbx)) {
        s64 status = take_passed(self, frame->rbx);

        if (status < 0)
            return status;
    }
    irq_disable();
    caller = claim_reply(self, frame->rsi);
    if (likely(caller != NULL))
        caller = write_reply(caller, self, frame);
    return finish(self, frame, receive(self, frame, caller));
}

/* --- the end of a server --- */

void ipc_task_ended(struct task *task)
{
    u32 size = atomic_load(&thread_table_size);

    for (u32 id = 1; id < size; id++) {
        struct thread *thread = thread_table[id];
        u64 token = atomic_load(&thread->ipc.awaiting);

        if (!token || thread->ipc.server != task ||
            !atomic_compare_exchange_strong(&thread->ipc.awaiting, &token, 0))
            continue;
        u64 flags = irq_save(); /* it may wait for us, spinning */
        bool claimed = sched_claim(thread);

        atomic_store(&thread->ipc.state, IPC_BROKEN);
        if (claimed)
            sched_run_claimed(thread, -EPIPE);
        irq_restore(flags);
        sched_point();
    }
}
