/*
 * count.c: a QEMU plugin that counts what is executed in a measurement of experiments/.
 *
 * A program marks a measurement by executing `rdtscp` before and after it. On Linux it must not ask
 * for the time meanwhile, other than by a system call: the C library's way may execute it too.
 * Between the two, instructions and accesses to memory are counted, in user mode and in the kernel.
 * What the time-stamp counter would show as well, the time the processor sleeps, is not. At exit one
 * line for each measurement is in the file named by the plugin's argument `out=FILE`:
 *
 *     INSTRUCTIONS READS WRITES
 *
 * Some QEMUs, 7.2 for one, confuse the kinds of access: who asks for reads gets the writes, who
 * asks for writes gets both. Asking in all three ways shows which it is, and the reads either way.
 * What QEMU does in a function of its own, an interrupt's frame for one, may be taken for the other
 * kind; that is a few accesses an interrupt. One virtual CPU only. QEMU's plugin interface, version
 * 1, has no header in Debian's packages, so the few functions used are declared here.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
typedef uint64_t plugin_id;
enum { CALLBACK_NO_REGISTERS };
enum { INLINE_ADD };
enum { MEMORY_READ = 1, MEMORY_WRITE, MEMORY_READ_OR_WRITE };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*callback)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(plugin_id id, void (*callback)(plugin_id, void *), void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*callback)(unsigned, void *), int flags,
                                            void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation,
                                                void *counter, uint64_t value);
void qemu_plugin_register_vcpu_mem_inline(struct qemu_plugin_insn *insn, int which, int operation,
                                          void *counter, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 1;

#define USER_END (1ul << 47)

struct counts {
    uint64_t instructions;
    uint64_t asked[MEMORY_READ_OR_WRITE + 1]; /* accesses, by the kind that was asked for */
};

static struct counts now, begun;
static bool window_open;
static FILE *output;

/* Both kinds add up to all, unless they are confused. Since power-on both were many. */
static bool kinds_confused(void)
{
    uint64_t all = now.asked[MEMORY_READ_OR_WRITE];

    return now.asked[MEMORY_READ] + now.asked[MEMORY_WRITE] > all + all / 16;
}

static void print_measurement(void)
{
    uint64_t all = now.asked[MEMORY_READ_OR_WRITE] - begun.asked[MEMORY_READ_OR_WRITE];
    uint64_t reads = now.asked[MEMORY_READ] - begun.asked[MEMORY_READ];

    if (kinds_confused())
        reads = all - reads;
    fprintf(output, "%lu %lu %lu\n", now.instructions - begun.instructions, reads, all - reads);
}

static void on_rdtscp(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    window_open = !window_open;
    if (window_open)
        begun = now;
    else
        print_measurement();
}

static bool is_user_rdtscp(struct qemu_plugin_insn *insn)
{
    return qemu_plugin_insn_vaddr(insn) < USER_END && qemu_plugin_insn_size(insn) == 3 &&
           memcmp(qemu_plugin_insn_data(insn), "\x0f\x01\xf9", 3) == 0;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD, &now.instructions, 1);
        for (int kind = MEMORY_READ; kind <= MEMORY_READ_OR_WRITE; kind++)
            qemu_plugin_register_vcpu_mem_inline(insn, kind, INLINE_ADD, &now.asked[kind], 1);
        if (is_user_rdtscp(insn))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_rdtscp, CALLBACK_NO_REGISTERS, NULL);
    }
}

static void on_end(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    fclose(output);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || !(output = fopen(argv[0] + 4, "w")))
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
