/*
 * The terminal's device files: reading, writing, polling, and the messages of the console server.
 * tty_line.h tells how the terminal's files work together.
 *
 * A hang-up makes open files useless but for those of /dev/console, which outlives sessions: each
 * file remembers the number of hang-ups before it was opened.
 */
#define _GNU_SOURCE
#include "user/servers/posix/tty.h"
#include "user/servers/posix/dev.h"
#include "user/servers/posix/tty_line.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <termios.h>

#define WRITE_CHUNK 8192
#define WRITE_ROOM 256 /* poll calls the terminal writable from so much room on */
#define TENTH (SECOND / 10)

struct tty tty = {.queue = {.waiters = LIST_INIT(tty.queue.waiters)}};

/* ---- Open files ---- */

static bool is_console(const struct file *file)
{
    return file->inode->rdev == dev_number(DEV_TTY_ALIAS_MAJOR, DEV_CONSOLE);
}

static bool is_hung_up(const struct file *file)
{
    return !is_console(file) && (u64)file->data != tty.generation;
}

long tty_open(struct file *file, const struct process *process)
{
    if (file->inode->rdev == dev_number(DEV_TTY_ALIAS_MAJOR, DEV_TTY_OWN) &&
        !tty_is_controlling(process))
        return -ENXIO;
    file->data = (void *)(u64)tty.generation;
    return 0;
}

/* ---- Reading ---- */

/*
 * Raw mode: whether a read must go on waiting, and until when (0 = for ever), by MIN and TIME.
 *
 *     MIN > 0, TIME = 0    until MIN bytes are there
 *     MIN > 0, TIME > 0    the same, or TIME has passed since the latest byte
 *     MIN = 0, TIME > 0    until a byte is there or TIME has passed since the call
 *     MIN = 0, TIME = 0    not at all
 */
static bool must_wait(struct thread *thread, usize wanted, u64 *deadline)
{
    u64 time = tty.modes.chars[VTIME] * TENTH, now = time ? time_now() : 0;
    u32 least = tty.modes.chars[VMIN], there = tty_input_available();

    *deadline = 0;
    if (there >= MIN((usize)MAX(least, 1u), wanted))
        return false;
    if (!time)
        return least > 0;
    if (!thread->deadline)
        thread->deadline = now; /* when the call began */
    if (!least || there)
        *deadline = (least ? MAX(tty.input.last, thread->deadline) : thread->deadline) + time;
    return !*deadline || now < *deadline;
}

static long wait_for_input(struct file *file, struct thread *thread, u64 deadline)
{
    long error;

    if (file->flags & O_NONBLOCK)
        return -EAGAIN;
    error = wait_add(thread, &tty.queue);
    thread->timed_out = false; /* the deadline may have moved: must_wait decides */
    return error ? error : wait_sleep(thread, deadline);
}

static long tty_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    u64 deadline = 0;
    bool wait;
    long error;

    (void)position;
    if (is_hung_up(file) || !io->left)
        return 0;
    error = tty_check_background(thread, true);
    if (error)
        return error;
    tty_input_take();
    wait = tty_has(ICANON) ? !tty_input_is_ready() : must_wait(thread, io->left, &deadline);
    if (wait && !(file->flags & O_NONBLOCK && tty_input_is_ready()))
        error = wait_for_input(file, thread, deadline);
    if (error && error != -ETIMEDOUT)
        return error;
    return tty_input_read(io);
}

/* ---- Writing ---- */

static long tty_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    static u8 text[WRITE_CHUNK];
    long total = 0, error = tty_has(TOSTOP) ? tty_check_background(thread, false) : 0;

    (void)position;
    if (is_hung_up(file))
        return -EIO;
    if (error)
        return error;
    while (io->left) {
        usize size = MIN(tty_output_room(), sizeof text);
        long got = size ? uio_get(io, text, size) : 0;

        if (got < 0)
            return total ? total : got;
        if (!got)
            break;
        tty_output_text(text, (usize)got);
        tty_output_push();
        total += got;
    }
    if (!io->left)
        return total;
    if (file->flags & O_NONBLOCK)
        return total ? total : -EAGAIN;
    thread->done += (u64)total;
    return wait_on(thread, &tty.queue);
}

/* ---- The rest ---- */

static u32 tty_poll(struct file *file, struct wait_queue **queue)
{
    u32 least = tty.modes.chars[VTIME] ? 1 : MAX(tty.modes.chars[VMIN], 1);
    u32 ready = 0;

    *queue = &tty.queue;
    if (is_hung_up(file))
        return POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;
    if (tty_has(ICANON) ? tty_input_is_ready() : tty_input_available() >= least)
        ready |= POLLIN | POLLRDNORM;
    if (tty_output_room() >= WRITE_ROOM)
        ready |= POLLOUT | POLLWRNORM;
    return ready;
}

static long file_ioctl(struct file *file, struct thread *thread, u64 request, u64 arg)
{
    return is_hung_up(file) ? -EIO : tty_ioctl(thread, request, arg);
}

const struct file_ops tty_ops = {
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .ioctl = file_ioctl,
};

void tty_init(void)
{
    tty_modes_init();
    tty_output_init();
}

void tty_notified(u64 bits)
{
    if (bits & TTY_NOTIFY_ROOM)
        tty_output_resume();
    if (bits & TTY_NOTIFY_INPUT) {
        tty.input.more = true;
        tty_input_take();
    }
    if (bits & TTY_NOTIFY_DRAINED)
        wait_wake(&tty.queue);
}
