/*
 * Walking paths: name by name, through links and mounts, and the way back from an inode to its
 * path.
 *
 * A link's text replaces the name in front of what is left of the path; the text under way is kept
 * in one buffer, since the server walks one path at a time.
 */
#include "user/servers/posix/fs.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LINKS_MAX 40

struct walk {
    struct thread *thread;
    struct inode *at; /* reference */
    const char *rest; /* of the text */
    u32 flags;
    u32 links;
};

static char text[2 * PATH_MAX]; /* what is being walked, after a link was met */

long path_get_string(struct thread *thread, char *to, u64 address)
{
    long length = user_get_string(thread, to, PATH_MAX, address);

    return length < 0 ? length : 0;
}

static void walk_to(struct walk *walk, struct inode *inode)
{
    inode_put(walk->at);
    walk->at = inode;
}

/* Where a path starts: a reference in walk->at. */
static long walk_start(struct walk *walk, int dirfd)
{
    struct fs_context *fs = walk->thread->process->fs;
    struct file *file;

    if (*walk->rest == '/') {
        walk->at = inode_get(fs->root);
    } else if (dirfd == AT_FDCWD) {
        walk->at = inode_get(fs->cwd);
    } else {
        file = fd_get_any(walk->thread->process, (u64)(u32)dirfd);
        if (!file)
            return -EBADF;
        if (!file->inode || (!inode_is_dir(file->inode) && *walk->rest))
            return -ENOTDIR;
        walk->at = inode_get(file->inode);
    }
    return 0;
}

static void walk_up(struct walk *walk)
{
    struct inode *parent;

    if (walk->at == walk->thread->process->fs->root)
        return;
    if (walk->at->covered)
        walk_to(walk, inode_get(walk->at->covered));
    parent = walk->at->ops->parent ? walk->at->ops->parent(walk->at) : NULL;
    if (parent)
        walk_to(walk, parent);
}

/* Takes the next name off the rest: its length, 0 at the end. */
static long next_name(struct walk *walk, const char **name)
{
    usize length;

    while (*walk->rest == '/')
        walk->rest++;
    *name = walk->rest;
    length = strcspn(walk->rest, "/");
    walk->rest += length;
    return length > NAME_MAX ? -ENAMETOOLONG : (long)length;
}

static bool is_last(const struct walk *walk)
{
    return !walk->rest[strspn(walk->rest, "/")];
}

static long lookup(struct walk *walk, const char *name, usize length, struct inode **inode)
{
    struct inode *found;
    long error;

    if (!inode_is_dir(walk->at) || !walk->at->ops->lookup)
        return -ENOTDIR;
    error = inode_permission(walk->thread, walk->at, MAY_EXEC);
    if (!error)
        error = walk->at->ops->lookup(walk->at, name, length, &found);
    if (error)
        return error;
    if (found->mounted) {
        struct inode *root = inode_get(found->mounted);

        inode_put(found);
        found = root;
    }
    *inode = found;
    return 0;
}

/* Puts a link's text in front of the rest of the path. */
static long splice(struct walk *walk, struct inode *link)
{
    static char joined[2 * PATH_MAX];
    usize left = strlen(walk->rest);
    long length = link->ops->readlink(link, walk->thread, joined, PATH_MAX - 1);

    if (length < 0)
        return length;
    if (!length)
        return -ENOENT;
    if ((usize)length + left >= sizeof joined)
        return -ENAMETOOLONG;
    memcpy(joined + length, walk->rest, left + 1);
    memcpy(text, joined, (usize)length + left + 1);
    walk->rest = text;
    if (*text == '/')
        walk_to(walk, inode_get(walk->thread->process->fs->root));
    return 0;
}

/*
 * Follows a link that stands in the way; drops it. The inode it leads to directly in *target, or
 * NULL if its text is to be walked.
 */
static long follow(struct walk *walk, struct inode *link, struct inode **target)
{
    long error;

    *target = NULL;
    if (++walk->links > LINKS_MAX || walk->flags & PATH_NO_LINKS)
        error = -ELOOP;
    else if (link->ops->follow)
        error = link->ops->follow(link, walk->thread, target);
    else
        error = splice(walk, link);
    inode_put(link);
    return error;
}

static void finish_special(struct walk *walk, struct path *path, usize dots)
{
    path->special = true;
    memcpy(path->name, "..", dots);
    path->inode = inode_get(walk->at);
    path->dir = walk->at;
}

