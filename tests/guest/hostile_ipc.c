/*
 * Do messages survive everything that can be done to their senders and receivers? Clients call
 * servers, with handles in both directions, while a tormentor suspends, resumes, interrupts and
 * ends them at random, on other CPUs, in whatever state they are. A call that returns 0 has the
 * right answer; one that fails says that the server has gone.
 *
 *     hostile_ipc [CASE]
 *
 * vm: --smp 4 --mem 256
 * timeout: 90
 * linux: no
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "hostile.h"

#define CLIENTS 4
#define SERVERS 2
#define SERVER_THREADS 2
#define STORM_MS 6000

/* What all tasks share. */
static struct totals {
    atomic_long calls, broken, wrong, handles;
} * totals;

static uint64_t random_state = 88172645463325252ul;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* --- what the tasks do. They have handle 2, a port, and a client 3, an object. --- */

enum { PORT = 2, OBJECT = 3 };

static void serve(long argument)
{
    struct mg_msg msg = {0};
    (void)argument;
    while (mg_ipc_recv(PORT, &msg) == -EINTR) {
    }
    for (;;) {
        msg.word[0] = msg.word[0] * 3 + 1;
        msg.word[5] ^= msg.word[0];
        mg_handle received = msg.handle;
        while (mg_ipc_reply_recv(PORT, &msg) == -EINTR) {
            msg.token = 0; /* the reply went out before the sleep */
            msg.handle = 0;
        }
        if (received) {
            mg_handle_close(received);
        }
    }
}

static void call_once(uint64_t number)
{
    struct mg_msg msg = {.label = number, .word = {number, 2, 3, 4, 5, ~number}};
    if (number % 4 == 0) {
        msg.handle = OBJECT;
    }
    long result = mg_ipc_call(PORT, &msg);
    if (result == -EPIPE) {
        totals->broken++;
        return;
    }
    bool good =
        result == 0 && msg.word[0] == number * 3 + 1 && msg.word[5] == (~number ^ (number * 3 + 1));
    totals->wrong += !good;
    totals->calls++;
    if (msg.handle) {
        struct mg_object_info info;
        totals->wrong += mg_object_info(msg.handle, &info) != 0 || info.cookie != 77;
        totals->handles++;
        mg_handle_close(msg.handle);
    }
}

static void call(long seed)
{
    for (uint64_t number = (uint64_t)seed;; number++) {
        call_once(number);
    }
}

/* --- who torments them --- */

struct victim {
    long port;
    bool is_server;
    long task, threads[SERVER_THREADS];
};

static char stacks[SERVER_THREADS][NATIVE_STACK] __attribute__((aligned(16)));
static long object;

static bool bring_to_life(struct victim *v)
{
    v->task = mg_task_fork(MG_HANDLE_SELF, 0, 0, 0);
    if (v->task < 0 || mg_task_give(v->task, v->port, MG_RIGHT_ALL) != PORT ||
        mg_task_give(v->task, object, MG_RIGHT_ALL) != OBJECT) {
        return false;
    }
    for (int i = 0; i < SERVER_THREADS; i++) {
        v->threads[i] = native_start(v->task, 0, v->is_server ? serve : call,
                                     (long)(next_random() >> 8), stacks[i]);
        if (v->threads[i] < 0 || mg_thread_set(v->threads[i], MG_THREAD_NICE, 10) != 0) {
            return false;
        }
    }
    return true;
}

static long put_to_death(struct victim *v)
{
    for (int i = 0; i < SERVER_THREADS; i++) {
        mg_handle_close(v->threads[i]);
    }
    long result = mg_task_kill(v->task);
    mg_handle_close(v->task);
    return result;
}

static bool torment(struct victim *v)
{
    struct mg_thread_info info;
    struct mg_regs regs;
    long thread = v->threads[next_random() % SERVER_THREADS];
    switch (next_random() % 8) {
    case 0: return put_to_death(v) == 0 && bring_to_life(v);
    case 1:
    case 2: return mg_thread_suspend(thread) == 0 && mg_thread_resume(thread) == 0;
    case 3:
        return mg_thread_suspend(thread) == 0 &&
               mg_thread_get_state(thread, MG_STATE_REGS, &regs, sizeof regs) == sizeof regs &&
               regs.cs == 0x33 && mg_thread_resume(thread) == 0;
    case 4: return mg_thread_interrupt(thread) == 0;
    case 5: return mg_thread_info(thread, &info) == 0 && info.state != MG_THREAD_DEAD;
    case 6: return mg_thread_set(thread, MG_THREAD_AFFINITY, next_random() | 1) == 0;
    default: sched_yield(); return true;
    }
}

