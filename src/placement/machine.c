/* SPDX-License-Identifier: MIT */
/* Owns what the planner's view of a machine is: reads hwloc's tree once and turns it into a list of
 * numbered CPUs. Entered by the thread that loads a topology; what it made is only read. */
#include "placement/machine.h"

#include "base/error.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

/* The groups of one level in the order in which they were met: their rank is their number. */
struct groups {
    hwloc_obj_t *met;
    unsigned count;
};

struct reader {
    hwloc_topology_t topology;
    struct lp_machine *machine;
    struct groups cores, caches, nodes, packages;
    bool l2_counts; /* somewhere several cores share an L2 cache and no L3 */
    struct kind {
        lp_cpuset *cpus;
        enum lp_cpu_kind kind;
    } * kinds;
    int kind_count;
};

/* Most often it is the one that was met last; only NUMA nodes and caches beside others come back.
 */
static unsigned number_of(struct groups *groups, hwloc_obj_t object)
{
    for (unsigned i = groups->count; i > 0; i--) {
        if (groups->met[i - 1] == object) {
            return i - 1;
        }
        if (object->type == HWLOC_OBJ_PU || object->type == HWLOC_OBJ_CORE) {
            break;
        }
    }
    groups->met[groups->count] = object;
    return groups->count++;
}

static hwloc_obj_t ancestor(hwloc_obj_t object, hwloc_obj_type_t type)
{
    while (object && object->type != type) {
        object = object->parent;
    }
    return object;
}

/* ---- the levels ------------------------------------------------------------------------------ */

static bool holds_several_cores(hwloc_obj_t cache)
{
    hwloc_obj_t object = cache;
    while (object->arity == 1) {
        object = object->first_child;
        if (object->type == HWLOC_OBJ_CORE) {
            return false;
        }
    }
    return object->arity > 1;
}

/* An L2 cache of one core alone, on a machine or in a virtual one that does not show its L3, says
 * nothing about groups. */
static bool find_whether_l2_counts(hwloc_topology_t topology)
{
    hwloc_obj_t cache = NULL;
    while ((cache = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_L2CACHE, cache))) {
        if (!ancestor(cache, HWLOC_OBJ_L3CACHE) && holds_several_cores(cache)) {
            return true;
        }
    }
    return false;
}

static hwloc_obj_t cache_of(const struct reader *reader, hwloc_obj_t pu, hwloc_obj_t package)
{
    hwloc_obj_t cache = ancestor(pu, HWLOC_OBJ_L3CACHE);
    if (!cache && reader->l2_counts) {
        cache = ancestor(pu, HWLOC_OBJ_L2CACHE);
    }
    return cache ? cache : package;
}

/* Fast memory beside the usual one (HBM, MCDRAM) or a device's is not what "local" should mean by
 * default: it is small. */
static bool is_usual_memory(hwloc_obj_t node)
{
    return !node->subtype ||
           (strcmp(node->subtype, "HBM") != 0 && strcmp(node->subtype, "MCDRAM") != 0 &&
            strcmp(node->subtype, "GPUMemory") != 0 && strcmp(node->subtype, "NVM") != 0);
}

/* The nearest NUMA node of usual memory, else the nearest of any. */
static hwloc_obj_t node_of(hwloc_obj_t pu)
{
    hwloc_obj_t other = NULL;
    for (hwloc_obj_t at = pu; at; at = at->parent) {
        for (hwloc_obj_t memory = at->memory_first_child; memory; memory = memory->next_sibling) {
            hwloc_obj_t node = memory;
            while (node && node->type != HWLOC_OBJ_NUMANODE) {
                node = node->memory_first_child; /* behind a memory-side cache */
            }
            if (node && is_usual_memory(node)) {
                return node;
            }
            other = other ? other : node;
        }
    }
    return other;
}

/* ---- kinds of cores -------------------------------------------------------------------------- */

static const char *info_of(unsigned count, const struct hwloc_info_s *infos, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            return infos[i].value;
        }
    }
    return NULL;
}

/* Whether a kind that hwloc ranks below the best one is really another design. Cores of one design
 * are sorted by how fast they turned out, and hwloc makes kinds of that, too: where all that
 * differs is a figure, it has to be less than four fifths of the best one's. */
static bool is_another_design(unsigned count, const struct hwloc_info_s *infos, unsigned best_count,
                              const struct hwloc_info_s *best_infos)
{
    const char *type = info_of(count, infos, "CoreType");
    const char *best_type = info_of(best_count, best_infos, "CoreType");
    if (type && best_type) {
        return strcmp(type, best_type) != 0;
    }
    static const char *const figures[] = {"LinuxCapacity", "FrequencyMaxMHz", "FrequencyBaseMHz"};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const char *figure = info_of(count, infos, figures[i]);
        const char *best = info_of(best_count, best_infos, figures[i]);
        if (figure && best) {
            return strtod(figure, NULL) < 0.8 * strtod(best, NULL);
        }
    }
    return true;
}

