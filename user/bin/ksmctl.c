/*
 * ksmctl: shows and sets page merging.
 *
 *     ksmctl                   every knob and counter, with a line that explains it
 *     ksmctl set NAME VALUE    sets a knob
 *     ksmctl run               starts merging
 *     ksmctl stop              stops, and keeps what is merged
 *     ksmctl unmerge           stops, and parts every merged page
 *     ksmctl watch [SECONDS]   a line of counters again and again
 *
 * Everything is in the files of /sys/kernel/mm/ksm; this program only makes them readable.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/sys/kernel/mm/ksm"
#define PAGE_KB 4

static const struct {
    const char *name, *meaning;
} files[] = {
    {"run", "0 stopped, 1 merging, 2 stopped and everything parted"},
    {"pages_to_scan", "pages looked at before the scanner sleeps"},
    {"sleep_millisecs", "how long it sleeps"},
    {"full_scans", "passes over all registered memory so far"},
    {"pages_scanned", "pages looked at so far"},
    {"pages_skipped", "pages smart_scan did not look at so far"},
    {"pages_shared", "merged pages in use"},
    {"pages_sharing", "copies given back: the pages saved"},
    {"pages_unshared", "pages looked at that have no twin"},
    {"pages_volatile", "pages that change too fast"},
    {"ksm_zero_pages", "pages of zeroes replaced by the zero page"},
    {"general_profit", "bytes saved less bytes of bookkeeping"},
    {"use_zero_pages", "1: pages of zeroes become the shared zero page"},
    {"smart_scan", "1: pages that never merged are looked at less often"},
    {"max_page_sharing", "mappings of one merged page at most"},
    {"max_kernel_pages", "merged pages at most, 0 = no limit"},
    {"kernel_pages_allocated", "merged pages, as that limit counts them"},
    {"index", "how equal pages are found: hash or tree"},
    {"merge_across_nodes", "0: only pages of one NUMA node merge"},
    {"stable_node_chains", "contents that needed more than one merged page"},
    {"stable_node_dups", "merged pages of these contents"},
    {"stable_node_chains_prune_millisecs", "how often chains are cleaned"},
    {"advisor_mode", "who sets pages_to_scan: none or scan-time"},
    {"advisor_max_cpu", "scan-time: percent of a CPU at most"},
    {"advisor_min_pages_to_scan", "scan-time: where it begins"},
    {"advisor_max_pages_to_scan", "scan-time: pages at most"},
    {"advisor_target_scan_time", "scan-time: seconds a pass should take"},
};

#define FILE_COUNT (sizeof files / sizeof *files)

/* Reads a file of the directory into value, without its newline; false with errno set. */
static bool read_file(const char *name, char *value, size_t size)
{
    char path[320];
    snprintf(path, sizeof path, DIRECTORY "/%s", name);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    if (!fgets(value, (int)size, file)) {
        value[0] = '\0';
    }
    fclose(file);
    value[strcspn(value, "\n")] = '\0';
    return true;
}

static long read_number(const char *name)
{
    char value[64];
    return read_file(name, value, sizeof value) ? atol(value) : 0;
}

static const char *meaning_of(const char *name)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (strcmp(files[i].name, name) == 0) {
            return files[i].meaning;
        }
    }
    return NULL;
}

static void show_one(const char *name, const char *meaning)
{
    char path[320], value[128];
    struct stat info;
    snprintf(path, sizeof path, DIRECTORY "/%s", name);
    bool writable = stat(path, &info) == 0 && (info.st_mode & S_IWUSR);
    if (read_file(name, value, sizeof value)) {
        printf("%c %-34s %14s  %s\n", writable ? '*' : ' ', name, value, meaning);
    }
}

/* The files known here in the order of their importance, then any others. */
static int show(void)
{
    DIR *directory = opendir(DIRECTORY);
    if (!directory) {
        fprintf(stderr, "ksmctl: " DIRECTORY ": %s\n", strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < FILE_COUNT; i++) {
        show_one(files[i].name, files[i].meaning);
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.' && !meaning_of(entry->d_name)) {
            show_one(entry->d_name, "");
        }
    }
    closedir(directory);
    long pages = read_number("pages_sharing") + read_number("ksm_zero_pages");
    double saved = (double)pages * PAGE_KB / 1024;
    printf("\nMerging saves %.1f MB now. * can be set: ksmctl set NAME VALUE\n", saved);
    return 0;
}

static int set(const char *name, const char *value)
{
    char path[320];
    snprintf(path, sizeof path, DIRECTORY "/%s", name);
    if (strchr(name, '/') || access(path, F_OK) != 0) {
        fprintf(stderr, "ksmctl: %s: there is no such knob\n", name);
        return 1;
    }
    FILE *file = fopen(path, "we");
    if (!file) {
        const char *why = errno == EACCES ? "this is only for reading" : strerror(errno);
        fprintf(stderr, "ksmctl: %s: %s\n", name, why);
        return 1;
    }
    fputs(value, file);
    if (fclose(file) != 0) {
        const char *why = errno == EINVAL  ? "this value is not allowed"
                          : errno == EBUSY ? "not while pages are merged; try: ksmctl unmerge"
                                           : strerror(errno);
        fprintf(stderr, "ksmctl: %s = %s: %s\n", name, value, why);
        return 1;
    }
    return 0;
}

__attribute__((noreturn)) static void watch(double seconds)
{
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    for (int line = 0;; line++) {
        if (line % 20 == 0) {
            puts("run   shared  sharing unshared volatile     saved     scanned  full scans");
        }
        long sharing = read_number("pages_sharing");
        printf("%3ld %8ld %8ld %8ld %8ld %7.1fMB %11ld %11ld\n", read_number("run"),
               read_number("pages_shared"), sharing, read_number("pages_unshared"),
               read_number("pages_volatile"), (double)sharing * PAGE_KB / 1024,
               read_number("pages_scanned"), read_number("full_scans"));
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
}

static int usage(FILE *out, int status)
{
    fputs("usage: ksmctl [show]              every knob and counter\n"
          "       ksmctl set NAME VALUE      set a knob\n"
          "       ksmctl run|stop|unmerge    start; stop; stop and part every page\n"
          "       ksmctl watch [SECONDS]     a line of counters again and again\n",
          out);
    return status;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "show";
    if (strcmp(command, "show") == 0 && argc <= 2) {
        return show();
    }
    if (strcmp(command, "set") == 0 && argc == 4) {
        return set(argv[2], argv[3]);
    }
    if (strcmp(command, "run") == 0 && argc == 2) {
        return set("run", "1");
    }
    if (strcmp(command, "stop") == 0 && argc == 2) {
        return set("run", "0");
    }
    if (strcmp(command, "unmerge") == 0 && argc == 2) {
        return set("run", "2");
    }
    if (strcmp(command, "watch") == 0 && argc <= 3) {
        double seconds = argc == 3 ? atof(argv[2]) : 1;
        if (seconds > 0) {
            watch(seconds);
        }
    }
    bool help = strcmp(command, "--help") == 0 || strcmp(command, "help") == 0;
    return help ? usage(stdout, 0) : usage(stderr, 2);
}
