/*
 * Do processes begin, end, and wait for each other as on Linux: fork, vfork, wait4, waitid,
 * zombies, orphans, groups and sessions?
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>

#include "process.h"

static volatile int shared_by_vfork;

static void exit_seven(void)
{
    _exit(7);
}

static void a_child(void)
{
    int ends[2], own = 1;
    pid_t parent = getpid(), seen[2] = {0, 0};
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        own = 2;
        seen[0] = getpid();
        seen[1] = getppid();
        _exit(write(ends[1], seen, sizeof seen) == sizeof seen && own == 2 ? 0 : 1);
    }
    ok(pid > 0 && pid != parent, "fork returns another pid");
    ok_equal(read(ends[0], seen, sizeof seen), sizeof seen, "the child speaks through the pipe");
    ok_equal(seen[0], pid, "it is who fork says");
    ok_equal(seen[1], parent, "and ours");
    ok_equal(reap(pid), 0, "it ends well");
    ok_equal(own, 1, "and has written its own memory");
    ok_equal(syscall(SYS_gettid), parent, "the first thread has the process's number");
}

static void statuses(void)
{
    static const int numbers[] = {0, 1, 127, 128, 255, 256, 511, -1};
    int good = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            _exit(numbers[i]);
        }
        good += reap(pid) == (numbers[i] & 255) << 8;
    }
    ok_equal(good, sizeof numbers / sizeof *numbers, "a status is the low eight bits of exit's");
    pid_t pid = start(sleep_forever);
    kill(pid, SIGKILL);
    ok_equal(reap(pid), SIGKILL, "the signal that killed it is in the low seven");
    pid = fork();
    if (pid == 0) {
        syscall(SYS_exit, 9); /* of the only thread */
    }
    ok_equal(reap(pid), exited(9), "exit of the only thread ends the process");
}

static void nobody_to_wait_for(void)
{
    int status = 4711;
    struct rusage usage;
    ok_errno(wait4(-1, &status, 0, NULL), ECHILD, "wait4: no children");
    ok_errno(wait4(-1, &status, WNOHANG, NULL), ECHILD, "with WNOHANG too");
    ok_errno(wait4(getpid(), &status, 0, NULL), ECHILD, "a process is not its own child");
    ok_errno(wait4(getppid(), &status, 0, NULL), ECHILD, "nor is its parent");
    ok_errno(wait4(999999, &status, 0, &usage), ECHILD, "no such process");
    ok_errno(wait4(-999999, &status, 0, NULL), ECHILD, "no such group");
    ok_errno(wait4(INT_MIN, &status, 0, NULL), ESRCH, "INT_MIN is no group");
    ok_errno(wait4(-1, &status, 0x40, NULL), EINVAL, "unknown option");
    ok_errno(wait4(-1, &status, WNOWAIT, NULL), EINVAL, "WNOWAIT is for waitid");
    ok_equal(status, 4711, "none of them writes a status");
    siginfo_t info;
    ok_errno(waitid(P_ALL, 0, &info, WEXITED), ECHILD, "waitid: no children");
    ok_errno(waitid(P_ALL, 0, &info, 0), EINVAL, "waitid for nothing");
    ok_errno(waitid(P_ALL, 0, &info, WEXITED | 0x40), EINVAL, "waitid: unknown option");
    ok_errno(waitid(77, 0, &info, WEXITED), EINVAL, "waitid: unknown kind");
    ok_errno(waitid(P_PID, 0, &info, WEXITED), EINVAL, "waitid: process 0");
}

static void not_yet(void)
{
    int ends[2], status = 4711;
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 3 : 4);
    }
    siginfo_t info = {.si_pid = 4711};
    ok_equal(waitpid(pid, &status, WNOHANG), 0, "WNOHANG: it is running");
    ok_equal(status, 4711, "no status");
    ok_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG), 0, "waitid, WNOHANG");
    ok_equal(info.si_pid, 0, "tells no process");
    close(ends[1]);
    ok_equal(waitpid(pid, &status, 0), pid, "the end of a pipe lets it go");
    ok_equal(status, exited(3), "with its status");
    ok_errno(waitpid(pid, &status, 0), ECHILD, "it can be waited for once");
}

static void bad_pointers(void)
{
    pid_t pid = start(exit_seven);
    siginfo_t info;
    ok_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0, "it has ended");
    ok_errno(wait4(pid, (int *)8, 0, NULL), EFAULT, "a status that can't be written");
    ok_errno(wait4(pid, NULL, 0, NULL), ECHILD, "the child is gone all the same");
}

