/* SPDX-License-Identifier: MIT */
/* Plans for machines that are not this one, each against an expectation that was worked out by hand
 * from doc/guide/placement.md, and rules that hold for every machine. One thread.
 *
 * A file data/plans/NAME.plan is one case and the test "plan NAME". A line is a word and what
 * belongs to it; from a # at the start or after a blank on, it is a comment. A later line overrides
 * an earlier one of the same sort.
 *
 *     machine synthetic pack:2 l3:4 core:8     a hwloc description; siblings numbered late, on a
 *                                              machine of 8 cores: pu:2(indexes=2*8:1*2)
 *     machine table                            a machine by hand, its cores follow in topological
 *     core 0,4 cache 0 node 0 package 0        order: CPUs, and groups, by any number; those of the
 *                                              nodes are the kernel's. At the end perhaps
 *                                              `performance` or `efficiency`
 *     offline 3,7                              not there, though the machine has them
 *     kinds performance=0-7 efficiency=8-15
 *     allowed 0-7                              the mask of the process
 *     cpuset 0-7                               what its control group leaves it
 *     quota 7.5
 *     cgroup NAME                              both, as data/cgroups/NAME says
 *     device gpu nvidia 0000:3b:00.0 local=0-7 uuid=GPU-1 name=card1     also network, storage;
 *                                              in PCI order; without local: unknown
 *     env CUDA_VISIBLE_DEVICES=1
 *     rank 1/4
 *     set io.threads=2                         a setting; pools as pools.hdd.threads=1
 *     expect ...
 *
 * Places are written 0|1|8-9: a CPU list each, in order. 1..7 are seven places, 2..14+2 too, 4-7x4
 * is four times the same place, - is none. What can be expected:
 *
 *     io PLACES, compute PLACES, pool NAME PLACES
 *     usable LIST, cpus LIST, io_cpus LIST
 *     budget N
 *     pools NAME,NAME           names and order, without compute; - is none
 *     blocking NAME N           a pool of at most N threads that has no places of its own
 *     crowded NAME,NAME         these pools are; without this line: none
 *     shares NAME,NAME          these pools do
 *     shared OWNER 0,3          of `io` or a pool, the places with other work there
 *     nodes OWNER 0|0|1         the NUMA node of each place, - if it has no single one
 *     gpu NAME TEXT             the devices of a pool
 *     reason KEY TEXT           the reason has the text; a number stands alone in it
 *     no-reason KEY
 *     warning KEY|KEY           there is one with one of these keys; any: with any
 *     no-warning [KEY]
 *     error TEXT                there is no plan, and the sentence has the text */
#define SUITE "plans"
#include "harness.h"

#include "base/error.h"
#include "placement/cgroup.h"
#include "placement/plan.h"
#include "placement/topology.h"

#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    TEXTS = 512,
    POOLS = 16,
    DEVICES = 32,
    VARIABLES = 16,
    EXPECTATIONS = 64,
    LINE = 1024,
    CASES = 256
};

/* ---- a case ---------------------------------------------------------------------------------- */

/* Where the limits of a case are said to come from. */
static const char cpuset_file[] = "/sys/fs/cgroup/job/cpuset.cpus.effective";
static const char quota_file[] = "/sys/fs/cgroup/job/cpu.max";

struct expectation {
    unsigned line;
    const char *what; /* its first word */
    const char *rest;
};

struct scenario {
    const char *file; /* outlives the scenario */
    unsigned line;
    char problem[LINE]; /* the first thing that was wrong with the text, "" */
    struct lp_machine machine;
    struct lp_cgroup cgroup;
    struct lp_devices devices;
    struct lp_device entries[DEVICES];
    struct lp_rank rank;
    struct lp_plan_settings settings;
    struct lp_pool_settings pools[POOLS];
    const char *variables[VARIABLES + 1];
    unsigned variable_count;
    lp_cpuset *allowed; /* NULL: all */
    lp_cpuset *offline;
    lp_cpuset *performance;
    lp_cpuset *efficiency;
    bool has_machine;
    unsigned expectation_count;
    struct expectation expectations[EXPECTATIONS];
    char *texts[TEXTS];
    unsigned text_count;
};

__attribute__((format(printf, 2, 3))) static void wrong(struct scenario *s, const char *format, ...)
{
    if (s->problem[0]) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->problem, sizeof s->problem, format, arguments);
    va_end(arguments);
}

static const char *keep(struct scenario *s, const char *text)
{
    if (s->text_count == TEXTS) {
        wrong(s, "too many texts");
        return "";
    }
    return s->texts[s->text_count++] = strdup(text);
}

static unsigned number(struct scenario *s, const char *text)
{
    char *end;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text || end == text || *end) {
        wrong(s, "\"%.80s\" is no number", text ? text : "");
    }
    return (unsigned)value;
}

/* A set in place of the old one. */
static void list(struct scenario *s, lp_cpuset **set, const char *text)
{
    lp_cpuset_free(*set);
    *set = lp_cpuset_parse(text);
    if (!*set) {
        wrong(s, "%.200s", loomp_error());
    }
}

/* ---- the machine of a case ------------------------------------------------------------------- */

static void add_cpu(struct lp_machine *machine, const struct lp_cpu *cpu)
{
    machine->cpus = realloc(machine->cpus, (machine->cpu_count + 1) * sizeof *machine->cpus);
    machine->cpus[machine->cpu_count++] = *cpu;
}

/* Counts the groups anew from 0 in the order of the CPUs, after some have gone or with labels of
 * any sort; fills in what the machine says in all. */
static void count_groups(struct lp_machine *machine)
{
    struct lp_cpu last = {0};
    struct lp_cpu counted = {0};
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        struct lp_cpu *cpu = &machine->cpus[i];
        struct lp_cpu labels = *cpu;
        counted.smt = i && labels.core == last.core ? counted.smt + 1 : 0;
        counted.core += i && labels.core != last.core;
        counted.cache += i && labels.cache != last.cache;
        counted.node += i && labels.node != last.node;
        counted.package += i && labels.package != last.package;
        cpu->smt = counted.smt;
        cpu->core = counted.core;
        cpu->cache = counted.cache;
        cpu->node = counted.node;
        cpu->package = counted.package;
        last = labels;
    }
    machine->core_count = counted.core + 1;
    machine->cache_count = counted.cache + 1;
    machine->node_count = counted.node + 1;
    machine->package_count = counted.package + 1;
}

static void synthetic_machine(struct scenario *s, const char *description)
{
    struct lp_topology_source source = {.synthetic = description};
    struct lp_topology topology;
    if (lp_topology_load(&topology, &source)) {
        wrong(s, "%.200s", loomp_error());
        return;
    }
    for (unsigned i = 0; i < topology.machine.cpu_count; i++) {
        add_cpu(&s->machine, &topology.machine.cpus[i]);
    }
    s->machine.core_count = topology.machine.core_count;
    s->machine.cache_count = topology.machine.cache_count;
    s->machine.node_count = topology.machine.node_count;
    s->machine.package_count = topology.machine.package_count;
    s->has_machine = true;
    lp_topology_fini(&topology);
}

static void read_machine(struct scenario *s, const char *rest)
{
    free(s->machine.cpus);
    s->machine = (struct lp_machine){0};
    s->has_machine = false;
    if (strncmp(rest, "synthetic ", 10) == 0) {
        synthetic_machine(s, rest + 10);
    } else if (strcmp(rest, "table") != 0) {
        wrong(s, "a machine is `synthetic DESCRIPTION` or `table`");
    }
}

static void read_core(struct scenario *s, char *rest)
{
    char *words = NULL;
    char *cpus = strtok_r(rest, " ", &words);
    struct lp_cpu cpu = {.core = s->machine.cpu_count, .kind = LP_KIND_ONLY};
    unsigned seen = 0;
    for (char *word; (word = strtok_r(NULL, " ", &words));) {
        if (strcmp(word, "performance") == 0) {
            cpu.kind = LP_KIND_PERFORMANCE;
        } else if (strcmp(word, "efficiency") == 0) {
            cpu.kind = LP_KIND_EFFICIENCY;
        } else if (strcmp(word, "cache") == 0) {
            cpu.cache = number(s, strtok_r(NULL, " ", &words));
            seen |= 1;
        } else if (strcmp(word, "node") == 0) {
            cpu.node = number(s, strtok_r(NULL, " ", &words));
            cpu.node_os = cpu.node;
            seen |= 2;
        } else if (strcmp(word, "package") == 0) {
            cpu.package = number(s, strtok_r(NULL, " ", &words));
            seen |= 4;
        } else {
            wrong(s, "a core has no \"%s\"", word);
        }
    }
    lp_cpuset *set = NULL;
    list(s, &set, cpus ? cpus : "");
    if (!set || seen != 7) {
        wrong(s, "a core is `core CPUS cache N node N package N`");
    }
    for (int os = set ? lp_cpuset_first(set) : -1; os >= 0; os = lp_cpuset_next(set, os)) {
        cpu.os = (unsigned)os;
        add_cpu(&s->machine, &cpu);
        s->has_machine = true;
    }
    lp_cpuset_free(set);
}

