/* SPDX-License-Identifier: MIT */
/* Owns the way from settings to the planner's input. For the thread that starts something; reads
 * files of /proc and /sys. */
#include "placement/survey.h"

#include "base/error.h"
#include "base/log.h"
#include "placement/affinity.h"
#include "placement/device_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what the settings ask for --------------------------------------------------------------- */

struct pools {
    unsigned count;
    struct lp_pool_settings *entries;
    bool failed;
    bool want_gpu;
};

static void add_pool(void *arg, const struct lp_settings_pool *from)
{
    struct pools *pools = arg;
    struct lp_pool_settings *entries =
        realloc(pools->entries, (pools->count + 1) * sizeof *entries);
    if (!entries) {
        pools->failed = true;
        return;
    }
    pools->entries = entries;
    struct lp_pool_settings *to = &entries[pools->count++];
    *to = (struct lp_pool_settings){
        .threads = from->threads,
        .cpus = from->cpus,
        .gpu = from->gpu,
        .share = from->share,
        .blocking = from->blocking,
    };
    snprintf(to->name, sizeof to->name, "%s", from->name);
    pools->want_gpu |= *from->gpu != '\0';
}

static int read_pools(const loomp_config *config, struct pools *pools)
{
    *pools = (struct pools){0};
    lp_settings_each_pool(config, add_pool, pools);
    if (pools->failed) {
        free(pools->entries);
        return lp_fail(-ENOMEM, "no memory for the pools of the settings");
    }
    return 0;
}

void lp_plan_settings_read(struct lp_plan_settings *settings, const loomp_config *config)
{
    *settings = (struct lp_plan_settings){
        .pin = lp_settings_bool(config, LP_PIN),
        .cpus = lp_settings_text(config, LP_CPUS),
        .reserve = (unsigned)lp_settings_int(config, LP_RESERVE),
        .rounding = (enum lp_rounding)lp_settings_choice(config, LP_ROUNDING),
        .places = lp_settings_text(config, LP_PLACES),
        .smt = (enum lp_smt)lp_settings_choice(config, LP_SMT),
        .cores = (enum lp_core_choice)lp_settings_choice(config, LP_CORES),
        .spread = (enum lp_spread)lp_settings_choice(config, LP_SPREAD),
        .cache_groups = (unsigned)lp_settings_int(config, LP_CACHE_GROUPS),
        .gpu = lp_settings_text(config, LP_GPU),
        .gpu_pools = (enum lp_gpu_pools)lp_settings_choice(config, LP_GPU_POOLS),
        .io_threads = (unsigned)lp_settings_int(config, LP_IO_THREADS),
        .io_cpus = lp_settings_text(config, LP_IO_CPUS),
        .io_near = lp_settings_text(config, LP_IO_NEAR),
        .compute_threads = (unsigned)lp_settings_int(config, LP_COMPUTE_THREADS),
    };
}

/* ---- looking around -------------------------------------------------------------------------- */

static bool wants_devices(const loomp_config *config, bool *failed)
{
    struct pools pools;
    *failed = read_pools(config, &pools) != 0;
    if (*failed) {
        return false;
    }
    free(pools.entries);
    return pools.want_gpu || *lp_settings_text(config, LP_GPU) ||
           *lp_settings_text(config, LP_IO_NEAR);
}

/* Whether a loaded file has the CPUs that are online here, no more and no fewer. */
static bool is_of_this_machine(const struct lp_machine *machine)
{
    lp_cpuset *online = lp_online_cpus("");
    lp_cpuset *known = lp_cpuset_new();
    for (unsigned i = 0; known && i < machine->cpu_count; i++) {
        lp_cpuset_add(known, machine->cpus[i].os);
    }
    bool same = online && known && lp_cpuset_equal(online, known);
    lp_cpuset_free(online);
    lp_cpuset_free(known);
    return same;
}

/* The setting topology. A file that has grown old or belongs to another machine is left out: slower
 * is better than wrong. */
static int load_saved(struct lp_topology *topology, struct lp_topology_source source,
                      const char *path)
{
    source.path = path;
    source.is_this_system = true;
    int err = lp_topology_load(topology, &source);
    if (!err && is_of_this_machine(&topology->machine)) {
        return 0;
    }
    if (err && err != -EINVAL) {
        return err;
    }
    if (err) {
        lp_log(LOOMP_LOG_WARNING, "topology: %s; the machine is asked instead", loomp_error());
    } else {
        lp_log(LOOMP_LOG_WARNING,
               "topology: %s has other CPUs than are online here; the machine "
               "is asked instead",
               path);
        lp_topology_fini(topology);
    }
    source.path = NULL;
    source.is_this_system = false;
    return lp_topology_load(topology, &source);
}

