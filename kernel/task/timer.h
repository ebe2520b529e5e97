/*
 * timer.h: kernel timers, a red-black tree of deadlines for each CPU, one hardware one-shot below.
 *
 * Arming and cancelling of one timer are serialised by its owner; the timer going off at the same
 * moment is not: that is what the rules below are about.
 */
#pragma once

#include "lib/rbtree.h"
#include "lib/types.h"

struct timer {
    struct rb_node node;
    u64 when; /* time_ns; 0 = not armed */
    u32 cpu;  /* whose tree it is in, or was in last */
    void (*fire)(struct timer *timer); /* interrupt context, interrupts off, no timer lock held */
};

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/* On this CPU; rearming moves it. An earlier shot may be going off meanwhile. Any context. */
void timer_arm(struct timer *timer, u64 when);
/* On return the timer neither is armed nor runs. False: it had already fired, or was never armed.
 * The caller holds no lock that `fire` takes. */
bool timer_cancel(struct timer *timer);
/* Takes it out of the tree but does not wait for a shot that is going off. Any context. */
bool timer_disarm(struct timer *timer);

/* --- for the scheduler, on this CPU with interrupts off --- */
/* The tick must come at `when` at the latest (0: no tick is needed); it comes by
 * timer_tick_hook. */
void timer_tick_by(u64 when);
extern void (*timer_tick_hook)(u64 now);
void timer_start(void); /* at start-up, once */
