/*
 * Do futex calls wait, wake, requeue and refuse as Linux's do?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/syscall.h>

#include "memory.h"
#include "process.h"

static volatile int word, second, woken;

static long futex(volatile int *at, int operation, long value, const void *timeout,
                  volatile int *other, long last)
{
    return syscall(SYS_futex, at, operation, value, timeout, other, last);
}

static void *wait_for_change(void *at)
{
    while (*(volatile int *)at == 0) {
        futex(at, FUTEX_WAIT, 0, NULL, NULL, 0);
    }
    __atomic_add_fetch(&woken, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void *wait_once(void *at)
{
    futex(at, FUTEX_WAIT | FUTEX_PRIVATE, 0, NULL, NULL, 0);
    __atomic_add_fetch(&woken, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void start_waiters(pthread_t *threads, int count, void *(*run)(void *))
{
    for (int i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, run, (void *)&word);
    }
    pause_ms(60);
}

static void errors(void)
{
    struct timespec wrong = {0, 1000000000}, negative = {-1, 0};
    byte *gone = map_pages(1, RW);
    munmap(gone, PAGE);
    ok_errno(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN, "another value");
    ok_errno(futex(&word, FUTEX_WAIT, 0, &wrong, NULL, 0), EINVAL, "no time");
    ok_errno(futex(&word, FUTEX_WAIT, 0, &negative, NULL, 0), EINVAL, "negative time");
    ok_errno(futex(&word, FUTEX_WAIT, 0, (void *)8, NULL, 0), EFAULT, "bad time");
    ok_errno(futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL, "misaligned");
    ok_errno(futex((int *)gone, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT, "unmapped");
    ok_errno(futex((int *)gone, FUTEX_WAIT | FUTEX_PRIVATE, 0, NULL, NULL, 0), EFAULT,
             "unmapped and private");
    ok_errno(futex((int *)0xffff800000000000, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT, "kernel's");
    ok_errno(futex(&word, 77, 0, NULL, NULL, 0), ENOSYS, "unknown operation");
    ok_errno(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL, "no bits to wait for");
    ok_errno(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL, "nor to wake");
    ok_equal(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0, "nobody to wake");
    ok_errno(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &second, 5), EAGAIN,
             "requeue: another value");
    ok_errno(syscall(SYS_set_robust_list, &word, 23), EINVAL, "set_robust_list: its size");
}

static void time_outs(void)
{
    struct timespec time = {0, 30000000}, until;
    long before = now_ns(CLOCK_MONOTONIC);
    ok_errno(futex(&word, FUTEX_WAIT, 0, &time, NULL, 0), ETIMEDOUT, "FUTEX_WAIT for 30 ms");
    long passed = now_ns(CLOCK_MONOTONIC) - before;
    ok(passed >= 30000000 && passed < 3000000000, "waits 30 ms (%ld us)", passed / 1000);
    before = now_ns(CLOCK_MONOTONIC);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 30000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    ok_errno(futex(&word, FUTEX_WAIT_BITSET, 0, &until, NULL, -1), ETIMEDOUT,
             "FUTEX_WAIT_BITSET until a time");
    ok(now_ns(CLOCK_MONOTONIC) - before >= 30000000, "waits until then");
    clock_gettime(CLOCK_REALTIME, &until);
    ok_errno(futex(&word, FUTEX_WAIT_BITSET | 256, 0, &until, NULL, -1), ETIMEDOUT,
             "FUTEX_CLOCK_REALTIME, already past");
}

static void waking(void)
{
    pthread_t threads[8];
    start_waiters(threads, 8, wait_once);
    ok_equal(woken, 0, "eight wait");
    ok_equal(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE, 3, NULL, NULL, 0), 3, "three are woken");
    ok(eventually(woken == 3, 5000), "three go on");
    pause_ms(20);
    ok_equal(woken, 3, "no more than three");
    ok_equal(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE, 1000, NULL, NULL, 0), 5, "the others");
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    ok_equal(woken, 8, "all have gone on");
}

static void requeueing(void)
{
    pthread_t threads[6];
    start_waiters(threads, 6, wait_once);
    ok_equal(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE, 1, (void *)3, &second, 0), 4,
             "one is woken, three move");
    ok(eventually(woken == 1, 5000), "one goes on");
    ok_equal(futex(&second, FUTEX_WAKE | FUTEX_PRIVATE, 100, NULL, NULL, 0), 3, "three are there");
    ok_equal(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE, 100, NULL, NULL, 0), 2, "two are left");
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void *wait_for_bits(void *bits)
{
    futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, (long)bits);
    __atomic_add_fetch(&woken, (int)(long)bits, __ATOMIC_RELAXED);
    return NULL;
}

static void bits(void)
{
    pthread_t threads[3];
    for (long i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, wait_for_bits, (void *)(1l << i));
    }
    pause_ms(60);
    ok_equal(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 5), 2, "two of three bits");
    ok(eventually(woken == 5, 5000), "wake those two");
    ok_equal(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 1, "FUTEX_WAKE is for all bits");
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void between_processes(void)
{
    volatile int *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid == 0) {
        wait_for_change((void *)shared);
        _exit(0);
    }
    pause_ms(40);
    *shared = 1;
    ok_equal(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0), 1, "shared memory wakes a process");
    ok_equal(reap(pid), 0, "which goes on");
    *shared = 0;
    byte *other = mremap((void *)shared, 0, PAGE, MREMAP_MAYMOVE);
    if (other == MAP_FAILED) {
        ok(false, "a second mapping of shared memory");
        return;
    }
    pthread_t thread;
    woken = 0;
    pthread_create(&thread, NULL, wait_for_change, (void *)shared);
    pause_ms(40);
    *shared = 1;
    ok_equal(futex((int *)other, FUTEX_WAKE, 1, NULL, NULL, 0), 1, "at another address too");
    pthread_join(thread, NULL);
    word = 0;
    pid = fork();
    if (pid == 0) {
        _exit((int)futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    }
    ok_equal(reap(pid), 0, "private memory of the same address is no one else's");
}

static void nothing(int number)
{
    (void)number;
}

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        pause_ms(50);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    ok_errno(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR, "a signal ends the waiting");
    reap(pid);
    volatile int *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct timespec time = {10, 0};
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    pid = fork();
    if (pid == 0) {
        pause_ms(50);
        kill(parent, SIGUSR1);
        pause_ms(50);
        _exit(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0) != 1);
    }
    ok_equal(futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0), 0, "with SA_RESTART it goes on");
    ok_equal(reap(pid), 0, "until it is woken");
    pid = fork();
    if (pid == 0) {
        pause_ms(50);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    ok_errno(futex(shared, FUTEX_WAIT, 0, &time, NULL, 0), EINTR, "but not with a time-out");
    reap(pid);
}

static void no_wake_is_lost(void)
{
    pthread_t threads[4];
    for (int round = 0; round < 50; round++) {
        word = woken = 0;
        for (int i = 0; i < 4; i++) {
            pthread_create(&threads[i], NULL, wait_for_change, (void *)&word);
        }
        word = 1;
        futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    ok_equal(woken, 4, "fifty times four threads that wait at any moment, all woken");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(errors),      TAP_CASE(time_outs),
        TAP_CASE(waking),      TAP_CASE(requeueing),
        TAP_CASE(bits),        TAP_CASE(between_processes),
        TAP_CASE(interrupted), TAP_CASE(no_wake_is_lost),
    };
    return TAP_MAIN(cases);
}
