/*
 * The executor: walks the tree and does what it says.
 *
 * A function that runs something returns the exit status and leaves it in shell.status. Leaving
 * loops early (break, continue, Ctrl-C) is a flag, shell.unwind, that every loop and list looks at.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sh.h"

static int substitutions; /* commands substituted so far: their status may be an assignment's */

/* Returns the program's path, in the arena, or null with errno set. */
char *exec_find(const char *name)
{
    if (strchr(name, '/')) {
        return arena_copy(name, strlen(name));
    }
    const char *path = var_get("PATH");
    int error = ENOENT;
    for (path = path ? path : "/bin:/usr/bin"; path; path = *path ? path + 1 : NULL) {
        size_t length = strcspn(path, ":");
        char *file = arena_format("%.*s%s%s", (int)length, path, length ? "/" : "", name);
        struct stat info;
        if (stat(file, &info) == 0 && S_ISREG(info.st_mode)) {
            if (access(file, X_OK) == 0) {
                return file;
            }
            error = EACCES;
        }
        path += length;
    }
    errno = error;
    return NULL;
}

/* A file that is executable but no program is a script for this shell. */
static void run_as_script(const char *file, char **argv)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        shell.name = file;
        shell.args = argv + 1;
        for (shell.arg_count = 0; shell.args[shell.arg_count];) {
            shell.arg_count++;
        }
        exit(exec_input(input_from_fd(fd)));
    }
}

/* Replaces the shell by a program. */
void exec_program(char **argv)
{
    char *file = exec_find(argv[0]);
    if (file) {
        execve(file, argv, var_environment());
        if (errno == ENOEXEC) {
            run_as_script(file, argv);
        }
    }
    int error = errno;
    complain("%s: %s", argv[0], error == ENOENT ? "not found" : strerror(error));
    exit(error == ENOENT ? 127 : 126);
}

static bool assign(const struct word *assigns, bool exported)
{
    for (; assigns; assigns = assigns->next) {
        size_t length = parse_assignment_length(assigns->text);
        char *name = arena_copy(assigns->text, length);
        char *value = expand_single(assigns->text + length + 1);
        if (!value) {
            return false;
        }
        var_set(name, value);
        if (exported) {
            var_export(name);
        }
    }
    return true;
}

static void print_trace(char **argv)
{
    fputc('+', stderr);
    for (; *argv; argv++) {
        fprintf(stderr, " %s", *argv);
    }
    fputc('\n', stderr);
}

/* What variables that a builtin's own assignments change were before. */
struct saved_var {
    struct saved_var *next;
    const char *name, *value; /* null: not set */
};

static struct saved_var *save_variables(const struct word *assigns)
{
    struct saved_var *list = NULL;
    for (; assigns; assigns = assigns->next) {
        struct saved_var *saved = arena_alloc(sizeof *saved);
        saved->name = arena_copy(assigns->text, parse_assignment_length(assigns->text));
        const char *value = var_get(saved->name);
        saved->value = value ? arena_copy(value, strlen(value)) : NULL;
        saved->next = list;
        list = saved;
    }
    return list;
}

static void restore_variables(const struct saved_var *saved)
{
    for (; saved; saved = saved->next) {
        if (saved->value) {
            var_set(saved->name, saved->value);
        } else {
            var_unset(saved->name);
        }
    }
}

/* Redirections of `exec` stay; all others, and all assignments, are undone. */
static int run_builtin(builtin_fn *builtin, const struct node *node, char **argv)
{
    struct saved_fd *undo = NULL;
    struct saved_var *variables = save_variables(node->assigns);
    bool keep = strcmp(argv[0], "exec") == 0;
    int status = 1;
    if (redirect_apply(node->redirs, keep ? NULL : &undo) && assign(node->assigns, false)) {
        status = builtin(argv);
        if (fflush(stdout) != 0) {
            clearerr(stdout);
            status = 1;
        }
    }
    redirect_undo(undo);
    restore_variables(variables);
    return status;
}

static void run_program_here(const struct node *node, char **argv)
{
    if (redirect_apply(node->redirs, NULL) && assign(node->assigns, true)) {
        exec_program(argv);
    }
    exit(1);
}

static int run_program(const struct node *node, char **argv)
{
    struct job *job = job_new(node->text ? node->text : argv[0]);
    if (job_fork(job, true) == 0) {
        run_program_here(node, argv);
    }
    return job_wait_foreground(job);
}

