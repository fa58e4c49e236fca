/* SPDX-License-Identifier: MIT */
/* Owns the last step of a plan: which CPUs each pool gets, and what its places are. Pure. */
#include "placement/planner.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places ---------------------------------------------------------------------------------- */

int lp_planner_new_places(struct lp_pool_plan *pool, unsigned count)
{
    pool->places = calloc(count, sizeof *pool->places);
    if (!pool->places) {
        return lp_planner_no_memory();
    }
    pool->count = count;
    for (unsigned i = 0; i < count; i++) {
        pool->places[i].cpus = lp_cpuset_new();
        if (!pool->places[i].cpus) {
            return lp_planner_no_memory();
        }
    }
    return 0;
}

enum grouping {
    BY_UNIT,
    BY_CACHE,
    BY_NODE
};

static enum grouping grouping_of(const struct lp_plan_settings *settings)
{
    return strcmp(settings->places, "l3") == 0     ? BY_CACHE
           : strcmp(settings->places, "numa") == 0 ? BY_NODE
                                                   : BY_UNIT;
}

static unsigned group_of(const struct lp_cpu *cpu, enum grouping grouping)
{
    return grouping == BY_CACHE ? cpu->cache : cpu->node;
}

int lp_planner_set_places(struct lp_planner *planner, struct lp_pool_plan *pool,
                          const struct lp_cpu *const *units, unsigned count)
{
    int err = lp_planner_new_places(pool, count);
    if (err) {
        return err;
    }
    enum grouping grouping = grouping_of(planner->settings);
    if (grouping == BY_UNIT) {
        for (unsigned i = 0; i < count; i++) {
            lp_cpuset_add(pool->places[i].cpus, units[i]->os);
        }
        return 0;
    }
    const struct lp_machine *machine = planner->input->machine;
    unsigned groups = grouping == BY_CACHE ? machine->cache_count : machine->node_count;
    lp_cpuset **sets = calloc(groups, sizeof(lp_cpuset *));
    if (!sets) {
        return lp_planner_no_memory();
    }
    for (unsigned i = 0; !err && i < count; i++) {
        lp_cpuset **set = &sets[group_of(units[i], grouping)];
        *set = *set ? *set : lp_cpuset_new();
        err = *set ? 0 : lp_planner_no_memory();
        if (!err) {
            lp_cpuset_add(*set, units[i]->os);
        }
    }
    for (unsigned i = 0; !err && i < count; i++) {
        lp_cpuset_or(pool->places[i].cpus, sets[group_of(units[i], grouping)]);
    }
    for (unsigned i = 0; i < groups; i++) {
        lp_cpuset_free(sets[i]);
    }
    free(sets);
    return err;
}

/* ---- pools of the settings ------------------------------------------------------------------- */

int lp_planner_find_restriction(struct lp_planner *planner,
                                const struct lp_pool_settings *settings, struct lp_pool_plan *pool,
                                lp_cpuset **within)
{
    const struct lp_devices *devices = planner->input->devices;
    char key[LP_POOL_NAME + 8];
    snprintf(key, sizeof key, "pool.%s", settings->name);
    *within = NULL;
    if (*settings->cpus) {
        return lp_cpuset_read(within, settings->cpus);
    }
    if (!*settings->gpu) {
        return 0;
    }
    if (!devices || devices->count == 0) {
        return lp_fail(-ENODEV, "pools.%s.gpu = \"%s\": no GPU was found on this machine",
                       settings->name, settings->gpu);
    }
    unsigned *chosen = calloc(devices->count, sizeof *chosen);
    if (!chosen) {
        return lp_planner_no_memory();
    }
    int count = lp_devices_choose(devices, LP_DEVICE_GPU, settings->gpu, chosen);
    int err = count < 0 ? count
                        : lp_planner_near(planner, key, chosen, (unsigned)count,
                                          planner->plan->usable, within);
    if (!err) {
        lp_planner_device_names(planner, chosen, (unsigned)count, pool->gpu, sizeof pool->gpu);
    }
    free(chosen);
    return err;
}

/* The candidates among the compute units, in their order; returns how many. */
static unsigned list_candidates(const struct lp_planner *planner, const lp_cpuset *not_these,
                                const lp_cpuset *within, const struct lp_cpu **out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < planner->compute.count; i++) {
        const struct lp_cpu *cpu = planner->compute.cpus[i];
        if (!lp_cpuset_has(not_these, cpu->os) && !lp_cpuset_has(planner->listed_cpus, cpu->os) &&
            (!within || lp_cpuset_has(within, cpu->os))) {
            out[count++] = cpu;
        }
    }
    return count;
}

