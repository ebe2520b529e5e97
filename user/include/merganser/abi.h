/*
 * abi.h: what the kernel and user programs share, beyond Linux's own ABI.
 *
 * Linux's calls keep their numbers, structures and error codes. The calls here have numbers from
 * 0x1000 and use the same convention: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9,
 * result (or -errno) in rax, rcx and r11 clobbered. The IPC calls pass more in registers; their
 * layout is told at `struct mg_msg`.
 *
 * Objects are named by handles: small numbers, local to a task, each with rights. 0 is never a
 * handle. A call on a handle of the wrong type gives EBADF, without the needed right EACCES, a bad
 * pointer EFAULT, a bad value EINVAL.
 */
#pragma once

#include <stdint.h>

typedef uint32_t mg_handle;

/*
 * Handles a task finds in its table. The first is every task's. The others are those of the first
 * task, which the kernel starts from the boot module "init": with them it starts the servers and
 * hands each what it needs (user/lib/spawn.h), then stays as their supervisor. Process 1 is not
 * that task: the POSIX server makes a new one for it, which runs the same program from the file
 * system.
 */
enum {
    MG_HANDLE_SELF = 1,    /* MG_RIGHT_MANAGE only without a server, or with the system handle */
    MG_HANDLE_SYSTEM = 2,  /* control of the machine */
    MG_HANDLE_INITRD = 3,  /* object: the initramfs module */
    MG_HANDLE_OVERLAY = 4, /* object: files added for this boot; absent when there are none */
};

/* Rights a handle may carry; handle_dup can only drop them. */
enum {
    MG_RIGHT_READ = 1,   /* inspect, map for reading, receive */
    MG_RIGHT_WRITE = 2,  /* change, map for writing, send or call */
    MG_RIGHT_MANAGE = 4, /* destroy, start, stop, reconfigure */
    MG_RIGHT_PASS = 8,   /* hand on in a message */
    MG_RIGHT_ALL = 15,
};

/*
 * The native calls, one list: X(number, name), beside it (arguments) -> result where that is more
 * than 0. `task`, `thread`, ... are handles; buffers and structures are the caller's. The kernel
 * makes its table from it; native.h has the stubs.
 */
