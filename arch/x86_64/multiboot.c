/*
 * multiboot.c: reads the Multiboot2 information: a sequence of tags, each with type, size and
 * content, 8-byte aligned.
 *
 * All that is needed later is copied out, so the information itself may be overwritten. It lies
 * below 4 GiB, as do the modules, which the first page tables already map.
 */
#include "arch/x86_64/multiboot.h"
#include "kernel/base/log.h"
#include "lib/string.h"

enum {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_ELF_SECTIONS = 9,
    TAG_RSDP_OLD = 14,
    TAG_RSDP_NEW = 15,
};

struct tag {
    u32 type, size;
};

struct tag_string {
    struct tag tag;
    char text[];
};

struct tag_module {
    struct tag tag;
    u32 start, end;
    char command_line[];
};

struct tag_memory_map {
    struct tag tag;
    u32 entry_size, entry_version;
    u8 entries[];
};

struct memory_map_entry {
    u64 base, length;
    u32 type, reserved;
};

struct tag_framebuffer {
    struct tag tag;
    u64 address;
    u32 pitch, width, height;
    u8 bits, type;
    u16 reserved;
    /* of type FRAMEBUFFER_RGB */
    u8 red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits;
};
enum { FRAMEBUFFER_RGB = 1, FRAMEBUFFER_TEXT = 2 };

struct tag_elf_sections {
    struct tag tag;
    u32 count, entry_size, names;
    u8 headers[];
};

struct boot_range boot_ranges[BOOT_RANGES_MAX];
u32 boot_range_count;
struct boot_range boot_reserved[BOOT_RESERVED_MAX];
u32 boot_reserved_count;
u8 boot_rsdp[36];
enum boot_screen boot_screen;

struct boot_module boot_modules[4];
u32 boot_module_count;
struct mg_boot_info boot_info;

void boot_reserve(u64 start, u64 end)
{
    assert(boot_reserved_count < BOOT_RESERVED_MAX);
    boot_reserved[boot_reserved_count++] = (struct boot_range){start, end, 0};
}

static void read_module(const struct tag_module *module)
{
    if (boot_module_count == ARRAY_LEN(boot_modules)) {
        log_line("boot: module \"%s\" is one too many", module->command_line);
        return;
    }
    struct boot_module *to = &boot_modules[boot_module_count++];

    to->start = (pa_t){module->start};
    to->bytes = module->end - module->start;
    strlcpy(to->name, module->command_line, sizeof(to->name));
    boot_reserve(module->start, module->end);
    if (strcmp(to->name, "initramfs") == 0)
        boot_info.initrd_bytes = to->bytes;
}

static void read_memory_map(const struct tag_memory_map *map)
{
    const u8 *end = (const u8 *)map + map->tag.size;

    for (const u8 *at = map->entries; at + map->entry_size <= end; at += map->entry_size) {
        const struct memory_map_entry *entry = (const void *)at;

        if (boot_range_count == BOOT_RANGES_MAX)
            panic("the memory map has more than %d entries", BOOT_RANGES_MAX);
        boot_ranges[boot_range_count++] =
            (struct boot_range){entry->base, entry->base + entry->length, entry->type};
    }
}

static void read_framebuffer(const struct tag_framebuffer *fb)
{
    if (fb->type == FRAMEBUFFER_TEXT)
        boot_screen = BOOT_SCREEN_TEXT;
    if (fb->type != FRAMEBUFFER_RGB || (fb->bits != 32 && fb->bits != 24 && fb->bits != 16))
        return;
    boot_screen = BOOT_SCREEN_PIXELS;
    boot_info.framebuffer = fb->address;
    boot_info.fb_width = fb->width;
    boot_info.fb_height = fb->height;
    boot_info.fb_pitch = fb->pitch;
    boot_info.fb_bpp = fb->bits;
    boot_info.fb_red_shift = fb->red_shift;
    boot_info.fb_green_shift = fb->green_shift;
    boot_info.fb_blue_shift = fb->blue_shift;
}

static void read_rsdp(const struct tag *tag)
{
    if (tag->type == TAG_RSDP_OLD && boot_rsdp[0])
        return; /* the newer one came first */
    memset(boot_rsdp, 0, sizeof(boot_rsdp));
    memcpy(boot_rsdp, tag + 1, MIN(tag->size - sizeof(*tag), sizeof(boot_rsdp)));
}

static void read_tag(const struct tag *tag)
{
    const struct tag_elf_sections *elf = (const void *)tag;

    switch (tag->type) {
    case TAG_COMMAND_LINE:
        strlcpy(boot_info.cmdline, ((const struct tag_string *)tag)->text,
                sizeof(boot_info.cmdline));
        break;
    case TAG_MODULE: read_module((const void *)tag); break;
    case TAG_MEMORY_MAP: read_memory_map((const void *)tag); break;
    case TAG_FRAMEBUFFER: read_framebuffer((const void *)tag); break;
    case TAG_ELF_SECTIONS: symbol_init(elf->headers, elf->count, elf->entry_size); break;
    case TAG_RSDP_OLD:
    case TAG_RSDP_NEW: read_rsdp(tag); break;
    }
}

void multiboot_parse(pa_t information)
{
    const u8 *at = (const u8 *)pa_virt(information) + 8; /* past total size and a reserved word */

    for (;;) {
        const struct tag *tag = (const void *)at;

        if (tag->type == TAG_END)
            break;
        read_tag(tag);
        at += ALIGN_UP(tag->size, 8);
    }
    if (boot_range_count == 0)
        panic("the boot loader gave no memory map");
}

/* Whether `text` at a word's start is "name" or "name=...": the character after the name, or
 * NULL. */
static const char *match_argument(const char *text, const char *name)
{
    usize length = strlen(name);

    if (strncmp(text, name, length) != 0)
        return NULL;
    text += length;
    return *text == '=' || *text == ' ' || *text == '\0' ? text : NULL;
}

bool boot_argument(const char *name, char *value, usize size)
{
    const char *at = boot_info.cmdline;

    while (*at) {
        const char *end = match_argument(at, name);

        if (end) {
            usize length = 0;

            if (*end == '=')
                for (end++; *end && *end != ' ' && length + 1 < size; end++)
                    value[length++] = *end;
            if (size)
                value[length] = '\0';
            return true;
        }
        while (*at && *at != ' ')
            at++;
        while (*at == ' ')
            at++;
    }
    return false;
}
