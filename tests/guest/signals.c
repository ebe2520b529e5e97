/*
 * The finer points of signals: the frame a handler gets and returns through, its stack, one-shot
 * handlers, timers, who may signal whom, and calls that swap the mask while they wait.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include "process.h"

#define SA_RESTORER 0x04000000 /* set by the library in every action */

static volatile int count, order[8];
static siginfo_t last;
static volatile unsigned long frame_at, saved_mask;

static void counting(int number)
{
    order[count % 8] = number;
    count++;
}

static void informed(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    last = *info;
    frame_at = (unsigned long)context;
    saved_mask = user->uc_sigmask.__bits[0];
    counting(number);
}

static void handle(int number, int flags)
{
    struct sigaction action = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO | flags};
    sigaction(number, &action, NULL);
}

static sigset_t set_of(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return set;
}

static void block(int number)
{
    sigset_t set = set_of(number);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void unblock(int number)
{
    sigset_t set = set_of(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void actions(void)
{
    struct sigaction action = {.sa_handler = counting, .sa_flags = (int)SA_RESETHAND}, after;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &after);
    ok(count == 1 && after.sa_handler == SIG_DFL, "SA_RESETHAND: a handler for one signal");
    action = (struct sigaction){
        .sa_handler = counting, .sa_flags = SA_RESTART | SA_NODEFER, .sa_mask = set_of(SIGHUP)};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR1, NULL, &after);
    ok(after.sa_handler == counting && sigismember(&after.sa_mask, SIGHUP) &&
           !sigismember(&after.sa_mask, SIGUSR1),
       "sigaction gives back handler and mask");
    ok_equal(after.sa_flags & ~SA_RESTORER, SA_RESTART | SA_NODEFER, "and flags");
    block(SIGUSR2);
    raise(SIGUSR2);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGUSR2, counting);
    unblock(SIGUSR2);
    ok_equal(count, 1, "ignoring a waiting signal forgets it");
    block(SIGCHLD);
    raise(SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGCHLD, counting);
    unblock(SIGCHLD);
    ok_equal(count, 1, "as does a default that ignores it");
}

static void order_of_arrival(void)
{
    static const int numbers[] = {SIGTERM, SIGUSR2, SIGUSR1, SIGHUP, 40, 36};
    static const int wanted[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, 36, 40};
    struct sigaction action = {.sa_handler = counting};
    sigset_t all, old;
    sigfillset(&action.sa_mask);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    for (int i = 0; i < 6; i++) {
        sigaction(numbers[i], &action, NULL);
        kill(getpid(), numbers[i]);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    int same = 0;
    for (int i = 0; i < 6; i++) {
        same += order[i] == wanted[i];
    }
    ok(count == 6 && same == 6, "signals that have waited arrive from the lowest on");
    sigprocmask(SIG_SETMASK, &all, NULL);
    raise(SIGUSR1);
    raise(SIGHUP);
    sigset_t set = set_of(SIGUSR1);
    sigaddset(&set, SIGHUP);
    ok_equal(sigwaitinfo(&set, NULL), SIGHUP, "sigwaitinfo takes the lowest first");
    ok_equal(sigwaitinfo(&set, NULL), SIGUSR1, "then the next");
}

static void change_mask(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGTERM);
    count++;
}

static void mask_in_the_frame(void)
{
    struct sigaction action = {.sa_sigaction = change_mask, .sa_flags = SA_SIGINFO};
    sigset_t mask;
    handle(SIGUSR1, 0);
    block(SIGHUP);
    raise(SIGUSR1);
    ok_equal(saved_mask, 1ul << (SIGHUP - 1), "the frame holds the mask from before");
    ok(frame_at % 8 == 0, "it is aligned");
    sigaction(SIGUSR2, &action, NULL);
    raise(SIGUSR2);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    ok(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP), "what a handler writes there "
                                                                  "is the mask afterwards");
}

static volatile unsigned long flags_seen, stack_seen;

static void look_around(int number)
{
    (void)number;
    flags_seen = __builtin_ia32_readeflags_u64();
    stack_seen = (unsigned long)__builtin_frame_address(0);
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
    count++;
}

#define DIRECTION 0x400ul

