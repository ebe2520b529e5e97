/*
 * init_start.c: the first task, from the boot module "init".
 *
 * The module is a static ELF program. Its segments are copied into a new address space, each into
 * private memory that gets its final rights afterwards, and a stack is built as the System V ABI
 * wants it. From its top downwards:
 *
 *     the name, 16 random bytes (AT_RANDOM)
 *     auxiliary vector, NULL, (no environment) NULL, argv[0]
 *     argc                                            <- rsp, a multiple of 16
 *
 * All that init can do to the machine it can by the handles it gets here: MG_HANDLE_SYSTEM,
 * MG_HANDLE_INITRD and MG_HANDLE_OVERLAY.
 */
#include "kernel/sys/init_start.h"
#include "arch/x86_64/arch.h"
#include "kernel/base/errno.h"
#include "kernel/base/log.h"
#include "kernel/mm/mm.h"
#include "kernel/mm/mman.h"
#include "kernel/mm/object.h"
#include "kernel/sys/machine.h"
#include "kernel/task/thread.h"
#include "lib/elf.h"
#include "lib/hash.h"
#include "lib/string.h"

#define STACK_BYTES (256ul << 10)
#define LOAD_BASE 0x400000ul /* of a position-independent program */
#define PID_INIT 1

struct program {
    struct mm *mm;
    const void *image;
    u64 bias, entry, stack;
};

static _Noreturn void give_up(const char *what, s64 status)
{
    panic("init can't be started: %s (%ld)", what, status);
}

/* --- its memory --- */

static const struct boot_module *find_module(const char *name)
{
    for (u32 i = 0; i < boot_module_count; i++)
        if (strcmp(boot_modules[i].name, name) == 0)
            return &boot_modules[i];
    return NULL;
}

static void map_private(struct mm *mm, va_t start, va_t end, u32 flags)
{
    struct map_request request = {
        .addr = start,
        .len = end - start,
        .prot = PROT_READ | PROT_WRITE,
        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags,
    };
    s64 status = mm_map(mm, &request);

    if (status < 0)
        give_up("no memory to map", status);
}

/* Copies into its space, a page at a time. */
static void put(struct mm *mm, va_t to, const void *from, u64 bytes)
{
    for (u64 done = 0; done < bytes;) {
        va_t at = to + done;
        u64 piece = MIN(bytes - done, PAGE_SIZE - at % PAGE_SIZE);
        struct frame *frame = mm_pin_page(mm, at & PAGE_MASK, true);

        if (!frame)
            give_up("no memory for its pages", -ENOMEM);
        memcpy((u8 *)frame_page(frame) + at % PAGE_SIZE, (const u8 *)from + done, piece);
        mm_unpin_page(mm, at & PAGE_MASK, frame, true);
        done += piece;
    }
}

static u32 segment_prot(const struct elf_segment *segment)
{
    return (segment->flags & PF_R ? PROT_READ : 0) | (segment->flags & PF_W ? PROT_WRITE : 0) |
           (segment->flags & PF_X ? PROT_EXEC : 0);
}

static void load_segment(const struct program *program, const struct elf_segment *segment)
{
    va_t at = segment->vaddr + program->bias;
    va_t start = ALIGN_DOWN(at, PAGE_SIZE), end = ALIGN_UP(at + segment->memory_size, PAGE_SIZE);

    if (start == end)
        return;
    map_private(program->mm, start, end, 0);
    put(program->mm, at, (const u8 *)program->image + segment->offset, segment->file_size);
    s64 status = mm_protect(program->mm, start, end - start, segment_prot(segment));

    if (status < 0)
        give_up("a segment can't get its rights", status);
}

/* The boot module "init", which is a program that can be loaded here. */
static const struct elf_header *find_image(void)
{
    const struct boot_module *module = find_module("init");

    if (module) {
        const struct elf_header *header = pa_virt(module->start);
        enum elf_status status = elf_check(header, module->bytes);

        if (status != ELF_OK)
            panic("init can't be started: the boot module \"init\": %s", elf_status_name(status));
        if (elf_interpreter(header))
            panic("init can't be started: it is not statically linked");
        return header;
    }
    panic("init can't be started: the boot loader brought no module \"init\"");
}

