/*
 * The tree of /proc: its tables, and the directories of processes and threads.
 */
#include "user/servers/posix/procfs.h"
#include "user/servers/posix/proc.h"
#include "user/servers/posix/tunables.h"
#include <ctype.h>
#include <errno.h>
#include <merganser/native.h>
#include <stdio.h>
#include <stdlib.h>

#define DIRECTORY(mode) (S_IFDIR | (mode))
#define FILE_MODE(mode) (S_IFREG | (mode))
#define LINK_MODE (S_IFLNK | 0777)

static struct fs proc_fs = {
    .type = "proc",
    .source = "proc",
    .target = "/proc",
    .device = PROC_DEVICE,
    .magic = 0x9fa0,
};

/* ---- Whom a node stands for ---- */

struct process *proc_process(const struct pseudo_node *node)
{
    struct process *process = process_find(node->key.pid);

    return process && process->start_time == node->key.born ? process : NULL;
}

struct thread *proc_thread(const struct pseudo_node *node)
{
    struct process *process = proc_process(node);
    struct thread *thread;

    if (!process || !node->key.tid)
        return process ? process->leader : NULL;
    thread = thread_find(node->key.tid);
    return thread && thread->process == process ? thread : NULL;
}

struct mg_task_info proc_task_info(const struct process *process)
{
    struct mg_task_info info = {0};

    if (process->task && mg_task_info(process->task, &info) < 0)
        info = (struct mg_task_info){0};
    return info;
}

bool proc_may_inspect(const struct thread *thread, const struct process *process)
{
    return thread->process == process || process_may_control(thread, process);
}

long proc_open_inspect(struct pseudo_node *node, struct thread *thread)
{
    struct process *process = proc_process(node);

    if (!process)
        return -ESRCH;
    return proc_may_inspect(thread, process) ? 0 : -EACCES;
}

bool proc_parse_number(const char *name, u32 limit, u32 *number)
{
    char *end;
    unsigned long value = strtoul(name, &end, 10);

    if (!isdigit((unsigned char)*name) || *end || (*name == '0' && name[1]) || value > limit)
        return false;
    *number = (u32)value;
    return true;
}

/* ---- Files of a process ---- */

#define SHOWN(name_, mode_)                                                                        \
    {                                                                                              \
        .name = #name_, .mode = FILE_MODE(mode_), .show = proc_show_##name_                        \
    }
#define INSPECTED(name_, mode_)                                                                    \
    {                                                                                              \
        .name = #name_, .mode = FILE_MODE(mode_), .show = proc_show_##name_,                       \
        .open = proc_open_inspect                                                                  \
    }
#define STORED(name_, mode_)                                                                       \
    {                                                                                              \
        .name = #name_, .mode = FILE_MODE(mode_), .show = proc_show_##name_,                       \
        .store = proc_store_##name_                                                                \
    }
#define FOLLOWED(name_)                                                                            \
    {                                                                                              \
        .name = #name_, .mode = LINK_MODE, .show = proc_show_##name_,                              \
        .follow = proc_follow_##name_                                                              \
    }
#define SPECIAL(name_, mode_, ops_)                                                                \
    {                                                                                              \
        .name = #name_, .mode = FILE_MODE(mode_), .ops = &(ops_), .open = proc_open_inspect        \
    }

/* What both PID/ and PID/task/TID/ have. */
/* clang-format off */
#define PROCESS_ENTRIES                                                                            \
    {.name = "fd", .mode = DIRECTORY(0500), .find = proc_find_fd, .next = proc_next_fd,            \
     .open = proc_open_inspect},                                                                   \
    {.name = "fdinfo", .mode = DIRECTORY(0555), .find = proc_find_fdinfo,                          \
     .next = proc_next_fdinfo, .open = proc_open_inspect},                                         \
    INSPECTED(environ, 0400), INSPECTED(auxv, 0400), SHOWN(status, 0444),                          \
    INSPECTED(personality, 0400), SHOWN(limits, 0444), STORED(comm, 0644), SHOWN(cmdline, 0444),   \
    SHOWN(stat, 0444), SHOWN(statm, 0444), INSPECTED(maps, 0444),                                  \
    SPECIAL(mem, 0600, proc_mem_ops), FOLLOWED(cwd), FOLLOWED(root), FOLLOWED(exe),                \
    SHOWN(mounts, 0444), SHOWN(mountinfo, 0444), INSPECTED(smaps, 0444),                           \
    INSPECTED(smaps_rollup, 0444), SPECIAL(pagemap, 0400, proc_pagemap_ops),                       \
    SHOWN(oom_score, 0444), STORED(oom_score_adj, 0644), INSPECTED(ksm_merging_pages, 0400),       \
    INSPECTED(ksm_stat, 0400), STORED(merge_domain, 0644), SHOWN(wchan, 0444)
/* clang-format on */

/* ---- Threads ---- */

static bool thread_exists(struct pseudo_node *dir)
{
    return proc_thread(dir);
}

