/*
 * The names in directories of the RAM file system: two trees of dentries, one to find a name, one
 * to list them in the order they were made. A dentry holds a reference of its inode; a directory is
 * pointed back to by its children without one, for it can't go while it has children.
 */
#include "lib/hash.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ORDER 2 /* 0 and 1 stand for "." and ".." */
#define RENAME_ANYWAY 0
#define RENAME_KEEP 1 /* RENAME_NOREPLACE */
#define RENAME_SWAP 2 /* RENAME_EXCHANGE */

static int compare(const struct dentry *dentry, const char *name, usize length)
{
    int order = memcmp(name, dentry->name, MIN(length, (usize)dentry->length));

    return order ? order : length < dentry->length ? -1 : length > dentry->length;
}

struct dentry *tmpfs_find(struct tmpfs_inode *dir, const char *name, usize length)
{
    struct rb_node *node = dir->dir.names.node;

    while (node) {
        struct dentry *dentry = rb_entry(node, struct dentry, by_name);
        int order = compare(dentry, name, length);

        if (!order)
            return dentry;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

static bool name_less(const struct rb_node *a, const struct rb_node *b)
{
    const struct dentry *one = rb_entry((struct rb_node *)a, struct dentry, by_name);

    return compare(rb_entry((struct rb_node *)b, struct dentry, by_name), one->name, one->length) <
           0;
}

static bool order_less(const struct rb_node *a, const struct rb_node *b)
{
    return rb_entry((struct rb_node *)a, struct dentry, by_order)->order <
           rb_entry((struct rb_node *)b, struct dentry, by_order)->order;
}

/* Hangs an inode on a dentry, or takes it off; a directory's ".." is a link to its parent. */
static void attach(struct dentry *dentry, struct tmpfs_inode *inode)
{
    dentry->inode = inode;
    list_add(&dentry->inode_link, &inode->dentries);
    inode->inode.nlink++;
    inode_get(&inode->inode);
    if (!inode_is_dir(&inode->inode))
        return;
    inode->dir.parent = dentry->dir;
    inode->inode.nlink = MAX(inode->inode.nlink, 2u);
    dentry->dir->inode.nlink++;
}

static void detach(struct dentry *dentry)
{
    struct inode *inode = &dentry->inode->inode;

    list_remove(&dentry->inode_link);
    inode->nlink--;
    if (inode_is_dir(inode))
        dentry->dir->inode.nlink--;
    inode_touch(inode, TOUCH_CHANGE);
    inode_put(inode);
}

long tmpfs_link(struct inode *base, const char *name, struct inode *inode)
{
    struct tmpfs_inode *dir = tmpfs_of(base);
    usize length = strlen(name);
    struct dentry *dentry;

    if (!base->nlink)
        return -ENOENT; /* removed while somebody is in it */
    dentry = malloc(sizeof *dentry + length);
    if (!dentry)
        return -ENOSPC;
    inode->fs = base->fs; /* for a new one */
    dentry->dir = dir;
    dentry->length = (u32)length;
    dentry->order = FIRST_ORDER + dir->dir.next_order++;
    memcpy(dentry->name, name, length);
    attach(dentry, tmpfs_of(inode));
    rb_insert(&dir->dir.names, &dentry->by_name, name_less);
    rb_insert(&dir->dir.order, &dentry->by_order, order_less);
    dir->dir.count++;
    inode_touch(base, TOUCH_MODIFY | TOUCH_CHANGE);
    return 0;
}

static void remove_dentry(struct dentry *dentry)
{
    struct tmpfs_inode *dir = dentry->dir;
    bool directory = inode_is_dir(&dentry->inode->inode);

    rb_remove(&dir->dir.names, &dentry->by_name);
    rb_remove(&dir->dir.order, &dentry->by_order);
    dir->dir.count--;
    inode_touch(&dir->inode, TOUCH_MODIFY | TOUCH_CHANGE);
    if (directory)
        dentry->inode->inode.nlink--; /* its own "." */
    detach(dentry);
    free(dentry);
}

long tmpfs_unlink(struct inode *dir, const char *name)
{
    struct dentry *dentry = tmpfs_find(tmpfs_of(dir), name, strlen(name));

    if (!dentry)
        return -ENOENT;
    remove_dentry(dentry);
    return 0;
}

void tmpfs_empty(struct inode *base)
{
    struct tmpfs_inode *top = tmpfs_of(base), *dir = top;

    for (;;) {
        struct rb_node *node = rb_first(&dir->dir.names);
        struct dentry *dentry = rb_entry_or_null(node, struct dentry, by_name);

        if (!dentry && dir == top)
            return;
        if (!dentry) { /* empty now: it goes itself */
            dentry = list_first_entry(&dir->dentries, struct dentry, inode_link);
            dir = dentry->dir;
            remove_dentry(dentry);
        } else if (inode_is_dir(&dentry->inode->inode)) {
            dir = dentry->inode;
        } else {
            remove_dentry(dentry);
        }
    }
}

/* Is `dir` the directory `above`, or below it? */
static bool is_below(struct tmpfs_inode *dir, struct tmpfs_inode *above)
{
    for (;; dir = dir->dir.parent) {
        if (dir == above)
            return true;
        if (dir == dir->dir.parent)
            return false;
    }
}

static long check_target(struct tmpfs_inode *moved, struct dentry *target, u32 flags)
{
    bool directory = inode_is_dir(&moved->inode);
    struct inode *other;

    if (!target)
        return flags & RENAME_SWAP ? -ENOENT : 0;
    if (flags & RENAME_KEEP)
        return -EEXIST;
    if (flags & RENAME_SWAP)
        return 0;
    other = &target->inode->inode;
    if (directory && !inode_is_dir(other))
        return -ENOTDIR;
    if (!directory && inode_is_dir(other))
        return -EISDIR;
    return inode_is_dir(other) && target->inode->dir.count ? -ENOTEMPTY : 0;
}

/* Exchanges what two names stand for. */
static void swap(struct dentry *one, struct dentry *two)
{
    struct tmpfs_inode *first = one->inode, *second = two->inode;

    inode_get(&first->inode);
    inode_get(&second->inode);
    detach(one);
    detach(two);
    attach(one, second);
    attach(two, first);
    inode_put(&first->inode);
    inode_put(&second->inode);
}

/* Gives the moved inode its new name, then takes the old one and what it replaces away. */
static long move(struct dentry *source, struct inode *to, const char *name, struct dentry *target)
{
    struct tmpfs_inode *inode = source->inode;
    bool directory = inode_is_dir(&inode->inode);
    long error;

    if (target) {
        struct inode *replaced = inode_get(&target->inode->inode);

        swap(source, target);
        remove_dentry(source);
        inode_put(replaced);
        return 0;
    }
    error = tmpfs_link(to, name, &inode->inode);
    if (error)
        return error;
    if (directory)
        inode->inode.nlink++; /* removing the old name counts the "." off */
    remove_dentry(source);
    return 0;
}

long tmpfs_rename(struct inode *from, const char *name, struct inode *to, const char *new_name,
                  u32 flags)
{
    struct dentry *source = tmpfs_find(tmpfs_of(from), name, strlen(name));
    struct dentry *target = tmpfs_find(tmpfs_of(to), new_name, strlen(new_name));
    long error;

    if (!source)
        return -ENOENT;
    if (target && target->inode == source->inode && !(flags & RENAME_KEEP))
        return 0;
    if (inode_is_dir(&source->inode->inode) && is_below(tmpfs_of(to), source->inode))
        return -EINVAL;
    if (target && flags & RENAME_SWAP && inode_is_dir(&target->inode->inode) &&
        is_below(tmpfs_of(from), target->inode))
        return -EINVAL;
    error = check_target(source->inode, target, flags);
    if (error)
        return error;
    if (flags & RENAME_SWAP) {
        swap(source, target);
        return 0;
    }
    return move(source, to, new_name, target);
}

/* The first dentry at or behind a position. */
static struct dentry *find_order(struct tmpfs_inode *dir, u64 order)
{
    struct rb_node *node = dir->dir.order.node;
    struct dentry *best = NULL;

    while (node) {
        struct dentry *dentry = rb_entry(node, struct dentry, by_order);

        if (dentry->order >= order)
            best = dentry;
        node = dentry->order >= order ? node->left : node->right;
    }
    return best;
}

long tmpfs_iterate(struct file *file, struct dir_sink *sink)
{
    struct tmpfs_inode *dir = tmpfs_of(file->inode);
    struct dentry *dentry = find_order(dir, MAX(sink->position, (u64)FIRST_ORDER));

    while (dentry) {
        struct inode *inode = &dentry->inode->inode;
        struct rb_node *next = rb_next(&dentry->by_order);

        if (!sink->put(sink, dentry->name, dentry->length, inode->number, inode->mode,
                       dentry->order + 1))
            break;
        dentry = rb_entry_or_null(next, struct dentry, by_order);
    }
    return 0;
}
