/*
 * Where commands come from: a string, a file, or a person at a terminal.
 *
 * A file is read a byte at a time, so that a command that shares it (`read` in a script on standard
 * input) finds the line after its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sh.h"

struct input {
    const char *string; /* what is left of a string, or null */
    int fd;             /* a file, or -1 */
    bool terminal;
};

static struct input *input_new(struct input value)
{
    struct input *in = must(malloc(sizeof *in));
    *in = value;
    return in;
}

struct input *input_from_string(const char *commands)
{
    return input_new((struct input){.string = commands, .fd = -1});
}

/* The input owns fd from now on, unless it is standard input. */
struct input *input_from_fd(int fd)
{
    return input_new((struct input){.fd = fd});
}

struct input *input_from_terminal(void)
{
    return input_new((struct input){.fd = -1, .terminal = true});
}

void input_close(struct input *in)
{
    if (in->fd > 0) {
        close(in->fd);
    }
    free(in);
}

static bool read_from_string(struct input *in, struct text *into)
{
    if (!*in->string) {
        return false;
    }
    size_t length = strcspn(in->string, "\n");
    text_add(into, in->string, length);
    in->string += length + (in->string[length] == '\n');
    return true;
}

static bool read_from_fd(struct input *in, struct text *into)
{
    for (size_t count = 0;; count++) {
        char byte;
        ssize_t got = read(in->fd, &byte, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return count > 0;
        }
        if (byte == '\n') {
            return true;
        }
        text_put(into, byte);
    }
}

/* `merganser# `, with the directory in it unless that is the root. */
static const char *prompt(bool continued)
{
    const char *own = var_get(continued ? "PS2" : "PS1");
    if (own) {
        return own;
    }
    if (continued) {
        return "> ";
    }
    static char text[256];
    char directory[160];
    if (!getcwd(directory, sizeof directory) || !strcmp(directory, "/")) {
        directory[0] = '\0';
    }
    snprintf(text, sizeof text, "merganser%s%s%c ", directory[0] ? ":" : "", directory,
             geteuid() == 0 ? '#' : '$');
    return text;
}

/*
 * Appends the next line, with its newline, to into; continued asks for another line of a command
 * that is not complete. Returns false at the end of input.
 */
bool input_read_line(struct input *in, struct text *into, bool continued)
{
    bool more = in->terminal ? line_read(prompt(continued), into)
                : in->string ? read_from_string(in, into)
                             : read_from_fd(in, into);
    if (more) {
        text_put(into, '\n');
    }
    return more;
}