/*
 * Without a command word, assignments last and redirections are only tried. The status is that of
 * the last command substituted since there were only `before` of them, if any was.
 */
static int run_assignments(const struct node *node, int before)
{
    struct saved_fd *undo = NULL;
    bool good = assign(node->assigns, false) && redirect_apply(node->redirs, &undo);
    redirect_undo(undo);
    return !good ? 1 : substitutions > before ? shell.status : 0;
}

/* here: this process is the command's own and need not come back. */
static int run_simple(const struct node *node, bool here)
{
    size_t mark = arena_mark();
    int count, before = substitutions, status = 1;
    char **argv = expand_words(node->words, &count);
    if (argv && shell.trace && count > 0) {
        print_trace(argv);
    }
    builtin_fn *builtin = argv && count > 0 ? builtin_find(argv[0]) : NULL;
    if (argv && count == 0) {
        status = run_assignments(node, before);
    } else if (builtin) {
        status = run_builtin(builtin, node, argv);
    } else if (argv && here) {
        run_program_here(node, argv);
    } else if (argv) {
        status = run_program(node, argv);
    }
    arena_release(mark);
    return status;
}

/* Ends a forked child with the status of node. */
__attribute__((noreturn)) static void run_in_child(const struct node *node)
{
    int status = 1;
    if (node->kind == NODE_SIMPLE) {
        status = run_simple(node, true);
    } else if (node->kind == NODE_SUBSHELL) {
        if (redirect_apply(node->redirs, NULL)) {
            status = exec_tree(node->left);
        }
    } else {
        status = exec_tree(node);
    }
    exit(status);
}

static int run_subshell(const struct node *node)
{
    struct job *job = job_new(node->text);
    if (job_fork(job, true) == 0) {
        run_in_child(node);
    }
    return job_wait_foreground(job);
}

static int run_async(const struct node *node)
{
    struct job *job = job_new(node->text);
    pid_t pid = job_fork(job, false);
    if (pid == 0) {
        run_in_child(node->left);
    }
    job_put_background(job);
    return pid < 0 ? 126 : 0;
}

/* One command of a pipeline: reads from in, writes to out[1]; either may be absent, as -1. */
static pid_t start_stage(struct job *job, const struct node *node, int in, const int out[2])
{
    pid_t pid = job_fork(job, true);
    if (pid == 0) {
        if (in >= 0) {
            dup2(in, STDIN_FILENO);
            close(in);
        }
        if (out[1] >= 0) {
            dup2(out[1], STDOUT_FILENO);
            close(out[0]);
            close(out[1]);
        }
        run_in_child(node);
    }
    return pid;
}

static int run_pipeline(const struct node *node)
{
    struct job *job = job_new(node->text);
    int in = -1;
    for (bool last = false; !last;) {
        int out[2] = {-1, -1};
        last = node->kind != NODE_PIPE;
        if (!last && pipe2(out, O_CLOEXEC) < 0) {
            complain("pipe: %s", strerror(errno));
            break;
        }
        pid_t pid = start_stage(job, last ? node : node->left, in, out);
        if (in >= 0) {
            close(in);
        }
        if (out[1] >= 0) {
            close(out[1]);
        }
        in = out[0];
        if (pid < 0) {
            break;
        }
        node = node->right;
    }
    if (in >= 0) {
        close(in);
    }
    return job_wait_foreground(job);
}

static int run_condition(const struct node *node)
{
    shell.condition_depth++;
    int status = exec_tree(node);
    shell.condition_depth--;
    return status;
}

/* After a round of a loop: whether the loop goes on, given why its body was left. */
static bool loop_goes_on(void)
{
    if (shell.unwind == UNWIND_BREAK || shell.unwind == UNWIND_CONTINUE) {
        if (--shell.unwind_levels > 0) {
            return false;
        }
        bool again = shell.unwind == UNWIND_CONTINUE;
        shell.unwind = UNWIND_NONE;
        return again;
    }
    return shell.unwind == UNWIND_NONE;
}

static int run_while(const struct node *node)
{
    int status = 0;
    shell.loop_depth++;
    for (bool again = true; again;) {
        bool holds = (run_condition(node->left) == 0) == (node->kind == NODE_WHILE);
        if (!holds && shell.unwind == UNWIND_NONE) {
            break;
        }
        if (shell.unwind == UNWIND_NONE) {
            status = exec_tree(node->right);
        }
        again = loop_goes_on();
    }
    shell.loop_depth--;
    return status;
}

