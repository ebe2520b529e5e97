/*
 * Expansion: from a word as it was written to the arguments it stands for.
 *
 * The word is turned into a row of characters, each with flags that say where it came from; then
 * one pass cuts the row into fields and matches fields that hold an unquoted pattern against files.
 *
 *     a"$x"$y*   with x='1 2', y='3 4'   ->   a12 2 3   and   4*
 *     flags:  a plain, "1 2" quoted, "3 4" splittable, * plain
 */
#include <ctype.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "sh.h"

enum {
    QUOTED = 1, /* stands for itself: neither split nor a pattern */
    SPLIT = 2,  /* came from an unquoted substitution: a separator splits here */
    BREAK = 4,  /* no character: the border between two arguments of $@ */
    EMPTY = 8,  /* no character: makes a field of its own exist, as "" does */
};

enum mode { MODE_PLAIN, MODE_QUOTED, MODE_HERE };

struct row {
    struct text bytes, flags;
    bool failed; /* reported */
};

static void expand_range(struct row *row, const char *text, const char *end, enum mode mode);

static void put(struct row *row, char byte, int flags)
{
    text_put(&row->bytes, byte);
    text_put(&row->flags, (char)flags);
}

static void put_value(struct row *row, const char *value, enum mode mode)
{
    for (; *value; value++) {
        put(row, *value, mode == MODE_PLAIN ? SPLIT : QUOTED);
    }
}

static void row_free(struct row *row)
{
    text_free(&row->bytes);
    text_free(&row->flags);
}

/* All characters of the row in one string, in the arena. */
static char *row_string(const struct row *row)
{
    char *string = arena_alloc(row->bytes.length + 1), *out = string;
    for (size_t i = 0; i < row->bytes.length; i++) {
        if (row->flags.bytes[i] & BREAK) {
            *out++ = ' ';
        } else if (!(row->flags.bytes[i] & EMPTY)) {
            *out++ = row->bytes.bytes[i];
        }
    }
    return string;
}

/* Expands text up to end by itself, without splitting. */
static char *expand_apart(struct row *row, const char *text, const char *end, enum mode mode)
{
    struct row apart = {0};
    expand_range(&apart, text, end, mode);
    char *string = row_string(&apart);
    row->failed |= apart.failed;
    row_free(&apart);
    return string;
}

static void put_command_output(struct row *row, const char *commands, enum mode mode)
{
    struct text output = {0};
    exec_capture(commands, &output);
    while (output.length > 0 && output.bytes[output.length - 1] == '\n') {
        output.length--;
    }
    put_value(row, text_string(&output), mode);
    text_free(&output);
}

/* text is behind the opening backquote, end behind the closing one. */
static void put_back_quoted(struct row *row, const char *text, const char *end, enum mode mode)
{
    char *commands = arena_alloc((size_t)(end - text)), *out = commands;
    for (; text < end - 1; text++) {
        if (*text == '\\' && strchr("`\\$", text[1])) {
            text++;
        }
        *out++ = *text;
    }
    put_command_output(row, commands, mode);
}

static void put_arguments(struct row *row, char which, enum mode mode)
{
    for (int i = 0; i < shell.arg_count; i++) {
        if (i > 0 && which == '*' && mode != MODE_PLAIN) {
            put(row, ' ', QUOTED);
        } else if (i > 0) {
            put(row, ' ', BREAK);
        }
        put_value(row, shell.args[i], mode);
    }
}

/* The value of a parameter with one of the special names, or of a variable; null if not set. */
static const char *parameter_value(const char *name)
{
    switch (*name) {
    case '?': return arena_format("%d", shell.status);
    case '$': return arena_format("%d", (int)shell.pid);
    case '!': return shell.last_async ? arena_format("%d", (int)shell.last_async) : NULL;
    case '#': return arena_format("%d", shell.arg_count);
    case '-':
        return arena_format("%s%s%s", shell.exit_on_error ? "e" : "", shell.interactive ? "i" : "",
                            shell.trace ? "x" : "");
    }
    if (isdigit((unsigned char)*name)) {
        long index = strtol(name, NULL, 10);
        return index == 0 ? shell.name : index <= shell.arg_count ? shell.args[index - 1] : NULL;
    }
    return var_get(name);
}

static size_t parameter_name_length(const char *text)
{
    size_t length = 0;
    if (isalpha((unsigned char)*text) || *text == '_') {
        while (isalnum((unsigned char)text[length]) || text[length] == '_') {
            length++;
        }
        return length;
    }
    return *text && strchr("?$!#@*-0123456789", *text) ? 1 : 0;
}

