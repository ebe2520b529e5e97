/*
 * mergedemo --shells: eight BusyBox shells that never heard of merging.
 *
 * Nobody calls madvise here: prctl(PR_SET_MEMORY_MERGE) before the execve offers all of a program's
 * memory. Each shell reads the same text into a variable, as scripts do, and the kernel finds out.
 * Afterwards each shell prints its variable's checksum, which must be that of the text.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

#define SHELLS 8
#define TEXT_BYTES (1ul << 20)
#define SCANS_WITHOUT_CHANGE 4
#define ENOUGH 0.8 /* of the text's pages: its ends share pages with the shell's own data */
#define BUSYBOX "/bin/busybox"

static const char *const roots[] = {"/usr/share", "/etc", NULL};

struct shell {
    pid_t pid;
    int in, out;
};

static char text_path[] = "/tmp/mergedemo-XXXXXX";

/* Writes printable lines made of real files to a temporary file; false with errno set. */
static bool write_text(void)
{
    struct file_set set = files_collect(roots, 1, 16 * TEXT_BYTES / PAGE_BYTES);
    FILE *text = fdopen(mkstemp(text_path), "w");
    size_t written = 0, line = 0;
    for (size_t i = 0; text && written < TEXT_BYTES; i++, line++) {
        written += (size_t)fprintf(text, "%zu: ", line); /* no two pages alike, even of few files */
        FILE *file = set.count > 0 ? fopen(set.files[i % set.count].path, "re") : NULL;
        for (int byte; file && (byte = getc(file)) != EOF && written < TEXT_BYTES;) {
            if (byte == '\n' || (byte >= ' ' && byte < 127)) {
                putc(byte, text);
                written++;
            }
            if (byte == '\n') {
                written += (size_t)fprintf(text, "%zu: ", line++);
            }
        }
        if (file) {
            fclose(file);
        }
    }
    return text && fclose(text) == 0;
}

static bool start_shell(struct shell *shell, bool merging)
{
    int in[2], out[2];
    char script[256];
    snprintf(script, sizeof script,
             "text=$(" BUSYBOX " cat %s); echo ready; read go; echo \"$text\" | " BUSYBOX " md5sum",
             text_path);
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        return false;
    }
    shell->pid = fork();
    if (shell->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (merging && prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) < 0) {
            perror("mergedemo: prctl(PR_SET_MEMORY_MERGE)");
            _exit(126);
        }
        signal(SIGINT, SIG_IGN);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execl(BUSYBOX, "busybox", "sh", "-c", script, (char *)NULL);
        perror("mergedemo: " BUSYBOX);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    shell->in = in[1];
    shell->out = out[0];
    return shell->pid > 0;
}

/* Reads a line from a shell, without its newline; empty if the shell has ended. */
static void read_line(const struct shell *shell, char *line, size_t size)
{
    size_t length = 0;
    for (char byte; length + 1 < size;) {
        ssize_t got = read(shell->out, &byte, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != 1 || byte == '\n') {
            break;
        }
        line[length++] = byte;
    }
    line[length] = '\0';
}