static void storm(void)
{
    struct victim victims[CLIENTS + SERVERS] = {0};
    long before = free_bytes(), bad = 0, rounds = 0;
    totals = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    object = mg_object_create(4096, 77);
    long ports[SERVERS] = {mg_port_create(), mg_port_create()};
    for (int i = 0; i < CLIENTS + SERVERS; i++) {
        victims[i].port = ports[i % SERVERS];
        victims[i].is_server = i < SERVERS;
        bad += !bring_to_life(&victims[i]);
    }
    ok_equal(bad, 0, "servers and clients");
    long end = now_ns(CLOCK_MONOTONIC) + STORM_MS * 1000000l, last = 0, stuck = 0;
    while (now_ns(CLOCK_MONOTONIC) < end) {
        for (int i = 0; i < 200; i++, rounds++) {
            bad += !torment(&victims[next_random() % (CLIENTS + SERVERS)]);
        }
        long calls = totals->calls;
        stuck += calls == last && !eventually(totals->calls > last, 3000);
        last = calls;
    }
    note("%ld torments, %ld calls, %ld handles came back, %ld broken calls", rounds, last,
         (long)totals->handles, (long)totals->broken);
    ok_equal(bad, 0, "nothing that was done to them failed");
    ok_equal(stuck, 0, "calls went on");
    ok_equal(totals->wrong, 0, "and had the right answers");
    ok(last > 1000 && totals->handles > 100, "enough of them");
    for (int i = 0; i < CLIENTS + SERVERS; i++) {
        bad += put_to_death(&victims[i]) != 0;
    }
    ok_equal(bad, 0, "and all could be ended");
    all_is_well(before);
}

/* --- calls in a circle --- */

static long ring_ports[8];

/* Takes one call, answers it only when its own call to the next has been answered. */
static void *pass_on(void *argument)
{
    long at = (long)argument;
    struct mg_msg msg = {0}, next;
    if (mg_ipc_recv((mg_handle)ring_ports[at], &msg) != 0) {
        return NULL;
    }
    next = msg;
    next.word[0]++;
    long result = mg_ipc_call((mg_handle)ring_ports[(at + 1) % 8], &next);
    msg.word[0] = result == 0 ? next.word[0] : 1000;
    mg_ipc_reply(&msg);
    return NULL;
}

static void *close_first(void *unused)
{
    pause_ms(300);
    mg_handle_close((mg_handle)ring_ports[0]);
    return unused;
}

/* Each calls the next, and the last the first port, where nobody waits any more; then that dies. */
static void a_circle(void)
{
    pthread_t threads[8], closer;
    struct mg_msg msg = {.label = 1};
    for (int i = 0; i < 8; i++) {
        ring_ports[i] = mg_port_create();
    }
    for (long i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, pass_on, (void *)i);
    }
    pthread_create(&closer, NULL, close_first, NULL);
    ok_equal(mg_ipc_call((mg_handle)ring_ports[0], &msg), 0, "a circle of calls is broken open");
    ok_equal(msg.word[0], 1000, "where its port died");
    pthread_join(closer, NULL);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void call_myself(void)
{
    struct mg_msg msg = {.label = 1};
    mg_ipc_call((mg_handle)mg_port_create(), &msg);
}

static void receive_for_ever(void)
{
    struct mg_msg msg = {0};
    mg_ipc_recv((mg_handle)mg_port_create(), &msg);
}

static void touch(long address)
{
    *(volatile char *)address = 1;
}

/* The faults of its child come to it, and it never answers. */
static void ignore_faults(void)
{
    struct mg_msg msg = {0};
    long port = mg_port_create(), task = mg_task_fork(MG_HANDLE_SELF, port, 0, 0);
    native_start(task, 1, touch, 16, stacks[0]);
    mg_ipc_recv((mg_handle)port, &msg);
    sleep_forever();
}

/* A thread that does not stop, since its call has been taken. */
static void wait_for_a_stop(void)
{
    long task = mg_task_fork(MG_HANDLE_SELF, 0, 0, 0);
    long thread = mg_thread_create(task, 2);
    struct mg_regs regs = native_regs(touch, (long)&stacks[1], stacks[0]);
    mg_thread_set_state(thread, MG_STATE_REGS, &regs, sizeof regs);
    for (;;) {
        mg_thread_suspend(thread);
        mg_task_reset_space(task);
        mg_task_kill(task);
        sched_yield();
    }
}

