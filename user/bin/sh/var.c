/*
 * Shell variables: an unordered list of name, value and whether programs get to see it.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sh.h"

struct variable {
    struct variable *next;
    char *name, *value; /* value is null if exported but never set */
    bool exported;
};

static struct variable *variables;

static struct variable *find(const char *name)
{
    struct variable *v = variables;
    while (v && strcmp(v->name, name) != 0) {
        v = v->next;
    }
    return v;
}

static bool name_is_valid(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_') {
        return false;
    }
    while (isalnum((unsigned char)*name) || *name == '_') {
        name++;
    }
    return *name == '\0';
}

static struct variable *find_or_add(const char *name)
{
    struct variable *v = find(name);
    if (!v) {
        v = must(calloc(1, sizeof *v));
        v->name = must(strdup(name));
        v->next = variables;
        variables = v;
    }
    return v;
}

/* Takes over the environment the shell was started with. */
void var_import(char **environment)
{
    for (; *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        if (equals) {
            char *name = must(strndup(*environment, (size_t)(equals - *environment)));
            if (var_set(name, equals + 1)) {
                var_export(name);
            }
            free(name);
        }
    }
}

/* Returns the value, or null where the variable is not set. */
const char *var_get(const char *name)
{
    struct variable *v = find(name);
    return v ? v->value : NULL;
}

/* Returns false, and changes nothing, if name cannot be a variable's. */
bool var_set(const char *name, const char *value)
{
    if (!name_is_valid(name)) {
        return false;
    }
    struct variable *v = find_or_add(name);
    char *copy = must(strdup(value));
    free(v->value);
    v->value = copy;
    return true;
}

void var_export(const char *name)
{
    find_or_add(name)->exported = true;
}

void var_unset(const char *name)
{
    for (struct variable **link = &variables; *link; link = &(*link)->next) {
        struct variable *v = *link;
        if (strcmp(v->name, name) == 0) {
            *link = v->next;
            free(v->name);
            free(v->value);
            free(v);
            return;
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct variable *const *)a)->name, (*(struct variable *const *)b)->name);
}

/* Prints all variables, or the exported ones, in the form that would set them again. */
void var_print(bool exported_only)
{
    size_t count = 0, shown = 0;
    for (struct variable *v = variables; v; v = v->next) {
        count++;
    }
    struct variable **sorted = arena_alloc((count + 1) * sizeof *sorted);
    for (struct variable *v = variables; v; v = v->next) {
        sorted[shown++] = v;
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i]->value && (sorted[i]->exported || !exported_only)) {
            printf("%s%s='", exported_only ? "export " : "", sorted[i]->name);
            for (const char *c = sorted[i]->value; *c; c++) {
                fputs(*c == '\'' ? "'\\''" : (char[]){*c, 0}, stdout);
            }
            puts("'");
        }
    }
}

/* Returns the environment for a program, in the arena. */
char **var_environment(void)
{
    size_t count = 0;
    for (struct variable *v = variables; v; v = v->next) {
        count++;
    }
    char **environment = arena_alloc((count + 1) * sizeof *environment), **next = environment;
    for (struct variable *v = variables; v; v = v->next) {
        if (v->exported && v->value) {
            *next++ = arena_format("%s=%s", v->name, v->value);
        }
    }
    return environment;
}
