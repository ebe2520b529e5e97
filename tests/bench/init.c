/*
 * The first process of the Linux that the benchmark is compared with: mounts what the benchmark
 * reads, runs it with the options that the kernel's command line carries at its end, and turns the
 * machine off.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void init_mount(const char *type, const char *where)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, NULL) != 0)
        perror(where);
}

/* The kernel passes on words that it does not know itself; ours start at the first option. */
static void init_run(char **argv)
{
    char **words = argv;
    while (words[1] && strncmp(words[1], "--", 2) != 0)
        words++;
    execv("/bench", words);
    perror("/bench");
    _exit(127);
}

int main(int argc, char **argv)
{
    (void)argc;
    init_mount("proc", "/proc");
    init_mount("sysfs", "/sys");
    pid_t child = fork();
    if (child == 0)
        init_run(argv);
    waitpid(child, NULL, 0);
    sync();
    reboot(RB_POWER_OFF);
    return 1;
}
