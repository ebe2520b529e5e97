/*
 * Completion: what the Tab key adds to the word before the cursor.
 *
 * The first word of a command completes to builtins and to programs on the PATH, any other word, or
 * one with a slash, to files. What all candidates have in common is added; a single candidate also
 * gets a slash or a space behind it.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sh.h"

struct candidates {
    size_t count;
    size_t prefix; /* bytes of the name typed so far */
    const char *typed;
    struct text common;  /* what all names have in common, typed part included */
    struct text *list;   /* all names, for showing */
    bool only_directory; /* the last name found is a directory */
};

static void offer(struct candidates *c, const char *name, bool directory)
{
    if (strncmp(name, c->typed, c->prefix) != 0 || (name[0] == '.' && c->prefix == 0)) {
        return;
    }
    if (c->count++ == 0) {
        text_add(&c->common, name, strlen(name));
    } else {
        size_t same = 0;
        while (same < c->common.length && c->common.bytes[same] == name[same]) {
            same++;
        }
        c->common.length = same;
        text_add(c->list, "  ", 2);
    }
    text_add(c->list, name, strlen(name));
    c->only_directory = directory;
}

static void offer_directory(struct candidates *c, const char *path, bool programs)
{
    DIR *directory = opendir(path);
    if (!directory) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        struct stat info;
        const char *file = arena_format("%s/%s", path, entry->d_name);
        if (strncmp(entry->d_name, c->typed, c->prefix) == 0 && stat(file, &info) == 0) {
            bool is_directory = S_ISDIR(info.st_mode);
            if (!programs || (!is_directory && (info.st_mode & 0111))) {
                offer(c, entry->d_name, is_directory);
            }
        }
    }
    closedir(directory);
}

static void offer_commands(struct candidates *c)
{
    const char *name, *path = var_get("PATH");
    for (size_t i = 0; (name = builtin_name(i)); i++) {
        offer(c, name, false);
    }
    for (path = path ? path : "/bin"; *path; path += strspn(path, ":")) {
        size_t length = strcspn(path, ":");
        offer_directory(c, arena_copy(path, length), true);
        path += length;
    }
}

/*
 * Looks at the word that ends at cursor. Stores in insert what can be added to it at once, in
 * choices the names it may become; returns how many they are.
 */
size_t complete_at(const char *line, size_t cursor, struct text *insert, struct text *choices)
{
    size_t mark = arena_mark(), start = cursor;
    while (start > 0 && !strchr(" \t;&|<>()=\"'", line[start - 1])) {
        start--;
    }
    size_t before = start;
    while (before > 0 && line[before - 1] == ' ') {
        before--;
    }
    bool command = before == 0 || strchr(";&|(", line[before - 1]);
    char *word = arena_copy(line + start, cursor - start);
    char *slash = strrchr(word, '/');
    struct candidates c = {.typed = slash ? slash + 1 : word, .list = choices};
    c.prefix = strlen(c.typed);
    if (slash) {
        const char *path = slash == word ? "/" : arena_copy(word, (size_t)(slash - word));
        offer_directory(&c, path, false);
    } else if (command) {
        offer_commands(&c);
    } else {
        offer_directory(&c, ".", false);
    }
    if (c.count > 0 && c.common.length > c.prefix) {
        text_add(insert, c.common.bytes + c.prefix, c.common.length - c.prefix);
    }
    if (c.count == 1) {
        text_put(insert, c.only_directory ? '/' : ' ');
    }
    text_free(&c.common);
    arena_release(mark);
    return c.count;
}
