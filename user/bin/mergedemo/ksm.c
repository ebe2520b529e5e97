/*
 * The knobs and counters of merging, in /sys/kernel/mm/ksm, and of memory, in /proc/meminfo.
 */
#include "user/lib/figure.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

#define KSM_DIRECTORY "/sys/kernel/mm/ksm/"

/* What makes the scanner fast, in the order it is set; put back in the opposite one. */
static struct knob {
    const char *name;
    const char *wanted;
    char before[64];
    bool changed;
} knobs[] = {
    {"advisor_mode", "none", "", false}, /* may be absent: then the next one can be set anyway */
    {"pages_to_scan", "5000", "", false},
    {"sleep_millisecs", "10", "", false},
    {"run", "1", "", false},
};

#define KNOB_COUNT (sizeof knobs / sizeof *knobs)

static FILE *open_knob(const char *name, const char *mode)
{
    char path[128];
    snprintf(path, sizeof path, KSM_DIRECTORY "%s", name);
    return fopen(path, mode);
}

static bool read_knob(const char *name, char *value, size_t size)
{
    FILE *file = open_knob(name, "re");
    if (!file) {
        return false;
    }
    bool got = fgets(value, (int)size, file) != NULL;
    fclose(file);
    value[strcspn(value, "\n")] = '\0';
    return got;
}

static bool write_knob(const char *name, const char *value)
{
    FILE *file = open_knob(name, "we");
    if (!file) {
        return false;
    }
    bool written = fputs(value, file) >= 0;
    return fclose(file) == 0 && written;
}

/* A choice like "[none] scan-time" is set again by the word in brackets. */
static void strip_choice(char *value)
{
    char *open = strchr(value, '['), *close = strchr(value, ']');
    if (open && close > open) {
        *close = '\0';
        memmove(value, open + 1, strlen(open + 1) + 1);
    }
}

static long read_counter(const char *name)
{
    char value[64];
    return read_knob(name, value, sizeof value) ? atol(value) : 0;
}

struct ksm_counters ksm_read(void)
{
    return (struct ksm_counters){
        .shared = read_counter("pages_shared"),
        .sharing = read_counter("pages_sharing"),
        .full_scans = read_counter("full_scans"),
    };
}

/*
 * Waits until the scanner has seen off what earlier processes left behind in the counters: two
 * passes, or, where nothing is registered and so nothing scanned, a moment.
 */
static void settle(void)
{
    struct ksm_counters start = ksm_read(), last = start, now = start;
    for (int quiet = 0; quiet < 5 && now.full_scans - start.full_scans < 2; last = now) {
        pause_seconds(0.1);
        now = ksm_read();
        bool moved = now.full_scans != last.full_scans || now.sharing != last.sharing;
        quiet = moved ? 0 : quiet + 1;
    }
}

/* Puts every knob back to what it was before ksm_prepare. */
void ksm_restore(void)
{
    for (size_t i = KNOB_COUNT; i-- > 0;) {
        if (knobs[i].changed) {
            write_knob(knobs[i].name, knobs[i].before);
            knobs[i].changed = false;
        }
    }
}

/*
 * Sets the scanner to run fast and brings the counters up to date; then it stands still until
 * ksm_run. False, with a message, if it cannot be reached.
 */
bool ksm_prepare(void)
{
    for (size_t i = 0; i < KNOB_COUNT; i++) {
        struct knob *knob = &knobs[i];
        bool known = read_knob(knob->name, knob->before, sizeof knob->before);
        if (!known && strcmp(knob->name, "advisor_mode") == 0) {
            continue;
        }
        strip_choice(knob->before);
        if (!known || !write_knob(knob->name, knob->wanted)) {
            fprintf(stderr, "mergedemo: " KSM_DIRECTORY "%s: %s\n", knob->name, strerror(errno));
            ksm_restore();
            return false;
        }
        knob->changed = true;
    }
    settle();
    return write_knob("run", "0");
}

void ksm_run(void)
{
    write_knob("run", "1");
}

/* Pages of a process that are merged, or -1 where the kernel does not tell. */
long ksm_merging_pages(pid_t pid)
{
    char path[64];
    long pages = -1;
    snprintf(path, sizeof path, "/proc/%d/ksm_merging_pages", (int)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%ld", &pages) != 1) {
            pages = -1;
        }
        fclose(file);
    }
    return pages;
}

/* A field of /proc/meminfo such as "MemFree", in megabytes; 0 if it is not there. */
double memory_mb(const char *field)
{
    return figure_read("/proc/meminfo", field) / 1024;
}
