/* A plugin for qemu-user that prints how many guest instructions a program executed, and with `in=TEXT` how many of them were in
   functions whose name contains TEXT. It needs plugin API 1, for example Debian 12's qemu 7.2; the declarations below stand in for
   qemu-plugin.h.

   gcc -O2 -shared -fPIC count.c -o count.so
   qemu-aarch64 -d plugin -plugin ./count.so[,in=TEXT] PROGRAM

   Each translated block adds its length to a counter. The addition is not atomic: counts are exact for programs with
   one thread. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_outs(const char *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(id, void (*)(id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_atexit_cb(id, void (*)(id, void *), void *);
int qemu_plugin_version = 1;

static uint64_t total, inside;
static const char *text;

static void block_translated(id plugin, struct qemu_plugin_tb *block)
{
    const int add_u64 = 0; /* QEMU_PLUGIN_INLINE_ADD_U64 */
    size_t n = qemu_plugin_tb_n_insns(block);
    /* A block does not cross functions, except where one falls into the next. */
    const char *symbol = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(block, 0));
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_inline(block, add_u64, &total, n);
    if (text && symbol && strstr(symbol, text))
        qemu_plugin_register_vcpu_tb_exec_inline(block, add_u64, &inside, n);
}

static void program_ended(id plugin, void *data)
{
    char line[80];
    (void)plugin, (void)data;
    snprintf(line, sizeof line, "instructions %" PRIu64 "\ninside %" PRIu64 "\n", total, inside);
    qemu_plugin_outs(line);
}

int qemu_plugin_install(id plugin, const void *info, int argc, char **argv)
{
    static char copy[256];
    (void)info;
    if (argc > 0 && !strncmp(argv[0], "in=", 3)) {
        snprintf(copy, sizeof copy, "%s", argv[0] + 3);
        text = copy;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, block_translated);
    qemu_plugin_register_atexit_cb(plugin, program_ended, NULL);
    return 0;
}
