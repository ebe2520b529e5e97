/*
 * The RAM file system: the root, and everything under it that can be written.
 *
 * A file's body is a memory object of the kernel, so that reading copies straight into the client,
 * mmap maps the very pages, and execve copies nothing. A file of the initramfs has no object of its
 * own at first: its body is a range of the archive's object; the first write, or a shared mapping,
 * gives it one.
 *
 *     directory --by name--> dentry --> inode --object--> pages
 *                                        \--archive, offset--> the initramfs, until it is written
 */
#pragma once

#include "lib/list.h"
#include "lib/rbtree.h"
#include "user/servers/posix/fs.h"

struct dentry {
    struct rb_node by_name;  /* in dir->names */
    struct rb_node by_order; /* in dir->order */
    struct list inode_link;  /* in inode->dentries */
    struct tmpfs_inode *dir;
    struct tmpfs_inode *inode; /* one of its references */
    u64 order;                 /* position for getdents: never used twice in a directory */
    u32 length;
    char name[];
};

struct tmpfs_inode {
    struct inode inode;
    struct list dentries; /* its names */
    union {
        struct { /* regular file */
            mg_handle object;     /* 0 = none yet */
            u64 capacity;         /* bytes of it, whole pages */
            bool in_archive;      /* body in the initramfs, at archive_offset */
            u64 archive_offset;
            u32 seals;            /* F_SEAL_* */
            char *label;          /* what memfd_create named it, or NULL */
            struct rb_node node;  /* in the tree by number, or by archive_offset */
        } file;
        struct {
            struct rb_root names, order;
            u64 next_order;
            u32 count;
            struct tmpfs_inode *parent; /* no reference */
        } dir;
        char *target; /* symbolic link */
    };
};

extern struct fs tmpfs_root_fs;
extern const struct inode_ops tmpfs_file_ops, tmpfs_dir_ops, tmpfs_link_ops, tmpfs_special_ops;

static inline struct tmpfs_inode *tmpfs_of(struct inode *inode)
{
    return container_of(inode, struct tmpfs_inode, inode);
}

/* The root directory. */
struct inode *tmpfs_init(void);

/* A new inode of any type, without a name. NULL = no memory. */
struct inode *tmpfs_create(u32 mode, u64 rdev);
struct inode *tmpfs_create_link(const char *target, usize length);

/* A file whose body lies in the initramfs. */
struct inode *tmpfs_create_archived(u32 mode, u64 offset, u64 size);

static inline bool tmpfs_is_file(const struct inode *inode)
{
    return inode->ops == &tmpfs_file_ops;
}

/*
 * The object behind [offset, offset + size) of a file, and where the range starts in it. `shared`:
 * for writing through; `exact`: bytes after the file's end must read as zero.
 */
long tmpfs_map(struct inode *inode, u64 offset, u64 size, bool shared, bool exact,
               mg_handle *object, u64 *object_offset);

/* Reads a file's bytes into the server: how many, or -errno. */
long tmpfs_read(struct inode *inode, void *to, u64 offset, usize size);

/* Copies bytes from one task or object into the file, which grows. */
long tmpfs_write(struct inode *inode, u64 offset, struct uio *io, usize size);

long tmpfs_truncate(struct inode *inode, u64 size);

/* Gives a file an object of its own that holds at least `size` bytes. -ENOSPC. */
long tmpfs_prepare(struct inode *inode, u64 size);

/* lseek's SEEK_DATA, or for `hole` SEEK_HOLE, within the file's size: -ENXIO if there is none. */
long tmpfs_seek(struct inode *inode, u64 offset, bool hole);

/* Is there too little memory for what the range still lacks? Its end is within the object. */
bool tmpfs_is_short(const struct tmpfs_inode *inode, u64 offset, u64 size);

/* fallocate: makes a range read as zeros and gives memory back; puts memory behind every byte. */
long tmpfs_punch(struct inode *inode, u64 offset, u64 size);
long tmpfs_allocate(struct inode *inode, u64 offset, u64 size);

/* F_GET_SEALS and F_ADD_SEALS of memfd_create's files. */
long tmpfs_get_seals(struct inode *inode);
long tmpfs_add_seals(struct file *file, u32 seals);

/*
 * The file that a mapping shows: by the cookie of its object, or, for the initramfs's object, by
 * the offset in it, which then becomes an offset in the file. NULL if it has gone.
 */
struct inode *tmpfs_find_mapped(u64 cookie, u64 *offset);

/* Names in directories (names.c). */
struct dentry *tmpfs_find(struct tmpfs_inode *dir, const char *name, usize length);
long tmpfs_link(struct inode *dir, const char *name, struct inode *inode);
long tmpfs_unlink(struct inode *dir, const char *name);
long tmpfs_rename(struct inode *from, const char *name, struct inode *to, const char *new_name,
                  u32 flags);
void tmpfs_empty(struct inode *dir); /* removes all names under a directory */
long tmpfs_iterate(struct file *file, struct dir_sink *sink);

/* Makes a directory and those above it, as far as they are missing. A reference, or NULL. */
struct inode *tmpfs_make_path(const char *path, u32 mode);

/* Fills the tree from a cpio archive in memory (unpack.c); `mapped`: bodies stay in its object. */
void tmpfs_unpack(const void *archive, usize size, bool mapped);
