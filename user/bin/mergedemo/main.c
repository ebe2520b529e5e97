/*
 * mergedemo: watch identical pages become one, and part again.
 *
 * Several processes load the same real files into memory of their own. They offer it for merging
 * by madvise, and the kernel finds that it is all the same. Then each process rewrites one page in
 * ten; these copies break away, and nobody sees anybody else's change: at the end every process
 * verifies every page it has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define PROCESSES_MAX 64
#define ENOUGH 0.95       /* of what could be merged: some pages wait behind the sharing limit */
#define MEMORY_TO_USE 0.6 /* of what is available */
#define SCANS_WITHOUT_CHANGE 4

static const char *const roots[] = {"/boot", "/bin", "/usr/share", NULL};

static const char usage[] =
    "usage: mergedemo [OPTIONS]\n"
    "Shows how the kernel merges identical pages of several processes, and parts them again.\n"
    "  --processes N   how many processes load the files (4)\n"
    "  --seconds S     the longest to wait for each part (120)\n"
    "  --mb N          load at least N MB each, the files again and again if need be (16)\n"
    "  --max-mb N      load at most N MB each (64)\n"
    "  --shells        eight BusyBox shells under PR_SET_MEMORY_MERGE instead\n"
    "  --plain         a line a second instead of a picture, as when not on a terminal\n"
    "  --help          this text\n"
    "Exit status: 0 if everything merged and every page was verified, 1 if not, 2 for wrong "
    "usage.\n";

static struct worker workers[PROCESSES_MAX];
static struct report reports[PROCESSES_MAX];

/* Collects every process's answer; false, with a message, if one has none or an error. */
static bool gather(int processes)
{
    for (int i = 0; i < processes; i++) {
        if (!worker_report(&workers[i], &reports[i])) {
            fprintf(stderr, "mergedemo: process %d has ended too early\n", i + 1);
            return false;
        }
        if (reports[i].error) {
            fprintf(stderr, "mergedemo: process %d: %s\n", i + 1, strerror(reports[i].error));
            return false;
        }
    }
    return true;
}

static bool tell_all_and_gather(int processes, char command)
{
    for (int i = 0; i < processes; i++) {
        worker_command(&workers[i], command);
    }
    return gather(processes);
}

static bool all_verified(int processes)
{
    size_t wrong = 0, pages = 0;
    for (int i = 0; i < processes; i++) {
        wrong += reports[i].wrong;
        pages += reports[i].pages;
        if (reports[i].wrong) {
            printf("  process %d: %zu of %zu pages are WRONG\n", i + 1, reports[i].wrong,
                   reports[i].pages);
        }
    }
    if (wrong == 0) {
        printf("  verified: all %zu pages of %d processes are what they should be\n", pages,
               processes);
    }
    return wrong == 0;
}

/*
 * How many pages of the processes are merged: the kernel's account of each process or, if it keeps
 * none, the difference that they make to the totals.
 */
static long merged_pages(const struct view *view, int processes)
{
    long total = 0;
    for (int i = 0; i < processes; i++) {
        long pages = ksm_merging_pages(workers[i].pid);
        if (pages < 0) {
            struct ksm_counters now = ksm_read();
            return now.shared - view->base_shared + now.sharing - view->base_sharing;
        }
        total += pages;
    }
    return total;
}

/*
 * Shows the counters until as many pages are merged as should be, or the number has not moved for
 * some passes, or time is up. Returns it.
 */
static long watch(struct view *view, const struct options *options, long goal, bool rising)
{
    double end = now_seconds() + options->seconds;
    long last = -1, merged = 0, last_scan = 0;
    while (now_seconds() < end && !interrupted()) {
        long scan = ksm_read().full_scans;
        merged = merged_pages(view, options->processes);
        bool there = rising ? merged >= goal : merged <= goal;
        if (merged != last) {
            last = merged;
            last_scan = scan;
        }
        if (there || scan - last_scan >= SCANS_WITHOUT_CHANGE) {
            break;
        }
        view_update(view, false);
        pause_seconds(0.1);
    }
    view_update(view, true);
    return merged;
}

static bool start_workers(const struct options *options, const struct file_set *set)
{
    for (int i = 0; i < options->processes; i++) {
        if (!worker_start(&workers[i], i, set)) {
            fprintf(stderr, "mergedemo: cannot start a process: %s\n", strerror(errno));
            return false;
        }
    }
    return gather(options->processes);
}

/* Chooses the files, by what was asked for and what memory there is. */
static struct file_set choose_files(const struct options *options)
{
    double most = memory_mb("MemAvailable") * MEMORY_TO_USE / options->processes;
    double least = options->least_mb < most || most == 0 ? options->least_mb : most;
    if (most == 0 || most > options->most_mb) {
        most = options->most_mb;
    }
    struct file_set set =
        files_collect(roots, (size_t)(least * MEGABYTE / PAGE_BYTES),
                      (size_t)((most > least ? most : least) * MEGABYTE / PAGE_BYTES));
    double size = (double)set.pages * PAGE_BYTES / MEGABYTE;
    printf("%d processes, each loading %zu files from /boot, /bin and /usr/share: %.1f MB\n",
           options->processes, set.count, size * set.rounds);
    if (set.rounds > 1) {
        printf("(the files are only %.1f MB; they are loaded %d times)\n", size, set.rounds);
    }
    if (set.cut) {
        printf("(there are more files than --max-mb or memory allows; these are the first)\n");
    }
    if (least < options->least_mb) {
        printf("(memory is short: less than %.0f MB each)\n", options->least_mb);
    }
    return set;
}

