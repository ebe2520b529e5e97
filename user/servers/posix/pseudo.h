/*
 * File systems whose files are made up when somebody looks: what /proc and /sys have in common.
 *
 * A table of entries describes each directory; directories of things that come and go (processes,
 * descriptors) make up further names. An inode is made for each lookup and holds its directory, so
 * that the way back to the root is known. Its number comes from its path: it stays the same.
 *
 *     entry (constant) <-- node (one lookup: inode, name, key) --> node of the directory
 *
 * The text of a file is written as a whole when it is opened for the first read or read again from
 * its start, and further reads go on in that text: a reader sees one moment.
 */
#pragma once

#include "user/servers/posix/fs.h"
#include "user/servers/posix/text.h"

#define PSEUDO_NAME 40

/* What a node stands for; each directory hands its key down to what is found in it. */
struct pseudo_key {
    u32 pid, tid; /* 0 = none */
    u32 number;   /* of a descriptor, CPU, ... */
    u32 uid, gid; /* owner */
    u64 born;     /* of the process: tells it from a later one with the same number */
};

struct pseudo_node {
    struct inode inode;
    const struct pseudo_entry *entry;
    struct pseudo_node *dir; /* a reference; NULL for the root */
    struct pseudo_key key;
    char name[PSEUDO_NAME];
};

/* A name that a directory makes up. */
struct pseudo_child {
    const struct pseudo_entry *entry;
    struct pseudo_key key;
    u32 mode; /* 0 = the entry's */
    char name[PSEUDO_NAME];
};

struct pseudo_entry {
    const char *name; /* NULL ends a table */
    u32 mode;

    /* Directories. */
    const struct pseudo_entry *entries; /* the fixed names, or NULL */
    /* Looks a made up name up, child->key being the directory's: 0 or -ENOENT. */
    long (*find)(struct pseudo_node *dir, const char *name, struct pseudo_child *child);
    /* The first made up name at or behind *place, for listing; sets *place to where it is. */
    bool (*next)(struct pseudo_node *dir, u64 *place, struct pseudo_child *child);
    bool (*exists)(struct pseudo_node *dir); /* does it still? NULL = always */

    /* Files and links: their text. 0 or -errno. */
    long (*show)(struct pseudo_node *node, struct thread *thread, struct text *text);
    /* Takes what was written, with a NUL behind it. 0 or -errno. */
    long (*store)(struct pseudo_node *node, struct thread *thread, const char *text, usize length);
    /* Links that lead to an inode: a reference. */
    long (*follow)(struct pseudo_node *node, struct thread *thread, struct inode **result);

    long (*open)(struct pseudo_node *node, struct thread *thread); /* may refuse; NULL = no need */
    const struct file_ops *ops;                                    /* of files that are no text */
    u64 size;                                                      /* as stat shows it */
};

extern const struct inode_ops pseudo_file_ops, pseudo_dir_ops, pseudo_text_link_ops,
    pseudo_link_ops;
extern const struct file_ops pseudo_text_ops;

static inline struct pseudo_node *pseudo_of(struct inode *inode)
{
    return container_of(inode, struct pseudo_node, inode);
}

/* Mounts a file system at fs->target, a directory of the root, which is made if it is missing. */
void pseudo_mount(struct fs *fs, const struct pseudo_entry *root);

/* For file_ops of files in such file systems. */
u32 pseudo_poll(struct file *file, struct wait_queue **queue);
long pseudo_size(struct file *file);

/* The number a written text holds, with or without a newline: 0, -EINVAL, -ERANGE. */
long pseudo_parse(const char *text, s64 *value);
