/*
 * What the parts of the shell share.
 *
 *     input.c --text--> lex.c, parse.c --tree--> exec.c --words--> expand.c (arith.c)
 *                                                  |  \--> builtin.c, test.c
 *                                                  +----> jobs.c (every fork and wait)
 *     line.c, complete.c: a terminal's line editor       var.c: variables
 *
 * A command is read, parsed into a tree that lives in the arena, and run; then the arena is reset.
 * A simple command takes a mark before it expands its words and releases to it afterwards, so a
 * loop that runs for a day uses no more memory than one round of it.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The tree. */

enum node_kind {
    NODE_SIMPLE,   /* assigns, words, redirs */
    NODE_PIPE,     /* left | right, right may be another NODE_PIPE */
    NODE_NOT,      /* ! left */
    NODE_AND,      /* left && right */
    NODE_OR,       /* left || right */
    NODE_SEQUENCE, /* left ; right */
    NODE_ASYNC,    /* left & */
    NODE_SUBSHELL, /* ( left ) redirs */
    NODE_GROUP,    /* { left; } redirs */
    NODE_IF,       /* if left then right else other */
    NODE_WHILE,    /* while left do right done */
    NODE_UNTIL,    /* until left do right done */
    NODE_FOR,      /* for name in words do right done */
};

struct word {
    struct word *next;
    const char *text; /* as written, quotes and dollars included */
};

enum redir_kind { REDIR_IN, REDIR_OUT, REDIR_APPEND, REDIR_READ_WRITE, REDIR_DUP, REDIR_HERE };

struct redir {
    struct redir *next;
    enum redir_kind kind;
    int fd;
    const char *target; /* a word, or the body of a here-document */
    bool literal;       /* the here-document's delimiter was quoted: expand nothing */
};

struct node {
    enum node_kind kind;
    struct node *left, *right, *other;
    struct word *assigns, *words;
    struct redir *redirs;
    const char *name; /* NODE_FOR */
    const char *text; /* the source, shown by `jobs` */
};

/* The state of the shell itself. */

enum unwind { UNWIND_NONE, UNWIND_BREAK, UNWIND_CONTINUE, UNWIND_INTERRUPT };

struct shell {
    const char *name; /* $0 */
    char **args;      /* $1... */
    int arg_count;
    int status;                /* $? */
    pid_t pid;                 /* $$, the same in subshells */
    pid_t last_async;          /* $! */
    bool interactive;          /* reads commands from a terminal */
    bool job_control;          /* each pipeline is a process group of its own */
    bool exit_on_error, trace; /* set -e, set -x */
    int condition_depth;       /* > 0 where a failure is an answer, so that set -e keeps quiet */
    int loop_depth;
    enum unwind unwind; /* why the tree is being left early */
    int unwind_levels;  /* loops still to leave */
    volatile sig_atomic_t interrupted;
};

extern struct shell shell;

/* memory.c */
void *arena_alloc(size_t bytes);
char *arena_copy(const char *text, size_t length);
char *arena_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
size_t arena_mark(void);
void arena_release(size_t mark);
void *must(void *pointer);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A string that grows, on malloc's heap. */
struct text {
    char *bytes;
    size_t length, capacity;
};
void text_put(struct text *text, char byte);
void text_add(struct text *text, const char *bytes, size_t length);
char *text_string(struct text *text); /* ends it with a zero byte and returns it */
void text_free(struct text *text);

/* input.c */
struct input;
struct input *input_from_string(const char *commands);
struct input *input_from_fd(int fd);
struct input *input_from_terminal(void);
bool input_read_line(struct input *in, struct text *into, bool continued);
void input_close(struct input *in);

/* parse.c */
enum parse_result { PARSE_OK, PARSE_EMPTY, PARSE_ERROR, PARSE_END };
enum parse_result parse_command(struct input *in, struct node **tree);
size_t parse_assignment_length(const char *word);

/* lex.c */
const char *lex_skip_unit(const char *text);

/* expand.c */
char **expand_words(const struct word *words, int *count);
char *expand_single(const char *word);
char *expand_here_document(const char *body);

/* arith.c */
bool arith_evaluate(const char *expression, long *value);

/* var.c */
void var_import(char **environment);
const char *var_get(const char *name);
bool var_set(const char *name, const char *value);
void var_export(const char *name);
void var_unset(const char *name);
void var_print(bool exported_only);
char **var_environment(void);

/* exec.c */
int exec_input(struct input *in);
int exec_string(const char *commands);
int exec_tree(const struct node *tree);
void exec_capture(const char *commands, struct text *output);
char *exec_find(const char *name);
__attribute__((noreturn)) void exec_program(char **argv);

/* redirect.c */
struct saved_fd;
bool redirect_apply(const struct redir *redirs, struct saved_fd **undo);
void redirect_undo(struct saved_fd *undo);

/* jobs.c */
struct job;
void jobs_init(void);
struct job *job_new(const char *text);
pid_t job_fork(struct job *job, bool foreground);
int job_wait_foreground(struct job *job);
void job_put_background(struct job *job);
void jobs_report(void);
void jobs_forget(void);
int jobs_builtin(char **argv);
int jobs_builtin_fg(char **argv);
int jobs_builtin_bg(char **argv);
int jobs_builtin_wait(char **argv);
int jobs_builtin_kill(char **argv);

/* builtin.c, test.c */
typedef int builtin_fn(char **argv);
builtin_fn *builtin_find(const char *name);
const char *builtin_name(size_t index);
int test_builtin(char **argv);

/* line.c, complete.c */
bool line_read(const char *prompt, struct text *into);
size_t complete_at(const char *line, size_t cursor, struct text *insert, struct text *choices);