static void waitid_tells(void)
{
    siginfo_t info = {0};
    pid_t pid = start(exit_seven);
    ok_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0, "WNOWAIT looks");
    ok(info.si_signo == SIGCHLD && info.si_code == CLD_EXITED, "CLD_EXITED");
    ok(info.si_pid == pid && info.si_status == 7, "its pid and status");
    ok_equal(info.si_uid, getuid(), "its user");
    ok_equal(kill(pid, 0), 0, "a zombie can be signalled");
    ok_equal(kill(pid, SIGKILL), 0, "even deadly");
    ok_equal(getpgid(pid), getpgrp(), "and has its group");
    ok_equal(waitid(P_ALL, 0, &info, WEXITED), 0, "P_ALL takes it");
    ok_equal(info.si_pid, pid, "it");
    ok_errno(kill(pid, 0), ESRCH, "then it is gone");
    ok_errno(getpgid(pid), ESRCH, "with its group");
    pid = start(sleep_forever);
    kill(pid, SIGTERM);
    ok_equal(waitid(P_PGID, (id_t)getpgrp(), &info, WEXITED), 0, "P_PGID");
    ok(info.si_code == CLD_KILLED && info.si_status == SIGTERM, "CLD_KILLED, the signal");
    pid = start(exit_seven);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    ok(pidfd >= 0, "pidfd_open");
    ok_equal(waitid(3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED), 0, "P_PIDFD");
    ok_equal(info.si_pid, pid, "finds it");
    ok_errno(syscall(SYS_pidfd_open, pid, 0), ESRCH, "pidfd_open of a process that is gone");
}

static void which_child(void)
{
    int status = 0;
    pid_t first = start(exit_seven), second = fork();
    if (second == 0) {
        setpgid(0, 0);
        _exit(8);
    }
    setpgid(second, second);
    ok_equal(waitpid(-second, &status, 0), second, "waitpid for a group");
    ok_equal(status, exited(8), "its status");
    ok_equal(waitpid(0, &status, 0), first, "waitpid for one's own group");
    ok_equal(status, exited(7), "its status");
    second = start(exit_seven);
    ok_errno(waitpid(-first, &status, 0), ECHILD, "no child is in that group");
    ok_equal(wait(&status), second, "wait");
    int got = 0;
    pid_t pids[100];
    for (int i = 0; i < 100; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(i);
        }
    }
    for (int i = 99; i >= 0; i--) {
        got += reap(pids[i]) == exited(i);
    }
    ok_equal(got, 100, "a hundred children, each with its own status");
}

static void stopped_children(void)
{
    siginfo_t info = {0};
    pid_t pid = start(sleep_forever);
    kill(pid, SIGSTOP);
    ok_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0, "WSTOPPED");
    ok(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP, "CLD_STOPPED, SIGSTOP");
    info.si_pid = 1;
    waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG);
    ok_equal(info.si_pid, 0, "a stop is told once");
    kill(pid, SIGCONT);
    ok_equal(waitid(P_PID, (id_t)pid, &info, WCONTINUED), 0, "WCONTINUED");
    ok(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT, "CLD_CONTINUED, SIGCONT");
    kill(pid, SIGKILL);
    ok_equal(reap(pid), SIGKILL, "and killed");
}

static void orphans(void)
{
    int ends[2];
    pid_t told[2] = {0, 0};
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        pid_t middle = getpid();
        if (fork() > 0) {
            _exit(0);
        }
        eventually(getppid() != middle, 5000);
        told[0] = getpid();
        told[1] = getppid();
        _exit(write(ends[1], told, sizeof told) != sizeof told);
    }
    ok_equal(reap(pid), 0, "a child that leaves a child behind");
    ok_equal(read(ends[0], told, sizeof told), sizeof told, "which goes on");
    ok(told[1] != pid && told[1] > 0, "with another parent");
    ok(!on_merganser() || told[1] == 1, "who is init");
    ok_errno(waitpid(told[0], NULL, 0), ECHILD, "not us");
    ok(eventually(kill(told[0], 0) < 0 && errno == ESRCH, 5000), "and who buries it");
}

static void vfork_shares(void)
{
    pid_t parent = getpid();
    shared_by_vfork = 1;
    pid_t pid = vfork();
    if (pid == 0) {
        shared_by_vfork = getppid() == parent ? 2 : 3;
        pause_ms(50);
        shared_by_vfork += 10;
        _exit(5);
    }
    ok_equal(shared_by_vfork, 12, "vfork: one memory, and the parent waits for the child's end");
    ok_equal(reap(pid), exited(5), "its status");
    pid = vfork();
    if (pid == 0) {
        execl("/proc/self/exe", "proc_fork", "exit_seven", NULL);
        _exit(1);
    }
    ok_equal(reap(pid), exited(7), "or for its execve");
}

