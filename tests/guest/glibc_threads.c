/*
 * Do threads, signals and locks of the other C library work? Its threads are made by clone3, with
 * rseq and robust lists registered; its locks and cancellation use futexes in ways of their own.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "tap.h"

enum { MANY = 32 };

static pthread_t threads[MANY];
static atomic_long total;
static __thread long own = 12;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long plain;

static long run_all(int count, void *(*run)(void *))
{
    long sum = 0;
    for (long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, (void *)i) != 0) {
            bail("pthread_create");
        }
    }
    for (int i = 0; i < count; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    return sum;
}

static void *allocate(void *number)
{
    long bad = own != 12;
    own += (long)number;
    for (int i = 1; i < 500; i++) {
        size_t size = (size_t)(i * 37 % 5000 + 1);
        unsigned char *block = malloc(size);
        memset(block, (int)(long)number, size);
        if (i % 16 == 0) {
            sched_yield();
        }
        bad += block[0] != (unsigned char)(long)number || block[size - 1] != block[0];
        free(block);
    }
    return (void *)(bad + (own != 12 + (long)number));
}

static void allocating(void)
{
    ok_equal(run_all(MANY, allocate), 0, "32 threads allocate, each in its arena");
    ok_equal(own, 12, "thread-local memory is each one's own");
}

static void *count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        plain++;
        pthread_mutex_unlock(&mutex);
        total++;
    }
    return NULL;
}

static void *pass_on(void *number)
{
    pthread_mutex_lock(&mutex);
    while (plain != (long)number) {
        pthread_cond_wait(&condition, &mutex);
    }
    plain++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void locking(void)
{
    run_all(16, count_up);
    ok(plain == 32000 && total == 32000, "mutexes and atomics");
    plain = 0;
    run_all(MANY, pass_on);
    ok_equal(plain, MANY, "a condition, passed from one to the next");
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    ok_equal(pthread_cond_timedwait(&condition, &mutex, &soon), ETIMEDOUT, "that does not come");
    ok_equal(pthread_mutex_timedlock(&mutex, &soon), ETIMEDOUT, "a mutex that is not free");
    pthread_mutex_unlock(&mutex);
    pthread_mutexattr_t inherit;
    pthread_mutex_t other;
    pthread_mutexattr_init(&inherit);
    pthread_mutexattr_setrobust(&inherit, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&other, &inherit);
    ok(pthread_mutex_lock(&other) == 0 && pthread_mutex_unlock(&other) == 0, "a robust mutex");
}

static void *lock_and_die(void *lock)
{
    pthread_mutex_lock(lock);
    return NULL;
}

static sem_t semaphore;

static void *post(void *unused)
{
    (void)unused;
    sem_post(&semaphore);
    return NULL;
}

static void other_locks(void)
{
    pthread_mutexattr_t robust;
    pthread_mutex_t left;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&left, &robust);
    pthread_create(&threads[0], NULL, lock_and_die, &left);
    pthread_join(threads[0], NULL);
    ok_equal(pthread_mutex_lock(&left), EOWNERDEAD, "the owner of a robust mutex died");
    ok_equal(pthread_mutex_consistent(&left), 0, "repaired");
    sem_init(&semaphore, 0, 0);
    pthread_create(&threads[0], NULL, post, NULL);
    ok_equal(sem_wait(&semaphore), 0, "a semaphore");
    pthread_join(threads[0], NULL);
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 1);
    ok_equal(pthread_barrier_wait(&barrier), PTHREAD_BARRIER_SERIAL_THREAD, "a barrier");
    pthread_spinlock_t spin;
    pthread_spin_init(&spin, 0);
    ok(pthread_spin_lock(&spin) == 0 && pthread_spin_trylock(&spin) == EBUSY, "a spin lock");
}

static void cleaned(void *flag)
{
    *(int *)flag = 1;
}

static void *wait_for_cancel(void *flag)
{
    pthread_cleanup_push(cleaned, flag);
    total = 1;
    for (;;) {
        struct timespec long_time = {100, 0};
        nanosleep(&long_time, NULL);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancelling(void)
{
    int flag = 0;
    void *result = NULL;
    total = 0;
    pthread_create(&threads[0], NULL, wait_for_cancel, &flag);
    while (!total) {
        sched_yield();
    }
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &result);
    ok(result == PTHREAD_CANCELED && flag == 1, "a thread is cancelled, and cleans up");
    char name[16] = "";
    ok(pthread_setname_np(pthread_self(), "a name") == 0 &&
           pthread_getname_np(pthread_self(), name, sizeof name) == 0 && !strcmp(name, "a name"),
       "a thread's name");
    cpu_set_t set;
    ok(pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 && CPU_COUNT(&set) >= 1,
       "its processors");
}

static volatile sig_atomic_t caught, caught_value;
static volatile pthread_t caught_in;
static sigjmp_buf back;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    caught = number;
    caught_value = info->si_value.sival_int;
    caught_in = pthread_self();
}

static void on_fault(int number)
{
    siglongjmp(back, number);
}

static void *wait_until_caught(void *unused)
{
    (void)unused;
    while (!caught) {
        sched_yield();
    }
    return NULL;
}

static void signals(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    union sigval value = {.sival_int = 99};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    ok(raise(SIGUSR1) == 0 && caught == SIGUSR1, "raise");
    ok(sigqueue(getpid(), SIGRTMIN, value) == 0 && caught == SIGRTMIN && caught_value == 99,
       "sigqueue");
    caught = 0;
    pthread_create(&threads[0], NULL, wait_until_caught, NULL);
    pthread_kill(threads[0], SIGUSR1);
    pthread_join(threads[0], NULL);
    ok(caught_in == threads[0], "pthread_kill");
    signal(SIGSEGV, on_fault);
    int number = sigsetjmp(back, 1);
    if (number == 0) {
        *(volatile char *volatile)(uintptr_t)getpagesize() = 1;
    }
    ok_equal(number, SIGSEGV, "a fault, left by siglongjmp");
    caught = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 10000}}, NULL);
    while (!caught) {
        usleep(1000); /* the signal may come at any moment */
    }
    ok_equal(caught, SIGALRM, "a timer");
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
        skip("no timer_create here: %s", strerror(errno));
        return;
    }
    timer_delete(timer);
}

