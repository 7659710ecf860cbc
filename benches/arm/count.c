/* A plugin for qemu-user (plugin API 1, such as Debian 12's 7.2) that prints how many guest instructions ran.
   gcc -O2 -shared -fPIC count.c -o count.so; qemu-aarch64 -d plugin -plugin ./count.so PROGRAM
   The counter is added to inline, so it is exact for one thread only. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

typedef uint64_t id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_outs(const char *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern void qemu_plugin_register_vcpu_tb_trans_cb(id, void (*)(id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_atexit_cb(id, void (*)(id, void *), void *);
int qemu_plugin_version = 1;

static uint64_t total;

static void translated(id plugin, struct qemu_plugin_tb *block)
{
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &total, qemu_plugin_tb_n_insns(block));
}

static void ended(id plugin, void *data)
{
    char line[64];
    (void)plugin, (void)data;
    snprintf(line, sizeof line, "instructions %" PRIu64 "\n", total);
    qemu_plugin_outs(line);
}

int qemu_plugin_install(id plugin, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_atexit_cb(plugin, ended, NULL);
    return 0;
}