static int read_kinds(struct reader *reader)
{
    int count = hwloc_cpukinds_get_nr(reader->topology, 0);
    if (count < 2) {
        return 0;
    }
    unsigned best_count = 0;
    struct hwloc_info_s *best_infos = NULL;
    int best = -1;
    if (hwloc_cpukinds_get_info(reader->topology, (unsigned)count - 1, NULL, &best, &best_count,
                                &best_infos, 0) ||
        best < 0) {
        return 0; /* they cannot be ranked, so they are all alike to us */
    }
    reader->kinds = calloc((size_t)count, sizeof *reader->kinds);
    if (!reader->kinds) {
        return lp_fail(-ENOMEM, "no memory for %d kinds of cores", count);
    }
    bool differ = false;
    for (int i = 0; i < count; i++) {
        struct kind *kind = &reader->kinds[i];
        kind->cpus = lp_cpuset_new();
        if (!kind->cpus) {
            return -ENOMEM;
        }
        reader->kind_count++;
        unsigned info_count = 0;
        struct hwloc_info_s *infos = NULL;
        hwloc_cpukinds_get_info(reader->topology, (unsigned)i, kind->cpus, NULL, &info_count,
                                &infos, 0);
        /* hwloc lists them with the most powerful last. */
        bool efficient =
            i < count - 1 && is_another_design(info_count, infos, best_count, best_infos);
        kind->kind = efficient ? LP_KIND_EFFICIENCY : LP_KIND_PERFORMANCE;
        differ = differ || efficient;
    }
    for (int i = 0; i < count && !differ; i++) {
        reader->kinds[i].kind = LP_KIND_ONLY;
    }
    return 0;
}

static enum lp_cpu_kind kind_of(const struct reader *reader, unsigned os)
{
    for (int i = 0; i < reader->kind_count; i++) {
        if (lp_cpuset_has(reader->kinds[i].cpus, os)) {
            return reader->kinds[i].kind;
        }
    }
    return LP_KIND_ONLY;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void read_cpu(struct reader *reader, hwloc_obj_t pu)
{
    struct lp_machine *machine = reader->machine;
    struct lp_cpu *cpu = &machine->cpus[machine->cpu_count++];
    hwloc_obj_t root = hwloc_get_root_obj(reader->topology);
    hwloc_obj_t package = ancestor(pu, HWLOC_OBJ_PACKAGE);
    hwloc_obj_t core = ancestor(pu, HWLOC_OBJ_CORE);
    hwloc_obj_t node = node_of(pu);
    package = package ? package : root;
    *cpu = (struct lp_cpu){
        .os = pu->os_index,
        .core = number_of(&reader->cores, core ? core : pu),
        .cache = number_of(&reader->caches, cache_of(reader, pu, package)),
        .node = number_of(&reader->nodes, node ? node : root),
        .node_os = node ? node->os_index : 0,
        .package = number_of(&reader->packages, package),
        .kind = kind_of(reader, pu->os_index),
    };
    const struct lp_cpu *before = cpu > machine->cpus ? cpu - 1 : NULL;
    cpu->smt = before && before->core == cpu->core ? before->smt + 1 : 0;
    machine->by_os[cpu->os] = machine->cpu_count;
}

static int read_all(struct reader *reader)
{
    struct lp_machine *machine = reader->machine;
    hwloc_topology_t topology = reader->topology;
    int count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    int last = hwloc_bitmap_last(hwloc_topology_get_topology_cpuset(topology));
    if (count < 1 || last < 0) {
        return lp_fail(-EINVAL, "the topology has no CPUs");
    }
    size_t cpus = (size_t)count;
    machine->cpus = calloc(cpus, sizeof *machine->cpus);
    machine->by_os_count = (unsigned)last + 1;
    machine->by_os = calloc(machine->by_os_count, sizeof *machine->by_os);
    machine->allowed = lp_cpuset_copy(hwloc_topology_get_allowed_cpuset(topology));
    struct groups *groups[] = {&reader->cores, &reader->caches, &reader->nodes, &reader->packages};
    bool complete = machine->cpus && machine->by_os && machine->allowed;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        groups[i]->met = calloc(cpus, sizeof *groups[i]->met);
        complete = complete && groups[i]->met;
    }
    if (!complete) {
        return lp_fail(-ENOMEM, "no memory for a machine of %d CPUs", count);
    }
    int err = read_kinds(reader);
    if (err) {
        return err;
    }
    reader->l2_counts = find_whether_l2_counts(topology);
    for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu));) {
        read_cpu(reader, pu);
    }
    machine->core_count = reader->cores.count;
    machine->cache_count = reader->caches.count;
    machine->node_count = reader->nodes.count;
    machine->package_count = reader->packages.count;
    /* hwloc hangs a node without CPUs below those that it is near, so its cpuset does not tell. */
    int nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
    machine->memory_only_nodes =
        nodes > (int)machine->node_count ? (unsigned)nodes - machine->node_count : 0;
    return 0;
}

int lp_machine_read(struct lp_machine *machine, struct hwloc_topology *topology)
{
    *machine = (struct lp_machine){0};
    struct reader reader = {.topology = topology, .machine = machine};
    int err = read_all(&reader);
    for (int i = 0; i < reader.kind_count; i++) {
        lp_cpuset_free(reader.kinds[i].cpus);
    }
    free(reader.kinds);
    free(reader.cores.met);
    free(reader.caches.met);
    free(reader.nodes.met);
    free(reader.packages.met);
    if (err) {
        lp_machine_fini(machine);
    }
    return err;
}

void lp_machine_fini(struct lp_machine *machine)
{
    free(machine->cpus);
    free(machine->by_os);
    lp_cpuset_free(machine->allowed);
    *machine = (struct lp_machine){0};
}

const struct lp_cpu *lp_machine_cpu(const struct lp_machine *machine, unsigned os)
{
    if (machine->by_os) {
        unsigned at = os < machine->by_os_count ? machine->by_os[os] : 0;
        return at ? &machine->cpus[at - 1] : NULL;
    }
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        if (machine->cpus[i].os == os) {
            return &machine->cpus[i];
        }
    }
    return NULL;
}
