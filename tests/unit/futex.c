/*
 * Futexes, with threads that are only names. A call that sleeps runs `during.sleep` in its place,
 * and one that reads the word runs `during.read`: so what others do at the worst moment is a
 * function, and the calls nest as they would overlap.
 */
#include "tests/unit/host.h"

#include "kernel/task/futex.c"

#define ONE 0x1000ul
#define TWO 0x2000ul
#define ALL (~0u)

static struct thread threads[3];
static bool awake[3];
static u32 word_one, word_two;
static struct {
    void (*read)(void), (*sleep)(void);
} during;
static s64 inner; /* what a call inside another came to */

static u32 *word_of(const u32 *address)
{
    return (u64)address == ONE ? &word_one : &word_two;
}

/* --- what futex.c calls --- */

s64 arch_load_user_u32(const u32 *from, u32 *value)
{
    void (*others)(void) = during.read;

    during.read = NULL;
    if (others)
        others();
    *value = *word_of(from);
    return 0;
}

s64 arch_cas_user_u32(u32 *at, u32 expected, u32 desired, u32 *seen)
{
    *seen = *word_of(at);
    if (*seen == expected)
        *word_of(at) = desired;
    return 0;
}

void sched_prepare_sleep(void)
{
    awake[current_thread() - threads] = false;
}

s64 sched_sleep_for(u32 mask, u64 deadline)
{
    void (*others)(void) = during.sleep;

    (void)mask, (void)deadline;
    lock_check_may_sleep();
    during.sleep = NULL;
    if (others)
        others();
    return awake[current_thread() - threads] ? 0 : -ETIMEDOUT;
}

bool sched_wake(struct thread *thread, s64 result)
{
    CHECK_EQ(result, 0);
    CHECK(!awake[thread - threads]);
    awake[thread - threads] = true;
    return true;
}

static s64 key_of(u64 address, bool private, struct futex_key *key)
{
    (void)private;
    *key = (struct futex_key){.space = threads, .offset = address};
    return 0;
}

/* --- the questions --- */

static s64 wait_as(u32 who, u64 address, u32 value, u32 bits)
{
    struct thread *before = host_cpu.current;

    host_cpu.current = &threads[who];
    s64 status = futex_wait(address, true, value, bits, 1);

    host_cpu.current = before;
    return status;
}

static void check_empty(void)
{
    for (u32 i = 0; i < BUCKETS; i++)
        CHECK(list_empty(&buckets[i].waiters));
    CHECK_EQ(host.locks_held, 0);
}

static void wake_one(void)
{
    inner = futex_wake(ONE, true, 1, ALL);
}

static void change_and_wake(void)
{
    word_one++;
    wake_one();
}

static void test_wake(void)
{
    CHECK_EQ(wait_as(0, ONE, word_one + 1, ALL), -EAGAIN);
    CHECK_EQ(wait_as(0, ONE, word_one, ALL), -ETIMEDOUT);
    CHECK_EQ(futex_wake(ONE, true, 1, ALL), 0);
    during.sleep = wake_one;
    CHECK_EQ(wait_as(0, ONE, word_one, ALL), 0);
    CHECK_EQ(inner, 1);
    check_empty();
}

static void wake_other_bits(void)
{
    inner = futex_wake(ONE, true, 1, 4);
    CHECK_EQ(futex_wake(TWO, true, 1, ALL), 0);
}

static void test_bits(void)
{
    during.sleep = wake_other_bits;
    CHECK_EQ(wait_as(0, ONE, word_one, 3), -ETIMEDOUT);
    CHECK_EQ(inner, 0);
    during.sleep = wake_other_bits;
    CHECK_EQ(wait_as(0, ONE, word_one, 6), 0);
    CHECK_EQ(inner, 1);
    check_empty();
}

static void complain(void)
{
    CHECK(!"sleeps though it has been woken");
}

