/*
 * Does the system survive every wrong argument? Each call number, Linux's and our own, is made in a
 * child with hundreds of combinations of wrong pointers, lengths, flags and descriptors. The child
 * may fail or die as it likes; it must come to an end, and nobody else may notice.
 *
 * linux: no
 * timeout: 120
 *
 * A timer interrupts calls that wait; a child works on one number no longer than BUDGET. Left out
 * are calls whose purpose is to end or change what others depend on.
 */
#define _GNU_SOURCE
#include <merganser/abi.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "files.h"
#include "memory.h"
#include "process.h"

#define BUDGET 50000000l /* ns a child spends on one call number */
#define PATIENCE 10000   /* ms until a child counts as hanging */
#define RANDOM_ROUNDS 150

enum { GUARDED = 32 };

static byte *guarded; /* the parent's, which must not change */

static const short left_out[] = {
    SYS_exit,
    SYS_exit_group,
    SYS_fork,
    SYS_vfork,
    SYS_clone,
    SYS_clone3,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_reboot,
    SYS_ptrace,
    SYS_setpriority,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_kexec_load,
    SYS_syslog,
    SYS_vhangup,
    SYS_umount2,
    SYS_mount,
    SYS_pivot_root,
    SYS_ioprio_set,
    SYS_migrate_pages,
    SYS_prlimit64,
};

static bool is_left_out(long number)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        if (left_out[i] == number) {
            return true;
        }
    }
    return false;
}

/* A call without the library, which needs thread-local memory that a call may have spoilt. */
static long raw_call(long number, const unsigned long *args)
{
    unsigned long fourth = args[3], fifth = args[4], sixth = args[5];
    register unsigned long r10 __asm__("r10") = fourth;
    register unsigned long r8 __asm__("r8") = fifth;
    register unsigned long r9 __asm__("r9") = sixth;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result), "+r"(r10), "+r"(r8), "+r"(r9)
                     : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2])
                     : "rcx", "r11", "rbx", "r12", "r13", "r14", "memory");
    return result;
}

static long raw_time(void)
{
    struct timespec now = {0, 0};
    unsigned long args[6] = {CLOCK_MONOTONIC, (unsigned long)&now};
    raw_call(SYS_clock_gettime, args);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* So that no call waits for long. */
static void arm_timer(void)
{
    struct itimerval timer = {{0, 2000}, {0, 2000}};
    unsigned long args[6] = {ITIMER_REAL, (unsigned long)&timer};
    raw_call(SYS_setitimer, args);
}

static unsigned long values[40];
static unsigned value_count;
static byte *scratch;

static void add_value(unsigned long value)
{
    values[value_count++] = value;
}

/* The arguments to be tried: pointers good and bad, lengths, flags, descriptors and handles. */
static void collect_values(void)
{
    byte *area = map_pages(8, RW), *readable = map_pages(1, PROT_READ);
    static const unsigned long fixed[] = {
        0,
        1,
        2,
        3,
        5,
        8,
        64,
        4095,
        4096,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        1ul << 40,
        0x7fffffffffffffff,
        1ul << 63,
        -1ul,
        -4096ul,
        0x7ffffffff000,
        0x7ffffffffffc,
        0x800000000000,
        0xffff800000000000,
        0xffffffff80000000,
        0xffffffffff600000,
        0x8000000000000001,
    };
    munmap(area + 4 * PAGE, PAGE);
    scratch = area;
    memcpy(area + PAGE, "x", 2);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        add_value(fixed[i]);
    }
    add_value((unsigned long)scratch);
    add_value((unsigned long)scratch + 1);
    add_value((unsigned long)scratch + PAGE);      /* a name */
    add_value((unsigned long)area + 4 * PAGE - 4); /* the end of a mapping */
    add_value((unsigned long)area + 4 * PAGE);     /* nothing */
    add_value((unsigned long)readable);
    add_value((unsigned long)raw_call & ~(PAGE - 1)); /* code */
}

static void on_timer(int number)
{
    (void)number;
}

/* The child's descriptors are nothing that others share, its limits small, its group its own. */
static void prepare_child(void)
{
    struct sigaction action = {.sa_handler = on_timer};
    struct rlimit file = {1 << 20, 1 << 20}, space = {256 << 20, 256 << 20};
    int ends[2];
    for (int fd = 0; fd < 64; fd++) {
        close(fd);
    }
    if (memfd_create("zero", 0) != 0 || memfd_create("one", 0) != 1 ||
        pipe2(ends, O_NONBLOCK) < 0 || eventfd(0, 0) < 0) {
        _exit(1);
    }
    open(".", O_RDONLY); /* fails once a child has taken all rights from it */
    sigaction(SIGALRM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &file);
    setrlimit(RLIMIT_AS, &space);
    setpgid(0, 0);
}

static bool try_call(long number, const unsigned long *args, long end)
{
    static unsigned tries;
    if (tries++ % 16 == 0) { /* a call may have stopped the timer */
        arm_timer();
        if (raw_time() >= end) {
            return false;
        }
    }
    raw_call(number, args);
    return true;
}

