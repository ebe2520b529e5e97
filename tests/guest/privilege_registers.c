/*
 * Registers as nobody would set them, at random: in the frame that a signal's handler returns by,
 * and in the state of a thread that another one sets. Each may end the process that has them, and
 * nothing else.
 *
 *     privilege_registers [CASE]      PRIVILEGE_SEED in the environment
 *
 * vm: --smp 2 --mem 256
 * timeout: 120
 * linux: no
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <ucontext.h>

#include "hostile.h"
#include "privilege.h"

static uint64_t random_state = 88172645463325252ul;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

static void seed_random(void)
{
    const char *text = getenv("PRIVILEGE_SEED");
    uint64_t seed =
        text ? strtoul(text, NULL, 0) : (uint64_t)now_ns(CLOCK_REALTIME) / 1000 % 1000000;
    note("seed %lu", (unsigned long)seed);
    random_state ^= seed * 0x9e3779b97f4a7c15;
}

/* --- frames of signals --- */

static sigjmp_buf home;
static int mode;

static void landing(void)
{
    __asm__ volatile("push $0x202\n popfq\n fninit\n cld" ::: "memory", "cc");
    siglongjmp(home, 1);
}

static void randomize(void *at, size_t bytes)
{
    uint8_t *byte = at;
    for (unsigned i = 0; i < 1 + next_random() % 8; i++) {
        byte[next_random() % bytes] = (uint8_t)next_random();
    }
}

/* Returns from the signal with a context that nobody would make. */
static void spoil(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *regs = uc->uc_mcontext.gregs;
    uint8_t *fpu = (uint8_t *)uc->uc_mcontext.fpregs;
    (void)signal, (void)info;
    if (mode & 1) {
        randomize(fpu, 512);
    }
    if (mode & 2) {
        randomize(fpu + 512, 64);
    }
    if (mode & 4) {
        randomize(fpu + 464, 48); /* what says how much there is */
    }
    if (mode & 8) {
        regs[REG_EFL] ^= (greg_t)next_random();
        regs[REG_CSGSFS] = (greg_t)next_random();
    }
    if (mode & 16) {
        uint64_t address = bad_addresses[next_random() % BAD];
        *(uint64_t *)&regs[next_random() % 3 ? REG_RSP : REG_RIP] = address;
        return;
    }
    if (mode & 32) {
        uc->uc_mcontext.fpregs = (void *)(next_random() % 2 ? bad_addresses[next_random() % BAD]
                                                            : (uint64_t)fpu + next_random() % 9000);
    }
    regs[REG_RIP] = (greg_t)landing;
    regs[REG_RSP] = (regs[REG_RSP] & ~15l) - 4096 - 8;
}

static void return_oddly(void)
{
    struct sigaction action = {.sa_sigaction = spoil, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGTRAP, SIG_IGN);
    signal(SIGFPE, SIG_DFL);
    for (volatile int i = 0; i < 20; i++) {
        if (!sigsetjmp(home, 0)) {
            raise(SIGUSR1);
        }
    }
}

static void signal_frames(void)
{
    int odd = 0, ended = 0;
    seed_random();
    for (int round = 0; round < 400; round++) {
        next_random();
        mode = round % 64;
        int status = tap_child(return_oddly);
        odd += status != 0 && !WIFSIGNALED(status);
        ended += WIFSIGNALED(status);
    }
    note("%d of 400 were ended", ended);
    ok_equal(odd, 0, "frames of signals at random");
}

/* --- states of threads --- */

static char stack[NATIVE_STACK] __attribute__((aligned(16)));

static void spin(long unused)
{
    (void)unused;
    for (;;) {
        __asm__ volatile("fldz\n fstp %%st(0)\n movaps %%xmm0, %%xmm1\n pause" ::: "memory");
    }
}

static bool random_state_of(long thread)
{
    static uint8_t fpu[MG_FPU_MAX];
    struct mg_regs regs = native_regs(spin, 0, stack);
    long size = mg_thread_get_state(thread, MG_STATE_FPU, fpu, sizeof fpu);
    uint64_t how = next_random();
    if (size < 512) {
        return false;
    }
    if (how & 1) {
        randomize(fpu, (size_t)size);
    }
    if ((how & 2) && size > 576) {
        randomize(fpu + 512, 64);
    }
    mg_thread_set_state(thread, MG_STATE_FPU, fpu, how & 4 ? 512 : size);
    if (how & 8) {
        regs.rflags = next_random();
        regs.cs = next_random();
        regs.ss = next_random();
        regs.orig_rax = next_random();
    }
    if (how & 16) {
        regs.rsp = bad_addresses[next_random() % BAD];
    }
    if (how & 32) {
        regs.fs_base = bad_addresses[next_random() % BAD];
    }
    if ((how & 192) == 0) {
        regs.rip = bad_addresses[next_random() % BAD];
    }
    mg_thread_set_state(thread, MG_STATE_REGS, &regs, sizeof regs);
    return true;
}

static void states(void)
{
    struct mg_msg msg = {0};
    long port = mg_port_create(), faults = 0, bad = 0;
    long task = mg_task_fork(MG_HANDLE_SELF, port, 0, 0);
    long thread = native_start(task, 7, spin, 0, stack);
    seed_random();
    for (int round = 0; round < 2000; round++) {
        mg_port_timer(port, now_ns(CLOCK_MONOTONIC) + 1000000);
        mg_ipc_recv((mg_handle)port, &msg);
        bool fault = msg.label != MG_LABEL_NOTIFY;
        if (!fault) {
            bad += mg_thread_suspend(thread) != 0;
        }
        bad += !random_state_of(thread);
        faults += fault;
        msg.label = MG_REPLY_RESUME;
        fault ? (void)mg_ipc_reply(&msg) : (void)mg_thread_resume(thread);
    }
    note("%ld faults", faults);
    ok_equal(bad, 0, "states of threads at random");
    ok_equal(mg_task_kill(task), 0, "which can be ended");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_SLOW_CASE(signal_frames, 60), TAP_CASE(states)};

    return TAP_MAIN(cases);
}
