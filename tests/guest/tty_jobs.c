/*
 * Job control: whose terminal it is, what its signals reach, and what the background may not do.
 *
 *   vm: --smp 2 --mem 256
 */
#define _GNU_SOURCE
#include "terminal.h"

/* Pipes between a session's leader and its jobs: on `seen` a job tells what happens to it. */
static int go[2], seen[2];

static void tell(char byte)
{
    if (write(seen[1], &byte, 1) != 1) {
        _exit(9);
    }
}

static char told(void)
{
    char byte = 0;
    return read(seen[0], &byte, 1) == 1 ? byte : 0;
}

static void session(void (*run)(void))
{
    if (pipe(go) || pipe(seen)) {
        bail("pipe");
    }
    in_session(run);
}

/* Starts a child in a process group of its own, in the foreground if asked. */
static pid_t start_job(void (*run)(void), bool foreground)
{
    pid_t pid = start(run);
    setpgid(pid, pid);
    if (foreground && tcsetpgrp(tty, pid)) {
        bail("tcsetpgrp");
    }
    if (write(go[1], "g", 1) != 1) {
        bail("go");
    }
    return pid;
}

/* A job begins when its group is set. */
static void wait_for_go(void)
{
    char byte;
    if (read(go[0], &byte, 1) != 1) {
        _exit(8);
    }
}

static int wait_for_change(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR) {
    }
    return status;
}

/* Makes the leader's group the foreground again, as a shell does. */
static void take_back(void)
{
    signal(SIGTTOU, SIG_IGN);
    ok_equal(tcsetpgrp(tty, getpgrp()), 0, "the leader takes the foreground back");
    signal(SIGTTOU, SIG_DFL);
}

/* ---- Who has the terminal ---- */

static void do_nothing(void)
{
}

static void owner_body(void)
{
    ok_equal(tcgetpgrp(tty), getpgrp(), "the leader's group is in the foreground");
    ok_equal(tcgetsid(tty), getpid(), "its session has the terminal");
    ok_equal(ioctl(tty, TIOCSCTTY, 0), 0, "taking it again changes nothing");
    int own = open("/dev/tty", O_RDWR);
    ok(own >= 0, "/dev/tty");
    ok_equal(tcgetpgrp(own), getpgrp(), "is the same terminal");
    close(own);
    pid_t ended = start(do_nothing);
    reap(ended);
    ok_errno(tcsetpgrp(tty, ended), ESRCH, "a group that does not exist");
    ok_errno(tcsetpgrp(tty, getpgid(getppid())), EPERM, "a group of another session");
    ok_errno(tcsetpgrp(tty, -1), EINVAL, "no group");
}

static void owner(void)
{
    session(owner_body);
}

static void other_session(void)
{
    setsid();
    if (open("/dev/tty", O_RDWR) >= 0 || errno != ENXIO) {
        _exit(1);
    }
    if (tcgetpgrp(tty) >= 0 || errno != ENOTTY) {
        _exit(2);
    }
    if (ioctl(tty, TIOCSCTTY, 0) == 0 || errno != EPERM) {
        _exit(3);
    }
}

static void not_leader(void)
{
    _exit(ioctl(tty, TIOCSCTTY, 0) == 0 ? 1 : errno == EPERM ? 0 : 2);
}

static void others_body(void)
{
    ok_equal(reap(start(other_session)), 0, "another session has no /dev/tty, nor this terminal");
    ok_equal(reap(start(not_leader)), 0, "who is no leader can't take it");
}

static void others(void)
{
    session(others_body);
}

static void on_signal(int number)
{
    tell(number == SIGINT     ? 'i'
         : number == SIGQUIT  ? 'q'
         : number == SIGTSTP  ? 't'
         : number == SIGWINCH ? 'w'
                              : 'h');
}

static void give_up_body(void)
{
    signal(SIGHUP, on_signal);
    ok_equal(ioctl(tty, TIOCNOTTY, 0), 0, "the leader gives the terminal up");
    ok_equal(told(), 'h', "its group gets SIGHUP");
    ok_errno(open("/dev/tty", O_RDWR), ENXIO, "it has none any more");
}

static void give_up(void)
{
    session(give_up_body);
}

/* ---- Signals ---- */

static void catch_all(void)
{
    wait_for_go();
    signal(SIGINT, on_signal);
    signal(SIGQUIT, on_signal);
    signal(SIGTSTP, on_signal);
    signal(SIGWINCH, on_signal);
    tell('r');
    sleep_forever();
}

static void signals_body(void)
{
    struct winsize size = {30, 100, 0, 0};
    pid_t job = start_job(catch_all, true);
    ok_equal(told(), 'r', "a job in the foreground");
    type("\x03");
    ok_equal(told(), 'i', "^C is SIGINT");
    type("\x1c");
    ok_equal(told(), 'q', "^\\ is SIGQUIT");
    type("\x1a");
    ok_equal(told(), 't', "^Z is SIGTSTP");
    ok_equal(ioctl(tty, TIOCSWINSZ, &size), 0, "a new window size");
    ok_equal(told(), 'w', "is SIGWINCH");
    ok(ioctl(tty, TIOCGWINSZ, &size) == 0 && size.ws_row == 30 && size.ws_col == 100, "it is kept");
    size = (struct winsize){24, 80, 0, 0};
    ioctl(tty, TIOCSWINSZ, &size);
    ok_equal(told(), 'w', "and again");
    kill(job, SIGKILL);
    reap(job);
    take_back();
}

