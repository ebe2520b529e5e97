/*
 * A terminal for tests: on Merganser the console's, taken away from the session that has it; on
 * Linux a pseudo-terminal. A test types by TIOCSTI or into the other end. Echo is off: what is
 * echoed would come between the results.
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "files.h"
#include "process.h"

static int tty = -1;    /* the terminal */
static int master = -1; /* its other end, on Linux */

/* On Linux what is typed takes a moment to arrive. */
static inline void settle(void)
{
    if (!on_merganser()) {
        pause_ms(20);
    }
}

/* A signal's character drops output, and the results go to the same terminal. */
static inline void drain_output(void)
{
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    sigprocmask(SIG_BLOCK, &ttou, &before);
    tcdrain(STDOUT_FILENO);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static inline void type_bytes(const char *bytes, size_t count)
{
    if (master >= 0) {
        if (write(master, bytes, count) != (ssize_t)count) {
            bail("type");
        }
    } else {
        drain_output();
        for (size_t i = 0; i < count; i++) {
            if (ioctl(tty, TIOCSTI, bytes + i)) {
                bail("TIOCSTI");
            }
        }
    }
    settle();
}

static inline void type(const char *text)
{
    type_bytes(text, strlen(text));
}

/* Changes local modes: those in `off` go, those in `on` come. */
static inline void local_modes(tcflag_t off, tcflag_t on)
{
    struct termios modes;
    tcgetattr(tty, &modes);
    modes.c_lflag = (modes.c_lflag & ~off) | on;
    if (tcsetattr(tty, TCSANOW, &modes)) {
        bail("tcsetattr");
    }
}

static inline void raw_mode(int min, int time)
{
    struct termios modes;
    tcgetattr(tty, &modes);
    modes.c_lflag &= ~(tcflag_t)ICANON;
    modes.c_cc[VMIN] = (cc_t)min;
    modes.c_cc[VTIME] = (cc_t)time;
    if (tcsetattr(tty, TCSANOW, &modes)) {
        bail("tcsetattr");
    }
}

static inline bool is_readable(void)
{
    struct pollfd wish = {tty, POLLIN, 0};
    return poll(&wish, 1, 0) == 1 && wish.revents & POLLIN;
}

/* Reads at most so many bytes; the text, the same buffer each time. "(errno N)" if it fails. */
static inline const char *read_text(size_t size)
{
    static char text[8192];
    ssize_t got = read(tty, text, size);
    if (got < 0) {
        snprintf(text, sizeof text, "(errno %d)", errno);
    } else {
        text[got] = '\0';
    }
    return text;
}

static inline void open_terminal(void)
{
    setsid();
    tty = open(on_merganser() ? "/dev/ttyS0" : ptsname(master), O_RDWR | O_NOCTTY);
    if (tty < 0 || ioctl(tty, TIOCSCTTY, on_merganser())) {
        bail("no terminal");
    }
    local_modes(ECHO | ECHONL, 0);
    tcflush(tty, TCIFLUSH); /* the end of the tester's standard input counts as typed */
}

/* Runs the function in a session leader whose controlling terminal is `tty`. */
static inline void in_session(void (*run)(void))
{
    struct termios modes;
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    if (on_merganser()) {
        tcgetattr(console, &modes);
    } else {
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0 || grantpt(master) || unlockpt(master)) {
            bail("no pseudo-terminal");
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        open_terminal();
        run();
        _exit(0);
    }
    ok_equal(reap(pid), 0, "the session's leader ends well");
    if (on_merganser()) {
        tcsetattr(console, TCSANOW, &modes);
    } else {
        close(master);
    }
    close(console);
}