static void read_kinds(struct scenario *s, char *rest)
{
    char *words = NULL;
    for (char *word = strtok_r(rest, " ", &words); word; word = strtok_r(NULL, " ", &words)) {
        if (strncmp(word, "performance=", 12) == 0) {
            list(s, &s->performance, word + 12);
        } else if (strncmp(word, "efficiency=", 11) == 0) {
            list(s, &s->efficiency, word + 11);
        } else {
            wrong(s, "\"%s\" is no kind of core", word);
        }
    }
}

/* Puts together what the lines said of the machine in any order. */
static void finish_machine(struct scenario *s)
{
    struct lp_machine *machine = &s->machine;
    unsigned kept = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        struct lp_cpu *cpu = &machine->cpus[i];
        if (s->offline && lp_cpuset_has(s->offline, cpu->os)) {
            continue;
        }
        if (s->performance && lp_cpuset_has(s->performance, cpu->os)) {
            cpu->kind = LP_KIND_PERFORMANCE;
        }
        if (s->efficiency && lp_cpuset_has(s->efficiency, cpu->os)) {
            cpu->kind = LP_KIND_EFFICIENCY;
        }
        machine->cpus[kept++] = *cpu;
    }
    machine->cpu_count = kept;
    if (!s->has_machine || kept == 0) {
        wrong(s, "there is no machine");
        return;
    }
    count_groups(machine);
    machine->allowed = lp_cpuset_new();
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        lp_cpuset_add(machine->allowed, machine->cpus[i].os);
    }
    if (s->allowed) {
        lp_cpuset_and(machine->allowed, s->allowed);
    }
    if (s->cgroup.cpus) {
        lp_cpuset_and(machine->allowed, s->cgroup.cpus);
    }
}

/* ---- what else a case says ------------------------------------------------------------------- */

static void read_device(struct scenario *s, char *rest)
{
    char *words = NULL;
    const char *kind = strtok_r(rest, " ", &words);
    const char *vendor = strtok_r(NULL, " ", &words);
    const char *pci = strtok_r(NULL, " ", &words);
    if (!pci || s->devices.count == DEVICES) {
        wrong(s, "a device is `device KIND VENDOR PCI ...`, and at most %d", DEVICES);
        return;
    }
    struct lp_device *device = &s->entries[s->devices.count];
    *device = (struct lp_device){.visible = true};
    snprintf(device->vendor, sizeof device->vendor, "%s", vendor);
    snprintf(device->pci, sizeof device->pci, "%s", pci);
    if (strcmp(kind, "gpu") == 0) {
        device->kind = LP_DEVICE_GPU;
    } else if (strcmp(kind, "network") == 0) {
        device->kind = LP_DEVICE_NETWORK;
    } else if (strcmp(kind, "storage") == 0) {
        device->kind = LP_DEVICE_STORAGE;
    } else {
        wrong(s, "\"%s\" is no kind of device", kind);
    }
    for (unsigned i = 0; i < s->devices.count; i++) {
        device->index += s->entries[i].kind == device->kind;
        device->vendor_index +=
            s->entries[i].kind == device->kind && strcmp(s->entries[i].vendor, device->vendor) == 0;
    }
    for (char *word; (word = strtok_r(NULL, " ", &words));) {
        if (strncmp(word, "local=", 6) == 0) {
            list(s, &device->local, word + 6);
            device->local_known = true;
        } else if (strncmp(word, "uuid=", 5) == 0) {
            snprintf(device->uuid, sizeof device->uuid, "%s", word + 5);
        } else if (strncmp(word, "name=", 5) == 0) {
            snprintf(device->name, sizeof device->name, "%s", word + 5);
        } else {
            wrong(s, "a device has no \"%s\"", word);
        }
    }
    s->devices.count++;
    s->devices.entries = s->entries;
}

static void read_rank(struct scenario *s, const char *rest)
{
    int end = 0;
    struct lp_rank rank = {.local_from = "OMPI_COMM_WORLD_LOCAL_RANK",
                           .size_from = "OMPI_COMM_WORLD_LOCAL_SIZE"};
    if (sscanf(rest, "%d/%d%n", &rank.local, &rank.local_size, &end) != 2 || rest[end]) {
        wrong(s, "a rank is `rank 1/4`");
    }
    s->rank = rank;
}

static void read_cgroup(struct scenario *s, const char *name)
{
    char path[LINE];
    snprintf(path, sizeof path, "%s/cgroups/%s", LOOMP_TEST_DATA, name);
    lp_cgroup_fini(&s->cgroup);
    if (lp_cgroup_read(&s->cgroup, path, 0)) {
        wrong(s, "%.200s", loomp_error());
    }
}

/* The settings that the planner reads, by the names that a user writes. */
static const struct setting {
    const char *key;
    enum {
        TEXT,
        COUNT,
        FLAG,
        CHOICE
    } type;
    size_t offset;
    const char *choices; /* in the order of the enum, a blank after each */
} plan_keys[] = {
    {"pin", FLAG, offsetof(struct lp_plan_settings, pin), NULL},
    {"cpus", TEXT, offsetof(struct lp_plan_settings, cpus), NULL},
    {"reserve", COUNT, offsetof(struct lp_plan_settings, reserve), NULL},
    {"rounding", CHOICE, offsetof(struct lp_plan_settings, rounding), "down nearest up "},
    {"places", TEXT, offsetof(struct lp_plan_settings, places), NULL},
    {"smt", CHOICE, offsetof(struct lp_plan_settings, smt), "avoid use spill "},
    {"cores", CHOICE, offsetof(struct lp_plan_settings, cores), "performance efficiency all "},
    {"spread", CHOICE, offsetof(struct lp_plan_settings, spread), "compact scatter "},
    {"cache_groups", COUNT, offsetof(struct lp_plan_settings, cache_groups), NULL},
    {"gpu", TEXT, offsetof(struct lp_plan_settings, gpu), NULL},
    {"gpu_pools", CHOICE, offsetof(struct lp_plan_settings, gpu_pools), "union each "},
    {"io.threads", COUNT, offsetof(struct lp_plan_settings, io_threads), NULL},
    {"io.cpus", TEXT, offsetof(struct lp_plan_settings, io_cpus), NULL},
    {"io.near", TEXT, offsetof(struct lp_plan_settings, io_near), NULL},
    {"compute.threads", COUNT, offsetof(struct lp_plan_settings, compute_threads), NULL},
};

static const struct setting pool_keys[] = {
    {"threads", COUNT, offsetof(struct lp_pool_settings, threads), NULL},
    {"cpus", TEXT, offsetof(struct lp_pool_settings, cpus), NULL},
    {"gpu", TEXT, offsetof(struct lp_pool_settings, gpu), NULL},
    {"share", FLAG, offsetof(struct lp_pool_settings, share), NULL},
    {"blocking", FLAG, offsetof(struct lp_pool_settings, blocking), NULL},
};

_Static_assert(sizeof(enum lp_smt) == sizeof(unsigned), "choices are stored as unsigned numbers");

static void store(struct scenario *s, const struct setting *keys, size_t count, void *base,
                  const char *key, const char *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].key, key) != 0) {
            continue;
        }
        char *field = (char *)base + keys[i].offset;
        if (keys[i].type == TEXT) {
            const char *text = keep(s, value);
            memcpy(field, &text, sizeof text);
        } else if (keys[i].type == FLAG) {
            bool flag = strcmp(value, "true") == 0;
            if (!flag && strcmp(value, "false") != 0) {
                wrong(s, "%s is true or false", key);
            }
            memcpy(field, &flag, sizeof flag);
        } else if (keys[i].type == COUNT) {
            unsigned n = number(s, value);
            memcpy(field, &n, sizeof n);
        } else {
            unsigned n = 0;
            size_t length = strlen(value);
            const char *word = keys[i].choices;
            while (*word && (strncmp(word, value, length) != 0 || word[length] != ' ')) {
                word = strchr(word, ' ') + 1;
                n++;
            }
            if (!*word) {
                wrong(s, "%s is one of %s", key, keys[i].choices);
            }
            memcpy(field, &n, sizeof n);
        }
        return;
    }
    wrong(s, "there is no setting \"%s\"", key);
}

