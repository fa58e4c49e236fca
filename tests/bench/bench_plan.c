/* SPDX-License-Identifier: MIT */
/* What placement costs: a plan for 2, 64 and 1024 CPUs, loading the topology in each way there is,
 * and start and stop of a runtime, with the part of it that looks around. Usage: bench_plan
 * [REPETITIONS] */
#include "bench.h"

#include "base/error.h"
#include "placement/device_find.h"
#include "placement/survey.h"
#include "runtime/runtime.h"

#include <hwloc.h>
#include <unistd.h>

enum {
    MOST = 1000,
    GPUS = 8,
    RANKS = 64
};

static long repetitions = 200;
static double samples[MOST];

static void need(int err)
{
    if (err) {
        fprintf(stderr, "%s\n", loomp_error());
        exit(1);
    }
}

static void row(const char *what, double *values, long count)
{
    struct bench_summary s = bench_summarise(values, count); /* sorts them */
    printf("  %-44s %9.0f %9.0f %9.0f %9.0f\n", what, values[0], s.p50, s.p99, s.max);
}

/* ---- plans -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *synthetic;
} machines[] = {
    {"2 CPUs", "core:2 pu:1"},
    {"64 CPUs", "pack:2 l3:4 core:4 pu:2"},
    {"1024 CPUs", "pack:8 numa:2 l3:4 core:8 pu:2"},
};

static const struct {
    const char *name;
    const char *places;
    enum lp_smt smt;
    enum lp_spread spread;
} modes[] = {
    {"cores", "cores", LP_SMT_AVOID, LP_COMPACT},
    {"cores, scatter", "cores", LP_SMT_AVOID, LP_SCATTER},
    {"cores, spill", "cores", LP_SMT_SPILL, LP_COMPACT},
    {"threads", "threads", LP_SMT_USE, LP_COMPACT},
    {"l3", "l3", LP_SMT_AVOID, LP_COMPACT},
    {"l3, all threads", "l3", LP_SMT_USE, LP_COMPACT},
    {"numa, all threads", "numa", LP_SMT_USE, LP_SCATTER},
    {"list", NULL, LP_SMT_USE, LP_COMPACT},
};

enum {
    MODES = sizeof modes / sizeof modes[0]
};

/* Each of 8 GPUs is near its share of the CPUs. */
static void add_gpus(struct lp_devices *devices, struct lp_device *entries,
                     const struct lp_machine *machine)
{
    *devices = (struct lp_devices){.count = GPUS, .entries = entries};
    for (unsigned k = 0; k < GPUS; k++) {
        entries[k] =
            (struct lp_device){.kind = LP_DEVICE_GPU, .visible = true, .local_known = true};
        snprintf(entries[k].name, sizeof entries[k].name, "gpu%u", k);
        snprintf(entries[k].vendor, sizeof entries[k].vendor, "nvidia");
        snprintf(entries[k].pci, sizeof entries[k].pci, "0000:%02x:00.0", 16 * k);
        entries[k].index = entries[k].vendor_index = (int)k;
        entries[k].local = lp_cpuset_new();
        for (unsigned i = k * machine->cpu_count / GPUS; i < (k + 1) * machine->cpu_count / GPUS;
             i++) {
            lp_cpuset_add(entries[k].local, machine->cpus[i].os);
        }
    }
}

static void time_plan(const char *what, const struct lp_plan_input *input)
{
    for (long i = 0; i < repetitions; i++) {
        struct lp_plan plan;
        double start = bench_now_us();
        need(lp_plan_make(&plan, input));
        samples[i] = bench_now_us() - start;
        lp_plan_fini(&plan);
    }
    row(what, samples, repetitions);
}

static void time_machine(unsigned which)
{
    struct lp_topology topology;
    need(lp_topology_load(&topology,
                          &(struct lp_topology_source){.synthetic = machines[which].synthetic}));
    const struct lp_machine *machine = &topology.machine;
    char *list = malloc(8 * (size_t)machine->cpu_count + 1), *end = list;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        end += sprintf(end, "%s{%u}", i ? "," : "", machine->cpus[i].os);
    }
    struct lp_device entries[GPUS];
    struct lp_devices devices;
    add_gpus(&devices, entries, machine);
    struct lp_rank rank = {.local = RANKS / 2 - 1, .local_size = RANKS};
    char name[64];
    for (unsigned mode = 0; mode < MODES; mode++) {
        struct lp_plan_settings settings = {
            .pin = true, .cpus = "", .gpu = "", .io_cpus = "", .io_near = "", .io_threads = 1};
        settings.places = modes[mode].places ? modes[mode].places : list;
        settings.smt = modes[mode].smt;
        settings.spread = modes[mode].spread;
        struct lp_plan_input input = {
            .machine = machine, .devices = &devices, .settings = &settings};
        snprintf(name, sizeof name, "%s: %s", machines[which].name, modes[mode].name);
        time_plan(name, &input);
        if (machine->cpu_count < RANKS * 2) {
            continue; /* a rank of two CPUs says nothing new */
        }
        settings.gpu = "0,1,2,3,4,5,6,7";
        settings.gpu_pools = LP_GPU_EACH;
        snprintf(name, sizeof name, "%s: %s, %d GPUs", machines[which].name, modes[mode].name,
                 GPUS);
        time_plan(name, &input);
        if (!modes[mode].places) {
            continue; /* most of the list is not this rank's: an error */
        }
        input.rank = &rank;
        snprintf(name, sizeof name, "%s: %s, %d GPUs, %d ranks", machines[which].name,
                 modes[mode].name, GPUS, RANKS);
        time_plan(name, &input);
    }
    for (unsigned k = 0; k < GPUS; k++) {
        lp_cpuset_free(entries[k].local);
    }
    free(list);
    lp_topology_fini(&topology);
}

