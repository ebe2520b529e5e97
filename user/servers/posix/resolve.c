/*
 * From the arguments of execve to a checked program: strings out of user memory, #! lines, and the
 * interpreter that a dynamic program asks for.
 */
#include "user/servers/posix/exec.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096ul
#define STRING_MAX (128ul << 10) /* one argument */
#define STRINGS_MAX (2ul << 20)  /* all arguments, and all of the environment */
#define SCRIPT_LINE 255
#define SCRIPT_DEPTH 4

/* ---- Strings ---- */

/* A page of the caller's memory, so that neighbouring strings cost one copy. */
struct window {
    u64 page;
    usize size; /* bytes known from its start; 0 = nothing yet */
    char bytes[PAGE];
};

static bool window_load(struct thread *thread, struct window *window, u64 address)
{
    u64 page = ALIGN_DOWN(address, PAGE);

    if (window->size && window->page == page)
        return true;
    window->page = page;
    window->size = user_get(thread, window->bytes, page, PAGE) ? 0 : PAGE;
    return window->size;
}

static long strings_reserve(struct strings *strings, usize more)
{
    usize size = MAX(strings->size * 2, (usize)PAGE);
    char *bytes;

    if (strings->used + more > STRINGS_MAX)
        return -E2BIG;
    if (strings->used + more <= strings->size)
        return 0;
    size = MAX(size, strings->used + more);
    bytes = realloc(strings->bytes, size);
    if (!bytes)
        return -ENOMEM;
    strings->bytes = bytes;
    strings->size = size;
    return 0;
}

static long strings_append(struct strings *strings, const char *bytes, usize size)
{
    long error = strings_reserve(strings, size);

    if (error)
        return error;
    memcpy(strings->bytes + strings->used, bytes, size);
    strings->used += size;
    return 0;
}

long strings_add(struct strings *strings, const char *string)
{
    strings->count++;
    return strings_append(strings, string, strlen(string) + 1);
}

long strings_replace_first(struct strings *strings, const char *const *with, u32 count)
{
    struct strings new = {0};
    usize first = strings->count ? strlen(strings->bytes) + 1 : 0;
    long error = 0;

    for (u32 i = 0; i < count && !error; i++)
        error = strings_add(&new, with[i]);
    if (!error && strings->used > first)
        error = strings_append(&new, strings->bytes + first, strings->used - first);
    if (error) {
        free(new.bytes);
        return error;
    }
    new.count = count + (strings->count ? strings->count - 1 : 0);
    free(strings->bytes);
    *strings = new;
    return 0;
}

/* Appends the string at a user address. */
static long get_string(struct thread *thread, struct window *window, u64 address,
                       struct strings *strings)
{
    usize start = strings->used;

    for (;;) {
        const char *from, *end;
        usize room;
        long error;

        if (!window_load(thread, window, address))
            return -EFAULT;
        from = window->bytes + address % PAGE;
        room = PAGE - address % PAGE;
        end = memchr(from, '\0', room);
        error = strings_append(strings, from, end ? (usize)(end - from) + 1 : room);
        if (error)
            return error;
        if (strings->used - start > STRING_MAX)
            return -E2BIG;
        if (end)
            break;
        address += room;
    }
    strings->count++;
    return 0;
}

static long get_pointer(struct thread *thread, struct window *window, u64 address, u64 *pointer)
{
    if (address % sizeof *pointer)
        return user_get(thread, pointer, address, sizeof *pointer);
    if (!window_load(thread, window, address))
        return -EFAULT;
    memcpy(pointer, window->bytes + address % PAGE, sizeof *pointer);
    return 0;
}

long strings_get(struct thread *thread, u64 vector, struct strings *strings)
{
    static struct window pointers, texts;
    long error = 0;

    pointers.size = texts.size = 0;
    while (vector && !error) {
        u64 pointer;

        error = get_pointer(thread, &pointers, vector, &pointer);
        if (error || !pointer)
            break;
        error = get_string(thread, &texts, pointer, strings);
        vector += sizeof pointer;
    }
    return error;
}

/* ---- The program ---- */

static long find_executable(struct thread *thread, int dirfd, const char *name, u32 walk,
                            struct inode **result)
{
    struct inode *inode;
    long error = path_find(thread, dirfd, name, walk, &inode);

    if (error)
        return error;
    if (S_ISLNK(inode->mode))
        error = -ELOOP;
    else if (!tmpfs_is_file(inode))
        error = -EACCES;
    else
        error = inode_permission(thread, inode, MAY_EXEC);
    if (!error && inode->writers)
        error = -ETXTBSY;
    if (error)
        inode_put(inode);
    else
        *result = inode;
    return error;
}

/* Splits "#! INTERPRETER [ARGUMENT]"; the argument may contain blanks, as Linux has it. */
static bool parse_script(char *line, usize size, char **interpreter, char **argument)
{
    char *end = memchr(line, '\n', size), *at = line + 2;

    if (!end && size == SCRIPT_LINE &&
        strcspn(at + strspn(at, " \t"), " \t") == size - 2 - strspn(at, " \t"))
        return false; /* the name goes on, who knows how far */
    if (!end)
        end = line + size;
    while (end > at && isblank((unsigned char)end[-1]))
        end--;
    *end = '\0';
    at += strspn(at, " \t");
    *interpreter = at;
    at += strcspn(at, " \t");
    if (*at)
        *at++ = '\0';
    at += strspn(at, " \t");
    *argument = *at ? at : NULL;
    return **interpreter;
}

/* The interpreter takes the script's place: "INTERPRETER [ARGUMENT] SCRIPT ...". */
static long follow_script(struct thread *thread, struct exec *exec, const char *script, char *line,
                          usize size)
{
    char *interpreter, *argument;
    const char *with[3];
    u32 count = 0;
    long error;

    if (!parse_script(line, size, &interpreter, &argument))
        return -ENOEXEC;
    with[count++] = interpreter;
    if (argument)
        with[count++] = argument;
    with[count++] = script;
    error = strings_replace_first(&exec->args, with, count);
    if (error)
        return error;
    inode_put(exec->inode);
    exec->inode = NULL;
    return find_executable(thread, AT_FDCWD, interpreter, PATH_FOLLOW, &exec->inode);
}

static long resolve_scripts(struct thread *thread, struct exec *exec)
{
    char line[SCRIPT_LINE + 1], script[PATH_MAX];
    long size = 0, error;

    memcpy(script, exec->name, sizeof script);
    for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
        size = tmpfs_read(exec->inode, line, 0, SCRIPT_LINE);
        if (size < 2 || line[0] != '#' || line[1] != '!')
            return size < 0 ? size : 0;
        error = follow_script(thread, exec, script, line, (usize)size);
        if (error)
            return error;
        strcpy(script, exec->args.bytes);
    }
    return -ELOOP;
}

long exec_resolve(struct thread *thread, struct exec *exec)
{
    const char *interpreter;
    long error = find_executable(thread, exec->dirfd, exec->name, exec->walk, &exec->inode);

    if (!error && !exec->args.count)
        error = strings_add(&exec->args, "");
    if (!error)
        error = resolve_scripts(thread, exec);
    if (error)
        return error;
    exec->image.inode = exec->inode;
    error = image_check(&exec->image);
    interpreter = error ? NULL : elf_interpreter(exec->image.bytes);
    if (!interpreter)
        return error;
    exec->has_interpreter = true;
    error = find_executable(thread, AT_FDCWD, interpreter, PATH_FOLLOW, &exec->interpreter.inode);
    return error ? error : image_check(&exec->interpreter);
}
