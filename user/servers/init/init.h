/*
 * init's two lives.
 *
 * The kernel starts it as the first task, with the handles of the machine and no server above it:
 * then it is the loader, which starts the console server and the POSIX server and stays as their
 * supervisor (boot.c). The POSIX server starts it again from the file system, as process 1, an
 * ordinary program: then it runs the command or the shell and reaps orphans (main.c).
 */
#pragma once

/* Returns if this is not the first task; otherwise never. */
void boot_run(void);
