/*
 * merge.pml: is a write lost, or seen by somebody else, while two equal pages become one?
 *
 * Tasks P and Q have a page each, of equal content. The scanner does one step with them: gather,
 * flush, hash, protect, flush, adopt one page, merge the other into it, flush. Meanwhile P stores on
 * two CPUs, through their TLBs; Q stores; a device writes to P's or Q's page by a pin; P forks, and
 * the child R stores or unmaps. All at once are too many states, so a run names those who take part:
 *
 *   SCAN   the scanner's step
 *   CPU0   a thread of P, which perhaps reads and perhaps stores;  CPU1 another;  CPU2 one of Q
 *   PIN    a write by the kernel or a device to P's page or Q's
 *   FORK   P forks; the child perhaps reads, and stores or unmaps
 *
 *   kernel                             here
 *   gather_page, hash_page_of          gather, scanner
 *   ksm_protect_page                   protect
 *   ksm_adopt_page                     adopt
 *   ksm_merge_page                     merge
 *   fault_cow, cow_copy, cow_replace   write_fault, copy
 *   hold_present, mm_unpin_page        device
 *   fork_share, mm_fork                forker
 *   tlb_flush_*                        flush: one CPU after the other
 *
 * The processor: a store goes through the CPU's TLB if that holds a translation with the right to
 * write and the dirty bit known to be set; else the walk sets the bit in the entry, if that allows
 * the write, and the TLB remembers it. A flush makes one CPU forget; until then nothing does.
 *
 * What must hold, always: who looks at a task's page, by its entry or by a CPU's TLB, finds what was
 * last written to it, by a CPU or a device; a merged frame holds what its node is filed under.
 *
 * This is checked for
 *
 * holds: as-it-is  SCAN CPU0 CPU1 CPU2
 * holds: as-it-is  SCAN CPU0 CPU2 PIN
 * holds: as-it-is  SCAN CPU0 FORK
 * holds: as-it-is  SCAN FORK PIN
 * holds: as-it-is  CPU0 CPU1 FORK
 *
 * Each guard can be taken away by -D. These are missed:
 *
 * fails: PROTECT_WITHOUT_FLUSH  SCAN CPU0 CPU1 CPU2  no flush between protect and merge
 * fails: GATHER_WITHOUT_FLUSH   SCAN CPU0 CPU1 CPU2  nor between clearing dirty bits and hashing
 * fails: NO_COMPARE             SCAN CPU0 CPU1 CPU2  equal hashes are believed
 * fails: MERGE_WRITABLE         SCAN CPU0 CPU1 CPU2  merge replaces what became writable again
 * fails: ADOPT_DIRTY            SCAN CPU0 CPU1 CPU2  adoption does not look at the dirty bit
 * fails: FREE_BEFORE_FLUSH      SCAN CPU0 CPU1 CPU2  the old frame is free before the flush
 * fails: NO_COUNT_RULE          SCAN CPU0 PIN        pinned pages are merged
 * fails: PIN_WITHOUT_LOCK       SCAN CPU0 PIN        a pin is taken without the table's lock
 * fails: UNPIN_CLEAN            SCAN CPU0 PIN        the end of a pin sets no dirty bit
 * fails: ADOPT_SHARED           SCAN CPU0 FORK       adoption in place ignores the count
 * fails: COPY_SETS_FIRST        CPU0 CPU1 FORK       a copy is mapped, then the old page flushed
 * fails: FORK_WITHOUT_FLUSH     CPU0 CPU1 FORK       the parent is not flushed
 * fails: FORK_SHARES_PINNED     SCAN FORK PIN        a pinned page is shared with the child
 * fails: MAPCOUNT               CPU0 CPU1 FORK       the policy `mapcount`: references are ignored
 *
 * and for these something else makes up:
 *
 * holds: ADOPT_WRITABLE  SCAN CPU0 CPU1 CPU2  adoption asks for the dirty bit, which a fault sets
 *                                             when it gives the right to write back
 * holds: COUNT_RULE_ONCE  SCAN CPU0 PIN       merge leaves the count rule to protect: a pin in
 *                                             between needs the right to write, which merge sees
 */
#define FRAMES 8
#define TASKS 3
#define CPUS 4
#define P 0
#define Q 1
#define R 2

#include "common.pml"