static long total_rewritten(int processes)
{
    long total = 0;
    for (int i = 0; i < processes; i++) {
        total += (long)reports[i].rewritten;
    }
    return total;
}

/* The second part: pages are rewritten, their copies break away, the rest stays merged. */
static bool demonstrate_parting(const struct options *options, struct view *view)
{
    view_begin(view, "Now each process rewrites one page in ten. The copies break away:");
    for (int i = 0; i < options->processes; i++) {
        worker_command(&workers[i], 'r');
    }
    for (double end = now_seconds() + 1.5; now_seconds() < end && !interrupted();) {
        view_update(view, false);
        pause_seconds(0.1);
    }
    if (!gather(options->processes)) {
        return false;
    }
    long rewritten = total_rewritten(options->processes),
         left = (long)view->total_pages - rewritten;
    long merged = watch(view, options, left, false);
    bool parted = merged <= left, kept = (double)merged >= ENOUGH * (double)left;
    printf("  %ld pages rewritten; of the other %ld, %ld are merged: %s\n", rewritten, left, merged,
           !parted ? "FAILED, too many"
           : kept  ? "good"
                   : "FAILED, more broke away than was rewritten");
    return all_verified(options->processes) && parted && kept;
}

/* The first part: identical pages become one. Every page has a twin in every process. */
static bool demonstrate_merging(const struct options *options, struct view *view)
{
    long total = (long)view->total_pages;
    view_begin(view, "All of it is offered for merging. Equal pages become one:");
    double free_before = memory_mb("MemFree");
    ksm_run();
    long merged = watch(view, options, total, true);
    bool enough = (double)merged >= ENOUGH * (double)total;
    printf("  %ld of %ld pages are merged; their contents need only %zu: %s\n", merged, total,
           reports[0].distinct, enough ? "good" : "FAILED, too few");
    printf("  free memory was %.1f MB and is %.1f MB\n", free_before, memory_mb("MemFree"));
    return tell_all_and_gather(options->processes, 'v') && all_verified(options->processes) &&
           enough;
}

static bool same_memory_everywhere(int processes)
{
    bool same = true;
    for (int i = 0; i < processes; i++) {
        printf("  process %d: pid %d, memory at %#lx, checksum %016lx\n", i + 1,
               (int)workers[i].pid, (unsigned long)reports[i].address,
               (unsigned long)reports[i].checksum);
        same &= reports[i].checksum == reports[0].checksum;
    }
    if (!same) {
        printf("  the processes have not loaded the same: FAILED\n");
    }
    return same;
}

static bool demonstrate(const struct options *options)
{
    struct file_set set = choose_files(options);
    if (set.count == 0) {
        fprintf(stderr, "mergedemo: no files to load\n");
        return false;
    }
    if (!ksm_prepare()) {
        return false;
    }
    struct ksm_counters before = ksm_read();
    struct view view = {.base_sharing = before.sharing, .base_shared = before.shared};
    view.in_place = !options->plain && isatty(STDOUT_FILENO);
    view.total_pages = set.pages * (size_t)set.rounds * (size_t)options->processes;
    bool good = start_workers(options, &set) && same_memory_everywhere(options->processes) &&
                demonstrate_merging(options, &view) && !interrupted() &&
                demonstrate_parting(options, &view);
    ksm_restore();
    for (int i = 0; i < options->processes; i++) {
        worker_end(&workers[i]);
    }
    return good && !interrupted();
}

__attribute__((noreturn)) static void wrong_usage(void)
{
    fputs(usage, stderr);
    exit(2);
}

static double parse_number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (!*text || *end || value < least || value > most) {
        fprintf(stderr, "mergedemo: %s: a number from %g to %g, please\n", text, least, most);
        wrong_usage();
    }
    return value;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"processes", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"mb", required_argument, NULL, 'm'},
        {"max-mb", required_argument, NULL, 'x'},
        {"shells", no_argument, NULL, 'S'},
        {"plain", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.processes = 4, .seconds = 120, .least_mb = 16, .most_mb = 64};
    for (int c; (c = getopt_long(argc, argv, "n:s:h", names, NULL)) >= 0;) {
        if (c == 'n') {
            options.processes = (int)parse_number(optarg, 2, PROCESSES_MAX);
        } else if (c == 's') {
            options.seconds = parse_number(optarg, 1, 86400);
        } else if (c == 'm') {
            options.least_mb = parse_number(optarg, 0.01, 65536);
        } else if (c == 'x') {
            options.most_mb = parse_number(optarg, 0.01, 65536);
        } else if (c == 'S') {
            options.shells = true;
        } else if (c == 'p') {
            options.plain = true;
        } else if (c == 'h') {
            fputs(usage, stdout);
            exit(0);
        } else {
            wrong_usage();
        }
    }
    if (optind < argc) {
        wrong_usage();
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    interrupt_catch();
    if (options.shells) {
        return shells_demonstrate(&options);
    }
    bool good = demonstrate(&options);
    printf("\n%s\n", interrupted() ? "Interrupted."
                     : good        ? "Everything is as it should be."
                                   : "FAILED.");
    return good ? 0 : 1;
}
