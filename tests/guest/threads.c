/*
 * Do POSIX threads work: starting and joining, every kind of lock, conditions, cancelling,
 * thread-local memory, and processes that fork, fail or end with threads running?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>

#include "memory.h"
#include "process.h"

enum { MANY = 64 };

static pthread_t threads[MANY];
static volatile long total;

static void start_all(int count, void *(*run)(void *))
{
    for (long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, (void *)i) != 0) {
            bail("pthread_create");
        }
    }
}

/* Joins them; returns the sum of what they return. */
static long join_all(int count)
{
    long sum = 0;
    for (int i = 0; i < count; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    return sum;
}

static void *double_it(void *number)
{
    char on_stack[20000];
    memset(on_stack, 1, sizeof on_stack);
    __atomic_add_fetch(&total, on_stack[19999], __ATOMIC_RELAXED);
    return (void *)(2 * (long)number);
}

static void start_and_join(void)
{
    start_all(MANY, double_it);
    ok_equal(join_all(MANY), MANY * (MANY - 1), "64 threads return their results");
    ok_equal(total, MANY, "all have run");
    for (int round = 0; round < 20; round++) {
        start_all(8, double_it);
        join_all(8);
    }
    ok_equal(total, MANY + 160, "160 more, one after another");
}

static __thread long own = 4711;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void *count_own(void *number)
{
    bool good = own == 4711;
    for (int i = 0; i < 1000; i++) {
        own += (long)number;
        if (i % 100 == 0) {
            sched_yield();
        }
    }
    return (void *)(long)(good && own == 4711 + 1000 * (long)number);
}

static void thread_local(void)
{
    start_all(MANY, count_own);
    ok_equal(join_all(MANY), MANY, "each thread has its own thread-local memory");
    ok_equal(own, 4711, "and so have we");
}

static void *count_locked(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        long before = total;
        if (i % 64 == 0) {
            sched_yield();
        }
        total = before + 1;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void mutexes(void)
{
    start_all(16, count_locked);
    join_all(16);
    ok_equal(total, 16000, "a mutex lets one in at a time");
    struct timespec soon;
    pthread_mutex_lock(&mutex);
    ok_equal(pthread_mutex_trylock(&mutex), EBUSY, "trylock");
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    long before = now_ns(CLOCK_MONOTONIC);
    ok_equal(pthread_mutex_timedlock(&mutex, &soon), ETIMEDOUT, "timedlock");
    ok(now_ns(CLOCK_MONOTONIC) - before >= 15000000, "which has waited");
    pthread_mutex_unlock(&mutex);
    pthread_mutexattr_t attribute;
    pthread_mutex_t recursive, checking;
    pthread_mutexattr_init(&attribute);
    pthread_mutexattr_settype(&attribute, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attribute);
    ok(pthread_mutex_lock(&recursive) == 0 && pthread_mutex_lock(&recursive) == 0, "recursive");
    pthread_mutexattr_settype(&attribute, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&checking, &attribute);
    pthread_mutex_lock(&checking);
    ok_equal(pthread_mutex_lock(&checking), EDEADLK, "checking");
}

static volatile int turn;

static void *take_turns(void *number)
{
    int mine = (int)(long)number;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 4 != mine) {
            pthread_cond_wait(&condition, &mutex);
        }
        turn++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void conditions(void)
{
    start_all(4, take_turns);
    join_all(4);
    ok_equal(turn, 200, "four threads take turns");
    struct timespec past = {1, 0};
    pthread_mutex_lock(&mutex);
    ok_equal(pthread_cond_timedwait(&condition, &mutex, &past), ETIMEDOUT, "timedwait");
    ok_equal(pthread_mutex_trylock(&mutex), EBUSY, "returns with the mutex");
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static volatile long pair[2];

static void *read_or_write(void *number)
{
    long torn = 0;
    for (int i = 0; i < 500; i++) {
        if ((long)number % 4 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            pair[0]++;
            sched_yield();
            pair[1]++;
        } else {
            pthread_rwlock_rdlock(&rwlock);
            torn += pair[0] != pair[1];
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return (void *)torn;
}

static pthread_barrier_t barrier;

static void *meet(void *unused)
{
    long last = 0;
    (void)unused;
    for (int i = 0; i < 20; i++) {
        __atomic_add_fetch(&total, 1, __ATOMIC_RELAXED);
        last += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        if (total < (i + 1) * 8) {
            return (void *)1000;
        }
        pthread_barrier_wait(&barrier);
    }
    return (void *)last;
}

static void locks_of_other_kinds(void)
{
    start_all(8, read_or_write);
    ok_equal(join_all(8), 0, "readers never see half of a write");
    ok_equal(pair[0], 1000, "and no write is lost");
    pthread_barrier_init(&barrier, NULL, 8);
    start_all(8, meet);
    ok_equal(join_all(8), 20, "a barrier: all meet, and one is the last");
    sem_t semaphore;
    sem_init(&semaphore, 0, 2);
    ok(sem_wait(&semaphore) == 0 && sem_wait(&semaphore) == 0, "a semaphore of two");
    ok_errno(sem_trywait(&semaphore), EAGAIN, "not of three");
}

static volatile int cleaned;

static void clean(void *value)
{
    cleaned += (int)(long)value;
}

static void *wait_to_be_cancelled(void *unused)
{
    (void)unused;
    pthread_cleanup_push(clean, (void *)5);
    total = 1;
    for (;;) {
        pause();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *compute_forever(void *unused)
{
    (void)unused;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    total = 1;
    for (;;) {
        __asm__ volatile("pause");
    }
    return NULL;
}

static void cancelling(void)
{
    void *result = NULL;
    start_all(1, wait_to_be_cancelled);
    eventually(total == 1, 5000);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &result);
    ok(result == PTHREAD_CANCELED && cleaned == 5, "a waiting thread is cancelled, and cleans up");
    total = 0;
    start_all(1, compute_forever);
    eventually(total == 1, 5000);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &result);
    ok(result == PTHREAD_CANCELED, "a computing one too, if it allows it");
}

static void *end_detached(void *unused)
{
    (void)unused;
    __atomic_add_fetch(&total, 1, __ATOMIC_RELAXED);
    return NULL;
}

static pthread_key_t key;

static void destroy_value(void *value)
{
    __atomic_add_fetch(&total, (long)value, __ATOMIC_RELAXED);
}

static void *set_value(void *number)
{
    pthread_setspecific(key, (void *)((long)number + 1));
    return NULL;
}

static void detached_and_keys(void)
{
    pthread_attr_t attribute;
    pthread_attr_init(&attribute);
    pthread_attr_setdetachstate(&attribute, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attribute, 65536);
    for (int i = 0; i < 30; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attribute, end_detached, NULL) != 0) {
            bail("pthread_create");
        }
    }
    ok(eventually(total == 30, 10000), "thirty detached threads");
    total = 0;
    pthread_key_create(&key, destroy_value);
    start_all(10, set_value);
    join_all(10);
    ok_equal(total, 55, "values of a key are destroyed with their threads");
}

static void *hold_and_die(void *lock)
{
    pthread_mutex_lock(lock);
    return NULL;
}

static void robust_mutexes(void)
{
    pthread_mutex_t *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attribute;
    pthread_mutexattr_init(&attribute);
    pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attribute, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(shared, &attribute);
    pthread_create(&threads[0], NULL, hold_and_die, shared);
    pthread_join(threads[0], NULL);
    ok_equal(pthread_mutex_lock(shared), EOWNERDEAD, "the owner, a thread, has died");
    ok_equal(pthread_mutex_consistent(shared), 0, "repaired");
    ok_equal(pthread_mutex_unlock(shared), 0, "unlocked");
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(shared);
        pause_ms(50);
        kill(getpid(), SIGKILL);
    }
    eventually(pthread_mutex_trylock(shared) == 0 ? (pthread_mutex_unlock(shared), false) : true,
               5000);
    ok_equal(pthread_mutex_lock(shared), EOWNERDEAD, "the owner, a process, is killed meanwhile");
    reap(pid);
    pthread_mutex_unlock(shared);
    ok_equal(pthread_mutex_lock(shared), ENOTRECOVERABLE, "not repaired: lost for good");
}

static void *sleep_in_thread(void *unused)
{
    (void)unused;
    sleep_forever();
    return NULL;
}

static void *spin(void *unused)
{
    for (;;) {
        __asm__ volatile("pause");
    }
    return unused;
}

static void *exit_from_thread(void *unused)
{
    (void)unused;
    pause_ms(20);
    _exit(21);
}

static char *volatile nowhere = (char *)8;

static void *crash(void *unused)
{
    (void)unused;
    pause_ms(20);
    *nowhere = 1;
    return NULL;
}

static void end_with(void *(*last)(void *))
{
    for (int i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, i % 2 ? sleep_in_thread : spin, NULL);
    }
    pthread_create(&threads[9], NULL, last, NULL);
    pthread_join(threads[9], NULL);
}

static void exit_with_threads(void)
{
    end_with(exit_from_thread);
}

static void crash_with_threads(void)
{
    end_with(crash);
}

static void *stay(void *unused)
{
    while (pause() < 0) {
    }
    return unused;
}

static void stay_with_threads(void)
{
    end_with(stay);
}

static void main_goes_first(void)
{
    pthread_create(&threads[0], NULL, exit_from_thread, NULL);
    pthread_exit(NULL);
}

static void the_end(void)
{
    ok_equal(tap_child(exit_with_threads), exited(21), "exit in one thread ends all");
    ok_equal(tap_child_signal(crash_with_threads), SIGSEGV, "so does a fault");
    ok_equal(tap_child(main_goes_first), exited(21), "the first thread may end before others");
    pid_t pid = start(stay_with_threads);
    pause_ms(20);
    kill(pid, SIGKILL);
    ok_equal(reap(pid), SIGKILL, "and SIGKILL kills every one");
}

static void *fork_in_thread(void *number)
{
    pid_t pid = fork();
    if (pid == 0) {
        void *result = NULL;
        pthread_t thread;
        bool good = own == 4711 && pthread_create(&thread, NULL, double_it, number) == 0 &&
                    pthread_join(thread, &result) == 0 && (long)result == 2 * (long)number;
        _exit(good ? 5 : 6);
    }
    return (void *)(long)(reap(pid) == exited(5));
}

static void forks(void)
{
    pthread_t spinner;
    pthread_create(&spinner, NULL, spin, NULL);
    start_all(8, fork_in_thread);
    ok_equal(join_all(8), 8, "eight threads fork; the children have one thread and start others");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(start_and_join),
        TAP_CASE(thread_local),
        TAP_CASE(mutexes),
        TAP_CASE(conditions),
        TAP_CASE(locks_of_other_kinds),
        TAP_CASE(cancelling),
        TAP_CASE(detached_and_keys),
        TAP_CASE(robust_mutexes),
        TAP_CASE(the_end),
        TAP_CASE(forks),
    };
    return TAP_MAIN(cases);
}
