/*
 * freeze.pml: who owns a merged frame when its last user writes, while the index can still find it?
 *
 * Three tasks with a page each; two start with a merged frame, the third with a private one of equal
 * content. A task writes or unmaps at any time. The scanner looks a merged frame up in the stable
 * index, or adopts a private page in place when it finds none, and merges another task's page into
 * it. Flushes are taken for granted here; merge.pml is about them.
 *
 *   kernel                         here
 *   cow_decide, fault_cow          write_fault
 *   ksm_reuse_frame                reuse
 *   match_stable                   lookup
 *   ksm_adopt_page, pair           adopt
 *   ksm_merge_page                 merge
 *   frame_put, ksm_frame_released  frame_put (common.pml)
 *
 * What must hold, always: each task's page holds what the task wrote last; a frame that is mapped is
 * not free; a writable entry is the only one of its frame; what the index finds is a merged frame.
 *
 * holds: as-it-is
 *
 * Each guard can be taken away by -D. These are missed:
 *
 * fails: REUSE_TESTS_EARLY   the count is compared with one before the lock, and not frozen under it
 * fails: REUSE_WITHOUT_LOCK  freezing alone, without ksm_lock
 * fails: REUSE_KEEPS_NODE    the node stays in the index
 * fails: LOOKUP_WITHOUT_LOCK the lookup does not take ksm_lock
 * fails: LOOKUP_PLAIN_GET    a reference is taken though the count may be zero
 * fails: RELEASE_KEEPS_NODE  the last reference goes and the node stays in the index
 * fails: ADOPT_WRITABLE      a page is adopted though its entry became writable again
 * fails: MERGE_WRITABLE      a page is replaced though its entry became writable again
 *
 * and for this something else makes up:
 *
 * holds: REUSE_TESTS_LOCKED  under the lock a comparison does as well as freezing: references to a
 *                            frame that only we map come from the index, and lookups are locked out
 */
#define TASKS 3
#define FRAMES 6
#ifndef ROUNDS
#define ROUNDS 1 /* of the scanner */
#endif
#ifndef WRITES
#define WRITES 1 /* of each task */
#endif

#include "common.pml"

bit table_lock[TASKS];
byte entry[TASKS] = NONE;
bool writable[TASKS];
byte should[TASKS]; /* what the task must find in its page */

#define RIGHT_PAGE(t) \
    (entry[t] == NONE || (frame[entry[t]].kind != FREE && frame[entry[t]].content == should[t]))
#define ALONE(t, u) (!writable[t] || entry[t] == NONE || entry[t] != entry[u])
#define RIGHT_NODE(f) (!frame[f].indexed || frame[f].kind == MERGED)
#define INVARIANT \
    (RIGHT_PAGE(0) && RIGHT_PAGE(1) && RIGHT_PAGE(2) && \
     ALONE(0, 1) && ALONE(0, 2) && ALONE(1, 0) && ALONE(1, 2) && ALONE(2, 0) && ALONE(2, 1) && \
     RIGHT_NODE(0) && RIGHT_NODE(1) && RIGHT_NODE(2) && RIGHT_NODE(3) && RIGHT_NODE(4))

active proctype monitor()
{
end:
    atomic { !INVARIANT -> assert(false) }
}

/* Variables that are done with are put back, so that states that don't differ count as one. */
inline forget() { atomic { f = 0; g = 0; done = false; last = false } }

/* The last user of merged frame f gets it as a private one, if done. */
inline reuse(f, done)
{
#ifndef REUSE_WITHOUT_LOCK
    lock(ksm_lock);
#endif
#if defined(REUSE_TESTS_EARLY)
    done = true;
#elif defined(REUSE_TESTS_LOCKED)
    done = (frame[f].refs == 1);
#else
    frame_freeze(f, 1, done);
#endif
    if
    :: done ->
#ifndef REUSE_KEEPS_NODE
        frame[f].indexed = false;
#endif
        frame[f].kind = PRIVATE;
#if !defined(REUSE_TESTS_EARLY) && !defined(REUSE_TESTS_LOCKED)
        frame[f].refs = 1
#endif
    :: else
    fi;
#ifndef REUSE_WITHOUT_LOCK
    unlock(ksm_lock)
#endif
}

/* The task's entry does not allow the write: afterwards it does, or the fault is taken again. */
inline write_fault(t)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    if
    :: frame[f].refs == 0 -> done = true                        /* frozen: again */
    :: frame[f].refs == 1 && frame[f].kind == PRIVATE -> writable[t] = true; done = true
    :: frame[f].refs == 1 && frame[f].kind == MERGED ->
        reuse(f, done);
        if
        :: done -> writable[t] = true
        :: else
        fi
    :: else -> done = false
    fi;
    if
    :: done -> unlock(table_lock[t])
    :: else -> copy(t)
    fi
}

