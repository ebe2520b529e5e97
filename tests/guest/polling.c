/*
 * Do poll, select and epoll tell when a file is ready, and do event files count?
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "files.h"
#include "process.h"

static int ends[2];
static char bytes[1 << 16];

static void open_pipe(void)
{
    if (pipe2(ends, O_NONBLOCK) < 0) {
        bail("pipe2");
    }
}

/* What poll says of one file at once. */
static int poll_one(int fd, int events)
{
    struct pollfd one = {.fd = fd, .events = (short)events};
    int got = poll(&one, 1, 0);
    return got < 0 ? -1 : one.revents;
}

static void write_later(void)
{
    pause_ms(40);
    if (write(ends[1], "x", 1) != 1) {
        _exit(1);
    }
}

static void poll_of_pipes(void)
{
    open_pipe();
    ok_equal(poll_one(ends[0], POLLIN), 0, "nothing to read");
    ok_equal(poll_one(ends[1], POLLOUT), POLLOUT, "room to write");
    if (write(ends[1], bytes, 65536) != 65536) {
        bail("write");
    }
    ok_equal(poll_one(ends[0], POLLIN), POLLIN, "something to read");
    ok_equal(poll_one(ends[0], 0), 0, "but only who asks is told");
    ok_equal(poll_one(ends[1], POLLOUT), 0, "no room to write");
    int copy = dup(ends[0]);
    close(ends[1]);
    ok_equal(poll_one(copy, POLLIN), POLLIN | POLLHUP, "the writer is gone");
    ok(read(copy, bytes, sizeof bytes) == 65536, "all is read");
    ok_equal(poll_one(copy, 0), POLLHUP, "POLLHUP comes unasked");
    open_pipe();
    close(ends[0]);
    ok_equal(poll_one(ends[1], POLLOUT), POLLOUT | POLLERR, "the reader is gone");
    ok_equal(poll_one(99, POLLIN), POLLNVAL, "no such file");
    ok_equal(poll_one(-1, POLLIN), 0, "a negative number is passed over");
}

static void poll_waits(void)
{
    struct pollfd three[3];
    struct timespec wrong = {0, 1000000000};
    open_pipe();
    three[0] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 99};
    three[1] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    three[2] = (struct pollfd){.fd = 99, .events = 0};
    ok_equal(poll(three, 2, 0), 0, "nothing is ready");
    ok_equal(three[0].revents, 0, "which is written too");
    ok_equal(poll(three, 3, -1), 1, "POLLNVAL ends the waiting");
    long before = now_ns(CLOCK_MONOTONIC);
    ok_equal(poll(three, 2, 60), 0, "a time-out");
    long passed = now_ns(CLOCK_MONOTONIC) - before;
    ok(passed >= 60000000 && passed < 3000000000, "of 60 ms (%ld us)", passed / 1000);
    pid_t pid = start(write_later);
    ok_equal(poll(three, 2, 10000), 1, "a writer ends the waiting");
    ok_equal(three[1].revents, POLLIN, "POLLIN");
    ok_equal(reap(pid), 0, "the writer ends");
    ok_equal(poll(NULL, 0, 10), 0, "no files: a sleep");
    ok_errno(poll((struct pollfd *)8, 1, 0), EFAULT, "bad pointer");
    ok_errno(syscall(SYS_poll, three, 1 << 30, 0), EINVAL, "more files than the limit");
    ok_errno(ppoll(three, 1, &wrong, NULL), EINVAL, "ppoll: no time");
}

static void other_files(void)
{
    int file = open("file", O_RDWR | O_CREAT, 0600), null = open("/dev/null", O_RDWR);
    ok_equal(poll_one(file, POLLIN | POLLOUT), POLLIN | POLLOUT, "an ordinary file is ready");
    ok_equal(poll_one(null, POLLIN | POLLOUT), POLLIN | POLLOUT, "/dev/null too");
    int folder = open(".", O_RDONLY);
    ok(poll_one(folder, POLLIN) & POLLIN, "a folder too");
}