static void read_setting(struct scenario *s, char *rest)
{
    char *equals = strchr(rest, '=');
    if (!equals) {
        wrong(s, "a setting is `set KEY=VALUE`");
        return;
    }
    *equals = '\0';
    const char *value = equals + 1;
    if (strncmp(rest, "pools.", 6) != 0) {
        store(s, plan_keys, sizeof plan_keys / sizeof plan_keys[0], &s->settings, rest, value);
        return;
    }
    char *name = rest + 6;
    char *key = strchr(name, '.');
    if (!key) {
        wrong(s, "a pool's setting is pools.NAME.KEY");
        return;
    }
    *key++ = '\0';
    unsigned i = 0;
    while (i < s->settings.pool_count && strcmp(s->pools[i].name, name) != 0) {
        i++;
    }
    if (i == POOLS) {
        wrong(s, "too many pools");
        return;
    }
    if (i == s->settings.pool_count) {
        s->pools[i] = (struct lp_pool_settings){.cpus = "", .gpu = ""};
        snprintf(s->pools[i].name, sizeof s->pools[i].name, "%s", name);
        s->settings.pool_count++;
    }
    store(s, pool_keys, sizeof pool_keys / sizeof pool_keys[0], &s->pools[i], key, value);
}

static void read_expectation(struct scenario *s, const char *rest)
{
    if (s->expectation_count == EXPECTATIONS) {
        wrong(s, "too many expectations");
        return;
    }
    size_t length = strcspn(rest, " ");
    char *what = (char *)keep(s, rest);
    struct expectation *expectation = &s->expectations[s->expectation_count++];
    *expectation = (struct expectation){
        .line = s->line, .what = what, .rest = rest[length] ? what + length + 1 : ""};
    if (rest[length]) {
        what[length] = '\0';
    }
}

static void read_line(struct scenario *s, const char *text)
{
    char line[LINE];
    if (snprintf(line, sizeof line, "%s", text) >= (int)sizeof line) {
        wrong(s, "the line is too long");
        return;
    }
    for (char *c = line; *c; c++) {
        if (*c == '\t' || *c == '\n') {
            *c = ' ';
        }
        if (*c == '#' && (c == line || c[-1] == ' ')) {
            *c = '\0';
            break;
        }
    }
    for (size_t length = strlen(line); length && line[length - 1] == ' '; length--) {
        line[length - 1] = '\0';
    }
    char *word = line + strspn(line, " ");
    if (!*word) {
        return;
    }
    char *rest = word + strcspn(word, " ");
    if (*rest) {
        *rest++ = '\0';
        rest += strspn(rest, " ");
    }
    if (strcmp(word, "machine") == 0) {
        read_machine(s, rest);
    } else if (strcmp(word, "core") == 0) {
        read_core(s, rest);
    } else if (strcmp(word, "kinds") == 0) {
        read_kinds(s, rest);
    } else if (strcmp(word, "offline") == 0) {
        list(s, &s->offline, rest);
    } else if (strcmp(word, "allowed") == 0) {
        list(s, &s->allowed, rest);
    } else if (strcmp(word, "cpuset") == 0) {
        list(s, &s->cgroup.cpus, rest);
        snprintf(s->cgroup.cpus_from, sizeof s->cgroup.cpus_from, "%s", cpuset_file);
    } else if (strcmp(word, "quota") == 0) {
        s->cgroup.quota = strtod(rest, &rest);
        snprintf(s->cgroup.quota_from, sizeof s->cgroup.quota_from, "%s", quota_file);
        if (*rest) {
            wrong(s, "\"%s\" is left behind the quota", rest);
        }
    } else if (strcmp(word, "cgroup") == 0) {
        read_cgroup(s, rest);
    } else if (strcmp(word, "device") == 0) {
        read_device(s, rest);
    } else if (strcmp(word, "env") == 0 && s->variable_count < VARIABLES) {
        s->variables[s->variable_count++] = keep(s, rest);
    } else if (strcmp(word, "rank") == 0) {
        read_rank(s, rest);
    } else if (strcmp(word, "set") == 0) {
        read_setting(s, rest);
    } else if (strcmp(word, "expect") == 0) {
        read_expectation(s, rest);
    } else {
        wrong(s, "\"%s\" is no word of a case", word);
    }
}

static const struct lp_plan_settings defaults = {.pin = true,
                                                 .cpus = "",
                                                 .places = "cores",
                                                 .gpu = "",
                                                 .io_threads = 1,
                                                 .io_cpus = "",
                                                 .io_near = ""};

static struct scenario *scenario_new(const char *file)
{
    struct scenario *s = calloc(1, sizeof *s);
    s->file = file;
    s->settings = defaults;
    s->settings.pools = s->pools;
    s->rank.local_size = 1;
    return s;
}

/* After the last line. */
static void scenario_finish(struct scenario *s)
{
    if (!s->problem[0]) {
        finish_machine(s);
    }
    if (s->devices.count) {
        struct lp_environment environment = lp_environment_of(s->variables);
        lp_devices_hide(&s->devices, &environment);
    }
}

static void scenario_free(struct scenario *s)
{
    free(s->machine.cpus);
    lp_cpuset_free(s->machine.allowed);
    lp_cpuset_free(s->cgroup.cpus);
    lp_cpuset_free(s->allowed);
    lp_cpuset_free(s->offline);
    lp_cpuset_free(s->performance);
    lp_cpuset_free(s->efficiency);
    for (unsigned i = 0; i < s->devices.count; i++) {
        lp_cpuset_free(s->entries[i].local);
    }
    for (unsigned i = 0; i < s->text_count; i++) {
        free(s->texts[i]);
    }
    free(s);
}

static struct lp_plan_input input_of(const struct scenario *s)
{
    return (struct lp_plan_input){.machine = &s->machine,
                                  .cgroup = &s->cgroup,
                                  .devices = &s->devices,
                                  .rank = &s->rank,
                                  .settings = &s->settings};
}

/* From lines that end with a newline each, as the code of a test writes them. */
static struct scenario *scenario_of(const char *text)
{
    struct scenario *s = scenario_new("(in the test)");
    while (*text) {
        char line[LINE];
        size_t length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        s->line++;
        read_line(s, line);
        text += length + (text[length] == '\n');
    }
    return s;
}

/* ---- plans as text --------------------------------------------------------------------------- */

static void write_set(FILE *out, const lp_cpuset *set)
{
    int length = lp_cpuset_format(set, NULL, 0);
    char *text = malloc((size_t)length + 1);
    lp_cpuset_format(set, text, (size_t)length + 1);
    fputs(text, out);
    free(text);
}

static char *text_of_set(const lp_cpuset *set)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write_set(out, set);
    fclose(out);
    return text;
}

static char *text_of_places(const struct lp_place *places, unsigned count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (unsigned i = 0; i < count; i++) {
        fputs(i ? "|" : "", out);
        write_set(out, places[i].cpus);
    }
    fputs(count ? "" : "-", out);
    fclose(out);
    return text;
}

/* The short forms of an expectation in full. */
static char *spelled_out(const char *short_text)
{
    char *copy = strdup(short_text);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    char *rest = NULL;
    const char *bar = "";
    for (char *word = strtok_r(copy, "|", &rest); word; word = strtok_r(NULL, "|", &rest)) {
        unsigned from;
        unsigned to;
        unsigned step = 1;
        char *times = strchr(word, 'x');
        if (sscanf(word, "%u..%u+%u", &from, &to, &step) >= 2) {
            for (; from <= to && step; from += step) {
                fprintf(out, "%s%u", bar, from);
                bar = "|";
            }
            continue;
        }
        unsigned repeats = 1;
        if (times) {
            *times = '\0';
            repeats = (unsigned)strtoul(times + 1, NULL, 10);
        }
        for (; repeats; repeats--) {
            fprintf(out, "%s%s", bar, word);
            bar = "|";
        }
    }
    fclose(out);
    free(copy);
    return text;
}

static void write_places(FILE *out, const struct lp_place *places, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fputc(' ', out);
        write_set(out, places[i].cpus);
        fprintf(out, "%s@%d", places[i].shared ? "*" : "", places[i].node);
    }
    fputc('\n', out);
}

/* Everything that a plan says. */
static char *text_of_plan(const struct lp_plan *plan)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fprintf(out, "pin %d budget %u usable ", plan->pin, plan->budget);
    write_set(out, plan->usable);
    fputs(" cpus ", out);
    write_set(out, plan->cpus);
    fputs(" io_cpus ", out);
    write_set(out, plan->io_cpus);
    fputs("\nio", out);
    write_places(out, plan->io, plan->io_count);
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        fprintf(out, "%s%s%s%s %u \"%s\"", pool->name, pool->blocking ? " blocking" : "",
                pool->crowded ? " crowded" : "", pool->shares ? " shares" : "", pool->count,
                pool->gpu);
        write_places(out, pool->places, pool->blocking ? 1 : pool->count);
    }
    for (unsigned i = 0; i < plan->reasons.count; i++) {
        fprintf(out, "%s: %s\n", plan->reasons.entries[i].key, plan->reasons.entries[i].text);
    }
    for (unsigned i = 0; i < plan->warnings.count; i++) {
        fprintf(out, "warning %s: %s\n", plan->warnings.entries[i].key,
                plan->warnings.entries[i].text);
    }
    fclose(out);
    return text;
}

