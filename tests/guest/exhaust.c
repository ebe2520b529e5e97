/*
 * What happens when something runs out: processes, threads, memory, files, descriptors, mappings?
 * The one who asks for too much fails or is ended; the others do not notice, and afterwards all is
 * there again.
 *
 * vm: --smp 2 --mem 128
 * timeout: 180
 * linux: no
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "files.h"
#include "memory.h"
#include "process.h"

#define MIB (1l << 20)
#define SLACK (8 * MIB) /* what the system may have grown by for good */

enum { GUARDED = 256, MOST = 8192 };

static byte *guarded;

/* Each case begins with memory it looks at in the end. */
static void guard(void)
{
    guarded = map_pages(GUARDED, RW);
    for (unsigned i = 0; i < GUARDED; i++) {
        fill_page(guarded + i * PAGE, i + 1);
    }
}

static long free_memory(void)
{
    struct sysinfo info;
    return sysinfo(&info) < 0 ? -1 : (long)(info.freeram * info.mem_unit);
}

/* The three tests each case ends with. */
static void all_is_well(long free_before)
{
    int good = 0;
    for (unsigned i = 0; i < GUARDED; i++) {
        good += page_holds(guarded + i * PAGE, i + 1);
    }
    ok_equal(good, GUARDED, "the memory of others is whole");
    bool back = eventually(free_memory() >= free_before - SLACK, 10000);
    ok(back, "memory is free again (%ld of %ld KiB)", free_memory() / 1024, free_before / 1024);
    pid_t pid = fork();
    if (pid == 0) {
        byte *area = map_pages(512, RW);
        for (unsigned i = 0; i < 512; i++) {
            fill_page(area + i * PAGE, i);
        }
        execl("/bin/busybox", "true", NULL);
        _exit(1);
    }
    ok_equal(pid > 0 ? reap(pid) : -1, 0, "fork, memory and execve work");
}

/* The parent is not to be the one who is ended when memory is out. */
static void spare_oneself(const char *value)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) {
        note("oom_score_adj: %s", strerror(errno));
    }
    close(fd);
}

static pid_t pids[MOST];

/* Forks until that fails; returns how many, and the error. */
static int fork_until_refused(int *error)
{
    int count = 0;
    while (count < MOST) {
        pid_t pid = fork();
        if (pid == 0) {
            sleep_forever();
        }
        if (pid < 0) {
            *error = errno;
            break;
        }
        pids[count++] = pid;
    }
    return count;
}

static int kill_all(int count)
{
    int ended = 0;
    for (int i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
    }
    for (int i = 0; i < count; i++) {
        ended += reap(pids[i]) == SIGKILL;
    }
    return ended;
}

static void processes(void)
{
    int error = 0, before = 0;
    guard();
    spare_oneself("-1000");
    long free_before = free_memory();
    for (int round = 0; round < 2; round++) {
        int count = fork_until_refused(&error);
        ok(count >= 50, "%d processes", count);
        ok(count == MOST || error == EAGAIN || error == ENOMEM, "then fork fails: %s",
           strerror(error));
        ok_equal(kill_all(count), count, "all of them end");
        ok(round == 0 || count >= before - before / 8, "as many as before");
        before = count;
    }
    all_is_well(free_before);
}

static void at_a_limit(void)
{
    int error = 0;
    if (setrlimit(RLIMIT_NPROC, &(struct rlimit){20, 20}) < 0 || setgid(1000) < 0 ||
        setuid(1000) < 0) {
        bail("another user");
    }
    int count = fork_until_refused(&error);
    ok(count > 0 && count <= 20, "RLIMIT_NPROC: %d processes", count);
    ok_equal(error, EAGAIN, "then EAGAIN");
    ok_equal(kill_all(count), count, "all of them end");
}

/* A child that takes memory until it is refused, or ended. */
static int eat(int flags, bool touch)
{
    pid_t pid = fork();
    if (pid == 0) {
        spare_oneself("1000");
        for (long taken = 0; taken < 4096; taken++) {
            byte *area = mmap(NULL, MIB, RW, flags | MAP_ANONYMOUS, -1, 0);
            if (area == MAP_FAILED) {
                _exit(errno == ENOMEM ? 7 : 8);
            }
            for (long at = 0; touch && at < MIB; at += (long)PAGE) {
                *(volatile long *)(area + at) = taken * MIB + at; /* nothing to be merged */
            }
        }
        _exit(9);
    }
    return reap(pid);
}

static void memory(void)
{
    guard();
    long free_before = free_memory();
    int status = eat(MAP_PRIVATE, true);
    ok(status == SIGKILL || status == exited(7), "private memory: refused or ended (%#x)", status);
    all_is_well(free_before);
    status = eat(MAP_SHARED, true);
    ok(status == SIGKILL || status == exited(7) || status == SIGBUS,
       "shared memory: refused or ended (%#x)", status);
    all_is_well(free_before);
}

