/*
 * What the files of /proc share. A table in procfs.c names them all; each function here makes one
 * file's text, in the format of Linux's proc(5), or is what else pseudo.h asks of an entry.
 *
 * Most files of a process exist twice: in PID/ they speak of the process as a whole and its first
 * thread, in PID/task/TID/ of one thread. Memory is the process's in both.
 */
#pragma once

#include "user/servers/posix/process.h"
#include "user/servers/posix/pseudo.h"
#include <merganser/abi.h>

#define PROC_DEVICE 21

/* The process a node stands for, or NULL when it has gone. */
struct process *proc_process(const struct pseudo_node *node);

/* The thread: of task/TID/ that one, of PID/ the first. NULL when it has ended. */
struct thread *proc_thread(const struct pseudo_node *node);

/* What the kernel knows about the task; zeros for a zombie. */
struct mg_task_info proc_task_info(const struct process *process);

/* May the thread see the memory and files of the process? */
bool proc_may_inspect(const struct thread *thread, const struct process *process);

/* For pseudo_entry.open of what only they may open: 0, -ESRCH, -EACCES. */
long proc_open_inspect(struct pseudo_node *node, struct thread *thread);

/* The path of an inode as the thread sees it; what has none is named as Linux does. */
void proc_print_path(struct text *text, const struct thread *thread, struct inode *inode);

/* 'R', 'S', 'T' or 'Z'; thread may be NULL. */
char proc_state(const struct process *process, const struct thread *thread);

/* Clock ticks of 10 ms, as stat files count. */
static inline u64 proc_ticks(u64 ns)
{
    return ns / (SECOND / 100);
}

#define PROC_SHOW(name)                                                                            \
    long proc_show_##name(struct pseudo_node *node, struct thread *thread, struct text *text)
#define PROC_STORE(name)                                                                           \
    long proc_store_##name(struct pseudo_node *node, struct thread *thread, const char *text,      \
                           usize length)
#define PROC_FOLLOW(name)                                                                          \
    long proc_follow_##name(struct pseudo_node *node, struct thread *thread, struct inode **result)

/* proc_status.c */
PROC_SHOW(stat);
PROC_SHOW(statm);
PROC_SHOW(status);

/* proc_process.c */
PROC_SHOW(comm);
PROC_STORE(comm);
PROC_SHOW(cmdline);
PROC_SHOW(environ);
PROC_SHOW(auxv);
PROC_SHOW(limits);
PROC_SHOW(oom_score);
PROC_SHOW(oom_score_adj);
PROC_STORE(oom_score_adj);
PROC_SHOW(merge_domain);
PROC_STORE(merge_domain);
PROC_SHOW(personality);
PROC_SHOW(ksm_merging_pages);
PROC_SHOW(ksm_stat);
PROC_SHOW(exe);
PROC_FOLLOW(exe);
PROC_SHOW(cwd);
PROC_FOLLOW(cwd);
PROC_SHOW(root);
PROC_FOLLOW(root);

/* proc_wait.c */
PROC_SHOW(wchan);

/* proc_fd.c: the directories fd and fdinfo */
long proc_find_fd(struct pseudo_node *dir, const char *name, struct pseudo_child *child);
bool proc_next_fd(struct pseudo_node *dir, u64 *place, struct pseudo_child *child);
long proc_find_fdinfo(struct pseudo_node *dir, const char *name, struct pseudo_child *child);
bool proc_next_fdinfo(struct pseudo_node *dir, u64 *place, struct pseudo_child *child);

/* proc_mounts.c */
PROC_SHOW(mounts);
PROC_SHOW(mountinfo);
PROC_SHOW(filesystems);

/* proc_maps.c */
PROC_SHOW(maps);
PROC_SHOW(smaps);
PROC_SHOW(smaps_rollup);

/* proc_pages.c */
extern const struct file_ops proc_mem_ops, proc_pagemap_ops, proc_kpageflags_ops,
    proc_kpagecount_ops, proc_frames_ops;

/* proc_machine.c */
PROC_SHOW(meminfo);
PROC_SHOW(vmstat);
PROC_SHOW(machine_stat);
PROC_SHOW(uptime);
PROC_SHOW(loadavg);
PROC_SHOW(version);
PROC_SHOW(boot_cmdline);
PROC_STORE(sysrq);
void proc_machine_init(void);

/* block_show.c */
PROC_SHOW(partitions);

/* proc_cpuinfo.c */
PROC_SHOW(cpuinfo);

/* proc_sys.c: the directory sys */
extern const struct pseudo_entry proc_sys_entries[];

/* A number as a name has it: no sign, no leading zero, at most `limit`. False if it is none. */
bool proc_parse_number(const char *name, u32 limit, u32 *number);
