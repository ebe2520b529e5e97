/*
 * Does everybody keep its own memory after fork, however many generations share a page, whoever
 * writes first, and also where the kernel does the writing?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "memory.h"

static int exit_of(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + status;
}

static void fill_all(byte *area, size_t pages, uint64_t seed)
{
    for (size_t i = 0; i < pages; i++) {
        fill_page(area + i * PAGE, seed + i);
    }
}

static bool holds_all(const byte *area, size_t pages, uint64_t seed)
{
    for (size_t i = 0; i < pages; i++) {
        if (!page_holds(area + i * PAGE, seed + i)) {
            return false;
        }
    }
    return true;
}

static void both_directions(void)
{
    byte *area = map_pages(8, RW);
    int ready[2], go[2];
    char byte_read;
    fill_all(area, 8, 100);
    if (pipe(ready) < 0 || pipe(go) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        bool good = holds_all(area, 8, 100);
        fill_page(area, 1);
        good &= write(ready[1], "x", 1) == 1 && read(go[0], &byte_read, 1) == 1;
        good &= page_holds(area, 1) && holds_all(area + PAGE, 7, 101);
        _exit(!good);
    }
    ok(read(ready[0], &byte_read, 1) == 1 && page_holds(area, 100),
       "the child's write is not seen");
    fill_page(area + PAGE, 2);
    ok(write(go[1], "x", 1) == 1, "now the parent writes");
    ok_equal(exit_of(pid), 0, "the child does not see that, and has its own");
    ok(page_holds(area + PAGE, 2) && page_holds(area, 100) && holds_all(area + 2 * PAGE, 6, 102),
       "the parent has all of its own");
}

/* Each generation changes one page more and forks the next. */
static bool descend(byte *area, unsigned generation, unsigned last)
{
    fill_page(area + generation * PAGE, 1000 + generation);
    pid_t pid = generation < last ? fork() : 0;
    if (generation < last && pid == 0) {
        _exit(!descend(area, generation + 1, last));
    }
    bool good = generation == last || exit_of(pid) == 0;
    for (unsigned i = 0; i <= last; i++) {
        good &= page_holds(area + i * PAGE, i <= generation ? 1000 + i : i);
    }
    return good;
}

static void many_generations(void)
{
    enum { LAST = 23 };
    byte *area = map_pages(LAST + 1, RW);
    fill_all(area, LAST + 1, 0);
    ok(descend(area, 0, LAST), "24 generations, each with one page more of its own");
}

static void many_children(void)
{
    enum { CHILDREN = 24, PAGES = 64 };
    byte *area = map_pages(PAGES, RW);
    pid_t pids[CHILDREN];
    int good = 0;
    fill_all(area, PAGES, 5);
    for (unsigned c = 0; c < CHILDREN; c++) {
        pids[c] = fork();
        if (pids[c] == 0) {
            for (size_t i = c; i < PAGES; i += 3) {
                fill_page(area + i * PAGE, 10000 * c + i);
            }
            bool fine = true;
            for (size_t i = 0; i < PAGES; i++) {
                bool mine = i >= c && (i - c) % 3 == 0;
                fine &= page_holds(area + i * PAGE, mine ? 10000 * c + i : 5 + i);
            }
            _exit(!fine);
        }
    }
    for (unsigned c = 0; c < CHILDREN; c++) {
        good += exit_of(pids[c]) == 0;
    }
    ok_equal(good, CHILDREN, "24 children at once, each with a third of its own");
    ok(holds_all(area, PAGES, 5), "the parent's pages are untouched");
}

static void survivors(void)
{
    byte *area = map_pages(4, RW);
    int answer[2];
    char result = 1;
    fill_all(area, 4, 9);
    if (pipe(answer) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            while (getppid() == (pid_t)syscall(SYS_getpid) || kill(getppid(), 0) < 0) {
            }
            usleep(100000); /* by now the one between is gone */
            fill_page(area + PAGE, 77);
            result = page_holds(area, 9) && page_holds(area + PAGE, 77) &&
                             page_holds(area + 2 * PAGE, 11)
                         ? 0
                         : 1;
            _exit(write(answer[1], &result, 1) != 1);
        }
        fill_page(area, 66);
        _exit(0);
    }
    ok_equal(exit_of(pid), 0, "a child forks, writes and ends");
    fill_page(area + 2 * PAGE, 55);
    ok(read(answer[0], &result, 1) == 1 && result == 0,
       "its child still has the first generation's pages");
    ok(page_holds(area, 9) && page_holds(area + PAGE, 10) && page_holds(area + 2 * PAGE, 55),
       "and so has the first");
}