static void select_of_pipes(void)
{
    fd_set in, out, odd;
    struct timeval none = {0, 0}, some = {0, 60000};
    open_pipe();
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&odd);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    FD_SET(ends[0], &odd);
    ok_equal(select(ends[1] + 1, &in, &out, &odd, &none), 1, "one is ready");
    ok(!FD_ISSET(ends[0], &in) && FD_ISSET(ends[1], &out) && !FD_ISSET(ends[0], &odd),
       "the writing end");
    if (write(ends[1], "x", 1) != 1) {
        bail("write");
    }
    FD_SET(ends[0], &in);
    ok_equal(select(ends[1] + 1, &in, &out, NULL, NULL), 2, "both are ready");
    char byte;
    ok_equal(read(ends[0], &byte, 1), 1, "the byte");
    FD_SET(ends[0], &in);
    long before = now_ns(CLOCK_MONOTONIC);
    ok_equal(syscall(SYS_select, ends[0] + 1, &in, NULL, NULL, &some), 0, "a time-out");
    ok(now_ns(CLOCK_MONOTONIC) - before >= 60000000, "of 60 ms");
    ok(!FD_ISSET(ends[0], &in), "empties the set");
    ok(some.tv_sec == 0 && some.tv_usec == 0, "and the time that is left");
    FD_SET(ends[0], &in);
    ok_equal(select(ends[0], &in, NULL, NULL, &none), 0, "only numbers below the first argument");
    FD_SET(40, &in);
    ok_errno(select(41, &in, NULL, NULL, &none), EBADF, "no such file");
    ok_errno(select(-1, NULL, NULL, NULL, &none), EINVAL, "negative count");
    pid_t pid = start(write_later);
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    some.tv_sec = 10;
    ok_equal(select(ends[0] + 1, &in, NULL, NULL, &some), 1, "a writer ends the waiting");
    reap(pid);
}

static int epoll_change(int epoll, int operation, int fd, unsigned events, unsigned long data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll, operation, fd, &event);
}

static void epoll_of_pipes(void)
{
    struct epoll_event got[4];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    ok(epoll >= 0 && fcntl(epoll, F_GETFD) == FD_CLOEXEC, "epoll_create1");
    open_pipe();
    ok_equal(epoll_change(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN, 0x1234567890), 0, "add");
    ok_errno(epoll_change(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN, 0), EEXIST, "add it again");
    ok_equal(epoll_wait(epoll, got, 4, 0), 0, "nothing");
    if (write(ends[1], "xy", 2) != 2) {
        bail("write");
    }
    ok_equal(epoll_wait(epoll, got, 4, -1), 1, "something");
    ok(got[0].events == EPOLLIN && got[0].data.u64 == 0x1234567890, "its events and data");
    ok_equal(epoll_wait(epoll, got, 4, -1), 1, "as long as it is so");
    ok_equal(epoll_change(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLET, 2), 0, "EPOLLET");
    ok_equal(epoll_wait(epoll, got, 4, 0), 1, "tells it once");
    ok_equal(epoll_wait(epoll, got, 4, 0), 0, "and not again");
    ok_equal(write(ends[1], "z", 1), 1, "until more comes");
    ok_equal(epoll_wait(epoll, got, 4, 0), 1, "then once more");
    epoll_change(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN | EPOLLONESHOT, 3);
    ok_equal(epoll_wait(epoll, got, 4, 0), 1, "EPOLLONESHOT tells it");
    ok_equal(epoll_wait(epoll, got, 4, 0), 0, "and is done");
    epoll_change(epoll, EPOLL_CTL_MOD, ends[0], EPOLLIN, 4);
    epoll_change(epoll, EPOLL_CTL_ADD, ends[1], EPOLLOUT, 5);
    ok_equal(epoll_wait(epoll, got, 4, 0), 2, "two files");
    ok_equal(epoll_wait(epoll, got, 1, 0), 1, "one at a time");
    ok_equal(epoll_change(epoll, EPOLL_CTL_DEL, ends[1], 0, 0), 0, "remove");
    ok_errno(epoll_change(epoll, EPOLL_CTL_DEL, ends[1], 0, 0), ENOENT, "it is gone");
    ok_errno(epoll_change(epoll, EPOLL_CTL_MOD, ends[1], 0, 0), ENOENT, "nor to be changed");
    close(ends[1]);
    ok_equal(epoll_wait(epoll, got, 4, 0), 1, "the writer is gone");
    ok_equal(got[0].events, EPOLLIN | EPOLLHUP, "EPOLLHUP");
    close(ends[0]);
    ok_equal(epoll_wait(epoll, got, 4, 0), 0, "a closed file is forgotten");
}