bit table_lock[TASKS];
byte entry[TASKS] = NONE;
bool writable[TASKS], dirty[TASKS];
byte should[TASKS]; /* what is to be found in the task's page */
byte mm_readers;    /* of P's mm->lock; only P forks */
bool mm_writer;

/* CPUs 0 and 1 run P, 2 runs Q, 3 runs R. */
#define TASK_OF(cpu) (cpu == 3 -> R : (cpu == 2 -> Q : P))
byte tlb[CPUS] = NONE;
bool tlb_store[CPUS]; /* with the right to write, and known to be dirty */

#define RIGHT(t, f) (f == NONE || (frame[f].kind != FREE && frame[f].content == should[t]))
#define RIGHT_NODE(f) (frame[f].kind != MERGED || frame[f].content == frame[f].hash)
#define INVARIANT \
    (RIGHT(P, entry[P]) && RIGHT(Q, entry[Q]) && (!child_runs || RIGHT(R, entry[R])) && \
     RIGHT(P, tlb[0]) && RIGHT(P, tlb[1]) && RIGHT(Q, tlb[2]) && RIGHT(R, tlb[3]) && \
     RIGHT_NODE(0) && RIGHT_NODE(1) && RIGHT_NODE(2) && RIGHT_NODE(3))

bool child_runs;

active proctype monitor()
{
end:
    atomic { !INVARIANT -> assert(false) }
}

inline forget() { atomic { f = 0; g = 0; done = false; last = false } }

#ifdef FORK
inline mm_read(t)      { atomic { (t != P || !mm_writer) -> mm_readers = mm_readers + (t == P) } }
inline mm_read_done(t) { mm_readers = mm_readers - (t == P) }
#else
inline mm_read(t)      { skip }
inline mm_read_done(t) { skip }
#endif

/* Each CPU of the task forgets, one after the other, as they answer the interrupt. */
inline flush_cpu(cpu) { atomic { tlb[cpu] = NONE; tlb_store[cpu] = false } }
inline flush(t)
{
    if
    :: t == P -> flush_cpu(0); flush_cpu(1)
    :: t == Q -> flush_cpu(2)
    :: t == R -> flush_cpu(3)
    fi
}

/* --- write faults --- */

#ifdef MAPCOUNT
#define OURS(f) (frame[f].maps == 1)
#else
#define OURS(f) (frame[f].maps == 1 && frame[f].refs == 1 + frame[f].pins)
#endif

/* Table locked on entry, not on exit. */
inline copy(t)
{
    atomic { frame[f].refs++; unlock(table_lock[t]) };
    atomic { frame_alloc(g); frame[g].content = frame[f].content };
    lock(table_lock[t]);
    if
    :: atomic { entry[t] == f && !writable[t] -> frame[f].maps--; frame[g].maps = 1 };
#ifdef COPY_SETS_FIRST
        atomic { entry[t] = g; writable[t] = true; dirty[t] = true };
        flush(t);
#else
        entry[t] = NONE;
        flush(t);
        atomic { entry[t] = g; writable[t] = true; dirty[t] = true };
#endif
        unlock(table_lock[t]);
        frame_put(f, last)
    :: atomic { else -> unlock(table_lock[t]) };
        frame_put(g, last)
    fi;
    frame_put(f, last)
}

inline write_fault(t)
{
    mm_read(t);
    atomic { lock(table_lock[t]); f = entry[t] };
    if
    :: atomic { f == NONE || writable[t] -> unlock(table_lock[t]) }
    :: else ->
        if
        :: frame[f].kind == PRIVATE && OURS(f) ->
            atomic { writable[t] = true; dirty[t] = true; unlock(table_lock[t]) }
        :: else -> copy(t) /* reuse of a merged frame is in freeze.pml */
        fi
    fi;
    mm_read_done(t);
    forget()
}

/* --- CPUs --- */

