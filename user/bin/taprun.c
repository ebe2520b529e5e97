/*
 * Runs test programs one after another, for tools/run-tests.
 *
 *     taprun SECONDS:PROGRAM...
 *
 * The output of each goes to standard output between two lines of our own, so that whoever reads
 * the console knows which program is speaking and how it ended:
 *
 *     #begin PROGRAM
 *     #end PROGRAM MILLISECONDS exit STATUS | signal NUMBER | timeout
 *
 * A program runs in a process group of its own, which is killed when its seconds are over.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 5000000

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static pid_t spawn(const char *program)
{
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        execl(program, program, (char *)NULL);
        perror(program);
        _exit(127);
    }
    return child;
}

/* Waits until the child has ended or the deadline has come; false: it had to be killed. */
static int wait_until(pid_t child, long deadline, int *status)
{
    const struct timespec pause = {0, POLL_NS};
    while (waitpid(child, status, WNOHANG) == 0) {
        if (now_ms() >= deadline) {
            kill(-child, SIGKILL);
            kill(child, SIGKILL);
            waitpid(child, status, 0);
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    return 1;
}

static void run(long seconds, const char *program)
{
    printf("#begin %s\n", program);
    fflush(stdout);
    long start = now_ms();
    int status = 0;
    pid_t child = spawn(program);
    int ended = child > 0 && wait_until(child, start + seconds * 1000, &status);
    if (child > 0)
        kill(-child, SIGKILL); /* whatever it left behind */

    printf("\n#end %s %ld ", program, now_ms() - start);
    if (child < 0)
        printf("exit 126\n");
    else if (!ended)
        printf("timeout\n");
    else if (WIFSIGNALED(status))
        printf("signal %d\n", WTERMSIG(status));
    else
        printf("exit %d\n", WEXITSTATUS(status));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *program = strchr(argv[i], ':');
        if (!program) {
            fprintf(stderr, "usage: taprun SECONDS:PROGRAM...\n");
            return 2;
        }
        run(atol(argv[i]), program + 1);
    }
    return 0;
}
