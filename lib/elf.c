/*
 * The checks that make an ELF image safe to walk. Offsets and sizes come from the file, so every
 * bound is tested as "size <= total && offset <= total - size", which cannot overflow.
 */
#include "lib/elf.h"

#include "lib/string.h"

#define PAGE_MASK_BITS 4095ull
#define ADDRESS_END (1ull << 47) /* of the lower half of canonical addresses */

static bool range_fits(u64 offset, u64 size, u64 total)
{
    return size <= total && offset <= total - size;
}

static enum elf_status check_ident(const struct elf_header *header)
{
    const u8 *ident = header->ident;

    if (memcmp(ident, "\177ELF", 4) != 0)
        return ELF_NOT_ELF;
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB ||
        header->machine != EM_X86_64)
        return ELF_WRONG_MACHINE;
    if (header->type != ET_EXEC && header->type != ET_DYN)
        return ELF_WRONG_TYPE;
    if (ident[EI_VERSION] != EV_CURRENT || header->version != EV_CURRENT ||
        header->segment_size != sizeof(struct elf_segment) || header->segment_offset % 8)
        return ELF_BAD_HEADER;
    return ELF_OK;
}

/* `floor` is where the segment before ended. */
static bool load_is_valid(const struct elf_segment *segment, usize size, u64 floor)
{
    if (!range_fits(segment->offset, segment->file_size, size))
        return false;
    if (segment->file_size > segment->memory_size)
        return false;
    if (!range_fits(segment->vaddr, segment->memory_size, ADDRESS_END) || segment->vaddr < floor)
        return false;
    if (segment->align && !IS_POWER_OF_TWO(segment->align))
        return false;

    u64 mask = MAX(segment->align, 1) - 1;

    return ((segment->vaddr ^ segment->offset) & (mask | PAGE_MASK_BITS)) == 0;
}

static bool interpreter_is_valid(const void *image, usize size, const struct elf_segment *segment)
{
    const char *text = image;

    return range_fits(segment->offset, segment->file_size, size) && segment->file_size > 1 &&
           text[segment->offset + segment->file_size - 1] == '\0';
}

static bool holds_entry(const struct elf_segment *segment, u64 entry)
{
    return (segment->flags & PF_X) && entry >= segment->vaddr &&
           entry - segment->vaddr < segment->memory_size;
}

static enum elf_status check_segments(const void *image, usize size)
{
    const struct elf_header *header = image;
    const struct elf_segment *segment = NULL;
    bool loaded = false, entered = false;
    u64 floor = 0;

    while ((segment = elf_next_segment(image, PT_LOAD, segment))) {
        if (!load_is_valid(segment, size, floor))
            return ELF_BAD_SEGMENT;
        floor = segment->vaddr + segment->memory_size;
        loaded = true;
        entered |= holds_entry(segment, header->entry);
    }
    while ((segment = elf_next_segment(image, PT_INTERP, segment))) {
        if (!interpreter_is_valid(image, size, segment))
            return ELF_BAD_SEGMENT;
    }
    if (!loaded)
        return ELF_BAD_SEGMENT;
    return entered ? ELF_OK : ELF_BAD_ENTRY;
}

enum elf_status elf_check(const void *image, usize size)
{
    const struct elf_header *header = image;

    if (size < sizeof(*header))
        return ELF_TRUNCATED;

    enum elf_status status = check_ident(header);

    if (status != ELF_OK)
        return status;
    if (!range_fits(header->segment_offset, (u64)header->segment_count * sizeof(struct elf_segment),
                    size))
        return ELF_TRUNCATED;
    return check_segments(image, size);
}

const char *elf_status_name(enum elf_status status)
{
    static const char *const names[] = {
        [ELF_OK] = "ok",
        [ELF_TRUNCATED] = "truncated",
        [ELF_NOT_ELF] = "not an ELF file",
        [ELF_WRONG_MACHINE] = "not for x86-64",
        [ELF_WRONG_TYPE] = "not a program",
        [ELF_BAD_HEADER] = "bad header",
        [ELF_BAD_SEGMENT] = "bad segment",
        [ELF_BAD_ENTRY] = "bad entry point",
    };

    return names[status];
}

const struct elf_segment *elf_next_segment(const void *image, u32 type,
                                           const struct elf_segment *previous)
{
    const struct elf_header *header = image;
    const struct elf_segment *first = (const void *)((const u8 *)image + header->segment_offset);
    const struct elf_segment *end = first + header->segment_count;

    for (const struct elf_segment *at = previous ? previous + 1 : first; at < end; at++) {
        if (at->type == type)
            return at;
    }
    return NULL;
}

void elf_load_range(const void *image, u64 *start, u64 *end)
{
    *start = UINT64_MAX;
    *end = 0;
    elf_for_each_load(segment, image) {
        *start = MIN(*start, ALIGN_DOWN(segment->vaddr, PAGE_MASK_BITS + 1));
        *end = ALIGN_UP(segment->vaddr + segment->memory_size, PAGE_MASK_BITS + 1);
    }
}

const char *elf_interpreter(const void *image)
{
    const struct elf_segment *segment = elf_next_segment(image, PT_INTERP, NULL);

    return segment ? (const char *)image + segment->offset : NULL;
}

u64 elf_segments_address(const void *image)
{
    const struct elf_header *header = image;
    u64 size = (u64)header->segment_count * sizeof(struct elf_segment);

    elf_for_each_load(segment, image) {
        if (header->segment_offset >= segment->offset &&
            range_fits(header->segment_offset - segment->offset, size, segment->file_size))
            return segment->vaddr + (header->segment_offset - segment->offset);
    }
    return 0;
}
