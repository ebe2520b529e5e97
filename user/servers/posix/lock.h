/*
 * Advisory locks: fcntl's record locks, owned by processes or by open files, and flock's, owned by
 * open files.
 */
#pragma once

#include "lib/types.h"

struct file;
struct inode;
struct process;
struct thread;

/* F_GETLK, F_SETLK and F_SETLKW, and their F_OFD_* forms, with the user's struct flock. */
long lock_record(struct thread *thread, struct file *file, u32 command, u64 address);

/* flock(2). */
long lock_file(struct thread *thread, struct file *file, u32 operation);

/* What close gives up. */
void lock_release_process(struct inode *inode, struct process *process);
void lock_release_file(struct file *file);

/* What the end of a process gives up: its locks on all files. */
void lock_release_all(struct process *process);
