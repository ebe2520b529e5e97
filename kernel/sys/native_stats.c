/*
 * native_stats.c: the native calls that show and turn what the kernel is made of: tunables,
 * figures, the log.
 *
 * Figures of frames come from the frame table, read without a lock: each entry is true for the
 * moment at which it was read, and together they are as good as any figure of a machine that runs
 * on.
 */
#include "arch/x86_64/arch.h"
#include "kernel/base/counter.h"
#include "kernel/base/frame.h"
#include "kernel/base/log.h"
#include "kernel/base/slab.h"
#include "kernel/base/tunable.h"
#include "kernel/sys/lookup.h"
#include "kernel/sys/machine.h"
#include "kernel/sys/native.h"
#include "kernel/sys/stats.h"
#include "lib/format.h"
#include "lib/string.h"

#define NAME_BYTES 64
#define TEXT_BYTES 4096ul
#define LOG_LIMIT 65536ul /* bytes one log_write takes */
#define LINE_LIMIT 256

/* --- tunables --- */

/* The tunable that the caller names, with the system handle checked. */
static s64 find_tunable(struct trap_frame *frame, u32 rights, const struct tunable **tunable)
{
    char name[NAME_BYTES];
    s64 status = machine_check(SYSCALL_ARG0(frame), rights);

    if (status == 0)
        status = native_read_string(name, SYSCALL_ARG1(frame), sizeof(name));
    if (status < 0)
        return status;
    *tunable = tunable_find(name);
    return *tunable ? 0 : -ENOENT;
}

/* As much of a text as fits; its whole length. */
static s64 put_text(u64 buffer, u64 size, const char *text, usize length)
{
    return user_write(buffer, text, MIN(size, (u64)length)) ? -EFAULT : (s64)length;
}

s64 native_tunable_read(struct trap_frame *frame)
{
    const struct tunable *tunable;
    s64 status = find_tunable(frame, MG_RIGHT_READ, &tunable);
    char *text;

    if (status < 0)
        return status;
    text = kmalloc(TEXT_BYTES);
    if (!text)
        return -ENOMEM;
    status = tunable->read(tunable, text, TEXT_BYTES);
    if (status >= 0)
        status = put_text(SYSCALL_ARG2(frame), SYSCALL_ARG3(frame), text,
                          MIN((usize)status, TEXT_BYTES - 1));
    kfree(text);
    return status;
}

s64 native_tunable_write(struct trap_frame *frame)
{
    u64 length = SYSCALL_ARG3(frame);
    const struct tunable *tunable;
    s64 status = find_tunable(frame, MG_RIGHT_WRITE, &tunable);
    char *text;

    if (status < 0)
        return status;
    if (!tunable->write)
        return -EACCES;
    if (length >= TEXT_BYTES)
        return -EINVAL;
    text = kmalloc(length + 1);
    if (!text)
        return -ENOMEM;
    status = user_read(text, SYSCALL_ARG2(frame), length);
    text[length] = '\0';
    if (status == 0)
        status = tunable->write(tunable, text, length);
    kfree(text);
    return status;
}

s64 native_tunable_name(struct trap_frame *frame)
{
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_READ);
    const struct tunable *tunable = tunable_at(SYSCALL_ARG1(frame));

    if (status < 0)
        return status;
    if (!tunable)
        return -ENOENT;
    return put_text(SYSCALL_ARG2(frame), SYSCALL_ARG3(frame), tunable->name, strlen(tunable->name));
}

/* --- figures that are made as a whole, then cut to what is asked for --- */

/* Copies [offset, offset + size) of `bytes` bytes: how many there were. */
static s64 put_part(const void *all, u64 bytes, u64 offset, u64 buffer, u64 size)
{
    u64 part = offset < bytes ? MIN(size, bytes - offset) : 0;

    return user_write(buffer, (const u8 *)all + offset, part) ? -EFAULT : (s64)part;
}

static s64 put_memory(u64 offset, u64 buffer, u64 size)
{
    struct mg_memory_stats memory;

    stats_memory(&memory);
    return put_part(&memory, sizeof(memory), offset, buffer, size);
}

#define LINE_BYTES 64ul /* of the longest counter: name, space, 20 digits, newline */