static void last_one_writes(void)
{
    byte *area = map_pages(16, RW);
    bool good = true;
    for (unsigned round = 0; round < 20; round++) {
        fill_all(area, 16, round * 100);
        pid_t pid = fork();
        if (pid == 0) {
            _exit(!holds_all(area, 16, round * 100));
        }
        good &= exit_of(pid) == 0;
    }
    fill_page(area, 1);
    ok(good && page_holds(area, 1) && holds_all(area + PAGE, 15, 1901),
       "alone again, the parent writes what it has");
}

static void zero_page(void)
{
    enum { PAGES = 256 };
    byte *area = map_pages(PAGES, RW);
    bool zero = true;
    for (size_t i = 0; i < PAGES; i++) {
        zero &= page_is_zero(area + i * PAGE);
    }
    ok(zero, "pages that are only read are zero");
    ok_equal(smaps_number(area, "Rss"), 0, "and cost no memory");
    pid_t pid = fork();
    if (pid == 0) {
        bool good = page_is_zero(area + 7 * PAGE);
        fill_page(area + 7 * PAGE, 7);
        _exit(!(good && page_holds(area + 7 * PAGE, 7) && page_is_zero(area + 8 * PAGE)));
    }
    ok_equal(exit_of(pid), 0, "a child writes one");
    for (size_t i = 0; i < PAGES; i += 2) {
        area[i * PAGE] = 1;
    }
    zero = true;
    for (size_t i = 0; i < PAGES; i++) {
        zero &= area[i * PAGE] == (i % 2 == 0) && area[i * PAGE + 1] == 0;
    }
    ok(zero, "every other one is written, nobody else has changed");
    ok_equal(smaps_number(area, "Rss"), PAGES / 2 * 4, "and only these cost memory");
}

/* The kernel writes into a page that a child still shares. */
static void kernel_writes(void)
{
    byte *area = map_pages(4, RW);
    int data[2], go[2];
    char byte_read;
    fill_all(area, 4, 20);
    if (pipe(data) < 0 || pipe(go) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        bool good = read(go[0], &byte_read, 1) == 1;
        _exit(!(good && holds_all(area, 4, 20)));
    }
    ok(write(data[1], "hello", 5) == 5, "something to read");
    ok_equal(read(data[0], area + 10, 5), 5, "read into a shared page");
    ok(memcmp(area + 10, "hello", 5) == 0, "arrives");
    struct timespec *time = (struct timespec *)(area + PAGE + 16);
    ok_equal(syscall(SYS_clock_gettime, 1, time), 0, "a call that writes a result into another");
    ok(time->tv_nsec < 1000000000, "arrives too");
    byte buffer[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct iovec from = {buffer, 8}, to = {area + 2 * PAGE + 4092, 8};
    ok_equal(process_vm_writev(getpid(), &from, 1, &to, 1, 0), 8,
             "process_vm_writev over a border");
    ok(memcmp(area + 2 * PAGE + 4092, buffer, 8) == 0, "arrives as well");
    ok(write(go[1], "x", 1) == 1, "now the child looks");
    ok_equal(exit_of(pid), 0, "and still has what it had");
}

static void kernel_may_not(void)
{
    byte *read_only = map_island(1, PROT_READ), *none = map_island(1, PROT_NONE),
         *fresh = map_island(2, RW);
    int data[2];
    if (pipe(data) < 0 || write(data[1], "12345678", 8) != 8) {
        bail("pipe");
    }
    ok_errno(read(data[0], read_only, 4), EFAULT, "reading into read-only memory");
    ok_errno(read(data[0], none, 4), EFAULT, "reading into PROT_NONE memory");
    ok_errno(write(data[1], none, 4), EFAULT, "writing from PROT_NONE memory");
    ok_equal(read(data[0], fresh + 100, 4), 4, "reading into memory never touched");
    ok(memcmp(fresh + 100, "1234", 4) == 0 && fresh[99] == 0 && page_is_zero(fresh + PAGE),
       "works");
    ok(page_is_zero(read_only), "read-only memory has stayed zero");
}

static void protection_and_sharing(void)
{
    byte *area = map_pages(2, RW);
    fill_all(area, 2, 1);
    mprotect(area, 2 * PAGE, PROT_READ);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = touch_write(area) == SIGSEGV;
        good &= mprotect(area, 2 * PAGE, RW) == 0;
        fill_page(area, 50);
        _exit(!(good && page_holds(area, 50) && page_holds(area + PAGE, 2)));
    }
    ok_equal(exit_of(pid), 0, "a child makes read-only pages writable and writes");
    mprotect(area, 2 * PAGE, RW);
    ok(page_holds(area, 1), "the parent's are its own");
}