/* ${name#pattern}, ##, % and %%: value without its shortest or longest matching end. */
static const char *trim(const char *value, const char *pattern, char side, bool longest)
{
    size_t length = strlen(value);
    for (size_t n = 0; n <= length; n++) {
        size_t cut = longest ? length - n : n;
        const char *tail = value + length - cut;
        if (side == '%' && fnmatch(pattern, tail, 0) == 0) {
            return arena_copy(value, length - cut);
        }
        if (side == '#' && fnmatch(pattern, arena_copy(value, cut), 0) == 0) {
            return value + cut;
        }
    }
    return value;
}

/* ${name-word} and its relatives; text is the operator, with its colon if it has one. */
static void put_alternative(struct row *row, const char *name, const char *value, const char *text,
                            const char *end, enum mode mode)
{
    bool colon = *text == ':';
    char operator= text[colon];
    const char *word = text + colon + 1;
    bool set = value && !(colon && !*value);
    if (operator== '+' ? set : !set && operator== '-') {
        expand_range(row, word, end, mode);
    } else if (operator== '+' || set) {
        put_value(row, operator== '+' ? "" : value, mode);
    } else if (operator== '=') {
        const char *assigned = expand_apart(row, word, end, MODE_QUOTED);
        var_set(name, assigned);
        put_value(row, assigned, mode);
    } else {
        const char *message = expand_apart(row, word, end, MODE_QUOTED);
        complain("%s: %s", name, *message ? message : "not set");
        row->failed = true;
    }
}

/* text is behind ${, end is at the closing brace. */
static void put_braced(struct row *row, const char *text, const char *end, enum mode mode)
{
    bool length_wanted = *text == '#' && end - text > 1;
    text += length_wanted;
    size_t length = parameter_name_length(text);
    while (length > 0 && isdigit((unsigned char)*text) && isdigit((unsigned char)text[length])) {
        length++;
    }
    const char *name = arena_copy(text, length), *rest = text + length;
    const char *value = length > 0 ? parameter_value(name) : NULL;
    if (length > 0 && rest == end) {
        if (length_wanted) {
            put_value(row, arena_format("%zu", value ? strlen(value) : 0), mode);
        } else if (strchr("@*", *name)) {
            put_arguments(row, *name, mode);
        } else {
            put_value(row, value ? value : "", mode);
        }
    } else if (length > 0 && strchr("-=?+", rest[*rest == ':'])) {
        put_alternative(row, name, value, rest, end, mode);
    } else if (length > 0 && strchr("#%", *rest)) {
        bool longest = rest[1] == rest[0];
        const char *pattern = expand_apart(row, rest + 1 + longest, end, MODE_PLAIN);
        put_value(row, trim(value ? value : "", pattern, *rest, longest), mode);
    } else {
        complain("${%.*s}: bad substitution", (int)(end - text), text);
        row->failed = true;
    }
}

static void put_arithmetic(struct row *row, const char *text, const char *end, enum mode mode)
{
    long value;
    if (arith_evaluate(expand_apart(row, text, end, MODE_HERE), &value)) {
        put_value(row, arena_format("%ld", value), mode);
    } else {
        row->failed = true;
    }
}

/* text is at a dollar; returns what follows its substitution. */
static const char *put_dollar(struct row *row, const char *text, enum mode mode)
{
    size_t length = parameter_name_length(text + 1);
    if (text[1] == '(' || text[1] == '{') {
        const char *end = lex_skip_unit(text);
        if (text[1] == '{') {
            put_braced(row, text + 2, end - 1, mode);
        } else if (text[2] == '(' && end[-2] == ')') {
            put_arithmetic(row, text + 3, end - 2, mode);
        } else {
            put_command_output(row, arena_copy(text + 2, (size_t)(end - text - 3)), mode);
        }
        return end;
    }
    if (length == 0) {
        put(row, '$', mode == MODE_PLAIN ? 0 : QUOTED);
    } else if (text[1] == '@' || text[1] == '*') {
        put_arguments(row, text[1], mode);
    } else {
        const char *value = parameter_value(arena_copy(text + 1, length));
        put_value(row, value ? value : "", mode);
    }
    return text + 1 + length;
}

/* text is at a backslash; returns what follows the character it protects. */
static const char *put_escaped(struct row *row, const char *text, enum mode mode)
{
    bool special =
        mode == MODE_PLAIN || strchr(mode == MODE_QUOTED ? "$`\"\\\n" : "$`\\\n", text[1]);
    if (!special || !text[1]) {
        put(row, '\\', QUOTED);
        return text + 1;
    }
    if (text[1] != '\n') {
        put(row, text[1], QUOTED);
    }
    return text + 2;
}

