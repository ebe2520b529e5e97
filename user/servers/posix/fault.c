/*
 * Faults as signals, and the end of a process when there is no memory left.
 *
 * The thread waits for an answer as in a call. A fault it caused is forced on it as a signal, with
 * the processor's view of it kept for the frame. For one that only lacks memory a victim is chosen,
 * and the thread tries again a little later, when the victim's pages have come back.
 */
#include "user/servers/posix/fault.h"
#include "user/servers/posix/calls.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include <merganser/native.h>
#include <string.h>

#define RETRY_NS 20000000
#define ROOM_SHARE 32 /* with one part of so many free there is room */
#define TRAP_X87 16
#define TRAP_SSE 19
#define SCORE_MAX 1000 /* of oom_score_adj: as much as all memory */

struct cause {
    int signal, code;
};

/* Which of the FPU's exceptions it was: the first that is raised and not masked. */
static int fpu_code(struct thread *thread, u64 vector)
{
    static const int codes[] = {FPE_FLTINV, FPE_FLTUND, FPE_FLTDIV,
                                FPE_FLTOVF, FPE_FLTUND, FPE_FLTRES};
    static u8 state[MG_FPU_MAX];
    u16 control, status;
    u32 mxcsr, raised;

    if (mg_thread_get_state(thread->handle, MG_STATE_FPU, state, sizeof state) < 0)
        return FPE_FLTINV;
    memcpy(&control, state, sizeof control);
    memcpy(&status, state + 2, sizeof status);
    memcpy(&mxcsr, state + 24, sizeof mxcsr);
    raised = vector == TRAP_X87 ? status & ~(u32)control : mxcsr & ~(mxcsr >> 7);
    raised &= (1u << ARRAY_LEN(codes)) - 1;
    return raised ? codes[__builtin_ctz(raised)] : FPE_FLTINV;
}

/* Of the exceptions 0 to 31 that are not page faults. */
static struct cause cause_of_trap(struct thread *thread, u64 vector)
{
    switch (vector) {
    case 0: return (struct cause){SIGFPE, FPE_INTDIV};
    case 1: return (struct cause){SIGTRAP, TRAP_TRACE};
    case 3: return (struct cause){SIGTRAP, SI_KERNEL};
    case 6: return (struct cause){SIGILL, ILL_ILLOPN};
    case 17: return (struct cause){SIGBUS, BUS_ADRALN};
    case TRAP_X87:
    case TRAP_SSE: return (struct cause){SIGFPE, fpu_code(thread, vector)};
    default: return (struct cause){SIGSEGV, SI_KERNEL};
    }
}

static struct cause cause_of(struct thread *thread, u64 kind, u64 vector)
{
    switch (kind) {
    case MG_FAULT_MAPERR: return (struct cause){SIGSEGV, SEGV_MAPERR};
    case MG_FAULT_ACCERR: return (struct cause){SIGSEGV, SEGV_ACCERR};
    case MG_FAULT_BUS: return (struct cause){SIGBUS, BUS_ADRERR};
    default: return cause_of_trap(thread, vector);
    }
}

/* A line in the log for a program that will die of it. */
static void tell(const struct thread *thread, int number, const struct mg_msg *msg)
{
    const struct process *process = thread->process;

    if (process->actions->action[number].handler != (u64)SIG_DFL)
        return;
    log_line("%s[%u]: signal %d, address %#lx, ip %#lx, trap %lu, error %#lx", thread->name,
             process->pid, number, msg->word[0], msg->word[3], msg->word[1], msg->word[2]);
}

/* ---- No memory ---- */

static s64 score(struct process *process, u64 total)
{
    struct mg_task_info info;
    s64 pages;

    if (process == process_init || !process->task || process->oom_score_adj == -SCORE_MAX ||
        mg_task_info(process->task, &info) < 0)
        return 0;
    pages = (s64)(info.rss_anon + info.rss_object + info.rss_merged + info.swapped + info.tables +
                  info.held);
    pages += process->oom_score_adj * (s64)(total / SCORE_MAX);
    return MAX(pages, (s64)1);
}

static struct process *choose_victim(s64 *pages)
{
    struct mg_memory_stats memory = {0};
    struct process *process, *victim = NULL;

    stats_memory(&memory);
    *pages = 0;
    list_for_each_entry(process, &process_all, all_link) {
        s64 its = score(process, memory.total);

        if (its <= *pages)
            continue;
        *pages = its;
        victim = process;
    }
    return victim;
}

/* Others have waited while somebody was ended: what he had is theirs. */
static bool is_room(void)
{
    struct mg_memory_stats memory;

    return stats_memory(&memory) && memory.free > memory.total / ROOM_SHARE;
}

static void make_room(struct thread *thread)
{
    s64 pages;
    struct process *victim;

    if (is_room()) {
        thread_finish(thread, RESTORED);
        return;
    }
    victim = choose_victim(&pages);

    if (!victim) /* all are spared: then who needs it has to go */
        victim = thread->process;
    log_line("out of memory: ended %s[%u], score %ld pages",
             victim->leader ? victim->leader->name : victim->name, victim->pid, (long)pages);
    if (victim != thread->process) {
        if (wait_sleep(thread, time_now() + RETRY_NS) != WAITING)
            wait_retry(thread);
    }
    process_exit(victim, SIGKILL);
}

void fault_received(struct thread *thread, const struct mg_msg *msg)
{
    u64 kind = msg->label & ~MG_LABEL_MASK;
    struct cause cause;

    if (kind == MG_FAULT_OOM) {
        make_room(thread);
        return;
    }
    cause = cause_of(thread, kind, msg->word[1]);
    thread->trap_address = msg->word[0];
    thread->trap = msg->word[1];
    thread->trap_error = msg->word[2];
    tell(thread, cause.signal, msg);
    signal_force(thread, cause.signal, cause.code,
                 cause.code == SI_KERNEL ? 0
                 : kind == MG_FAULT_TRAP ? msg->word[3]
                                         : msg->word[0]);
    thread_finish(thread, RESTORED);
}
