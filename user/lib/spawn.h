/*
 * Starting a static ELF program in a task of its own, by native calls alone: how the first servers
 * come to life, before there are processes. The new task gets an address space with the program's
 * segments (copied), a stack with arguments and auxiliary vector as Linux lays them out, and one
 * thread, which does not run yet: give the task its handles, then resume the thread.
 */
#pragma once

#include "lib/types.h"
#include <merganser/abi.h>

/* The handles init gives to the POSIX server, in this order; the last only when there is one. */
enum {
    POSIX_HANDLE_SYSTEM = 2,
    POSIX_HANDLE_PORT = 3,    /* the port it serves */
    POSIX_HANDLE_CONSOLE = 4, /* the console server's port */
    POSIX_HANDLE_INITRD = 5,
    POSIX_HANDLE_OVERLAY = 6,
};

struct spawn {
    const char *name;  /* of the task, and its only argument */
    const void *image; /* the ELF file, 8-byte aligned */
    usize size;
    mg_handle server; /* port that receives its faults and foreign calls; 0 = none */
    u64 cookie;       /* what names it in those messages */
};

struct spawned {
    mg_handle task, thread;
};

/* Makes the task. 0, or -errno with nothing left behind. */
long spawn_task(const struct spawn *spawn, struct spawned *spawned);