static void load(struct program *program)
{
    const struct elf_header *header = find_image();
    u64 start, end;

    program->image = header;
    program->bias = header->type == ET_DYN ? LOAD_BASE : 0;
    program->entry = header->entry + program->bias;
    elf_for_each_load(segment, header) {
        load_segment(program, segment);
    }
    elf_load_range(header, &start, &end);
    program->mm->brk_start = program->mm->brk = end + program->bias;
}

/* --- its stack --- */

/* CPUID leaf 1, edx: what AT_HWCAP is on this processor. */
static u64 hardware_features(void)
{
    u32 eax = 1, ebx, ecx = 0, edx;

    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return edx;
}

static void build_stack(struct program *program)
{
    const struct elf_header *header = program->image;
    u64 headers = elf_segments_address(header);
    struct {
        char name[16];
        u64 random[2];
    } strings = {"init", {hash_u64(time_ns()), hash_u64(time_realtime_offset ^ ~time_ns())}};
    va_t strings_at = USER_END - sizeof(strings);
    struct {
        u64 argc, argv[2], environment[1];
        struct elf_aux aux[17];
    } words = {.argc = 1,
               .argv = {strings_at, 0},
               .aux = {
                   {AT_HWCAP, hardware_features()},
                   {AT_PAGESZ, PAGE_SIZE},
                   {AT_CLKTCK, 100},
                   {AT_PHDR, headers ? headers + program->bias : 0},
                   {AT_PHENT, header->segment_size},
                   {AT_PHNUM, header->segment_count},
                   {AT_BASE, 0},
                   {AT_FLAGS, 0},
                   {AT_ENTRY, program->entry},
                   {AT_UID, 0},
                   {AT_EUID, 0},
                   {AT_GID, 0},
                   {AT_EGID, 0},
                   {AT_SECURE, 0},
                   {AT_RANDOM, strings_at + sizeof(strings.name)},
                   {AT_EXECFN, strings_at},
                   {AT_NULL, 0},
               }};

    map_private(program->mm, USER_END - STACK_BYTES, USER_END, MAP_GROWSDOWN | MAP_STACK);
    program->stack = ALIGN_DOWN(strings_at - sizeof(words), 16);
    put(program->mm, strings_at, &strings, sizeof(strings));
    put(program->mm, program->stack, &words, sizeof(words));
}

/* --- its handles and its thread --- */

static void give(struct task *task, enum handle_type type, void *object, u32 rights,
                 mg_handle handle)
{
    struct handle_ref ref = {type, rights, object, 0};
    s64 status = object || type == HANDLE_SYSTEM ? handle_install(task, &ref, handle) : -ENOMEM;

    if (status < 0)
        give_up("it can't be given its handles", status);
}

static void give_module(struct task *task, const char *name, mg_handle handle)
{
    const struct boot_module *module = find_module(name);

    if (module)
        give(task, HANDLE_OBJECT, object_create_boot(module->start, module->bytes),
             MG_RIGHT_READ | MG_RIGHT_PASS, handle);
}

static void start(struct task *task, const struct program *program)
{
    struct mg_regs regs = {.rip = program->entry, .rsp = program->stack};
    struct thread *thread;
    s64 status = thread_create(task, 0, &thread);

    if (status == 0)
        status = arch_set_regs(thread, &regs);
    if (status < 0)
        give_up("it can't have a thread", status);
    thread->tid = PID_INIT;
    thread_resume(thread);
    thread_put(thread);
}

void init_start(void)
{
    struct task *task = task_create(NULL, NULL, 0);

    if (!task)
        give_up("no memory for a task", -ENOMEM);
    machine_init();
    native_block_init();
    struct program program = {.mm = task->mm};

    task->pid = PID_INIT;
    task_set_name(task, "init");
    load(&program);
    build_stack(&program);
    give(task, HANDLE_SYSTEM, NULL, MG_RIGHT_ALL, MG_HANDLE_SYSTEM);
    give_module(task, "initramfs", MG_HANDLE_INITRD);
    give_module(task, "overlay", MG_HANDLE_OVERLAY);
    start(task, &program);
    task_put(task);
}