/* The last name: found, or missing where that is allowed. */
static long finish(struct walk *walk, struct path *path, const char *name, usize length,
                   struct inode *inode)
{
    path->trailing_slash = *walk->rest == '/';
    if (!inode && !(walk->flags & PATH_CREATE))
        return -ENOENT;
    if (inode && !inode_is_dir(inode) && (path->trailing_slash || walk->flags & PATH_DIRECTORY)) {
        inode_put(inode);
        return -ENOTDIR;
    }
    memcpy(path->name, name, length);
    path->name[length] = '\0';
    path->inode = inode;
    path->dir = walk->at;
    return 0;
}

static bool is_dots(const char *name, usize length)
{
    return name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'));
}

/* Walks on by one name. 1 when the path is complete, 0 to go on, or -errno. */
static long step(struct walk *walk, struct path *path)
{
    struct inode *inode = NULL;
    const char *name;
    long length = next_name(walk, &name), error;
    bool last = is_last(walk);

    if (length < 0)
        return length;
    if (!length || is_dots(name, (usize)length)) {
        if (!inode_is_dir(walk->at))
            return -ENOTDIR;
        if (length == 2)
            walk_up(walk);
        if (!last)
            return 0;
        finish_special(walk, path, (usize)length);
        return 1;
    }
    error = lookup(walk, name, (usize)length, &inode);
    if (error && (error != -ENOENT || !last))
        return error;
    if (inode && S_ISLNK(inode->mode) &&
        (!last || walk->flags & PATH_FOLLOW || *walk->rest == '/')) {
        struct inode *target;

        error = follow(walk, inode, &target);
        if (error || !target)
            return error;
        inode = target;
    }
    if (last) {
        error = finish(walk, path, name, (usize)length, inode);
        return error ? error : 1;
    }
    walk_to(walk, inode);
    return 0;
}

long path_walk(struct thread *thread, int dirfd, const char *name, u32 flags, struct path *path)
{
    struct walk walk = {.thread = thread, .rest = name, .flags = flags};
    long result;

    *path = (struct path){0};
    if (!*name && !(flags & PATH_EMPTY))
        return -ENOENT;
    result = walk_start(&walk, dirfd);
    if (result)
        return result;
    if (!*name) {
        finish_special(&walk, path, 0);
        return 0;
    }
    do
        result = step(&walk, path);
    while (!result);
    if (result > 0)
        return 0;
    inode_put(walk.at);
    return result;
}

void path_put(struct path *path)
{
    inode_put(path->dir);
    if (path->inode)
        inode_put(path->inode);
}

long path_find(struct thread *thread, int dirfd, const char *name, u32 flags, struct inode **inode)
{
    struct path path;
    long error = path_walk(thread, dirfd, name, flags, &path);

    if (error)
        return error;
    *inode = path.inode;
    inode_put(path.dir);
    return 0;
}

long path_at(struct thread *thread, int dirfd, u64 user_name, u32 flags, struct inode **inode)
{
    char name[PATH_MAX];
    long error = path_get_string(thread, name, user_name);

    return error ? error : path_find(thread, dirfd, name, flags, inode);
}

long path_at_parent(struct thread *thread, int dirfd, u64 user_name, u32 flags, struct path *path)
{
    char name[PATH_MAX];
    long error = path_get_string(thread, name, user_name);

    return error ? error : path_walk(thread, dirfd, name, flags, path);
}

/* Puts "/NAME" in front of what stands at *start. */
static long prepend(struct inode *inode, char *buffer, usize *start)
{
    char name[NAME_MAX + 1];
    long length = inode->ops->name ? inode->ops->name(inode, name, NAME_MAX) : -ENOENT;

    if (length < 0)
        return length;
    if ((usize)length + 1 > *start)
        return -ENAMETOOLONG;
    *start -= (usize)length + 1;
    buffer[*start] = '/';
    memcpy(buffer + *start + 1, name, (usize)length);
    return 0;
}

long path_of(const struct thread *thread, struct inode *inode, char *to, usize size)
{
    struct inode *root = thread->process->fs->root, *at = inode_get(inode);
    char buffer[PATH_MAX];
    usize start = sizeof buffer;
    long error = 0;

    while (at != root && !error) {
        struct inode *above = NULL;

        if (at->covered) {
            above = inode_get(at->covered);
        } else if (at == fs_root) {
            break;
        } else {
            error = prepend(at, buffer, &start);
            above = !error && at->ops->parent ? at->ops->parent(at) : NULL;
            if (!above && !error)
                error = -ENOENT;
        }
        if (above) {
            inode_put(at);
            at = above;
        }
    }
    inode_put(at);
    if (error)
        return error;
    if (start == sizeof buffer)
        buffer[--start] = '/';
    if (sizeof buffer - start >= size)
        return -ENAMETOOLONG;
    memcpy(to, buffer + start, sizeof buffer - start);
    to[sizeof buffer - start] = '\0';
    return (long)(sizeof buffer - start);
}
