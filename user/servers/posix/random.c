/*
 * Random bytes: a stream of ChaCha20 blocks under a key that is replaced after every use by bytes
 * of the stream itself, so that what was given out can't be worked out from a later state.
 *
 * The first key is made of whatever differs from boot to boot: the processor's own random numbers
 * where it has them, the cycle counter around calls of the kernel, and the clocks. Without RDRAND
 * that is little; the log says so.
 */
#include "user/servers/posix/calls.h"
#include "user/servers/posix/log.h"
#include "user/servers/posix/misc.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/stats.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>

#define KEY_WORDS 8
#define BLOCK_WORDS 16
#define DOUBLE_ROUNDS 10
#define SAMPLES 256
#define CPUID_RDRAND (1u << 30)
#define RDRAND_TRIES 10
#define RANDOM_FLAGS 7 /* GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE: all the same here */
#define CHUNK 4096

static u32 key[KEY_WORDS];
static bool seeded;

static u32 rotate(u32 value, u32 by)
{
    return value << by | value >> (32 - by);
}

static void quarter_round(u32 *a, u32 *b, u32 *c, u32 *d)
{
    *a += *b;
    *d = rotate(*d ^ *a, 16);
    *c += *d;
    *b = rotate(*b ^ *c, 12);
    *a += *b;
    *d = rotate(*d ^ *a, 8);
    *c += *d;
    *b = rotate(*b ^ *c, 7);
}

/* Block number `counter` of the key's stream (RFC 8439, with nonce 0). */
static void make_block(u64 counter, u32 *block)
{
    u32 start[BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    memcpy(start + 4, key, sizeof key);
    start[12] = (u32)counter;
    start[13] = (u32)(counter >> 32);
    memcpy(block, start, sizeof start);
    for (int i = 0; i < DOUBLE_ROUNDS; i++) {
        for (int column = 0; column < 4; column++)
            quarter_round(&block[column], &block[4 + column], &block[8 + column],
                          &block[12 + column]);
        for (int diagonal = 0; diagonal < 4; diagonal++)
            quarter_round(&block[diagonal], &block[4 + (diagonal + 1) % 4],
                          &block[8 + (diagonal + 2) % 4], &block[12 + (diagonal + 3) % 4]);
    }
    for (int i = 0; i < BLOCK_WORDS; i++)
        block[i] += start[i];
}

/* ---- The first key ---- */

static bool has_rdrand(void)
{
    u32 eax = 1, ebx, ecx = 0, edx;

    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx & CPUID_RDRAND;
}

static u64 read_rdrand(void)
{
    u64 value = 0;
    u8 fine = 0;

    for (int i = 0; i < RDRAND_TRIES && !fine; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=q"(fine));
    return value;
}

static u64 read_cycles(void)
{
    u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static void stir(u64 value)
{
    static u32 at;

    key[at % KEY_WORDS] ^= (u32)value;
    key[(at + 1) % KEY_WORDS] ^= (u32)(value >> 32);
    if ((at += 2) % KEY_WORDS == 0) { /* spread what came over the whole key */
        u32 block[BLOCK_WORDS];

        make_block(at, block);
        memcpy(key, block, sizeof key);
    }
}

static void seed(void)
{
    bool hardware = has_rdrand();

    seeded = true;
    stir(boot_info.boot_ns);
    stir(boot_info.realtime_offset);
    stir(boot_info.tsc_hz);
    for (int i = 0; i < SAMPLES; i++) {
        mg_null();
        stir(read_cycles());
        if (hardware)
            stir(read_rdrand());
    }
    if (!hardware)
        log_line("random numbers are seeded by the clock alone: this CPU has no RDRAND");
}

void random_bytes(void *to, usize size)
{
    u32 block[BLOCK_WORDS], next[BLOCK_WORDS];
    u8 *out = to;
    u64 counter = 1;

    if (!seeded)
        seed();
    make_block(0, next);
    for (usize piece; size; size -= piece, out += piece) {
        piece = MIN(size, sizeof block);
        make_block(counter++, block);
        memcpy(out, block, piece);
    }
    memcpy(key, next, sizeof key);
}

long call_getrandom(struct thread *thread, const u64 *args)
{
    u8 buffer[CHUNK];
    struct iovec piece;
    struct uio io;
    long total = 0;

    if (args[2] & ~(u64)RANDOM_FLAGS || (args[2] & 6) == 6)
        return -EINVAL;
    uio_init(&io, thread->process->task, &piece, args[0], MIN(args[1], IO_LIMIT));
    while (io.left) {
        usize size = MIN(io.left, sizeof buffer);
        long done;

        random_bytes(buffer, size);
        done = uio_put(&io, buffer, size);
        if (done <= 0)
            return total ? total : -EFAULT;
        total += done;
    }
    return total;
}
