/*
 * Helpers for tests of execve: the test runs itself, and the new program tells what it sees.
 *
 * The environment variable MODE says what the new program shall do; it answers by its status, and
 * in words it writes to file OUTPUT, which arrive in the test's `output` as "one|two|".
 */
#pragma once

#include <limits.h>

#include "files.h"
#include "process.h"

#define OUTPUT 9
#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static char self[PATH_MAX], output[16384];
static void (*before_exec)(void); /* what a child does first, if anything */

/* Runs a program in a child; returns its status, exited(100 + errno) if execve fails. */
static int run(const char *path, char **argv, char **envp)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        bail("pipe2");
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], OUTPUT);
        if (before_exec) {
            before_exec();
        }
        execve(path, argv, envp);
        _exit(100 + errno);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while ((got = read(ends[0], output + used, sizeof output - 1 - used)) > 0) {
        used += (size_t)got;
    }
    output[used] = '\0';
    close(ends[0]);
    return reap(pid);
}

/* In the new program: one word for the test. */
static void tell(const char *text)
{
    if (write(OUTPUT, text, strlen(text)) < 0 || write(OUTPUT, "|", 1) < 0) {
        _exit(99);
    }
}

/* Tells the test where it is itself. */
static inline void exec_prepare(void)
{
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        printf("Bail out! /proc/self/exe: %s\n", strerror(errno));
        exit(1);
    }
    self[length] = '\0';
}