/* ---- the rules that every plan keeps --------------------------------------------------------- */

static bool inside(const lp_cpuset *small, const lp_cpuset *large)
{
    lp_cpuset *both = lp_cpuset_copy(small);
    lp_cpuset_and(both, large);
    bool answer = lp_cpuset_equal(both, small);
    lp_cpuset_free(both);
    return answer;
}

static bool is_list(const char *places)
{
    return strcmp(places, "cores") != 0 && strcmp(places, "threads") != 0 &&
           strcmp(places, "l3") != 0 && strcmp(places, "numa") != 0;
}

/* I/O threads and pools with places of their own. */
struct owner {
    const char *name;
    const struct lp_place *places;
    unsigned count;
    const struct lp_pool_plan *pool; /* NULL: I/O */
};

static unsigned owners_of(const struct lp_plan *plan, struct owner *owners)
{
    unsigned count = 0;
    owners[count++] = (struct owner){"io", plan->io, plan->io_count, NULL};
    for (unsigned i = 0; i < plan->pool_count && count < POOLS + DEVICES + 2; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        if (!pool->blocking) {
            owners[count++] = (struct owner){pool->name, pool->places, pool->count, pool};
        }
    }
    return count;
}

static const char *places_broken(const struct scenario *s, const struct lp_plan *plan)
{
    struct owner owners[POOLS + DEVICES + 2];
    unsigned count = owners_of(plan, owners);
    if (!inside(plan->usable, s->machine.allowed) || lp_cpuset_count(plan->usable) == 0) {
        return "usable is not inside allowed, or empty";
    }
    if (!inside(plan->cpus, plan->usable)) {
        return "the chosen CPUs are not inside usable";
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < owners[i].count; k++) {
            const lp_cpuset *set = owners[i].places[k].cpus;
            if (lp_cpuset_count(set) <= 0 || !inside(set, plan->usable)) {
                return "a place is empty or not inside usable";
            }
            if (!inside(set, plan->cpus)) {
                return "a place is not among the chosen CPUs";
            }
        }
    }
    return NULL;
}

/* A CPU with work of two owners is said to be shared by both. */
static const char *sharing_broken(const struct lp_plan *plan)
{
    struct owner owners[POOLS + DEVICES + 2];
    unsigned count = owners_of(plan, owners);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = i + 1; j < count; j++) {
            for (unsigned k = 0; k < owners[i].count; k++) {
                for (unsigned l = 0; l < owners[j].count; l++) {
                    const struct lp_place *a = &owners[i].places[k];
                    const struct lp_place *b = &owners[j].places[l];
                    if ((!a->shared || !b->shared) && lp_cpuset_intersects(a->cpus, b->cpus)) {
                        return "two have a CPU in common and do not say so";
                    }
                }
            }
        }
    }
    return NULL;
}

/* Within a pool: no more threads on a place than it has CPUs, unless the pool says that it is
 * crowded. */
static const char *crowding_broken(const struct scenario *s, const struct lp_plan *plan)
{
    for (unsigned p = 0; p < plan->pool_count && !is_list(s->settings.places); p++) {
        const struct lp_pool_plan *pool = &plan->pools[p];
        for (unsigned i = 0; i < pool->count && !pool->blocking && !pool->crowded; i++) {
            int same = 0;
            for (unsigned k = 0; k < pool->count; k++) {
                bool equal = lp_cpuset_equal(pool->places[i].cpus, pool->places[k].cpus);
                same += equal;
                if (!equal && lp_cpuset_intersects(pool->places[i].cpus, pool->places[k].cpus)) {
                    return "two places of a pool overlap";
                }
            }
            if (same > lp_cpuset_count(pool->places[i].cpus)) {
                return "a pool has more threads on a place than CPUs";
            }
        }
    }
    return NULL;
}

/* Whether the settings let that pool share, so that nobody loses a thread by it. */
static bool may_share(const struct scenario *s, const char *pool)
{
    for (unsigned i = 0; i < s->settings.pool_count; i++) {
        if (strcmp(s->pools[i].name, pool) == 0) {
            return s->pools[i].share;
        }
    }
    return true; /* of the planner's making: for a GPU */
}

static const char *budget_broken(const struct scenario *s, const struct lp_plan *plan)
{
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    if (plan->budget == 0 || compute->count == 0 || plan->io_count != s->settings.io_threads) {
        return "the budget, compute or the I/O threads have the wrong number";
    }
    if (s->settings.compute_threads || is_list(s->settings.places) || s->settings.io_cpus[0]) {
        return NULL;
    }
    unsigned total = compute->count;
    lp_cpuset *taken = lp_cpuset_new();
    for (unsigned i = 0; i < compute->count; i++) {
        lp_cpuset_or(taken, compute->places[i].cpus);
    }
    lp_cpuset *own = lp_cpuset_new();
    for (unsigned i = 0; i < plan->io_count; i++) {
        if (!lp_cpuset_intersects(plan->io[i].cpus, taken)) {
            lp_cpuset_or(own, plan->io[i].cpus);
        }
    }
    total += (unsigned)lp_cpuset_count(own);
    lp_cpuset_free(own);
    lp_cpuset_free(taken);
    unsigned without_pools = total;
    for (unsigned i = 1; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        bool counts = !pool->blocking && !pool->shares && !may_share(s, pool->name);
        total += counts ? pool->count : 0;
    }
    if (without_pools > plan->budget || (compute->count > 1 && total > plan->budget)) {
        return "more threads than the budget";
    }
    return NULL;
}

/* One thread per core, unless somebody shares. */
static const char *smt_broken(const struct scenario *s, const struct lp_plan *plan)
{
    if (s->settings.smt != LP_SMT_AVOID || strcmp(s->settings.places, "cores") != 0 ||
        s->settings.compute_threads || s->settings.io_cpus[0]) {
        return NULL;
    }
    int *seen = calloc(s->machine.core_count, sizeof *seen);
    const char *broken = NULL;
    for (unsigned i = 0; i < s->machine.cpu_count; i++) {
        const struct lp_cpu *cpu = &s->machine.cpus[i];
        if (lp_cpuset_has(plan->cpus, cpu->os) && seen[cpu->core]++) {
            broken = "two hardware threads of a core are used";
        }
    }
    free(seen);
    return broken;
}

/* What is wrong with the plan, or NULL. */
static const char *rules_broken(const struct scenario *s, const struct lp_plan *plan)
{
    const char *broken = places_broken(s, plan);
    if (!broken) {
        broken = budget_broken(s, plan);
    }
    if (!broken && s->settings.pin) {
        broken = sharing_broken(plan);
    }
    if (!broken && s->settings.pin) {
        broken = crowding_broken(s, plan);
    }
    if (!broken && s->settings.pin) {
        broken = smt_broken(s, plan);
    }
    return broken;
}

/* The plan as a text, to be freed; NULL if there is none. */
static char *planned_text(const struct scenario *s)
{
    struct lp_plan_input input = input_of(s);
    struct lp_plan plan;
    if (lp_plan_make(&plan, &input)) {
        return NULL;
    }
    char *text = text_of_plan(&plan);
    lp_plan_fini(&plan);
    return text;
}

/* Whether a second plan, and one with another device that nobody asks for, is the same. */
static const char *stability_broken(struct scenario *s, const struct lp_plan *plan)
{
    char *text = text_of_plan(plan);
    char *again = planned_text(s);
    const char *broken = again && strcmp(text, again) == 0 ? NULL : "a second plan is another";
    free(again);
    if (!broken && s->devices.count < DEVICES) {
        struct lp_device *device = &s->entries[s->devices.count++];
        *device = (struct lp_device){.kind = LP_DEVICE_STORAGE,
                                     .name = "unrelated0",
                                     .pci = "ffff:ff:1f.7",
                                     .index = DEVICES,
                                     .visible = true,
                                     .local_known = true,
                                     .local = lp_cpuset_copy(s->machine.allowed)};
        s->devices.entries = s->entries;
        again = planned_text(s);
        if (!again || strcmp(text, again) != 0) {
            broken = "a device that nobody asks for changes the plan";
        }
        free(again);
        lp_cpuset_free(device->local);
        s->devices.count--;
    }
    free(text);
    return broken;
}

/* ---- the cases ------------------------------------------------------------------------------- */