static int run_for(const struct node *node)
{
    int count, status = 0;
    char **values = expand_words(node->words, &count);
    if (!values) {
        return 1;
    }
    shell.loop_depth++;
    for (int i = 0; i < count; i++) {
        if (!var_set(node->name, values[i])) {
            complain("for: %s: not a name", node->name);
            status = 1;
            break;
        }
        status = exec_tree(node->right);
        if (!loop_goes_on()) {
            break;
        }
    }
    shell.loop_depth--;
    return status;
}

static int run_if(const struct node *node)
{
    if (run_condition(node->left) == 0) {
        return shell.unwind ? shell.status : exec_tree(node->right);
    }
    return shell.unwind ? shell.status : node->other ? exec_tree(node->other) : 0;
}

static int run_compound(const struct node *node)
{
    struct saved_fd *undo = NULL;
    int status = 1;
    if (redirect_apply(node->redirs, &undo)) {
        status = node->kind == NODE_GROUP ? exec_tree(node->left)
                 : node->kind == NODE_IF  ? run_if(node)
                 : node->kind == NODE_FOR ? run_for(node)
                                          : run_while(node);
    }
    redirect_undo(undo);
    return status;
}

static int run_and_or(const struct node *node)
{
    int status = run_condition(node->left);
    return shell.unwind || (status == 0) != (node->kind == NODE_AND) ? status
                                                                     : exec_tree(node->right);
}

static int run_node(const struct node *node)
{
    switch (node->kind) {
    case NODE_SIMPLE: return run_simple(node, false);
    case NODE_PIPE: return run_pipeline(node);
    case NODE_NOT: return !run_condition(node->left);
    case NODE_AND:
    case NODE_OR: return run_and_or(node);
    case NODE_SEQUENCE: exec_tree(node->left); return exec_tree(node->right);
    case NODE_ASYNC: return run_async(node);
    case NODE_SUBSHELL: return run_subshell(node);
    default: return run_compound(node);
    }
}

/* Runs a tree, or nothing while one is being left. */
int exec_tree(const struct node *node)
{
    if (shell.interrupted && shell.interactive) {
        shell.unwind = UNWIND_INTERRUPT;
        shell.status = 128 + SIGINT;
    }
    if (shell.unwind != UNWIND_NONE) {
        return shell.status;
    }
    shell.status = run_node(node);
    if (shell.unwind == UNWIND_INTERRUPT) {
        shell.status = 128 + SIGINT;
    }
    bool answer = shell.condition_depth > 0 || node->kind == NODE_NOT || node->kind == NODE_AND ||
                  node->kind == NODE_OR || node->kind == NODE_SEQUENCE;
    if (shell.exit_on_error && shell.status != 0 && !answer) {
        exit(shell.status);
    }
    return shell.status;
}

/* Runs all commands of in, and closes it; returns the status of the last. */
int exec_input(struct input *in)
{
    bool top = shell.interactive && shell.loop_depth == 0;
    enum parse_result result = PARSE_EMPTY;
    while (result != PARSE_END && (top || shell.unwind == UNWIND_NONE)) {
        size_t mark = arena_mark();
        struct node *tree;
        jobs_report();
        result = parse_command(in, &tree);
        if (result == PARSE_OK) {
            exec_tree(tree);
        } else if (result == PARSE_ERROR) {
            shell.status = 2;
            result = top ? PARSE_EMPTY : PARSE_END;
        } else if (shell.interrupted && top) {
            result = PARSE_EMPTY; /* Ctrl-C at the prompt is not the end of input */
        }
        if (top) {
            shell.interrupted = 0;
            shell.unwind = UNWIND_NONE;
        }
        arena_release(mark);
    }
    input_close(in);
    return shell.status;
}

int exec_string(const char *commands)
{
    return exec_input(input_from_string(commands));
}

static void read_all(int fd, struct text *output)
{
    char buffer[4096];
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR);) {
        text_add(output, buffer, got > 0 ? (size_t)got : 0);
    }
}

/* Runs commands in a subshell and appends what they print; $? is theirs afterwards. */
void exec_capture(const char *commands, struct text *output)
{
    int ends[2], status = 126 << 8;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        complain("pipe: %s", strerror(errno));
        return;
    }
    pid_t pid = job_fork(NULL, true);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        exit(exec_string(commands));
    }
    close(ends[1]);
    if (pid > 0) {
        read_all(ends[0], output);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(ends[0]);
    shell.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    substitutions++;
}
