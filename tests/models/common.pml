/*
 * common.pml: what both models are made of: frames, their counts, spinlocks.
 *
 * A step of the model is one thing that other CPUs can see: an atomic operation on a count, a load,
 * a store, taking a lock. Where the kernel holds a lock over several steps, so does the model; only
 * what one processor instruction does, or what nobody could tell apart, stands in `atomic`.
 *
 * A page is one byte: values tell contents apart. GARBAGE is what a free frame holds.
 */
#define NONE 255
#define GARBAGE 0

mtype = { FREE, PRIVATE, MERGED };

typedef Frame {
    byte refs, maps, pins;
    mtype kind = FREE;
    byte content = GARBAGE;
    byte hash;     /* of a merged frame: what its node is filed under */
    bool indexed   /* its node is in the stable index */
};
Frame frame[FRAMES];
bit ksm_lock;

inline lock(l)   { atomic { l == 0 -> l = 1 } }
inline unlock(l) { l = 0 }

inline frame_get_unless_zero(f, got)
{
    atomic {
        if
        :: frame[f].refs > 0 -> frame[f].refs++; got = true
        :: else -> got = false
        fi
    }
}

/* kernel/base/frame.c: compare-and-swap of the count from `expected` to 0. */
inline frame_freeze(f, expected, done)
{
    atomic {
        if
        :: frame[f].refs == expected -> frame[f].refs = 0; done = true
        :: else -> done = false
        fi
    }
}

/* The free frame with the lowest number: which one it is makes no difference. */
inline frame_alloc(f)
{
    atomic {
        f = 0;
        do
        :: f < FRAMES && frame[f].kind != FREE -> f++
        :: else -> break
        od;
        assert(f < FRAMES); /* the model is too small */
        frame[f].kind = PRIVATE;
        frame[f].refs = 1;
        frame[f].maps = 0;
        frame[f].pins = 0
    }
}

/* The last reference of a merged frame buries its node before the frame is free; to any other frame
 * there is no way any more, so it is free at once. `last` is a variable of the caller's. */
inline frame_put(f, last)
{
    atomic {
        frame[f].refs--;
        last = (frame[f].refs == 0 && frame[f].kind == MERGED);
        if
        :: frame[f].refs == 0 && !last -> frame[f].kind = FREE; frame[f].content = GARBAGE
        :: else
        fi
    };
    if
    :: last ->
        lock(ksm_lock);
        atomic {
#ifndef RELEASE_KEEPS_NODE
            frame[f].indexed = false;
#endif
            unlock(ksm_lock)
        };
        atomic { frame[f].kind = FREE; frame[f].content = GARBAGE; last = false }
    :: else
    fi
}
