/*
 * ELF64 for x86-64: the structures and numbers of the specification, and the checks to make
 * before an image is believed. An image here is the whole file in memory, 8-byte aligned. The
 * functions that walk segments expect one that elf_check accepted; what it promises stands there.
 */
#pragma once

#include "lib/types.h"

struct elf_header {
    u8 ident[16];
    u16 type;
    u16 machine;
    u32 version;
    u64 entry;
    u64 segment_offset; /* e_phoff */
    u64 section_offset; /* e_shoff */
    u32 flags;
    u16 header_size;
    u16 segment_size; /* of one program header */
    u16 segment_count;
    u16 section_size;
    u16 section_count;
    u16 section_names; /* index of the section that holds the names */
};

/* A program header. */
struct elf_segment {
    u32 type;
    u32 flags;
    u64 offset;
    u64 vaddr;
    u64 paddr;
    u64 file_size;
    u64 memory_size;
    u64 align;
};

struct elf_section {
    u32 name; /* offset in the section of names */
    u32 type;
    u64 flags;
    u64 address;
    u64 offset;
    u64 size;
    u32 link;
    u32 info;
    u64 align;
    u64 entry_size;
};

struct elf_symbol {
    u32 name;
    u8 info; /* binding << 4 | type */
    u8 other;
    u16 section;
    u64 value;
    u64 size;
};

/* One entry of the auxiliary vector on a new program's stack. */
struct elf_aux {
    u64 type;
    u64 value;
};

static_assert(sizeof(struct elf_header) == 64, "ELF64 header");
static_assert(sizeof(struct elf_segment) == 56, "ELF64 program header");
static_assert(sizeof(struct elf_section) == 64, "ELF64 section header");
static_assert(sizeof(struct elf_symbol) == 24, "ELF64 symbol");

enum { /* indices into ident, and their values */
    EI_CLASS = 4,
    EI_DATA = 5,
    EI_VERSION = 6,
    ELFCLASS64 = 2,
    ELFDATA2LSB = 1,
    EV_CURRENT = 1,
};

enum { ET_REL = 1, ET_EXEC = 2, ET_DYN = 3, ET_CORE = 4 };
enum { EM_X86_64 = 62 };

enum {
    PT_NULL = 0,
    PT_LOAD = 1,
    PT_DYNAMIC = 2,
    PT_INTERP = 3,
    PT_NOTE = 4,
    PT_PHDR = 6,
    PT_TLS = 7,
    PT_GNU_STACK = 0x6474e551,
    PT_GNU_RELRO = 0x6474e552,
};

enum { PF_X = 1, PF_W = 2, PF_R = 4 };

enum { SHT_NULL = 0, SHT_PROGBITS = 1, SHT_SYMTAB = 2, SHT_STRTAB = 3, SHT_NOBITS = 8 };
enum { SHF_WRITE = 1, SHF_ALLOC = 2, SHF_EXECINSTR = 4 };
enum { STT_NOTYPE = 0, STT_OBJECT = 1, STT_FUNC = 2, STT_SECTION = 3, STT_FILE = 4 };
enum { SHN_UNDEF = 0, SHN_ABS = 0xfff1 };

enum {
    AT_NULL = 0,
    AT_PHDR = 3,
    AT_PHENT = 4,
    AT_PHNUM = 5,
    AT_PAGESZ = 6,
    AT_BASE = 7,
    AT_FLAGS = 8,
    AT_ENTRY = 9,
    AT_UID = 11,
    AT_EUID = 12,
    AT_GID = 13,
    AT_EGID = 14,
    AT_PLATFORM = 15,
    AT_HWCAP = 16,
    AT_CLKTCK = 17,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_HWCAP2 = 26,
    AT_EXECFN = 31,
    AT_SYSINFO_EHDR = 33,
};

enum elf_status {
    ELF_OK,
    ELF_TRUNCATED,     /* shorter than its headers say */
    ELF_NOT_ELF,       /* no magic */
    ELF_WRONG_MACHINE, /* not 64-bit little-endian x86-64 */
    ELF_WRONG_TYPE,    /* neither ET_EXEC nor ET_DYN */
    ELF_BAD_HEADER,    /* sizes or offsets that contradict each other */
    ELF_BAD_SEGMENT,   /* a segment out of bounds, out of order, or misaligned */
    ELF_BAD_ENTRY,     /* the entry point is in no executable segment */
};

/*
 * Checks a program or interpreter of `size` bytes. ELF_OK promises: the program headers lie in the
 * file, aligned to 8; there is a PT_LOAD segment; each PT_LOAD segment's bytes lie in the file and
 * fit its memory, its addresses end below 2^47, ascend and do not overlap, its alignment is a power
 * of two (0 counts as 1), of which vaddr and offset are the same remainder modulo 4096 at least;
 * PT_INTERP's text lies in the file and ends with NUL; the entry point is in an executable segment.
 */
nodiscard enum elf_status elf_check(const void *image, usize size);

/* A word for a status, for messages. */
const char *elf_status_name(enum elf_status status);

/* The first program header of a type after `previous` (NULL: from the start), or NULL. */
const struct elf_segment *elf_next_segment(const void *image, u32 type,
                                           const struct elf_segment *previous);

#define elf_for_each_load(segment, image)                                                        \
    for (const struct elf_segment *segment = elf_next_segment(image, PT_LOAD, NULL); segment;    \
         segment = elf_next_segment(image, PT_LOAD, segment))

/* The page-aligned range [*start, *end) that all PT_LOAD segments lie in. */
void elf_load_range(const void *image, u64 *start, u64 *end);

/* The interpreter's path, or NULL if the program needs none. */
const char *elf_interpreter(const void *image);

/* The address, before relocation, at which the program headers are loaded; 0 if they are not. */
u64 elf_segments_address(const void *image);