/* Lets a shell that has waited print its checksum, and end. */
static void finish_shell(struct shell *shell, char *checksum, size_t size)
{
    if (write(shell->in, "go\n", 3) == 3) {
        read_line(shell, checksum, size);
        checksum[strcspn(checksum, " ")] = '\0';
    }
    close(shell->in);
    close(shell->out);
    while (waitpid(shell->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    shell->pid = 0;
}

static bool wait_ready(const struct shell *shell)
{
    char line[64];
    read_line(shell, line, sizeof line);
    return strcmp(line, "ready") == 0;
}

/* What the checksum must be: from a shell whose memory is not merged. */
static bool reference(char *checksum, size_t size)
{
    struct shell shell;
    if (!start_shell(&shell, false) || !wait_ready(&shell)) {
        return false;
    }
    finish_shell(&shell, checksum, size);
    return *checksum != '\0';
}

/* Merged pages of all shells; or as the totals tell, where the kernel keeps no account of each. */
static long merged_pages(const struct view *view, const struct shell *shells)
{
    long total = 0;
    for (int i = 0; i < SHELLS; i++) {
        long pages = ksm_merging_pages(shells[i].pid);
        if (pages < 0) {
            struct ksm_counters now = ksm_read();
            return now.shared - view->base_shared + now.sharing - view->base_sharing;
        }
        total += pages;
    }
    return total;
}

/* Shows the counters until goal pages are merged and the number rises no more; returns it. */
static long watch(struct view *view, const struct shell *shells, double seconds, long goal)
{
    double end = now_seconds() + seconds;
    long best = 0, best_scan = 0, merged = 0;
    while (now_seconds() < end && !interrupted()) {
        long scan = ksm_read().full_scans;
        merged = merged_pages(view, shells);
        if (merged > best) {
            best = merged;
            best_scan = scan;
        }
        if (best >= goal && scan - best_scan >= SCANS_WITHOUT_CHANGE) {
            break;
        }
        view_update(view, false);
        pause_seconds(0.1);
    }
    view_update(view, true);
    return merged;
}

/* Checks every shell's variable against expected; ends the shells. */
static bool check_shells(struct shell *shells, const char *expected)
{
    int good = 0;
    for (int i = 0; i < SHELLS; i++) {
        char checksum[64] = "";
        finish_shell(&shells[i], checksum, sizeof checksum);
        good += strcmp(checksum, expected) == 0;
    }
    printf("  %d of %d shells still have their text: %s\n", good, SHELLS, expected);
    return good == SHELLS;
}

/* Runs the demonstration with shells that are to be ended by the caller. */
static bool run(const struct options *options, struct shell *shells, const char *expected)
{
    long text_pages = (long)(TEXT_BYTES / PAGE_BYTES);
    long could = SHELLS * text_pages, goal = (long)(ENOUGH * (double)could);
    struct ksm_counters before = ksm_read();
    struct view view = {.base_sharing = before.sharing, .base_shared = before.shared};
    view.in_place = !options->plain && isatty(STDOUT_FILENO);
    view.total_pages = (size_t)could;
    printf("%d BusyBox shells, each with the same %.0f MB of text in a variable\n", SHELLS,
           TEXT_BYTES / MEGABYTE);
    for (int i = 0; i < SHELLS; i++) {
        if (!start_shell(&shells[i], true) || !wait_ready(&shells[i])) {
            fprintf(stderr, "mergedemo: shell %d did not start\n", i + 1);
            return false;
        }
    }
    view_begin(&view, "Their memory is offered by prctl, without their knowledge:");
    ksm_run();
    long merged = watch(&view, shells, options->seconds, goal);
    printf("  %ld pages merged, of %ld with text: %s\n", merged, could,
           merged >= goal ? "good" : "FAILED, too few");
    return check_shells(shells, expected) && merged >= goal;
}

/* Returns the exit status of mergedemo. */
int shells_demonstrate(const struct options *options)
{
    struct shell shells[SHELLS] = {0};
    char expected[64] = "";
    bool good = false;
    if (!write_text() || !reference(expected, sizeof expected)) {
        fprintf(stderr, "mergedemo: cannot run " BUSYBOX " over a text: %s\n", strerror(errno));
    } else if (ksm_prepare()) {
        good = run(options, shells, expected);
        ksm_restore();
    }
    unlink(text_path);
    for (int i = 0; i < SHELLS; i++) {
        if (shells[i].pid > 0) {
            kill(shells[i].pid, SIGKILL);
            waitpid(shells[i].pid, NULL, 0);
        }
    }
    printf("\n%s\n", interrupted() ? "Interrupted."
                     : good        ? "Everything is as it should be."
                                   : "FAILED.");
    return good && !interrupted() ? 0 : 1;
}
