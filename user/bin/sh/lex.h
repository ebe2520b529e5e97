/*
 * Tokens, for the parser only.
 */
#pragma once

#include "sh.h"

enum token_kind { TOKEN_END, TOKEN_NEWLINE, TOKEN_WORD, TOKEN_OPERATOR, TOKEN_REDIR };

struct token {
    enum token_kind kind;
    const char *text; /* in the arena */
    int fd;           /* TOKEN_REDIR: the number before it, or -1 */
    size_t start, end;
};

/* One command's text while it is parsed; it grows line by line as the parser asks for more. */
struct lexer {
    struct input *in;
    struct text text;
    size_t position;
    struct token token;    /* the one the parser looks at */
    size_t previous_end;   /* where the token before it ended */
    struct redir *here[8]; /* here-documents whose bodies begin at the next newline */
    bool here_strip[8];
    int here_count;
    __attribute__((noreturn)) void (*fail)(const char *message);
};

void lex_begin(struct lexer *lexer, struct input *in);
void lex_advance(struct lexer *lexer);
void lex_expect_here_document(struct lexer *lexer, struct redir *redir, bool strip_tabs);
