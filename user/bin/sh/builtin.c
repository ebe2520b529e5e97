/*
 * The builtins: commands that must act on the shell itself, and a few that scripts use all the
 * time.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sh.h"

static int builtin_true(char **argv)
{
    (void)argv;
    return 0;
}

static int builtin_false(char **argv)
{
    (void)argv;
    return 1;
}

static int builtin_echo(char **argv)
{
    bool newline = !argv[1] || strcmp(argv[1], "-n") != 0;
    for (argv += newline ? 1 : 2; *argv; argv++) {
        printf("%s%s", *argv, argv[1] ? " " : "");
    }
    if (newline) {
        putchar('\n');
    }
    return 0;
}

static int builtin_pwd(char **argv)
{
    char path[PATH_MAX];
    (void)argv;
    if (!getcwd(path, sizeof path)) {
        complain("pwd: %s", strerror(errno));
        return 1;
    }
    puts(path);
    return 0;
}

static int builtin_cd(char **argv)
{
    const char *back = var_get("OLDPWD"), *home = var_get("HOME");
    bool to_back = argv[1] && strcmp(argv[1], "-") == 0;
    const char *target = to_back ? (back ? back : ".") : argv[1] ? argv[1] : home ? home : "/";
    char before[PATH_MAX] = "", after[PATH_MAX];
    if (!getcwd(before, sizeof before)) {
        before[0] = '\0';
    }
    if (chdir(target) < 0) {
        complain("cd: %s: %s", target, strerror(errno));
        return 1;
    }
    if (getcwd(after, sizeof after)) {
        var_set("PWD", after);
    }
    var_set("OLDPWD", before);
    if (to_back) {
        puts(after);
    }
    return 0;
}

static int builtin_exit(char **argv)
{
    exit(argv[1] ? atoi(argv[1]) & 255 : shell.status);
}

static int builtin_exec(char **argv)
{
    if (argv[1]) {
        exec_program(argv + 1);
    }
    return 0;
}

static int builtin_export(char **argv)
{
    if (!argv[1] || strcmp(argv[1], "-p") == 0) {
        var_print(true);
        return 0;
    }
    int status = 0;
    while (*++argv) {
        char *equals = strchr(*argv, '=');
        char *name = arena_copy(*argv, equals ? (size_t)(equals - *argv) : strlen(*argv));
        const char *value = equals ? equals + 1 : var_get(name);
        if (!var_set(name, value ? value : "")) {
            complain("export: %s: not a name", name);
            status = 1;
        } else {
            var_export(name);
        }
    }
    return status;
}

static int builtin_unset(char **argv)
{
    while (*++argv) {
        var_unset(*argv);
    }
    return 0;
}

static void set_arguments(char **arguments)
{
    int count = 0;
    while (arguments[count]) {
        count++;
    }
    char **copy = must(calloc((size_t)count + 1, sizeof *copy));
    for (int i = 0; i < count; i++) {
        copy[i] = must(strdup(arguments[i]));
    }
    shell.args = copy;
    shell.arg_count = count;
}

static int builtin_set(char **argv)
{
    if (!argv[1]) {
        var_print(false);
        return 0;
    }
    for (argv++; *argv && (**argv == '-' || **argv == '+'); argv++) {
        bool on = **argv == '-';
        if (strcmp(*argv, "--") == 0) {
            set_arguments(argv + 1);
            return 0;
        }
        for (const char *flag = *argv + 1; *flag; flag++) {
            if (*flag == 'e') {
                shell.exit_on_error = on;
            } else if (*flag == 'x') {
                shell.trace = on;
            } else {
                complain("set: -%c: only -e and -x are known", *flag);
                return 2;
            }
        }
    }
    if (*argv) {
        set_arguments(argv);
    }
    return 0;
}

static int builtin_shift(char **argv)
{
    int count = argv[1] ? atoi(argv[1]) : 1;
    if (count < 0 || count > shell.arg_count) {
        return 1;
    }
    shell.args += count;
    shell.arg_count -= count;
    return 0;
}

static int leave_loops(char **argv, enum unwind how)
{
    int levels = argv[1] ? atoi(argv[1]) : 1;
    if (levels < 1 || shell.loop_depth == 0) {
        complain("%s: not in a loop", argv[0]);
        return 1;
    }
    shell.unwind_levels = levels < shell.loop_depth ? levels : shell.loop_depth;
    shell.unwind = how;
    return 0;
}

static int builtin_break(char **argv)
{
    return leave_loops(argv, UNWIND_BREAK);
}

static int builtin_continue(char **argv)
{
    return leave_loops(argv, UNWIND_CONTINUE);
}

static int builtin_eval(char **argv)
{
    struct text commands = {0};
    while (*++argv) {
        text_add(&commands, *argv, strlen(*argv));
        text_put(&commands, ' ');
    }
    int status = exec_string(text_string(&commands));
    text_free(&commands);
    return status;
}

static int builtin_source(char **argv)
{
    FILE *file = argv[1] ? fopen(argv[1], "re") : NULL;
    if (!file) {
        complain("%s: %s", argv[1] ? argv[1] : argv[0],
                 argv[1] ? strerror(errno) : "a file, please");
        return 1;
    }
    struct text commands = {0};
    for (int byte; (byte = getc(file)) != EOF;) {
        text_put(&commands, (char)byte);
    }
    fclose(file);
    int status = exec_string(text_string(&commands));
    text_free(&commands);
    return status;
}

/* Reads a line from standard input a byte at a time; false if the input ended before any
 * newline. */
