/*
 * The shell's beginning: where its commands come from.
 *
 *     sh [-ei x]               a terminal, or standard input
 *     sh [-ex] FILE [ARG...]   a script
 *     sh [-ex] -c TEXT [NAME [ARG...]]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sh.h"

struct shell shell = {.name = "sh"};

extern char **environ;

static void set_arguments(char **arguments)
{
    shell.args = arguments;
    while (arguments[shell.arg_count]) {
        shell.arg_count++;
    }
}

static int run_text(char **argv)
{
    if (!argv[0]) {
        complain("-c: a command is missing");
        return 2;
    }
    shell.name = argv[1] ? argv[1] : shell.name;
    set_arguments(argv[1] ? argv + 2 : argv + 1);
    return exec_string(argv[0]);
}

static int run_script(char **argv)
{
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain("%s: %s", argv[0], strerror(errno));
        return 127;
    }
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* out of the script's way */
    if (high >= 0) {
        close(fd);
    }
    shell.name = argv[0];
    set_arguments(argv + 1);
    return exec_input(input_from_fd(high >= 0 ? high : fd));
}

static int run_terminal(void)
{
    shell.interactive = true;
    jobs_init();
    return exec_input(input_from_terminal());
}

int main(int argc, char **argv)
{
    bool text = false, interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    shell.name = argc > 0 ? argv[0] : "sh";
    shell.pid = getpid();
    shell.args = argv + 1;
    var_import(environ);
    if (!var_get("PATH")) {
        var_set("PATH", "/bin:/usr/bin");
    }
    for (argv++; *argv && **argv == '-'; argv++) {
        for (const char *flag = *argv + 1; *flag; flag++) {
            text |= *flag == 'c';
            interactive |= *flag == 'i';
            shell.exit_on_error |= *flag == 'e';
            shell.trace |= *flag == 'x';
            if (!strchr("ceilx", *flag)) {
                complain("-%c: no such option; usage: sh [-eix] [FILE | -c TEXT] [ARG...]", *flag);
                return 2;
            }
        }
    }
    if (text) {
        return run_text(argv);
    }
    if (*argv) {
        return run_script(argv);
    }
    return interactive ? run_terminal() : exec_input(input_from_fd(STDIN_FILENO));
}
