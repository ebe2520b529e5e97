/*
 * The tree of files: inodes, the names that lead to them, and walking a path.
 *
 * An inode is a file, directory, link or device of some file system, known by its operations. It is
 * counted: by names (tmpfs), open files, working directories. Directories of tmpfs keep their names
 * in memory; those of proc and sys make up an inode each time a name is looked up.
 *
 * A mounted file system's root hangs on the directory it covers: walking down goes from `mounted`,
 * walking up from the root goes to `covered`.
 */
#pragma once

#include "lib/types.h"
#include "user/servers/posix/file.h"
#include <limits.h>
#include <sys/stat.h>

struct dentry;
struct inode;
struct thread;

struct fs { /* one mounted file system */
    const char *type, *source, *target;
    u64 device, magic;
    bool read_only;
    bool mounted_later;  /* by mount(2): can be unmounted again */
    struct inode *root;
};

struct inode_ops {
    /* Finds a name: a reference in *result, or -ENOENT. */
    long (*lookup)(struct inode *dir, const char *name, usize length, struct inode **result);
    /* Directories that can change: names a new inode, takes a name away, moves one. */
    long (*link)(struct inode *dir, const char *name, struct inode *inode);
    long (*unlink)(struct inode *dir, const char *name);
    long (*rename)(struct inode *from, const char *name, struct inode *to, const char *new_name,
                   u32 flags);
    /* A new inode of this type, not yet named. NULL = no memory. */
    struct inode *(*create)(struct inode *dir, u32 mode, u64 rdev);
    bool (*is_empty)(struct inode *dir);
    /* A link's text: its length, cut to size. */
    long (*readlink)(struct inode *link, struct thread *thread, char *to, usize size);
    /* A link that leads to an inode directly (proc): a reference. */
    long (*follow)(struct inode *link, struct thread *thread, struct inode **result);
    /* Prepares an open file: sets file->ops, may refuse. */
    long (*open)(struct inode *inode, struct file *file, struct thread *thread);
    long (*truncate)(struct inode *inode, u64 size);
    /* Brings size, blocks and times up to date before they are shown. */
    void (*refresh)(struct inode *inode);
    /* The last reference has gone: frees it. */
    void (*release)(struct inode *inode);
    /* Where a directory's ".." leads: a reference. */
    struct inode *(*parent)(struct inode *dir);
    /* The name a file has in its directory, for getcwd: -ENOENT if none. */
    long (*name)(struct inode *inode, char *to, usize size);
};

struct inode {
    u32 refs;
    u32 mode, nlink, uid, gid;
    u32 writers, runners; /* files open for writing; processes whose program it is */
    u64 number, size, blocks, rdev;
    s64 atime, mtime, ctime, btime; /* CLOCK_REALTIME, ns */
    struct fs *fs;
    const struct inode_ops *ops;
    struct inode *mounted; /* root of what covers this directory */
    struct inode *covered; /* of a mounted root: what it covers */
    struct file_lock *locks;
    void *fifo;            /* struct pipe, while a FIFO is open */
};

struct fs_context { /* what CLONE_FS shares */
    u32 refs;
    struct inode *root, *cwd;
    u32 umask;
};

/* One name of a path looked up: the directory and, if the last name exists, what it names. */
struct path {
    struct inode *dir;   /* reference */
    struct inode *inode; /* reference; NULL if there is no such name */
    char name[NAME_MAX + 1];
    bool trailing_slash;
    bool special;        /* the last name was "." or ".." (then it is in `name`), or missing */
};

enum { /* path_walk */
    PATH_FOLLOW = 1,    /* follow a link at the end */
    PATH_EMPTY = 2,     /* AT_EMPTY_PATH: "" means the descriptor itself */
    PATH_DIRECTORY = 4, /* must be a directory */
    PATH_CREATE = 8,    /* the last name may be missing: inode is NULL then */
    PATH_NO_LINKS = 16, /* RESOLVE_NO_SYMLINKS */
};

extern struct inode *fs_root;
extern struct fs *fs_mounts[];
extern u32 fs_mount_count;

static inline struct inode *inode_get(struct inode *inode)
{
    inode->refs++;
    return inode;
}
void inode_put(struct inode *inode);

/* Fields every inode starts with; one reference. */
void inode_init(struct inode *inode, struct fs *fs, const struct inode_ops *ops, u32 mode);
u64 inode_new_number(void);

static inline bool inode_is_dir(const struct inode *inode)
{
    return S_ISDIR(inode->mode);
}

/* A reference of a program that runs: meanwhile nobody may write to it. */
struct inode *inode_get_running(struct inode *inode);
void inode_put_running(struct inode *inode);

/* Mounts `root` of another file system on a directory; takes over its reference. -ENOSPC. */
long fs_mount(struct inode *dir, struct inode *root, struct fs *fs);

/* Takes it away again; nobody may use it any more. */
void fs_unmount(struct inode *root);

/* May the thread do this (MAY_*) with the inode? 0 or -EACCES. */
enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };
long inode_permission(const struct thread *thread, const struct inode *inode, u32 may);
/* The same by the real ids, for access(2). */
long inode_permission_real(const struct thread *thread, const struct inode *inode, u32 may);
bool inode_is_owner(const struct thread *thread, const struct inode *inode);

/* Walks a path from the thread's root or from a descriptor. 0 or -errno; release with path_put. */
long path_walk(struct thread *thread, int dirfd, const char *name, u32 flags, struct path *path);
void path_put(struct path *path);

/* Walks a path that must exist: a reference in *inode. path_at takes the text from user memory. */
long path_find(struct thread *thread, int dirfd, const char *name, u32 flags, struct inode **inode);
long path_at(struct thread *thread, int dirfd, u64 user_name, u32 flags, struct inode **inode);
/* The same with the directory and last name, for creating and removing. */
long path_at_parent(struct thread *thread, int dirfd, u64 user_name, u32 flags, struct path *path);

/* The absolute path of an inode as the thread's root sees it: length, or -ENOENT if it has none. */
long path_of(const struct thread *thread, struct inode *inode, char *to, usize size);

/* Takes a path string from user memory: 0, -EFAULT, -ENAMETOOLONG, -ENOENT when empty. */
long path_get_string(struct thread *thread, char *to, u64 address);

/* Opens what a walk found. */
long inode_open(struct thread *thread, struct inode *inode, u32 flags, struct file **file);

/* Opens or creates by path: a file with one reference. */
long file_open(struct thread *thread, int dirfd, const char *name, u32 flags, u32 mode,
               struct file **file);

/* Creates a named inode in path->dir; a reference in path->inode. */
long path_create(struct thread *thread, struct path *path, u32 mode, u64 rdev);

struct fs_context *fs_context_create(void);
struct fs_context *fs_context_copy(const struct fs_context *from);
void fs_context_put(struct fs_context *context);

/* Where iterate puts its names: false = no room, stop. */
struct dir_sink {
    u64 position; /* of the next entry; advanced by iterate */
    bool (*put)(struct dir_sink *sink, const char *name, usize length, u64 number, u32 mode,
                u64 next);
};

/* Times of an inode, set to now. */
enum { TOUCH_ACCESS = 1, TOUCH_MODIFY = 2, TOUCH_CHANGE = 4 };
void inode_touch(struct inode *inode, u32 which);
