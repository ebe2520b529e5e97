/*
 * Does every page keep its content, and does all memory come back, when sixteen tasks do whatever
 * they can to their pages for an hour while merging is switched and tuned under them?
 *
 *     soak [MINUTES [SEED]]                `make soak MINUTES=60`; one minute as a test
 *
 * Twelve processes and the four threads of a thirteenth have an area of 64 pages each. What each
 * page must hold stands in memory that all share, under a lock for each page, so that the tasks can
 * also read and write each other's pages by process_vm_readv and process_vm_writev, and know what
 * must come of it; and on this kernel they send pages to a disk and get them back, which pins
 * them. A task forks in two ways: a child checks all pages, goes on with copies of its
 * own and ends; or the child takes the area over and the parent ends. Meanwhile the director, the
 * first process, changes what merging can be told in /sys/kernel/mm/ksm and, where the kernel shows
 * its tunables, the policy of copy-on-write.
 *
 * At the end everything is unmerged, all tasks are gone, and there must be as much free memory as
 * after a short run that came first, no merged page, and nothing that the kernel's auditor finds.
 *
 * What is done is random from SEED, which is printed. Who comes first at a lock is not, so a second
 * run does the same things, but meets them otherwise.
 *
 * vm: --smp 4 --mem 512 --test-disk plain
 * timeout: 150
 */
#define _GNU_SOURCE
#include "tests/guest/soak/soak.h"

#define WARM_UP_SECONDS 5
#define LEAK_KB 4096 /* servers keep some of what they once needed */
#define TUNABLES "/proc/merganser/tunables/"

struct shared *shared;

/* --- the director --- */

/* A knob that is changed under way, and the values it takes; what a kernel lacks is left out. */
static struct {
    const char *folder, *name;
    const char *values[6]; /* those that stand more than once come more often */
    char before[32];
} knobs[] = {
    {KSM_PATH, "run", {"1", "1", "1", "0", "2", "1"}, ""},
    {KSM_PATH, "pages_to_scan", {"10", "100", "1000", "10000", "4000", "100"}, ""},
    {KSM_PATH, "sleep_millisecs", {"0", "1", "20", "1", "5", "1"}, ""},
    {KSM_PATH, "smart_scan", {"0", "1", "0", "1", "0", "1"}, ""},
    {KSM_PATH, "use_zero_pages", {"0", "1", "0", "1", "0", "1"}, ""},
    {KSM_PATH, "max_page_sharing", {"256", "2", "3", "256", "16", "256"}, ""},
    {TUNABLES, "cow.policy", {"exact", "count", "exact", "copy", "exact", "exact"}, ""},
    {TUNABLES, "ksm.index", {"hash", "tree", "hash", "tree", "hash", "tree"}, ""},
};

#define KNOBS (sizeof knobs / sizeof *knobs)

static void file_path(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s%s", folder, name);
}

