/*
 * What does execve hand over to a new program, what can be run, and how does it fail?
 */
#define _GNU_SOURCE
#include <elf.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "exec.h"

static char *volatile bad = (char *)8; /* volatile: the compiler would see that it is no pointer */
static char show[] = "MODE=show", check[] = "MODE=check";

static int show_words(int argc, char **argv)
{
    char number[16];
    snprintf(number, sizeof number, "%d", argc);
    tell(number);
    for (char **word = argv; *word; word++) {
        tell(*word);
    }
    tell("env");
    for (char **word = environ; *word; word++) {
        tell(*word);
    }
    return 0;
}

static void words(void)
{
    char one[] = "one", empty[] = "", blank[] = "a b\n", pair[] = "X=1=2", odd[] = "no equals";
    ok_equal(run(self, WORDS(one, empty, blank), WORDS(show, pair, odd)), 0, "execve");
    ok_text(output, "3|one||a b\n|env|MODE=show|X=1=2|no equals|", "words and environment arrive");
    ok_equal(run(self, (char *[]){NULL}, WORDS(show)), 0, "no words");
    ok_text(output, "1||env|MODE=show|", "become one empty word");
    ok_equal(run(self, NULL, WORDS(show)), 0, "nor even a list");
    ok_text(output, "1||env|MODE=show|", "become one empty word");
    ok_equal(run(self, WORDS(show), NULL), 0, "no environment");
    ok_text(output, "1|MODE=show|env|", "it is empty");
    static char large[10001];
    memset(large, 'x', 10000);
    ok_equal(run(self, WORDS(large), WORDS(show)), 0, "a large word");
    ok(strncmp(output, "1|xxxx", 6) == 0 && strlen(output) == 2 + 10000 + 1 + 14, "is complete");
}

static const Elf64_auxv_t *auxv_of(char **envp)
{
    while (*envp) {
        envp++;
    }
    return (const Elf64_auxv_t *)(envp + 1);
}

static int show_auxv(char **argv)
{
    char text[64];
    const Elf64_auxv_t *end = auxv_of(environ);
    const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
    bool found = false;
    while (end->a_type != AT_NULL) {
        end++;
    }
    for (size_t i = 0; header && i < getauxval(AT_PHNUM); i++) {
        found |= header[i].p_type == PT_LOAD && header[i].p_vaddr <= getauxval(AT_ENTRY) &&
                 getauxval(AT_ENTRY) < header[i].p_vaddr + header[i].p_memsz;
    }
    tell(found && getauxval(AT_PHENT) == sizeof *header ? "program headers" : "bad headers");
    tell((unsigned long)(argv - 1) % 16 == 0 ? "aligned" : "unaligned");
    tell((char *)end < argv[0] ? "strings above" : "strings below");
    snprintf(text, sizeof text, "%lu %lu %lu", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK),
             getauxval(AT_SECURE));
    tell(text);
    tell(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() &&
                 getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid()
             ? "users"
             : "bad users");
    tell((const char *)getauxval(AT_EXECFN));
    const uint64_t *random = (const uint64_t *)getauxval(AT_RANDOM);
    snprintf(text, sizeof text, "%lx%lx", random ? random[0] : 0, random ? random[1] : 0);
    tell(text);
    return 0;
}

static void auxiliary_vector(void)
{
    char mode[] = "MODE=auxv", name[] = "name", wanted[PATH_MAX + 64], first[64];
    ok_equal(run(self, WORDS(name), WORDS(mode)), 0, "auxiliary vector");
    char *random = strrchr(output, '|');
    if (random) {
        *random = '\0';
        random = strrchr(output, '|');
    }
    snprintf(first, sizeof first, "%s", random ? random : "none");
    if (random) {
        random[1] = '\0';
    }
    snprintf(wanted, sizeof wanted, "program headers|aligned|strings above|4096 100 0|users|%s|",
             self);
    ok_text(output, wanted, "its entries");
    run(self, WORDS(name), WORDS(mode));
    ok(strlen(first) > 20 && !strstr(output, first), "other random bytes each time");
}

static int check_files(void)
{
    return fcntl(20, F_GETFD) == 0 && fcntl(21, F_GETFD) < 0 && fcntl(22, F_GETFD) == 0 &&
                   fcntl(23, F_GETFD) < 0 && fcntl(24, F_GETFD) == 0 && lseek(20, 0, SEEK_CUR) == 5
               ? 0
               : 1;
}