/* Whether the text has the piece, and where this begins or ends with a digit, not in the middle of
 * a number. */
static bool mentions(const char *text, const char *piece)
{
    size_t length = strlen(piece);
    if (!text || length == 0) {
        return text != NULL;
    }
    static const char digits[] = "0123456789";
    for (const char *at = text; (at = strstr(at, piece)); at++) {
        const char *end = at + length;
        bool starts = !strchr(digits, *piece) || at == text ||
                      (!strchr(digits, at[-1]) &&
                       !(at[-1] == '.' && at - 1 > text && strchr(digits, at[-2])));
        bool ends =
            !strchr(digits, piece[length - 1]) ||
            !(*end && (strchr(digits, *end) || (*end == '.' && end[1] && strchr(digits, end[1]))));
        if (starts && ends) {
            return true;
        }
    }
    return false;
}

__attribute__((format(printf, 3, 4))) static void say(const struct scenario *s, unsigned line,
                                                      const char *format, ...)
{
    char what[HARNESS_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    harness_note(false, s->file, line, what);
}

static void compare(const struct scenario *s, const struct expectation *expected,
                    const char *actual, const char *wanted)
{
    if (strcmp(actual, wanted) != 0) {
        say(s, expected->line, "%s %s:\n        is       %.300s\n        not      %.300s",
            expected->what, expected->rest, actual, wanted);
    }
}

static const struct lp_pool_plan *pool_named(const struct lp_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->pool_count; i++) {
        if (strcmp(plan->pools[i].name, name) == 0) {
            return &plan->pools[i];
        }
    }
    return NULL;
}

/* The names of the pools for which the test holds, "a,b" or "-". */
static char *names_of(const struct lp_plan *plan, bool (*test)(const struct lp_pool_plan *pool))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const char *comma = "";
    for (unsigned i = 0; i < plan->pool_count; i++) {
        if (test(&plan->pools[i])) {
            fprintf(out, "%s%s", comma, plan->pools[i].name);
            comma = ",";
        }
    }
    fputs(*comma ? "" : "-", out);
    fclose(out);
    return text;
}

static bool is_crowded(const struct lp_pool_plan *pool)
{
    return pool->crowded;
}

static bool is_sharing(const struct lp_pool_plan *pool)
{
    return pool->shares;
}

static bool is_not_compute(const struct lp_pool_plan *pool)
{
    return strcmp(pool->name, "compute") != 0;
}

static void compare_places(const struct scenario *s, const struct expectation *expected,
                           const struct lp_place *places, unsigned count, const char *wanted)
{
    char *actual = text_of_places(places, count);
    char *full = spelled_out(wanted);
    compare(s, expected, actual, full);
    free(actual);
    free(full);
}

/* "0,3" or "-": the places that say that they are shared; or the nodes. */
static void compare_marks(const struct scenario *s, const struct expectation *expected,
                          const struct owner *owner, const char *wanted)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool nodes = strcmp(expected->what, "nodes") == 0;
    const char *between = "";
    for (unsigned i = 0; i < owner->count; i++) {
        const struct lp_place *place = &owner->places[i];
        if (nodes && place->node < 0) {
            fprintf(out, "%s-", between);
            between = "|";
        } else if (nodes) {
            fprintf(out, "%s%d", between, place->node);
            between = "|";
        } else if (place->shared) {
            fprintf(out, "%s%u", between, i);
            between = ",";
        }
    }
    fputs(*between ? "" : "-", out);
    fclose(out);
    char *full = nodes ? spelled_out(wanted) : strdup(wanted);
    compare(s, expected, text, full);
    free(full);
    free(text);
}

static void compare_warning(const struct scenario *s, const struct expectation *expected,
                            const struct lp_plan *plan)
{
    bool wanted = strcmp(expected->what, "warning") == 0;
    bool any = strcmp(expected->rest, "any") == 0 || !expected->rest[0];
    const char *found = NULL;
    for (unsigned i = 0; i < plan->warnings.count; i++) {
        const char *key = plan->warnings.entries[i].key;
        size_t length = strlen(key);
        for (const char *at = expected->rest; (at = strstr(at, key)); at++) {
            bool starts = at == expected->rest || at[-1] == '|';
            if (starts && (at[length] == '|' || at[length] == '\0')) {
                found = plan->warnings.entries[i].text;
            }
        }
        if (any) {
            found = plan->warnings.entries[i].text;
        }
    }
    if (wanted != (found != NULL)) {
        const struct lp_reasons *warnings = &plan->warnings;
        say(s, expected->line, "%s %s: there is %.300s%s%.300s", expected->what, expected->rest,
            warnings->count ? warnings->entries[0].key : "none", warnings->count ? ": " : "",
            found             ? found
            : warnings->count ? warnings->entries[0].text
                              : "");
    }
}

static void compare_set(const struct scenario *s, const struct expectation *expected,
                        const lp_cpuset *set)
{
    char *actual = text_of_set(set);
    compare(s, expected, actual, expected->rest);
    free(actual);
}

/* One line that begins with a pool's name, or "io". */
static void compare_owner(const struct scenario *s, const struct expectation *expected,
                          const struct lp_plan *plan)
{
    char name[LINE];
    snprintf(name, sizeof name, "%s", expected->rest);
    char *rest = name + strcspn(name, " ");
    if (*rest) {
        *rest++ = '\0';
    }
    const struct lp_pool_plan *pool = pool_named(plan, name);
    struct owner owner = {name, plan->io, plan->io_count, NULL};
    if (pool) {
        owner = (struct owner){name, pool->places, pool->blocking ? 1 : pool->count, pool};
    } else if (strcmp(name, "io") != 0) {
        say(s, expected->line, "%s: there is no pool %.40s", expected->what, name);
        return;
    }
    if (strcmp(expected->what, "pool") == 0) {
        compare_places(s, expected, owner.places, owner.count, rest);
    } else if (strcmp(expected->what, "gpu") == 0) {
        compare(s, expected, pool ? pool->gpu : "", rest);
    } else if (strcmp(expected->what, "blocking") == 0) {
        char actual[32];
        snprintf(actual, sizeof actual, "%s%u", pool && pool->blocking ? "" : "not, ",
                 owner.pool ? owner.pool->count : 0);
        compare(s, expected, actual, rest);
    } else {
        compare_marks(s, expected, &owner, rest);
    }
}

static void compare_reason(const struct scenario *s, const struct expectation *expected,
                           const struct lp_plan *plan)
{
    char key[LINE];
    snprintf(key, sizeof key, "%s", expected->rest);
    char *piece = key + strcspn(key, " ");
    if (*piece) {
        *piece++ = '\0';
    }
    const char *text = lp_reasons_find(&plan->reasons, key);
    bool wanted = strcmp(expected->what, "reason") == 0;
    if (wanted ? !mentions(text, piece) : text != NULL) {
        say(s, expected->line, "%s %s: it is \"%.380s\"", expected->what, expected->rest,
            text ? text : "(none)");
    }
}

static void compare_names(const struct scenario *s, const struct expectation *expected,
                          const struct lp_plan *plan, bool (*test)(const struct lp_pool_plan *pool))
{
    char *actual = names_of(plan, test);
    compare(s, expected, actual, expected->rest);
    free(actual);
}

static void compare_one(struct scenario *s, const struct expectation *expected,
                        const struct lp_plan *plan)
{
    const char *what = expected->what;
    char actual[32];
    if (strcmp(what, "io") == 0) {
        compare_places(s, expected, plan->io, plan->io_count, expected->rest);
    } else if (strcmp(what, "compute") == 0) {
        const struct lp_pool_plan *compute = lp_plan_compute(plan);
        compare_places(s, expected, compute->places, compute->count, expected->rest);
    } else if (strcmp(what, "usable") == 0) {
        compare_set(s, expected, plan->usable);
    } else if (strcmp(what, "cpus") == 0) {
        compare_set(s, expected, plan->cpus);
    } else if (strcmp(what, "io_cpus") == 0) {
        compare_set(s, expected, plan->io_cpus);
    } else if (strcmp(what, "budget") == 0) {
        snprintf(actual, sizeof actual, "%u", plan->budget);
        compare(s, expected, actual, expected->rest);
    } else if (strcmp(what, "crowded") == 0) {
        compare_names(s, expected, plan, is_crowded);
    } else if (strcmp(what, "shares") == 0) {
        compare_names(s, expected, plan, is_sharing);
    } else if (strcmp(what, "pools") == 0) {
        compare_names(s, expected, plan, is_not_compute);
    } else if (strcmp(what, "pool") == 0 || strcmp(what, "gpu") == 0 ||
               strcmp(what, "blocking") == 0 || strcmp(what, "shared") == 0 ||
               strcmp(what, "nodes") == 0) {
        compare_owner(s, expected, plan);
    } else if (strcmp(what, "reason") == 0 || strcmp(what, "no-reason") == 0) {
        compare_reason(s, expected, plan);
    } else if (strcmp(what, "warning") == 0 || strcmp(what, "no-warning") == 0) {
        compare_warning(s, expected, plan);
    } else {
        say(s, expected->line, "\"%s\" is nothing that can be expected", what);
    }
}

