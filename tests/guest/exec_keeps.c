/*
 * What of a process stays over execve (number, signal mask, limits, ...), and what is gone (memory,
 * threads, handlers)?
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "exec.h"

static char any[] = "any";

static int show_identity(void)
{
    char text[PATH_MAX], name[17] = "";
    ssize_t length = readlink("/proc/self/exe", text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    tell(text);
    prctl(PR_GET_NAME, name);
    tell(name);
    return 0;
}

static void identity(void)
{
    char mode[] = "MODE=identity", wanted[PATH_MAX + 64];
    ok_equal(run(self, WORDS(any), WORDS(mode)), 0, "who am I?");
    snprintf(wanted, sizeof wanted, "%s|%.15s|", self, strrchr(self, '/') + 1);
    ok_text(output, wanted, "the file, and its name");
    ok(symlink(self, "a-name-longer-than-fifteen") == 0, "by a link with a long name");
    run("./a-name-longer-than-fifteen", WORDS(any), WORDS(mode));
    snprintf(wanted, sizeof wanted, "%s|a-name-longer-t|", self);
    ok_text(output, wanted, "the file behind it, and the link's name, cut");
}

static void nothing(int number)
{
    (void)number;
}

static void set_signals(void)
{
    static char stack[32768];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, nothing);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaltstack(&alternate, NULL);
    kill(getpid(), SIGTERM);
    alarm(100);
}

static int show_signals(void)
{
    struct sigaction ignored, handled;
    sigset_t mask, waiting;
    stack_t alternate;
    sigaction(SIGUSR1, NULL, &ignored);
    sigaction(SIGUSR2, NULL, &handled);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigpending(&waiting);
    sigaltstack(NULL, &alternate);
    tell(ignored.sa_handler == SIG_IGN ? "ignored" : "not ignored");
    tell(handled.sa_handler == SIG_DFL ? "default" : "handled");
    tell(sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGHUP) ? "mask" : "no mask");
    tell(sigismember(&waiting, SIGTERM) ? "waiting" : "not waiting");
    tell(alternate.ss_flags == SS_DISABLE ? "no stack" : "stack");
    tell(alarm(0) >= 90 ? "alarm" : "no alarm");
    return 0;
}

static void signals(void)
{
    char mode[] = "MODE=signals";
    before_exec = set_signals;
    ok_equal(run(self, WORDS(any), WORDS(mode)), 0, "with signals set up");
    ok_text(output, "ignored|default|mask|waiting|no stack|alarm|",
            "what is ignored, blocked and to come stays; handlers and their stack are gone");
}

static void note_numbers(void)
{
    char text[96];
    setpgid(0, 0);
    umask(0135);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){55, 66});
    snprintf(text, sizeof text, "%d %d %d", getpid(), getppid(), getpgrp());
    tell(text);
    if (chdir("/proc") < 0) {
        _exit(98);
    }
}

static int show_numbers(void)
{
    char text[96];
    struct rlimit limit;
    snprintf(text, sizeof text, "%d %d %d", getpid(), getppid(), getpgrp());
    tell(text);
    getrlimit(RLIMIT_NOFILE, &limit);
    snprintf(text, sizeof text, "%o %d %d", umask(0), (int)limit.rlim_cur, (int)limit.rlim_max);
    tell(text);
    tell(getcwd(text, sizeof text) ? text : "nowhere");
    return 0;
}

static void the_process(void)
{
    char mode[] = "MODE=numbers";
    before_exec = note_numbers;
    ok_equal(run(self, WORDS(any), WORDS(mode)), 0, "a process with changes");
    char *second = strchr(output, '|');
    size_t length = second ? (size_t)(second - output) : 0;
    ok(length && strncmp(output, second + 1, length) == 0, "keeps pid, parent and group");
    ok_text(second && strchr(second + 1, '|') ? strchr(second + 1, '|') : output,
            "|135 55 66|/proc|", "and umask, limits and folder");
}

static void *sleep_in_thread(void *unused)
{
    (void)unused;
    sleep_forever();
    return NULL;
}

static void *exec_in_thread(void *unused)
{
    char mode[] = "MODE=thread";
    (void)unused;
    execve(self, WORDS(any), WORDS(mode));
    _exit(97);
}

static void start_threads(void)
{
    pthread_t thread;
    char text[32];
    snprintf(text, sizeof text, "%d", getpid());
    tell(text);
    for (int i = 0; i < 5; i++) {
        pthread_create(&thread, NULL, sleep_in_thread, NULL);
    }
    pthread_create(&thread, NULL, exec_in_thread, NULL);
    pthread_join(thread, NULL);
}

static int show_thread(void)
{
    char text[32];
    snprintf(text, sizeof text, "%d", getpid());
    tell(text);
    snprintf(text, sizeof text, "%d", (int)syscall(SYS_gettid));
    tell(text);
    return 0;
}

static void of_many_threads(void)
{
    char mode[] = "MODE=unused";
    int one = 0, two = 1, tid = 2;
    before_exec = start_threads;
    ok_equal(run(self, WORDS(any), WORDS(mode)), 0, "one of many threads calls execve");
    ok_equal(sscanf(output, "%d|%d|%d|", &one, &two, &tid), 3, "the new program runs");
    ok_equal(two, one, "in the same process");
    ok_equal(tid, one, "as its first thread");
}

static void map_something(void)
{
    void *area = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap((void *)0x123450000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
         -1, 0);
    *(volatile char *)0x123450000 = 1;
    mlockall(MCL_CURRENT | MCL_FUTURE);
    tell(area == MAP_FAILED ? "not mapped" : "mapped");
}

static int show_memory(void)
{
    unsigned char resident;
    tell(mincore((void *)0x123450000, PAGE, &resident) < 0 && errno == ENOMEM ? "gone" : "there");
    char *start = (char *)syscall(SYS_brk, 0);
    bool grown = syscall(SYS_brk, start + 65536) == (long)start + 65536;
    tell(grown && !start[0] && !start[65535] ? "fresh heap" : "no heap");
    return 0;
}

static void memory(void)
{
    char mode[] = "MODE=memory";
    before_exec = map_something;
    ok_equal(run(self, WORDS(any), WORDS(mode)), 0, "a process with memory");
    ok_text(output, "mapped|gone|fresh heap|", "has all new memory");
}

static int chain(void)
{
    char *count = getenv("COUNT"), mode[] = "MODE=chain", next[32];
    int left = count ? atoi(count) : 0;
    if (left == 0) {
        tell("done");
        return 0;
    }
    snprintf(next, sizeof next, "COUNT=%d", left - 1);
    exec_prepare();
    execve(self, WORDS(any), WORDS(mode, next));
    return 1;
}

static void again_and_again(void)
{
    char mode[] = "MODE=chain", count[] = "COUNT=50";
    ok_equal(run(self, WORDS(any), WORDS(mode, count)), 0, "fifty programs in a row");
    ok_text(output, "done|", "the last one tells");
}

static void fail_to_exec(void)
{
    char *words[] = {any, NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        execve("missing", words, NULL);
        _exit(errno == ENOENT ? 11 : 12);
    }
    ok_equal(reap(pid), exited(11), "execve fails in a vfork's child, which goes on");
    volatile int kept = 4711;
    signal(SIGUSR1, nothing);
    ok_errno(execve("missing", words, NULL), ENOENT, "and in ourselves");
    raise(SIGUSR1);
    ok_equal(kept, 4711, "nothing is lost: no memory, no handler");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(identity),        TAP_CASE(signals), TAP_CASE(the_process),
        TAP_CASE(of_many_threads), TAP_CASE(memory),  TAP_CASE(again_and_again),
        TAP_CASE(fail_to_exec),
    };
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {{"identity", show_identity}, {"signals", show_signals}, {"numbers", show_numbers},
                 {"thread", show_thread},     {"memory", show_memory},   {"chain", chain}};
    const char *mode = getenv("MODE");
    for (size_t i = 0; mode && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            return modes[i].run();
        }
    }
    exec_prepare();
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
