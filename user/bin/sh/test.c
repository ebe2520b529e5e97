/*
 * test and [: an expression over files, strings and numbers, by recursive descent.
 *
 *     or = and { -o and }   and = not { -a not }   not = [ ! ] primary
 *
 * Status 0 is true, 1 false, 2 a wrong expression.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sh.h"

struct expression {
    char **next, **end;
    bool wrong;
};

static bool test_or(struct expression *e);

static bool take(struct expression *e, const char *text)
{
    if (e->next < e->end && strcmp(*e->next, text) == 0) {
        e->next++;
        return true;
    }
    return false;
}

static long number(struct expression *e, const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    e->wrong |= end == text || *end;
    return value;
}

static bool test_file(char what, const char *path)
{
    struct stat info;
    switch (what) {
    case 'r': return access(path, R_OK) == 0;
    case 'w': return access(path, W_OK) == 0;
    case 'x': return access(path, X_OK) == 0;
    case 'L':
    case 'h': return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
    }
    if (stat(path, &info) < 0) {
        return false;
    }
    switch (what) {
    case 'f': return S_ISREG(info.st_mode);
    case 'd': return S_ISDIR(info.st_mode);
    case 'p': return S_ISFIFO(info.st_mode);
    case 'c': return S_ISCHR(info.st_mode);
    case 'b': return S_ISBLK(info.st_mode);
    case 's': return info.st_size > 0;
    }
    return true; /* -e */
}

static bool is_binary(const char *text)
{
    static const char *const names[] = {"=",   "==",  "!=",  "<",   ">",  "-eq",
                                        "-ne", "-lt", "-le", "-gt", "-ge"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool test_binary(struct expression *e, const char *left, const char *name, const char *right)
{
    if (name[0] != '-') {
        int order = strcmp(left, right);
        return *name == '='   ? order == 0
               : *name == '!' ? order != 0
               : *name == '<' ? order < 0
                              : order > 0;
    }
    long l = number(e, left), r = number(e, right);
    switch (name[1]) {
    case 'e': return l == r;
    case 'n': return l != r;
    case 'l': return name[2] == 't' ? l < r : l <= r;
    default: return name[2] == 't' ? l > r : l >= r;
    }
}

static bool test_primary(struct expression *e)
{
    long left = e->end - e->next;
    char **word = e->next;
    if (left >= 3 && is_binary(word[1])) {
        e->next += 3;
        return test_binary(e, word[0], word[1], word[2]);
    }
    if (left >= 2 && word[0][0] == '-' && word[0][1] && !word[0][2]) {
        if (strchr("nzt", word[0][1])) {
            e->next += 2;
            return word[0][1] == 't' ? isatty((int)number(e, word[1]))
                                     : (word[0][1] == 'z') == !*word[1];
        }
        if (strchr("rwxLhfdpcbse", word[0][1])) {
            e->next += 2;
            return test_file(word[0][1], word[1]);
        }
    }
    if (left >= 3 && take(e, "(")) {
        bool value = test_or(e);
        e->wrong |= !take(e, ")");
        return value;
    }
    if (left == 0) {
        e->wrong = true;
        return false;
    }
    e->next++;
    return *word[0] != '\0';
}

static bool test_not(struct expression *e)
{
    if (e->end - e->next > 1 && take(e, "!")) {
        return !test_not(e);
    }
    return test_primary(e);
}

static bool test_and(struct expression *e)
{
    bool value = test_not(e);
    while (take(e, "-a")) {
        value &= test_not(e);
    }
    return value;
}

static bool test_or(struct expression *e)
{
    bool value = test_and(e);
    while (take(e, "-o")) {
        value |= test_and(e);
    }
    return value;
}

int test_builtin(char **argv)
{
    struct expression e = {.next = argv + 1, .end = argv + 1};
    while (*e.end) {
        e.end++;
    }
    if (strcmp(argv[0], "[") == 0 && (e.end == e.next || strcmp(*--e.end, "]") != 0)) {
        complain("[: a ] is missing");
        return 2;
    }
    if (e.next == e.end) {
        return 1;
    }
    bool value = test_or(&e);
    if (e.wrong || e.next != e.end) {
        complain("%s: wrong expression", argv[0]);
        return 2;
    }
    return value ? 0 : 1;
}
