/*
 * Starting programs: what execve keeps while it works, and its helpers.
 */
#pragma once

#include "lib/elf.h"
#include "user/servers/posix/fs.h"

#define CAP_ALL ((1ull << 41) - 1)

/* Strings one behind the other, each with its NUL. */
struct strings {
    char *bytes;
    usize used, size;
    u32 count;
};

/* One ELF file: the program or its interpreter. */
#define IMAGE_BYTES 4096
struct image {
    struct inode *inode;
    struct elf_header header;
    u64 bias, entry, headers; /* addresses, once loaded */
    u64 end;                  /* of the last segment, page aligned */
    u64 code_start, code_end, data_start, data_end;
    bool executable_stack;
    u8 bytes[IMAGE_BYTES] aligned_to(8); /* the file's beginning: all headers are in it */
};

struct exec {
    char name[PATH_MAX]; /* as the caller gave it */
    int dirfd;
    u32 walk;            /* PATH_* */
    struct strings args, env;
    struct inode *inode; /* of the program, a reference */
    struct image image, interpreter;
    bool has_interpreter;
};

/* Takes a NULL-ended array of strings from user memory. -EFAULT, -E2BIG, -ENOMEM. */
long strings_get(struct thread *thread, u64 vector, struct strings *strings);

/* Adds a string at the end, or in front of all others in the place of the first. */
long strings_add(struct strings *strings, const char *string);
long strings_replace_first(struct strings *strings, const char *const *with, u32 count);

/* Finds the program, through #! lines, and checks it and its interpreter. */
long exec_resolve(struct thread *thread, struct exec *exec);

/* Reads and checks the headers of image->inode. -ENOEXEC, -EACCES, ... */
long image_check(struct image *image);

/* Maps the segments into the thread's task and fills in the addresses. */
long image_load(struct thread *thread, struct image *image);

/* Runs what exec names with its strings; the result of execve. exec_release must follow. */
long exec_run(struct thread *thread, struct exec *exec);
void exec_release(struct exec *exec);