#define MG_NATIVE_CALLS(X)                                                                         \
    /* handles */                                                                                  \
    X(0x1000, null)             /* () */                                                           \
    X(0x1001, handle_close)     /* (handle) */                                                     \
    X(0x1002, handle_dup)       /* (handle, rights) -> handle */                                   \
                                                                                                   \
    /* ports */                                                                                    \
    X(0x1008, port_create)      /* () -> port */                                                   \
    X(0x1009, port_mint)        /* (port, cookie, rights) -> port, whose calls carry the cookie */ \
    X(0x100a, port_notify)      /* (port, bits) */                                                 \
    X(0x100b, port_timer)       /* (port, CLOCK_MONOTONIC ns): MG_NOTIFY_TIMER then; 0 = off */    \
                                                                                                   \
    /* messages: see struct mg_msg */                                                              \
    X(0x1010, ipc_call)                                                                            \
    X(0x1011, ipc_recv)                                                                            \
    X(0x1012, ipc_reply)                                                                           \
    X(0x1013, ipc_reply_recv)                                                                      \
                                                                                                   \
    /* tasks; `server` is a port, or 0 */                                                          \
    X(0x1020, task_create)      /* (server, cookie) -> task */                                     \
    X(0x1021, task_fork)        /* (task, server, cookie, MG_FORK_*) -> task */                    \
    X(0x1022, task_kill)        /* (task): its memory is gone on return, but the caller's own */   \
    X(0x1023, task_info)        /* (task, struct mg_task_info *) */                                \
    X(0x1024, task_set)         /* (task, MG_TASK_*, value) */                                     \
    X(0x1025, task_reset_space) /* (task): a new, empty address space, as for execve */            \
    X(0x1026, task_give)        /* (task, handle, rights) -> handle in that task's table */        \
                                                                                                   \
    /* threads; their state: of those that are suspended or wait for a reply */                    \
    X(0x1030, thread_create)    /* (task, cookie) -> thread, suspended */                          \
    X(0x1031, thread_resume)    /* (thread) */                                                     \
    X(0x1032, thread_suspend)   /* (thread): it is out of user mode on return */                   \
    X(0x1033, thread_interrupt) /* (thread): its sleep in the kernel ends with EINTR */            \
    X(0x1034, thread_kill)      /* (thread) */                                                     \
    X(0x1035, thread_get_state) /* (thread, MG_STATE_*, buffer, size) -> bytes */                  \
    X(0x1036, thread_set_state) /* (thread, MG_STATE_*, buffer, size) -> bytes */                  \
    X(0x1037, thread_info)      /* (thread, struct mg_thread_info *) */                            \
    X(0x1038, thread_set)       /* (thread, MG_THREAD_*, value) */                                 \
                                                                                                   \
    /* memory of a task */                                                                         \
    X(0x1040, vm_map)           /* (task, struct mg_map *) -> address */                           \
    X(0x1041, vm_unmap)         /* (task, address, bytes) */                                       \
    X(0x1042, vm_protect)       /* (task, address, bytes, PROT_*) */                               \
    X(0x1043, vm_query)         /* (task, address, struct mg_vma *): the first that ends above */  \
    X(0x1044, vm_pagemap)       /* (task, address, pages, uint64_t *) -> entries */                \
    /* to and from: a task with an address, or an object with an offset. The copy ends at the */   \
    /* first bad page; EFAULT if that leaves nothing. */                                           \
    X(0x1045, vm_copy)          /* (to, offset, from, offset, bytes) -> bytes */                   \
    X(0x1046, vm_advise)        /* (task, address, bytes, MADV_*): as madvise */                   \
                                                                                                   \
    /* memory objects */                                                                           \
    X(0x1050, object_create)    /* (bytes, cookie) -> object */                                    \
    X(0x1051, object_resize)    /* (object, bytes): mappings beyond fault with MG_FAULT_BUS */     \
    X(0x1052, object_info)      /* (object, struct mg_object_info *) */                            \
    X(0x1053, object_physical)  /* (system, address, bytes, MG_PHYS_*) -> object */                \
    X(0x1054, object_seek)      /* (object, offset, MG_SEEK_*) -> offset; ENXIO: no more */        \
    X(0x1055, object_punch)     /* (object, offset, bytes): its whole pages read as zeros */       \
                                                                                                   \
    /* the machine; `system` is MG_HANDLE_SYSTEM, or a handle got from it */                       \
    X(0x1060, irq_bind)         /* (system, gsi, port, bits) -> irq */                             \
    X(0x1061, irq_ack)          /* (irq): the line may interrupt again */                          \
    X(0x1062, io_in)            /* (system, I/O port, width) -> value */                           \
    X(0x1063, io_out)           /* (system, I/O port, width, value) */                             \
    X(0x1064, io_out_bytes)     /* (system, I/O port, buffer, bytes) -> bytes */                   \
    X(0x1065, power)            /* (system, MG_POWER_*) */                                         \
                                                                                                   \
    /* knobs and figures */                                                                        \
    X(0x1070, tunable_read)     /* (system, name, buffer, size) -> length of the whole text */     \
    X(0x1071, tunable_write)    /* (system, name, text, length) */                                 \
    X(0x1072, tunable_name)     /* (system, index, buffer, size) -> length; ENOENT: no more */     \
    X(0x1073, stats)            /* (system, MG_STATS_*, offset, buffer, size) -> bytes */          \
    X(0x1074, boot_info)        /* (system, struct mg_boot_info *) */                              \
    X(0x1075, log_write)        /* (system, text, length) -> length */                             \
    X(0x1076, log_read)         /* (system, offset, buffer, size) -> bytes */                      \
                                                                                                   \
    /* block devices */                                                                            \
    X(0x1080, block_info)       /* (system, index, struct mg_block_info *); ENOENT: no more */     \
    X(0x1081, block_open)       /* (system, index, rights) -> device */                            \
    X(0x1082, block_start)      /* (device, task, struct mg_block_io *) -> bytes it will move */   \
    X(0x1083, block_ended)      /* (device, struct mg_block_result *, count) -> how many have */

enum {
#define MG_NUMBER(number, name) MG_SYS_##name = number,
    MG_NATIVE_CALLS(MG_NUMBER)
#undef MG_NUMBER
    MG_SYS_FIRST = 0x1000,
    MG_SYS_END = 0x1090, /* one past the last native number */
};