static void shared_stays_shared(void)
{
    byte *shared = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    byte *private = map_pages(1, RW);
    shared[0] = 1;
    private[0] = 1;
    for (unsigned generation = 0; generation < 6; generation++) {
        pid_t pid = fork();
        if (pid != 0) {
            int status = exit_of(pid);
            if (generation > 0) {
                _exit(status);
            }
            ok_equal(status, 0, "six generations add to shared memory");
            break;
        }
        shared[0]++;
        private[0]++;
        shared[(generation % 3 + 1) * PAGE] = (byte)(generation + 1);
        if (generation == 5) {
            _exit(private[0] != 7);
        }
    }
    ok(shared[0] == 7 && shared[PAGE] == 4 && shared[2 * PAGE] == 5 && shared[3 * PAGE] == 6,
       "all are seen");
    ok(private[0] == 1, "private memory beside it is not");
}

static byte *race_area;
static volatile int race_go;

enum { RACE_PAGES = 64, RACE_THREADS = 4, RACE_ROUNDS = 6 };

static void *race_write(void *argument)
{
    size_t me = (size_t)argument;
    while (!race_go) {
    }
    for (size_t i = 0; i < RACE_PAGES; i++) { /* every thread writes its quarter of every page */
        memset(race_area + i * PAGE + me * (PAGE / RACE_THREADS), (int)(me + 1),
               PAGE / RACE_THREADS);
    }
    return NULL;
}

static bool race_round(void)
{
    pthread_t threads[RACE_THREADS];
    int hold[2];
    char byte_read;
    race_go = 0;
    memset(race_area, 9, RACE_PAGES * PAGE);
    if (pipe(hold) < 0) {
        bail("pipe");
    }
    for (size_t t = 0; t < RACE_THREADS; t++) {
        pthread_create(&threads[t], NULL, race_write, (void *)t);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(hold[1]);
        bool good = read(hold[0], &byte_read, 1) == 0;
        for (size_t i = 0; i < RACE_PAGES * PAGE; i += 64) {
            good &= race_area[i] == 9;
        }
        _exit(!good);
    }
    race_go = 1;
    bool good = true;
    for (size_t t = 0; t < RACE_THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    for (size_t i = 0; i < RACE_PAGES * PAGE; i += 64) {
        good &= race_area[i] == i % PAGE / (PAGE / RACE_THREADS) + 1;
    }
    close(hold[0]);
    close(hold[1]);
    return exit_of(pid) == 0 && good;
}

static void threads_break_together(void)
{
    race_area = map_pages(RACE_PAGES, RW);
    int good = 0;
    for (int round = 0; round < RACE_ROUNDS; round++) {
        good += race_round();
    }
    ok_equal(good, RACE_ROUNDS, "four threads break the same pages at once, and no byte is lost");
}

static void large_fork(void)
{
    enum { PAGES = 8192 };
    byte *area = map_pages(PAGES, RW);
    fill_all(area, PAGES, 3);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = holds_all(area, PAGES, 3);
        for (size_t i = 0; i < PAGES; i += 7) {
            fill_page(area + i * PAGE, i);
        }
        for (size_t i = 0; i < PAGES; i++) {
            good &= page_holds(area + i * PAGE, i % 7 ? 3 + i : i);
        }
        _exit(!good);
    }
    ok_equal(exit_of(pid), 0, "a child of 32 MB rewrites a seventh");
    ok(holds_all(area, PAGES, 3), "the parent's 32 MB are untouched");
}

static void shared_and_private_counts(void)
{
    byte *area = map_island(8, RW);
    memset(area, 1, 8 * PAGE);
    ok_equal(smaps_number(area, "Private_Dirty"), 32, "alone, all is private");
    int hold[2];
    char byte_read;
    if (pipe(hold) < 0) {
        bail("pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(hold[1]);
        _exit((int)read(hold[0], &byte_read, 1));
    }
    ok_equal(smaps_number(area, "Shared_Dirty"), 32, "with a child, all is shared");
    ok_equal(smaps_number(area, "Pss"), 16, "half of it counts");
    memset(area, 2, 2 * PAGE);
    ok_equal(smaps_number(area, "Private_Dirty"), 8, "two pages written are private");
    ok_equal(smaps_number(area, "Shared_Dirty"), 24, "six are still shared");
    close(hold[1]);
    exit_of(pid);
    ok_equal(smaps_number(area, "Private_Dirty"), 32, "alone again, all is private");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(both_directions),
        TAP_CASE(many_generations),
        TAP_CASE(many_children),
        TAP_CASE(survivors),
        TAP_CASE(last_one_writes),
        TAP_CASE(zero_page),
        TAP_CASE(kernel_writes),
        TAP_CASE(kernel_may_not),
        TAP_CASE(protection_and_sharing),
        TAP_CASE(shared_stays_shared),
        TAP_CASE(threads_break_together),
        TAP_CASE(large_fork),
        TAP_CASE(shared_and_private_counts),
    };
    return TAP_MAIN(cases);
}
