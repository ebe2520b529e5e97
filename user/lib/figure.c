/*
 * figure.c: finds a number in a file that is meant for people. A name ends at a blank, a tab or a
 * colon.
 */
#include "user/lib/figure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double figure_read(const char *path, const char *name)
{
    char line[512];
    double number = 0;
    size_t length = name ? strlen(name) : 0;
    FILE *file = fopen(path, "re");

    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        if (!name) {
            number = atof(line);
            break;
        }
        if (strncmp(line, name, length) == 0 && line[length] && strchr(" \t:", line[length])) {
            number = atof(line + length + 1);
            break;
        }
    }
    fclose(file);
    return number;
}