int lp_planner_place_blocking(struct lp_planner *planner, const struct lp_pool_settings *settings,
                              struct lp_pool_plan *pool)
{
    char key[LP_POOL_NAME + 8], list[LP_LIST_TEXT];
    int err = lp_planner_new_places(pool, 1);
    if (err) {
        return err;
    }
    lp_cpuset *within, *cpus = pool->places[0].cpus;
    err = lp_planner_find_restriction(planner, settings, pool, &within);
    if (err) {
        return err;
    }
    pool->blocking = true;
    pool->count = settings->threads ? settings->threads : 64;
    lp_cpuset_or(cpus, within ? within : planner->plan->io_cpus);
    if (within) {
        lp_cpuset_and(cpus, planner->plan->usable);
    }
    if (lp_cpuset_first(cpus) < 0) {
        err = lp_fail(-EINVAL, "pools.%s: none of the CPUs %s may be used", settings->name,
                      lp_planner_list(within, list));
    }
    snprintf(key, sizeof key, "pool.%s", settings->name);
    if (!err) {
        lp_because(planner, key, "at most %u blocking threads, on %s (%s)", pool->count,
                   within ? "its CPUs" : "the CPUs of I/O", lp_planner_list(cpus, list));
    }
    lp_cpuset_free(within);
    return err;
}

/* How many of the candidates a pool takes. */
static unsigned how_many(struct lp_planner *planner, const struct lp_pool_settings *settings,
                         bool is_restricted, unsigned candidates, unsigned free_units)
{
    /* A pool near a GPU of which nobody knows where it is could be anywhere: it is kept small. */
    unsigned want = settings->threads ? settings->threads : is_restricted ? candidates : 1;
    unsigned most = candidates;
    if (!settings->share) {
        /* One unit and one thread of the budget stay for compute. */
        most = most < free_units ? most : free_units - (free_units > 0);
        most = most < planner->left ? most : planner->left - 1;
    }
    return want < most ? want : most;
}

static void explain_pool(struct lp_planner *planner, const struct lp_pool_settings *settings,
                         const struct lp_pool_plan *pool)
{
    char key[LP_POOL_NAME + 8], list[LP_LIST_TEXT];
    snprintf(key, sizeof key, "pool.%s", settings->name);
    lp_cpuset *set = lp_cpuset_new();
    for (unsigned i = 0; set && i < pool->count; i++) {
        lp_cpuset_or(set, pool->places[i].cpus);
    }
    if (!set) {
        planner->failed = true;
        return;
    }
    const char *by = *settings->cpus   ? ", by its cpus"
                     : *pool->gpu      ? ", near its GPU"
                     : settings->share ? ""
                                       : ", the last of the order";
    lp_because(planner, key, "%u thread%s on CPU%s %s%s%s", pool->count, lp_plural(pool->count),
               lp_plural((unsigned)lp_cpuset_count(set)), lp_planner_list(set, list), by,
               settings->share ? ", shared with other pools" : "");
    if (pool->count < settings->threads) {
        lp_warn(planner, key, "pool %s gets %u of the %u threads it asks for", settings->name,
                pool->count, settings->threads);
    }
    lp_cpuset_free(set);
}

/* A pool that found nothing gets the last place of compute. */
static int place_with_compute(struct lp_planner *planner, struct lp_pool_plan *pool)
{
    const struct lp_pool_plan *compute = lp_plan_compute(planner->plan);
    char key[LP_POOL_NAME + 8], list[LP_LIST_TEXT];
    int err = lp_planner_new_places(pool, 1);
    if (err) {
        return err;
    }
    pool->borrows = true;
    lp_cpuset_or(pool->places[0].cpus, compute->places[compute->count - 1].cpus);
    lp_planner_list(pool->places[0].cpus, list);
    snprintf(key, sizeof key, "pool.%s", pool->name);
    lp_because(planner, key, "1 thread on CPU %s, shared with compute: there is no other", list);
    lp_warn(planner, key, "pool %s finds no CPU of its own and shares CPU %s with compute",
            pool->name, list);
    return 0;
}

