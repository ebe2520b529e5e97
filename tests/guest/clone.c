/*
 * What a clone shares with its parent and what not, flag by flag, and which flags go together.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "process.h"

/* What clone3 takes, as far as it is used here. */
struct clone3_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static char stack[65536] __attribute__((aligned(16)));
static volatile int shared;
static volatile pid_t parent_tid, child_tid;
static int fd;

/* clone with its arguments as the kernel takes them, the child on a copy of our stack. */
static long raw_clone(unsigned long flags, volatile pid_t *parent, volatile pid_t *child)
{
    return syscall(SYS_clone, flags, 0, parent, child, 0);
}

static int set_shared(void *value)
{
    shared = (int)(long)value;
    return 3;
}

static pid_t clone_on_stack(int (*run)(void *), int flags, long value)
{
    return clone(run, stack + sizeof stack, flags, (void *)value);
}

static void memory(void)
{
    shared = 1;
    ok_equal(reap(clone_on_stack(set_shared, SIGCHLD, 2)), exited(3), "clone without CLONE_VM");
    ok_equal(shared, 1, "a memory of its own");
    ok_equal(reap(clone_on_stack(set_shared, CLONE_VM | SIGCHLD, 2)), exited(3), "CLONE_VM");
    ok_equal(shared, 2, "the same memory");
    pid_t pid = clone_on_stack(set_shared, CLONE_VM | CLONE_VFORK | SIGCHLD, 5);
    ok_equal(shared, 5, "CLONE_VFORK: it has run before clone returns");
    ok_equal(reap(pid), exited(3), "its status");
}

static int close_fd(void *unused)
{
    (void)unused;
    return close(fd);
}

static void files(void)
{
    fd = open("/dev/null", O_RDONLY);
    ok_equal(reap(clone_on_stack(close_fd, SIGCHLD, 0)), 0, "a child closes a file");
    ok(fcntl(fd, F_GETFD) >= 0, "without CLONE_FILES only its own");
    ok_equal(reap(clone_on_stack(close_fd, CLONE_FILES | SIGCHLD, 0)), 0, "with CLONE_FILES");
    ok_errno(fcntl(fd, F_GETFD), EBADF, "ours too");
}

static int to_proc(void *unused)
{
    (void)unused;
    umask(0123);
    return chdir("/proc");
}

static void file_system(void)
{
    char path[PATH_MAX];
    if (chdir("/dev") < 0) {
        bail("chdir");
    }
    umask(022);
    ok_equal(reap(clone_on_stack(to_proc, SIGCHLD, 0)), 0, "a child goes elsewhere");
    ok(getcwd(path, sizeof path) && strcmp(path, "/dev") == 0, "without CLONE_FS alone");
    ok_equal(reap(clone_on_stack(to_proc, CLONE_FS | SIGCHLD, 0)), 0, "with CLONE_FS");
    ok(getcwd(path, sizeof path) && strcmp(path, "/proc") == 0, "we go along");
    ok_equal(umask(022), 0123, "and have its umask");
}

static int handle_usr1(void *unused)
{
    (void)unused;
    signal(SIGUSR1, SIG_IGN);
    return 0;
}

static void handlers(void)
{
    struct sigaction action;
    reap(clone_on_stack(handle_usr1, CLONE_VM | SIGCHLD, 0));
    sigaction(SIGUSR1, NULL, &action);
    ok(action.sa_handler == SIG_DFL, "without CLONE_SIGHAND handlers are one's own");
    reap(clone_on_stack(handle_usr1, CLONE_VM | CLONE_SIGHAND | SIGCHLD, 0));
    sigaction(SIGUSR1, NULL, &action);
    ok(action.sa_handler == SIG_IGN, "with it they are common");
}

static void numbers(void)
{
    parent_tid = child_tid = 0;
    long pid =
        raw_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, &parent_tid, &child_tid);
    if (pid == 0) {
        _exit(child_tid == (pid_t)syscall(SYS_getpid) ? 4 : 5);
    }
    ok_equal(parent_tid, pid, "CLONE_PARENT_SETTID writes the parent's memory");
    ok_equal(child_tid, 0, "CLONE_CHILD_SETTID does not");
    ok_equal(reap((pid_t)pid), exited(4), "but the child's");
    child_tid = 4711;
    pid = clone(set_shared, stack + sizeof stack, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD,
                (void *)1, NULL, NULL, &child_tid);
    int tid;
    while ((tid = child_tid) != 0) {
        syscall(SYS_futex, &child_tid, FUTEX_WAIT, tid, NULL, NULL, 0);
    }
    ok(true, "CLONE_CHILD_CLEARTID clears it at the end and wakes who waits");
    reap((pid_t)pid);
}