static void registers_over_a_handler(void)
{
    signal(SIGTRAP, look_around);
    uint64_t sum = 0, flags = 0, zone = 0;
    __asm__ volatile("lea -256(%%rsp), %%rsp\n"
                     "movq $0x7a, -8(%%rsp); movq $0x7b, -128(%%rsp)\n"
                     "mov $1, %%ebx; mov $2, %%esi; mov $4, %%edi; mov $8, %%r8d; mov $16, %%r9d\n"
                     "mov $32, %%r10d; mov $64, %%r11d; mov $128, %%r12d; mov $256, %%r13d\n"
                     "mov $512, %%r14d; mov $1024, %%r15d; mov $2048, %%ecx; mov $4096, %%edx\n"
                     "mov $8192, %%eax; std; int3; pushfq; cld\n"
                     "add %%rbx, %%rax; add %%rsi, %%rax; add %%rdi, %%rax; add %%r8, %%rax\n"
                     "add %%r9, %%rax; add %%r10, %%rax; add %%r11, %%rax; add %%r12, %%rax\n"
                     "add %%r13, %%rax; add %%r14, %%rax; add %%r15, %%rax; add %%rcx, %%rax\n"
                     "add %%rdx, %%rax; popq %%rdx; mov -128(%%rsp), %%rcx\n"
                     "lea 256(%%rsp), %%rsp"
                     : "=a"(sum), "=d"(flags), "=c"(zone)
                     :
                     : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "memory", "cc");
    ok_equal(count, 1, "int3 runs a handler");
    ok_equal(sum, 16383, "every register is what it was");
    ok(flags & DIRECTION, "the direction flag too");
    ok(!(flags_seen & DIRECTION), "which is clear in a handler");
    ok_equal(stack_seen % 16, 0, "a handler's stack is aligned");
    ok_equal(zone, 0x7b, "the 128 bytes below the stack are left alone");
}

static char alternate[65536] __attribute__((aligned(16)));

static void on_alternate(int number)
{
    stack_t now;
    unsigned long here = (unsigned long)__builtin_frame_address(0);
    unsigned long start = (unsigned long)alternate;
    sigaltstack(NULL, &now);
    int flags = now.ss_flags;
    now.ss_flags = 0;
    if (here > start && here < start + sizeof alternate && (flags & SS_ONSTACK) &&
        sigaltstack(&now, NULL) < 0 && errno == EPERM) {
        count++;
    }
    if (number == SIGSEGV) {
        _exit(count == 2 ? 0 : 1);
    }
}

__attribute__((noinline)) static long recurse(volatile long depth)
{
    volatile char space[2000];
    space[0] = (char)depth;
    return depth == 0 ? 0 : recurse(depth - 1) + space[0];
}

static void overflow_stack(void)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &limit);
    recurse(100000);
}

static void alternate_stack(void)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, after;
    struct sigaction action = {.sa_handler = on_alternate, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    raise(SIGUSR1);
    ok_equal(count, 1, "SA_ONSTACK: on the other stack, which can't be changed meanwhile");
    sigaltstack(NULL, &after);
    ok_equal(after.ss_flags, 0, "afterwards it is left");
    ok_equal(tap_child(overflow_stack), 0, "so an overflow of the stack can be handled");
    action.sa_flags = 0;
    count = 0;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    ok_equal(count, 0, "without the flag a handler stays on the stack");
}

static void timers(void)
{
    struct itimerval timer = {{0, 20000}, {0, 20000}}, left;
    handle(SIGALRM, SA_RESTART);
    alarm(0); /* the time limit of this case */
    ok_equal(alarm(100), 0, "alarm: there was none");
    ok_equal(alarm(0), 100, "it tells what was left");
    ok_equal(setitimer(ITIMER_REAL, &timer, NULL), 0, "a timer every 20 ms");
    ok(eventually(count >= 5, 5000), "rings again and again");
    ok_equal(last.si_code, SI_KERNEL, "SI_KERNEL");
    ok_equal(getitimer(ITIMER_REAL, &left), 0, "getitimer");
    ok(left.it_interval.tv_usec == 20000 && left.it_value.tv_sec == 0 &&
           left.it_value.tv_usec <= 20000,
       "its interval and what is left");
    timer = (struct itimerval){{0, 0}, {50, 0}};
    setitimer(ITIMER_REAL, &timer, &left);
    ok_equal(left.it_interval.tv_usec, 20000, "setitimer gives the old one back");
    ok_equal(alarm(0), 50, "alarm and ITIMER_REAL are one timer");
    int before = count;
    pause_ms(50);
    ok_equal(count, before, "stopped");
    ok_errno(setitimer(9, &timer, NULL), EINVAL, "no such timer");
    timer.it_value.tv_usec = 1000000;
    ok_errno(setitimer(ITIMER_REAL, &timer, NULL), EINVAL, "too many microseconds");
    ok_errno(syscall(SYS_getitimer, ITIMER_REAL, 8), EFAULT, "bad pointer");
    alarm(100);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(alarm(0) != 0);
    }
    ok_equal(reap(pid), 0, "a child has no timer");
}