static int place_pool(struct lp_planner *planner, const struct lp_pool_settings *settings,
                      struct lp_pool_plan *pool)
{
    snprintf(pool->name, sizeof pool->name, "%s", settings->name);
    pool->borrows = settings->share;
    if (settings->blocking) {
        return lp_planner_place_blocking(planner, settings, pool);
    }
    if (!settings->threads && !*settings->cpus && !*settings->gpu) {
        return lp_fail(-EINVAL, "pools.%s: give threads, cpus or gpu, so that its size is known",
                       settings->name);
    }
    lp_cpuset *within;
    int err = lp_planner_find_restriction(planner, settings, pool, &within);
    if (err) {
        return err;
    }
    const struct lp_cpu **units = calloc(planner->cpu_count, sizeof *units);
    if (!units) {
        lp_cpuset_free(within);
        return lp_planner_no_memory();
    }
    const lp_cpuset *not_these = settings->share ? planner->plan->io_cpus : planner->taken;
    if (settings->share && planner->settings->io_threads == 0) {
        not_these = planner->taken; /* io_cpus are all there are */
    }
    unsigned free_units = list_candidates(planner, planner->taken, NULL, units);
    unsigned candidates = list_candidates(planner, not_these, within, units);
    unsigned count = how_many(planner, settings, within, candidates, free_units);
    if (count) {
        err = lp_planner_set_places(planner, pool, units + candidates - count, count);
    } /* else it shares a place of compute, which is not known yet */
    if (!err && !settings->share) {
        for (unsigned i = candidates - count; i < candidates; i++) {
            lp_cpuset_add(planner->taken, units[i]->os);
        }
        planner->left -= count;
    }
    if (!err && count) {
        explain_pool(planner, settings, pool);
    }
    free(units);
    lp_cpuset_free(within);
    return err;
}

/* ---- compute --------------------------------------------------------------------------------- */

/* The further hardware threads of cores that compute has a unit of, whole rounds of siblings. */
static unsigned add_siblings(struct lp_planner *planner, const struct lp_cpu **units,
                             unsigned count)
{
    unsigned own = count;
    lp_cpuset *seen = lp_cpuset_copy(planner->taken);
    for (unsigned i = 0; seen && i < count; i++) {
        lp_cpuset_add(seen, units[i]->os);
    }
    if (seen && planner->plan->io_count) {
        lp_cpuset_or(seen, planner->plan->io_cpus);
    }
    /* Cores are found by their place in planner.cpus, where the CPUs of one stand together. */
    const struct lp_core **core_of = calloc(own ? own : 1, sizeof *core_of);
    const struct lp_core **by_number =
        calloc(planner->input->machine->core_count, sizeof *by_number);
    for (unsigned i = 0; by_number && i < planner->core_count; i++) {
        by_number[planner->cores[i].cpus[0]->core] = &planner->cores[i];
    }
    unsigned most = 0;
    for (unsigned i = 0; seen && core_of && by_number && i < own; i++) {
        core_of[i] = by_number[units[i]->core];
        most = core_of[i]->count > most ? core_of[i]->count : most;
    }
    for (unsigned round = 0; round < most; round++) {
        for (unsigned i = 0; i < own; i++) {
            if (round < core_of[i]->count && !lp_cpuset_has(seen, core_of[i]->cpus[round]->os)) {
                units[count++] = core_of[i]->cpus[round];
                lp_cpuset_add(seen, core_of[i]->cpus[round]->os);
            }
        }
    }
    planner->failed |= !seen || !core_of || !by_number;
    free(core_of);
    free(by_number);
    lp_cpuset_free(seen);
    return count;
}

/* Everything compute could have, best first; *free_units: how many of them nobody else has. */
static unsigned order_for_compute(struct lp_planner *planner, const struct lp_cpu **units,
                                  unsigned *free_units)
{
    *free_units = list_candidates(planner, planner->taken, NULL, units);
    unsigned count = add_siblings(planner, units, *free_units);
    lp_cpuset *io = planner->plan->io_cpus;
    for (unsigned i = 0; planner->plan->io_count && i < planner->compute.count; i++) {
        const struct lp_cpu *cpu = planner->compute.cpus[i];
        if (lp_cpuset_has(planner->taken, cpu->os) && lp_cpuset_has(io, cpu->os)) {
            units[count++] = cpu;
        }
    }
    return count;
}

