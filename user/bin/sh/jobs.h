/*
 * What a job looks like, for jobs.c and its builtins only.
 */
#pragma once

#include <termios.h>

#include "sh.h"

enum process_state { PROCESS_RUNNING, PROCESS_STOPPED, PROCESS_DONE };

struct process {
    pid_t pid;
    enum process_state state;
    int status; /* as waitpid gave it */
};

struct job {
    struct job *next;
    int id;
    pid_t group; /* 0 without job control */
    char *text;
    struct process *processes;
    int process_count;
    bool foreground;
    struct termios modes; /* the terminal's, when it was stopped */
    bool has_modes;
};

enum process_state job_state(const struct job *job);
int job_status(const struct job *job);
int job_continue(struct job *job, bool foreground);
void job_remove(struct job *job);
struct job *jobs_find(const char *name);
struct job *jobs_first_running(void);
bool jobs_wait_change(int options);
