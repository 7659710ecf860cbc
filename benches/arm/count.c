/* A plugin for qemu-user that prints how many guest instructions a program executed. It needs plugin API 1, for example
   Debian 12's qemu 7.2; the declarations below stand in for qemu-plugin.h.

   gcc -O2 -shared -fPIC count.c -o count.so
   qemu-aarch64 -d plugin -plugin ./count.so PROGRAM

   Each translated block adds its length to a counter. The addition is not atomic: counts are exact for programs with
   one thread. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef uint64_t id;
struct qemu_plugin_tb;
extern void qemu_plugin_outs(const char *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(id, void (*)(id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_atexit_cb(id, void (*)(id, void *), void *);
int qemu_plugin_version = 1;

static uint64_t total;

static void block_translated(id plugin, struct qemu_plugin_tb *block)
{
    const int add_u64 = 0; /* QEMU_PLUGIN_INLINE_ADD_U64 */
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_inline(block, add_u64, &total, qemu_plugin_tb_n_insns(block));
}

static void program_ended(id plugin, void *data)
{
    char text[64];
    (void)plugin, (void)data;
    snprintf(text, sizeof text, "instructions %" PRIu64 "\n", total);
    qemu_plugin_outs(text);
}

int qemu_plugin_install(id plugin, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, block_translated);
    qemu_plugin_register_atexit_cb(plugin, program_ended, NULL);
    return 0;
}
