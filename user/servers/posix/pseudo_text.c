/*
 * Reading and writing the texts of made up files; see pseudo.h.
 *
 * An open file keeps its text in file->data. A write is taken as a whole, as control files of Linux
 * take it: at most a page, at whatever position.
 */
#include "user/servers/posix/pseudo.h"
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define WRITE_MAX 4096ul

/* Writes the text anew. The old one stays if that fails. */
static long refresh(struct file *file, struct thread *thread)
{
    struct pseudo_node *node = pseudo_of(file->inode);
    struct text text = {0}, *kept = file->data;
    long error = node->entry->show(node, thread, &text);

    if (!error && !kept)
        kept = file->data = calloc(1, sizeof *kept);
    if (!error && (text.failed || !kept))
        error = -ENOMEM;
    if (error) {
        text_release(&text);
        return error;
    }
    text_release(kept);
    *kept = text;
    return 0;
}

static long text_read(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct text *text = file->data;
    long error = 0;

    if (!text || !*position)
        error = refresh(file, thread);
    if (error)
        return error;
    text = file->data;
    return uio_put_at(io, text->bytes, text->used, position);
}

static long text_write(struct file *file, struct thread *thread, struct uio *io, u64 *position)
{
    struct pseudo_node *node = pseudo_of(file->inode);
    char bytes[WRITE_MAX + 1];
    long length, error;

    if (io->left > WRITE_MAX)
        return -EINVAL;
    length = uio_get(io, bytes, WRITE_MAX);
    if (length <= 0)
        return length;
    bytes[length] = '\0';
    error = node->entry->store(node, thread, bytes, (usize)length);
    if (error)
        return error;
    *position += (u64)length;
    return length;
}

static void text_close(struct file *file)
{
    if (file->data)
        text_release(file->data);
    free(file->data);
}

u32 pseudo_poll(struct file *file, struct wait_queue **queue)
{
    (void)file;
    *queue = NULL;
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

long pseudo_size(struct file *file)
{
    return (long)file->inode->size;
}

const struct file_ops pseudo_text_ops = {
    .read = text_read,
    .write = text_write,
    .poll = pseudo_poll,
    .size = pseudo_size,
    .release = text_close,
};

long pseudo_parse(const char *text, s64 *value)
{
    char *end;
    long number;

    while (isspace((unsigned char)*text))
        text++;
    errno = 0;
    number = strtol(text, &end, 0);
    if (end == text)
        return -EINVAL;
    if (errno)
        return -ERANGE;
    while (isspace((unsigned char)*end))
        end++;
    *value = number;
    return *end ? -EINVAL : 0;
}