/* The word was right when it was read, and a wake came before the sleep. */
static void test_wake_before_sleep(void)
{
    during.read = wake_one;
    during.sleep = complain;
    CHECK_EQ(wait_as(0, ONE, word_one, ALL), 0);
    CHECK_EQ(inner, 1);
    during.sleep = NULL;
    check_empty();
}

/* While thread 0 sleeps, 1 comes, and finds a word that has changed. The wake is for who is first.
 */
static void refuse_behind(void)
{
    during.read = change_and_wake;
    CHECK_EQ(wait_as(1, ONE, word_one, ALL), -EAGAIN);
}

static void move_behind_and_wake(void)
{
    struct futex_requeue request = {.from = TWO, .to = ONE, .private = true, .move = 1};

    CHECK_EQ(futex_requeue(&request), 0);
    change_and_wake();
}

static void refuse_in_front(void)
{
    during.read = move_behind_and_wake;
    CHECK_EQ(wait_as(1, ONE, word_one, ALL), -EAGAIN);
}

static void test_pass_on(void)
{
    during.sleep = refuse_behind;
    CHECK_EQ(wait_as(0, ONE, word_one, ALL), 0);
    during.sleep = refuse_in_front;
    CHECK_EQ(wait_as(0, TWO, word_two, ALL), 0);
    check_empty();
}

static void move_to_two(void)
{
    struct futex_requeue request = {
        .from = ONE, .to = TWO, .private = true, .compare = true, .move = 1, .value = word_one};

    inner = futex_requeue(&request);
    CHECK_EQ(futex_wake(ONE, true, 1, ALL), 0);
}

static void move_and_wake(void)
{
    move_to_two();
    CHECK_EQ(futex_wake(TWO, true, 1, ALL), 1);
}

static void test_requeue(void)
{
    during.sleep = move_to_two;
    CHECK_EQ(wait_as(0, ONE, word_one, ALL), -ETIMEDOUT);
    CHECK_EQ(inner, 1);
    check_empty();
    during.sleep = move_and_wake;
    CHECK_EQ(wait_as(0, ONE, word_one, ALL), 0);
    check_empty();
}

static u32 operation(u32 op, u32 argument, u32 compare, u32 with)
{
    return op << 28 | compare << 24 | (argument & 0xfff) << 12 | (with & 0xfff);
}

static void test_wake_op(void)
{
    word_two = 5;
    CHECK_EQ(futex_wake_op(ONE, TWO, true, 1, 1, operation(OP_ADD, -2u, CMP_EQ, 5)), 0);
    CHECK_EQ(word_two, 3);
    CHECK_EQ(futex_wake_op(ONE, TWO, true, 1, 1, operation(OP_OR | OP_SHIFT, 4, CMP_GT, 9)), 0);
    CHECK_EQ(word_two, 19);
    CHECK_EQ(futex_wake_op(ONE, TWO, true, 1, 1, operation(OP_ANDN, 1, CMP_NE, 0)), 0);
    CHECK_EQ(word_two, 18);
    CHECK_EQ(futex_wake_op(ONE, TWO, true, 1, 1, operation(7, 0, CMP_EQ, 0)), -ENOSYS);
    CHECK_EQ(futex_wake_op(ONE, TWO, true, 1, 1, operation(OP_SET, 0, 9, 0)), -ENOSYS);
    CHECK_EQ(word_two, 18);
}

int main(void)
{
    host_init();
    futex_init();
    futex_key_hook = key_of;
    tap_run("a sleeper is woken, by one wake", test_wake);
    tap_run("only a wake with a bit in common wakes", test_bits);
    tap_run("a wake between the look and the sleep is not lost", test_wake_before_sleep);
    tap_run("a wake that met a thread which does not wait is passed on", test_pass_on);
    tap_run("a moved waiter waits for the other word", test_requeue);
    tap_run("a wake may change a word", test_wake_op);
    return tap_done();
}
