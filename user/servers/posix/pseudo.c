/*
 * The tree of a file system that is made up; see pseudo.h. The texts of its files are in
 * pseudo_text.c.
 */
#include "user/servers/posix/pseudo.h"
#include "lib/hash.h"
#include "user/servers/posix/tmpfs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PLACE 2   /* 0 and 1 stand for "." and ".." */
#define MADE_UP 0x10000 /* places of made up names begin here */

static const struct inode_ops *ops_of(const struct pseudo_entry *entry)
{
    if (S_ISDIR(entry->mode))
        return &pseudo_dir_ops;
    if (S_ISLNK(entry->mode))
        return entry->follow ? &pseudo_link_ops : &pseudo_text_link_ops;
    return &pseudo_file_ops;
}

/* The same path always gets the same number, never 0, and never the root's. */
static u64 number_of(const struct pseudo_node *dir, const char *name)
{
    return hash_bytes(name, strlen(name), dir->inode.number) >> 16 | 1ul << 47;
}

/* A node with one reference; the root has no directory. NULL = no memory. */
static struct pseudo_node *node_create(struct fs *fs, struct pseudo_node *dir,
                                       const struct pseudo_child *child)
{
    const struct pseudo_entry *entry = child->entry;
    struct pseudo_node *node = calloc(1, sizeof *node);

    if (!node)
        return NULL;
    inode_init(&node->inode, fs, ops_of(entry), child->mode ? child->mode : entry->mode);
    node->entry = entry;
    node->key = child->key;
    memcpy(node->name, child->name, sizeof node->name);
    node->inode.number = dir ? number_of(dir, child->name) : 1;
    node->inode.uid = child->key.uid;
    node->inode.gid = child->key.gid;
    node->inode.nlink = S_ISDIR(entry->mode) ? 2 : 1;
    node->inode.size = entry->size;
    if (dir) {
        inode_get(&dir->inode);
        node->dir = dir;
    }
    return node;
}

static void release(struct inode *inode)
{
    struct pseudo_node *node = pseudo_of(inode);

    if (node->dir)
        inode_put(&node->dir->inode);
    free(node);
}

/* ---- Directories ---- */

static const struct pseudo_entry *find_fixed(const struct pseudo_entry *table, const char *name)
{
    for (; table && table->name; table++) {
        if (!strcmp(table->name, name))
            return table;
    }
    return NULL;
}

static void set_fixed(const struct pseudo_node *dir, const struct pseudo_entry *entry,
                      struct pseudo_child *child)
{
    *child = (struct pseudo_child){.entry = entry, .key = dir->key};
    strncpy(child->name, entry->name, sizeof child->name - 1);
}

static bool is_gone(struct pseudo_node *dir)
{
    for (struct pseudo_node *at = dir; at; at = at->dir) {
        if (at->entry->exists && !at->entry->exists(at))
            return true;
    }
    return false;
}

static long lookup(struct inode *base, const char *name, usize length, struct inode **result)
{
    struct pseudo_node *dir = pseudo_of(base), *node;
    struct pseudo_child child = {.key = dir->key};
    const struct pseudo_entry *fixed;
    long error = 0;

    if (length >= sizeof child.name || is_gone(dir))
        return -ENOENT;
    memcpy(child.name, name, length);
    child.name[length] = '\0';
    fixed = find_fixed(dir->entry->entries, child.name);
    if (fixed)
        set_fixed(dir, fixed, &child);
    else
        error = dir->entry->find ? dir->entry->find(dir, child.name, &child) : -ENOENT;
    if (error)
        return error;
    node = node_create(base->fs, dir, &child);
    if (!node)
        return -ENOMEM;
    *result = &node->inode;
    return 0;
}

static bool put_child(struct dir_sink *sink, struct pseudo_node *dir,
                      const struct pseudo_child *child, u64 next)
{
    u32 mode = child->mode ? child->mode : child->entry->mode;

    return sink->put(sink, child->name, strlen(child->name), number_of(dir, child->name), mode,
                     next);
}

static long iterate(struct file *file, struct dir_sink *sink)
{
    struct pseudo_node *dir = pseudo_of(file->inode);
    const struct pseudo_entry *table = dir->entry->entries;
    u64 place = FIRST_PLACE;
    struct pseudo_child child;

    if (is_gone(dir))
        return -ENOENT;
    for (; table && table->name; table++, place++) {
        set_fixed(dir, table, &child);
        if (place >= sink->position && !put_child(sink, dir, &child, place + 1))
            return 0;
    }
    place = sink->position > MADE_UP ? sink->position - MADE_UP : 0;
    while (dir->entry->next) {
        child = (struct pseudo_child){.key = dir->key};
        if (!dir->entry->next(dir, &place, &child) ||
            !put_child(sink, dir, &child, MADE_UP + place + 1))
            break;
        place++;
    }
    return 0;
}

