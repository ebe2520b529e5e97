/*
 * Jobs: every process the shell starts, and every wait for one.
 *
 * With job control (an interactive shell) each job is a process group of its own. The group in the
 * foreground owns the terminal, so that Ctrl-C and Ctrl-Z reach it and not the shell; the shell
 * takes the terminal back when the job stops or ends. Both parent and child put the child into its
 * group and hand over the terminal, because either may run first.
 *
 * A subshell is a fork of the shell. It forgets the jobs, which are not its children.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "jobs.h"

static struct job *jobs; /* newest first */
static int terminal = -1;
static struct termios shell_modes;

static void on_interrupt(int signal)
{
    (void)signal;
    shell.interrupted = 1;
}

static void set_signals(void (*stop)(int), void (*interrupt)(int), void (*quit)(int))
{
    struct sigaction action = {.sa_handler =
                                   interrupt}; /* no SA_RESTART: it ends a wait or a read */
    sigaction(SIGINT, &action, NULL);
    signal(SIGQUIT, quit);
    signal(SIGTERM, quit);
    signal(SIGTSTP, stop);
    signal(SIGTTIN, stop);
    signal(SIGTTOU, stop);
}

/* For an interactive shell: takes the terminal, if there is one that has a foreground group. */
void jobs_init(void)
{
    set_signals(SIG_IGN, on_interrupt, SIG_IGN);
    terminal = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    if (terminal < 0 || tcgetpgrp(terminal) < 0 || tcgetattr(terminal, &shell_modes) < 0) {
        return;
    }
    if (getpgrp() != getpid() && setpgid(0, 0) < 0) {
        return;
    }
    shell.job_control = tcsetpgrp(terminal, getpgrp()) == 0;
}

/* Returns a job without processes; text is what `jobs` will show. */
struct job *job_new(const char *text)
{
    struct job *job = must(calloc(1, sizeof *job));
    job->text = must(strdup(text ? text : "?"));
    for (struct job *other = jobs; other; other = other->next) {
        job->id = other->id > job->id ? other->id : job->id;
    }
    job->id++;
    job->next = jobs;
    jobs = job;
    return job;
}

void job_remove(struct job *job)
{
    struct job **link = &jobs;
    while (*link != job) {
        link = &(*link)->next;
    }
    *link = job->next;
    free(job->processes);
    free(job->text);
    free(job);
}

/* What a subshell does first. */
static void become_subshell(const struct job *job, bool foreground)
{
    if (shell.job_control && job) {
        pid_t group = job->group ? job->group : getpid();
        setpgid(0, group);
        if (foreground) {
            tcsetpgrp(terminal, group);
        }
    }
    if (shell.interactive) {
        set_signals(SIG_DFL, SIG_DFL, SIG_DFL);
    }
    if (job && !foreground && !shell.job_control) {
        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        int null = open("/dev/null", O_RDONLY);
        if (null >= 0) {
            dup2(null, STDIN_FILENO);
            close(null);
        }
    }
    shell.interactive = shell.job_control = false;
    shell.interrupted = 0;
    jobs_forget();
}

static void job_add_process(struct job *job, pid_t pid, bool foreground)
{
    job->processes =
        must(realloc(job->processes, (size_t)(job->process_count + 1) * sizeof *job->processes));
    job->processes[job->process_count++] = (struct process){.pid = pid};
    job->foreground = foreground;
    if (shell.job_control) {
        job->group = job->group ? job->group : pid;
        setpgid(pid, job->group);
        if (foreground) {
            tcsetpgrp(terminal, job->group);
        }
    }
}

/*
 * Forks a subshell as a process of job, or as a mere helper of this shell where job is null.
 * Returns 0 in the child, its pid in the parent, -1 after a failure that has been reported.
 */
pid_t job_fork(struct job *job, bool foreground)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        complain("fork: %s", strerror(errno));
    } else if (pid == 0) {
        become_subshell(job, foreground);
    } else if (job) {
        job_add_process(job, pid, foreground);
    }
    return pid;
}

enum process_state job_state(const struct job *job)
{
    enum process_state state = PROCESS_DONE;
    for (int i = 0; i < job->process_count; i++) {
        if (job->processes[i].state < state) {
            state = job->processes[i].state;
        }
    }
    return state;
}

/* The exit status of the job's last process, as $? shows it. */
int job_status(const struct job *job)
{
    if (job->process_count == 0) {
        return 126;
    }
    int status = job->processes[job->process_count - 1].status;
    return WIFEXITED(status)     ? WEXITSTATUS(status)
           : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                 : 128 + WSTOPSIG(status);
}

/* Waits for a change of any child and notes it; false if there was none or a signal came first. */
bool jobs_wait_change(int options)
{
    int status;
    pid_t pid = waitpid(-1, &status, options);
    if (pid <= 0) {
        return false;
    }
    for (struct job *job = jobs; job; job = job->next) {
        for (int i = 0; i < job->process_count; i++) {
            struct process *process = &job->processes[i];
            if (process->pid == pid) {
                process->status = status;
                process->state = WIFSTOPPED(status)     ? PROCESS_STOPPED
                                 : WIFCONTINUED(status) ? PROCESS_RUNNING
                                                        : PROCESS_DONE;
            }
        }
    }
    return true;
}

