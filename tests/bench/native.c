/*
 * Merganser's own calls: the null call, and a message to another address space and back.
 *
 * The server is a task made by the native calls alone: a copy of this one's address space with one
 * thread that answers every message of a port. Nothing else is involved in a round trip but the two
 * user stubs and the kernel. Linux has no such calls; there these figures are not measured.
 */
#include <errno.h>
#include <merganser/native.h>

#include "bench.h"

#define NULL_CALLS 1000
#define TRIPS 1000
#define STACK_SIZE 16384

static char server_stack[STACK_SIZE] __attribute__((aligned(16)));

/* A server's thread: sends each message back as it is. */
static void serve_echo(mg_handle port)
{
    struct mg_msg msg = {0};
    long status = mg_ipc_recv(port, &msg);
    while (status == 0)
        status = mg_ipc_reply_recv(port, &msg);
    for (;;)
        mg_null();
}

/* Another: answers each message with the sum of its first four words. */
static void serve_sum(mg_handle port)
{
    struct mg_msg msg = {0};
    long status = mg_ipc_recv(port, &msg);
    while (status == 0) {
        msg.word[0] += msg.word[1] + msg.word[2] + msg.word[3];
        msg.handle = 0;
        status = mg_ipc_reply_recv(port, &msg);
    }
    for (;;)
        mg_null();
}

/* Gives `task` its thread, at `serve` with the task's own handle of the port. */
static long server_start(long task, long port, void (*serve)(mg_handle))
{
    struct mg_regs regs = {0};
    long theirs = mg_task_give(task, port, MG_RIGHT_READ | MG_RIGHT_WRITE);
    long thread = mg_thread_create(task, 0);
    if (theirs < 0 || thread < 0)
        return theirs < 0 ? theirs : thread;
    long size = mg_thread_get_state(thread, MG_STATE_REGS, &regs, sizeof regs);
    if (size < 0)
        return size;
    regs.rip = (uint64_t)serve;
    regs.rsp = (uint64_t)server_stack + STACK_SIZE - sizeof(uint64_t);
    regs.rdi = (uint64_t)theirs;
    regs.orig_rax = ~0ul;
    size = mg_thread_set_state(thread, MG_STATE_REGS, &regs, sizeof regs);
    return size < 0 ? size : mg_thread_resume(thread);
}

/* Instructions per trip of empty messages; a negative error number on failure. */
static double trips_empty(mg_handle port)
{
    long status = mg_ipc_call_label(port, 7); /* by its reply the server has started */
    uint64_t start = bench_now();
    for (int i = 0; i < TRIPS && status == 7; i++)
        status = mg_ipc_call_label(port, 7);
    if (status != 7)
        return status < 0 ? (double)status : -EPROTO;
    return (double)bench_since(start) / TRIPS;
}

/* The same of messages with four words each way, which differ from trip to trip. */
static double trips_words(mg_handle port)
{
    struct mg_msg msg = {0};
    uint64_t start = 0;
    for (uint64_t i = 0; i <= TRIPS; i++) {
        if (i == 1)
            start = bench_now();
        msg.word[0] = i;
        msg.word[1] = msg.word[2] = msg.word[3] = 1;
        long status = mg_ipc_call(port, &msg);
        if (status < 0)
            return (double)status;
        if (msg.word[0] != i + 3)
            return -EPROTO;
    }
    return (double)bench_since(start) / TRIPS;
}

static double native_trips(void (*serve)(mg_handle), double (*trips)(mg_handle))
{
    long port = mg_port_create();
    long orphan = mg_port_create(); /* receives the server's faults: nobody listens */
    long task = mg_task_fork(MG_HANDLE_SELF, orphan, 0, 0);
    long status = port < 0 ? port : task < 0 ? task : server_start(task, port, serve);
    double cost = status < 0 ? (double)status : trips((mg_handle)port);
    if (task > 0)
        mg_task_kill(task);
    mg_handle_close(port);
    mg_handle_close(orphan);
    if (cost >= 0)
        return cost;
    errno = (int)-cost;
    return bench_fail("ipc");
}

static double native_ipc(void)
{
    return native_trips(serve_echo, trips_empty);
}

static double native_ipc_words(void)
{
    return native_trips(serve_sum, trips_words);
}

static double native_null(void)
{
    uint64_t start = bench_now();
    for (int i = 0; i < NULL_CALLS; i++)
        mg_null();
    return (double)bench_since(start) / NULL_CALLS;
}

const struct figure native_figures[] = {
    {"null", "the native null call", native_null, 9, true},
    {"ipc", "an empty message to another address space and back", native_ipc, 5, true},
    {"ipc_words", "the same with four words each way", native_ipc_words, 5, true},
    {0},
};
