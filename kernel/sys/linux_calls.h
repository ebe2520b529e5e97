/*
 * linux_calls.h: the calls of Linux that the kernel serves itself: X(number, name), handled by
 * sys_NAME(frame). Every other number goes to the system server.
 */
#pragma once

#include "kernel/sys/syscall.h"

/* clang-format off */
#define LINUX_CALLS(X)                                                                             \
    /* sys_mem.c */                                                                                \
    X(9, mmap) X(10, mprotect) X(11, munmap) X(12, brk) X(25, mremap) X(26, msync) X(27, mincore)  \
    X(28, madvise) X(149, mlock) X(150, munlock) X(151, mlockall) X(152, munlockall)               \
    X(157, prctl) X(325, mlock2) X(329, pkey_mprotect) X(330, pkey_alloc) X(331, pkey_free)        \
    /* sys_time.c */                                                                               \
    X(96, gettimeofday) X(201, time) X(227, clock_settime) X(228, clock_gettime)                   \
    X(229, clock_getres)                                                                           \
    /* sys_sleep.c */                                                                              \
    X(35, nanosleep) X(219, restart_syscall) X(230, clock_nanosleep)                               \
    /* sys_futex.c */                                                                              \
    X(202, futex) X(273, set_robust_list) X(274, get_robust_list)                                  \
    /* sys_thread.c */                                                                             \
    X(24, sched_yield) X(39, getpid) X(60, exit) X(158, arch_prctl) X(186, gettid)                 \
    X(218, set_tid_address) X(231, exit_group) X(309, getcpu) X(334, rseq)                         \
    /* sys_barrier.c */                                                                            \
    X(324, membarrier)
/* clang-format on */

#define LINUX_DECLARE(number, name) s64 sys_##name(struct trap_frame *frame);
LINUX_CALLS(LINUX_DECLARE)
#undef LINUX_DECLARE
