/* SPDX-License-Identifier: MIT */
/* Owns what people want to know of a machine beside its plan: its name, its memory, CPUs that are
 * switched off, the OpenMP runtimes that are installed. What cannot be found out stays empty. */
#include "tools/info/info.h"

#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    NODE_MAX = 4096
};

/* The first line of ROOT/path that begins with `start`, without it and without blanks around. */
static bool read_line(const char *root, const char *path, const char *start, char *out, size_t size)
{
    char name[PATH_MAX], line[4096];
    snprintf(name, sizeof name, "%s%s", root, path);
    FILE *file = fopen(name, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, start, strlen(start)) == 0) {
            const char *text = line + strlen(start);
            text += strspn(text, " \t:");
            snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
            found = true;
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

static void read_memory(struct info_host *host, const char *root)
{
    char list[1024];
    if (!read_line(root, "/sys/devices/system/node/online", "", list, sizeof list) &&
        !read_line(root, "/sys/devices/system/node/possible", "", list, sizeof list)) {
        return;
    }
    lp_cpuset *nodes = lp_cpuset_parse(list);
    if (!nodes) {
        return;
    }
    int count = lp_cpuset_count(nodes);
    host->nodes =
        count > 0 && count <= NODE_MAX ? calloc((size_t)count, sizeof *host->nodes) : NULL;
    for (int os = lp_cpuset_first(nodes); host->nodes && os >= 0; os = lp_cpuset_next(nodes, os)) {
        char path[96], start[48], text[64];
        unsigned long long kib;
        snprintf(path, sizeof path, "/sys/devices/system/node/node%d/meminfo", os);
        snprintf(start, sizeof start, "Node %d MemTotal:", os);
        if (read_line(root, path, start, text, sizeof text) && sscanf(text, "%llu", &kib) == 1) {
            host->nodes[host->node_count++] =
                (struct info_node){.os = (unsigned)os, .memory_bytes = (uint64_t)kib * 1024};
        }
    }
    lp_cpuset_free(nodes);
}

/* Present but not online. What the kernel calls offline may be CPUs that could be plugged in, so
 * that file counts only in recorded trees that lack the others. */
static void read_offline(struct info_host *host, const char *root)
{
    static const char *const files[] = {"present", "online", "offline"};
    lp_cpuset *sets[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        char path[64], list[4096];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/%s", files[i]);
        if (read_line(root, path, "", list, sizeof list) && *list) {
            sets[i] = lp_cpuset_parse(list);
        }
    }
    lp_cpuset *offline = sets[0] && sets[1] ? sets[0] : sets[2];
    if (offline == sets[0] && offline) {
        lp_cpuset_remove(offline, sets[1]);
    }
    if (offline && lp_cpuset_first(offline) >= 0) {
        host->offline = lp_cpuset_copy(offline);
    }
    for (int i = 0; i < 3; i++) {
        lp_cpuset_free(sets[i]);
    }
}

/* Asks the dynamic linker, in a process of its own: an OpenMP runtime once loaded stays. */
static void ask_linker(int out)
{
    static const char *const names[] = {"libomp.so", "libomp.so.5", "libgomp.so.1", "libiomp5.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct link_map *map = NULL;
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        char path[PATH_MAX];
        if (library && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map &&
            realpath(map->l_name, path)) {
            dprintf(out, "%s\n", path);
        }
    }
}

static void note_runtime(struct info_host *host, const char *path)
{
    for (unsigned i = 0; i < host->openmp_count; i++) {
        if (strcmp(host->openmp[i], path) == 0) {
            return;
        }
    }
    if (host->openmp_count < sizeof host->openmp / sizeof *host->openmp) {
        snprintf(host->openmp[host->openmp_count++], sizeof *host->openmp, "%.255s", path);
    }
}

static void read_openmp(struct info_host *host)
{
    int ends[2];
    if (pipe(ends)) {
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        ask_linker(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    FILE *answers = fdopen(ends[0], "r");
    char line[PATH_MAX];
    while (answers && fgets(line, sizeof line, answers)) {
        line[strcspn(line, "\n")] = '\0';
        note_runtime(host, line);
    }
    if (answers) {
        fclose(answers);
    } else {
        close(ends[0]);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}

int info_host_read(struct info_host *host, const char *name, const char *root, bool here)
{
    *host = (struct info_host){0};
    snprintf(host->name, sizeof host->name, "%s", name);
    if (root) {
        if (here) {
            gethostname(host->name, sizeof host->name - 1);
        }
        read_line(root, "/proc/cpuinfo", "model name", host->cpu_model, sizeof host->cpu_model);
        read_memory(host, root);
        read_offline(host, root);
    }
    if (here) {
        read_openmp(host);
        lp_memory_policy(host->memory_policy, sizeof host->memory_policy);
    }
    return 0;
}

void info_host_fini(struct info_host *host)
{
    lp_cpuset_free(host->offline);
    free(host->nodes);
    *host = (struct info_host){0};
}

uint64_t info_host_memory(const struct info_host *host, unsigned node_os)
{
    for (unsigned i = 0; i < host->node_count; i++) {
        if (host->nodes[i].os == node_os) {
            return host->nodes[i].memory_bytes;
        }
    }
    return 0;
}
