/*
 * exit.c: the futexes of a thread that ends.
 *
 * The C library keeps a list, in user memory, of the robust mutexes a thread holds; set_robust_list
 * told its address:
 *
 *     head: first | offset | pending    first, next: address of the next entry, bit 0 for PI
 *     entry: next                       entry + offset: the futex word, owner's tid in bits 0-29
 *
 * All of it may be wrong, unmapped or a circle: every read is checked and the walk is bounded. What
 * is wrong ends the walk.
 */
#include "kernel/task/exit.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/pagetable.h"
#include "kernel/task/futex.h"
#include "kernel/task/thread.h"

#define WORD_WAITERS 0x80000000u
#define WORD_OWNER_DIED 0x40000000u
#define WORD_TID 0x3fffffffu
#define ENTRIES_MAX 2048

static bool read_u64(u64 address, u64 *value)
{
    return address < USER_END - sizeof(*value) &&
           !arch_copy_user(value, (const void *)address, sizeof(*value));
}

static bool word_address_ok(u64 address)
{
    return address < USER_END && !(address & 3);
}

/* False ends the walk. */
static bool release_word(const struct thread *self, u64 address, bool pending)
{
    u32 value, seen, next;

    if (!word_address_ok(address) || arch_load_user_u32((const u32 *)address, &value) < 0)
        return false;
    for (;;) {
        if ((value & WORD_TID) != self->tid) {
            /* It may have unlocked the word and died before it woke the next. */
            if (pending && !value)
                futex_wake(address, false, 1, ~0u);
            return true;
        }
        next = (value & WORD_WAITERS) | WORD_OWNER_DIED;
        if (arch_cas_user_u32((u32 *)address, value, next, &seen) < 0)
            return false;
        if (seen == value)
            break;
        value = seen;
    }
    if (value & WORD_WAITERS)
        futex_wake(address, false, 1, ~0u);
    return true;
}

static void release_robust(const struct thread *self)
{
    u64 head = self->robust_list, entry, offset, pending, next;

    if (!read_u64(head, &entry) || !read_u64(head + 8, &offset) || !read_u64(head + 16, &pending))
        return;
    for (u32 i = 0; i < ENTRIES_MAX && (entry & ~1ul) != head; i++) {
        bool more = read_u64(entry & ~1ul, &next);

        if ((entry & ~1ul) != (pending & ~1ul) &&
            !release_word(self, (entry & ~1ul) + offset, false))
            return;
        if (!more)
            return;
        entry = next;
    }
    if (pending & ~1ul)
        release_word(self, (pending & ~1ul) + offset, true);
}

void exit_release_futexes(struct thread *self)
{
    static const u32 zero;

    if (self->robust_list)
        release_robust(self);
    if (self->clear_tid && word_address_ok(self->clear_tid)) {
        if (!arch_copy_user((void *)self->clear_tid, &zero, sizeof(zero)))
            futex_wake(self->clear_tid, false, 1, ~0u);
    }
}