/*
 * A message: a label, six words and at most one handle, all in registers.
 *
 *            rdi        rsi     rdx     r10 r8 r9 r12 r13 r14   rbx
 *   in       port       token   label   word[0..5]              handle to pass on, or 0
 *   out      cookie     token   label   word[0..5]              handle received, or 0
 *
 *   ipc_call        sends and sleeps until the reply; token in and out unused
 *   ipc_recv        takes the next message of a port; token out names the sender for the reply,
 *                   0 = none is expected
 *   ipc_reply       answers the sender named by token
 *   ipc_reply_recv  both at once: the fast path of a server; a token that has become stale is
 *                   skipped silently
 *
 * A handle passed on must carry MG_RIGHT_PASS; the receiver gets it with the same rights.
 */
struct mg_msg {
    uint64_t cookie;
    uint64_t token;
    uint64_t label;
    uint64_t word[6];
    mg_handle handle;
};

/*
 * Labels from 0xffff000000000000 on are the kernel's; those below are the users' own.
 *
 *   SYSCALL + number      words: the call's arguments; cookie: the thread's
 *   FAULT + MG_FAULT_*    words: address, trap, error code, rip; cookie: the thread's
 *   NOTIFY                word[0]: the bits collected since the last one; no reply
 */
#define MG_LABEL_SYSCALL 0xffff000000010000ul
#define MG_LABEL_FAULT 0xffff000000020000ul
#define MG_LABEL_NOTIFY 0xffff000000030000ul
#define MG_LABEL_MASK 0xffffffffffff0000ul

/* Labels of a reply to the kernel's calls and faults. */
enum {
    MG_REPLY_RETURN = 0, /* the call returns word[0] */
    MG_REPLY_RESUME = 1, /* go on with the registers as set_state left them; try a fault again */
};

enum mg_fault {
    MG_FAULT_MAPERR = 1, /* nothing is mapped at the address */
    MG_FAULT_ACCERR = 2, /* mapped, but not for this access */
    MG_FAULT_BUS = 3,    /* beyond the end of an object, or its content is lost */
    MG_FAULT_OOM = 4,    /* no memory left for it: end some task, then MG_REPLY_RESUME */
    MG_FAULT_TRAP = 5,   /* another processor exception: word[1] is its vector */
};

/* The bit of a port's timer among its notification bits. */
#define MG_NOTIFY_TIMER (1ul << 63)

/* task_fork */
enum { MG_FORK_SHARE_SPACE = 1 }; /* as vfork: the new task uses the same address space */

/* task_set. The limits and the domain need MG_HANDLE_SYSTEM in the caller's table; a new task
 * starts with those of its maker. */
enum {
    MG_TASK_PID = 1,           /* what getpid returns */
    MG_TASK_NAME = 2,          /* pointer to at most 15 bytes and a NUL */
    MG_TASK_MERGE_DOMAIN = 3,  /* pages merge only within one */
    MG_TASK_MEMLOCK_LIMIT = 4, /* RLIMIT_MEMLOCK in bytes */
    MG_TASK_SPACE_LIMIT = 5,   /* RLIMIT_AS in bytes */
    MG_TASK_STACK_LIMIT = 6,   /* RLIMIT_STACK in bytes */
    MG_TASK_DATA_LIMIT = 7,    /* RLIMIT_DATA in bytes */
    MG_TASK_BRK = 8,           /* start of the heap, after execve */
    MG_TASK_MEMORY_MERGE = 9,  /* the PR_SET_MEMORY_MERGE state */

    /* A port: the server, from now on, of a task that was made without one. Its threads' cookie
     * becomes the handle's. EBUSY: it has a server. */
    MG_TASK_SERVER = 10,
    /* 1: its page faults may use the memory that is kept for those on whom all others depend. Needs
     * MG_HANDLE_SYSTEM as the limits do; a new task starts without */
    MG_TASK_RESERVE = 11,
};

/* thread_set */
enum {
    MG_THREAD_TID = 1,       /* what gettid returns */
    MG_THREAD_CLEAR_TID = 2, /* address cleared and woken when the thread ends */
    MG_THREAD_NICE = 3,      /* -20..19; a lower one needs MG_HANDLE_SYSTEM */
    MG_THREAD_AFFINITY = 4,  /* mask of CPUs 0..63 */
};

