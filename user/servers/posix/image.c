/*
 * ELF files as images in memory: checking them, and mapping their segments.
 */
#include "user/servers/posix/exec.h"
#include "user/servers/posix/process.h"
#include "user/servers/posix/tmpfs.h"
#include "user/servers/posix/user.h"
#include <errno.h>
#include <merganser/native.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define PROGRAM_BASE 0x555555554000ul /* of a position-independent program */

static const u8 zeros[PAGE];

long image_check(struct image *image)
{
    const struct elf_header *header = (const struct elf_header *)image->bytes;
    const struct elf_segment *stack;
    const char *interpreter;
    long got = tmpfs_read(image->inode, image->bytes, 0, IMAGE_BYTES);

    if (got < (long)sizeof *header)
        return got < 0 ? got : -ENOEXEC;
    if (header->segment_offset > IMAGE_BYTES ||
        header->segment_count * sizeof(struct elf_segment) > IMAGE_BYTES - header->segment_offset)
        return -ENOEXEC;
    for (u32 i = 0; i < header->segment_count; i++) { /* elf_check looks into the interpreter's */
        const struct elf_segment *segment =
            (const struct elf_segment *)(image->bytes + header->segment_offset) + i;

        if (segment->type == PT_INTERP && segment->offset + segment->file_size > IMAGE_BYTES)
            return -ENOEXEC;
    }
    if (elf_check(image->bytes, image->inode->size) != ELF_OK)
        return -ENOEXEC;
    interpreter = elf_interpreter(image->bytes);
    stack = elf_next_segment(image->bytes, PT_GNU_STACK, NULL);
    image->executable_stack = stack && stack->flags & PF_X;
    image->header = *header;
    return interpreter && strlen(interpreter) >= PATH_MAX ? -ENOEXEC : 0;
}

static u32 prot_of(const struct elf_segment *segment)
{
    return (segment->flags & PF_R ? PROT_READ : 0) | (segment->flags & PF_W ? PROT_WRITE : 0) |
           (segment->flags & PF_X ? PROT_EXEC : 0);
}

static long map_zeros(mg_handle task, u64 start, u64 end, u32 prot)
{
    struct mg_map map = {
        .addr = start,
        .len = end - start,
        .prot = prot,
        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    };
    long result = end > start ? mg_vm_map(task, &map) : 0;

    return result < 0 ? result : 0;
}

/* The bytes of the file's last page that belong to the segment's zeroed part. */
static long clear_tail(mg_handle task, const struct elf_segment *segment, u64 file_end, u64 map_end)
{
    long done;

    if (segment->memory_size == segment->file_size || !(segment->flags & PF_W) ||
        file_end == map_end)
        return 0;
    done = mg_vm_copy(task, file_end, MG_HANDLE_SELF, zeros, map_end - file_end);
    return done < 0 ? done : 0;
}

static long load_segment(mg_handle task, struct image *image, const struct elf_segment *segment)
{
    u64 at = segment->vaddr + image->bias, in_page = at % PAGE;
    u64 file_end = at + segment->file_size, map_end = ALIGN_UP(file_end, PAGE);
    u64 end = ALIGN_UP(at + segment->memory_size, PAGE);
    struct mg_map map = {
        .addr = at - in_page,
        .len = map_end - (at - in_page),
        .prot = prot_of(segment),
        .flags = MAP_PRIVATE | MAP_FIXED,
    };
    long error;

    if (!segment->file_size)
        return map_zeros(task, at - in_page, end, map.prot);
    error = tmpfs_map(image->inode, segment->offset - in_page, map.len, false, false, &map.object,
                      &map.offset);
    if (error)
        return error;
    error = mg_vm_map(task, &map);
    if (error < 0)
        return error;
    error = clear_tail(task, segment, file_end, map_end);
    return error ? error : map_zeros(task, map_end, end, map.prot);
}

static void note_segment(struct image *image, const struct elf_segment *segment)
{
    u64 start = segment->vaddr + image->bias, end = start + segment->file_size;

    if (segment->flags & PF_X) {
        image->code_start = image->code_start ? image->code_start : start;
        image->code_end = end;
    } else if (segment->flags & PF_W) {
        image->data_start = image->data_start ? image->data_start : start;
        image->data_end = end;
    }
}

/* Where a position-independent image goes: the program to its place, an interpreter to a gap. */
static long choose_bias(mg_handle task, struct image *image, bool interpreter)
{
    struct mg_map map = {.prot = PROT_NONE, .flags = MAP_PRIVATE | MAP_ANONYMOUS};
    u64 start, end;
    long address;

    if (image->header.type != ET_DYN)
        return 0;
    elf_load_range(image->bytes, &start, &end);
    image->bias = PROGRAM_BASE - start;
    if (!interpreter)
        return 0;
    map.len = end - start;
    address = mg_vm_map(task, &map);
    image->bias = (u64)address - start;
    return address < 0 ? address : 0;
}

long image_load(struct thread *thread, struct image *image)
{
    mg_handle task = thread->process->task;
    bool interpreter = image->inode != thread->process->program.exe;
    long error = choose_bias(task, image, interpreter);
    u64 start, headers = elf_segments_address(image->bytes);

    if (error)
        return error;
    elf_for_each_load(segment, image->bytes) {
        error = load_segment(task, image, segment);
        if (error)
            return error;
        note_segment(image, segment);
    }
    elf_load_range(image->bytes, &start, &image->end);
    image->end += image->bias;
    image->entry = image->header.entry + image->bias;
    image->headers = headers ? headers + image->bias : 0;
    return 0;
}