static ucontext_t main_context, other_context;

static void coroutine(void)
{
    for (;;) {
        plain *= 3;
        swapcontext(&other_context, &main_context);
    }
}

static void contexts(void)
{
    static char stack[65536];
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack;
    other_context.uc_stack.ss_size = sizeof stack;
    makecontext(&other_context, coroutine, 0);
    plain = 1;
    for (int i = 0; i < 5; i++) {
        swapcontext(&main_context, &other_context);
    }
    ok_equal(plain, 243, "contexts switch");
}

static int prepared, in_parent;

static void prepare(void)
{
    prepared++;
}

static void after_in_parent(void)
{
    in_parent++;
}

static void *fork_and_wait(void *unused)
{
    int status = -1;
    (void)unused;
    pid_t pid = fork();
    if (pid == 0) {
        free(malloc(100000));
        _exit(run_all(2, allocate) == 0 ? 3 : 4);
    }
    waitpid(pid, &status, 0);
    return (void *)(long)(WEXITSTATUS(status) == 3);
}

static void forking(void)
{
    pthread_atfork(prepare, after_in_parent, NULL);
    ok_equal((long)fork_and_wait(NULL), 1, "a child starts threads");
    ok(prepared == 1 && in_parent == 1, "pthread_atfork");
    pthread_t waiters[8];
    long good = 0;
    for (int i = 0; i < 8; i++) {
        pthread_create(&waiters[i], NULL, fork_and_wait, NULL);
    }
    for (int i = 0; i < 8; i++) {
        void *result = NULL;
        pthread_join(waiters[i], &result);
        good += (long)result;
    }
    ok_equal(good, 8, "eight threads fork");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(allocating), TAP_CASE(locking),  TAP_CASE(other_locks), TAP_CASE(cancelling),
        TAP_CASE(signals),    TAP_CASE(contexts), TAP_CASE(forking),
    };
    return TAP_MAIN(cases);
}
