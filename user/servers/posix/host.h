/*
 * The machine's names, for uname and /proc/sys/kernel.
 */
#pragma once

struct utsname;

#define HOST_NAME_BYTES 65 /* with the NUL */

extern char host_name[HOST_NAME_BYTES], host_domain[HOST_NAME_BYTES];

/* All that uname tells. */
void host_utsname(struct utsname *names);