static void epoll_errors(void)
{
    struct epoll_event got[2];
    int epoll = epoll_create1(0), file = open("file", O_RDWR | O_CREAT, 0600);
    open_pipe();
    ok_errno(epoll_create1(1), EINVAL, "epoll_create1: unknown flag");
    ok_errno(syscall(SYS_epoll_create, 0), EINVAL, "epoll_create of nothing");
    ok_errno(epoll_change(epoll, 9, ends[0], EPOLLIN, 0), EINVAL, "unknown operation");
    ok_errno(epoll_change(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN, 0), EINVAL, "itself");
    ok_errno(epoll_change(epoll, EPOLL_CTL_ADD, 99, EPOLLIN, 0), EBADF, "no such file");
    ok_errno(epoll_change(99, EPOLL_CTL_ADD, ends[0], EPOLLIN, 0), EBADF, "no such epoll");
    ok_errno(epoll_change(file, EPOLL_CTL_ADD, ends[0], EPOLLIN, 0), EINVAL, "no epoll at all");
    ok_errno(epoll_change(epoll, EPOLL_CTL_ADD, file, EPOLLIN, 0), EPERM, "an ordinary file");
    ok_errno(epoll_wait(epoll, got, 0, 0), EINVAL, "room for none");
    ok_errno(epoll_wait(file, got, 1, 0), EINVAL, "wait for no epoll");
    pid_t pid = start(write_later);
    epoll_change(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN, 1);
    ok_equal(epoll_wait(epoll, got, 2, 10000), 1, "a writer ends the waiting");
    reap(pid);
    ok_equal(poll_one(epoll, POLLIN), POLLIN, "an epoll can be polled");
}

static void events(void)
{
    uint64_t value = 5;
    int fd = eventfd(3, EFD_NONBLOCK);
    ok(fd >= 0, "eventfd");
    ok_equal(write(fd, &value, 8), 8, "add");
    ok(read(fd, &value, 8) == 8 && value == 8, "read the sum");
    ok_errno(read(fd, &value, 8), EAGAIN, "then it is zero");
    ok_equal(poll_one(fd, POLLIN | POLLOUT), POLLOUT, "as poll says");
    ok_errno(read(fd, &value, 4), EINVAL, "too small");
    value = ~0ull;
    ok_errno(write(fd, &value, 8), EINVAL, "too large");
    value = ~0ull - 1;
    ok_equal(write(fd, &value, 8), 8, "the largest");
    ok_equal(poll_one(fd, POLLIN | POLLOUT), POLLIN, "is full");
    value = 1;
    ok_errno(write(fd, &value, 8), EAGAIN, "and takes no more");
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    ok(read(fd, &value, 8) == 8 && value == 1 && read(fd, &value, 8) == 8, "EFD_SEMAPHORE");
    ok_errno(read(fd, &value, 8), EAGAIN, "one by one");
    ok_errno(eventfd(0, 1 << 20), EINVAL, "unknown flag");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(poll_of_pipes),   TAP_CASE(poll_waits),     TAP_CASE(other_files),
        TAP_CASE(select_of_pipes), TAP_CASE(epoll_of_pipes), TAP_CASE(epoll_errors),
        TAP_CASE(events),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
