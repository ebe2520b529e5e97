/*
 * audit.h: what the auditor needs of the files that know all spaces.
 */
#pragma once

struct mm;

/* All spaces, one after the other, each with a reference that the next call puts; NULL begins and
 * ends. */
struct mm *mm_next(struct mm *after);
void audit_init(void);
