/*
 * Process 1: runs the command that was asked for, or shells; see init.h for its first life.
 *
 *     init                  a shell on the console, again and again
 *     init COMMAND ARG...   that command; its status goes to the log, then the machine turns off
 *
 * Either gets a session of its own with the console as controlling terminal. Orphans of all
 * processes become ours and are reaped. SIGUSR1, SIGUSR2 and SIGTERM mean halt, power off and
 * reboot, as BusyBox sends them.
 */
#define _GNU_SOURCE
#include "user/servers/init/init.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CONSOLE "/dev/console"

static char *const shell[] = {(char[]){"-sh"}, NULL};

static void set_environment(void)
{
    setenv("PATH", "/bin:/sbin:/usr/bin:/tests:/bench", 1);
    setenv("HOME", "/root", 1);
    setenv("TERM", "linux", 0);
    setenv("USER", "root", 1);
    setenv("SHELL", "/bin/sh", 1);
}

static void open_console(void)
{
    int fd = open(CONSOLE, O_RDWR | O_NOCTTY);

    for (int i = 0; i < 3; i++)
        if (fd >= 0 && fd != i)
            dup2(fd, i);
    if (fd > 2)
        close(fd);
}

/* The number after `name=` on the kernel's command line, or 0. */
static int argument(const char *line, const char *name)
{
    const char *at = strstr(line, name);

    return at ? atoi(at + strlen(name)) : 0;
}

/* The host told on the kernel's command line what its terminal is like. */
static void set_terminal(void)
{
    char line[1024] = " ";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, line + 1, sizeof line - 2);
    struct winsize size = {0};
    struct termios modes;

    close(fd);
    if (length < 0)
        return;
    line[length + 1] = '\0';
    size.ws_row = (unsigned short)argument(line, " rows=");
    size.ws_col = (unsigned short)argument(line, " columns=");
    if (size.ws_row && size.ws_col)
        ioctl(0, TIOCSWINSZ, &size);
    if (!strstr(line, " noecho") || tcgetattr(0, &modes))
        return;
    modes.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(0, TCSANOW, &modes);
}

/* The child's part: a new session, the terminal, and the program. */
static void become(const char *path, char *const argv[])
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    ioctl(0, TIOCSCTTY, 1);
    chdir(getenv("HOME"));
    execvp(path, argv);
    fprintf(stderr, "init: %s: %s\n", path, strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static pid_t start(const char *path, char *const argv[])
{
    pid_t pid = fork();

    if (pid == 0)
        become(path, argv);
    if (pid < 0)
        fprintf(stderr, "init: fork: %s\n", strerror(errno));
    return pid;
}

/* Reaps whoever ends until it is `pid`; returns its wait status. */
static int wait_for(pid_t pid)
{
    int status;
    pid_t ended;

    while ((ended = wait(&status)) != pid)
        if (ended < 0 && errno != EINTR)
            return 0;
    return status;
}

static void turn_off(int how)
{
    sync();
    reboot(how);
}

static void on_signal(int number)
{
    turn_off(number == SIGTERM ? RB_AUTOBOOT : RB_POWER_OFF);
}

/* A line of the kernel log, where tools/vm reads it. */
static void tell_host(const char *line)
{
    int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    write(fd, line, strlen(line));
    close(fd);
}

static void tell_status(int status)
{
    char line[64];
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

    snprintf(line, sizeof line, "vm: exit status %d\n", code);
    tell_host(line);
}

static void run_command(char *const argv[])
{
    pid_t pid = start(argv[0], argv);
    int status = pid < 0 ? 126 << 8 : wait_for(pid);

    tcdrain(1);
    tell_status(status);
    turn_off(RB_POWER_OFF);
}

static void run_shells(void)
{
    for (;;) {
        time_t started = time(NULL);
        pid_t pid = start("/bin/sh", shell);

        if (pid > 0)
            wait_for(pid);
        if (time(NULL) - started < 1)
            sleep(1); /* one that can't live must not keep the machine busy */
    }
}

int main(int argc, char **argv)
{
    boot_run();
    set_environment();
    setsid();
    open_console();
    set_terminal();
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    signal(SIGTERM, on_signal);
    tell_host("vm: ready\n"); /* input typed from now on is not lost */
    if (argc > 1)
        run_command(argv + 1);
    else
        run_shells();
    return 0;
}
