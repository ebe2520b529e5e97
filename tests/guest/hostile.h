/*
 * Helpers for programs that attack the kernel by its native calls: tasks and threads of one's own,
 * and the three questions every attack ends with: is the machine alive, are the counts of its
 * frames right, is the memory back?
 */
#pragma once

#include <merganser/native.h>
#include <sys/sysinfo.h>

#include "proc.h"
#include "tunable.h"

#define NATIVE_STACK 16384ul

static inline long free_bytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) < 0 ? -1 : (long)(info.freeram * info.mem_unit);
}

/* Bytes the system may have grown by for good: thread structures stay, and there may have been as
 * many as memory could hold. */
static inline long slack_bytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) < 0 ? 0 : (long)(info.totalram / 20 * info.mem_unit);
}

/* The questions. `before` is what was free before the attack. */
static inline void all_is_well(long before)
{
    bool back = eventually(free_bytes() >= before - slack_bytes(), 10000);
    ok(back, "memory is free again (%ld of %ld KiB)", free_bytes() / 1024, before / 1024);
    ok_equal(audit(), 0, "the counts of all frames are right");
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/busybox", "true", NULL);
        _exit(1);
    }
    ok_equal(pid > 0 ? reap(pid) : -1, 0, "fork and execve work");
}

/* Registers with which a thread of a copy of this task runs entry(argument) on the stack. */
static inline struct mg_regs native_regs(void (*entry)(long), long argument, char *stack)
{
    return (struct mg_regs){
        .rip = (uint64_t)entry,
        .rdi = (uint64_t)argument,
        .rsp = (uint64_t)(stack + NATIVE_STACK - 8),
        .rflags = 0x200,
        .orig_rax = ~0ul,
        .fs_base = (uint64_t)__builtin_thread_pointer(),
    };
}

/* A thread in `task` that runs at once; its handle or -errno. */
static inline long native_start(long task, uint64_t cookie, void (*entry)(long), long argument,
                                char *stack)
{
    struct mg_regs regs = native_regs(entry, argument, stack);
    long thread = mg_thread_create(task, cookie);
    if (thread < 0) {
        return thread;
    }
    long error = mg_thread_set_state(thread, MG_STATE_REGS, &regs, sizeof regs);
    if (error >= 0) {
        error = mg_thread_resume(thread);
    }
    return error < 0 ? error : thread;
}
