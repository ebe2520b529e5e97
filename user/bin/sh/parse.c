/*
 * The parser: one complete command, from its first line to the newline that ends it.
 *
 *     list     = and-or { ( ; | & | newline ) and-or }
 *     and-or   = pipeline { ( && | || ) pipeline }
 *     pipeline = [ ! ] command { '|' command }
 *     command  = simple | compound { redirection }
 *     compound = ( list ) | { list } | if ... fi | while ... done | until ... done | for ... done
 *
 * Each rule is a function that starts at the current token and leaves the one behind it current. A
 * syntax error jumps straight back to parse_command. At the top, a newline ends the list and is not
 * passed, for passing it would ask a person at the terminal for another line.
 */
#include <ctype.h>
#include <setjmp.h>
#include <string.h>

#include "lex.h"

static struct lexer *lexer; /* of the command being parsed */
static jmp_buf failed;

static struct node *parse_list(bool nested);

__attribute__((noreturn)) static void fail(const char *message)
{
    if (!shell.interrupted) {
        complain("syntax error: %s", message);
    }
    longjmp(failed, 1);
}

__attribute__((noreturn)) static void fail_unexpected(void)
{
    fail(arena_format("unexpected `%s'", lexer->token.text));
}

static bool at_operator(const char *text)
{
    return lexer->token.kind == TOKEN_OPERATOR && strcmp(lexer->token.text, text) == 0;
}

static bool at_word(const char *text)
{
    return lexer->token.kind == TOKEN_WORD && strcmp(lexer->token.text, text) == 0;
}

static void expect_word(const char *text)
{
    if (!at_word(text)) {
        fail(arena_format("`%s' expected, not `%s'", text, lexer->token.text));
    }
    lex_advance(lexer);
}

static void skip_newlines(void)
{
    while (lexer->token.kind == TOKEN_NEWLINE) {
        lex_advance(lexer);
    }
}

/* True where no command can begin, because what is here closes the list around it. */
static bool at_list_end(void)
{
    static const char *const closers[] = {"then", "else", "elif", "fi", "do", "done", "}"};
    for (size_t i = 0; i < sizeof closers / sizeof *closers; i++) {
        if (at_word(closers[i])) {
            return true;
        }
    }
    return lexer->token.kind == TOKEN_END || lexer->token.kind == TOKEN_NEWLINE || at_operator(")");
}

static struct node *new_node(enum node_kind kind, struct node *left, struct node *right)
{
    struct node *node = arena_alloc(sizeof *node);
    *node = (struct node){.kind = kind, .left = left, .right = right};
    return node;
}

/* Returns the length of NAME in NAME=value, or 0 if word is not an assignment. */
size_t parse_assignment_length(const char *word)
{
    size_t length = 0;
    if (isalpha((unsigned char)*word) || *word == '_') {
        while (isalnum((unsigned char)word[length]) || word[length] == '_') {
            length++;
        }
    }
    return word[length] == '=' ? length : 0;
}

static struct word **append_word(struct word **tail, const char *text)
{
    struct word *word = arena_alloc(sizeof *word);
    word->text = text;
    *tail = word;
    return &word->next;
}

/* redirection = [number] operator word */
static struct redir *parse_redir(void)
{
    static const struct {
        const char *text;
        enum redir_kind kind;
        int fd;
    } operators[] = {
        {"<", REDIR_IN, 0},      {">", REDIR_OUT, 1},         {">|", REDIR_OUT, 1},
        {">>", REDIR_APPEND, 1}, {"<>", REDIR_READ_WRITE, 0}, {"<&", REDIR_DUP, 0},
        {">&", REDIR_DUP, 1},    {"<<", REDIR_HERE, 0},       {"<<-", REDIR_HERE, 0},
    };
    size_t i = 0;
    while (strcmp(operators[i].text, lexer->token.text) != 0) {
        i++;
    }
    struct redir *redir = arena_alloc(sizeof *redir);
    redir->kind = operators[i].kind;
    redir->fd = lexer->token.fd >= 0 ? lexer->token.fd : operators[i].fd;
    lex_advance(lexer);
    if (lexer->token.kind != TOKEN_WORD) {
        fail_unexpected();
    }
    redir->target = lexer->token.text;
    if (redir->kind == REDIR_HERE) {
        lex_expect_here_document(lexer, redir, operators[i].text[2] == '-');
    }
    lex_advance(lexer);
    return redir;
}

static struct node *parse_simple(void)
{
    struct node *node = new_node(NODE_SIMPLE, NULL, NULL);
    struct word **assign_tail = &node->assigns, **word_tail = &node->words;
    struct redir **redir_tail = &node->redirs;
    for (;;) {
        if (lexer->token.kind == TOKEN_REDIR) {
            *redir_tail = parse_redir();
            redir_tail = &(*redir_tail)->next;
        } else if (lexer->token.kind != TOKEN_WORD) {
            break;
        } else {
            const char *text = lexer->token.text;
            if (!node->words && parse_assignment_length(text) > 0) {
                assign_tail = append_word(assign_tail, text);
            } else {
                word_tail = append_word(word_tail, text);
            }
            lex_advance(lexer);
        }
    }
    if (!node->assigns && !node->words && !node->redirs) {
        fail_unexpected();
    }
    return node;
}