static void timers_of_work(void)
{
    struct itimerval timer = {{0, 0}, {0, 30000}};
    handle(SIGVTALRM, 0);
    handle(SIGPROF, 0);
    ok_equal(setitimer(ITIMER_VIRTUAL, &timer, NULL), 0, "a timer of user time");
    pause_ms(60);
    ok_equal(count, 0, "stands still in sleep");
    for (long end = now_ns(CLOCK_MONOTONIC) + 5000000000;
         !count && now_ns(CLOCK_MONOTONIC) < end;) {
    }
    ok(count == 1 && order[0] == SIGVTALRM, "and rings in work: SIGVTALRM");
    ok_equal(setitimer(ITIMER_PROF, &timer, NULL), 0, "a timer of all time used");
    for (long end = now_ns(CLOCK_MONOTONIC) + 5000000000;
         count < 2 && now_ns(CLOCK_MONOTONIC) < end;) {
    }
    ok(count == 2 && order[1] == SIGPROF, "SIGPROF");
}

static void permissions(void)
{
    if (getuid() != 0) {
        skip("only root can be two users");
        return;
    }
    signal(SIGUSR1, SIG_IGN);
    pid_t pid = fork(), parent = getppid();
    if (pid == 0) {
        parent = getppid();
        bool good = setuid(1000) == 0 && kill(getpid(), SIGUSR1) == 0;
        good = good && kill(parent, SIGTERM) == -1 && errno == EPERM;
        good = good && kill(parent, 0) == -1 && errno == EPERM;
        union sigval value = {.sival_int = 1};
        good = good && sigqueue(parent, SIGTERM, value) == -1 && errno == EPERM;
        _exit(!good);
    }
    ok_equal(reap(pid), 0, "another user's process can't be signalled");
    pid = fork();
    if (pid == 0) {
        setuid(1000);
        sleep_forever();
    }
    ok_equal(kill(pid, SIGKILL), 0, "root may signal all");
    ok_equal(reap(pid), SIGKILL, "with effect");
}

static void queueing(void)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};
    union sigval value = {.sival_int = -5};
    handle(SIGUSR1, 0);
    ok_equal(sigqueue(getpid(), SIGUSR1, value), 0, "sigqueue");
    ok(last.si_code == SI_QUEUE && last.si_value.sival_int == -5 && last.si_pid == getpid() &&
           last.si_uid == getuid(),
       "brings value and sender");
    ok_equal(sigqueue(getpid(), 0, value), 0, "signal 0 is not sent");
    ok_errno(sigqueue(getpid(), 65, value), EINVAL, "no such signal");
    ok_errno(sigqueue(999999, SIGUSR1, value), ESRCH, "no such process");
    ok_errno(syscall(SYS_rt_sigqueueinfo, getppid(), SIGURG, &info), EPERM,
             "a forged SI_USER for others");
    ok_errno(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, 8), EFAULT, "bad pointer");
    info.si_code = SI_QUEUE;
    ok_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info), 0,
             "rt_tgsigqueueinfo");
    ok_equal(count, 2, "each has arrived");
    setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, 0});
    ok_errno(sigqueue(getpid(), SIGRTMIN, value), EAGAIN, "beyond RLIMIT_SIGPENDING");
    ok_equal(raise(SIGUSR1), 0, "which ordinary signals do not know");
    ok_equal(count, 3, "one more");
}