/* Perhaps reads, so that the TLB knows the page; then stores, or not. */
proctype cpu(byte c; byte value)
{
    byte f, g, t = TASK_OF(c);
    bool done, last;

    if
    :: atomic { entry[t] != NONE -> tlb[c] = entry[t];
                tlb_store[c] = (writable[t] && dirty[t]) }
    :: skip
    fi;
    if
    :: skip ->
again:
        if
        :: atomic { tlb[c] != NONE && tlb_store[c] -> frame[tlb[c]].content = value;
                    should[t] = value }
        :: atomic { (tlb[c] == NONE || !tlb_store[c]) && entry[t] != NONE && writable[t] ->
                    dirty[t] = true; tlb[c] = entry[t]; tlb_store[c] = true }; goto again
        :: (tlb[c] == NONE || !tlb_store[c]) && entry[t] != NONE && !writable[t] ->
            write_fault(t); goto again
        fi
    :: t == R -> /* unmaps instead */
        atomic { lock(table_lock[R]); f = entry[R] };
        atomic { entry[R] = NONE; frame[f].maps--; unlock(table_lock[R]) };
        flush(R);
        frame_put(f, last);
        forget()
    :: skip
    fi
}

/* --- a device --- */

/* One write to the page of P or Q, through a pin. */
proctype device()
{
    byte f, g, t, held = NONE;
    bool done, last;

    if
    :: t = P
    :: t = Q
    fi;
    do
    :: held == NONE ->
        mm_read(t);
#ifdef PIN_WITHOUT_LOCK
        atomic { f = entry[t]; done = (f != NONE && writable[t]) };
        if
        :: done -> atomic { frame[f].refs++; frame[f].pins++; dirty[t] = true; held = f }
        :: else
        fi;
#else
        atomic { lock(table_lock[t]); f = entry[t] };
        if
        :: f != NONE && writable[t] ->
            frame[f].refs++;
            atomic { frame[f].pins++; dirty[t] = true; held = f; unlock(table_lock[t]) }
        :: atomic { else -> unlock(table_lock[t]) }
        fi;
#endif
        mm_read_done(t);
        if
        :: held == NONE -> write_fault(t)
        :: else
        fi
    :: else -> break
    od;
    atomic { frame[held].content = 3; should[t] = 3 };
#ifndef UNPIN_CLEAN
    mm_read(t);
    lock(table_lock[t]);
    atomic { if :: entry[t] == held -> dirty[t] = true :: else fi; unlock(table_lock[t]) };
    mm_read_done(t);
#endif
    frame[held].pins--;
    frame_put(held, last);
    atomic { held = NONE; t = P; forget() }
}

/* --- fork --- */

proctype forker()
{
    byte f, g;
    bool done, last;

    atomic { !mm_writer && mm_readers == 0 -> mm_writer = true };
    atomic { lock(table_lock[P]); f = entry[P] };
    if
#ifndef FORK_SHARES_PINNED
    :: frame[f].pins != 0 ->
        frame_alloc(g);
        atomic { frame[g].content = frame[f].content; frame[g].maps = 1 };
        atomic { entry[R] = g; writable[R] = true; dirty[R] = true }
    :: else ->
#else
    :: skip ->
#endif
        writable[P] = false;
        atomic { frame[f].refs++; frame[f].maps++ };
        atomic { entry[R] = f; dirty[R] = true }
    fi;
    unlock(table_lock[P]);
#ifndef FORK_WITHOUT_FLUSH
    flush(P);
#endif
    atomic { should[R] = frame[entry[R]].content; child_runs = true; mm_writer = false };
    forget();
    run cpu(3, 4)
}

/* --- the scanner --- */

/* Takes note of t's page: clears the dirty bit, holds the frame until it is hashed. */
inline gather(t, held)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    held = NONE;
    if
    :: f != NONE && frame[f].kind == PRIVATE ->
        dirty[t] = false;
        atomic { frame[f].refs++; held = f; unlock(table_lock[t]) }
    :: atomic { else -> unlock(table_lock[t]) }
    fi;
#ifndef GATHER_WITHOUT_FLUSH
    flush(t)
#endif
}

#ifdef NO_COUNT_RULE
#define ONLY_MAPPED(f) true
#else
#define ONLY_MAPPED(f) (frame[f].refs == frame[f].maps)
#endif

inline protect(t, possible)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    possible = false;
    if
    :: f != NONE && frame[f].kind == PRIVATE && ONLY_MAPPED(f) ->
        atomic { writable[t] = false; possible = true; unlock(table_lock[t]) }
    :: atomic { else -> unlock(table_lock[t]) }
    fi
}