static void killable(void)
{
    static void (*const sleeps[])(void) = {call_myself, receive_for_ever, ignore_faults,
                                           wait_for_a_stop};
    for (unsigned i = 0; i < sizeof sleeps / sizeof *sleeps; i++) {
        pid_t pid = start(sleeps[i]);
        pause_ms(100);
        ok_equal(waitpid(pid, NULL, WNOHANG), 0, "%u: it sleeps", i);
        kill(pid, SIGKILL);
        int status = -1;
        ok(eventually(waitpid(pid, &status, WNOHANG) == pid, 5000) && status == SIGKILL,
           "and ends when it is killed");
    }
}

/* --- tokens --- */

static void ask(long unused)
{
    (void)unused;
    mg_ipc_call(PORT, &(struct mg_msg){.label = 1});
    for (;;) {
        sched_yield();
    }
}

static void forged_replies(void)
{
    struct mg_msg msg = {0};
    long port = mg_port_create(), answered = 0;
    long task = mg_task_fork(MG_HANDLE_SELF, 0, 0, 0);
    mg_task_give(task, port, MG_RIGHT_WRITE);
    native_start(task, 0, ask, 0, stacks[0]);
    ok_equal(mg_ipc_recv((mg_handle)port, &msg), 0, "a call");
    uint64_t token = msg.token;
    pid_t pid = fork();
    if (pid == 0) { /* another task, which knows the token */
        for (uint64_t guess = token - 2000; guess != token + 2000; guess++) {
            answered += mg_ipc_reply(&(struct mg_msg){.token = guess}) == 0;
        }
        for (uint64_t guess = 0; guess < 64; guess++) {
            for (uint64_t high = 0; high < 256; high++) {
                answered += mg_ipc_reply(&(struct mg_msg){.token = high << 32 | guess}) == 0;
            }
        }
        _exit(answered ? 1 : 0);
    }
    ok_equal(reap(pid), 0, "no other task can answer it");
    ok_equal(mg_ipc_reply(&(struct mg_msg){.token = token}), 0, "we can");
    ok_equal(mg_ipc_reply(&(struct mg_msg){.token = token}), -ESRCH, "once");
    ok_equal(mg_task_kill(task), 0, "the end");
}

/* --- handles that go away while they are passed --- */

static atomic_bool stop;
static long contested;

static void *close_and_make(void *unused)
{
    long count = 0;
    (void)unused;
    while (!stop) {
        mg_handle_close((mg_handle)contested);
        long made = count++ % 2 ? mg_object_create(4096, 1) : mg_port_create();
        if (made != contested) {
            mg_handle_close((mg_handle)made);
        }
    }
    return NULL;
}

static void *take_and_close(void *port)
{
    struct mg_msg msg = {0};
    mg_ipc_recv((mg_handle)(long)port, &msg);
    for (;;) {
        mg_handle received = msg.handle;
        bool last = msg.label == 2;
        msg.handle = 0;
        if (received) {
            mg_handle_close(received);
        }
        if (last) {
            mg_ipc_reply(&msg);
            return NULL;
        }
        mg_ipc_reply_recv((mg_handle)(long)port, &msg);
    }
}

static void contested_handles(void)
{
    pthread_t closer, server;
    long before = free_bytes(), port = mg_port_create(), passed = 0, gone = 0, other = 0;
    contested = mg_object_create(4096, 1);
    pthread_create(&closer, NULL, close_and_make, NULL);
    pthread_create(&server, NULL, take_and_close, (void *)port);
    long end = now_ns(CLOCK_MONOTONIC) + 2000000000;
    while (now_ns(CLOCK_MONOTONIC) < end) {
        for (int i = 0; i < 100; i++) {
            struct mg_msg msg = {.label = 1, .handle = (mg_handle)contested};
            long result = mg_ipc_call((mg_handle)port, &msg);
            passed += result == 0;
            gone += result == -EBADF;
            other += result != 0 && result != -EBADF;
        }
    }
    stop = true;
    pthread_join(closer, NULL);
    mg_ipc_call((mg_handle)port, &(struct mg_msg){.label = 2});
    pthread_join(server, NULL);
    note("%ld passed, %ld gone", passed, gone);
    ok_equal(other, 0, "a handle is passed or is not there");
    ok(passed > 10, "some were passed");
    all_is_well(before);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_SLOW_CASE(storm, 60), TAP_CASE(a_circle),          TAP_CASE(killable),
        TAP_CASE(forged_replies), TAP_CASE(contested_handles),
    };

    return TAP_MAIN(cases);
}
