/*
 * The kernel's tunables as files.
 *
 * A directory shows the tunables whose names begin with a prefix, and their files are called by the
 * rest. Which of the two directories a file is in, and so what its tunable is called, its entry
 * tells: each directory has two of its own, for what can be written and what can't.
 */
#include "user/servers/posix/tunables.h"
#include "user/lib/spawn.h"
#include <errno.h>
#include <merganser/native.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE 4096 /* what stat shows for every file, as Linux does */
#define TUNABLE_NAME 64

static long show(struct pseudo_node *node, struct thread *thread, struct text *text);
static long store(struct pseudo_node *node, struct thread *thread, const char *bytes, usize length);

struct directory {
    const char *prefix;
    struct pseudo_entry knob, figure;
};

static const struct directory all = {
    .prefix = "",
    .knob = {.mode = S_IFREG | 0600, .show = show, .store = store, .size = TEXT_SIZE},
    .figure = {.mode = S_IFREG | 0400, .show = show, .size = TEXT_SIZE},
};

static const struct directory ksm = {
    .prefix = "ksm.",
    .knob = {.mode = S_IFREG | 0644, .show = show, .store = store, .size = TEXT_SIZE},
    .figure = {.mode = S_IFREG | 0444, .show = show, .size = TEXT_SIZE},
};

/* ---- The text ---- */

static void name_of_node(const struct pseudo_node *node, char name[TUNABLE_NAME])
{
    bool is_ksm = node->entry == &ksm.knob || node->entry == &ksm.figure;

    snprintf(name, TUNABLE_NAME, "%s%s", is_ksm ? ksm.prefix : all.prefix, node->name);
}

static long show(struct pseudo_node *node, struct thread *thread, struct text *text)
{
    char name[TUNABLE_NAME], *to = text_reserve(text, TEXT_SIZE);
    long length;

    (void)thread;
    name_of_node(node, name);
    length = to ? mg_tunable_read(POSIX_HANDLE_SYSTEM, name, to, TEXT_SIZE) : 0;
    if (length < 0)
        return length;
    text->used += MIN((usize)length, (usize)TEXT_SIZE);
    return 0;
}

static long store(struct pseudo_node *node, struct thread *thread, const char *bytes, usize length)
{
    char name[TUNABLE_NAME];
    long error;

    (void)thread;
    name_of_node(node, name);
    error = mg_tunable_write(POSIX_HANDLE_SYSTEM, name, bytes, length);
    return error < 0 ? error : 0;
}

/* ---- The directories ---- */

/*
 * The kernel does not tell whether a tunable can be written, but what can't refuses with EACCES
 * before it looks at the text; the others find that there is none at NULL.
 */
static bool is_writable(const char *name)
{
    return mg_tunable_write(POSIX_HANDLE_SYSTEM, name, NULL, 1) != -EACCES;
}

static void set_child(const struct directory *directory, struct pseudo_child *child,
                      const char *name)
{
    child->entry = is_writable(name) ? &directory->knob : &directory->figure;
    snprintf(child->name, sizeof child->name, "%.*s", PSEUDO_NAME - 1,
             name + strlen(directory->prefix));
}

static long name_at(u64 place, char name[TUNABLE_NAME])
{
    long length = mg_tunable_name(POSIX_HANDLE_SYSTEM, place, name, TUNABLE_NAME - 1);

    if (length >= 0)
        name[MIN((usize)length, (usize)TUNABLE_NAME - 1)] = '\0';
    return length;
}

/* By its name, not by reading it: that may take long. */
static long find(const struct directory *directory, const char *file, struct pseudo_child *child)
{
    char name[TUNABLE_NAME];

    for (u64 place = 0; name_at(place, name) >= 0; place++) {
        usize cut = strlen(directory->prefix);

        if (strncmp(name, directory->prefix, cut) || strcmp(name + cut, file))
            continue;
        set_child(directory, child, name);
        return 0;
    }
    return -ENOENT;
}

static bool next(const struct directory *directory, u64 *place, struct pseudo_child *child)
{
    char name[TUNABLE_NAME];

    for (; name_at(*place, name) >= 0; ++*place) {
        if (strncmp(name, directory->prefix, strlen(directory->prefix)))
            continue;
        set_child(directory, child, name);
        return true;
    }
    return false;
}

long tunables_find(struct pseudo_node *dir, const char *file, struct pseudo_child *child)
{
    (void)dir;
    return find(&all, file, child);
}

bool tunables_next(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    (void)dir;
    return next(&all, place, child);
}

long tunables_find_ksm(struct pseudo_node *dir, const char *file, struct pseudo_child *child)
{
    (void)dir;
    return find(&ksm, file, child);
}

bool tunables_next_ksm(struct pseudo_node *dir, u64 *place, struct pseudo_child *child)
{
    (void)dir;
    return next(&ksm, place, child);
}
