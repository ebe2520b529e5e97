/*
 * What can a program do to the machine with tasks and handles of its own? Chains and rings of tasks
 * that hold each other, tasks nobody knows of any more, and as many of everything as there is.
 *
 * vm: --smp 2 --mem 128
 * timeout: 150
 * linux: no
 */
#define _GNU_SOURCE
#include <sched.h>

#include "hostile.h"

#define LINKS 3000

/* Each task holds the only handle of the next: when the first goes, all go, one within the other.
 */
static void a_chain(void)
{
    long before = free_bytes(), last = 0, links = 0;
    for (; links < LINKS; links++) {
        long task = mg_task_create(0, 0);
        if (task < 0) {
            break;
        }
        if (last && mg_task_give(task, last, MG_RIGHT_ALL) < 0) {
            mg_handle_close(task);
            break;
        }
        mg_handle_close(last);
        last = task;
    }
    ok(links > 100, "a chain of %ld tasks", links);
    ok_equal(mg_handle_close(last), 0, "its end");
    all_is_well(before);
}

/* Tasks that hold each other and themselves; nobody else can name them. */
static void make_rings(void)
{
    for (int i = 0; i < 1000; i++) {
        long one = mg_task_create(0, 0), two = mg_task_create(0, 0);
        if (two < 0) {
            break;
        }
        mg_task_give(one, two, MG_RIGHT_ALL);
        mg_task_give(two, one, MG_RIGHT_ALL);
        mg_task_give(one, one, MG_RIGHT_ALL);
        mg_handle_close(one);
        mg_handle_close(two);
    }
}

static void rings(void)
{
    long before = free_bytes();
    ok_equal(tap_child(make_rings), 0, "rings of tasks");
    all_is_well(before);
}

/* Threads that never run, in tasks that nobody can name. */
static void make_sleepers(void)
{
    for (int i = 0; i < 300; i++) {
        long task = mg_task_create(0, 0);
        long thread = mg_thread_create(task, 0);
        mg_handle_close(thread);
        mg_handle_close(task);
    }
}

static void sleepers(void)
{
    long before = free_bytes();
    ok_equal(tap_child(make_sleepers), 0, "threads that never run");
    all_is_well(before);
}

static char stack[NATIVE_STACK] __attribute__((aligned(16)));
static volatile long *beats;

static void beat(long argument)
{
    (void)argument;
    for (;;) {
        ++*beats;
    }
}

static void make_orphan(void)
{
    long task = mg_task_fork(MG_HANDLE_SELF, 0, 0, 0);
    if (native_start(task, 0, beat, 0, stack) < 0) {
        _exit(1);
    }
    while (!*beats) {
        sched_yield();
    }
}

/* A task that runs on when its maker has gone would be out of everybody's reach. */
static void orphans(void)
{
    beats = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok_equal(tap_child(make_orphan), 0, "a program ends, a task of its own was running");
    long seen = *beats;
    ok(eventually(({
                      long last = seen;
                      pause_ms(50);
                      seen = *beats;
                      seen == last;
                  }),
                  5000),
       "it runs no more");
}

/* As many as there can be; returns how many, and why no more. */
static long hoard(long (*make)(void), long *error)
{
    long count = 0;
    for (;; count++) {
        *error = make();
        if (*error < 0) {
            return count;
        }
    }
}

static long make_port(void)
{
    return mg_port_create();
}

static long make_object(void)
{
    return mg_object_create(1ul << 40, 0);
}

static long make_task(void)
{
    return mg_task_create(0, 0);
}

static long make_thread(void)
{
    static long task;
    if (!task) {
        task = mg_task_create(0, 0);
    }
    return mg_thread_create(task, 0);
}

static long make_timer(void)
{
    long port = mg_port_create();
    return port < 0 ? port : mg_port_timer(port, now_ns(CLOCK_MONOTONIC) + 100000000);
}

static long make_name(void)
{
    return mg_handle_dup(MG_HANDLE_SELF, MG_RIGHT_READ);
}

static long (*maker)(void);