static void close_on_exec(void)
{
    char mode[] = "MODE=files";
    if (file_write("file", "1234567890", 0600) < 0) {
        bail("file");
    }
    int fd = open("file", O_RDONLY | O_CLOEXEC);
    dup2(fd, 20);
    dup3(fd, 21, O_CLOEXEC);
    dup2(21, 22);
    ok_equal(fcntl(fd, F_DUPFD_CLOEXEC, 23), 23, "F_DUPFD_CLOEXEC");
    dup2(fd, 24);
    fcntl(24, F_SETFD, FD_CLOEXEC);
    fcntl(24, F_SETFD, 0);
    lseek(fd, 5, SEEK_SET);
    ok_equal(run(self, WORDS(self), WORDS(mode)), 0, "only files marked so are closed");
    ok_equal(fcntl(21, F_GETFD), FD_CLOEXEC, "and only in the child");
}

/* Makes a script and runs it with one word. */
static int run_script(const char *first_line)
{
    char name[] = "script", word[] = "word";
    char text[PATH_MAX + 512];
    snprintf(text, sizeof text, "#!%s\nsecond line\n", first_line);
    if (file_write("script", text, 0755) < 0) {
        bail("script");
    }
    return run("./script", WORDS(name, word), WORDS(show));
}

static void scripts(void)
{
    char line[PATH_MAX + 32], wanted[2 * PATH_MAX], name[] = "second", word[] = "word";
    ok_equal(run_script(self), 0, "a script runs its interpreter");
    snprintf(wanted, sizeof wanted, "3|%s|./script|word|env|MODE=show|", self);
    ok_text(output, wanted, "with the script's path and its words");
    snprintf(line, sizeof line, " \t%s  -a  b \t", self);
    ok_equal(run_script(line), 0, "an argument for the interpreter");
    snprintf(wanted, sizeof wanted, "4|%s|-a  b|./script|word|env|MODE=show|", self);
    ok_text(output, wanted, "one word, without the blanks around it");
    ok_equal(run_script("/no/such/interpreter"), exited(100 + ENOENT), "no such interpreter");
    ok_equal(run_script("/dev"), exited(100 + EACCES), "a folder for an interpreter");
    ok_equal(run_script(""), exited(100 + ENOEXEC), "no interpreter at all");
    snprintf(line, sizeof line, "/%0300d", 0);
    ok_equal(run_script(line), exited(100 + ENOEXEC), "an endless interpreter");
    run_script(self);
    file_write("second", "#!./script x", 0755);
    ok_equal(run("second", WORDS(name, word), WORDS(show)), 0, "a script of a script");
    snprintf(wanted, sizeof wanted, "5|%s|./script|x|second|word|env|MODE=show|", self);
    ok_text(output, wanted, "its words");
    file_write("loop", "#!loop", 0755);
    ok_equal(run("loop", WORDS(name), WORDS(show)), exited(100 + ELOOP), "a script of itself");
    chmod("script", 0644);
    ok_equal(run("script", WORDS(name), WORDS(show)), exited(100 + EACCES), "not executable");
}

static void errors(void)
{
    char long_name[300];
    memset(long_name, 'n', 299);
    long_name[299] = '\0';
    file_write("text", "hello\n", 0755);
    file_write("plain", "hello\n", 0644);
    file_write("empty", "", 0755);
    file_write("elf", "\177ELF and no more", 0755);
    ok(symlink("loop2", "loop1") == 0 && symlink("loop1", "loop2") == 0, "two symbolic links");
    ok_errno(execve("missing", NULL, NULL), ENOENT, "no such file");
    ok_errno(execve("", NULL, NULL), ENOENT, "no name");
    ok_errno(execve("text/x", NULL, NULL), ENOTDIR, "a file as a folder");
    ok_errno(execve(".", NULL, NULL), EACCES, "a folder");
    ok_errno(execve("plain", NULL, NULL), EACCES, "not executable");
    ok_errno(execve("/dev/null", NULL, NULL), EACCES, "a device");
    ok_errno(execve("text", NULL, NULL), ENOEXEC, "no program");
    ok_errno(execve("empty", NULL, NULL), ENOEXEC, "an empty file");
    ok_errno(execve("elf", NULL, NULL), ENOEXEC, "a program cut short");
    ok_errno(execve("loop1", NULL, NULL), ELOOP, "links in a circle");
    ok_errno(execve(long_name, NULL, NULL), ENAMETOOLONG, "a long name");
    ok_errno(execve(bad, NULL, NULL), EFAULT, "a bad path");
    ok_errno(execve(self, (char **)bad, NULL), EFAULT, "a bad list of words");
    ok_errno(execve(self, WORDS(bad), NULL), EFAULT, "a bad word");
    ok_errno(execve(self, NULL, WORDS(bad)), EFAULT, "a bad variable");
}