static void masks_while_waiting(void)
{
    struct timespec long_time = {20, 0}, no_time = {0, 0};
    sigset_t none, mask, set = set_of(SIGUSR1);
    sigemptyset(&none);
    handle(SIGUSR1, SA_RESTART);
    block(SIGUSR1);
    raise(SIGUSR1);
    ok_errno(ppoll(NULL, 0, &long_time, &none), EINTR,
             "ppoll lets a signal in, whatever SA_RESTART");
    ok_equal(count, 1, "it is handled");
    sigprocmask(SIG_SETMASK, NULL, &mask);
    ok(sigismember(&mask, SIGUSR1), "the mask is back");
    raise(SIGUSR1);
    ok_errno(pselect(0, NULL, NULL, NULL, &long_time, &none), EINTR, "pselect");
    ok_equal(ppoll(NULL, 0, &no_time, &set), 0, "ppoll that does not wait");
    ok_equal(count, 2, "all handled");
    ok_errno(sigtimedwait(&set, NULL, &no_time), EAGAIN, "sigtimedwait that does not wait");
    ok_errno(syscall(SYS_rt_sigtimedwait, &set, NULL, &no_time, 4), EINVAL, "size of the set");
    ok_errno(syscall(SYS_rt_sigtimedwait, 8, NULL, &no_time, 8), EFAULT, "bad pointer");
    ok_errno(syscall(SYS_rt_sigsuspend, &none, 4), EINVAL, "sigsuspend: size of the set");
    ok_errno(syscall(SYS_rt_sigpending, &none, 9), EINVAL, "sigpending: size of the set");
}

static void exit_at_once(void)
{
}

static void signals_of_children(void)
{
    handle(SIGCHLD, SA_NOCLDSTOP);
    pid_t pid = start(sleep_forever);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    kill(pid, SIGCONT);
    waitpid(pid, NULL, WCONTINUED);
    ok_equal(count, 0, "SA_NOCLDSTOP: no word of stopping");
    kill(pid, SIGKILL);
    reap(pid);
    ok(count == 1 && last.si_code == CLD_KILLED && last.si_status == SIGKILL && last.si_pid == pid,
       "only of its end");
    handle(SIGCHLD, 0);
    pid = start(sleep_forever);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    ok(eventually(count == 2, 5000) && last.si_code == CLD_STOPPED && last.si_status == SIGSTOP,
       "CLD_STOPPED");
    kill(pid, SIGCONT);
    waitpid(pid, NULL, WCONTINUED);
    ok(eventually(count == 3, 5000) && last.si_code == CLD_CONTINUED, "CLD_CONTINUED");
    kill(pid, SIGKILL);
    reap(pid);
    handle(SIGCHLD, SA_NOCLDWAIT | SA_RESTART);
    pid = start(exit_at_once);
    ok_errno(waitpid(pid, NULL, 0), ECHILD, "SA_NOCLDWAIT: nothing to wait for");
    ok_equal(count, 5, "though a signal came");
}

static volatile int rounds;
static pid_t partner;

static void play(int number)
{
    rounds++;
    kill(partner, number);
}

static void ping_pong(void)
{
    sigset_t none, set = set_of(SIGUSR1);
    sigemptyset(&none);
    signal(SIGUSR1, play);
    block(SIGUSR1);
    partner = getpid();
    pid_t pid = fork();
    while (pid == 0) {
        sigsuspend(&none);
    }
    partner = pid;
    kill(pid, SIGUSR1);
    while (rounds < 500) {
        sigsuspend(&none);
    }
    ok_equal(rounds, 500, "500 signals to and fro, none lost");
    kill(pid, SIGKILL);
    reap(pid);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(actions),
        TAP_CASE(order_of_arrival),
        TAP_CASE(mask_in_the_frame),
        TAP_CASE(registers_over_a_handler),
        TAP_CASE(alternate_stack),
        TAP_CASE(timers),
        TAP_CASE(timers_of_work),
        TAP_CASE(permissions),
        TAP_CASE(queueing),
        TAP_CASE(masks_while_waiting),
        TAP_CASE(signals_of_children),
        TAP_CASE(ping_pong),
    };
    return TAP_MAIN(cases);
}
