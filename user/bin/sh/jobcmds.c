/*
 * The builtins that act on jobs: fg, bg, wait, kill.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jobs.h"

static struct job *find_or_complain(char **argv)
{
    struct job *job = jobs_find(argv[1]);
    if (!shell.job_control) {
        complain("%s: no job control in this shell", argv[0]);
        return NULL;
    }
    if (!job) {
        complain("%s: no such job", argv[0]);
    }
    return job;
}

int jobs_builtin_fg(char **argv)
{
    struct job *job = find_or_complain(argv);
    if (!job) {
        return 1;
    }
    puts(job->text);
    fflush(stdout);
    return job_continue(job, true);
}

int jobs_builtin_bg(char **argv)
{
    struct job *job = find_or_complain(argv);
    if (!job) {
        return 1;
    }
    printf("[%d] %s &\n", job->id, job->text);
    return job_continue(job, false);
}

/* Waits for one job to end; returns false if Ctrl-C came first. */
static bool wait_for(const struct job *job)
{
    while (job_state(job) == PROCESS_RUNNING) {
        if (!jobs_wait_change(0) && (errno != EINTR || shell.interrupted)) {
            return errno != EINTR;
        }
    }
    return true;
}

int jobs_builtin_wait(char **argv)
{
    int status = 0;
    if (!argv[1]) {
        for (struct job *job; (job = jobs_first_running());) {
            if (!wait_for(job)) {
                return 128 + SIGINT;
            }
        }
        if (!shell.interactive) {
            jobs_forget();
        }
    }
    for (int i = 1; argv[i]; i++) {
        struct job *job = jobs_find(argv[i]);
        status = 127;
        if (job) {
            if (!wait_for(job)) {
                return 128 + SIGINT;
            }
            status = job_status(job);
            if (job_state(job) == PROCESS_DONE) {
                job_remove(job);
            }
        }
    }
    return status;
}

static const struct {
    const char *name;
    int number;
} signal_names[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"BUS", SIGBUS},   {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},
};

#define SIGNAL_NAME_COUNT (sizeof signal_names / sizeof *signal_names)

/* Returns the signal's number, or -1. */
static int parse_signal(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*text && !*end) {
        return (int)number;
    }
    text += strncasecmp(text, "SIG", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < SIGNAL_NAME_COUNT; i++) {
        if (strcasecmp(text, signal_names[i].name) == 0) {
            return signal_names[i].number;
        }
    }
    return -1;
}

static int list_signals(void)
{
    for (size_t i = 0; i < SIGNAL_NAME_COUNT; i++) {
        printf("%2d %-6s%s", signal_names[i].number, signal_names[i].name, i % 7 == 6 ? "\n" : " ");
    }
    return 0;
}

/* Stores the process or, negative, the group that text names; false if there is none. */
static bool parse_target(const char *text, pid_t *pid)
{
    if (*text == '%') {
        struct job *job = jobs_find(text);
        *pid = !job ? 0 : job->group ? -job->group : job->processes[0].pid;
        return job != NULL;
    }
    char *end;
    *pid = (pid_t)strtol(text, &end, 10);
    return *text && !*end;
}

static bool kill_one(const char *target, int number)
{
    pid_t pid;
    if (!parse_target(target, &pid)) {
        complain("kill: %s: no such job or process", target);
        return false;
    }
    if (kill(pid, number) < 0) {
        complain("kill: %s: %s", target, strerror(errno));
        return false;
    }
    return true;
}

int jobs_builtin_kill(char **argv)
{
    int number = SIGTERM, status = 0, i = 1;
    if (argv[1] && strcmp(argv[1], "-l") == 0) {
        return list_signals();
    }
    if (argv[1] && argv[1][0] == '-') {
        bool apart = strcmp(argv[1], "-s") == 0 && argv[2];
        number = parse_signal(apart ? argv[2] : argv[1] + 1);
        i += 1 + apart;
    }
    if (number < 0 || !argv[i]) {
        complain("usage: kill [-SIGNAL] PID | %%JOB ..., or kill -l");
        return 2;
    }
    for (; argv[i]; i++) {
        status |= !kill_one(argv[i], number);
    }
    return status;
}
