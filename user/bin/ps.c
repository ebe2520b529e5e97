/*
 * ps: the processes, from /proc.
 *
 *     ps [-f]      -f: with the whole command line
 *
 * RSS is resident memory; MERGED is the part of it that page merging shares with others.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
    int pid, parent, group, terminal;
    char state, name[64];
    unsigned long ticks; /* of CPU time */
    long rss, threads;   /* pages; number */
    char command[256];
};

/* Reads a whole small file of a process; returns its length. */
static size_t read_file(int pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "re");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;
    if (file) {
        fclose(file);
    }
    text[length] = '\0';
    return length;
}

/* The name in /proc/PID/stat is in brackets and may hold any character, brackets too. */
static bool read_process(int pid, struct process *p)
{
    char text[1024];
    unsigned long user, kernel;
    memset(p, 0, sizeof *p);
    if (read_file(pid, "stat", text, sizeof text) == 0) {
        return false;
    }
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close) {
        return false;
    }
    *close = '\0';
    p->pid = pid;
    snprintf(p->name, sizeof p->name, "%s", open + 1);
    int got = sscanf(
        close + 1,
        " %c %d %d %*d %d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %ld %*d %*u %*u %ld",
        &p->state, &p->parent, &p->group, &p->terminal, &user, &kernel, &p->threads, &p->rss);
    p->ticks = user + kernel;
    return got == 8;
}

static void read_command(struct process *p)
{
    size_t length = read_file(p->pid, "cmdline", p->command, sizeof p->command);
    for (size_t i = 0; i + 1 < length; i++) {
        if (p->command[i] == '\0') {
            p->command[i] = ' ';
        }
    }
    if (length == 0) {
        snprintf(p->command, sizeof p->command, "[%s]", p->name);
    }
}

static void print_process(struct process *p, bool full)
{
    char text[32];
    long hertz = sysconf(_SC_CLK_TCK);
    unsigned long seconds = hertz > 0 ? p->ticks / (unsigned long)hertz : 0;
    long merged = read_file(p->pid, "ksm_merging_pages", text, sizeof text) ? atol(text) : 0;
    read_command(p);
    printf("%6d %6d %6d %c %3ld %7ldK %7ldK %4lu:%02lu %s\n", p->pid, p->parent, p->group, p->state,
           p->threads, p->rss * 4, merged * 4, seconds / 60, seconds % 60,
           full ? p->command : p->name);
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    return atoi((*a)->d_name) - atoi((*b)->d_name);
}

static int is_process(const struct dirent *entry)
{
    return isdigit((unsigned char)entry->d_name[0]);
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    bool full = argc == 2 && strcmp(argv[1], "-f") == 0;
    if (argc > 2 || (argc == 2 && !full)) {
        fputs("usage: ps [-f]\n", stderr);
        return 2;
    }
    int count = scandir("/proc", &entries, is_process, by_number);
    if (count < 0) {
        perror("ps: /proc");
        return 1;
    }
    puts("   PID   PPID   PGID S THR      RSS   MERGED    TIME COMMAND");
    for (int i = 0; i < count; i++) {
        struct process p;
        if (read_process(atoi(entries[i]->d_name), &p)) {
            print_process(&p, full);
        }
        free(entries[i]);
    }
    free(entries);
    return 0;
}