static const struct expectation *expectation_of(const struct scenario *s, const char *what)
{
    for (unsigned i = 0; i < s->expectation_count; i++) {
        if (strcmp(s->expectations[i].what, what) == 0) {
            return &s->expectations[i];
        }
    }
    return NULL;
}

static void compare_all(struct scenario *s)
{
    const struct expectation *error = expectation_of(s, "error");
    struct lp_plan_input input = input_of(s);
    struct lp_plan plan;
    int err = lp_plan_make(&plan, &input);
    if (err) {
        if (!error) {
            say(s, s->line, "there is no plan: %.300s", loomp_error());
        } else if (!mentions(loomp_error(), error->rest)) {
            say(s, error->line, "error %s: it is \"%.300s\"", error->rest, loomp_error());
        }
        return;
    }
    if (error) {
        char *text = text_of_plan(&plan);
        say(s, error->line, "error %s: there is a plan:\n%.600s", error->rest, text);
        free(text);
    }
    for (unsigned i = 0; i < s->expectation_count && !error; i++) {
        compare_one(s, &s->expectations[i], &plan);
    }
    if (!expectation_of(s, "crowded")) {
        struct expectation none = {.line = s->line, .what = "crowded", .rest = "-"};
        compare_one(s, &none, &plan);
    }
    const char *broken = rules_broken(s, &plan);
    if (!broken) {
        broken = stability_broken(s, &plan);
    }
    if (broken) {
        char *text = text_of_plan(&plan);
        say(s, s->line, "%s:\n%.800s", broken, text);
        free(text);
    }
    lp_plan_fini(&plan);
}

static struct scenario *scenario_from_file(const char *file)
{
    struct scenario *s = scenario_new(file);
    FILE *in = fopen(file, "r");
    if (!in) {
        wrong(s, "it cannot be opened");
        return s;
    }
    char line[LINE];
    while (!s->problem[0] && fgets(line, sizeof line, in)) {
        s->line++;
        read_line(s, line);
    }
    fclose(in);
    if (!s->problem[0] && s->expectation_count == 0) {
        wrong(s, "nothing is expected");
    }
    scenario_finish(s);
    return s;
}

static struct {
    char name[64];
    char path[LINE];
} cases[CASES];
static unsigned case_count;

/* CUnit's test functions take no argument: the name of the current test tells which case it is. */
static void run_case(void)
{
    const char *name = CU_get_current_test()->pName;
    for (unsigned i = 0; i < case_count; i++) {
        if (strcmp(cases[i].name, name) == 0) {
            struct scenario *s = scenario_from_file(cases[i].path);
            if (s->problem[0]) {
                say(s, s->line, "%s", s->problem);
            } else {
                compare_all(s);
            }
            scenario_free(s);
        }
    }
    harness_replay();
}

static int is_case(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return end && strcmp(end, ".plan") == 0;
}

/* False with a line if there are none or too many. */
static bool register_cases(void)
{
    static const char folder[] = LOOMP_TEST_DATA "/plans";
    struct dirent **entries;
    int count = scandir(folder, &entries, is_case, alphasort);
    for (int i = 0; i < count; i++) {
        int length = (int)strlen(entries[i]->d_name) - (int)strlen(".plan");
        if (case_count < CASES) {
            snprintf(cases[case_count].name, sizeof cases[case_count].name, "plan %.*s",
                     length < 48 ? length : 48, entries[i]->d_name);
            snprintf(cases[case_count].path, sizeof cases[case_count].path, "%s/%.255s", folder,
                     entries[i]->d_name);
            harness_register(cases[case_count].name, run_case);
            case_count++;
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    if (count <= 0 || count > CASES) {
        fprintf(stderr, "%s: %d cases, not 1 to %d\n", folder, count, CASES);
        return false;
    }
    return true;
}

/* ---- the reader of cases --------------------------------------------------------------------- */

static void check_refused(const char *text, const char *sentence)
{
    struct scenario *s = scenario_of(text);
    scenario_finish(s);
    if (!strstr(s->problem, sentence)) {
        say(s, s->line, "\"%.100s\" is refused with \"%.200s\", not \"%s\"", text, s->problem,
            sentence);
    }
    scenario_free(s);
}

TEST(a_malformed_case_is_refused)
{
    check_refused("bogus 1\n", "\"bogus\" is no word of a case");
    check_refused("set io.threads=many\n", "\"many\" is no number");
    check_refused("set io.treads=1\n", "no setting \"io.treads\"");
    check_refused("set smt=sometimes\n", "smt is one of");
    check_refused("set pin=perhaps\n", "pin is true or false");
    check_refused("machine table\ncore 0 cache 0 node 0\n", "a core is");
    check_refused("machine wooden\n", "a machine is");
    check_refused("rank 1 of 4\n", "a rank is");
    check_refused("device gpu nvidia\n", "a device is");
    check_refused("set io.threads=1\n", "there is no machine");
}

TEST(a_table_becomes_a_machine)
{
    struct scenario *s = scenario_of("machine table\n"
                                     "core 0,4 cache 7 node 0 package 0\n"
                                     "core 1,5 cache 8 node 0 package 0\n"
                                     "core 8,12 cache 9 node 8 package 1\n"
                                     "core 9 cache 9 node 8 package 1\n"
                                     "offline 1,5,8\n"
                                     "allowed 0-9\n"
                                     "kinds efficiency=9-12\n");
    scenario_finish(s);
    CHECK_TEXT(s->problem, "");
    const struct lp_machine *machine = &s->machine;
    if (CHECK(machine->cpu_count == 4)) {
        CHECK(machine->core_count == 3 && machine->cache_count == 2);
        CHECK(machine->node_count == 2 && machine->package_count == 2);
        const struct lp_cpu *cpu = machine->cpus;
        CHECK(cpu[1].os == 4 && cpu[1].core == 0 && cpu[1].smt == 1 && cpu[1].cache == 0);
        CHECK(cpu[2].os == 12 && cpu[2].core == 1 && cpu[2].smt == 0 && cpu[2].cache == 1);
        CHECK(cpu[3].os == 9 && cpu[3].core == 2 && cpu[3].node == 1 && cpu[3].node_os == 8);
        CHECK(cpu[0].kind == LP_KIND_ONLY && cpu[3].kind == LP_KIND_EFFICIENCY);
        char *allowed = text_of_set(machine->allowed);
        CHECK_TEXT(allowed, "0,4,9");
        free(allowed);
    }
    scenario_free(s);
}

TEST(short_forms_of_places_are_spelled_out)
{
    static const char *const pairs[][2] = {
        {"1..4", "1|2|3|4"}, {"0..6+2|9", "0|2|4|6|9"}, {"4-5x2|7", "4-5|4-5|7"}, {"-", "-"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *full = spelled_out(pairs[i][0]);
        CHECK_TEXT(full, pairs[i][1]);
        free(full);
    }
    CHECK(mentions("a quota of 7.5 CPUs", "7.5") && !mentions("a quota of 7.5 CPUs", "7"));
    CHECK(!mentions("17 threads", "7") && mentions("CPUs 0-7, 9", "0-7") && mentions("7.", "7"));
}

/* ---- one input changes, and its reason ------------------------------------------------------- */

struct change {
    const char *base;
    const char *line;      /* what is different */
    const char *changed;   /* keys of the reasons whose texts differ or that come or go */
    const char *unchanged; /* keys of those that stay */
};

#define FOUR_GROUPS "machine synthetic pack:2 l3:2 core:4 pu:2(indexes=2*16:1*2)\n"

static const struct change changes[] = {
    {FOUR_GROUPS "quota 6\n", "quota 5.5\n", "quota budget compute", "machine allowed io smt"},
    {FOUR_GROUPS, "quota 5.5\n", "quota budget compute", "machine allowed io smt"},
    {FOUR_GROUPS "quota 5.5\n", "set rounding=up\n", "quota budget compute",
     "machine allowed io smt"},
    {FOUR_GROUPS, "set reserve=3\n", "reserve budget compute", "machine allowed io smt"},
    {FOUR_GROUPS "set reserve=3\n", "set reserve=4\n", "reserve budget compute",
     "machine allowed io smt"},
    {FOUR_GROUPS, "set smt=use\n", "smt budget compute", "machine allowed"},
    {FOUR_GROUPS, "set smt=spill\n", "smt budget compute", "machine allowed"},
    {FOUR_GROUPS "device gpu nvidia 0000:3b:00.0 local=0-7,16-23\n"
                 "device gpu nvidia 0000:af:00.0 local=8-15,24-31\nset gpu=0\n",
     "set gpu=1\n", "gpu io", "machine allowed smt"},
    {FOUR_GROUPS "device gpu nvidia 0000:3b:00.0 local=0-7,16-23\n", "set gpu=0\n",
     "gpu budget compute", "machine allowed smt"},
    {FOUR_GROUPS "rank 0/4\n", "rank 1/4\n", "rank io", "machine allowed smt"},
    {FOUR_GROUPS, "rank 0/4\n", "rank budget compute", "machine allowed smt"},
    {FOUR_GROUPS "set cpus=0-7\n", "set cpus=0-5\n", "cpus budget compute", "machine allowed smt"},
    {FOUR_GROUPS, "set cpus=8-15\n", "cpus io budget compute", "machine allowed"},
    {FOUR_GROUPS, "set cache_groups=1\n", "cache_groups budget compute", "machine allowed smt"},
    {FOUR_GROUPS "set cache_groups=1\n", "set cache_groups=2\n", "cache_groups budget compute",
     "machine allowed smt"},
    {FOUR_GROUPS "kinds performance=0-7,16-23 efficiency=8-15,24-31\n", "set cores=efficiency\n",
     "cores", "machine allowed"},
    {FOUR_GROUPS "kinds performance=0-7,16-23 efficiency=8-15,24-31\n", "set cores=all\n",
     "cores compute", "machine allowed"},
    {FOUR_GROUPS "device network mellanox 0000:17:00.0 local=8-15,24-31 name=eth0\n",
     "set io.near=eth0\n", "io", "machine allowed smt budget compute"},
    {FOUR_GROUPS, "set io.threads=2\n", "io compute", "machine allowed smt budget"},
    {FOUR_GROUPS, "set pools.hdd.threads=2\n", "pool.hdd compute", "machine allowed smt budget io"},
    {FOUR_GROUPS "set pools.hdd.threads=2\n", "set pools.hdd.threads=3\n", "pool.hdd compute",
     "machine allowed smt budget io"},
    {FOUR_GROUPS, "set compute.threads=4\n", "compute", "machine allowed smt io"},
    {FOUR_GROUPS, "set places=l3\n", "places", "machine allowed smt budget io"},
    {FOUR_GROUPS, "set spread=scatter\n", "places", "machine allowed smt budget"},
    {FOUR_GROUPS, "set pin=false\n", "pin", "machine allowed smt budget"},
    {FOUR_GROUPS, "offline 7,23\n", "machine allowed budget compute", "smt io"},
    {FOUR_GROUPS, "cpuset 0-7\n", "allowed budget compute", "machine io"},
};

/* The text of the reason with the key of this length, or NULL. */
static const char *reason_of(const struct lp_plan *plan, const char *key, size_t length)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)length, key);
    return lp_reasons_find(&plan->reasons, name);
}