/* Behind `if` or `elif`. */
static struct node *parse_if(void)
{
    struct node *condition = parse_list(true);
    expect_word("then");
    struct node *node = new_node(NODE_IF, condition, parse_list(true));
    if (at_word("elif")) {
        lex_advance(lexer);
        node->other = parse_if();
        return node;
    }
    if (at_word("else")) {
        lex_advance(lexer);
        node->other = parse_list(true);
    }
    expect_word("fi");
    return node;
}

static struct node *parse_do_done(void)
{
    expect_word("do");
    struct node *body = parse_list(true);
    expect_word("done");
    return body;
}

/* Behind `for`: NAME [ in WORD... ] ; do LIST done; without `in` it is the script's arguments. */
static struct node *parse_for(void)
{
    struct node *node = new_node(NODE_FOR, NULL, NULL);
    struct word **tail = &node->words;
    if (lexer->token.kind != TOKEN_WORD) {
        fail_unexpected();
    }
    node->name = lexer->token.text;
    lex_advance(lexer);
    skip_newlines();
    if (at_word("in")) {
        lex_advance(lexer);
        while (lexer->token.kind == TOKEN_WORD) {
            tail = append_word(tail, lexer->token.text);
            lex_advance(lexer);
        }
    } else {
        append_word(tail, "\"$@\"");
    }
    if (at_operator(";")) {
        lex_advance(lexer);
    }
    skip_newlines();
    node->right = parse_do_done();
    return node;
}

static struct node *parse_bracketed(enum node_kind kind)
{
    struct node *node = new_node(kind, parse_list(true), NULL);
    if (kind == NODE_GROUP) {
        expect_word("}");
    } else if (at_operator(")")) {
        lex_advance(lexer);
    } else {
        fail_unexpected();
    }
    return node;
}

static struct node *parse_compound(void)
{
    if (at_operator("(")) {
        lex_advance(lexer);
        return parse_bracketed(NODE_SUBSHELL);
    }
    if (at_word("{")) {
        lex_advance(lexer);
        return parse_bracketed(NODE_GROUP);
    }
    if (at_word("if")) {
        lex_advance(lexer);
        return parse_if();
    }
    if (at_word("while") || at_word("until")) {
        enum node_kind kind = at_word("while") ? NODE_WHILE : NODE_UNTIL;
        lex_advance(lexer);
        struct node *condition = parse_list(true);
        return new_node(kind, condition, parse_do_done());
    }
    if (at_word("for")) {
        lex_advance(lexer);
        return parse_for();
    }
    return NULL;
}

static struct node *parse_one(void)
{
    if (at_list_end()) {
        fail_unexpected();
    }
    struct node *node = parse_compound();
    if (!node) {
        return parse_simple();
    }
    for (struct redir **tail = &node->redirs; lexer->token.kind == TOKEN_REDIR;) {
        *tail = parse_redir();
        tail = &(*tail)->next;
    }
    return node;
}

static struct node *parse_pipeline_rest(void)
{
    struct node *node = parse_one();
    if (at_operator("|")) {
        lex_advance(lexer);
        skip_newlines();
        node = new_node(NODE_PIPE, node, parse_pipeline_rest());
    }
    return node;
}

static void set_text(struct node *node, size_t start)
{
    node->text = arena_copy(lexer->text.bytes + start, lexer->previous_end - start);
}

static struct node *parse_pipeline(void)
{
    size_t start = lexer->token.start;
    if (at_word("!")) {
        lex_advance(lexer);
        return new_node(NODE_NOT, parse_pipeline(), NULL);
    }
    struct node *node = parse_pipeline_rest();
    set_text(node, start);
    return node;
}

static struct node *parse_and_or(void)
{
    struct node *node = parse_pipeline();
    while (at_operator("&&") || at_operator("||")) {
        enum node_kind kind = at_operator("&&") ? NODE_AND : NODE_OR;
        lex_advance(lexer);
        skip_newlines();
        node = new_node(kind, node, parse_pipeline());
    }
    return node;
}

static struct node *parse_list(bool nested)
{
    struct node *list = NULL;
    for (bool separated = true; separated;) {
        if (nested) {
            skip_newlines();
        }
        if (at_list_end()) {
            break;
        }
        size_t start = lexer->token.start;
        struct node *node = parse_and_or();
        separated = at_operator(";") || at_operator("&");
        if (at_operator("&")) {
            node = new_node(NODE_ASYNC, node, NULL);
            set_text(node, start);
        }
        if (separated) {
            lex_advance(lexer);
        }
        separated |= nested && lexer->token.kind == TOKEN_NEWLINE;
        list = list ? new_node(NODE_SEQUENCE, list, node) : node;
    }
    if (nested && !list) {
        fail_unexpected();
    }
    return list;
}

static struct node *parse_complete(struct input *in)
{
    lex_begin(lexer, in);
    struct node *tree = parse_list(false);
    if (lexer->token.kind != TOKEN_NEWLINE && lexer->token.kind != TOKEN_END) {
        fail_unexpected();
    }
    return tree;
}

/*
 * Reads one command from in and stores its tree, which lives in the arena. A line without a command
 * is PARSE_EMPTY; an error has been reported, and the rest of its line dropped.
 */
enum parse_result parse_command(struct input *in, struct node **tree)
{
    struct lexer here = {.fail = fail};
    lexer = &here;
    *tree = NULL;
    bool error = setjmp(failed) != 0;
    if (!error) {
        *tree = parse_complete(in);
    }
    text_free(&here.text);
    return error                          ? PARSE_ERROR
           : *tree                        ? PARSE_OK
           : here.token.kind == TOKEN_END ? PARSE_END
                                          : PARSE_EMPTY;
}