static void too_much(void)
{
    enum { LONGEST = 131072, COUNT = 24 };
    struct rlimit limit = {8 << 20, RLIM_INFINITY};
    char *many[COUNT + 1], *word = malloc(LONGEST + 1);
    setrlimit(RLIMIT_STACK, &limit);
    memset(word, 'w', LONGEST);
    word[LONGEST] = '\0';
    ok_errno(execve(self, WORDS(word), NULL), E2BIG, "a word of more than 128 KiB");
    word[LONGEST - 1] = '\0';
    ok_equal(run(self, WORDS(word), WORDS(check)), 0, "one of just 128 KiB");
    for (int i = 0; i < COUNT; i++) {
        many[i] = word;
    }
    many[COUNT] = NULL;
    ok_errno(execve(self, many, NULL), E2BIG, "words beyond a quarter of the stack's limit");
    ok_errno(execve(self, NULL, many), E2BIG, "variables too");
    many[12] = NULL;
    ok_equal(run(self, many, WORDS(check)), 0, "half as many");
}

static void headers_of_others(void)
{
    Elf64_Ehdr header;
    int from = open(self, O_RDONLY);
    if (read(from, &header, sizeof header) != sizeof header) {
        bail("read");
    }
    close(from);
    static const char *const what[] = {"another machine's", "another class", "an object file"};
    for (int i = 0; i < 3; i++) {
        Elf64_Ehdr wrong = header;
        wrong.e_machine = i == 0 ? EM_AARCH64 : header.e_machine;
        wrong.e_ident[EI_MAG0] = i == 1 ? 'E' : header.e_ident[EI_MAG0];
        wrong.e_type = i == 2 ? ET_REL : header.e_type;
        int fd = open("wrong", O_WRONLY | O_CREAT | O_TRUNC, 0755);
        if (write(fd, &wrong, sizeof wrong) != sizeof wrong) {
            bail("write");
        }
        close(fd);
        ok_errno(execve("wrong", NULL, NULL), ENOEXEC, "%s", what[i]);
    }
}

static void busy_files(void)
{
    ok_errno(open(self, O_WRONLY), ETXTBSY, "a running program can't be written");
    file_write("text", "hello\n", 0755);
    int fd = open("text", O_WRONLY);
    ok_errno(execve("text", NULL, NULL), ETXTBSY, "nor a file run that someone writes");
    close(fd);
    ok_errno(execve("text", NULL, NULL), ENOEXEC, "until it is closed");
}

static void by_descriptor(void)
{
    char name[] = "name", empty[] = "";
    int file = open(self, O_RDONLY | O_CLOEXEC), folder = open(".", O_RDONLY | O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        syscall(SYS_execveat, file, empty, WORDS(name), WORDS(check), AT_EMPTY_PATH);
        _exit(1);
    }
    ok_equal(reap(pid), 0, "execveat of an open file");
    ok(symlink(self, "link") == 0, "a link");
    pid = fork();
    if (pid == 0) {
        syscall(SYS_execveat, folder, "link", WORDS(name), WORDS(check), 0);
        _exit(1);
    }
    ok_equal(reap(pid), 0, "execveat below a folder");
    ok_errno(syscall(SYS_execveat, folder, "link", NULL, NULL, AT_SYMLINK_NOFOLLOW), ELOOP,
             "not by a link");
    ok_errno(syscall(SYS_execveat, 99, "link", NULL, NULL, 0), EBADF, "below nothing");
    ok_errno(syscall(SYS_execveat, file, "link", NULL, NULL, 0), ENOTDIR, "below a file");
    ok_errno(syscall(SYS_execveat, file, empty, NULL, NULL, 0), ENOENT, "an empty path");
    ok_errno(syscall(SYS_execveat, folder, "link", NULL, NULL, 1), EINVAL, "unknown flag");
}

/* What the program does when the test runs it. */
static int as_new_program(const char *mode, int argc, char **argv)
{
    if (strcmp(mode, "auxv") == 0) {
        return show_auxv(argv);
    }
    if (strcmp(mode, "files") == 0) {
        return check_files();
    }
    return strcmp(mode, "show") == 0 ? show_words(argc, argv) : 0;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(words),
        TAP_CASE(auxiliary_vector),
        TAP_CASE(close_on_exec),
        TAP_CASE(scripts),
        TAP_CASE(errors),
        TAP_CASE(too_much),
        TAP_CASE(headers_of_others),
        TAP_CASE(busy_files),
        TAP_CASE(by_descriptor),
    };
    if (getenv("MODE")) {
        return as_new_program(getenv("MODE"), argc, argv);
    }
    if (argc == 1 && strcmp(argv[0], "MODE=show") == 0) {
        return show_words(argc, argv);
    }
    exec_prepare();
    files_enter();
    int status = TAP_MAIN(cases);
    files_leave();
    return status;
}