static int load_topology(struct lp_survey *survey, const struct lp_survey_options *options,
                         const loomp_config *config, bool devices)
{
    struct lp_topology_source source = options->topology;
    const char *saved = lp_settings_text(config, LP_TOPOLOGY);
    source.given = source.given ? source.given : lp_settings_topology(config);
    source.devices |= devices;
    bool named = source.given || source.path || source.synthetic;
    double began = now_s();
    int err = !named && *saved ? load_saved(&survey->topology, source, saved)
                               : lp_topology_load(&survey->topology, &source);
    survey->topology_s = now_s() - began;
    return err;
}

/* What a caller puts in place of what was found. */
static void override(struct lp_survey *survey, const struct lp_survey_options *options)
{
    if (options->quota > 0.0) {
        survey->cgroup.quota = options->quota;
        survey->cgroup.quota_from[0] = '\0';
    }
    if (options->allowed) {
        lp_cpuset_free(survey->topology.machine.allowed);
        survey->topology.machine.allowed = lp_cpuset_copy(options->allowed);
    }
}

int lp_survey_make(struct lp_survey *survey, const struct lp_survey_options *options,
                   const loomp_config *config)
{
    *survey = (struct lp_survey){0};
    bool failed;
    bool devices = wants_devices(config, &failed) || options->all_devices;
    survey->looked_for_devices = devices;
    int err = failed ? -ENOMEM : load_topology(survey, options, config, devices);
    /* A machine of another place has no cgroups here, unless they were recorded with it. */
    bool elsewhere = !survey->topology.is_this_system && !*options->root;
    if (!err && !elsewhere) {
        err = lp_cgroup_read(&survey->cgroup, options->root, 0);
    }
    if (!err && devices) {
        err = lp_devices_find(&survey->devices, &survey->topology, options->root);
    }
    if (!err && devices) {
        lp_devices_hide(&survey->devices, &options->environment);
    }
    if (!err) {
        err = lp_rank_read(&survey->rank, &options->environment,
                           (int)lp_settings_int(config, LP_RANK_LOCAL),
                           (int)lp_settings_int(config, LP_RANK_LOCAL_SIZE));
    }
    if (!err) {
        override(survey, options);
        err = survey->topology.machine.allowed ? 0 : -ENOMEM;
    }
    if (err) {
        lp_survey_fini(survey);
    }
    return err;
}

void lp_survey_fini(struct lp_survey *survey)
{
    lp_devices_fini(&survey->devices);
    lp_cgroup_fini(&survey->cgroup);
    lp_topology_fini(&survey->topology);
    *survey = (struct lp_survey){0};
}

int lp_survey_plan(const struct lp_survey *survey, const loomp_config *config, int io_threads,
                   struct lp_plan *plan)
{
    struct lp_plan_settings settings;
    lp_plan_settings_read(&settings, config);
    if (io_threads >= 0) {
        settings.io_threads = (unsigned)io_threads;
    }
    const char *said_by = loomp_config_source(config, "places");
    settings.places_of_openmp = said_by && strcmp(said_by, "OMP_PLACES") == 0;
    struct pools pools;
    int err = read_pools(config, &pools);
    if (err) {
        return err;
    }
    settings.pools = pools.entries;
    settings.pool_count = pools.count;
    err = lp_plan_make(plan, &(struct lp_plan_input){
                                 .machine = &survey->topology.machine,
                                 .cgroup = &survey->cgroup,
                                 .devices = &survey->devices,
                                 .rank = &survey->rank,
                                 .settings = &settings,
                             });
    free(pools.entries);
    return err;
}

int lp_survey_plan_more(const struct lp_survey *survey, const loomp_config *config,
                        const struct lp_plan *plan, const struct lp_devices *devices,
                        const lp_cpuset *others, const struct lp_pool_settings *pool,
                        struct lp_plan *more)
{
    struct lp_plan_settings settings;
    lp_plan_settings_read(&settings, config);
    return lp_plan_one_more(more, plan,
                            &(struct lp_plan_input){
                                .machine = &survey->topology.machine,
                                .cgroup = &survey->cgroup,
                                .devices = devices ? devices : &survey->devices,
                                .rank = &survey->rank,
                                .settings = &settings,
                            },
                            others, pool);
}
