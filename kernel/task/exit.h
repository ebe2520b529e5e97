/*
 * exit.h: what a thread owes to those who share memory with it. For kernel/task/ only.
 */
#pragma once

struct thread;

/* Robust futexes it still holds are marked and passed on; its clear_tid word is cleared and woken.
 * The current thread. */
void exit_release_futexes(struct thread *self);