static bool read_line(struct text *line, bool raw)
{
    for (char byte; read(STDIN_FILENO, &byte, 1) == 1;) {
        if (byte == '\n') {
            return true;
        }
        if (byte == '\\' && !raw) {
            if (read(STDIN_FILENO, &byte, 1) != 1) {
                return false;
            }
            if (byte == '\n') {
                continue;
            }
        }
        text_put(line, byte);
    }
    return false;
}

/* read [-r] [-p PROMPT] NAME...: the last name takes the rest of the line. */
static int builtin_read(char **argv)
{
    static char name_reply[] = "REPLY", *reply[] = {name_reply, NULL};
    struct text line = {0};
    bool raw = false;
    for (argv++; *argv && **argv == '-'; argv++) {
        if (strcmp(*argv, "-p") == 0 && argv[1]) {
            fputs(*++argv, stderr);
        }
        raw |= strcmp(*argv, "-r") == 0;
    }
    bool whole = read_line(&line, raw);
    const char *ifs = var_get("IFS"), *rest = text_string(&line);
    ifs = ifs ? ifs : " \t\n";
    for (char **name = *argv ? argv : reply; *name; name++) {
        rest += strspn(rest, ifs);
        size_t length = name[1] ? strcspn(rest, ifs) : strlen(rest);
        while (!name[1] && length > 0 && strchr(ifs, rest[length - 1])) {
            length--;
        }
        if (!var_set(*name, arena_copy(rest, length))) {
            complain("read: %s: not a name", *name);
            whole = false;
        }
        rest += length;
    }
    text_free(&line);
    return whole ? 0 : 1;
}

static int builtin_type(char **argv)
{
    int status = 0;
    while (*++argv) {
        const char *file = builtin_find(*argv) ? "a shell builtin" : exec_find(*argv);
        status |= !file;
        printf("%s: %s\n", *argv, file ? file : "not found");
    }
    return status;
}

static int builtin_umask(char **argv)
{
    mode_t mask = argv[1] ? (mode_t)strtol(argv[1], NULL, 8) : umask(0);
    umask(mask);
    if (!argv[1]) {
        printf("%04o\n", (unsigned)mask);
    }
    return 0;
}

static int builtin_help(char **argv);

static const struct {
    const char *name;
    builtin_fn *function;
    const char *usage;
} builtins[] = {
    {".", builtin_source, ". FILE              run a script in this shell"},
    {":", builtin_true, ":                   do nothing"},
    {"[", test_builtin, "[ EXPRESSION ]      check files, strings and numbers"},
    {"bg", jobs_builtin_bg, "bg [%JOB]           let a stopped job go on in the background"},
    {"break", builtin_break, "break [N]           leave the loop"},
    {"cd", builtin_cd, "cd [DIRECTORY | -]  change the directory"},
    {"continue", builtin_continue, "continue [N]        begin the loop's next round"},
    {"echo", builtin_echo, "echo [-n] TEXT      print"},
    {"eval", builtin_eval, "eval TEXT           run a text as commands"},
    {"exec", builtin_exec, "exec COMMAND        become a program"},
    {"exit", builtin_exit, "exit [STATUS]       leave the shell"},
    {"export", builtin_export, "export NAME[=TEXT]  let programs see a variable"},
    {"false", builtin_false, "false               fail"},
    {"fg", jobs_builtin_fg, "fg [%JOB]           bring a job to the foreground"},
    {"help", builtin_help, "help                this list"},
    {"jobs", jobs_builtin, "jobs                list stopped and background jobs"},
    {"kill", jobs_builtin_kill, "kill [-SIG] PID|%JOB  send a signal"},
    {"pwd", builtin_pwd, "pwd                 show the directory"},
    {"read", builtin_read, "read [-r] NAME...   read a line into variables"},
    {"set", builtin_set, "set [-ex] [ARG...]  options, arguments, or show variables"},
    {"shift", builtin_shift, "shift [N]           drop the first arguments"},
    {"source", builtin_source, "source FILE         the same as ."},
    {"test", test_builtin, "test EXPRESSION     the same as ["},
    {"true", builtin_true, "true                succeed"},
    {"type", builtin_type, "type NAME...        where a command comes from"},
    {"umask", builtin_umask, "umask [MODE]        permissions new files do not get"},
    {"unset", builtin_unset, "unset NAME...       forget variables"},
    {"wait", jobs_builtin_wait, "wait [%JOB|PID]     wait for background jobs"},
};

#define BUILTIN_COUNT (sizeof builtins / sizeof *builtins)

static int builtin_help(char **argv)
{
    (void)argv;
    puts("Programs are in /bin. These commands are the shell's own:");
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        printf("  %s\n", builtins[i].usage);
    }
    puts("Also: if while until for { } ( ) ! && || ; & | < > >> 2>&1 <<\n"
         "      $VAR ${VAR} $((1+1)) $(COMMAND) * ? [a-z]");
    return 0;
}

/* Returns the builtin's function, or null. */
builtin_fn *builtin_find(const char *name)
{
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            return builtins[i].function;
        }
    }
    return NULL;
}

/* Returns the name of the index-th builtin, or null behind the last. */
const char *builtin_name(size_t index)
{
    return index < BUILTIN_COUNT ? builtins[index].name : NULL;
}
