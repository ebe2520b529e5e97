/*
 * epoll: sets of files to wait for.
 */
#pragma once

#include "lib/types.h"

struct file;
struct thread;

bool epoll_is(const struct file *file);

/* POLLIN if one of the set's files is ready; else, if `wait`, the thread is put on their queues. */
u32 epoll_poll(struct thread *thread, struct file *file, bool wait);

/* A file goes: so does its place in all sets. */
void epoll_forget(struct file *file);
