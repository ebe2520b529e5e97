#!/usr/bin/env python3
"""Sits at the terminal of a machine, types, and looks at every byte that comes back.

    tests/host/terminal.py BUILD

What the terminal makes of input is tested in the guest (tests/guest/tty_*.c); here is what only
somebody in front of it sees: echo, editing on the screen, ^C and ^Z in a shell, flow control, a
program that takes the whole screen. Prints TAP.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
ROWS, COLUMNS = 33, 101
PROMPT = r"merganser:[^#\r\n]*# (\x1b\[[0-9]*[A-Za-z]|\r)*"  # and what places the cursor
BOOT_SECONDS = 60
SECONDS = 20


class Terminal:
    """A machine with a shell on a pseudo-terminal."""

    def __init__(self, build):
        self.output, self.count, self.failed = "", 0, 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
            os.execv(f"{ROOT}/tools/vm", ["vm", "--iso", f"{build}/merganser.iso",
                                          "--mem", "256", "--timeout", "300"])

    def receive(self, seconds):
        """Adds what comes within that time; False if nothing does."""
        if not select.select([self.fd], [], [], max(seconds, 0))[0]:
            return False
        try:
            self.output += os.read(self.fd, 65536).decode("latin1")
        except OSError:  # the machine has gone
            return False
        return True

    def expect(self, pattern, name, seconds=SECONDS):
        """One test: output that matches comes in time. What was before it is passed over."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output)):
            if not self.receive(end - time.monotonic()):
                break
        self.result(found, name, f"wanted {pattern!r}, got {self.output[-300:]!r}")
        self.output = self.output[found.end():] if found else ""

    def expect_exactly(self, text, name):
        """One test: the next output is this text."""
        end = time.monotonic() + SECONDS
        while len(self.output) < len(text) and self.receive(end - time.monotonic()):
            pass
        self.result(self.output.startswith(text), name,
                    f"wanted {text!r}, got {self.output[:len(text) + 20]!r}")
        self.output = self.output[len(text):]

    def expect_silence(self, name, seconds=1):
        self.result(not self.receive(seconds) and not self.output, name, f"got {self.output!r}")

    def result(self, good, name, why):
        self.count += 1
        self.failed += not good
        print(f"{'' if good else 'not '}ok {self.count} - {name}", flush=True)
        if not good:
            print(f"# {why}", flush=True)

    def type(self, text):
        os.write(self.fd, text.encode("latin1"))

    def run(self, command):
        """Types a command and passes over its echo, which is the shell's own."""
        self.type(command + "\r")
        self.expect(r"\r\n", f"{command}")

    def close(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def rubout(columns):
    return "\b \b" * columns


def test_editing(terminal):
    """cat leaves the editing to the terminal."""
    lines = [
        ("a line is echoed, then printed", "abc\r", "abc\r\n", "abc\r\n"),
        ("erase", "abc\x7fd\r", "abc" + rubout(1) + "d\r\n", "abd\r\n"),
        ("no erase before the line's start", "a\x7f\x7f\x7fb\r", "a" + rubout(1) + "b\r\n", "b\r\n"),
        ("kill", "xyz\x15q\r", "xyz" + rubout(3) + "q\r\n", "q\r\n"),
        ("word erase", "one two\x17x\r", "one two" + rubout(3) + "x\r\n", "one x\r\n"),
        ("a tab is erased as wide as it was", "a\tb\x7f\x7fc\r",
         "a\tb" + rubout(1) + rubout(7) + "c\r\n", "ac\r\n"),
        ("a control character takes two columns", "\x01\x7fz\r", "^A" + rubout(2) + "z\r\n", "z\r\n"),
        ("a character of two bytes is erased once", "\xc3\xa4\x7fo\r",
         "\xc3\xa4" + rubout(1) + "o\r\n", "o\r\n"),
        ("the next character is literal", "\x16\x03\r", "^\b^C\r\n", "\x03\r\n"),
        ("the line is shown again", "abc\x12\r", "abc^R\r\nabc\r\n", "abc\r\n"),
    ]
    terminal.run("cat")
    time.sleep(0.5)
    for name, typed, echo, printed in lines:
        terminal.type(typed)
        terminal.expect_exactly(echo + printed, name)
    terminal.type("no end\x04")
    terminal.expect_exactly("no endno end", "an end of file behind text passes it on")
    terminal.type("\x13")
    time.sleep(0.3)
    terminal.type("held\r")
    terminal.expect_silence("^S holds the output back")
    terminal.type("\x11")
    terminal.expect_exactly("held\r\nheld\r\n", "^Q lets it go")
    terminal.type("\x04")
    terminal.expect(PROMPT, "^D ends the program")


def test_jobs(terminal):
    terminal.run("sleep 100")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.expect(r"\^C\r\n(.*\n)?\r?" + PROMPT, "^C ends a program")
    terminal.run("echo status $?")
    terminal.expect(r"status 130\r\n\r?" + PROMPT, "with its signal")
    terminal.run("sleep 100")
    time.sleep(0.5)
    terminal.type("\x1c")
    terminal.expect(r"\^\\(.*\n)+\r?" + PROMPT, "^\\ ends it, too")
    terminal.run("sleep 3; echo over")
    time.sleep(0.5)
    terminal.type("\x1a")
    terminal.expect(r"\^Z\r\n.*[Ss]topped.*\n(.*\n)*\r?" + PROMPT, "^Z stops one")
    terminal.run("fg")
    terminal.expect(PROMPT, "which ends in the foreground")
    terminal.run("cat &")
    terminal.expect(PROMPT, "a background job that wants to read")
    time.sleep(0.5)
    terminal.run("jobs")
    terminal.expect(r"[Ss]topped.*cat", "is stopped")
    terminal.expect(PROMPT, "the shell goes on")
    terminal.run("fg")
    time.sleep(0.5)
    terminal.type("line\r")
    terminal.expect(r"line\r\nline\r\n", "in the foreground it reads")
    terminal.type("\x04")
    terminal.expect(PROMPT, "to the end")


def test_screen(terminal):
    terminal.run("stty size")
    terminal.expect(rf"{ROWS} {COLUMNS}\r\n", "the size of the window is known")
    terminal.expect(PROMPT, "a prompt")
    terminal.type("sleep 1\recho typed ahead\r")
    terminal.expect(r"\ntyped ahead\r\n", "what is typed ahead is not lost")
    terminal.expect(PROMPT, "a prompt")
    terminal.run("busybox vi /tmp/text")
    terminal.expect(r"~\x1b", "an editor fills the screen")
    terminal.type("iwritten\x1b")
    time.sleep(1)
    terminal.type(":wq\r")
    terminal.expect(PROMPT, "and leaves it")
    terminal.run("cat /tmp/text")
    terminal.expect(r"written\r\n", "it has written a file")
    terminal.expect(PROMPT, "a prompt")
    terminal.run("seq 1 5000")
    terminal.expect("".join(f"{n}\r\n" for n in range(1, 5001)), "a long output is complete", 60)
    terminal.expect(PROMPT, "a prompt")


def test_sessions(terminal):
    terminal.run("exit")
    terminal.expect(PROMPT, "after exit there is a new shell")
    terminal.run("tty; ps -o pid,tty,args | grep -c cat")
    terminal.expect(r"/dev/\w+\r\n", "on the same terminal")
    terminal.expect(PROMPT, "a prompt")


def main():
    terminal = Terminal(sys.argv[1])
    terminal.expect(PROMPT, "a shell", BOOT_SECONDS)
    test_editing(terminal)
    test_jobs(terminal)
    test_screen(terminal)
    test_sessions(terminal)
    return terminal.close()


sys.exit(main())
