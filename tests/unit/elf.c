/* The ELF checks: a good image, every rule broken singly, random damage, and this very program. */
#include "lib/elf.h"
#include "tests/unit/tap.h"
#include <string.h>

#define FILE_SIZE 0x3000

/* A program with two loaded segments, an interpreter and a stack note. */
struct image {
    struct elf_header header;
    struct elf_segment segment[4];
    char rest[FILE_SIZE - sizeof(struct elf_header) - 4 * sizeof(struct elf_segment)];
};

static struct image image aligned_to(4096);
static struct elf_segment *const interp = &image.segment[0];
static struct elf_segment *const text = &image.segment[1];
static struct elf_segment *const data = &image.segment[2];

static void build(void)
{
    memset(&image, 0, sizeof(image));
    memcpy(image.header.ident, "\177ELF\2\1\1", 7);
    image.header.type = ET_EXEC;
    image.header.machine = EM_X86_64;
    image.header.version = EV_CURRENT;
    image.header.entry = 0x401234;
    image.header.segment_offset = sizeof(struct elf_header);
    image.header.segment_size = sizeof(struct elf_segment);
    image.header.segment_count = 4;
    *interp = (struct elf_segment){.type = PT_INTERP, .offset = 0x800, .file_size = 8};
    *text = (struct elf_segment){
        .type = PT_LOAD,
        .flags = PF_R | PF_X,
        .offset = 0,
        .vaddr = 0x400000,
        .file_size = 0x1800,
        .memory_size = 0x1800,
        .align = 0x1000,
    };
    *data = (struct elf_segment){
        .type = PT_LOAD,
        .flags = PF_R | PF_W,
        .offset = 0x2010,
        .vaddr = 0x403010,
        .file_size = 0x100,
        .memory_size = 0x5000,
        .align = 0x1000,
    };
    image.segment[3] = (struct elf_segment){.type = PT_GNU_STACK, .flags = PF_R | PF_W};
    memcpy((char *)&image + 0x800, "/lib/ld", 8);
}

static void test_good(void)
{
    u64 start, end;
    int loads = 0;

    build();
    CHECK_EQ(elf_check(&image, sizeof(image)), ELF_OK);
    elf_for_each_load(segment, &image)
        loads++;
    CHECK_EQ(loads, 2);
    elf_load_range(&image, &start, &end);
    CHECK_EQ(start, 0x400000);
    CHECK_EQ(end, 0x409000);
    CHECK(strcmp(elf_interpreter(&image), "/lib/ld") == 0);
    CHECK_EQ(elf_segments_address(&image), 0x400040);
    CHECK_EQ(elf_next_segment(&image, PT_GNU_STACK, NULL) - image.segment, 3);
    CHECK(!elf_next_segment(&image, PT_TLS, NULL));
    image.header.type = ET_DYN;
    data->align = 0;
    interp->type = PT_NULL;
    CHECK_EQ(elf_check(&image, sizeof(image)), ELF_OK);
    CHECK(!elf_interpreter(&image));
    text->type = PT_NULL;
    CHECK_EQ(elf_segments_address(&image), 0);
}

/* Breaks one thing in a good image and expects a verdict. */
#define BREAK(change, verdict)                                                                     \
    do {                                                                                           \
        build();                                                                                   \
        change;                                                                                    \
        CHECK_EQ(elf_check(&image, sizeof(image)), verdict);                                       \
    } while (0)

static void test_header(void)
{
    BREAK(image.header.ident[0] = 'E', ELF_NOT_ELF);
    BREAK(image.header.ident[EI_CLASS] = 1, ELF_WRONG_MACHINE);
    BREAK(image.header.ident[EI_DATA] = 2, ELF_WRONG_MACHINE);
    BREAK(image.header.machine = 3, ELF_WRONG_MACHINE);
    BREAK(image.header.type = ET_REL, ELF_WRONG_TYPE);
    BREAK(image.header.version = 2, ELF_BAD_HEADER);
    BREAK(image.header.segment_size = 32, ELF_BAD_HEADER);
    BREAK(image.header.segment_offset = 65, ELF_BAD_HEADER);
    BREAK(image.header.segment_offset = UINT64_MAX - 7, ELF_TRUNCATED);
    BREAK(image.header.segment_offset = FILE_SIZE - 8, ELF_TRUNCATED);
    BREAK(image.header.segment_count = 0xffff, ELF_TRUNCATED);
    BREAK(image.header.segment_count = 0, ELF_BAD_SEGMENT);
    BREAK(image.header.entry = 0, ELF_BAD_ENTRY);
    BREAK(image.header.entry = 0x401800, ELF_BAD_ENTRY);
    BREAK(image.header.entry = 0x403010, ELF_BAD_ENTRY);
}