/* ---- topologies --------------------------------------------------------------------------- */

/* As an application loads it that wants to know nothing special. */
static hwloc_topology_t load_by_hand(bool devices)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) ||
        (devices && hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL)) ||
        hwloc_topology_load(topology)) {
        fprintf(stderr, "hwloc does not load this machine\n");
        exit(1);
    }
    return topology;
}

static void time_by_hand(const char *what, bool devices)
{
    for (long i = 0; i < repetitions; i++) {
        double start = bench_now_us();
        hwloc_topology_t topology = load_by_hand(devices);
        samples[i] = bench_now_us() - start;
        hwloc_topology_destroy(topology);
    }
    row(what, samples, repetitions);
}

static void time_load(const char *what, const struct lp_topology_source *source)
{
    for (long i = 0; i < repetitions; i++) {
        struct lp_topology topology;
        double start = bench_now_us();
        need(lp_topology_load(&topology, source));
        samples[i] = bench_now_us() - start;
        lp_topology_fini(&topology);
    }
    row(what, samples, repetitions);
}

static void time_topologies(const char *cache)
{
    time_by_hand("hwloc alone, everything", true);
    time_by_hand("hwloc alone, its defaults", false);
    time_load("loomp, with devices", &(struct lp_topology_source){.devices = true});
    time_load("loomp", &(struct lp_topology_source){0});
    time_load("loomp, from a file (topology = ...)",
              &(struct lp_topology_source){.path = cache, .is_this_system = true});
    hwloc_topology_t given = load_by_hand(false);
    time_load("loomp, given by the application", &(struct lp_topology_source){.given = given});
    hwloc_topology_destroy(given);
}

/* ---- start and stop ----------------------------------------------------------------------- */

static loomp_config *new_config(const char *const *settings)
{
    loomp_config *config = loomp_config_new();
    for (; settings[0]; settings += 2) {
        need(loomp_config_set(config, settings[0], settings[1]));
    }
    return config;
}

/* The parts of a start that can be taken one by one; the rest is its threads. */
static void time_parts(const loomp_config *config)
{
    static double whole[MOST], topology[MOST], cgroup[MOST], devices[MOST], plan[MOST];
    for (long i = 0; i < repetitions; i++) {
        struct lp_survey survey;
        struct lp_plan made;
        const struct lp_survey_options here = {.root = "", .environment = lp_process_environment};
        double start = bench_now_us();
        need(lp_survey_make(&survey, &here, config));
        whole[i] = bench_now_us() - start;
        topology[i] = survey.topology_s * 1e6;
        struct lp_cgroup limits;
        start = bench_now_us();
        need(lp_cgroup_read(&limits, "", 0));
        cgroup[i] = bench_now_us() - start;
        lp_cgroup_fini(&limits);
        struct lp_devices found = {0};
        start = bench_now_us();
        need(lp_devices_find(&found, &survey.topology, ""));
        devices[i] = bench_now_us() - start;
        lp_devices_fini(&found);
        start = bench_now_us();
        need(lp_survey_plan(&survey, config, -1, &made));
        plan[i] = bench_now_us() - start;
        lp_plan_fini(&made);
        lp_survey_fini(&survey);
    }
    row("  looking around", whole, repetitions);
    row("    of it the topology", topology, repetitions);
    row("    of it the control groups", cgroup, repetitions);
    row("  the plan", plan, repetitions);
    row("  devices, only where a setting asks", devices, repetitions);
}

static void time_starts(const char *what, const char *const *settings)
{
    static double stops[MOST], beyond[MOST];
    static bool is_first = true; /* it has libomp to start, too */
    loomp_config *config = new_config(settings);
    char name[64];
    for (long i = -1; i < repetitions; i++) {
        loomp_runtime *runtime = NULL;
        double start = bench_now_us();
        need(loomp_start(&runtime, config));
        double started = bench_now_us();
        double topology_us = lp_process.parts.survey.topology_s * 1e6;
        need(loomp_stop(runtime));
        if (i >= 0) {
            samples[i] = started - start;
            beyond[i] = samples[i] - topology_us;
            stops[i] = bench_now_us() - started;
        } else if (is_first) {
            printf("  %-44s %9.0f\n", "the first start of the process", started - start);
            printf("  %-44s %9.0f\n", "  beyond the topology load", started - start - topology_us);
            is_first = false;
        }
    }
    snprintf(name, sizeof name, "start, %s", what);
    row(name, samples, repetitions);
    row("  beyond the topology load", beyond, repetitions);
    snprintf(name, sizeof name, "stop, %s", what);
    row(name, stops, repetitions);
    time_parts(config);
    loomp_config_free(config);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        repetitions = atol(argv[1]);
    }
    if (repetitions < 1 || repetitions > MOST) {
        fprintf(stderr, "from 1 to %d repetitions\n", MOST);
        return 2;
    }
    char cache[] = "/tmp/loomp-bench-XXXXXX";
    struct lp_topology topology;
    int file = mkstemp(cache);
    need(file < 0 ? lp_fail(-1, "no temporary file") : close(file));
    need(lp_topology_load(&topology, &(struct lp_topology_source){0}));
    need(lp_topology_save(&topology, cache));
    lp_topology_fini(&topology);

    printf("%5ld times each [us]                             least       p50       p99       max\n",
           repetitions);
    printf("start and stop of a runtime:\n");
    time_starts("topology by hwloc", (const char *const[]){NULL});
    time_starts("topology of a file", (const char *const[]){"topology", cache, NULL});
    printf("topology of this machine:\n");
    time_topologies(cache);
    printf("plans:\n");
    for (unsigned i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        time_machine(i);
    }
    unlink(cache);
    return 0;
}
