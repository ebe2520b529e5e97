/*
 * See spawn.h. The stack of the new task, from its top downwards:
 *
 *     16 random-looking bytes (AT_RANDOM), the name
 *     auxiliary vector, NULL, (no environment) NULL, argv[0]
 *     argc                                            <- rsp, a multiple of 16
 */
#include "user/lib/spawn.h"
#include "lib/elf.h"
#include "lib/page.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_TOP 0x7ffffffff000ul
#define STACK_BYTES (256ul << 10)
#define LOAD_BASE 0x400000ul /* of a position-independent program */
#define USER_CS 0x33
#define USER_SS 0x2b
#define FLAGS_INTERRUPTS 0x200

static long copy_out(mg_handle task, u64 to, const void *from, usize size)
{
    long copied = size ? mg_vm_copy(task, to, MG_HANDLE_SELF, from, size) : 0;

    return copied < 0 ? copied : (usize)copied == size ? 0 : -EFAULT;
}

static long map_anonymous(mg_handle task, u64 start, u64 end, u32 prot, u32 flags)
{
    struct mg_map map = {
        .addr = start,
        .len = end - start,
        .prot = prot,
        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags,
    };
    long result = mg_vm_map(task, &map);

    return result < 0 ? result : 0;
}

static u32 segment_prot(const struct elf_segment *segment)
{
    return (segment->flags & PF_R ? PROT_READ : 0) | (segment->flags & PF_W ? PROT_WRITE : 0) |
           (segment->flags & PF_X ? PROT_EXEC : 0);
}

static long load_segment(mg_handle task, const struct spawn *spawn,
                         const struct elf_segment *segment, u64 bias)
{
    u64 at = segment->vaddr + bias;
    u64 start = ALIGN_DOWN(at, PAGE_BYTES);
    u64 end = ALIGN_UP(at + segment->memory_size, PAGE_BYTES);
    const u8 *bytes = (const u8 *)spawn->image + segment->offset;
    long error = map_anonymous(task, start, end, PROT_READ | PROT_WRITE, 0);

    if (!error)
        error = copy_out(task, at, bytes, segment->file_size);
    if (!error)
        error = mg_vm_protect(task, start, end - start, segment_prot(segment));
    return error;
}

static long load_segments(mg_handle task, const struct spawn *spawn, u64 bias)
{
    u64 start, end;
    long error = 0;

    elf_load_range(spawn->image, &start, &end);
    elf_for_each_load(segment, spawn->image) {
        error = load_segment(task, spawn, segment, bias);
        if (error)
            return error;
    }
    return mg_task_set(task, MG_TASK_BRK, end + bias);
}

static long build_stack(mg_handle task, const struct spawn *spawn, u64 bias, u64 *stack)
{
    const struct elf_header *header = spawn->image;
    struct {
        char name[32];
        u64 random[2];
    } strings = {.random = {0x6d65726765000000 ^ (u64)spawn->size, (u64)&strings}};
    u64 strings_at = STACK_TOP - sizeof strings;
    struct {
        u64 argc, argv[2], environment[1];
        struct elf_aux aux[7];
    } words = {.argc = 1,
               .argv = {strings_at, 0},
               .aux = {
                   {AT_PAGESZ, PAGE_BYTES},
                   {AT_PHDR, elf_segments_address(spawn->image) + bias},
                   {AT_PHENT, header->segment_size},
                   {AT_PHNUM, header->segment_count},
                   {AT_ENTRY, header->entry + bias},
                   {AT_RANDOM, strings_at + sizeof strings.name},
                   {AT_NULL, 0},
               }};
    long error =
        map_anonymous(task, STACK_TOP - STACK_BYTES, STACK_TOP, PROT_READ | PROT_WRITE, MAP_STACK);

    strncpy(strings.name, spawn->name, sizeof strings.name - 1);
    *stack = ALIGN_DOWN(strings_at - sizeof words, 16);
    if (!error)
        error = copy_out(task, strings_at, &strings, sizeof strings);
    if (!error)
        error = copy_out(task, *stack, &words, sizeof words);
    return error;
}

static long start_thread(mg_handle task, u64 cookie, u64 entry, u64 stack, mg_handle *thread)
{
    struct mg_regs regs = {
        .rip = entry,
        .rsp = stack,
        .cs = USER_CS,
        .ss = USER_SS,
        .rflags = FLAGS_INTERRUPTS,
        .orig_rax = ~0ul,
    };
    long result = mg_thread_create(task, cookie);

    if (result < 0)
        return result;
    *thread = (mg_handle)result;
    result = mg_thread_set_state(*thread, MG_STATE_REGS, &regs, sizeof regs);
    if (result < 0)
        mg_handle_close(*thread);
    return result < 0 ? result : 0;
}

static long load(mg_handle task, const struct spawn *spawn, mg_handle *thread)
{
    const struct elf_header *header = spawn->image;
    u64 bias = header->type == ET_DYN ? LOAD_BASE : 0, stack = 0;
    long error = load_segments(task, spawn, bias);

    if (!error)
        error = build_stack(task, spawn, bias, &stack);
    if (!error)
        error = mg_task_set(task, MG_TASK_NAME, spawn->name);
    if (!error)
        error = start_thread(task, spawn->cookie, header->entry + bias, stack, thread);
    return error;
}

long spawn_task(const struct spawn *spawn, struct spawned *spawned)
{
    long task, error;

    if (elf_check(spawn->image, spawn->size) != ELF_OK || elf_interpreter(spawn->image))
        return -ENOEXEC;
    task = mg_task_create(spawn->server, spawn->cookie);
    if (task < 0)
        return task;
    spawned->task = (mg_handle)task;
    error = load(spawned->task, spawn, &spawned->thread);
    if (error) {
        mg_task_kill(spawned->task);
        mg_handle_close(spawned->task);
    }
    return error;
}