static void explain_compute(struct lp_planner *planner, unsigned count, unsigned chosen,
                            bool is_crowded)
{
    const struct lp_plan_settings *settings = planner->settings;
    unsigned others = planner->limit - planner->left;
    char where[64];
    snprintf(where, sizeof where, "%u thread%s", count, lp_plural(count));
    if (settings->compute_threads) {
        lp_because(planner, "compute", "%s by compute.threads = %u; %u would have been chosen",
                   where, settings->compute_threads, chosen);
    } else if (chosen < planner->left) {
        lp_because(planner, "compute", "%s: all CPUs that are left", where);
    } else if (others) {
        lp_because(planner, "compute", "%s: the budget of %u less %u for I/O and other pools",
                   where, planner->limit, others);
    } else {
        lp_because(planner, "compute", "%s: the whole budget", where);
    }
    if (!is_crowded && count > planner->limit) {
        lp_warn(planner, "compute", "compute.threads = %u is more than the budget of %u", count,
                planner->limit);
    }
}

static int place_compute(struct lp_planner *planner, struct lp_pool_plan *pool)
{
    const struct lp_plan_settings *settings = planner->settings;
    const struct lp_cpu **units = calloc(2 * (size_t)planner->cpu_count, sizeof *units);
    if (!units) {
        return lp_planner_no_memory();
    }
    unsigned free_units;
    unsigned there = order_for_compute(planner, units, &free_units);
    unsigned chosen = planner->left < free_units ? planner->left : free_units;
    chosen = chosen ? chosen : 1;
    unsigned count = settings->compute_threads ? settings->compute_threads : chosen;
    pool->crowded = count > there;
    const struct lp_cpu **all = calloc(count, sizeof *all);
    int err = all ? 0 : lp_planner_no_memory();
    for (unsigned i = 0; !err && i < count; i++) {
        all[i] = units[i % there];
    }
    if (!err) {
        err = lp_planner_set_places(planner, pool, all, count);
    }
    if (!err) {
        explain_compute(planner, count, chosen, pool->crowded);
    }
    free(all);
    free(units);
    return err;
}

/* One thread for each place, or with OMP_PLACES, as libomp does it, one for each of their CPUs; the
 * threads of one place are neighbours then. */
static int place_listed(struct lp_planner *planner, struct lp_pool_plan *pool)
{
    enum {
        MOST = 1024 /* as compute.threads */
    };
    const struct lp_plan_settings *settings = planner->settings;
    const struct lp_omp_places *listed = &planner->listed;
    unsigned cpus = (unsigned)lp_cpuset_count(planner->listed_cpus);
    bool fill = settings->places_of_openmp;
    unsigned chosen = fill && cpus > listed->count ? cpus : listed->count;
    unsigned count = settings->compute_threads ? settings->compute_threads : chosen;
    if (count > MOST) {
        return lp_fail(-EINVAL, "places = \"%.100s\" has %u places; at most %d are possible",
                       settings->places, count, MOST);
    }
    int err = lp_planner_new_places(pool, count);
    if (err) {
        return err;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned place = fill && count > listed->count
                             ? (unsigned)((unsigned long long)i * listed->count / count)
                             : i % listed->count;
        lp_cpuset_or(pool->places[i].cpus, listed->places[place]);
    }
    pool->crowded = count > cpus;
    lp_because(planner, "compute", "%u thread%s on %u listed place%s%s", count, lp_plural(count),
               listed->count, lp_plural(listed->count),
               settings->compute_threads ? ", by compute.threads"
               : count > listed->count   ? ", one for each of their CPUs"
                                         : "");
    if (!pool->crowded && count > planner->limit) {
        lp_warn(planner, "places", "%u threads on listed places are more than the budget of %u",
                count, planner->limit);
    }
    return 0;
}

static void explain_places(struct lp_planner *planner)
{
    const struct lp_plan_settings *settings = planner->settings;
    enum grouping grouping = grouping_of(settings);
    const char *what = planner->listed.count  ? "as listed in the setting places"
                       : grouping == BY_CACHE ? "the CPUs of a pool in one cache group"
                       : grouping == BY_NODE  ? "the CPUs of a pool in one NUMA node"
                                              : "one CPU";
    lp_because(planner, "places", "a place is %s, %s", what,
               planner->listed.count            ? "in the order of the list"
               : settings->spread == LP_SCATTER ? "cache groups in turn (spread = \"scatter\")"
                                                : "one cache group after the other");
}

/* ---- a pool for each GPU --------------------------------------------------------------------- */

/* owner[i]: which of the GPUs gets the i-th place of compute; a place near several goes to the one
 * with the fewest so far. */