/* text is at a quote in plain text; returns what follows the closing one. */
static const char *put_quoted(struct row *row, const char *text)
{
    const char *end = lex_skip_unit(text);
    if (*text == '\'') {
        for (const char *c = text + 1; c < end - 1; c++) {
            put(row, *c, QUOTED);
        }
    } else {
        expand_range(row, text + 1, end - 1, MODE_QUOTED);
    }
    bool no_arguments = strncmp(text, "\"$@\"", 4) == 0 && shell.arg_count == 0;
    if (!no_arguments) {
        put(row, ' ', EMPTY);
    }
    return end;
}

static void expand_range(struct row *row, const char *text, const char *end, enum mode mode)
{
    const char *home = var_get("HOME");
    if (mode == MODE_PLAIN && *text == '~' && (text + 1 == end || text[1] == '/') && home) {
        put_value(row, home, MODE_QUOTED);
        text++;
    }
    while (text < end) {
        if (*text == '\\') {
            text = put_escaped(row, text, mode);
        } else if ((*text == '\'' || *text == '"') && mode == MODE_PLAIN) {
            text = put_quoted(row, text);
        } else if (*text == '`') {
            const char *close = lex_skip_unit(text);
            put_back_quoted(row, text + 1, close, mode);
            text = close;
        } else if (*text == '$') {
            text = put_dollar(row, text, mode);
        } else {
            put(row, *text++, mode == MODE_PLAIN ? 0 : QUOTED);
        }
    }
}

/* The fields found so far, and the one being collected. */
struct fields {
    char **list;
    int count, capacity;
    struct text plain, pattern; /* the field, and the same with quoted characters escaped */
    bool exists, is_pattern;
};

static void fields_add(struct fields *fields, const char *field)
{
    if (fields->count + 1 >= fields->capacity) {
        int capacity = fields->capacity ? 2 * fields->capacity : 16;
        char **list = arena_alloc((size_t)capacity * sizeof *list);
        if (fields->count > 0) {
            memcpy(list, fields->list, (size_t)fields->count * sizeof *list);
        }
        fields->list = list;
        fields->capacity = capacity;
    }
    fields->list[fields->count++] = arena_copy(field, strlen(field));
    fields->list[fields->count] = NULL;
}

static void fields_finish(struct fields *fields)
{
    glob_t found;
    if (fields->exists && fields->is_pattern &&
        glob(text_string(&fields->pattern), 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            fields_add(fields, found.gl_pathv[i]);
        }
        globfree(&found);
    } else if (fields->exists) {
        fields_add(fields, text_string(&fields->plain));
    }
    fields->plain.length = fields->pattern.length = 0;
    fields->exists = fields->is_pattern = false;
}

static void fields_take(struct fields *fields, char byte, int flags, const char *separators)
{
    if (flags & BREAK) {
        fields->exists = true;
        fields_finish(fields);
    } else if (flags & EMPTY) {
        fields->exists = true;
    } else if ((flags & SPLIT) && strchr(separators, byte)) {
        fields->exists |= !isspace((unsigned char)byte);
        fields_finish(fields);
    } else {
        fields->exists = true;
        fields->is_pattern |= !(flags & QUOTED) && strchr("*?[", byte);
        if ((flags & QUOTED) && strchr("*?[]\\", byte)) {
            text_put(&fields->pattern, '\\');
        }
        text_put(&fields->pattern, byte);
        text_put(&fields->plain, byte);
    }
}

/*
 * Returns the null-ended list of what words expand to, in the arena, or null after an error that
 * has been reported.
 */
char **expand_words(const struct word *words, int *count)
{
    struct fields fields = {.list = arena_alloc(sizeof *fields.list)};
    const char *separators = var_get("IFS");
    bool failed = false;
    for (; words && !failed; words = words->next) {
        struct row row = {0};
        expand_range(&row, words->text, words->text + strlen(words->text), MODE_PLAIN);
        for (size_t i = 0; i < row.bytes.length; i++) {
            fields_take(&fields, row.bytes.bytes[i], row.flags.bytes[i],
                        separators ? separators : " \t\n");
        }
        fields_finish(&fields);
        failed = row.failed;
        row_free(&row);
    }
    text_free(&fields.plain);
    text_free(&fields.pattern);
    *count = fields.count;
    return failed ? NULL : fields.list;
}

static char *expand_in_mode(const char *text, enum mode mode)
{
    struct row row = {0};
    char *string = expand_apart(&row, text, text + strlen(text), mode);
    return row.failed ? NULL : string;
}

/* Expands a word to exactly one string, for an assignment or a redirection; null on error. */
char *expand_single(const char *word)
{
    return expand_in_mode(word, MODE_PLAIN);
}

/* Expands the body of a here-document; null on error. */
char *expand_here_document(const char *body)
{
    return expand_in_mode(body, MODE_HERE);
}