#ifdef ADOPT_WRITABLE
#define UNCHANGED(t) !dirty[t]
#elif defined(ADOPT_DIRTY)
#define UNCHANGED(t) !writable[t]
#else
#define UNCHANGED(t) (!writable[t] && !dirty[t])
#endif

/* Q's page becomes a merged frame filed under `hash`, in place or, if Q has forked, not at all. */
inline adopt(t, hash_, merged)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    done = false;
    if
    :: f != NONE && frame[f].kind == PRIVATE && UNCHANGED(t) ->
#ifdef ADOPT_SHARED
        frame[f].refs = 0; done = true;
#else
        frame_freeze(f, 1, done);
#endif
        if
        :: done -> atomic { frame[f].kind = MERGED; frame[f].hash = hash_ };
            atomic { frame[f].refs = 2; merged = f }
        :: else
        fi
    :: else
    fi;
    unlock(table_lock[t])
}

#ifdef NO_COMPARE
#define EQUAL(f, m) true
#else
#define EQUAL(f, m) (frame[f].content == frame[m].content)
#endif
#ifdef COUNT_RULE_ONCE
#define STILL_ONLY_MAPPED(f) true
#else
#define STILL_ONLY_MAPPED(f) ONLY_MAPPED(f)
#endif
#ifdef MERGE_WRITABLE
#define STILL_PROTECTED(t) true
#else
#define STILL_PROTECTED(t) !writable[t]
#endif

inline merge(t, merged)
{
    atomic { lock(table_lock[t]); f = entry[t] };
    done = false;
    if
    :: f != NONE && frame[f].kind == PRIVATE && STILL_PROTECTED(t) ->
        if
        :: STILL_ONLY_MAPPED(f) ->
            if
            :: EQUAL(f, merged) ->
                atomic { frame[merged].refs++; frame[merged].maps++ };
                atomic { entry[t] = merged; writable[t] = false; dirty[t] = false;
                         frame[f].maps-- };
                done = true
            :: else
            fi
        :: else
        fi
    :: else
    fi;
    unlock(table_lock[t]);
    if
    :: done ->
#ifdef FREE_BEFORE_FLUSH
        frame_put(f, last);
        flush(t)
#else
        flush(t);
        frame_put(f, last)
#endif
    :: else
    fi
}

/* `first` becomes the merged frame, `second` joins it. */
proctype scanner()
{
    byte f, g, first, second, held_first, held_second, hash_first, hash_second, merged = NONE;
    bool done, last, possible_first, possible_second;

    mm_read(P);
    atomic {
        if
        :: first = P; second = Q
        :: first = Q; second = P
        fi
    };
    gather(first, held_first);
    gather(second, held_second);
    if
    :: held_first != NONE && held_second != NONE ->
        hash_first = frame[held_first].content;
        hash_second = frame[held_second].content
    :: else
    fi;
    if :: held_first != NONE -> frame_put(held_first, last) :: else fi;
    if :: held_second != NONE -> frame_put(held_second, last) :: else fi;
    if
    :: hash_first != 0 && hash_first == hash_second ->
        protect(first, possible_first);
        protect(second, possible_second);
#ifndef PROTECT_WITHOUT_FLUSH
        flush(first);
        flush(second);
#endif
        if
        :: possible_first && possible_second -> adopt(first, hash_first, merged)
        :: else
        fi;
        if
        :: merged != NONE -> merge(second, merged); frame_put(merged, last)
        :: else
        fi
    :: else
    fi;
    mm_read_done(P)
}

init
{
    atomic {
        frame[0].kind = PRIVATE; frame[0].refs = 1; frame[0].maps = 1; frame[0].content = 1;
        frame[1].kind = PRIVATE; frame[1].refs = 1; frame[1].maps = 1; frame[1].content = 1;
        entry[P] = 0; writable[P] = true; dirty[P] = true; should[P] = 1;
        entry[Q] = 1; writable[Q] = true; dirty[Q] = true; should[Q] = 1;
#ifdef SCAN
        run scanner();
#endif
#ifdef CPU0
        run cpu(0, 2);
#endif
#ifdef CPU1
        run cpu(1, 5);
#endif
#ifdef CPU2
        run cpu(2, 6);
#endif
#ifdef PIN
        run device();
#endif
#ifdef FORK
        run forker()
#endif
    }
}
