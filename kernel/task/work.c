/*
 * work.c: suspending, interrupting and ending threads from outside.
 *
 * All three set a bit in thread->work and then make the thread look: a sleep that allows it ends, a
 * CPU in user mode is interrupted. The thread itself acts on the bits, at two places where it holds
 * nothing: before it returns to user mode, and in the system call dispatcher after a sleep has
 * ended for work.
 *
 *     KILL        thread_exit
 *     SUSPEND     parks: sleeps, its registers complete, until thread_resume
 *     INTERRUPT   the sleep ends with EINTR; cleared on the way back to user mode
 *
 * Suspending alone is invisible: a call whose sleep ended for it is taken up again inside the
 * kernel after the park (thread_sleep_ended). Meanwhile the registers say that the call has
 * returned EINTR, so who suspends a thread to make it run a signal handler finds them as after an
 * interrupted call, and if he sets registers the call is over.
 *
 * "Stopped" means out of user mode and not going back: parked, never run, dead, or in a sleep that
 * only KILL may end, as those for a reply are. The order that makes thread_suspend safe: the thread
 * makes its state BLOCKED_FOR(KILL) by a full barrier and then looks for SUSPEND; the suspender
 * sets SUSPEND by a full barrier and then looks at the state.
 */
#include "kernel/base/errno.h"
#include "kernel/task/sched.h"

#define PASS_RETRY_NS 10000000ul

/* --- from outside --- */

static void set_work(struct thread *thread, u32 bit)
{
    atomic_fetch_or(&thread->work, bit);
    sched_wake_for_work(thread, bit);
    sched_kick(thread);
}

void thread_kill(struct thread *thread)
{
    atomic_fetch_or(&thread->work, WORK_KILL);
    if (sched_start(thread)) /* one that never ran dies on its way to user mode */
        return;
    set_work(thread, WORK_KILL);
}

void thread_interrupt(struct thread *thread)
{
    set_work(thread, WORK_INTERRUPT);
}

static void end_suspend(struct thread *thread)
{
    spin_lock(&thread->lock);
    atomic_fetch_and(&thread->work, ~WORK_SUSPEND);
    if (thread->suspended) {
        thread->suspended = false;
        sched_wake(thread, 0);
    }
    spin_unlock(&thread->lock);
}

void thread_resume(struct thread *thread)
{
    end_suspend(thread);
    sched_start(thread);
}

static bool is_stopped(struct thread *thread)
{
    u32 state = atomic_load(&thread->state);

    return state == THREAD_NEW || state == THREAD_DEAD || state == THREAD_BLOCKED_FOR(WORK_KILL);
}

static s64 wait_until_stopped(struct thread *thread)
{
    for (;;) {
        wait_prepare(&thread->suspenders);
        if (is_stopped(thread)) {
            wait_cancel(&thread->suspenders);
            return 0;
        }
        s64 status = wait_sleep(&thread->suspenders, true, 0);

        if (status < 0)
            return status;
    }
}

s64 thread_suspend(struct thread *thread)
{
    if (thread == current_thread())
        return -EDEADLK;
    set_work(thread, WORK_SUSPEND);
    return wait_until_stopped(thread);
}

s64 thread_check_stopped(struct thread *thread)
{
    if (!is_stopped(thread)) {
        /* Suspended, but its reply has just come: it is on its way to the park. */
        if (!(atomic_load(&thread->work) & WORK_SUSPEND) || thread == current_thread())
            return -EBUSY;
        s64 status = wait_until_stopped(thread);

        if (status < 0)
            return status;
    }
    while (atomic_load_explicit(&thread->on_cpu, memory_order_acquire))
        spin_wait();
    return thread_state(thread) == THREAD_DEAD ? -ESRCH : 0;
}

void thread_let_pass(struct thread *thread)
{
    bool ours = false;

    while (!is_stopped(thread)) {
        /* Again and again: somebody may resume it. */
        ours |= !(atomic_load(&thread->work) & WORK_SUSPEND);
        set_work(thread, WORK_SUSPEND);
        wait_prepare(&thread->suspenders);
        if (is_stopped(thread))
            wait_cancel(&thread->suspenders);
        else
            wait_sleep(&thread->suspenders, false, time_ns() + PASS_RETRY_NS);
    }
    if (ours)
        end_suspend(thread);
}

void thread_regs_set(struct thread *thread)
{
    spin_lock(&thread->lock);
    thread->regs_changed = true;
    spin_unlock(&thread->lock);
}

/* --- the thread itself --- */

void thread_tell_suspenders(struct thread *thread)
{
    wait_wake_all(&thread->suspenders);
}

static void park(struct thread *self)
{
    spin_lock(&self->lock);
    while ((atomic_load(&self->work) & (WORK_SUSPEND | WORK_KILL)) == WORK_SUSPEND) {
        self->suspended = true;
        sched_prepare_sleep_for(WORK_KILL);
        spin_unlock(&self->lock);
        thread_tell_suspenders(self);
        if (atomic_load(&self->work) & WORK_KILL)
            sched_cancel_sleep();
        else
            sched_sleep();
        spin_lock(&self->lock);
        self->suspended = false;
    }
    spin_unlock(&self->lock);
}

bool thread_sleep_ended(bool *changed)
{
    struct thread *self = current_thread();
    u32 work = atomic_load(&self->work);

    *changed = false;
    if (work & WORK_KILL)
        thread_exit();
    if (work & WORK_INTERRUPT)
        return false;
    self->regs_changed = false;
    park(self);
    work = atomic_load(&self->work);
    if (work & WORK_KILL)
        thread_exit();
    *changed = self->regs_changed;
    return !*changed && !(work & WORK_INTERRUPT);
}

/* Called by the entry code, interrupts on, until neither work nor a wish to reschedule is left. */
void thread_before_user(struct trap_frame *frame)
{
    struct thread *self = current_thread();
    u32 work = atomic_load(&self->work);

    (void)frame;
    if (work & WORK_KILL)
        thread_exit();
    if (work & WORK_SUSPEND)
        park(self);
    atomic_fetch_and(&self->work, ~WORK_INTERRUPT);
    sched_point();
}