static void limited_memory(void)
{
    setrlimit(RLIMIT_AS, &(struct rlimit){40 * MIB, 40 * MIB});
    ok_equal(eat(MAP_PRIVATE, true), exited(7), "RLIMIT_AS refuses");
    void *area = mmap(NULL, 1l << 46, RW, ANON | MAP_NORESERVE, -1, 0);
    ok(area == MAP_FAILED && errno == ENOMEM, "what is far too large");
}

/* Many eaters at once, and one who forks meanwhile. */
static void a_crowd(void)
{
    guard();
    spare_oneself("-1000");
    long free_before = free_memory();
    for (int i = 0; i < 6; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int status = eat(MAP_PRIVATE, true);
            _exit(status == SIGKILL || status == exited(7) ? 0 : 1);
        }
    }
    int strange = 0;
    for (int i = 0; i < 6; i++) {
        int status = pids[i] > 0 ? reap(pids[i]) : 0;
        strange += status != 0 && status != SIGKILL;
    }
    ok_equal(strange, 0, "six who eat at once are each refused or ended");
    all_is_well(free_before);
}

static void map_too_often(void)
{
    long count = 0;
    byte *area = mmap(NULL, 200000 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    spare_oneself("1000");
    while (area != MAP_FAILED && count < 100000 &&
           mprotect(area + 2 * (size_t)count * PAGE, PAGE, PROT_READ) == 0) {
        count++;
    }
    note("%ld mappings, then %s", 2 * count, strerror(errno));
    _exit(count == 100000 ? 1 : errno == ENOMEM ? 0 : 2);
}

static void mappings(void)
{
    guard();
    long free_before = free_memory();
    int status = tap_child(map_too_often);
    ok(status == 0 || status == SIGKILL, "a limit to mappings: ENOMEM (%#x)", status);
    all_is_well(free_before);
}

static void take_descriptors(void)
{
    int last = -1, ends[2], count = 0;
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){4096, 4096});
    for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;) {
        last = fd;
    }
    if (last < 1000 || errno != EMFILE) {
        _exit(1);
    }
    for (int fd = 3; fd <= last; fd++) {
        close(fd);
    }
    static char full[65536];
    while (pipe2(ends, O_NONBLOCK) == 0) {
        count += write(ends[1], full, sizeof full) == sizeof full;
    }
    note("%d pipes of 64 KiB, then %s", count, strerror(errno));
    _exit(count > 100 && (errno == EMFILE || errno == ENOMEM || errno == ENFILE) ? 0 : 2);
}

static void descriptors(void)
{
    guard();
    long free_before = free_memory();
    int status = tap_child(take_descriptors);
    ok(status == 0 || status == SIGKILL, "descriptors and pipes come to an end (%#x)", status);
    all_is_well(free_before);
}

static void fill_files(void)
{
    byte page[PAGE];
    long pages = 0;
    spare_oneself("1000");
    int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (;; pages++) {
        fill_page(page, (uint64_t)pages + 1);
        if (write(fd, page, PAGE) != (ssize_t)PAGE) {
            break;
        }
    }
    note("a file of %ld pages, then %s", pages, strerror(errno));
    bool good = errno == ENOSPC || errno == ENOMEM;
    for (long i = 0; i < pages; i += 97) {
        good = good && pread(fd, page, PAGE, i * (long)PAGE) == (ssize_t)PAGE &&
               page_holds(page, (uint64_t)i + 1);
    }
    _exit(good && pages > 1000 ? 0 : 1);
}

static void files(void)
{
    guard();
    long free_before = free_memory();
    int status = tap_child(fill_files);
    ok(status == 0 || status == SIGKILL, "a file grows until ENOSPC, and is whole (%#x)", status);
    ok_equal(unlink("large"), 0, "it is removed");
    all_is_well(free_before);
    int made = 0;
    char name[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "small-%d", i);
        made += file_write(name, "x", 0600) == 0;
    }
    for (int i = 0; i < made; i++) {
        snprintf(name, sizeof name, "small-%d", i);
        unlink(name);
    }
    ok_equal(made, 3000, "three thousand small files");
    all_is_well(free_before);
}

static void *wait_for_end(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

static void threads(void)
{
    static pthread_t all[MOST];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_attr_t attribute;
    guard();
    long free_before = free_memory();
    pthread_attr_init(&attribute);
    pthread_attr_setstacksize(&attribute, 16384);
    for (int round = 0; round < 2; round++) {
        int count = 0, error = 0;
        pthread_mutex_lock(&lock);
        while (count < 2000 &&
               (error = pthread_create(&all[count], &attribute, wait_for_end, &lock)) == 0) {
            count++;
        }
        pthread_mutex_unlock(&lock);
        for (int i = 0; i < count; i++) {
            pthread_join(all[i], NULL);
        }
        ok(count >= 200 && (count == 2000 || error == EAGAIN), "%d threads at once, then %s", count,
           strerror(error));
    }
    all_is_well(free_before);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_SLOW_CASE(processes, 100), TAP_CASE(at_a_limit),        TAP_SLOW_CASE(memory, 100),
        TAP_CASE(limited_memory),      TAP_SLOW_CASE(a_crowd, 100), TAP_CASE(mappings),
        TAP_CASE(descriptors),         TAP_SLOW_CASE(files, 100),   TAP_CASE(threads),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