static void parents(void)
{
    int ends[2];
    pid_t told[2] = {0, 0};
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    pid_t middle = fork();
    if (middle == 0) {
        long pid = raw_clone(CLONE_PARENT | SIGCHLD, NULL, NULL);
        if (pid == 0) {
            told[0] = (pid_t)syscall(SYS_getpid);
            told[1] = (pid_t)syscall(SYS_getppid);
            _exit(write(ends[1], told, sizeof told) == sizeof told ? 6 : 1);
        }
        errno = 0;
        _exit(pid > 0 && waitpid((pid_t)pid, NULL, 0) < 0 && errno == ECHILD ? 0 : 1);
    }
    ok_equal(reap(middle), 0, "CLONE_PARENT: the child is not its maker's");
    ok_equal(read(ends[0], told, sizeof told), sizeof told, "it tells who it is");
    ok_equal(told[1], getpid(), "its parent is the maker's parent");
    ok_equal(reap(told[0]), exited(6), "who waits for it");
}

static volatile int heard;

static void hear(int number)
{
    heard = number;
}

static void exit_signals(void)
{
    signal(SIGUSR1, hear);
    signal(SIGCHLD, hear);
    long pid = raw_clone(SIGUSR1, NULL, NULL);
    if (pid == 0) {
        _exit(2);
    }
    ok_errno(waitpid((pid_t)pid, NULL, 0), ECHILD, "a child with another signal is a clone");
    int status = 0;
    pid_t got;
    while ((got = waitpid((pid_t)pid, &status, __WCLONE)) < 0 && errno == EINTR) {
    }
    ok(got == pid && status == exited(2), "__WCLONE waits for it");
    ok_equal(heard, SIGUSR1, "its end has sent the signal asked for");
    heard = 0;
    pid = raw_clone(0, NULL, NULL);
    if (pid == 0) {
        _exit(2);
    }
    ok_equal(waitpid((pid_t)pid, &status, __WALL), pid, "no signal: __WALL");
    ok_equal(heard, 0, "there was none");
    pid = start(sleep_forever);
    ok_errno(waitpid(pid, NULL, __WCLONE | WNOHANG), ECHILD, "an ordinary child is no clone");
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static void flags_that_do_not_fit(void)
{
    ok_errno(raw_clone(CLONE_SIGHAND | SIGCHLD, NULL, NULL), EINVAL, "CLONE_SIGHAND, not VM");
    ok_errno(raw_clone(CLONE_THREAD | SIGCHLD, NULL, NULL), EINVAL, "CLONE_THREAD, not SIGHAND");
    ok_errno(raw_clone(CLONE_THREAD | CLONE_VM | SIGCHLD, NULL, NULL), EINVAL, "still not");
    ok_errno(raw_clone(CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL, NULL), EINVAL, "FS and NEWNS");
}

static long clone3(struct clone3_args *args, size_t size)
{
    return syscall(SYS_clone3, args, size);
}

static void the_third(void)
{
    int pidfd = -1;
    struct clone3_args args = {.exit_signal = SIGCHLD};
    long pid = clone3(&args, sizeof args);
    if (pid == 0) {
        _exit(8);
    }
    ok_equal(reap((pid_t)pid), exited(8), "clone3 as fork");
    args.flags = CLONE_PIDFD;
    args.pidfd = (uint64_t)&pidfd;
    pid = clone3(&args, sizeof args);
    if (pid == 0) {
        sleep_forever();
    }
    ok(pidfd >= 0 && (fcntl(pidfd, F_GETFD) & FD_CLOEXEC), "CLONE_PIDFD: a file, close-on-exec");
    ok_equal(syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0), 0, "to send signals to");
    ok_equal(reap((pid_t)pid), SIGTERM, "which arrive");
    ok_errno(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH, "until it is gone");
    ok_errno(clone3(&args, 8), EINVAL, "too small");
    ok_errno(clone3((void *)8, sizeof args), EFAULT, "bad pointer");
    args = (struct clone3_args){.flags = 1, .exit_signal = SIGCHLD};
    ok_errno(clone3(&args, sizeof args), EINVAL, "the signal has no place in the flags");
    args = (struct clone3_args){.exit_signal = 65};
    ok_errno(clone3(&args, sizeof args), EINVAL, "no such signal");
    args = (struct clone3_args){.exit_signal = SIGCHLD, .stack = (uint64_t)stack};
    ok_errno(clone3(&args, sizeof args), EINVAL, "a stack without size");
    args = (struct clone3_args){.exit_signal = SIGCHLD, .stack_size = sizeof stack};
    ok_errno(clone3(&args, sizeof args), EINVAL, "a size without stack");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(memory),       TAP_CASE(files),
        TAP_CASE(file_system),  TAP_CASE(handlers),
        TAP_CASE(numbers),      TAP_CASE(parents),
        TAP_CASE(exit_signals), TAP_CASE(flags_that_do_not_fit),
        TAP_CASE(the_third),
    };
    return TAP_MAIN(cases);
}
