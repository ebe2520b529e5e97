/*
 * Do the vector registers, with all their bits, survive everything that may take the processor from
 * a program: other threads and processes, signals, forks, sleeps and faults?
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include "memory.h"
#include "process.h"

enum { REGISTERS = 16, WIDEST = 32, MANY = 12 };

static bool has_avx;

/* The registers' contents; only the first 16 bytes of each count without AVX. */
struct vectors {
    byte of[REGISTERS][WIDEST];
} __attribute__((aligned(32)));

/* The extended features the system has turned on, bit by bit. */
static unsigned enabled_features(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void find_features(void)
{
    unsigned a, b, c, d;
    __cpuid(1, a, b, c, d);
    has_avx = (c & bit_AVX) && (c & bit_OSXSAVE) && (enabled_features() & 6) == 6;
}

static void fill_vectors(struct vectors *all, unsigned seed)
{
    for (int i = 0; i < REGISTERS; i++) {
        for (int j = 0; j < WIDEST; j++) {
            all->of[i][j] = (byte)(seed * 31 + (unsigned)i * 7 + (unsigned)j);
        }
    }
}

static bool same_vectors(const struct vectors *one, const struct vectors *two)
{
    size_t width = has_avx ? WIDEST : 16;
    for (int i = 0; i < REGISTERS; i++) {
        if (memcmp(one->of[i], two->of[i], width) != 0) {
            return false;
        }
    }
    return true;
}

#define FOR_ALL(X)                                                                                 \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_SSE(i) "movdqu " #i "*32(%%rbx), %%xmm" #i "\n"
#define LOAD_AVX(i) "vmovdqu " #i "*32(%%rbx), %%ymm" #i "\n"
#define STORE_SSE(i) "movdqu %%xmm" #i ", " #i "*32(%%rdx)\n"
#define STORE_AVX(i) "vmovdqu %%ymm" #i ", " #i "*32(%%rdx)\n"
#define CLOBBERED                                                                                  \
    "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",  \
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/* With the registers loaded: write a byte, count down, make a system call unless it is negative. */
#define BETWEEN                                                                                    \
    "movb $1, (%%r8)\n"                                                                            \
    "1: dec %%r9\n"                                                                                \
    "jnz 1b\n"                                                                                     \
    "test %%rax, %%rax\n"                                                                          \
    "js 2f\n"                                                                                      \
    "syscall\n"                                                                                    \
    "2:\n"

struct between {
    long spins;
    volatile byte *touch;
    long call, one, two;
};

/* Loads the registers, does what `between` says and stores them; returns the call's result. */
static long hold_vectors(const struct vectors *in, struct vectors *out, struct between between)
{
    volatile byte *place = between.touch;
    long count_down = between.spins;
    register volatile byte *touch __asm__("r8") = place;
    register long spins __asm__("r9") = count_down;
    long result = between.call;
    if (has_avx) {
        __asm__ volatile(FOR_ALL(LOAD_AVX) BETWEEN FOR_ALL(STORE_AVX) "vzeroupper"
                         : "+a"(result), "+r"(spins)
                         : "b"(in), "d"(out), "D"(between.one), "S"(between.two), "r"(touch)
                         : CLOBBERED);
    } else {
        __asm__ volatile(FOR_ALL(LOAD_SSE) BETWEEN FOR_ALL(STORE_SSE)
                         : "+a"(result), "+r"(spins)
                         : "b"(in), "d"(out), "D"(between.one), "S"(between.two), "r"(touch)
                         : CLOBBERED);
    }
    return result;
}

static byte spare[PAGE];

static struct between busy(long spins)
{
    return (struct between){spins, spare, -1, 0, 0};
}

/* Holds contents of its own for so many rounds; returns how often they were spoilt. */
static long hold_rounds(unsigned seed, int rounds, struct between between)
{
    struct vectors in, out;
    long spoilt = 0;
    for (int i = 0; i < rounds; i++) {
        fill_vectors(&in, seed * 1000 + (unsigned)i);
        memset(&out, 0, sizeof out);
        hold_vectors(&in, &out, between);
        spoilt += !same_vectors(&in, &out);
    }
    return spoilt;
}

static void *hold_busily(void *number)
{
    return (void *)hold_rounds((unsigned)(long)number, 30, busy(150000));
}

static void *hold_and_yield(void *number)
{
    struct between yield = {1, spare, SYS_sched_yield, 0, 0};
    return (void *)hold_rounds((unsigned)(long)number, 1000, yield);
}

static long in_threads(void *(*run)(void *))
{
    pthread_t threads[MANY];
    long sum = 0;
    for (long i = 0; i < MANY; i++) {
        pthread_create(&threads[i], NULL, run, (void *)i);
    }
    for (int i = 0; i < MANY; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    return sum;
}

static long in_processes(void *(*run)(void *))
{
    pid_t pids[MANY];
    long sum = 0;
    for (long i = 0; i < MANY; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(run((void *)i) != 0);
        }
    }
    for (int i = 0; i < MANY; i++) {
        sum += reap(pids[i]) != 0;
    }
    return sum;
}

static void others(void)
{
    note("%s registers", has_avx ? "AVX" : "SSE");
    ok_equal(in_threads(hold_busily), 0, "twelve threads that compute");
    ok_equal(in_threads(hold_and_yield), 0, "twelve that yield to each other");
    ok_equal(in_processes(hold_busily), 0, "twelve processes that compute");
    ok_equal(in_processes(hold_and_yield), 0, "twelve that yield");
}

static volatile int count;
static volatile unsigned fresh_control, fresh_word;

/* Spoils every register. */
static void spoil(int number)
{
    struct vectors other, out;
    unsigned short word;
    unsigned control;
    __asm__ volatile("stmxcsr %0" : "=m"(control));
    __asm__ volatile("fnstcw %0" : "=m"(word));
    fresh_control = control;
    fresh_word = word;
    control = 0x7f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
    fill_vectors(&other, (unsigned)number + 9999);
    hold_vectors(&other, &out, busy(1));
    count++;
}

static void signals(void)
{
    struct itimerval timer = {{0, 1000}, {0, 1000}};
    struct between self = {1, spare, SYS_kill, getpid(), SIGUSR1};
    unsigned control = 0x3f80, after; /* rounding down */
    unsigned short word = 0x0b7f, word_after;
    signal(SIGUSR1, spoil);
    signal(SIGVTALRM, spoil);
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
    __asm__ volatile("fldcw %0" : : "m"(word));
    ok_equal(hold_rounds(1, 50, self), 0, "fifty signals to oneself");
    ok_equal(count, 50, "all handled");
    __asm__ volatile("stmxcsr %0" : "=m"(after));
    __asm__ volatile("fnstcw %0" : "=m"(word_after));
    ok_equal(after & 0xffc0, control, "rounding and masks are kept");
    ok_equal(word_after, word, "those of the x87 too");
    ok_equal(fresh_control, 0x1f80, "a handler begins with the default");
    ok_equal(fresh_word, 0x37f, "for both");
    count = 0;
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    long spoilt = 0;
    for (int i = 0; i < 100 || (count < 5 && i < 5000); i++) {
        spoilt += hold_rounds(2, 1, busy(200000));
    }
    ok_equal(spoilt, 0, "signals of a timer at any moment");
    ok(count >= 5, "of which some came (%d)", count);
}

static volatile bool frame_good;
static unsigned upper_offset;

/* The saved registers are where Linux puts them; changes register 3. */
static void look_into_frame(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    byte *state = (byte *)user->uc_mcontext.fpregs;
    const uint32_t *about = (const uint32_t *)(state + 464);
    struct vectors wanted;
    (void)number, (void)info;
    fill_vectors(&wanted, 77);
    frame_good = memcmp(state + 160 + 3 * 16, wanted.of[3], 16) == 0 && (size_t)state % 16 == 0;
    memset(state + 160 + 3 * 16, 0xab, 16);
    if (has_avx) {
        frame_good = frame_good && about[0] == 0x46505853 && about[1] >= about[4] &&
                     (about[2] & 7) == 7 && *(uint32_t *)(state + about[4]) == 0x46505845 &&
                     memcmp(state + upper_offset + 3 * 16, wanted.of[3] + 16, 16) == 0;
        memset(state + upper_offset + 3 * 16, 0xcd, 16);
    }
    count++;
}

static void the_frame(void)
{
    struct sigaction action = {.sa_sigaction = look_into_frame, .sa_flags = SA_SIGINFO};
    struct between self = {1, spare, SYS_kill, getpid(), SIGUSR1};
    struct vectors in, out;
    unsigned b, c, d, a;
    __cpuid_count(13, 2, a, b, c, d);
    upper_offset = b;
    sigaction(SIGUSR1, &action, NULL);
    fill_vectors(&in, 77);
    hold_vectors(&in, &out, self);
    ok(count == 1 && frame_good, "a signal's frame holds the vector registers");
    memset(in.of[3], 0xab, 16);
    memset(in.of[3] + 16, 0xcd, 16);
    ok(same_vectors(&in, &out), "and what a handler writes there comes back");
}

static void forks(void)
{
    struct between split = {1, spare, SYS_fork, 0, 0};
    struct vectors in, out;
    int bad = 0;
    for (unsigned i = 0; i < 20; i++) {
        fill_vectors(&in, i);
        memset(&out, 0, sizeof out);
        pid_t pid = (pid_t)hold_vectors(&in, &out, split);
        bool same = same_vectors(&in, &out);
        if (pid == 0) {
            _exit(!same);
        }
        bad += !same || reap(pid) != 0;
    }
    ok_equal(bad, 0, "twenty forks: parent and child have the same");
}

static void faults(void)
{
    enum { PAGES = 200 };
    byte *area = map_pages(PAGES, RW);
    long spoilt = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        spoilt += hold_rounds(i, 1, (struct between){1, area + i * PAGE, -1, 0, 0});
    }
    ok_equal(spoilt, 0, "new pages");
    pid_t pid = fork();
    if (pid == 0) {
        sleep_forever();
    }
    for (unsigned i = 0; i < PAGES; i++) {
        spoilt += hold_rounds(i, 1, (struct between){1, area + i * PAGE, -1, 0, 0});
    }
    ok_equal(spoilt, 0, "copies on write");
    kill(pid, SIGKILL);
    reap(pid);
}

