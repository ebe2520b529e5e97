/*
 * Redirections: open, put in place, and, for builtins and groups, put back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sh.h"

struct saved_fd {
    struct saved_fd *next;
    int fd;
    int copy; /* -1: fd was closed */
};

#define FIRST_PRIVATE_FD 10

static int open_here_document(const char *body)
{
    char name[] = "/tmp/sh-here-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0) {
        return -1;
    }
    unlink(name);
    size_t length = strlen(body);
    if (write(fd, body, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int open_target(const struct redir *redir, const char *target)
{
    switch (redir->kind) {
    case REDIR_IN: return open(target, O_RDONLY);
    case REDIR_OUT: return open(target, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    case REDIR_APPEND: return open(target, O_WRONLY | O_CREAT | O_APPEND, 0666);
    case REDIR_READ_WRITE: return open(target, O_RDWR | O_CREAT, 0666);
    default: return open_here_document(target);
    }
}

static bool save(int fd, struct saved_fd **undo)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_PRIVATE_FD);
    if (copy < 0 && errno != EBADF) {
        return false;
    }
    struct saved_fd *saved = arena_alloc(sizeof *saved);
    *saved = (struct saved_fd){.next = *undo, .fd = fd, .copy = copy};
    *undo = saved;
    return true;
}

/* n>&m and n>&-. */
static bool duplicate(int fd, const char *target)
{
    if (strcmp(target, "-") == 0) {
        close(fd);
        return true;
    }
    char *end;
    long source = strtol(target, &end, 10);
    if (!*target || *end) {
        errno = EBADF;
        return false;
    }
    return dup2((int)source, fd) >= 0;
}

static bool apply_one(const struct redir *redir, const char *target)
{
    if (redir->kind == REDIR_DUP) {
        return duplicate(redir->fd, target);
    }
    int fd = open_target(redir, target);
    if (fd >= 0 && fd != redir->fd) {
        bool done = dup2(fd, redir->fd) >= 0;
        close(fd);
        return done;
    }
    return fd >= 0;
}

/*
 * Applies redirs in order. Where undo is not null it collects, in the arena, what redirect_undo
 * needs; that is also called for after a failure, which has been reported.
 */
bool redirect_apply(const struct redir *redirs, struct saved_fd **undo)
{
    for (; redirs; redirs = redirs->next) {
        const char *target = redirs->kind != REDIR_HERE ? expand_single(redirs->target)
                             : redirs->literal          ? redirs->target
                                                        : expand_here_document(redirs->target);
        if (!target) {
            return false;
        }
        if ((undo && !save(redirs->fd, undo)) || !apply_one(redirs, target)) {
            complain("%s: %s", redirs->kind == REDIR_HERE ? "here-document" : target,
                     strerror(errno));
            return false;
        }
    }
    return true;
}

void redirect_undo(struct saved_fd *undo)
{
    for (; undo; undo = undo->next) {
        if (undo->copy >= 0) {
            dup2(undo->copy, undo->fd);
            close(undo->copy);
        } else {
            close(undo->fd);
        }
    }
}