/* A directory has a link for each directory in it, and two more. */
static void directory_refresh(struct inode *inode)
{
    struct pseudo_node *dir = pseudo_of(inode);
    const struct pseudo_entry *table = dir->entry->entries;
    struct pseudo_child child = {.key = dir->key};
    u64 place = 0;

    inode->nlink = 2;
    for (; table && table->name; table++)
        inode->nlink += S_ISDIR(table->mode);
    while (dir->entry->next && dir->entry->next(dir, &place, &child)) {
        if (!S_ISDIR(child.entry->mode)) /* a directory makes up names of one kind */
            break;
        inode->nlink++;
        place++;
    }
}

static const struct file_ops directory_ops = {
    .iterate = iterate,
    .poll = pseudo_poll,
};

/* What nobody can read or write is refused even to root, who may open anything else. */
static bool is_possible(const struct file *file, const struct pseudo_entry *entry)
{
    bool text = file->ops == &pseudo_text_ops;

    if (inode_is_dir(file->inode))
        return true;
    if (file_can_read(file) && (text ? !entry->show : !file->ops->read))
        return false;
    return !file_can_write(file) || (text ? entry->store != NULL : file->ops->write != NULL);
}

static long open_node(struct inode *inode, struct file *file, struct thread *thread)
{
    const struct pseudo_entry *entry = pseudo_of(inode)->entry;

    file->ops = inode_is_dir(inode) ? &directory_ops : entry->ops ? entry->ops : &pseudo_text_ops;
    if (!is_possible(file, entry))
        return -EACCES;
    return entry->open ? entry->open(pseudo_of(inode), thread) : 0;
}

static struct inode *parent(struct inode *inode)
{
    struct pseudo_node *dir = pseudo_of(inode)->dir;

    if (dir)
        return inode_get(&dir->inode);
    return inode->covered ? inode->covered->ops->parent(inode->covered) : NULL;
}

static long name_of(struct inode *inode, char *to, usize size)
{
    struct pseudo_node *node = pseudo_of(inode);
    usize length = strlen(node->name);

    if (!node->dir || is_gone(node))
        return -ENOENT;
    if (length > size)
        return -ENAMETOOLONG;
    memcpy(to, node->name, length);
    return (long)length;
}

/* ---- Links ---- */

static long link_read(struct inode *link, struct thread *thread, char *to, usize size)
{
    struct pseudo_node *node = pseudo_of(link);
    struct text text = {0};
    long result = node->entry->show(node, thread, &text);

    if (!result && text.failed)
        result = -ENOMEM;
    if (!result) {
        result = (long)MIN(text.used, size);
        memcpy(to, text.bytes, (usize)result);
    }
    text_release(&text);
    return result;
}

static long link_follow(struct inode *link, struct thread *thread, struct inode **result)
{
    struct pseudo_node *node = pseudo_of(link);

    return node->entry->follow(node, thread, result);
}

const struct inode_ops pseudo_file_ops = {
    .open = open_node,
    .release = release,
    .parent = parent,
    .name = name_of,
};

const struct inode_ops pseudo_dir_ops = {
    .lookup = lookup,
    .open = open_node,
    .refresh = directory_refresh,
    .release = release,
    .parent = parent,
    .name = name_of,
};

const struct inode_ops pseudo_text_link_ops = {
    .readlink = link_read,
    .release = release,
    .parent = parent,
    .name = name_of,
};

const struct inode_ops pseudo_link_ops = {
    .readlink = link_read,
    .follow = link_follow,
    .release = release,
    .parent = parent,
    .name = name_of,
};

/* ---- Mounting ---- */

/* The directory of the root that a file system covers, made if it is missing. */
static struct inode *mount_point(const char *name)
{
    struct inode *dir;

    if (!fs_root->ops->lookup(fs_root, name, strlen(name), &dir))
        return dir;
    dir = tmpfs_create(S_IFDIR | 0555, 0);
    if (dir && tmpfs_link(fs_root, name, dir)) {
        inode_put(dir);
        dir = NULL;
    }
    return dir;
}

void pseudo_mount(struct fs *fs, const struct pseudo_entry *root)
{
    struct pseudo_child child = {.entry = root};
    struct inode *dir = mount_point(fs->target + 1);
    struct pseudo_node *node = node_create(fs, NULL, &child);

    if (dir && node)
        fs_mount(dir, &node->inode, fs);
    if (dir)
        inode_put(dir);
}