static void signals(void)
{
    session(signals_body);
}

static void flushing_body(void)
{
    signal(SIGINT, SIG_IGN);
    type("dropped\n\x03kept\n");
    ok_text(read_text(100), "kept\n", "a signal drops what was typed before");
    local_modes(0, NOFLSH);
    type("kept, too\n\x03");
    ok_text(read_text(100), "kept, too\n", "not so with NOFLSH");
    local_modes(ISIG, 0);
    type("a\x03\n");
    ok_text(read_text(100), "a\x03\n", "without ISIG it is text");
}

static void flushing(void)
{
    session(flushing_body);
}

static void read_line(void)
{
    wait_for_go();
    tell('r');
    _exit((int)strlen(read_text(100)));
}

static void stop_and_go_body(void)
{
    pid_t job = start_job(read_line, true);
    ok_equal(told(), 'r', "a job that reads");
    pause_ms(100);
    type("\x1a");
    int status = wait_for_change(job);
    ok(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP, "^Z stops it");
    take_back();
    type("a line\n");
    kill(-job, SIGCONT);
    status = wait_for_change(job);
    ok(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN, "in the background it may not read");
    ok(is_readable(), "the line is still there");
    ok_equal(tcsetpgrp(tty, job), 0, "into the foreground");
    kill(-job, SIGCONT);
    ok_equal(reap(job), exited(7), "it reads the line");
    take_back();
}

static void stop_and_go(void)
{
    session(stop_and_go_body);
}

/* ---- The background ---- */

static void read_ignoring(void)
{
    wait_for_go();
    signal(SIGTTIN, SIG_IGN);
    char byte;
    _exit(read(tty, &byte, 1) < 0 && errno == EIO ? 0 : 1);
}

static void write_byte(void)
{
    wait_for_go();
    _exit(write(tty, "\n", 1) == 1 ? 0 : 1);
}

static void change_modes(void)
{
    wait_for_go();
    local_modes(0, 0);
}

static void take_foreground(void)
{
    wait_for_go();
    signal(SIGTTOU, SIG_IGN);
    _exit(tcsetpgrp(tty, getpgrp()) == 0 && tcgetpgrp(tty) == getpgrp() ? 0 : 1);
}

/* With TOSTOP nothing may be printed while the job is in the foreground. */
static void ok_stopped_until_foreground(pid_t job, const char *what)
{
    int status = wait_for_change(job);
    ok(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU, "%s stops it", what);
    tcsetpgrp(tty, job);
    kill(-job, SIGCONT);
    status = reap(job);
    take_back();
    ok_equal(status, 0, "and works in the foreground");
}

static void background_body(void)
{
    ok_equal(reap(start_job(read_ignoring, false)), 0, "read with SIGTTIN ignored: EIO");
    ok_equal(reap(start_job(write_byte, false)), 0, "a background job may write");
    local_modes(0, TOSTOP);
    ok_stopped_until_foreground(start_job(write_byte, false), "with TOSTOP writing");
    local_modes(TOSTOP, 0);
    ok_stopped_until_foreground(start_job(change_modes, false), "changing modes");
    ok_equal(reap(start_job(take_foreground, false)), 0, "SIGTTOU ignored: it may take it over");
    take_back();
}

static void background(void)
{
    session(background_body);
}

static void orphan(void)
{
    char byte;
    while (told() != 'g') {
    }
    tell(read(tty, &byte, 1) < 0 && errno == EIO ? 'e' : 'x');
}

static void leave_orphan(void)
{
    wait_for_go();
    start(orphan);
}

static void orphans_body(void)
{
    ok_equal(reap(start_job(leave_orphan, false)), 0, "a job ends and leaves a child");
    tell('g');
    pause_ms(100);
    ok_equal(told(), 'e', "nobody could continue it: read gives EIO");
}

static void orphans(void)
{
    session(orphans_body);
}

/* ---- Hang-up ---- */

static void on_hangup(int number)
{
    char byte = 0;
    (void)number;
    tell('h');
    pause_ms(
        100); /* Linux hangs a pseudo-terminal up when its other end is closed, a moment later */
    tell(read(tty, &byte, 1) == 0 ? 'r' : 'x');
    tell(write(tty, "x", 1) < 0 && errno == EIO ? 'w' : 'x');
    tell(isatty(tty) ? 'x' : 'i');
    _exit(0);
}

static void wait_for_hangup(void)
{
    wait_for_go();
    close(master);
    signal(SIGHUP, on_hangup);
    tell('s');
    sleep_forever();
}

static void hangup_body(void)
{
    start_job(wait_for_hangup, true);
    ok_equal(told(), 's', "a job in the foreground");
}

static void hangup(void)
{
    session(hangup_body);
    ok_equal(told(), 'h', "its session's leader ends: SIGHUP");
    ok_equal(told(), 'r', "reading finds the end");
    ok_equal(told(), 'w', "writing gives EIO");
    ok_equal(told(), 'i', "it is no terminal any more");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(owner),      TAP_CASE(others),   TAP_CASE(give_up),
        TAP_CASE(signals),    TAP_CASE(flushing), TAP_CASE(stop_and_go),
        TAP_CASE(background), TAP_CASE(orphans),  TAP_CASE(hangup),
    };
    return TAP_MAIN(cases);
}