static void *round_differently(void *number)
{
    static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    static const double wanted[] = {2, 2, 3, 2};
    long mine = (long)number % 4, bad = 0;
    volatile double half = 2.5, tiny = 1.0e-300L;
    fesetround(modes[mine]);
    for (int i = 0; i < 200; i++) {
        double rounded;
        __asm__ volatile("cvtsd2si %1, %%rax; cvtsi2sd %%rax, %0"
                         : "=x"(rounded)
                         : "x"(half)
                         : "rax");
        bad += rounded != wanted[mine] || fegetround() != modes[mine];
        long double sum = 1.0L + tiny;
        bad += (sum > 1.0L) != (modes[mine] == FE_UPWARD);
        sched_yield();
    }
    return (void *)bad;
}

static void rounding(void)
{
    ok_equal(in_threads(round_differently), 0, "each thread rounds its own way");
    unsigned control = 0x7f80;
    pid_t pid = fork();
    if (pid == 0) {
        __asm__ volatile("ldmxcsr %0" : : "m"(control));
        execl("/proc/self/exe", "fpu", "after exec", NULL);
        _exit(9);
    }
    ok_equal(reap(pid), 0, "a new program rounds to nearest");
}

static int after_exec(void)
{
    unsigned control;
    unsigned short word;
    __asm__ volatile("stmxcsr %0" : "=m"(control));
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return (control & 0xffc0) == 0x1f80 && word == 0x37f ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(others), TAP_CASE(signals), TAP_CASE(the_frame),
        TAP_CASE(forks),  TAP_CASE(faults),  TAP_CASE(rounding),
    };
    if (argc == 2 && strcmp(argv[1], "after exec") == 0) {
        return after_exec();
    }
    find_features();
    return TAP_MAIN(cases);
}
