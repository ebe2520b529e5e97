/*
 * $((...)): the integer expressions of C, without assignment, by precedence climbing.
 *
 * A name stands for the number its variable holds, 0 if it holds none.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sh.h"

struct reader {
    const char *text;
    const char *error; /* what was wrong first, or null */
};

static const struct operator
{
    const char *text;
    int precedence;
}
operators[] = {
    {"||", 1}, {"&&", 2}, {"==", 6}, {"!=", 6}, {"<=", 7}, {">=", 7},
    {"<<", 8}, {">>", 8}, {"|", 3},  {"^", 4},  {"&", 5},  {"<", 7},
    {">", 7},  {"+", 9},  {"-", 9},  {"*", 10}, {"/", 10}, {"%", 10},
};

static long read_expression(struct reader *reader, int least_precedence);

static void skip_space(struct reader *reader)
{
    while (isspace((unsigned char)*reader->text)) {
        reader->text++;
    }
}

static void fail(struct reader *reader, const char *error)
{
    if (!reader->error) {
        reader->error = error;
    }
}

static long read_name(struct reader *reader)
{
    size_t length = 0;
    while (isalnum((unsigned char)reader->text[length]) || reader->text[length] == '_') {
        length++;
    }
    const char *value = var_get(arena_copy(reader->text, length));
    reader->text += length;
    return value ? strtol(value, NULL, 0) : 0;
}

static long read_primary(struct reader *reader)
{
    skip_space(reader);
    char first = *reader->text;
    if (isdigit((unsigned char)first)) {
        char *end;
        long value = strtol(reader->text, &end, 0);
        reader->text = end;
        return value;
    }
    if (isalpha((unsigned char)first) || first == '_') {
        return read_name(reader);
    }
    if (first == '\0' || !strchr("(-+!~", first)) {
        fail(reader, "a number is missing");
        return 0;
    }
    reader->text++;
    if (first != '(') {
        long value = read_primary(reader);
        return first == '-' ? -value : first == '!' ? !value : first == '~' ? ~value : value;
    }
    long value = read_expression(reader, 1);
    skip_space(reader);
    if (*reader->text == ')') {
        reader->text++;
    } else {
        fail(reader, "a ) is missing");
    }
    return value;
}

static long apply(struct reader *reader, const char *operator, long left, long right)
{
    bool two = operator[1] != '\0';
    unsigned long l = (unsigned long)left, r = (unsigned long)right;
    switch (*operator) {
    case '|': return two ? left || right : left | right;
    case '&': return two ? left && right : left & right;
    case '<': return operator[1] == '<' ? (long)(l << (r & 63)) : two ? left <= right : left<right;
    case '>': return operator[1] == '>' ? left >> (r & 63) : two ? left >= right : left> right;
    case '=': return left == right;
    case '!': return left != right;
    case '^': return left ^ right;
    case '+': return (long)(l + r);
    case '-': return (long)(l - r);
    case '*': return (long)(l * r);
    }
    if (right == 0) {
        fail(reader, "division by zero");
        return 0;
    }
    if (right == -1) {
        return *operator== '/' ? (long)-l : 0; /* the one quotient that overflows is among these */
    }
    return *operator== '/' ? left / right : left % right;
}

static const struct operator* peek_operator(struct reader *reader)
{
    skip_space(reader);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (strncmp(reader->text, operators[i].text, strlen(operators[i].text)) == 0) {
            return &operators[i];
        }
    }
    return NULL;
}

static long read_expression(struct reader *reader, int least_precedence)
{
    long left = read_primary(reader);
    const struct operator* found;
    while ((found = peek_operator(reader)) && found->precedence >= least_precedence) {
        reader->text += strlen(found->text);
        left = apply(reader, found->text, left, read_expression(reader, found->precedence + 1));
    }
    return left;
}

/* Stores the expression's value, or reports what is wrong with it and returns false. */
bool arith_evaluate(const char *expression, long *value)
{
    struct reader reader = {.text = expression};
    *value = read_expression(&reader, 1);
    skip_space(&reader);
    if (*reader.text) {
        fail(&reader, "an operator is missing");
    }
    if (reader.error) {
        complain("$((%s)): %s", expression, reader.error);
    }
    return !reader.error;
}
