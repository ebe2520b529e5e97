/*
 * Does SIGKILL end a process whatever it is doing? One that sleeps in each of the calls that sleep,
 * with a thread beside it that runs, and one in the middle of each of those that take long.
 *
 * vm: --smp 2 --mem 256
 * timeout: 90
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "files.h"
#include "process.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* --- calls that sleep for ever --- */

static void in_pause(void)
{
    pause();
}

static void in_nanosleep(void)
{
    pause_ms(1000000);
}

static void in_futex(void)
{
    static int word;
    syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void in_read_of_pipe(void)
{
    int ends[2];
    char byte;
    if (pipe(ends) == 0 && read(ends[0], &byte, 1) < 0) {
        _exit(1);
    }
}

static void in_write_to_pipe(void)
{
    static char block[4096];
    int ends[2];
    if (pipe(ends) < 0) {
        _exit(1);
    }
    while (write(ends[1], block, sizeof block) > 0) {
    }
}

static void in_open_of_fifo(void)
{
    mkfifo("fifo", 0600);
    open("fifo", O_RDONLY);
}

static void in_poll(void)
{
    int ends[2];
    if (pipe(ends) == 0) {
        poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, -1);
    }
}

static void in_select(void)
{
    select(0, NULL, NULL, NULL, NULL);
}

static void in_epoll(void)
{
    struct epoll_event event;
    epoll_wait(epoll_create1(0), &event, 1, -1);
}

static void in_eventfd(void)
{
    uint64_t value;
    eventfd_read(eventfd(0, 0), &value);
}

static void in_timerfd(void)
{
    uint64_t value;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec when = {.it_value = {.tv_sec = 1000000}};
    if (timerfd_settime(fd, 0, &when, NULL) < 0 || read(fd, &value, sizeof value) < 0) {
        _exit(1);
    }
}

static void in_wait(void)
{
    if (fork() == 0) {
        sleep_forever();
    }
    waitpid(-1, NULL, 0);
}

static void in_sigsuspend(void)
{
    sigset_t all;
    sigfillset(&all);
    sigsuspend(&all);
}

static void in_sigwait(void)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigwait(&set, &number);
}

static void in_vfork(void)
{
    if (vfork() == 0) {
        for (;;) {
            pause();
        }
    }
}

static void in_flock(void)
{
    int one = open("lock", O_RDWR | O_CREAT, 0600), two = open("lock", O_RDWR);
    flock(one, LOCK_EX);
    flock(two, LOCK_EX);
}

static void in_record_lock(void)
{
    struct flock whole = {.l_type = F_WRLCK};
    int fd = open("lock", O_RDWR | O_CREAT, 0600);
    if (fork() == 0) {
        fcntl(fd, F_SETLKW, &whole);
        sleep_forever();
    }
    pause_ms(50);
    fcntl(fd, F_SETLKW, &whole);
}

static void in_join(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, (void *(*)(void *))(void *)sleep_forever, NULL);
    pthread_join(thread, NULL);
}

static void stopped(void)
{
    raise(SIGSTOP);
}

/* --- work without end --- */

static void in_user_mode(void)
{
    for (;;) {
        __asm__ volatile("pause");
    }
}

static void in_a_fault_loop(void)
{
    char *area =
        mmap(NULL, 1024 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (;;) {
        memset(area, 1, 1024 * PAGE);
        madvise(area, 1024 * PAGE, MADV_DONTNEED);
    }
}

/* Forty gigabytes of zeros to be mapped, or as far as memory for page tables reaches. */
static void in_populate(void)
{
    size_t size = 40ul << 30;
    for (;;) {
        char *area =
            mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        madvise(area, size, MADV_POPULATE_READ);
        munmap(area, size);
    }
}

static void in_mincore(void)
{
    size_t size = 1ul << 40;
    char *area = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned char *answer =
        mmap(NULL, size / PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (;;) {
        mincore(area, size, answer);
    }
}

static void in_copies(void)
{
    size_t size = 32ul << 20;
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec half = {area, size / 2}, other = {area + size / 2, size / 2};
    for (;;) {
        process_vm_readv(getpid(), &half, 1, &other, 1, 0);
    }
}

static void in_forks(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid == 0) {
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

static void in_signals(void)
{
    signal(SIGUSR1, (void (*)(int))(void *)getpid);
    for (;;) {
        raise(SIGUSR1);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
#define WAY(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
    WAY(in_pause),       WAY(in_nanosleep),    WAY(in_futex),        WAY(in_read_of_pipe),
    WAY(in_poll),        WAY(in_select),       WAY(in_epoll),        WAY(in_write_to_pipe),
    WAY(in_eventfd),     WAY(in_timerfd),      WAY(in_wait),         WAY(in_sigsuspend),
    WAY(in_sigwait),     WAY(in_vfork),        WAY(in_open_of_fifo), WAY(in_flock),
    WAY(in_record_lock), WAY(in_join),         WAY(stopped),         WAY(in_user_mode),
    WAY(in_populate),    WAY(in_a_fault_loop), WAY(in_mincore),      WAY(in_copies),
    WAY(in_forks),       WAY(in_signals),
};

static void *run_beside(void *unused)
{
    in_user_mode();
    return unused;
}

static int which, with_thread;

static void do_it(void)
{
    pthread_t beside;
    if (with_thread) {
        pthread_create(&beside, NULL, run_beside, NULL);
    }
    setpgid(0, 0);
    ways[which].run();
    pause();
}

/* From the signal to the end, in milliseconds; -1 if it did not end for that. */
static long kill_one(void)
{
    int status = -1;
    pid_t pid = start(do_it);
    pause_ms(60);
    long before = now_ns(CLOCK_MONOTONIC);
    kill(pid, SIGKILL);
    bool ended = eventually(waitpid(pid, &status, WNOHANG) == pid, 5000);
    long took = (now_ns(CLOCK_MONOTONIC) - before) / 1000000;
    kill(-pid, SIGKILL); /* its children */
    return ended && status == SIGKILL ? took : -1;
}

static void everywhere(void)
{
    long longest = 0;
    for (which = 0; which < (int)(sizeof ways / sizeof *ways); which++) {
        for (with_thread = 0; with_thread < 2; with_thread++) {
            long took = kill_one();
            ok(took >= 0, "killed %s%s", ways[which].name, with_thread ? ", two threads" : "");
            longest = took > longest ? took : longest;
        }
    }
    note("the longest took %ld ms", longest);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {TAP_SLOW_CASE(everywhere, 80)};

    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