static void test_segments(void)
{
    BREAK(data->offset = FILE_SIZE, ELF_BAD_SEGMENT);
    BREAK(data->offset = UINT64_MAX - 0xfef, ELF_BAD_SEGMENT);
    BREAK(data->file_size = UINT64_MAX, ELF_BAD_SEGMENT);
    BREAK(data->file_size = 0xff1; data->memory_size = 0x2000, ELF_BAD_SEGMENT);
    BREAK(data->memory_size = 0xff, ELF_BAD_SEGMENT);
    BREAK(data->memory_size = UINT64_MAX, ELF_BAD_SEGMENT);
    BREAK(data->memory_size = 1ull << 47, ELF_BAD_SEGMENT);
    BREAK(data->vaddr = 0x403011, ELF_BAD_SEGMENT);
    BREAK(data->vaddr = 0x401010, ELF_BAD_SEGMENT); /* overlaps the text */
    BREAK(data->vaddr = 0x3ff010, ELF_BAD_SEGMENT); /* below it */
    BREAK(data->vaddr = 0xffff800000003010, ELF_BAD_SEGMENT);
    BREAK(data->align = 3, ELF_BAD_SEGMENT);
    BREAK(data->align = 0x10000, ELF_BAD_SEGMENT); /* vaddr and offset differ modulo it */
    BREAK(data->align = 1; data->vaddr += 1, ELF_BAD_SEGMENT);
    BREAK(interp->file_size = 7, ELF_BAD_SEGMENT); /* no NUL at the end */
    BREAK(interp->file_size = 1, ELF_BAD_SEGMENT);
    BREAK(interp->file_size = 0, ELF_BAD_SEGMENT);
    BREAK(interp->offset = UINT64_MAX, ELF_BAD_SEGMENT);
    BREAK(text->type = data->type = PT_NULL, ELF_BAD_SEGMENT);
}

/* Reads all that elf_check's promises allow to be read. */
static void walk(const void *bytes)
{
    u64 start, end, sum = 0;

    elf_load_range(bytes, &start, &end);
    CHECK(start < end || (start == end && start < 1ull << 47));
    elf_segments_address(bytes);
    if (elf_interpreter(bytes))
        sum += strlen(elf_interpreter(bytes));
    elf_for_each_load(segment, bytes) {
        for (u64 i = 0; i < segment->file_size; i += 16)
            sum += ((const u8 *)bytes)[segment->offset + i];
        if (segment->file_size)
            sum += ((const u8 *)bytes)[segment->offset + segment->file_size - 1];
    }
    CHECK(sum != UINT64_MAX);
}

static void test_damage(void)
{
    usize accepted = 0;

    for (int round = 0; round < 40000; round++) {
        usize size = random_below(4) ? sizeof(image) : random_below(sizeof(image) + 1);
        u8 *copy = malloc(size + !size);

        build();
        for (u64 hits = random_below(4); hits; hits--) {
            u8 *byte = (u8 *)&image + random_below(64 + sizeof(image.segment));

            *byte = random_below(2) ? *byte ^ BIT(random_below(8)) : random_u64();
        }
        memcpy(copy, &image, size);
        if (elf_check(copy, size) == ELF_OK) {
            walk(copy);
            accepted++;
        }
        free(copy);
    }
    CHECK(accepted > 1000);
}

static void test_this_program(void)
{
    FILE *file = fopen("/proc/self/exe", "rb");
    usize size;
    u8 *bytes;

    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    bytes = malloc(size);
    CHECK_EQ(fread(bytes, 1, size, file), size);
    fclose(file);
    CHECK_EQ(elf_check(bytes, size), ELF_OK);
    walk(bytes);
    free(bytes);
}

static void test_names(void)
{
    for (int status = ELF_OK; status <= ELF_BAD_ENTRY; status++)
        CHECK(strlen(elf_status_name(status)) > 1);
}

int main(void)
{
    tap_run("a good program, its segments, range and interpreter", test_good);
    tap_run("each broken header field is told", test_header);
    tap_run("each broken segment is refused", test_segments);
    tap_run("damaged images are refused or safe to walk", test_damage);
    tap_run("this test's own file is accepted", test_this_program);
    tap_run("every verdict has a name", test_names);
    return tap_done();
}