/* User registers of a thread, in the order of Linux's struct user_regs_struct where both have a
 * field. */
struct mg_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t orig_rax; /* the call's number while in a system call, else ~0 */
    uint64_t rip, cs, rflags, rsp, ss;
    uint64_t fs_base, gs_base;
};

/*
 * thread_get_state, thread_set_state. The XSAVE area is in standard form, at most MG_FPU_MAX bytes;
 * set takes the first 512 (x87 and SSE) or, with its header, 576 and more: what is missing is zero.
 */
enum {
    MG_STATE_REGS = 1, /* struct mg_regs */
    MG_STATE_FPU = 2,  /* the XSAVE area */
};
#define MG_FPU_MAX 4096

struct mg_task_info {
    uint64_t rss_anon, rss_object, rss_merged, swapped; /* pages */
    uint64_t total, locked, stack, data, text, tables;  /* pages */
    uint64_t peak_rss, peak_total;                      /* pages */
    uint64_t minor_faults, major_faults, cow_faults;
    uint64_t user_ns, kernel_ns; /* CPU time of all its threads, past ones included */
    uint64_t ksm_items, ksm_merging, ksm_zero;
    uint64_t threads, brk_start, brk, stack_start;
    uint32_t merge_any; /* PR_SET_MEMORY_MERGE is on */
    uint32_t merge_domain;
    uint64_t held; /* pages not mapped that its end would give back: of its handles and tasks */
};

struct mg_thread_info {
    uint64_t user_ns, kernel_ns;
    uint64_t voluntary, involuntary; /* context switches */
    uint32_t cpu;                    /* where it runs or ran last */
    uint32_t state;                  /* enum mg_thread_state */
    uint32_t call;                   /* number of the call it sleeps in, or ~0 */
    int32_t nice;
    uint64_t affinity;
};

enum mg_thread_state {
    MG_THREAD_RUNNING,
    MG_THREAD_SLEEPING,
    MG_THREAD_SUSPENDED,
    MG_THREAD_WAITING_REPLY,
    MG_THREAD_DEAD,
};

/* vm_map: prot and flags as for mmap(2); object 0 with MAP_ANONYMOUS. */
struct mg_map {
    uint64_t addr, len;
    uint32_t prot, flags;
    mg_handle object;
    uint32_t max_prot; /* what mprotect may grant later on a shared mapping; 0 = everything */
    uint64_t offset;   /* bytes into the object, a multiple of 4096 */
};

/* The cookie of the objects that the kernel makes for shared anonymous memory. */
#define MG_COOKIE_ANONYMOUS (~0ul)

/* One mapping, for /proc/PID/maps and smaps. Pages are counted when asked for. */
struct mg_vma {
    uint64_t start, end;
    uint32_t prot;      /* PROT_* */
    uint32_t flags;     /* MG_VMA_* */
    uint64_t offset;    /* bytes into the object */
    uint64_t cookie;    /* of the object, 0 = anonymous */
    uint64_t pss_bytes; /* each page's bytes shared out over its mappers */
    uint64_t rss;       /* pages, as all below */
    uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
    uint64_t referenced, anonymous, merged, swapped;
};

enum {
    MG_VMA_SHARED = 1,
    MG_VMA_GROWSDOWN = 2,
    MG_VMA_LOCKED = 4,
    MG_VMA_MERGEABLE = 8,
    MG_VMA_HEAP = 16,
    MG_VMA_STACK = 32,
    MG_VMA_PHYSICAL = 64,
    MG_VMA_DONTFORK = 128,
    MG_VMA_WIPEONFORK = 256,
    MG_VMA_DONTDUMP = 512,
    MG_VMA_NORESERVE = 1024,
    MG_VMA_OBJECT = 2048, /* maps an object, private or shared */
};

struct mg_object_info {
    uint64_t bytes, resident; /* size; pages present */
    uint64_t cookie;
    uint64_t handles, mappings;
};

enum { MG_PHYS_UNCACHED = 0, MG_PHYS_WRITE_COMBINING = 1, MG_PHYS_CACHED = 2 };
enum { MG_SEEK_DATA = 0, MG_SEEK_HOLE = 1 };
enum { MG_POWER_OFF = 0, MG_POWER_REBOOT = 1, MG_POWER_PANIC = 2 };

