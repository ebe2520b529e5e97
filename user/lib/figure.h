/*
 * figure.h: numbers from the text files of /proc and /sys.
 */
#pragma once

/* The number behind `name` at the beginning of a line of the file, or, with NULL, the file's first;
 * 0 if it is not there. */
double figure_read(const char *path, const char *name);
