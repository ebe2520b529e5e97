/*
 * Do signals arrive, wait, interrupt, nest and pass through fork and exec as on Linux?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "process.h"

static volatile int count, last_number, last_code, depth, deepest;
static volatile pid_t last_pid;
static volatile long last_value;

static void counting(int number)
{
    count++;
    last_number = number;
}

static void informed(int number, siginfo_t *info, void *context)
{
    (void)context;
    count++;
    last_number = number;
    last_code = info->si_code;
    last_pid = info->si_pid;
    last_value = (long)info->si_value.sival_ptr;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(number, &action, NULL);
}

static void handle_info(int number)
{
    struct sigaction action = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    sigaction(number, &action, NULL);
}

static sigset_t set_of(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return set;
}

static void to_oneself(void)
{
    handle_info(SIGUSR1);
    ok_equal(kill(getpid(), SIGUSR1), 0, "kill to oneself");
    ok(count == 1 && last_number == SIGUSR1, "is handled before it returns");
    ok(last_code == SI_USER && last_pid == getpid(), "SI_USER from us");
    ok_equal(raise(SIGUSR1), 0, "raise");
    ok(count == 2 && last_code == SI_TKILL, "SI_TKILL");
    ok_equal(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1), 0, "tgkill");
    ok_equal(count, 3, "arrives");
    union sigval value = {.sival_ptr = (void *)0x12345};
    ok_equal(sigqueue(getpid(), SIGUSR1, value), 0, "sigqueue");
    ok(count == 4 && last_code == SI_QUEUE && last_value == 0x12345, "brings its value");
}

static void errors(void)
{
    struct sigaction action = {.sa_handler = counting};
    ok_errno(kill(getpid(), 65), EINVAL, "kill: no such signal");
    ok_errno(kill(getpid(), -1), EINVAL, "kill: negative signal");
    ok_errno(kill(999999, SIGTERM), ESRCH, "kill: no such process");
    ok_errno(kill(999999, 0), ESRCH, "kill with signal 0: no such process");
    ok_equal(kill(getpid(), 0), 0, "kill with signal 0");
    ok_errno(sigaction(SIGKILL, &action, NULL), EINVAL, "SIGKILL cannot be handled");
    ok_errno(sigaction(SIGSTOP, &action, NULL), EINVAL, "SIGSTOP cannot be handled");
    ok_errno(syscall(SYS_rt_sigaction, 65, &action, NULL, 8), EINVAL, "sigaction: no such signal");
    ok_errno(syscall(SYS_rt_sigaction, 0, &action, NULL, 8), EINVAL, "sigaction: signal 0");
    ok_errno(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 4), EINVAL,
             "sigaction: size of the mask");
    ok_errno(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), EFAULT, "sigaction: bad pointer");
    ok_errno(syscall(SYS_rt_sigprocmask, 9, &(sigset_t){{0}}, NULL, 8), EINVAL, "sigprocmask: how");
    ok_errno(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8), EFAULT,
             "sigprocmask: bad pointer");
    ok_errno(syscall(SYS_tgkill, -1, 1, SIGUSR1), EINVAL, "tgkill: bad group");
    ok_errno(syscall(SYS_tgkill, getpid(), 999999, SIGUSR1), ESRCH, "tgkill: no such thread");
}

static void masks(void)
{
    sigset_t usr1 = set_of(SIGUSR1), old, waiting;
    handle(SIGUSR1, counting, 0);
    ok_equal(sigprocmask(SIG_BLOCK, &usr1, &old), 0, "SIG_BLOCK");
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    ok_equal(count, 0, "a blocked signal waits");
    ok_equal(sigpending(&waiting), 0, "sigpending");
    ok(sigismember(&waiting, SIGUSR1) == 1 && sigismember(&waiting, SIGUSR2) == 0, "knows of it");
    ok_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0, "unblocked");
    ok_equal(count, 1, "it arrives, once for two");
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigprocmask(SIG_SETMASK, NULL, &waiting);
    ok(!sigismember(&waiting, SIGKILL) && !sigismember(&waiting, SIGSTOP),
       "SIGKILL and SIGSTOP are never blocked");
    ok_equal(sigprocmask(SIG_UNBLOCK, &usr1, NULL), 0, "SIG_UNBLOCK");
    kill(getpid(), SIGUSR1);
    ok_equal(count, 2, "lets it through");
}

static void realtime_signals_queue(void)
{
    sigset_t set = set_of(SIGRTMIN + 3);
    handle_info(SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (long i = 0; i < 5; i++) {
        union sigval value = {.sival_ptr = (void *)(i + 1)};
        sigqueue(getpid(), SIGRTMIN + 3, value);
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    ok(count == 5 && last_value == 5, "five real-time signals arrive as five, in order");
}

static void nested(int number)
{
    depth++;
    deepest = depth > deepest ? depth : deepest;
    if (number == SIGUSR1) {
        raise(SIGUSR2);
    }
    if (count++ < 3) {
        raise(number);
    }
    depth--;
}

static void nesting(void)
{
    handle(SIGUSR1, nested, 0);
    handle(SIGUSR2, counting, 0);
    raise(SIGUSR1);
    ok_equal(deepest, 1, "a handler's own signal waits until it returns");
    ok(count >= 4, "and another one does not");
    count = deepest = 0;
    handle(SIGUSR1, nested, SA_NODEFER);
    raise(SIGUSR1);
    ok(deepest > 1, "SA_NODEFER: it nests");
    count = depth = deepest = 0;
    struct sigaction action = {.sa_handler = nested, .sa_mask = set_of(SIGUSR2)};
    sigaction(SIGUSR1, &action, NULL);
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, NULL, &after);
    ok(memcmp(&before, &after, 8) == 0, "the mask is what it was");
}

static void alarm_soon(long milliseconds)
{
    struct itimerval timer = {.it_value = {milliseconds / 1000, milliseconds % 1000 * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void interrupted_calls(void)
{
    int ends[2];
    char byte;
    ok_equal(pipe(ends), 0, "a pipe");
    handle(SIGALRM, counting, 0);
    alarm_soon(50);
    ok_errno(read(ends[0], &byte, 1), EINTR, "a read that waits");
    alarm_soon(50);
    struct timespec long_time = {10, 0}, left = {0, 0};
    ok_errno(nanosleep(&long_time, &left), EINTR, "a sleep");
    ok(left.tv_sec == 9 && left.tv_nsec > 0, "with the time that is left");
    alarm_soon(50);
    ok_errno(pause(), EINTR, "pause");
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(300);
        _exit(0);
    }
    alarm_soon(50);
    ok_errno(waitpid(pid, NULL, 0), EINTR, "waitpid");
    ok_equal(waitpid(pid, NULL, 0), pid, "the next one");
    ok_equal(count, 4, "each time the handler has run");
}

static void restarted_calls(void)
{
    int ends[2], status = 0;
    char byte = 0;
    handle(SIGALRM, counting, SA_RESTART);
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(300);
        _exit(write(ends[1], "y", 1) != 1);
    }
    alarm_soon(50);
    ok_equal(read(ends[0], &byte, 1), 1, "SA_RESTART: a read goes on");
    ok(byte == 'y' && count == 1, "after the handler");
    waitpid(pid, NULL, 0);
    pid = fork();
    if (pid == 0) {
        pause_ms(300);
        _exit(3);
    }
    alarm_soon(50);
    ok_equal(waitpid(pid, &status, 0), pid, "waitpid goes on");
    ok(WEXITSTATUS(status) == 3 && count == 2, "after the handler");
    alarm_soon(50);
    struct timespec time = {1, 0};
    ok_errno(nanosleep(&time, NULL), EINTR, "a sleep does not");
}

static void waiting_for_signals(void)
{
    sigset_t set = set_of(SIGUSR1), none;
    siginfo_t info;
    sigemptyset(&none);
    handle(SIGUSR1, counting, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    ok_errno(sigsuspend(&none), EINTR, "sigsuspend lets a waiting signal in");
    ok_equal(count, 1, "which is handled");
    kill(getpid(), SIGUSR1);
    ok_equal(sigwaitinfo(&set, &info), SIGUSR1, "sigwaitinfo takes it");
    ok(info.si_pid == getpid() && count == 1, "without the handler");
    struct timespec soon = {0, 50000000}, wrong = {0, -1};
    ok_errno(sigtimedwait(&set, &info, &soon), EAGAIN, "sigtimedwait: the time is over");
    ok_errno(sigtimedwait(&set, &info, &wrong), EINVAL, "sigtimedwait: no time");
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        pause_ms(100);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    ok_equal(sigwaitinfo(&set, &info), SIGUSR1, "one that is still to come");
    ok_equal(info.si_pid, pid, "with its sender");
    waitpid(pid, NULL, 0);
}

static void across_fork(void)
{
    sigset_t set = set_of(SIGUSR1), mask;
    handle(SIGUSR1, counting, 0);
    handle(SIGUSR2, counting, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t waiting;
        sigpending(&waiting);
        sigprocmask(SIG_SETMASK, NULL, &mask);
        bool good = !sigismember(&waiting, SIGUSR1) && sigismember(&mask, SIGUSR1);
        raise(SIGUSR2);
        _exit(!(good && count == 1));
    }
    int status;
    waitpid(pid, &status, 0);
    ok_equal(status, 0, "a child has the mask and the handlers, not the waiting signals");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    ok_equal(count, 1, "the parent gets its own");
}

static void child_signal(void)
{
    handle_info(SIGCHLD);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(7);
    }
    while (count == 0) {
        pause_ms(5);
    }
    ok(last_number == SIGCHLD && last_code == CLD_EXITED && last_pid == pid,
       "SIGCHLD tells who has ended");
    ok_equal(waitpid(pid, NULL, 0), pid, "who then can be waited for");
    signal(SIGCHLD, SIG_IGN);
    pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    ok_errno(waitpid(pid, NULL, 0), ECHILD, "SIGCHLD ignored: nothing to wait for");
}

static void stop_and_continue(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            pause_ms(10);
        }
    }
    kill(pid, SIGSTOP);
    ok_equal(waitpid(pid, &status, WUNTRACED), pid, "SIGSTOP");
    ok(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "the child has stopped");
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "it has not ended");
    kill(pid, SIGCONT);
    ok_equal(waitpid(pid, &status, WCONTINUED), pid, "SIGCONT");
    ok(WIFCONTINUED(status), "it goes on");
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGTERM);
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "SIGTERM waits while it is stopped");
    kill(pid, SIGKILL);
    ok_equal(waitpid(pid, &status, 0), pid, "SIGKILL does not");
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it was killed");
}

static volatile pthread_t handled_by;

static void note_thread(int number)
{
    (void)number;
    handled_by = pthread_self();
    count++;
}

static void *wait_quietly(void *argument)
{
    sigset_t set = set_of(SIGUSR1);
    pthread_sigmask(argument ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    while (count == 0) {
        pause_ms(5);
    }
    return NULL;
}

static void to_threads(void)
{
    pthread_t first, second;
    sigset_t set = set_of(SIGUSR1);
    handle(SIGUSR1, note_thread, 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&first, NULL, wait_quietly, &set);
    pthread_create(&second, NULL, wait_quietly, NULL);
    pause_ms(50);
    kill(getpid(), SIGUSR1);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    ok(pthread_equal(handled_by, second), "a process's signal goes to a thread that lets it in");
    count = 0;
    pthread_create(&first, NULL, wait_quietly, NULL);
    pthread_create(&second, NULL, wait_quietly, NULL);
    pause_ms(50);
    pthread_kill(first, SIGUSR1);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    ok(pthread_equal(handled_by, first), "pthread_kill goes to the thread named");
}

static void busy(void)
{
    handle(SIGALRM, counting, 0);
    alarm_soon(100);
    for (volatile long i = 0; count == 0; i++) {
    }
    ok_equal(count, 1, "a program that only computes is interrupted");
    double kept = 1.5;
    alarm_soon(30);
    while (count == 1) {
        kept = kept * 1.0000001;
    }
    ok(kept > 1.5 && kept < 1e300, "and goes on with its registers");
}

static void dies(void)
{
    raise(SIGTERM);
}

static void ignores(void)
{
    signal(SIGTERM, SIG_IGN);
    raise(SIGTERM);
    _exit(9);
}

static void quits(void)
{
    raise(SIGWINCH);
    raise(SIGURG);
    raise(SIGCHLD);
    _exit(8);
}

static void default_actions(void)
{
    static const int deadly[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGABRT, SIGUSR1,
                                 SIGUSR2, SIGPIPE, SIGALRM, SIGTERM};
    ok_equal(tap_child_signal(dies), SIGTERM, "SIGTERM kills");
    int status = tap_child(ignores);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 9, "unless it is ignored");
    status = tap_child(quits);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 8, "SIGWINCH, SIGURG and SIGCHLD do nothing");
    int good = 0;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            raise(deadly[i]);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        good += WIFSIGNALED(status) && WTERMSIG(status) == deadly[i];
    }
    ok_equal(good, sizeof deadly / sizeof *deadly, "all the others do");
}

static void groups(void)
{
    int status = 0;
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        pid_t other = fork();
        pause_ms(other == 0 ? 20000 : 20000);
        _exit(0);
    }
    setpgid(leader, leader);
    pause_ms(100);
    ok_equal(getpgid(leader), leader, "a group of its own");
    ok_equal(kill(-leader, SIGTERM), 0, "kill to a group");
    ok_equal(waitpid(leader, &status, 0), leader, "its leader ends");
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "by the signal");
    bool gone = false;
    for (int i = 0; i < 200 && !gone; i++) {
        gone = kill(-leader, 0) < 0 && errno == ESRCH;
        pause_ms(10);
    }
    ok(gone, "and so does the other");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(to_oneself),
        TAP_CASE(errors),
        TAP_CASE(masks),
        TAP_CASE(realtime_signals_queue),
        TAP_CASE(nesting),
        TAP_CASE(interrupted_calls),
        TAP_CASE(restarted_calls),
        TAP_CASE(waiting_for_signals),
        TAP_CASE(across_fork),
        TAP_CASE(child_signal),
        TAP_CASE(stop_and_continue),
        TAP_CASE(to_threads),
        TAP_CASE(busy),
        TAP_CASE(default_actions),
        TAP_CASE(groups),
    };
    return TAP_MAIN(cases);
}