static bool try_systematically(long number, long end)
{
    unsigned long args[6];
    for (unsigned i = 0; i < value_count; i++) {
        for (int j = 0; j < 6; j++) {
            args[j] = values[i];
        }
        if (!try_call(number, args, end)) {
            return false;
        }
        for (int place = 0; place < 12; place++) {
            for (int j = 0; j < 6; j++) {
                args[j] = place < 6 ? 0 : (unsigned long)scratch;
            }
            args[place % 6] = values[i];
            if (!try_call(number, args, end)) {
                return false;
            }
        }
    }
    return true;
}

static void try_randomly(long number, long end)
{
    unsigned long args[6], state = (unsigned long)number * 2654435761u + 12345;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        for (int j = 0; j < 6; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            args[j] = values[(state >> 33) % value_count];
        }
        if (!try_call(number, args, end)) {
            return;
        }
    }
}

/* Ends the child without the library, however it may look. */
static void abuse(long number)
{
    unsigned long none[6] = {0};
    long end = raw_time() + BUDGET;
    if (try_systematically(number, end)) {
        try_randomly(number, end);
    }
    raw_call(SYS_exit_group, none);
}

static bool guarded_is_whole(void)
{
    for (unsigned i = 0; i < GUARDED; i++) {
        if (!page_holds(guarded + i * PAGE, i + 4711)) {
            return false;
        }
    }
    return true;
}

/* Tries one number in a child; false if that hangs, or harms the parent. */
static bool survives(long number)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        prepare_child();
        abuse(number);
    }
    if (pid < 0) {
        note("call %ld: no fork: %s", number, strerror(errno));
        return false;
    }
    if (!eventually(waitpid(pid, &status, WNOHANG) == pid, PATIENCE)) {
        note("call %ld hangs", number);
        kill(pid, SIGKILL);
        if (!eventually(waitpid(pid, &status, WNOHANG) == pid, PATIENCE)) {
            note("and its process can't be killed");
        }
        return false;
    }
    if (!guarded_is_whole()) {
        note("call %ld changed another process's memory", number);
        return false;
    }
    return true;
}

static void sweep(long first, long last)
{
    int bad = 0, tried = 0;
    guarded = map_pages(GUARDED, RW);
    for (unsigned i = 0; i < GUARDED; i++) {
        fill_page(guarded + i * PAGE, i + 4711);
    }
    collect_values();
    for (long number = first; number <= last; number++) {
        if (!is_left_out(number)) {
            bad += !survives(number);
            tried++;
        }
    }
    ok_equal(bad, 0, "calls %#lx to %#lx (%d numbers): all come to an end and harm nobody", first,
             last, tried);
    ok_equal(tap_child(prepare_child), 0, "the system is alive");
}

static void calls_0_to_99(void)
{
    sweep(0, 99);
}

static void calls_100_to_199(void)
{
    sweep(100, 199);
}

static void calls_200_to_299(void)
{
    sweep(200, 299);
}

static void calls_300_to_470(void)
{
    sweep(300, 470);
}

static void native_calls(void)
{
    sweep(MG_SYS_FIRST - 1, MG_SYS_END);
}

static void strange_numbers(void)
{
    static const long numbers[] = {-1, -4096, 0x7fffffff, 0x40000000, 0x2000, 0xffff, 600};
    unsigned long args[6] = {0};
    int good = 0, count = sizeof numbers / sizeof *numbers;
    for (int i = 0; i < count; i++) {
        good += raw_call(numbers[i], args) == -ENOSYS;
    }
    ok_equal(good, count, "numbers of no call: ENOSYS");
}

static void new_processes(void)
{
    static char stack[4096] __attribute__((aligned(16)));
    collect_values();
    for (unsigned i = 0; i < value_count; i++) {
        unsigned long bad = values[i];
        pid_t pid = fork();
        if (pid == 0) {
            unsigned long clone[6] = {0x01300000 | SIGCHLD, 0, bad, bad, bad, bad};
            unsigned long third[6] = {bad, 88, 0, 0, 0, 0};
            unsigned long on_stack[6] = {SIGCHLD, (unsigned long)stack + 2048, bad, bad, bad, bad};
            prepare_child();
            arm_timer();
            raw_call(SYS_clone3, third);
            raw_call(SYS_clone, clone);
            raw_call(SYS_clone, on_stack);
            _exit(0);
        }
        eventually(waitpid(pid, NULL, WNOHANG) == pid, PATIENCE);
        kill(-pid, SIGKILL);
    }
    ok_equal(tap_child(prepare_child), 0,
             "clone and clone3 with bad pointers: the system is alive");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_SLOW_CASE(calls_0_to_99, 100),
        TAP_SLOW_CASE(calls_100_to_199, 100),
        TAP_SLOW_CASE(calls_200_to_299, 100),
        TAP_SLOW_CASE(calls_300_to_470, 100),
        TAP_SLOW_CASE(native_calls, 100),
        TAP_CASE(strange_numbers),
        TAP_CASE(new_processes),
    };
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