static s64 put_events(u64 offset, u64 buffer, u64 size)
{
    char *text = kmalloc(COUNTER_END * LINE_BYTES);
    usize length = 0;

    if (!text)
        return -ENOMEM;
    for (u32 i = 0; i < COUNTER_END; i++)
        length += format(text + length, LINE_BYTES, "%s %lu\n", counter_names[i], counter_sum(i));
    s64 status = put_part(text, length, offset, buffer, size);

    kfree(text);
    return status;
}

static s64 put_cpus(u64 offset, u64 buffer, u64 size)
{
    u64 bytes = cpu_count * sizeof(struct mg_cpu_stats);
    struct mg_cpu_stats *all = kmalloc(bytes);

    if (!all)
        return -ENOMEM;
    for (u32 id = 0; id < cpu_count; id++)
        sched_cpu_stats(id, &all[id]);
    s64 status = put_part(all, bytes, offset, buffer, size);

    kfree(all);
    return status;
}

/* --- figures of each frame --- */

/* `offset` is the first frame's number, `width` the bytes of one frame's entry. */
static s64 put_frames(u64 what, u64 width, u64 first, u64 buffer, u64 size)
{
    u64 count = first < frame_table_end ? MIN(size / width, frame_table_end - first) : 0;
    u64 entries[64], done = 0;

    if (!user_range_ok(buffer, count * width))
        return -EFAULT;
    while (done < count) {
        u64 chunk = MIN(count - done, sizeof(entries) / width);

        for (u64 i = 0; i < chunk; i++) {
            pfn_t pfn = {first + done + i};

            if (what == MG_STATS_FRAMES)
                ((u8 *)entries)[i] = (u8)stats_frame_state(pfn);
            else
                entries[i] =
                    what == MG_STATS_FRAME_FLAGS ? stats_frame_flags(pfn) : stats_frame_maps(pfn);
        }
        if (user_write(buffer + done * width, entries, chunk * width))
            return done ? (s64)(done * width) : -EFAULT;
        done += chunk;
        sched_point();
    }
    return (s64)(done * width);
}

s64 native_stats(struct trap_frame *frame)
{
    u64 what = SYSCALL_ARG1(frame), offset = SYSCALL_ARG2(frame);
    u64 buffer = SYSCALL_ARG3(frame), size = SYSCALL_ARG4(frame);
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_READ);

    if (status < 0)
        return status;
    switch (what) {
    case MG_STATS_MEMORY: return put_memory(offset, buffer, size);
    case MG_STATS_EVENTS: return put_events(offset, buffer, size);
    case MG_STATS_CPUS: return put_cpus(offset, buffer, size);
    case MG_STATS_FRAMES: return put_frames(what, sizeof(u8), offset, buffer, size);
    case MG_STATS_FRAME_FLAGS:
    case MG_STATS_FRAME_COUNT: return put_frames(what, sizeof(u64), offset, buffer, size);
    default: return -EINVAL;
    }
}

/* --- the log --- */

s64 native_log_write(struct trap_frame *frame)
{
    u64 length = SYSCALL_ARG2(frame);
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_WRITE);
    char line[LINE_LIMIT], *text = line;

    if (status < 0)
        return status;
    if (length > LOG_LIMIT)
        return -EINVAL;
    if (length > sizeof(line)) /* a line can be told even when there is no memory */
        text = kmalloc(length);
    if (!text)
        return -ENOMEM;
    status = user_read(text, SYSCALL_ARG1(frame), length);
    if (status == 0)
        log_text(text, length);
    if (text != line)
        kfree(text);
    return status < 0 ? status : (s64)length;
}

s64 native_log_read(struct trap_frame *frame)
{
    u64 offset = SYSCALL_ARG1(frame), size = MIN(SYSCALL_ARG3(frame), TEXT_BYTES);
    s64 status = machine_check(SYSCALL_ARG0(frame), MG_RIGHT_READ);
    char *text;

    if (status < 0)
        return status;
    text = kmalloc(TEXT_BYTES);
    if (!text)
        return -ENOMEM;
    usize bytes = log_read(&offset, text, size);

    status = user_write(SYSCALL_ARG2(frame), text, bytes);
    kfree(text);
    return status < 0 ? status : (s64)bytes;
}