static void process_groups(void)
{
    pid_t own = getpgrp(), pid = start(sleep_forever);
    ok_equal(getpgid(0), own, "getpgid(0)");
    ok_equal(getpgid(pid), own, "a child is in its parent's group");
    ok_equal(setpgid(pid, 0), 0, "setpgid(child, 0)");
    ok_equal(getpgid(pid), pid, "makes it a leader");
    pid_t other = start(sleep_forever);
    ok_equal(setpgid(other, pid), 0, "a second joins");
    ok_equal(getpgid(other), pid, "it has");
    ok_errno(setpgid(other, 999999), EPERM, "no such group");
    ok_errno(setpgid(999999, 0), ESRCH, "no such process");
    ok_errno(setpgid(other, -1), EINVAL, "negative group");
    ok_errno(setpgid(getppid(), 0), ESRCH, "the parent is not ours to move");
    ok_errno(getpgid(999999), ESRCH, "getpgid: no such process");
    ok_errno(getpgid(-1), ESRCH, "getpgid: negative");
    ok_equal(kill(-pid, SIGKILL), 0, "both are killed");
    ok(reap(pid) == SIGKILL && reap(other) == SIGKILL, "both end");
    ok_errno(kill(-pid, SIGKILL), ESRCH, "no group is left");
}

static void after_exec(void)
{
    int ends[2];
    char byte;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        bail("pipe2");
    }
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "proc_fork", "sleep_forever", NULL);
        _exit(1);
    }
    close(ends[1]);
    ok_equal(read(ends[0], &byte, 1), 0, "close-on-exec ends the pipe");
    ok_errno(setpgid(pid, pid), EACCES, "a child that has called execve is no longer moved");
    kill(pid, SIGKILL);
    reap(pid);
}

static void in_a_session(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pid_t own = getpid();
        bool good = setsid() == own && getsid(0) == own && getpgrp() == own;
        good = good && setsid() == -1 && errno == EPERM;
        good = good && setpgid(0, 0) == -1 && errno == EPERM;
        pid_t child = start(sleep_forever);
        good = good && getsid(child) == own && getpgid(child) == own;
        kill(child, SIGKILL);
        _exit(!good);
    }
    ok_equal(reap(pid), 0, "setsid makes a session and a group; a leader can't do it again");
    ok(getsid(0) > 0, "getsid(0)");
    ok_equal(getsid(getpid()), getsid(0), "getsid of oneself");
    ok_errno(getsid(999999), ESRCH, "getsid: no such process");
    pid = start(sleep_forever);
    setpgid(pid, pid);
    pid_t other = fork();
    if (other == 0) {
        setsid();
        sleep_forever();
    }
    ok(eventually(getsid(other) == other, 5000), "a child in a session of its own");
    ok_errno(setpgid(other, pid), EPERM, "is not moved");
    kill(pid, SIGKILL);
    kill(other, SIGKILL);
    reap(pid), reap(other);
}

static void generations(void)
{
    pid_t first = getpid();
    int depth = 0;
    while (depth < 30) {
        pid_t pid = fork();
        if (pid != 0) {
            int status = reap(pid);
            if (getpid() != first) {
                _exit(status == 0 ? 0 : 1);
            }
            ok_equal(status, 0, "thirty generations");
            return;
        }
        depth++;
    }
    _exit(0);
}

static void *wait_in_thread(void *pid)
{
    return (void *)(long)reap(*(pid_t *)pid);
}

static void threads_share_children(void)
{
    pthread_t thread;
    void *status = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        pause_ms(50);
        _exit(6);
    }
    pthread_create(&thread, NULL, wait_in_thread, &pid);
    pthread_join(thread, &status);
    ok_equal(status, exited(6), "any thread can wait for a process's child");
}

static void burn(void)
{
    while (clock() < CLOCKS_PER_SEC / 20) {
    }
}

static void cpu_time_of_children(void)
{
    struct rusage usage, own;
    struct tms times_before, times_after;
    times(&times_before);
    pid_t pid = start(burn);
    ok_equal(wait4(pid, NULL, 0, &usage), pid, "wait4 with usage");
    long micro = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                 usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    ok(micro >= 40000 && micro < 5000000, "the child has used 50 ms (%ld us)", micro);
    ok_equal(getrusage(RUSAGE_CHILDREN, &own), 0, "getrusage of children");
    ok(own.ru_utime.tv_sec * 1000000 + own.ru_utime.tv_usec + own.ru_stime.tv_usec >= 40000,
       "has it too");
    times(&times_after);
    ok(times_after.tms_cutime + times_after.tms_cstime >= times_before.tms_cutime + 3,
       "and times, in hundredths");
    ok_errno(getrusage(99, &own), EINVAL, "getrusage of whom?");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(a_child),
        TAP_CASE(statuses),
        TAP_CASE(nobody_to_wait_for),
        TAP_CASE(not_yet),
        TAP_CASE(bad_pointers),
        TAP_CASE(waitid_tells),
        TAP_CASE(which_child),
        TAP_CASE(stopped_children),
        TAP_CASE(orphans),
        TAP_CASE(vfork_shares),
        TAP_CASE(process_groups),
        TAP_CASE(after_exec),
        TAP_CASE(in_a_session),
        TAP_CASE(generations),
        TAP_CASE(threads_share_children),
        TAP_CASE(cpu_time_of_children),
    };
    if (argc == 2 && strcmp(argv[1], "exit_seven") == 0) {
        exit_seven();
    }
    if (argc == 2 && strcmp(argv[1], "sleep_forever") == 0) {
        sleep_forever();
    }
    return TAP_MAIN(cases);
}
