/*
 * The terminal on the console: line discipline, job control, and its device files.
 *
 * /dev/console and /dev/ttyS0 are the terminal itself; /dev/tty is the terminal of the session that
 * opens it. There is one.
 */
#pragma once

#include "lib/types.h"
#include "user/servers/posix/file.h"

struct process;

extern const struct file_ops tty_ops;

/* Connects to the console server. */
void tty_init(void);

/* The console server has input, or room again. */
void tty_notified(u64 bits);

/* Prepares an open file of one of the device files: -ENXIO for /dev/tty without a terminal. */
long tty_open(struct file *file, const struct process *process);

/* A session leader has ended: the terminal belongs to nobody, its foreground group hangs up. */
void tty_session_ended(struct process *leader);

/* Device number of the session's terminal, or 0, and its foreground group, for /proc. */
u32 tty_of(const struct process *process, s32 *foreground);

/* Opening /dev/tty: is there a terminal for this process? */
bool tty_is_controlling(const struct process *process);

/* After open without O_NOCTTY: a session leader without a terminal takes it. */
void tty_opened(struct process *process);

enum { TTY_NOTIFY_INPUT = 1, TTY_NOTIFY_ROOM = 2, TTY_NOTIFY_DRAINED = 4 };
