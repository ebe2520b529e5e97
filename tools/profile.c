/*
 * profile.c: a QEMU plugin that counts, for tools/profile, the instructions a benchmark measures.
 *
 * A figure of tests/bench reads the time-stamp counter before and after what it measures, and no
 * other program does so by `rdtscp`. So an `rdtscp` at a user address opens the window and the
 * next one closes it. While it is open, each execution of a translation block is counted; at exit
 * one line for each block goes to the file named by the plugin's argument `out=FILE`:
 *
 *     ADDRESS INSTRUCTIONS EXECUTIONS        and at last        windows N
 *
 * One virtual CPU only: the counters are not atomic. QEMU's plugin interface, version 1, has no
 * header in Debian's packages, so the few functions used are declared here.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
typedef uint64_t plugin_id;
typedef void (*exec_callback)(unsigned cpu, void *data);
enum { CALLBACK_NO_REGISTERS };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*callback)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(plugin_id id, void (*callback)(plugin_id, void *), void *data);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_callback callback,
                                          int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, exec_callback callback,
                                            int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 1;

#define USER_END (1ul << 47)
#define BUCKETS 65536

struct block {
    struct block *next;
    uint64_t address, instructions, executions;
};

static struct block *blocks[BUCKETS];
static bool window_open;
static uint64_t windows;
static const char *output;

static struct block *block_find(uint64_t address, uint64_t instructions)
{
    struct block **bucket = &blocks[(address >> 1 ^ address >> 17) % BUCKETS];
    for (struct block *block = *bucket; block; block = block->next)
        if (block->address == address && block->instructions == instructions)
            return block;
    struct block *block = calloc(1, sizeof *block);
    *block = (struct block){*bucket, address, instructions, 0};
    return *bucket = block;
}

static void on_block(unsigned cpu, void *data)
{
    (void)cpu;
    ((struct block *)data)->executions += window_open;
}

static void on_rdtscp(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    window_open = !window_open;
    windows += window_open;
}

static bool is_user_rdtscp(struct qemu_plugin_insn *insn)
{
    return qemu_plugin_insn_vaddr(insn) < USER_END && qemu_plugin_insn_size(insn) == 3 &&
           memcmp(qemu_plugin_insn_data(insn), "\x0f\x01\xf9", 3) == 0;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t instructions = qemu_plugin_tb_n_insns(tb);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, CALLBACK_NO_REGISTERS,
                                         block_find(qemu_plugin_tb_vaddr(tb), instructions));
    for (size_t i = 0; i < instructions; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        if (is_user_rdtscp(insn))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_rdtscp, CALLBACK_NO_REGISTERS, NULL);
    }
}

static void on_end(plugin_id id, void *data)
{
    FILE *file = fopen(output, "w");
    (void)id;
    (void)data;
    if (!file)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct block *block = blocks[i]; block; block = block->next)
            if (block->executions)
                fprintf(file, "%lx %lu %lu\n", block->address, block->instructions,
                        block->executions);
    fprintf(file, "windows %lu\n", windows);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0)
        return 1;
    output = strdup(argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
