/*
 * A tiny producer of TAP, the Test Anything Protocol, for guest tests.
 *
 *     static void reads_back(void) { ok(write(...) == 4, "four bytes are written"); }
 *     int main(int argc, char **argv)
 *     {
 *         static const struct tap_case cases[] = {TAP_CASE(reads_back), ...};
 *         return TAP_MAIN(cases);
 *     }
 *
 * Each case runs in a child of its own, with a time limit, so that it may crash, hang or spoil its
 * address space; whatever it does not survive is one more failed test. The counters are in a page
 * that all share. Arguments select the cases whose names contain one of them.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define TAP_SECONDS 40 /* for a case that says nothing else; an emulator may be slow */

struct tap_case {
    const char *name;
    void (*run)(void);
    unsigned seconds;
};

#define TAP_CASE(function) {#function, function, 0}
#define TAP_SLOW_CASE(function, limit) {#function, function, limit}
#define TAP_MAIN(cases) tap_main(argc, argv, cases, sizeof(cases) / sizeof *(cases))

struct tap_counters {
    int tests, failures;
};

static struct tap_counters *tap;

/* Writes a line at once, so that no fork duplicates and no crash loses it. */
__attribute__((format(printf, 1, 0))) static inline void tap_vprint(const char *format,
                                                                    va_list args)
{
    char line[1024];
    int length = vsnprintf(line, sizeof line - 1, format, args);
    if (length > (int)sizeof line - 2) {
        length = (int)sizeof line - 2;
    }
    line[length++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length) != length) {
        _exit(3);
    }
}

/* A line that is no result. */
__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    snprintf(text, sizeof text, "# %s", format);
    tap_vprint(text, args);
    va_end(args);
}

/* Counts and prints one result; use ok(). */
__attribute__((format(printf, 5, 6))) static inline bool
tap_result(bool good, const char *file, int line, const char *what, const char *format, ...)
{
    char text[900];
    va_list args;
    int error = errno, number = __atomic_add_fetch(&tap->tests, 1, __ATOMIC_RELAXED);
    va_start(args, format);
    snprintf(text, sizeof text, "%sok %d - %s", good ? "" : "not ", number, format);
    tap_vprint(text, args);
    va_end(args);
    if (!good) {
        __atomic_add_fetch(&tap->failures, 1, __ATOMIC_RELAXED);
        note("%s:%d: %s, errno %d (%s)", file, line, what, error, strerror(error));
    }
    return good;
}

/* One test: condition must hold. The rest is its description, as for printf. */
#define ok(condition, ...) tap_result(condition, __FILE__, __LINE__, #condition, __VA_ARGS__)

/* The call must return what is wanted; says what it did return. */
#define ok_equal(call, wanted, ...)                                                                \
    tap_equal((long)(call), (long)(wanted), __FILE__, __LINE__, #call, __VA_ARGS__)

/* The call must fail, returning -1, with this errno. */
#define ok_errno(call, error, ...)                                                                 \
    tap_errno((errno = 0, (long)(call)), error, __FILE__, __LINE__, #call, __VA_ARGS__)

__attribute__((format(printf, 6, 7))) static inline bool tap_equal(long got, long wanted,
                                                                   const char *file, int line,
                                                                   const char *what,
                                                                   const char *format, ...)
{
    char text[256];
    int error = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    errno = error;
    bool good = tap_result(got == wanted, file, line, what, "%s", text);
    if (!good) {
        note("got %ld (%#lx), wanted %ld (%#lx)", got, got, wanted, wanted);
    }
    return good;
}

__attribute__((format(printf, 6, 7))) static inline bool tap_errno(long got, int wanted,
                                                                   const char *file, int line,
                                                                   const char *what,
                                                                   const char *format, ...)
{
    char text[256];
    int error = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    errno = error;
    bool good = tap_result(got == -1 && error == wanted, file, line, what, "%s: %s", text,
                           strerror(wanted));
    if (!good) {
        note("returned %ld, wanted -1 with errno %d", got, wanted);
    }
    return good;
}

/* One test that can't be made here, and why. */
__attribute__((format(printf, 1, 2))) static inline void skip(const char *format, ...)
{
    char text[900];
    va_list args;
    int number = __atomic_add_fetch(&tap->tests, 1, __ATOMIC_RELAXED);
    va_start(args, format);
    snprintf(text, sizeof text, "ok %d # SKIP %s", number, format);
    tap_vprint(text, args);
    va_end(args);
}

/* Nothing that follows makes sense: ends the whole program. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void bail(const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    snprintf(text, sizeof text, "Bail out! %s: %s", format, strerror(errno));
    tap_vprint(text, args);
    va_end(args);
    exit(1);
}

/* True on Merganser, false on Linux. */
static inline bool on_merganser(void)
{
    struct utsname name;
    return uname(&name) == 0 && strcmp(name.version, "Merganser") == 0;
}

/* Writes a text to a file at once: 0, or -1 with errno. */
static inline int spill(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t written = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    errno = error;
    return written == (ssize_t)strlen(text) ? 0 : -1;
}

/* The number a file begins with, -1 if it is empty or can't be read. */
static inline long read_number(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    return got > 0 ? atol(text) : -1;
}

/* Forks, runs the function in the child, and returns its wait status. */
static inline int tap_child(void (*run)(void))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        run();
        _exit(0);
    }
    if (pid < 0) {
        bail("fork");
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* The signal that ends a child running the function, 0 if it ends by itself. */
static inline int tap_child_signal(void (*run)(void))
{
    int status = tap_child(run);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static inline void tap_run_case(const struct tap_case *test)
{
    pid_t pid = fork();
    if (pid < 0) {
        bail("fork for %s", test->name);
    }
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGALRM, SIG_DFL);
        alarm(test->seconds ? test->seconds : TAP_SECONDS);
        note("case %s", test->name);
        test->run();
        exit(0);
    }
    setpgid(pid, pid);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    kill(-pid, SIGKILL); /* whatever it left behind */
    if (WIFSIGNALED(status)) {
        ok(false, "case %s ended by signal %d%s", test->name, WTERMSIG(status),
           WTERMSIG(status) == SIGALRM ? ": it took too long" : "");
    } else if (WEXITSTATUS(status) != 0) {
        ok(false, "case %s ended with status %d", test->name, WEXITSTATUS(status));
    }
}

static inline bool tap_selected(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i])) {
            return true;
        }
    }
    return argc < 2;
}

/* Prepares the counters, once; for programs that test something before tap_main. */
static inline void tap_begin(void)
{
    if (tap) {
        return;
    }
    tap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tap == MAP_FAILED) {
        printf("Bail out! no shared memory: %s\n", strerror(errno));
        exit(1);
    }
}

/* Prints the plan; returns the program's exit status. */
static inline int tap_end(void)
{
    char plan[32];
    snprintf(plan, sizeof plan, "1..%d\n", tap->tests);
    if (write(STDOUT_FILENO, plan, strlen(plan)) < 0) {
        return 1;
    }
    return tap->failures ? 1 : 0;
}

static inline int tap_main(int argc, char **argv, const struct tap_case *cases, size_t count)
{
    tap_begin();
    for (size_t i = 0; i < count; i++) {
        if (tap_selected(argc, argv, cases[i].name)) {
            tap_run_case(&cases[i]);
        }
    }
    return tap_end();
}