static void check_reasons(const struct change *change, const struct lp_plan *before,
                          const struct lp_plan *after, const char *keys, bool differ)
{
    for (const char *key = keys; *key; key += strspn(key, " ")) {
        size_t length = strcspn(key, " ");
        const char *old = reason_of(before, key, length);
        const char *new = reason_of(after, key, length);
        bool same = old && new ? strcmp(old, new) == 0 : old == new;
        if (same == differ) {
            char what[HARNESS_TEXT_BYTES];
            snprintf(
                what, sizeof what,
                "after\n%.200s%.80s        the reason %.*s is\n        \"%.250s\", before it was"
                "\n        \"%.250s\"",
                change->base, change->line, (int)length, key, new ? new : "(none)",
                old ? old : "(none)");
            harness_note(false, "change", (unsigned)(change - changes), what);
        }
        key += length;
    }
}

static void check_change(const struct change *change)
{
    char text[LINE];
    snprintf(text, sizeof text, "%s%s", change->base, change->line);
    struct scenario *with_base = scenario_of(change->base);
    struct scenario *with_line = scenario_of(text);
    scenario_finish(with_base);
    scenario_finish(with_line);
    CHECK_TEXT(with_base->problem, "");
    CHECK_TEXT(with_line->problem, "");
    struct lp_plan_input before_input = input_of(with_base);
    struct lp_plan_input after_input = input_of(with_line);
    struct lp_plan before;
    struct lp_plan after;
    if (CHECK(lp_plan_make(&before, &before_input) == 0)) {
        if (CHECK(lp_plan_make(&after, &after_input) == 0)) {
            check_reasons(change, &before, &after, change->changed, true);
            check_reasons(change, &before, &after, change->unchanged, false);
            lp_plan_fini(&after);
        }
        lp_plan_fini(&before);
    }
    scenario_free(with_base);
    scenario_free(with_line);
}

TEST(a_changed_input_changes_its_reason_and_no_other)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        check_change(&changes[i]);
    }
}

TEST(some_reasons_are_always_there)
{
    static const char *const texts[] = {
        "machine synthetic pack:1 core:1 pu:1\n",
        FOUR_GROUPS,
        FOUR_GROUPS "quota 1\nrank 3/4\nset pin=false\n",
        FOUR_GROUPS "set io.threads=0\n",
    };
    static const char *const keys[] = {"machine", "allowed", "budget", "compute", "io"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct scenario *s = scenario_of(texts[i]);
        scenario_finish(s);
        struct lp_plan_input input = input_of(s);
        struct lp_plan plan;
        if (CHECK(lp_plan_make(&plan, &input) == 0)) {
            for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
                bool there = lp_reasons_find(&plan.reasons, keys[k]) != NULL;
                CHECK(there == (strcmp(keys[k], "io") != 0 || plan.io_count > 0));
            }
            for (unsigned k = 0; k < plan.reasons.count; k++) {
                const char *text = plan.reasons.entries[k].text;
                CHECK(*text && !strchr(text, '\n') && text[strlen(text) - 1] != '.');
            }
            lp_plan_fini(&plan);
        }
        scenario_free(s);
    }
}

/* ---- limits that change while a plan is in force --------------------------------------------- */

TEST(the_width_follows_quota_and_allowed_cpus)
{
    struct scenario *s = scenario_of("machine synthetic pack:1 core:8 pu:1\n");
    scenario_finish(s);
    struct lp_plan_input input = input_of(s);
    struct lp_plan plan;
    if (CHECK(lp_plan_make(&plan, &input) == 0)) {
        static const struct {
            double quota;
            const char *allowed;
            unsigned width;
        } limits[] = {{0, "0-7", 7}, {4, "0-7", 3},   {2.9, "0-7", 1}, {0.5, "0-7", 1},
                      {0, "0-3", 3}, {100, "0-7", 7}, {0, "5", 1}};
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
            struct lp_cgroup cgroup = {.quota = limits[i].quota};
            lp_cpuset *allowed = lp_cpuset_parse(limits[i].allowed);
            unsigned width = lp_plan_width_now(&plan, &s->settings, &cgroup, &s->rank, allowed);
            if (width != limits[i].width) {
                say(s, (unsigned)i, "with a quota of %g and CPUs %s the width is %u, not %u",
                    limits[i].quota, limits[i].allowed, width, limits[i].width);
            }
            lp_cpuset_free(allowed);
        }
        lp_plan_fini(&plan);
    }
    scenario_free(s);
}

/* ---- any machine ----------------------------------------------------------------------------- */

/* xorshift64: the same sequence for the same seed everywhere. */
static uint64_t random_state;

static unsigned below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 33) % limit);
}

static bool chance(unsigned percent)
{
    return below(100) < percent;
}

/* 1 to 64 cores with 1 to 4 CPUs each, siblings numbered late or not, holes, two kinds. */
static void any_machine(struct scenario *s)
{
    unsigned cores = chance(30) ? 1 + below(4) : 1 + below(64);
    unsigned smt = 1 + below(4);
    unsigned per_cache = 1 + below(cores);
    unsigned caches_per_node = 1 + below(4);
    unsigned nodes_per_package = 1 + below(2);
    unsigned stride = chance(20) ? 2 : 1; /* every other number is missing */
    bool late = chance(50);
    unsigned performance = chance(20) ? below(cores + 1) : cores;
    for (unsigned c = 0; c < cores; c++) {
        unsigned cache = c / per_cache;
        unsigned node = cache / caches_per_node;
        for (unsigned t = 0; t < smt; t++) {
            struct lp_cpu cpu = {.os = stride * (late ? c + t * cores : c * smt + t),
                                 .core = c,
                                 .cache = cache,
                                 .node = node,
                                 .node_os = node * stride,
                                 .package = node / nodes_per_package,
                                 .kind = LP_KIND_ONLY};
            if (performance < cores && performance > 0) {
                cpu.kind = c < performance ? LP_KIND_PERFORMANCE : LP_KIND_EFFICIENCY;
            }
            add_cpu(&s->machine, &cpu);
        }
    }
    s->has_machine = true;
}