static const struct pseudo_entry thread_entries[] = {PROCESS_ENTRIES, {0}};

static const struct pseudo_entry thread_entry = {
    .mode = DIRECTORY(0555),
    .entries = thread_entries,
    .exists = thread_exists,
};

static void set_thread(struct pseudo_child *child, u32 tid)
{
    child->entry = &thread_entry;
    child->key.tid = tid;
    snprintf(child->name, sizeof child->name, "%u", tid);
}

static long find_thread(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    struct process *process = proc_process(dir);
    struct thread *thread;
    u32 tid;

    if (!process || !proc_parse_number(name, PID_MAX, &tid))
        return -ENOENT;
    thread = thread_find(tid);
    if (!thread || thread->process != process)
        return -ENOENT;
    set_thread(child, tid);
    return 0;
}

/* Threads are listed by their numbers, so that a listing goes on behind one that has ended. */
static bool next_thread(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    struct process *process = proc_process(dir);
    struct thread *thread;
    u64 best = PID_MAX;

    if (!process)
        return false;
    list_for_each_entry(thread, &process->threads, process_link) {
        if (thread->tid >= *place && thread->tid < best)
            best = thread->tid;
    }
    if (best == PID_MAX)
        return false;
    *place = best;
    set_thread(child, (u32)best);
    return true;
}

/* ---- Processes ---- */

static bool process_exists(struct pseudo_node *dir)
{
    return proc_process(dir);
}

static const struct pseudo_entry process_entries[] = {
    {.name = "task", .mode = DIRECTORY(0555), .find = find_thread, .next = next_thread},
    PROCESS_ENTRIES,
    {0},
};

static const struct pseudo_entry process_entry = {
    .mode = DIRECTORY(0555),
    .entries = process_entries,
    .exists = process_exists,
};

static void set_process(struct pseudo_child *child, const struct process *process)
{
    child->entry = &process_entry;
    child->key.pid = process->pid;
    child->key.born = process->start_time;
    if (process->dumpable) { /* else root owns the files */
        child->key.uid = process->cred.euid;
        child->key.gid = process->cred.egid;
    }
    snprintf(child->name, sizeof child->name, "%u", process->pid);
}

static long find_process(struct pseudo_node *dir, const char *name, struct pseudo_child *child)
{
    struct process *process;
    u32 pid;

    (void)dir;
    process = proc_parse_number(name, PID_MAX, &pid) ? process_find(pid) : NULL;
    if (!process)
        return -ENOENT;
    set_process(child, process);
    return 0;
}

static bool next_process(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    (void)dir;
    for (; *place < PID_MAX; ++*place) {
        struct process *process = process_find((u32)*place);

        if (process) {
            set_process(child, process);
            return true;
        }
    }
    return false;
}

/* ---- The root ---- */

static long show_self(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    text_print(text, "%u", thread->process->pid);
    return 0;
}

static long show_thread_self(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    text_print(text, "%u/task/%u", thread->process->pid, thread->tid);
    return 0;
}

static long show_self_mounts(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    (void)node;
    (void)thread;
    text_print(text, "self/mounts");
    return 0;
}

static const struct pseudo_entry merganser_entries[] = {
    {.name = "frames", .mode = FILE_MODE(0444), .ops = &proc_frames_ops},
    {.name = "tunables", .mode = DIRECTORY(0555), .find = tunables_find, .next = tunables_next},
    {0},
};

static const struct pseudo_entry root_entries[] = {
    {.name = "self", .mode = LINK_MODE, .show = show_self},
    {.name = "thread-self", .mode = LINK_MODE, .show = show_thread_self},
    {.name = "mounts", .mode = LINK_MODE, .show = show_self_mounts},
    SHOWN(meminfo, 0444),
    SHOWN(vmstat, 0444),
    {.name = "stat", .mode = FILE_MODE(0444), .show = proc_show_machine_stat},
    SHOWN(cpuinfo, 0444),
    SHOWN(uptime, 0444),
    SHOWN(loadavg, 0444),
    SHOWN(version, 0444),
    {.name = "cmdline", .mode = FILE_MODE(0444), .show = proc_show_boot_cmdline},
    SHOWN(filesystems, 0444),
    SHOWN(partitions, 0444),
    {.name = "sysrq-trigger", .mode = FILE_MODE(0200), .store = proc_store_sysrq},
    {.name = "kpageflags", .mode = FILE_MODE(0400), .ops = &proc_kpageflags_ops},
    {.name = "kpagecount", .mode = FILE_MODE(0400), .ops = &proc_kpagecount_ops},
    {.name = "merganser", .mode = DIRECTORY(0555), .entries = merganser_entries},
    {.name = "sys", .mode = DIRECTORY(0555), .entries = proc_sys_entries},
    {0},
};

static const struct pseudo_entry root_entry = {
    .mode = DIRECTORY(0555),
    .entries = root_entries,
    .find = find_process,
    .next = next_process,
};

void procfs_mount(void)
{
    proc_machine_init();
    pseudo_mount(&proc_fs, &root_entry);
}
