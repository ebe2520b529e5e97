/*
 * Does a program of the other C library start, print, allocate, compute, fork and run others? It
 * asks the kernel for other things than musl's programs do: rseq, clone3, getrandom, the vDSO.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <malloc.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>

#include "tap.h"

extern char **environ;

static char path[64];

static void printing(void)
{
    char text[256];
    note("glibc %s", gnu_get_libc_version());
    snprintf(text, sizeof text, "%5d|%-5s|%05.2f|%#x|%c|%zu|%ld|%%", -42, "ab", 3.14159, 255, 'z',
             sizeof text, LONG_MIN);
    ok(strcmp(text, "  -42|ab   |03.14|0xff|z|256|-9223372036854775808|%") == 0, "printf: %s",
       text);
    snprintf(text, sizeof text, "%g %e %a %.0f", 1e100, 12345.678, 1.0, 2.5);
    ok(strcmp(text, "1e+100 1.234568e+04 0x1p+0 2") == 0, "floating point: %s", text);
    snprintf(text, sizeof text, "%Lg %s", 0.1L, "\xc3\xa4");
    ok(strcmp(text, "0.1 \xc3\xa4") == 0, "long doubles, and bytes as they are");
    int number = 0;
    char word[16] = "";
    double fraction = 0;
    ok_equal(sscanf("17 words 2.5e3", "%d %15s %lf", &number, word, &fraction), 3, "scanf");
    ok(number == 17 && strcmp(word, "words") == 0 && fraction == 2500, "reads them");
    ok(strtol("-0x7f", NULL, 0) == -127 && strtoul("777", NULL, 8) == 511, "strtol");
    ok(isalpha('a') && !isalpha('1') && toupper('q') == 'Q', "the C locale");
}

static void streams(void)
{
    char line[64];
    long sum = 0;
    int lines = 0;
    FILE *file = fopen(path, "w+");
    ok(file != NULL, "fopen");
    for (int i = 0; i < 5000; i++) {
        fprintf(file, "line %d\n", i);
    }
    ok_equal(fflush(file), 0, "fflush");
    rewind(file);
    while (fgets(line, sizeof line, file)) {
        lines++;
        sum += atol(line + 5);
    }
    ok(lines == 5000 && sum == 12497500, "five thousand lines, written and read");
    ok_equal(fseek(file, 5, SEEK_SET), 0, "fseek");
    ok_equal(fgetc(file), '0', "fgetc");
    ok(ungetc('x', file) == 'x' && fgetc(file) == 'x', "ungetc");
    ok(ftell(file) == 6 && !feof(file) && !ferror(file), "ftell");
    ok_equal(fclose(file), 0, "fclose");
    ok_equal(remove(path), 0, "remove");
    errno = 0;
    file = fopen(path, "r");
    ok(file == NULL && errno == ENOENT, "fopen of nothing: ENOENT");
    file = tmpfile();
    ok(file && fputs("x", file) >= 0 && fclose(file) == 0, "tmpfile");
    char *memory = NULL;
    size_t size = 0;
    file = open_memstream(&memory, &size);
    fprintf(file, "%d-%s", 12, "in memory");
    fclose(file);
    ok(size == 12 && strcmp(memory, "12-in memory") == 0, "a stream in memory");
    free(memory);
}

static void allocation(void)
{
    enum { BLOCKS = 2000 };
    static unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    unsigned state = 1;
    int bad = 0;
    memset(blocks, 0, sizeof blocks);
    for (int round = 0; round < 10000; round++) {
        state = state * 1103515245 + 12345;
        unsigned i = state / 65536 % BLOCKS;
        if (blocks[i]) {
            bad += blocks[i][0] != (unsigned char)i || blocks[i][sizes[i] - 1] != (unsigned char)i;
        }
        free(blocks[i]);
        sizes[i] = 1 + state % 3000;
        blocks[i] = malloc(sizes[i]);
        memset(blocks[i], (int)i, sizes[i]);
    }
    ok_equal(bad, 0, "ten thousand small blocks keep their bytes");
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    size_t size = 16 << 20;
    unsigned char *large = malloc(size);
    ok(large != NULL, "a large block");
    memset(large, 7, size);
    unsigned char *larger = realloc(large, 2 * size);
    ok(larger && larger[size - 1] == 7, "grows, by mremap");
    unsigned char *small = realloc(larger, 100);
    ok(small && small[99] == 7, "and shrinks");
    free(small);
    ok((unsigned long)memalign(65536, 10) % 65536 == 0, "memalign");
    unsigned char *zero = calloc(1000, 1000);
    int nonzero = 0;
    for (int i = 0; i < 1000000; i += 100) {
        nonzero += zero[i];
    }
    ok_equal(nonzero, 0, "calloc is zero");
    errno = 0;
    void *volatile none = malloc((size_t)LONG_MAX);
    ok(none == NULL && errno == ENOMEM, "what is too large: ENOMEM");
    ok_equal(malloc_trim(0) >= 0, 1, "malloc_trim");
}

static int compare(const void *one, const void *two)
{
    return (*(const int *)one > *(const int *)two) - (*(const int *)one < *(const int *)two);
}

static void computing(void)
{
    static int numbers[20000];
    unsigned state = 7;
    int disorder = 0;
    for (int i = 0; i < 20000; i++) {
        state = state * 1664525 + 1013904223;
        numbers[i] = (int)(state >> 8);
    }
    qsort(numbers, 20000, sizeof *numbers, compare);
    for (int i = 1; i < 20000; i++) {
        disorder += numbers[i - 1] > numbers[i];
    }
    ok_equal(disorder, 0, "qsort");
    int wanted = numbers[777];
    int *found = bsearch(&wanted, numbers, 20000, sizeof *numbers, compare);
    ok(found && *found == wanted, "bsearch");
    static char text[10000];
    memset(text, 'a', sizeof text - 1);
    ok(strlen(text) == 9999 && strchr(text, 'b') == NULL && memchr(text, 0, sizeof text) != NULL,
       "string functions, chosen by the processor");
    ok(strstr(strcpy(text, "a needle in hay"), "needle") == text + 2, "strstr");
}

static void time_and_chance(void)
{
    struct tm parts;
    time_t then = 86400 * 365;
    char text[64];
    setenv("TZ", "UTC", 1);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a", gmtime_r(&then, &parts));
    ok(strcmp(text, "1971-01-01 00:00:00 Fri") == 0, "strftime: %s", text);
    ok_equal(mktime(&parts), then, "mktime");
    struct timespec first, second;
    clock_gettime(CLOCK_MONOTONIC, &first);
    usleep(10000);
    clock_gettime(CLOCK_MONOTONIC, &second);
    ok((second.tv_sec - first.tv_sec) * 1000000000 + second.tv_nsec - first.tv_nsec >= 10000000,
       "usleep");
    ok(time(NULL) > 1700000000, "time");
    unsigned char one[32] = {0}, two[32] = {0};
    ok_equal(getrandom(one, sizeof one, 0), sizeof one, "getrandom");
    ok(getentropy(two, sizeof two) == 0 && memcmp(one, two, sizeof one) != 0, "is never the same");
    ok(getauxval(AT_PAGESZ) == 4096 && sysconf(_SC_PAGESIZE) == 4096, "the size of a page");
    ok(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && get_nprocs() >= 1, "a processor at least");
    ok(sysconf(_SC_PHYS_PAGES) > 1000 && sysconf(_SC_AVPHYS_PAGES) > 0, "and memory");
    ok(sysconf(_SC_OPEN_MAX) >= 256 && sysconf(_SC_CLK_TCK) == 100, "limits");
}

static void identity(void)
{
    char text[PATH_MAX];
    ok(getpid() > 0 && getppid() > 0 && gettid() == getpid(), "numbers");
    ok(getuid() == geteuid() && getgid() == getegid(), "users");
    ok(getcwd(text, sizeof text) && text[0] == '/', "folder");
    ok(realpath("/proc/self/exe", text) && strstr(text, "glibc_basic"), "realpath: %s", text);
    ok(strcmp(program_invocation_short_name, "glibc_basic") == 0, "name");
    ok(setenv("A_NAME", "value", 1) == 0 && strcmp(getenv("A_NAME"), "value") == 0, "setenv");
    ok_equal(isatty(open("/dev/null", O_RDONLY)), 0, "/dev/null is no terminal");
    ok(gethostname(text, sizeof text) == 0 && text[0], "host's name");
}

static void other_programs(void)
{
    int ends[2], status = -1;
    char text[64] = "";
    pid_t pid;
    ok_equal(pipe(ends), 0, "pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    char name[] = "glibc_basic", say[] = "say", word[] = "a word";
    char *words[] = {name, say, word, NULL};
    ok_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, words, environ), 0, "posix_spawn");
    close(ends[1]);
    ok_equal(read(ends[0], text, sizeof text - 1), 7, "the new program speaks");
    ok(strcmp(text, "a word\n") == 0, "through a stream");
    ok(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4, "and ends");
    ok_equal(posix_spawn(&pid, "/no/such/program", NULL, NULL, words, environ), ENOENT,
             "no such program: ENOENT");
    pid = fork();
    if (pid == 0) {
        char *all = malloc(1 << 20);
        memset(all, 1, 1 << 20);
        _exit(all[12345] == 1 ? 6 : 1);
    }
    ok(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 6, "fork");
    setenv("FROM", "here", 1);
    ok_equal(WEXITSTATUS(system("test \"$FROM\" = here && exit 5")), 5, "system");
    FILE *stream = popen("echo one two | wc -w", "r");
    ok(stream && fgets(text, sizeof text, stream) && atoi(text) == 2, "popen");
    ok_equal(pclose(stream), 0, "pclose");
}

static void in_the_end(void)
{
    printf("buffered");
}

static void ending(void)
{
    char text[32] = "";
    int status, fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd, 1);
        atexit(in_the_end);
        exit(3);
    }
    ok(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3, "exit");
    ok(pread(fd, text, sizeof text, 0) == 8 && strcmp(text, "buffered") == 0,
       "calls what atexit was told, and empties streams");
    unlink(path);
    pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
        abort();
    }
    ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
       "abort");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(printing),       TAP_CASE(streams),         TAP_CASE(allocation),
        TAP_CASE(computing),      TAP_CASE(time_and_chance), TAP_CASE(identity),
        TAP_CASE(other_programs), TAP_CASE(ending),
    };
    if (argc == 3 && strcmp(argv[1], "say") == 0) {
        puts(argv[2]);
        return 4;
    }
    snprintf(path, sizeof path, "/tmp/glibc_basic-%d", getpid());
    return TAP_MAIN(cases);
}