static void hoard_all(void)
{
    long error, count = hoard(maker, &error);
    note("%ld, then %s", count, strerror((int)-error));
    pause_ms(200); /* the timers fire */
    _exit(count > 100 && (error == -ENOMEM || error == -EMFILE || error == -EAGAIN) ? 0 : 1);
}

/* Who hoards may also be ended, when somebody finds no memory. */
static void try_hoard(long (*make)(void))
{
    long before = free_bytes();
    maker = make;
    int status = tap_child(hoard_all);
    ok(status == 0 || status == SIGKILL, "it comes to an end (%#x)", status);
    all_is_well(before);
}

static void ports(void)
{
    try_hoard(make_port);
}

static void objects(void)
{
    try_hoard(make_object);
}

static void tasks(void)
{
    try_hoard(make_task);
}

static void threads(void)
{
    try_hoard(make_thread);
}

static void timers(void)
{
    try_hoard(make_timer);
}

static void names(void)
{
    try_hoard(make_name);
}

static void fill_objects(void)
{
    static char page[PAGE];
    if (spill("/proc/self/oom_score_adj", "1000") < 0) {
        _exit(1);
    }
    memset(page, 1, sizeof page);
    long object = mg_object_create(1ul << 40, 0), at = 0;
    while (mg_vm_copy(object, at, MG_HANDLE_SELF, page, PAGE) == (long)PAGE) {
        at += (long)PAGE;
    }
    note("an object of %ld pages", at / (long)PAGE);
    char *area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < 1 << 20; i += (long)PAGE) {
        area[i] = 1; /* somebody has to go now: it had better be us */
    }
}

/* Memory of objects that are not mapped is somebody's as well. */
static void hidden_memory(void)
{
    long before = free_bytes();
    pid_t innocent = start(sleep_forever);
    int status = tap_child(fill_objects);
    ok(status == SIGKILL || status == 0, "who fills objects is ended when memory is out (%#x)",
       status);
    ok_equal(kill(innocent, 0), 0, "not another");
    kill(innocent, SIGKILL);
    ok_equal(reap(innocent), SIGKILL, "who was alive");
    all_is_well(before);
}

/* Takes what it can of kernel memory, of which nobody can be made to give back any, and then asks
 * for everything else there is. Whether it gets it does not matter. */
static void ask_for_all(void)
{
    static char name[64];
    long last = 0, tasks = 0;
    spill("/proc/self/oom_score_adj", "-1000");
    for (long task; (task = mg_task_create(0, 0)) > 0; tasks++) {
        last = task;
    }
    for (int round = 0; round < 300; round++) {
        int ends[2];
        if (round % 100 == 0 && last) {
            mg_task_kill(last--); /* a little room, now and then */
        }
        pid_t pid = fork();
        if (pid == 0) {
            execl("/bin/busybox", "true", NULL);
            _exit(1);
        }
        if (pid > 0) {
            reap(pid);
        }
        snprintf(name, sizeof name, "/tmp/hostile-%d", round);
        int fd = open(name, O_RDWR | O_CREAT, 0600);
        if (fd >= 0 && write(fd, stack, PAGE) > 0 && pipe(ends) == 0) {
            write(ends[1], name, sizeof name) > 0 ? (void)lseek(fd, 0, SEEK_SET) : (void)0;
        }
        mkdir("/tmp/hostile-dir", 0700);
        rmdir("/tmp/hostile-dir");
        unlink(name);
        raise(SIGCHLD);
    }
    note("%ld tasks", tasks);
    _exit(tasks > 100 ? 0 : 1);
}

static void servers(void)
{
    long before = free_bytes();
    int status = tap_child(ask_for_all);
    ok(status == 0 || status == SIGKILL, "there is no memory at all for a while (%#x)", status);
    all_is_well(before);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(a_chain), TAP_CASE(rings),   TAP_CASE(sleepers),      TAP_CASE(orphans),
        TAP_CASE(ports),   TAP_CASE(objects), TAP_CASE(tasks),         TAP_CASE(threads),
        TAP_CASE(timers),  TAP_CASE(names),   TAP_CASE(hidden_memory), TAP_SLOW_CASE(servers, 90),
    };

    return TAP_MAIN(cases);
}
