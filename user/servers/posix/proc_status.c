/*
 * The figures of a process: stat, statm and status.
 */
#include "user/servers/posix/file.h"
#include "user/servers/posix/fs.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/tty.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>

#define PAGE_KB 4
#define BASE_PRIORITY 20
#define FORK_NO_EXEC 0x40 /* bits of the flags in stat, with Linux's numbers */
#define EXITING 0x4

/* All that the three files tell from, asked for once. */
struct sample {
    struct process *process;
    struct thread *thread; /* NULL when it has ended */
    bool alone;            /* one thread, not the process as a whole */
    struct mg_task_info task;
    struct mg_thread_info info;
    struct usage usage;
    char state;
};

static bool sample_take(struct pseudo_node *node, struct sample *sample)
{
    *sample = (struct sample){.process = proc_process(node), .thread = proc_thread(node)};
    if (!sample->process)
        return false;
    sample->alone = node->key.tid;
    sample->task = proc_task_info(sample->process);
    process_get_usage(sample->process, &sample->usage);
    sample->info.affinity = ~0ul;
    if (sample->thread)
        mg_thread_info(sample->thread->handle, &sample->info);
    if (sample->alone && sample->thread) {
        sample->usage.user_ns = sample->info.user_ns;
        sample->usage.kernel_ns = sample->info.kernel_ns;
    }
    sample->state = proc_state(sample->process, sample->thread);
    return true;
}

char proc_state(const struct process *process, const struct thread *thread)
{
    struct mg_thread_info info;

    if (process->zombie || !thread)
        return 'Z';
    if (thread->suspended || process->stopped)
        return 'T';
    if (thread->token) /* in a call of this server: waiting there, or being served now */
        return thread->sleeping ? 'S' : 'R';
    if (mg_thread_info(thread->handle, &info) < 0)
        return 'Z';
    return info.state == MG_THREAD_RUNNING ? 'R' : info.state == MG_THREAD_DEAD ? 'Z' : 'S';
}

static const char *state_name(char state)
{
    return state == 'R'   ? "running"
           : state == 'S' ? "sleeping"
           : state == 'T' ? "stopped"
                          : "zombie";
}

static const char *name_of(const struct sample *sample)
{
    return sample->thread ? sample->thread->name : sample->process->name;
}

/* The signals with this handler, as a mask. */
static u64 handled(const struct process *process, bool ignored)
{
    u64 set = 0;

    for (int number = 1; process->actions && number <= SIGNALS; number++) {
        u64 handler = process->actions->action[number].handler;

        if (ignored ? handler == (u64)SIG_IGN : handler > (u64)SIG_IGN)
            set |= SIGNAL_BIT(number);
    }
    return set;
}

/* ---- stat ---- */

static void print_times(const struct sample *sample, struct text *text)
{
    const struct usage *own = &sample->usage, *children = &sample->process->children_usage;
    s32 nice = sample->thread ? sample->thread->nice : 0;

    text_print(text, "%lu %lu %lu %lu %lu %lu %ld %ld %d %d %u 0 %lu ", own->minor_faults,
               children->minor_faults, own->major_faults, children->major_faults,
               proc_ticks(own->user_ns), proc_ticks(own->kernel_ns),
               (long)proc_ticks(children->user_ns), (long)proc_ticks(children->kernel_ns),
               BASE_PRIORITY + nice, nice, sample->process->thread_count,
               proc_ticks(sample->process->start_time));
}

/* Addresses are for those who may see the memory anyway. */
static void print_program(const struct sample *sample, bool may, struct text *text)
{
    static const struct program nothing;
    const struct process *process = sample->process;
    const struct program *p = may && process->task ? &process->program : &nothing;
    u64 mask = 0x7fffffff; /* old fields: only the first 31 signals */
    const struct thread *thread = sample->thread;

    text_print(text, "%lu %lu %lu 0 0 ", p->code_start, p->code_end, p->stack);
    text_print(text, "%lu %lu %lu %lu %d 0 0 %d %u 0 0 0 0 0 ",
               thread ? thread->pending.set & mask : 0, thread ? thread->blocked & mask : 0,
               handled(process, true) & mask, handled(process, false) & mask, sample->state != 'R',
               sample->alone ? -1 : (int)process->exit_signal, sample->info.cpu);
    text_print(text, "%lu %lu %lu %lu %lu %lu %lu %u\n", p->data_start, p->data_end,
               may ? sample->task.brk_start : 0, p->arg_start, p->arg_end, p->env_start, p->env_end,
               may ? process->status : 0);
}

long proc_show_stat(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct sample sample;
    struct process *process;
    s32 foreground = -1;
    u32 tty, flags;

    if (!sample_take(node, &sample))
        return -ESRCH;
    process = sample.process;
    tty = tty_of(process, &foreground);
    flags = (process->executed ? 0 : FORK_NO_EXEC) | (process->exiting ? EXITING : 0);
    text_print(text, "%u (%s) %c %u %u %u %u %d %u ", sample.alone ? node->key.tid : process->pid,
               name_of(&sample), sample.state, process->parent ? process->parent->pid : 0,
               process->pgid, process->sid, tty, tty ? foreground : -1, flags);
    print_times(&sample, text);
    text_print(text, "%lu %lu %lu ", sample.task.total * PAGE_KB * 1024,
               sample.task.rss_anon + sample.task.rss_object,
               (u64)process->limits[RLIMIT_RSS].rlim_cur);
    print_program(&sample, proc_may_inspect(reader, process), text);
    return 0;
}

