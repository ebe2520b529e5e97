/*
 * Timers, on two CPUs that take turns: the CPU we are on is host_cpu.id, and its hardware is a
 * clock and the moment for which it is set.
 */
#include "tests/unit/host.h"

#include "kernel/task/timer.c"

#define TIMERS 200

void (*timer_hook)(void);

static u64 now, programmed[2];
static struct timer timers[TIMERS], again;
static u32 fired, ticks;
static u64 last;

u64 time_ns(void)
{
    return now;
}

void timer_program(u64 when)
{
    programmed[host_cpu.id] = when;
}

static void run_cpu(u32 cpu)
{
    host_cpu.id = cpu;
    if (programmed[cpu] && programmed[cpu] <= now) {
        programmed[cpu] = 0;
        timer_hook();
    }
}

static void run_until(u64 end)
{
    for (; now < end; now++) {
        run_cpu(1);
        run_cpu(0);
    }
}

static void on_fire(struct timer *timer)
{
    CHECK_EQ(host.locks_held, 0);
    CHECK_EQ(timer->when, 0);
    fired++;
}

static void on_tick(u64 at)
{
    CHECK(at >= last);
    ticks++;
}

static void start(void)
{
    now = 1000;
    fired = ticks = 0;
    last = 0;
    for (u32 i = 0; i < TIMERS; i++)
        timer_init(&timers[i], on_fire);
    host_cpu.id = 0;
}

/* --- the questions --- */

static u64 deadlines[TIMERS];

static void on_fire_in_time(struct timer *timer)
{
    u64 deadline = deadlines[timer - timers];

    CHECK_EQ(now, deadline);
    CHECK(deadline >= last);
    last = deadline;
    on_fire(timer);
}

static void test_order(void)
{
    u32 cancelled = 0;

    start();
    for (u32 i = 0; i < TIMERS; i++) {
        timer_init(&timers[i], on_fire_in_time);
        deadlines[i] = now + 1 + random_below(500);
        host_cpu.id = i % 2;
        timer_arm(&timers[i], deadlines[i]);
    }
    host_cpu.id = 0;
    for (u32 i = 0; i < TIMERS; i += 7, cancelled++)
        CHECK(timer_cancel(&timers[i]));
    for (u32 i = 1; i < TIMERS; i += 7) /* to another CPU, and later */
        timer_arm(&timers[i], deadlines[i] += 100);
    run_until(now + 700);
    CHECK_EQ(fired, TIMERS - cancelled);
    CHECK(!timer_cancel(&timers[1]) && !timer_disarm(&timers[0]));
}

static void test_past(void)
{
    start();
    timer_arm(&timers[0], 0);
    timer_arm(&timers[1], 5);
    run_until(now + 2);
    CHECK_EQ(fired, 2);
}

/* Its owner, on CPU 1, arms it anew while it goes off on CPU 0. */
static void on_fire_again(struct timer *timer)
{
    on_fire(timer);
    if (fired > 1)
        return;
    host_cpu.id = 1;
    timer_arm(timer, now + 50);
    CHECK_EQ(timer->cpu, 0);
    host_cpu.id = 0;
}

static void test_again(void)
{
    start();
    timer_init(&again, on_fire_again);
    timer_arm(&again, now + 10);
    run_until(now + 20);
    CHECK_EQ(fired, 1);
    run_until(now + 60);
    CHECK_EQ(fired, 2);
    host_cpu.id = 1; /* nothing goes off now: it moves */
    timer_arm(&again, now + 10);
    CHECK_EQ(again.cpu, 1);
    CHECK(timer_cancel(&again));
}

static void test_tick(void)
{
    start();
    timer_tick_by(now + 30);
    timer_tick_by(now + 90); /* later than what is asked for already */
    timer_arm(&timers[0], now + 20);
    run_until(now + 25);
    CHECK(fired == 1 && ticks == 0);
    run_until(now + 100);
    CHECK_EQ(ticks, 1);
    timer_tick_by(now + 10);
    timer_tick_by(0);
    run_until(now + 50);
    CHECK_EQ(ticks, 1);
}

int main(void)
{
    host_init();
    timer_start();
    timer_tick_hook = on_tick;
    tap_run("timers go off in time and in order, unless cancelled", test_order);
    tap_run("a deadline in the past goes off at once", test_past);
    tap_run("a timer that is armed while it goes off stays where it is", test_again);
    tap_run("the tick comes at the earliest moment asked for", test_tick);
    return tap_done();
}
