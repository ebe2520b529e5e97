/*
 * /dev/kmsg: the kernel's log, a record a read, in the form Linux has:
 *
 *     6,SEQUENCE,MICROSECONDS,-;text\n
 *
 * The log is a stream of lines of which the kernel keeps the last bytes. A file's position is the
 * offset of its next line in the stream, so seeking to 0 starts again with the oldest that is kept.
 * The kernel does not tell when a line is added: while somebody waits for one, a timer looks.
 */
#include "user/servers/posix/dev.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/process.h"
#include <errno.h>
#include <fcntl.h>
#include <merganser/native.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 512
#define WRITE_BYTES 1024
#define LOOK_NS (SECOND / 10)
#define MICRO 1000000ul

static struct wait_queue queue = {.waiters = LIST_INIT(queue.waiters)};
static struct timer timer;
static u64 seen_end; /* end of the log when the timer last looked */

/* If the kernel keeps the bytes at *position no longer, moves on to the first line it does. */
static void skip_lost(u64 *position)
{
    char line[LINE_BYTES];
    usize got;
    const char *end;

    if (!log_reaches(*position + LOG_KEPT_BYTES))
        return;
    *position = log_end(*position + LOG_KEPT_BYTES) - LOG_KEPT_BYTES;
    got = log_get(*position, line, sizeof line);
    end = memchr(line, '\n', got);
    *position += end ? (usize)(end - line) + 1 : got;
}

/* ---- Waiting for a line ---- */

static void look(struct timer *unused)
{
    u64 end = seen_end;

    (void)unused;
    if (list_empty(&queue.waiters))
        return;
    seen_end = log_end(seen_end);
    if (seen_end != end)
        wait_wake(&queue);
    timer_set(&timer, time_now() + LOOK_NS);
}

static void start_looking(u64 end)
{
    if (timer.when)
        return;
    seen_end = end;
    timer.fire = look;
    timer_set(&timer, time_now() + LOOK_NS);
}

/* ---- Operations ---- */

/* Makes a record of a line, which begins with "[seconds.micro] ". Its length. */
static usize make_record(const char *line, usize length, u64 sequence, char *record, usize size)
{
    unsigned long seconds = 0, micro = 0;
    int prefix = 0;

    if (sscanf(line, "[%lu.%lu] %n", &seconds, &micro, &prefix) < 2 || (usize)prefix > length)
        prefix = 0;
    return (usize)snprintf(record, size, "6,%lu,%lu,-;%.*s\n", sequence, seconds * MICRO + micro,
                           (int)length - prefix, line + prefix);
}

/* The sequence number is the line's offset: it grows, which is what readers rely on. */
static long kmsg_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    char line[LINE_BYTES + 1], record[LINE_BYTES + 64];
    usize got, length;
    const char *end;
    long done;

    skip_lost(position);
    got = log_get(*position, line, LINE_BYTES);
    line[got] = '\0';
    end = memchr(line, '\n', got);
    if (!got) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        start_looking(*position);
        return wait_on(thread, &queue);
    }
    length = end ? (usize)(end - line) : got;
    got = make_record(line, length, *position, record, sizeof record);
    if (got > io->left)
        return -EINVAL;
    done = uio_put(io, record, got);
    if (done > 0)
        *position += length + (end != NULL);
    return done;
}

/* "<6>text": the level in front is not kept. */
static const char *skip_level(const char *text)
{
    usize digits = *text == '<' ? strspn(text + 1, "0123456789") : 0;

    return digits && text[1 + digits] == '>' ? text + digits + 2 : text;
}

static long kmsg_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    char text[WRITE_BYTES + 1];
    long length;
    const char *start;

    (void)file;
    (void)thread;
    (void)position;
    if (io->left > WRITE_BYTES)
        return -EINVAL;
    length = uio_get(io, text, WRITE_BYTES);
    if (length <= 0)
        return length;
    text[length] = '\0';
    start = skip_level(text);
    mg_log_write(MG_HANDLE_SYSTEM, start, (usize)(text + length - start));
    wait_wake(&queue);
    return length;
}

static u32 kmsg_poll(struct file *file, struct wait_queue **wait)
{
    bool some = log_reaches(file->position);

    *wait = &queue;
    if (!some)
        start_looking(file->position);
    return POLLOUT | POLLWRNORM | (some ? POLLIN | POLLRDNORM : 0);
}

static long kmsg_size(struct file *file)
{
    (void)file;
    return (long)log_end(0);
}

const struct file_ops kmsg_ops = {
    .read = kmsg_read,
    .write = kmsg_write,
    .poll = kmsg_poll,
    .size = kmsg_size,
};