enum { MG_BLOCK_READ_ONLY = 1 };

struct mg_block_info {
    char name[16];
    uint64_t bytes;
    uint32_t block_bytes; /* transfers are of whole blocks, at most 4096 bytes each */
    uint32_t flags;       /* MG_BLOCK_READ_ONLY */
};

/* In the task's memory; both are multiples of 512. */
struct mg_block_piece {
    uint64_t address, bytes;
};

/*
 * block_start: the device itself reads or writes the task's pages, which stay where they are until
 * it is done, even if the task unmaps them or ends. Reading from the device needs MG_RIGHT_READ for
 * it and MG_RIGHT_WRITE for the task, writing the reverse. A flush, which makes what was written
 * survive a loss of power, needs MG_RIGHT_WRITE and neither task nor pieces. As many pieces are
 * taken as make one request of the device: always the first 32 pages.
 */
enum { MG_BLOCK_READ = 0, MG_BLOCK_WRITE = 1, MG_BLOCK_FLUSH = 2 };

struct mg_block_io {
    uint64_t sector;    /* of 512 bytes, on the device */
    uint64_t pieces;    /* address of struct mg_block_piece[count], the caller's */
    uint32_t op, count; /* MG_BLOCK_READ, ... */
    uint32_t port, pad; /* that is notified when the transfer has ended */
    uint64_t bits;      /* with these bits */
    uint64_t cookie;    /* names it in struct mg_block_result */
};

struct mg_block_result {
    uint64_t cookie;
    int64_t result; /* bytes, or -errno */
};

/* stats: bytes from the offset on; for those about frames it is the first frame's number. */
enum {
    MG_STATS_MEMORY = 1,      /* struct mg_memory_stats */
    MG_STATS_EVENTS = 2,      /* text: lines of counter and value, as in /proc/vmstat */
    MG_STATS_FRAMES = 3,      /* a byte a frame: enum mg_frame_state */
    MG_STATS_CPUS = 4,        /* array of struct mg_cpu_stats */
    MG_STATS_FRAME_FLAGS = 5, /* 64 bits a frame, as in /proc/kpageflags */
    MG_STATS_FRAME_COUNT = 6, /* 64 bits a frame, as in /proc/kpagecount */
};

enum mg_frame_state {
    MG_FRAME_ABSENT,   /* no memory at this frame number */
    MG_FRAME_RESERVED, /* firmware's, or the kernel's image */
    MG_FRAME_FREE,
    MG_FRAME_KERNEL, /* stacks, tables, buffers */
    MG_FRAME_PAGETABLE,
    MG_FRAME_SLAB,
    MG_FRAME_PRIVATE, /* anonymous */
    MG_FRAME_SHARED,  /* of a memory object */
    MG_FRAME_ZERO,    /* the shared zero page */
    MG_FRAME_MERGED,
    MG_FRAME_PINNED, /* anonymous, and being written to by its frame */
    MG_FRAME_SWAPCACHE,
    MG_FRAME_STATES
};

struct mg_memory_stats { /* pages */
    uint64_t total, free, kernel, tables, slab;
    uint64_t anonymous, objects, merged, swap_total, swap_free;
    uint64_t frames_end; /* one past the highest frame number */
    uint32_t nodes, cpus;
};

struct mg_cpu_stats {
    uint32_t id, node;
    uint64_t idle_ns, user_ns, kernel_ns, switches;
    uint64_t interrupts, shootdowns_sent, shootdowns_received;
};

struct mg_boot_info {
    uint64_t initrd_bytes, overlay_bytes;
    uint64_t framebuffer; /* physical address, 0 = none */
    uint32_t fb_width, fb_height, fb_pitch, fb_bpp;
    uint8_t fb_red_shift, fb_green_shift, fb_blue_shift, fb_pad[5];
    uint64_t boot_ns;         /* CLOCK_MONOTONIC now: ns since the kernel's entry */
    uint64_t realtime_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC, ns */
    uint32_t cpus, nodes;
    uint64_t tsc_hz;
    char version[64];       /* kernel release */
    char cmdline[1024];     /* kernel arguments, those of tools/vm appended */
    char command[1024];     /* what to run instead of a shell: arguments, each ended by a NUL */
    uint64_t command_bytes; /* of `command`; 0 = none */
};
