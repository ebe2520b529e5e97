/*
 * fw_cfg.c: QEMU's firmware configuration device, by which tools/vm hands over what is special to
 * one run.
 *
 * The device has numbered items, read byte by byte through a port, or whole by DMA. Item
 * FILE_DIRECTORY lists the named ones. All its numbers are big-endian. It is believed to be there
 * if item SIGNATURE reads "QEMU".
 */
#include "arch/x86_64/fw_cfg.h"
#include "arch/x86_64/arch.h"
#include "arch/x86_64/kmap.h"
#include "kernel/base/early.h"
#include "kernel/base/log.h"
#include "lib/string.h"

enum { PORT_SELECT = 0x510, PORT_DATA = 0x511, PORT_DMA = 0x514 };
enum { ITEM_SIGNATURE = 0, ITEM_FEATURES = 1, ITEM_FILE_DIRECTORY = 0x19 };
enum { FEATURE_DMA = 2 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SELECT = 8 };

struct fw_cfg_file {
    u32 size; /* big-endian, as the next */
    u16 item, reserved;
    char name[56];
};

struct fw_cfg_dma {
    u32 control, length;
    u64 address;
};

static void read_bytes(void *to, usize count)
{
    for (usize i = 0; i < count; i++)
        ((u8 *)to)[i] = io_in8(PORT_DATA);
}

static void read_item(u16 item, void *to, usize count)
{
    io_out16(PORT_SELECT, item);
    read_bytes(to, count);
}

static bool device_present(void)
{
    char signature[4];

    read_item(ITEM_SIGNATURE, signature, sizeof(signature));
    return memcmp(signature, "QEMU", 4) == 0;
}

static bool find_file(const char *name, u16 *item, u32 *size)
{
    struct fw_cfg_file file;
    u32 count;

    read_item(ITEM_FILE_DIRECTORY, &count, sizeof(count));
    for (count = __builtin_bswap32(count); count > 0; count--) {
        read_bytes(&file, sizeof(file));
        if (strcmp(file.name, name) == 0) {
            *item = __builtin_bswap16(file.item);
            *size = __builtin_bswap32(file.size);
            return true;
        }
    }
    return false;
}

/* Reads at most `size` bytes of a file into `to`; returns how many the file has, 0 if it is not
 * there. */
static u32 read_file(const char *name, void *to, u32 size)
{
    u16 item;
    u32 bytes;

    if (!find_file(name, &item, &bytes))
        return 0;
    read_item(item, to, MIN(bytes, size));
    return bytes;
}

static void read_arguments(void)
{
    char words[sizeof(boot_info.cmdline)];
    usize used = strlen(boot_info.cmdline);
    u32 bytes = read_file("opt/merganser/args", words, sizeof(words) - 1);

    if (bytes == 0)
        return;
    words[MIN(bytes, (u32)sizeof(words) - 1)] = '\0';
    if (used > 0 && used + 1 < sizeof(boot_info.cmdline))
        boot_info.cmdline[used++] = ' ';
    if (strlcpy(boot_info.cmdline + used, words, sizeof(boot_info.cmdline) - used) >=
        sizeof(boot_info.cmdline) - used)
        log_line("boot: the kernel's arguments were cut at %lu bytes", sizeof(boot_info.cmdline));
}

static void read_command(void)
{
    u32 room = sizeof(boot_info.command) - 1; /* a NUL stays, even if the last word has none */
    u32 bytes = read_file("opt/merganser/cmd", boot_info.command, room);

    if (bytes > room)
        log_line("boot: the command is longer than %u bytes, ignored", room);
    boot_info.command_bytes = bytes > room ? 0 : bytes;
}

/* By DMA, since it may be large; the device has finished when the control word has become zero. */
static void read_overlay(void)
{
    static struct fw_cfg_dma dma;
    struct boot_module *module = &boot_modules[boot_module_count];
    u32 features = 0, bytes;
    u16 item;

    read_item(ITEM_FEATURES, &features, sizeof(features));
    if (!(features & FEATURE_DMA) || !find_file("opt/merganser/overlay", &item, &bytes) ||
        boot_module_count == ARRAY_LEN(boot_modules))
        return;
    module->start = early_alloc(bytes, PAGE_SIZE, NODE_ANY);
    module->bytes = bytes;
    strlcpy(module->name, "overlay", sizeof(module->name));

    dma.control = __builtin_bswap32((u32)item << 16 | DMA_SELECT | DMA_READ);
    dma.length = __builtin_bswap32(bytes);
    dma.address = __builtin_bswap64(module->start.raw);
    u64 command = kernel_pa(&dma).raw;
    io_out32(PORT_DMA, __builtin_bswap32((u32)(command >> 32)));
    io_out32(PORT_DMA + 4, __builtin_bswap32((u32)command));
    while (__builtin_bswap32(__atomic_load_n(&dma.control, __ATOMIC_ACQUIRE)) & ~(u32)DMA_ERROR)
        cpu_relax();
    if (dma.control) {
        log_line("boot: the overlay could not be read");
        return;
    }
    boot_module_count++;
    boot_info.overlay_bytes = bytes;
}

void fw_cfg_read(void)
{
    if (!device_present())
        return;
    read_arguments();
    read_command();
    read_overlay();
}