/* ---- statm ---- */

long proc_show_statm(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct mg_task_info info;

    (void)reader;
    if (!process)
        return -ESRCH;
    info = proc_task_info(process);
    text_print(text, "%lu %lu %lu %lu 0 %lu 0\n", info.total, info.rss_anon + info.rss_object,
               info.rss_object, info.text, info.data + info.stack);
    return 0;
}

/* ---- status ---- */

/* A name on a line of its own: what would break the line is written as an escape. */
static void print_name(const char *name, struct text *text)
{
    text_print(text, "Name:\t");
    for (; *name; name++) {
        if (*name == '\n')
            text_print(text, "\\n");
        else if (*name == '\\')
            text_print(text, "\\\\");
        else
            text_add(text, name, 1);
    }
    text_print(text, "\n");
}

static void print_identity(const struct sample *sample, u32 number, struct text *text)
{
    const struct process *process = sample->process;
    const struct credentials *cred = &process->cred;

    print_name(name_of(sample), text);
    if (process->fs)
        text_print(text, "Umask:\t%04o\n", process->fs->umask);
    text_print(text, "State:\t%c (%s)\n", sample->state, state_name(sample->state));
    text_print(text, "Tgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n", process->pid,
               number, process->parent ? process->parent->pid : 0);
    text_print(text, "Uid:\t%u\t%u\t%u\t%u\n", cred->uid, cred->euid, cred->suid, cred->fsuid);
    text_print(text, "Gid:\t%u\t%u\t%u\t%u\n", cred->gid, cred->egid, cred->sgid, cred->fsgid);
    text_print(text, "FDSize:\t%u\nGroups:\t", process->files ? process->files->size : 0);
    for (u32 i = 0; i < cred->group_count; i++)
        text_print(text, "%u ", cred->groups[i]);
    text_print(text, "%s\n", cred->group_count ? "" : " ");
    text_print(text, "NStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\nKthread:\t0\n",
               process->pid, number, process->pgid, process->sid);
}

static void print_kb(struct text *text, const char *name, u64 pages)
{
    text_print(text, "%s:\t%8lu kB\n", name, pages * PAGE_KB);
}

static void print_memory(const struct mg_task_info *task, struct text *text)
{
    u64 rss = task->rss_anon + task->rss_object;

    print_kb(text, "VmPeak", MAX(task->peak_total, task->total));
    print_kb(text, "VmSize", task->total);
    print_kb(text, "VmLck", task->locked);
    print_kb(text, "VmHWM", MAX(task->peak_rss, rss));
    print_kb(text, "VmRSS", rss);
    print_kb(text, "RssAnon", task->rss_anon);
    print_kb(text, "RssFile", task->rss_object); /* all files lie in memory objects */
    print_kb(text, "RssShmem", 0);
    print_kb(text, "VmData", task->data);
    print_kb(text, "VmStk", task->stack);
    print_kb(text, "VmExe", task->text);
    print_kb(text, "VmLib", 0); /* programs are static: all their text is counted above */
    print_kb(text, "VmPTE", task->tables);
    print_kb(text, "VmSwap", task->swapped);
}

static u32 count_queued(const struct pending *pending)
{
    return (u32)list_length(&pending->queue);
}

static void print_signals(const struct sample *sample, struct text *text)
{
    const struct process *process = sample->process;
    const struct thread *thread = sample->thread;
    u32 queued = count_queued(&process->pending);

    if (thread)
        queued += count_queued(&thread->pending);
    text_print(text, "SigQ:\t%u/%lu\n", queued, (u64)process->limits[RLIMIT_SIGPENDING].rlim_cur);
    text_print(text, "SigPnd:\t%016lx\nShdPnd:\t%016lx\n", thread ? thread->pending.set : 0,
               process->pending.set);
    text_print(text, "SigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
               thread ? thread->blocked : 0, handled(process, true), handled(process, false));
}

static void print_rights(const struct sample *sample, struct text *text)
{
    const struct credentials *cred = &sample->process->cred;
    u64 all = boot_info.cpus < 64 ? (1ul << boot_info.cpus) - 1 : ~0ul;
    u64 allowed = sample->info.affinity & all;

    text_print(text, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\n", cred->cap_inheritable,
               cred->cap_permitted, cred->cap_effective);
    text_print(text, "NoNewPrivs:\t%u\nSeccomp:\t0\n", sample->process->no_new_privileges);
    text_print(text, "Cpus_allowed:\t%0*lx\n", (int)DIV_UP(boot_info.cpus, 4), allowed);
    text_print(text, "Cpus_allowed_list:\t");
    text_print_list(text, allowed);
    text_print(text, "voluntary_ctxt_switches:\t%lu\n", sample->info.voluntary);
    text_print(text, "nonvoluntary_ctxt_switches:\t%lu\n", sample->info.involuntary);
}

long proc_show_status(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct sample sample;

    (void)reader;
    if (!sample_take(node, &sample))
        return -ESRCH;
    print_identity(&sample, sample.alone ? node->key.tid : sample.process->pid, text);
    if (sample.process->task)
        print_memory(&sample.task, text);
    text_print(text, "Threads:\t%u\n", sample.process->thread_count);
    print_signals(&sample, text);
    print_rights(&sample, text);
    return 0;
}
