/*
 * Which files to load: every regular file below some folders, in the order of their names, so that
 * every process and every run takes the same ones. Links are not followed; of several names of one
 * file the first counts.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "demo.h"

struct collector {
    struct file_set set;
    struct {
        dev_t device;
        ino_t inode;
    } * seen;
    size_t capacity;
    size_t most_pages;
};

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "mergedemo: out of memory\n");
        exit(1);
    }
    return memory;
}

static bool seen_before(const struct collector *c, const struct stat *info)
{
    for (size_t i = 0; i < c->set.count; i++) {
        if (c->seen[i].device == info->st_dev && c->seen[i].inode == info->st_ino) {
            return true;
        }
    }
    return false;
}

static void take_file(struct collector *c, const char *path, const struct stat *info)
{
    size_t pages = ((size_t)info->st_size + PAGE_BYTES - 1) / PAGE_BYTES;
    if (pages == 0 || seen_before(c, info)) {
        return;
    }
    if (c->set.pages + pages > c->most_pages) {
        c->set.cut = true;
        return;
    }
    if (c->set.count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 64;
        c->set.files = must(realloc(c->set.files, c->capacity * sizeof *c->set.files));
        c->seen = must(realloc(c->seen, c->capacity * sizeof *c->seen));
    }
    c->seen[c->set.count].device = info->st_dev;
    c->seen[c->set.count].inode = info->st_ino;
    c->set.files[c->set.count++] =
        (struct file){.path = must(strdup(path)), .bytes = (size_t)info->st_size};
    c->set.pages += pages;
}

static void walk(struct collector *c, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char child[1024];
        struct stat info;
        int length = snprintf(child, sizeof child, "%s/%s", path, name);
        bool itself = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
        bool usable = !itself && length < (int)sizeof child && lstat(child, &info) == 0;
        if (usable && S_ISDIR(info.st_mode) && !c->set.cut) {
            walk(c, child);
        } else if (usable && S_ISREG(info.st_mode) && !c->set.cut) {
            take_file(c, child, &info);
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

/*
 * Takes files below roots, a null-ended list, until there are most_pages of them, and says how
 * often they must be loaded to fill least_pages. A set without files has count 0.
 */
struct file_set files_collect(const char *const *roots, size_t least_pages, size_t most_pages)
{
    struct collector c = {.most_pages = most_pages};
    for (; *roots; roots++) {
        struct stat info;
        char path[64];
        /* /bin may be a link to the folder proper */
        snprintf(path, sizeof path, "%s/.", *roots);
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
            char *real = realpath(*roots, NULL);
            walk(&c, real ? real : *roots);
            free(real);
        }
    }
    free(c.seen);
    c.set.rounds = 1;
    while (c.set.pages > 0 && c.set.pages * (size_t)c.set.rounds < least_pages) {
        c.set.rounds++;
    }
    return c.set;
}