static void deal_to_gpus(const struct lp_planner *planner, const struct lp_pool_plan *compute,
                         unsigned *owner, unsigned *counts)
{
    for (unsigned i = 0; i < compute->count; i++) {
        owner[i] = planner->gpu_count;
        for (unsigned k = 0; k < planner->gpu_count; k++) {
            const struct lp_device *gpu = &planner->input->devices->entries[planner->gpus[k]];
            if (gpu->local_known && lp_cpuset_intersects(gpu->local, compute->places[i].cpus) &&
                (owner[i] == planner->gpu_count || counts[k] < counts[owner[i]])) {
                owner[i] = k;
            }
        }
        if (owner[i] < planner->gpu_count) {
            counts[owner[i]]++;
        }
    }
}

static int place_gpu_pool(struct lp_planner *planner, unsigned k, const unsigned *owner,
                          unsigned count)
{
    const struct lp_pool_plan *compute = lp_plan_compute(planner->plan);
    struct lp_pool_plan *pool = &planner->plan->pools[planner->plan->pool_count++];
    char key[LP_POOL_NAME + 8], list[LP_LIST_TEXT];
    snprintf(pool->name, sizeof pool->name, "gpu%u", k);
    snprintf(key, sizeof key, "pool.gpu%u", k);
    lp_planner_device_names(planner, &planner->gpus[k], 1, pool->gpu, sizeof pool->gpu);
    int err = lp_planner_new_places(pool, count ? count : 1);
    lp_cpuset *all = err ? NULL : lp_cpuset_new();
    if (!all) {
        return lp_planner_no_memory();
    }
    unsigned next = 0;
    for (unsigned i = 0; i < compute->count; i++) {
        if (count ? owner[i] == k : i + 1 == compute->count) {
            lp_cpuset_or(pool->places[next++].cpus, compute->places[i].cpus);
            lp_cpuset_or(all, compute->places[i].cpus);
        }
    }
    pool->borrows = true;
    pool->crowded = compute->crowded && (unsigned)lp_cpuset_count(all) < pool->count;
    lp_because(planner, key, "%u thread%s near %s (CPUs %s), shared with compute", pool->count,
               lp_plural(pool->count), pool->gpu, lp_planner_list(all, list));
    if (!count) {
        lp_warn(planner, key, "no place of compute is near %s: pool gpu%u shares the last one",
                pool->gpu, k);
    }
    lp_cpuset_free(all);
    return 0;
}

static int place_gpu_pools(struct lp_planner *planner)
{
    const struct lp_pool_plan *compute = lp_plan_compute(planner->plan);
    unsigned *owner = calloc(compute->count, sizeof *owner);
    unsigned *counts = calloc(planner->gpu_count, sizeof *counts);
    int err = owner && counts ? 0 : lp_planner_no_memory();
    if (!err) {
        deal_to_gpus(planner, compute, owner, counts);
    }
    for (unsigned k = 0; !err && k < planner->gpu_count; k++) {
        err = place_gpu_pool(planner, k, owner, counts[k]);
    }
    free(owner);
    free(counts);
    return err;
}

int lp_planner_place_pools(struct lp_planner *planner)
{
    const struct lp_plan_settings *settings = planner->settings;
    struct lp_plan *plan = planner->plan;
    bool each = settings->gpu_pools == LP_GPU_EACH && planner->gpu_count > 1;
    plan->pools =
        calloc(1 + settings->pool_count + (each ? planner->gpu_count : 0), sizeof *plan->pools);
    if (!plan->pools) {
        return lp_planner_no_memory();
    }
    struct lp_pool_plan *compute = &plan->pools[0];
    snprintf(compute->name, sizeof compute->name, "compute");
    lp_planner_device_names(planner, planner->gpus, planner->gpu_count, compute->gpu,
                            sizeof compute->gpu);
    plan->pool_count = 1;
    int err = 0;
    for (unsigned i = 0; !err && i < settings->pool_count; i++) {
        plan->pool_count++;
        err = place_pool(planner, &settings->pools[i], &plan->pools[i + 1]);
    }
    if (!err) {
        plan->budget_of_others = planner->limit - planner->left;
        err = planner->listed.count ? place_listed(planner, compute)
                                    : place_compute(planner, compute);
    }
    for (unsigned i = 1; !err && i < plan->pool_count; i++) {
        err = plan->pools[i].places ? 0 : place_with_compute(planner, &plan->pools[i]);
    }
    if (!err) {
        explain_places(planner);
        err = each ? place_gpu_pools(planner) : 0;
    }
    return err;
}