/* Table locked on entry, not on exit. */
inline copy(t)
{
    atomic { frame[f].refs++; unlock(table_lock[t]) };
    atomic { frame_alloc(g); frame[g].content = frame[f].content };
    lock(table_lock[t]);
    if
    :: atomic { entry[t] == f && !writable[t] -> /* at once: cow_replace is in merge.pml */
           frame[f].maps--; entry[t] = g; frame[g].maps = 1; writable[t] = true;
           unlock(table_lock[t]) };
       frame_put(f, last)
    :: atomic { else -> unlock(table_lock[t]) };
       frame_put(g, last)
    fi;
    frame_put(f, last)
}

/* Writes or not, then unmaps. */
proctype task(byte t)
{
    byte f, g, writes;
    bool done, last;

    do
    :: writes < WRITES ->
again:
        if
        :: atomic { writable[t] -> frame[entry[t]].content = 2; should[t] = 2; writes++ }
        :: !writable[t] -> write_fault(t); forget(); goto again
        fi
    :: break
    od;
    atomic { lock(table_lock[t]); f = entry[t] };
    atomic { entry[t] = NONE; writable[t] = false; frame[f].maps--; unlock(table_lock[t]) };
    frame_put(f, last);
    forget()
}

/* Any merged frame; the compare decides whether it is the right one. */
inline lookup(found)
{
    found = NONE;
#ifndef LOOKUP_WITHOUT_LOCK
    lock(ksm_lock);
#endif
    do
    :: g < FRAMES && found == NONE ->
        if
        :: frame[g].indexed ->
#ifdef LOOKUP_PLAIN_GET
            frame[g].refs++; done = true;
#else
            frame_get_unless_zero(g, done);
#endif
            if
            :: done -> found = g
            :: else
            fi
        :: else
        fi;
        g++
    :: else -> break
    od;
#ifndef LOOKUP_WITHOUT_LOCK
    unlock(ksm_lock)
#endif
}

/* Takes the write permission of a private page that nobody but tables refers to. */
inline protect(t, done)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    done = false;
    if
    :: f != NONE ->
        if
        :: frame[f].kind == PRIVATE && frame[f].refs == frame[f].maps ->
            writable[t] = false;
            done = true
        :: else
        fi
    :: else
    fi;
    unlock(table_lock[t])
}

/* Task t's page becomes a merged frame where it lies, with a reference of the scanner's. */
inline adopt(t, found)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    done = false;
    if
#ifdef ADOPT_WRITABLE
    :: f != NONE && frame[f].kind == PRIVATE ->
#else
    :: f != NONE && frame[f].kind == PRIVATE && !writable[t] ->
#endif
        frame_freeze(f, 1, done);
        if
        :: done ->
            frame[f].kind = MERGED;
            frame[f].refs = 2;
            found = f
        :: else
        fi
    :: else
    fi;
    unlock(table_lock[t]);
    if
    :: found != NONE ->
        lock(ksm_lock);
        frame[found].indexed = true;
        unlock(ksm_lock)
    :: else
    fi
}

inline merge(t, merged)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    done = false;
    if
    :: f != NONE ->
        if
#ifdef MERGE_WRITABLE
        :: frame[f].kind == PRIVATE &&
#else
        :: frame[f].kind == PRIVATE && !writable[t] &&
#endif
           frame[f].refs == frame[f].maps && frame[f].content == frame[merged].content ->
            frame[merged].refs++;
            frame[merged].maps++;
            atomic { entry[t] = merged; frame[f].maps-- };
            done = true
        :: else
        fi
    :: else
    fi;
    unlock(table_lock[t]);
    if
    :: done -> frame_put(f, last)
    :: else
    fi
}

proctype scanner()
{
    byte f, g, rounds, t, partner, merged;
    bool done, last;

    do
    :: rounds < ROUNDS ->
        rounds++;
        select(t : 0 .. TASKS - 1);
        partner = (t + 1) % TASKS;
        lookup(merged);
        if
        :: merged == NONE ->
            protect(partner, done);
            if
            :: done -> adopt(partner, merged)
            :: else
            fi
        :: else
        fi;
        if
        :: merged != NONE ->
            protect(t, done);
            if
            :: done -> merge(t, merged)
            :: else
            fi;
            frame_put(merged, last)
        :: else
        fi;
        forget()
    :: else -> break
    od
}

init
{
    atomic {
        frame[0].kind = MERGED; frame[0].refs = 2; frame[0].maps = 2;
        frame[0].content = 1; frame[0].indexed = true;
        frame[1].kind = PRIVATE; frame[1].refs = 1; frame[1].maps = 1; frame[1].content = 1;
        entry[0] = 0; entry[1] = 0; entry[2] = 1;
        should[0] = 1; should[1] = 1; should[2] = 1;
        writable[2] = true;
        run task(0); run task(1); run task(2); run scanner()
    }
}