/* Some CPUs of the machine, at least one. */
static lp_cpuset *any_cpus(const struct lp_machine *machine, unsigned percent)
{
    lp_cpuset *set = lp_cpuset_new();
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        if (chance(percent)) {
            lp_cpuset_add(set, machine->cpus[i].os);
        }
    }
    if (lp_cpuset_count(set) == 0) {
        lp_cpuset_add(set, machine->cpus[below(machine->cpu_count)].os);
    }
    return set;
}

static const char *keep_set(struct scenario *s, const lp_cpuset *set)
{
    char *text = text_of_set(set);
    const char *kept = keep(s, text);
    free(text);
    return kept;
}

static void any_pools(struct scenario *s)
{
    s->settings.pool_count = chance(50) ? 0 : 1 + below(3);
    for (unsigned i = 0; i < s->settings.pool_count; i++) {
        struct lp_pool_settings *pool = &s->pools[i];
        *pool = (struct lp_pool_settings){.cpus = "", .gpu = "", .threads = 1 + below(6)};
        snprintf(pool->name, sizeof pool->name, "pool%u", i);
        pool->blocking = chance(15);
        pool->share = !pool->blocking && chance(25);
        if (!pool->blocking && chance(25)) {
            lp_cpuset *set = any_cpus(&s->machine, 40);
            pool->cpus = keep_set(s, set);
            pool->threads = below(4);
            lp_cpuset_free(set);
        }
    }
}

/* A machine and what can be said about it; the rank is alone. */
static struct scenario *anything(uint64_t seed)
{
    struct scenario *s = scenario_new("(any machine)");
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    for (unsigned i = 0; i < 8; i++) {
        below(2);
    }
    any_machine(s);
    if (chance(50)) {
        s->cgroup.cpus = any_cpus(&s->machine, 30 + below(70));
        snprintf(s->cgroup.cpus_from, sizeof s->cgroup.cpus_from, "%s", cpuset_file);
    }
    if (chance(50)) {
        s->cgroup.quota = chance(50) ? 0.25 * (1 + below(40)) : 0.1 * (1 + below(1000));
        snprintf(s->cgroup.quota_from, sizeof s->cgroup.quota_from, "%s", quota_file);
    }
    scenario_finish(s);
    struct lp_plan_settings *settings = &s->settings;
    static const char *const places[] = {"cores", "cores", "cores", "threads", "l3", "numa"};
    settings->places = places[below(6)];
    settings->smt = below(3);
    settings->cores = below(3);
    settings->spread = below(2);
    settings->rounding = below(3);
    settings->reserve = chance(70) ? 0 : below(8);
    settings->cache_groups = chance(80) ? 0 : 1 + below(4);
    settings->io_threads = chance(50) ? 1 : below(9);
    settings->compute_threads = chance(85) ? 0 : 1 + below(80);
    if (chance(10)) {
        settings->cpus = keep_set(s, s->machine.allowed);
    } else if (chance(10)) {
        settings->io_cpus = keep_set(s, s->machine.allowed);
    }
    any_pools(s);
    return s;
}

enum {
    TRIES = 3000
};

TEST(every_plan_keeps_the_rules)
{
    unsigned complaints = 0;
    for (unsigned seed = 0; seed < TRIES && complaints < 10; seed++) {
        struct scenario *s = anything(seed);
        struct lp_plan_input input = input_of(s);
        struct lp_plan plan;
        if (lp_plan_make(&plan, &input)) {
            say(s, seed, "there is no plan: %.300s", loomp_error());
            complaints++;
        } else {
            const char *broken = rules_broken(s, &plan);
            if (!broken) {
                broken = stability_broken(s, &plan);
            }
            if (broken) {
                char *text = text_of_plan(&plan);
                say(s, seed, "%s:\n%.800s", broken, text);
                free(text);
                complaints++;
            }
            lp_plan_fini(&plan);
        }
        scenario_free(s);
    }
}

TEST(without_pinning_the_counts_are_the_same)
{
    unsigned complaints = 0;
    for (unsigned seed = 0; seed < TRIES / 4 && complaints < 10; seed++) {
        struct scenario *s = anything(seed);
        struct lp_plan_input input = input_of(s);
        struct lp_plan pinned;
        struct lp_plan loose;
        int err = lp_plan_make(&pinned, &input);
        s->settings.pin = false;
        if (!CHECK(err == 0 && lp_plan_make(&loose, &input) == 0)) {
            scenario_free(s);
            return;
        }
        bool same = pinned.io_count == loose.io_count && pinned.budget == loose.budget &&
                    pinned.pool_count == loose.pool_count && !loose.pin &&
                    lp_cpuset_equal(pinned.usable, loose.usable);
        for (unsigned i = 0; i < loose.pool_count && same; i++) {
            same = pinned.pools[i].count == loose.pools[i].count;
        }
        struct owner owners[POOLS + DEVICES + 2];
        unsigned count = owners_of(&loose, owners);
        for (unsigned i = 0; i < count && same; i++) {
            for (unsigned k = 0; k < owners[i].count; k++) {
                same = same && lp_cpuset_equal(owners[i].places[k].cpus, loose.usable);
            }
        }
        if (!same) {
            char *text = text_of_plan(&loose);
            say(s, seed, "not as it is with pinning:\n%.800s", text);
            free(text);
            complaints++;
        }
        lp_plan_fini(&pinned);
        lp_plan_fini(&loose);
        scenario_free(s);
    }
}

/* How many cores have a CPU in the set. */
static unsigned cores_in(const struct lp_machine *machine, const lp_cpuset *set)
{
    bool *seen = calloc(machine->core_count, sizeof *seen);
    unsigned count = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct lp_cpu *cpu = &machine->cpus[i];
        if (lp_cpuset_has(set, cpu->os) && !seen[cpu->core]) {
            seen[cpu->core] = true;
            count++;
        }
    }
    free(seen);
    return count;
}

/* Plans all ranks of a node; what is wrong, or NULL. `all` is what one process alone could use. */
static const char *ranks_broken(struct scenario *s, int ranks, const lp_cpuset *all)
{
    const char *broken = NULL;
    bool enough = cores_in(&s->machine, all) >= (unsigned)ranks;
    lp_cpuset *taken = lp_cpuset_new();
    unsigned cores = 0;
    for (int rank = 0; rank < ranks && !broken; rank++) {
        s->rank = (struct lp_rank){.local = rank, .local_size = ranks};
        struct lp_plan_input input = input_of(s);
        struct lp_plan plan;
        if (lp_plan_make(&plan, &input)) {
            broken = loomp_error();
            break;
        }
        broken = rules_broken(s, &plan);
        if (!broken && enough && lp_cpuset_intersects(taken, plan.usable)) {
            broken = "two ranks have a CPU in common";
        }
        cores += cores_in(&s->machine, plan.usable);
        lp_cpuset_or(taken, plan.usable);
        lp_plan_fini(&plan);
    }
    if (!broken && enough && !lp_cpuset_equal(taken, all)) {
        broken = "the ranks together do not have what one alone has";
    }
    if (!broken && enough && cores != cores_in(&s->machine, all)) {
        broken = "two ranks have a core in common";
    }
    lp_cpuset_free(taken);
    return broken;
}

TEST(ranks_divide_a_node)
{
    unsigned complaints = 0;
    for (unsigned seed = 0; seed < TRIES / 4 && complaints < 10; seed++) {
        struct scenario *s = anything(seed);
        s->settings.io_cpus = "";
        s->settings.cache_groups = 0; /* comes after the share, so it leaves some to nobody */
        for (unsigned i = 0; i < s->settings.pool_count; i++) {
            s->pools[i].cpus = "";
            s->pools[i].threads += s->pools[i].threads == 0;
        }
        struct lp_plan_input input = input_of(s);
        struct lp_plan plan;
        if (CHECK(lp_plan_make(&plan, &input) == 0)) {
            int ranks = 2 + (int)(seed % 15);
            const char *broken = ranks_broken(s, ranks, plan.usable);
            if (broken) {
                char *text = text_of_plan(&plan);
                say(s, seed, "%.200s; %d ranks of\n%.700s", broken, ranks, text);
                free(text);
                complaints++;
            }
            lp_plan_fini(&plan);
        }
        scenario_free(s);
    }
}

int main(int argc, char **argv)
{
    return register_cases() ? harness_run(argc, argv) : 1;
}
