/*
 * Files of a process in /proc that are neither its figures nor its memory.
 */
#include "user/servers/posix/fs.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/stats.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>

#define STRINGS_LIMIT (4ul << 20) /* more than execve lets arguments and environment have */
#define OOM_ADJUST_MAX 1000

/* ---- Names ---- */

long proc_show_comm(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct thread *thread = proc_thread(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    text_print(text, "%s\n", thread ? thread->name : process->name);
    return 0;
}

long proc_store_comm(struct pseudo_node *node, struct thread *writer, const char *bytes,
                     usize length)
{
    struct thread *thread = proc_thread(node);

    if (!thread)
        return -ESRCH;
    if (thread->process != writer->process)
        return -EINVAL;
    memset(thread->name, 0, NAME_BYTES);
    memcpy(thread->name, bytes, MIN(length, (usize)NAME_BYTES - 1));
    if (thread == thread->process->leader)
        mg_task_set(thread->process->task, MG_TASK_NAME, thread->name);
    return 0;
}

/* ---- Strings in the process's own memory ---- */

/* Adds what is there of [start, end). */
static void copy_range(const struct process *process, u64 start, u64 end, struct text *text)
{
    u64 size = end > start ? MIN(end - start, STRINGS_LIMIT) : 0;
    void *to = process->task && size ? text_reserve(text, size) : NULL;
    long copied = to ? mg_vm_copy(MG_HANDLE_SELF, to, process->task, start, size) : 0;

    if (copied > 0)
        text->used += (usize)copied;
}

long proc_show_cmdline(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    copy_range(process, process->program.arg_start, process->program.arg_end, text);
    return 0;
}

long proc_show_environ(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    copy_range(process, process->program.env_start, process->program.env_end, text);
    return 0;
}

long proc_show_auxv(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    if (process->task)
        text_add(text, process->program.auxv, process->program.auxv_bytes);
    return 0;
}

/* ---- Limits ---- */

static const struct {
    const char *name, *unit;
} limit_names[RLIM_NLIMITS] = {
    [RLIMIT_CPU] = {"Max cpu time", "seconds"},
    [RLIMIT_FSIZE] = {"Max file size", "bytes"},
    [RLIMIT_DATA] = {"Max data size", "bytes"},
    [RLIMIT_STACK] = {"Max stack size", "bytes"},
    [RLIMIT_CORE] = {"Max core file size", "bytes"},
    [RLIMIT_RSS] = {"Max resident set", "bytes"},
    [RLIMIT_NPROC] = {"Max processes", "processes"},
    [RLIMIT_NOFILE] = {"Max open files", "files"},
    [RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
    [RLIMIT_AS] = {"Max address space", "bytes"},
    [RLIMIT_LOCKS] = {"Max file locks", "locks"},
    [RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
    [RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
    [RLIMIT_NICE] = {"Max nice priority", NULL},
    [RLIMIT_RTPRIO] = {"Max realtime priority", NULL},
    [RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
};

static void print_limit(struct text *text, u64 value)
{
    if (value == RLIM_INFINITY)
        text_print(text, "%-20s ", "unlimited");
    else
        text_print(text, "%-20lu ", value);
}

long proc_show_limits(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    text_print(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (u32 i = 0; i < RLIM_NLIMITS; i++) {
        text_print(text, "%-25s ", limit_names[i].name);
        print_limit(text, process->limits[i].rlim_cur);
        print_limit(text, process->limits[i].rlim_max);
        if (limit_names[i].unit)
            text_print(text, "%-10s", limit_names[i].unit);
        text_print(text, "\n");
    }
    return 0;
}

/* ---- Who is ended first when memory runs out ---- */

/* Linux's scale: 667 means no memory and no adjustment, 1333 all memory. */
static long oom_score(const struct process *process)
{
    struct mg_task_info info = proc_task_info(process);
    struct mg_memory_stats memory;
    long total, points;

    if (process->oom_score_adj == -OOM_ADJUST_MAX || !process->task || !stats_memory(&memory))
        return 0;
    total = (long)(memory.total + memory.swap_total);
    points = (long)(info.rss_anon + info.rss_object + info.swapped + info.tables) +
             process->oom_score_adj * total / OOM_ADJUST_MAX;
    return MAX((OOM_ADJUST_MAX + points * OOM_ADJUST_MAX / total) * 2 / 3, 0l);
}

long proc_show_oom_score(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    text_print(text, "%ld\n", oom_score(process));
    return 0;
}

long proc_show_oom_score_adj(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    text_print(text, "%d\n", process->oom_score_adj);
    return 0;
}

long proc_store_oom_score_adj(struct pseudo_node *node, struct thread *writer, const char *bytes,
                              usize length)
{
    struct process *process = proc_process(node);
    s64 value;
    long error = pseudo_parse(bytes, &value);

    (void)length;
    if (error)
        return error;
    if (value < -OOM_ADJUST_MAX || value > OOM_ADJUST_MAX)
        return -EINVAL;
    if (!process)
        return -ESRCH;
    if (value < process->oom_score_adj && !has_capability(&writer->process->cred, CAP_SYS_RESOURCE))
        return -EACCES;
    process->oom_score_adj = (int)value;
    return 0;
}

long proc_show_personality(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    text_print(text, "%08x\n", process->personality);
    return 0;
}

/* ---- Merging ---- */

#define KSM_ITEM_BYTES 32 /* what a record of the scanner costs */
#define PAGE 4096

long proc_show_ksm_merging_pages(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    if (process->task)
        text_print(text, "%lu\n", proc_task_info(process).ksm_merging);
    return 0;
}

long proc_show_ksm_stat(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);
    struct mg_task_info info;

    (void)reader;
    if (!process)
        return -ESRCH;
    if (!process->task)
        return 0;
    info = proc_task_info(process);
    text_print(text, "ksm_rmap_items %lu\n", info.ksm_items);
    text_print(text, "ksm_zero_pages %lu\n", info.ksm_zero);
    text_print(text, "ksm_merging_pages %lu\n", info.ksm_merging);
    text_print(text, "ksm_process_profit %ld\n",
               (long)((info.ksm_merging + info.ksm_zero) * PAGE) -
                   (long)(info.ksm_items * KSM_ITEM_BYTES));
    return 0;
}

/* Pages merge only with those of the same domain; fork and execve hand it down. */
long proc_show_merge_domain(struct pseudo_node *node, struct thread *reader, struct text *text)
{
    struct process *process = proc_process(node);

    (void)reader;
    if (!process)
        return -ESRCH;
    if (process->task)
        text_print(text, "%u\n", proc_task_info(process).merge_domain);
    return 0;
}

long proc_store_merge_domain(struct pseudo_node *node, struct thread *writer, const char *bytes,
                             usize length)
{
    struct process *process = proc_process(node);
    s64 value;
    long error = pseudo_parse(bytes, &value);

    (void)length;
    if (error)
        return error;
    if (value < 0 || value > UINT32_MAX)
        return -EINVAL;
    if (!process || !process->task)
        return -ESRCH;
    if (!has_capability(&writer->process->cred, CAP_SYS_ADMIN))
        return -EPERM;
    error = mg_task_set(process->task, MG_TASK_MERGE_DOMAIN, value);
    return error < 0 ? error : 0;
}

/* ---- Links ---- */

/* The inode one of the links leads to: 0 without a reference, -ENOENT, -ESRCH, -EACCES. */
enum link_kind { LINK_EXE, LINK_CWD, LINK_ROOT };

static long link_target(struct pseudo_node *node, const struct thread *thread, enum link_kind kind,
                        struct inode **inode)
{
    struct process *process = proc_process(node);

    if (!process)
        return -ESRCH;
    if (!proc_may_inspect(thread, process))
        return -EACCES;
    if (kind == LINK_EXE)
        *inode = process->program.exe;
    else
        *inode = !process->fs ? NULL : kind == LINK_CWD ? process->fs->cwd : process->fs->root;
    return *inode ? 0 : -ENOENT;
}

static long link_show(struct pseudo_node *node, struct thread *thread, enum link_kind kind,
                      struct text *text)
{
    struct inode *inode;
    long error = link_target(node, thread, kind, &inode);

    if (!error)
        proc_print_path(text, thread, inode);
    return error;
}

static long link_follow(struct pseudo_node *node, struct thread *thread, enum link_kind kind,
                        struct inode **result)
{
    struct inode *inode;
    long error = link_target(node, thread, kind, &inode);

    if (!error)
        *result = inode_get(inode);
    return error;
}

#define LINK(name, kind)                                                                           \
    long proc_show_##name(struct pseudo_node *node, struct thread *thread, struct text *text)      \
    {                                                                                              \
        return link_show(node, thread, kind, text);                                                \
    }                                                                                              \
    long proc_follow_##name(struct pseudo_node *node, struct thread *thread,                       \
                            struct inode **result)                                                 \
    {                                                                                              \
        return link_follow(node, thread, kind, result);                                            \
    }

LINK(exe, LINK_EXE)
LINK(cwd, LINK_CWD)
LINK(root, LINK_ROOT)
