/*
 * The lexer: cuts a command's text into words, operators, redirections and newlines.
 *
 * A word keeps its quotes and dollars; expand.c takes them off. What a quote or a substitution
 * spans is decided by the skip_ functions, which are pure: they return null when the text ends too
 * early, and then the lexer fetches another line and tries again.
 */
#include <ctype.h>
#include <string.h>

#include "lex.h"

static const char *skip_double_quoted(const char *text);
static const char *skip_substitution(const char *opening);

/* Each takes the text after an opening quote and returns the text after the closing one. */
static const char *skip_single_quoted(const char *text)
{
    const char *end = strchr(text, '\'');
    return end ? end + 1 : NULL;
}

static const char *skip_back_quoted(const char *text)
{
    while (*text && *text != '`') {
        text += 1 + (*text == '\\' && text[1]);
    }
    return *text ? text + 1 : NULL;
}

/* Skips one character, or all of the quoted text or the substitution it opens; null without end. */
const char *lex_skip_unit(const char *text)
{
    switch (*text) {
    case '\\': return text[1] ? text + 2 : NULL;
    case '\'': return skip_single_quoted(text + 1);
    case '"': return skip_double_quoted(text + 1);
    case '`': return skip_back_quoted(text + 1);
    case '$': return text[1] == '(' || text[1] == '{' ? skip_substitution(text + 1) : text + 1;
    default: return text + 1;
    }
}

static const char *skip_double_quoted(const char *text)
{
    while (text && *text != '"') {
        text = *text == '\0' ? NULL : *text == '\'' ? text + 1 : lex_skip_unit(text);
    }
    return text ? text + 1 : NULL;
}

/* From the ( or { of a substitution to behind its closing partner; null if there is none. */
static const char *skip_substitution(const char *opening)
{
    char open = *opening, close = open == '(' ? ')' : '}';
    const char *text = opening + 1;
    for (int depth = 1; depth > 0;) {
        if (!text || !*text) {
            return NULL;
        }
        depth += (*text == open && open == '(') - (*text == close);
        text = lex_skip_unit(text);
    }
    return text;
}

static const char *skip_word(const char *text)
{
    while (text && !strchr(" \t\n;&|<>()", *text)) {
        text = lex_skip_unit(text);
    }
    return text && *text ? text : NULL; /* a line ends in a newline, so its last word is whole */
}

static bool fetch_line(struct lexer *lexer)
{
    bool more = input_read_line(lexer->in, &lexer->text, lexer->text.length > 0);
    text_string(&lexer->text);
    return more;
}

/* Passes over blanks, comments and escaped newlines; false at the end of input. */
static bool skip_blanks(struct lexer *lexer)
{
    for (;;) {
        const char *c = lexer->text.bytes + lexer->position;
        if (lexer->position == lexer->text.length) {
            if (!fetch_line(lexer)) {
                return false;
            }
        } else if (*c == ' ' || *c == '\t') {
            lexer->position++;
        } else if (c[0] == '\\' && c[1] == '\n') {
            lexer->position += 2;
        } else if (*c == '#') {
            lexer->position += strcspn(c, "\n");
        } else {
            return true;
        }
    }
}

/* Returns the next line without its newline, in the arena, or null at the end of input. */
static char *take_line(struct lexer *lexer)
{
    if (lexer->position == lexer->text.length && !fetch_line(lexer)) {
        return NULL;
    }
    const char *line = lexer->text.bytes + lexer->position;
    size_t length = strcspn(line, "\n");
    lexer->position += length + 1;
    return arena_copy(line, length);
}

/* Replaces the here-document's delimiter, its target so far, by its body. */
static void read_here_document(struct lexer *lexer, struct redir *redir, bool strip_tabs)
{
    struct text body = {0}, delimiter = {0};
    for (const char *c = redir->target; *c; c++) {
        if (strchr("'\"\\", *c)) {
            redir->literal = true;
        } else {
            text_put(&delimiter, *c);
        }
    }
    text_string(&delimiter);
    for (char *line; (line = take_line(lexer));) {
        while (strip_tabs && *line == '\t') {
            line++;
        }
        if (strcmp(line, delimiter.bytes) == 0) {
            break;
        }
        text_add(&body, line, strlen(line));
        text_put(&body, '\n');
    }
    redir->target = arena_copy(text_string(&body), body.length);
    text_free(&body);
    text_free(&delimiter);
}

static void take_newline(struct lexer *lexer)
{
    lexer->token.kind = TOKEN_NEWLINE;
    lexer->token.text = "newline";
    lexer->position++;
    for (int i = 0; i < lexer->here_count; i++) {
        read_here_document(lexer, lexer->here[i], lexer->here_strip[i]);
    }
    lexer->here_count = 0;
}

static bool take_operator(struct lexer *lexer)
{
    static const char *const operators[] = {"<<-", "<<", ">>", "<>", "<&", ">&", ">|", "<",
                                            ">",   "&&", "||", ";",  "&",  "|",  "(",  ")"};
    const char *c = lexer->text.bytes + lexer->position;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t length = strlen(operators[i]);
        if (strncmp(c, operators[i], length) == 0) {
            lexer->token.text = operators[i];
            lexer->token.kind = strchr("<>", *c) ? TOKEN_REDIR : TOKEN_OPERATOR;
            lexer->position += length;
            return true;
        }
    }
    return false;
}

static void take_word(struct lexer *lexer)
{
    const char *end;
    while (!(end = skip_word(lexer->text.bytes + lexer->position))) {
        if (!fetch_line(lexer)) {
            lexer->fail("end of input inside quotes or a substitution");
        }
    }
    const char *start = lexer->text.bytes + lexer->position;
    size_t length = (size_t)(end - start);
    bool number = length <= 2 && isdigit((unsigned char)start[0]) &&
                  (length == 1 || isdigit((unsigned char)start[1]));
    if (number && strchr("<>", *end)) {
        lexer->token.fd = start[0] - '0';
        if (length == 2) {
            lexer->token.fd = 10 * lexer->token.fd + start[1] - '0';
        }
        lexer->position += length;
        take_operator(lexer);
        return;
    }
    lexer->token.kind = TOKEN_WORD;
    lexer->token.text = arena_copy(start, length);
    lexer->position += length;
}

/* Makes the next token the current one; at the end of input that is TOKEN_END, again and again. */
void lex_advance(struct lexer *lexer)
{
    lexer->previous_end = lexer->token.end;
    lexer->token = (struct token){.kind = TOKEN_END, .text = "end of input", .fd = -1};
    bool more = skip_blanks(lexer);
    lexer->token.start = lexer->position;
    if (more && lexer->text.bytes[lexer->position] == '\n') {
        take_newline(lexer);
    } else if (more && !take_operator(lexer)) {
        take_word(lexer);
    }
    lexer->token.end = lexer->position;
}

/* The body of redir, whose target is the delimiter, begins behind the next newline. */
void lex_expect_here_document(struct lexer *lexer, struct redir *redir, bool strip_tabs)
{
    if (lexer->here_count == (int)(sizeof lexer->here / sizeof *lexer->here)) {
        lexer->fail("too many here-documents in one line");
    }
    lexer->here[lexer->here_count] = redir;
    lexer->here_strip[lexer->here_count++] = strip_tabs;
}

/* Starts on a new command. lexer->fail must be set; it must not return. */
void lex_begin(struct lexer *lexer, struct input *in)
{
    lexer->in = in;
    lexer->text.length = 0;
    lexer->position = 0;
    lexer->here_count = 0;
    lexer->token = (struct token){0};
    text_string(&lexer->text);
    lex_advance(lexer);
}