/* Says how a job ended, if a signal ended it; nothing about the everyday ones. */
static void report_signal(const struct job *job)
{
    int status = job->processes[job->process_count - 1].status;
    if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGPIPE) {
        return;
    }
    if (WTERMSIG(status) == SIGINT) {
        shell.interrupted = shell.interactive;
        if (shell.interactive) {
            fputc('\n', stderr);
        }
        return;
    }
    fprintf(stderr, "%s%s\n", strsignal(WTERMSIG(status)),
            WCOREDUMP(status) ? " (core dumped)" : "");
}

/* Waits until job has ended or stopped and gives the terminal back; returns its status. */
int job_wait_foreground(struct job *job)
{
    while (job_state(job) == PROCESS_RUNNING) {
        if (!jobs_wait_change(shell.job_control ? WUNTRACED : 0) && errno != EINTR) {
            break;
        }
    }
    if (shell.job_control) {
        tcsetpgrp(terminal, getpgrp());
    }
    int status = job_status(job);
    if (job_state(job) == PROCESS_STOPPED) {
        job->has_modes = tcgetattr(terminal, &job->modes) == 0;
        job->foreground = false;
        fprintf(stderr, "\n[%d] stopped   %s\n", job->id, job->text);
    } else if (job->process_count > 0) {
        report_signal(job);
    }
    if (shell.job_control) {
        tcsetattr(terminal, TCSADRAIN, &shell_modes);
    }
    if (job_state(job) != PROCESS_STOPPED) {
        job_remove(job);
    }
    return status;
}

/* Lets a job that has just been started run behind the shell's back. */
void job_put_background(struct job *job)
{
    if (job->process_count == 0) {
        job_remove(job);
        return;
    }
    shell.last_async = job->processes[job->process_count - 1].pid;
    if (shell.interactive) {
        fprintf(stderr, "[%d] %d\n", job->id, (int)shell.last_async);
    }
}

/* Sends a job on, in the foreground or behind; returns its status or 0. */
int job_continue(struct job *job, bool foreground)
{
    job->foreground = foreground;
    for (int i = 0; i < job->process_count; i++) {
        if (job->processes[i].state == PROCESS_STOPPED) {
            job->processes[i].state = PROCESS_RUNNING;
        }
    }
    if (foreground) {
        tcsetpgrp(terminal, job->group);
        if (job->has_modes) {
            tcsetattr(terminal, TCSADRAIN, &job->modes);
        }
    }
    kill(-job->group, SIGCONT);
    return foreground ? job_wait_foreground(job) : 0;
}

static void print_job(const struct job *job, FILE *out)
{
    char text[40] = "done";
    int status = job_status(job);
    if (job_state(job) != PROCESS_DONE) {
        strcpy(text, job_state(job) == PROCESS_RUNNING ? "running" : "stopped");
    } else if (status > 128) {
        snprintf(text, sizeof text, "%s", strsignal(status - 128));
    } else if (status > 0) {
        snprintf(text, sizeof text, "exit %d", status);
    }
    fprintf(out, "[%d] %-9s %s\n", job->id, text, job->text);
}

/* Notes what has happened to background jobs and, interactively, tells; scripts keep it for
 * wait. */
void jobs_report(void)
{
    while (jobs_wait_change(WNOHANG | (shell.job_control ? WUNTRACED | WCONTINUED : 0))) {
    }
    for (struct job *job = jobs, *next; job && shell.interactive; job = next) {
        next = job->next;
        if (job_state(job) == PROCESS_DONE) {
            print_job(job, stderr);
            job_remove(job);
        }
    }
}

/* Forgets all jobs without touching their processes. */
void jobs_forget(void)
{
    while (jobs) {
        job_remove(jobs);
    }
}

/* Returns the job named %N, %%, %+ or %-, or that has the process N; the newest for null. */
struct job *jobs_find(const char *name)
{
    struct job *job = jobs;
    if (!name || strcmp(name, "%%") == 0 || strcmp(name, "%+") == 0 || strcmp(name, "%") == 0) {
        return job;
    }
    if (strcmp(name, "%-") == 0) {
        return job ? job->next : NULL;
    }
    int number = atoi(name + (*name == '%'));
    for (; job; job = job->next) {
        if (*name == '%' && job->id == number) {
            return job;
        }
        for (int i = 0; i < job->process_count && *name != '%'; i++) {
            if (job->processes[i].pid == number) {
                return job;
            }
        }
    }
    return NULL;
}

static void print_oldest_first(const struct job *job)
{
    if (job) {
        print_oldest_first(job->next);
        print_job(job, stdout);
    }
}

int jobs_builtin(char **argv)
{
    (void)argv;
    while (jobs_wait_change(WNOHANG | WUNTRACED | WCONTINUED)) {
    }
    print_oldest_first(jobs);
    return 0;
}

struct job *jobs_first_running(void)
{
    struct job *job = jobs;
    while (job && job_state(job) != PROCESS_RUNNING) {
        job = job->next;
    }
    return job;
}