/* The first word of a file; false if it can't be read. */
static bool file_get(const char *folder, const char *name, char *text, size_t size)
{
    char path[128];
    file_path(path, sizeof path, folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return got > 0;
}

/* What the kernel refuses (busy, or no such value) stays as it was. */
static void file_set(const char *folder, const char *name, const char *value)
{
    char path[128];
    file_path(path, sizeof path, folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t done = fd < 0 ? -1 : write(fd, value, strlen(value));
    (void)done;
    close(fd);
}

static void knobs_save(void)
{
    for (size_t k = 0; k < KNOBS; k++) {
        file_get(knobs[k].folder, knobs[k].name, knobs[k].before, sizeof knobs[k].before);
    }
}

static void knobs_restore(void)
{
    for (size_t k = KNOBS; k-- > 0;) {
        if (strchr(knobs[k].before, '[')) { /* a choice of names: the first is the usual one */
            file_set(knobs[k].folder, knobs[k].name, knobs[k].values[0]);
        } else if (knobs[k].before[0]) {
            file_set(knobs[k].folder, knobs[k].name, knobs[k].before);
        }
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void direct(struct task *director, double seconds)
{
    double end = seconds_now() + seconds, told = seconds_now();
    long most = 0;
    file_set(KSM_PATH, "run", "1");
    while (seconds_now() < end && shared->wrong == 0) {
        unsigned k = below(director, KNOBS);
        ksm_pause_ms(50 + below(director, 200));
        if (knobs[k].before[0]) {
            file_set(knobs[k].folder, knobs[k].name, knobs[k].values[below(director, 6)]);
        }
        long sharing = ksm_get("pages_sharing");
        most = sharing > most ? sharing : most;
        if (seconds_now() - told > 300) {
            told = seconds_now();
            note("%.0f s to go, %ld steps, %ld checks", end - told, shared->steps, shared->checks);
        }
    }
    note("at most %ld pages were shared at a time", most);
}

/* Waits until the last task and its heirs have let go of the pipe's other end. */
static bool wait_for_end(int end)
{
    char byte_read;
    alarm(60); /* ends us, if a task hangs */
    bool ended = read(end, &byte_read, 1) == 0;
    alarm(0);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return ended;
}

/* Starts the tasks, directs them for so long, and waits until they are gone. */
static void run(struct task *director, double seconds, uint64_t seed)
{
    int ends[2];
    memset(shared->slots, 0, sizeof shared->slots);
    shared->stop = false;
    shared->finished = 0;
    if (pipe(ends) < 0) {
        bail("pipe");
    }
    for (unsigned n = 0; n <= TASKS - THREADS; n++) {
        if (fork() == 0) {
            close(ends[0]);
            run_process(n, n == TASKS - THREADS ? THREADS : 1, seed);
        }
    }
    close(ends[1]);
    direct(director, seconds);
    shared->stop = true;
    ok(wait_for_end(ends[0]), "all tasks have ended after %g s", seconds);
    ok_equal(shared->finished, TASKS, "and came to their ends");
    close(ends[0]);
}

/* --- what is left --- */

static long free_kb(void)
{
    char line[128];
    long kb = -1;
    struct lines *lines = lines_open("/proc/meminfo");
    while (lines && lines_next(lines, line, sizeof line)) {
        sscanf(line, "MemFree: %ld", &kb);
    }
    return kb;
}

/* Everything private again, and what ended tasks left behind has gone. Kilobytes of free memory. */
static long settle(void)
{
    file_set(KSM_PATH, "run", "2");
    file_set(KSM_PATH, "run", "0");
    ksm_pause_ms(500);
    return free_kb();
}

static void check_leaks(long before, long after)
{
    char wrong[32];
    struct utsname names;
    if (uname(&names) < 0 || !strstr(names.release, "merganser")) {
        note("another kernel, with other programs: leaks are not looked for");
        return;
    }
    note("free memory: %ld kB after the first run, %ld kB at the end", before, after);
    ok(after > before - LEAK_KB, "the memory has come back");
    ok_equal(ksm_get("pages_shared"), 0, "no merged frame is left");
    ok_equal(ksm_get("pages_sharing"), 0, "and no mapping of one");
    if (file_get(TUNABLES, "mm.audit", wrong, sizeof wrong)) {
        ok_equal(atol(wrong), 0, "the auditor finds every frame's counts right");
    }
}

int main(int argc, char **argv)
{
    double seconds = (argc > 1 ? atof(argv[1]) : 1) * 60;
    uint64_t seed = argc > 2 ? (uint64_t)atol(argv[2]) : (uint64_t)time(NULL);
    struct task director = {.random = seed + 1};
    tap_begin();
    shared = mmap(NULL, sizeof *shared, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        bail("mmap of the table");
    }
    shared->disk = on_merganser() && disk_path(PLAIN) ? disk_open(PLAIN, O_RDWR | O_DIRECT) : -1;
    note("%g seconds, seed %lu", seconds, (unsigned long)seed);
    knobs_save();
    run(&director, WARM_UP_SECONDS, seed);
    long before = settle();
    if (shared->wrong == 0) {
        run(&director, seconds > WARM_UP_SECONDS ? seconds - WARM_UP_SECONDS : 1, seed + 1);
    }
    long after = settle();
    note("%ld steps, %ld pages checked, %ld by other tasks, %ld children, %ld heirs", shared->steps,
         shared->checks, shared->peers, shared->forks, shared->heirs);
    ok_equal(shared->wrong, 0, "no page held anything but its content, and no call failed");
    ok_equal(shared->bad_children, 0, "every child ended well");
    ok(shared->steps > 1000 && shared->peers > 10, "and much was done");
    check_leaks(before, after);
    knobs_restore();
    return tap_end();
}
