/*
 * What the parts of mergedemo share.
 *
 *     main.c      options, and the demonstration with processes that load files
 *     shells.c    the one with shells
 *     files.c     which files
 *     worker.c    one process with its memory
 *     ksm.c       the knobs and counters of merging
 *     screen.c    what a person sees meanwhile
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE_BYTES 4096ul
#define MEGABYTE (1024.0 * 1024.0)
#define REWRITE_ONE_IN 10

struct options {
    int processes;
    double seconds;  /* the longest to wait for merging, and for the copies to break away */
    double least_mb; /* repeat the files until they fill this much */
    double most_mb;  /* stop taking files here */
    bool shells;
    bool plain; /* no drawing in place */
};

/* ksm.c */
struct ksm_counters {
    long shared, sharing, full_scans;
};

bool ksm_prepare(void);
void ksm_run(void);
void ksm_restore(void);
struct ksm_counters ksm_read(void);
long ksm_merging_pages(pid_t pid);
double memory_mb(const char *field);

/* files.c */
struct file {
    const char *path;
    size_t bytes;
};

struct file_set {
    struct file *files;
    size_t count;
    size_t pages; /* each file begins on a page of its own */
    int rounds;   /* how often the set is loaded: more than once if it is small */
    bool cut;     /* there was more than wanted */
};

struct file_set files_collect(const char *const *roots, size_t least_pages, size_t most_pages);

/* worker.c */
struct report {
    uint64_t checksum; /* of all memory, now */
    size_t pages;
    size_t distinct;  /* different page contents, as loaded */
    size_t rewritten; /* pages */
    size_t wrong;     /* pages that are not what they should be */
    uintptr_t address;
    int error; /* errno of what failed, or 0 */
};

struct worker {
    pid_t pid;
    int commands, reports;
};

bool worker_start(struct worker *worker, int index, const struct file_set *set);
void worker_command(const struct worker *worker, char command);
bool worker_report(const struct worker *worker, struct report *report);
void worker_end(struct worker *worker);

/* screen.c */
struct view {
    const char *title;
    size_t total_pages; /* mapped by all processes together */
    long base_sharing, base_shared;
    bool in_place;
    bool drawn;
    double started, last_line;
};

double now_seconds(void);
void pause_seconds(double seconds);
void view_begin(struct view *view, const char *title);
void view_update(struct view *view, bool final);
bool interrupted(void);
void interrupt_catch(void);

/* shells.c */
int shells_demonstrate(const struct options *options);
