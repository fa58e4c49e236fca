/* SPDX-License-Identifier: MIT */
/* Owns the plan of a pool that is opened while another plan is in force, which stays as it is. Pure. */
#include "placement/planner.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* One unit for each core of those CPUs, or all of them where hardware threads count as units. A core
 * whose first CPU is not among them has another. */
static unsigned list_units_within(const struct lp_planner *planner, const lp_cpuset *within,
                                  const struct lp_cpu **units)
{
    bool all_threads = lp_planner_uses_all_threads(planner->settings);
    unsigned count = 0;
    for (unsigned i = 0; i < planner->core_count; i++) {
        const struct lp_core *core = &planner->cores[i];
        bool has_one = false;
        for (unsigned k = 0; k < core->count && (all_threads || !has_one); k++) {
            if (lp_cpuset_has(within, core->cpus[k]->os)) {
                units[count++] = core->cpus[k];
                has_one = true;
            }
        }
    }
    return count;
}

static int place_within(struct lp_planner *planner, const struct lp_pool_settings *settings,
                        struct lp_pool_plan *pool, const lp_cpuset *within)
{
    const struct lp_cpu **units = calloc(planner->cpu_count, sizeof *units);
    if (!units) {
        return lp_planner_no_memory();
    }
    char list[LP_LIST_TEXT];
    unsigned count = list_units_within(planner, within, units);
    int err = 0;
    if (!count) {
        err = lp_fail(-EINVAL, "pools.%s: none of the CPUs %s may be used", settings->name,
                      lp_planner_list(within, list));
    } else {
        count = settings->threads && settings->threads < count ? settings->threads : count;
        err = lp_planner_set_places(planner, pool, units, count);
    }
    free(units);
    return err;
}

/* The first places of compute. */
static int place_on_compute(const struct lp_plan *plan, unsigned threads, struct lp_pool_plan *pool)
{
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    unsigned count = threads && threads < compute->count ? threads : compute->count;
    int err = lp_planner_new_places(pool, count);
    for (unsigned i = 0; !err && i < count; i++) {
        lp_cpuset_or(pool->places[i].cpus, compute->places[i].cpus);
    }
    pool->borrows = true;
    pool->crowded = compute->crowded;
    return err;
}

static int place(struct lp_planner *planner, const struct lp_plan *plan,
                 const struct lp_pool_settings *settings, struct lp_pool_plan *pool)
{
    if (settings->blocking) {
        return lp_planner_place_blocking(planner, settings, pool);
    }
    lp_cpuset *within;
    int err = lp_planner_find_restriction(planner, settings, pool, &within);
    if (err) {
        return err;
    }
    if (within) {
        err = place_within(planner, settings, pool, within);
    } else {
        /* A GPU of which nobody knows where it is could be anywhere: the pool is kept small. */
        unsigned threads = *settings->gpu && !settings->threads ? 1 : settings->threads;
        err = place_on_compute(plan, threads, pool);
    }
    lp_cpuset_free(within);
    return err;
}

/* Everything that has work of ours without this pool. */
static void find_users(const struct lp_plan *plan, const lp_cpuset *others, lp_cpuset *used)
{
    if (plan->io_count) {
        lp_cpuset_or(used, plan->io_cpus);
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        for (unsigned k = 0; k < plan->pools[i].count && !plan->pools[i].blocking; k++) {
            lp_cpuset_or(used, plan->pools[i].places[k].cpus);
        }
    }
    if (others) {
        lp_cpuset_or(used, others);
    }
}

static int finish(struct lp_planner *planner, const struct lp_plan *plan, const lp_cpuset *others,
                  const struct lp_pool_settings *settings, struct lp_pool_plan *pool)
{
    char key[LP_POOL_NAME + 8], list[LP_LIST_TEXT];
    unsigned places = pool->blocking ? 1 : pool->count;
    lp_cpuset *used = lp_cpuset_new();
    int err = used ? 0 : lp_planner_no_memory();
    if (!err) {
        find_users(plan, others, used);
    }
    for (unsigned i = 0; !err && i < places; i++) {
        struct lp_place *at = &pool->places[i];
        at->shared = pool->blocking || pool->crowded || lp_cpuset_intersects(at->cpus, used);
        pool->shares |= !pool->blocking && at->shared;
        if (!plan->pin) {
            lp_cpuset_or(at->cpus, plan->usable);
            at->shared = true; /* with whoever is there */
        }
        lp_planner_find_locality(planner->input->machine, at);
        lp_cpuset_or(planner->plan->cpus, at->cpus);
    }
    lp_cpuset_free(used);
    if (!err && !pool->blocking) {
        err = lp_planner_find_siblings(planner->input->machine, pool);
    }
    snprintf(key, sizeof key, "pool.%s", pool->name);
    if (!err && !pool->blocking) {
        lp_because(planner, key, "%u thread%s on CPU%s %s%s%s, opened at run time", pool->count,
                   lp_plural(pool->count),
                   lp_plural((unsigned)lp_cpuset_count(planner->plan->cpus)),
                   lp_planner_list(planner->plan->cpus, list),
                   *settings->cpus ? ", by its cpus"
                   : *pool->gpu    ? ", near its GPU"
                                   : "",
                   pool->shares ? ", shared with other threads of loomp's" : "");
        if (pool->count < settings->threads) {
            lp_warn(planner, key, "pool %s gets %u of the %u threads it asks for", pool->name,
                    pool->count, settings->threads);
        }
    }
    return err;
}

/* What the plan says of the machine is said already: only the pool's own sentences are kept. */
static int look_at_machine(struct lp_planner *planner)
{
    int err = lp_planner_list_units(planner);
    lp_reasons_fini(&planner->plan->reasons);
    lp_reasons_fini(&planner->plan->warnings);
    planner->plan->reasons = planner->plan->warnings = (struct lp_reasons){0};
    return err;
}

int lp_plan_one_more(struct lp_plan *more, const struct lp_plan *plan,
                     const struct lp_plan_input *input, const lp_cpuset *others,
                     const struct lp_pool_settings *settings)
{
    *more = (struct lp_plan){.pin = plan->pin,
                             .pools = calloc(1, sizeof *more->pools),
                             .io_cpus = lp_cpuset_copy(plan->io_cpus),
                             .usable = lp_cpuset_copy(plan->usable),
                             .cpus = lp_cpuset_new()};
    struct lp_planner planner = {
        .input = input, .settings = input->settings, .plan = more, .quota_ranks = 1};
    int err = -ENOMEM;
    if (more->pools && more->io_cpus && more->usable && more->cpus) {
        more->pool_count = 1;
        snprintf(more->pools[0].name, sizeof more->pools[0].name, "%s", settings->name);
        err = look_at_machine(&planner);
    } else {
        lp_planner_no_memory();
    }
    if (!err) {
        err = place(&planner, plan, settings, &more->pools[0]);
    }
    if (!err) {
        err = finish(&planner, plan, others, settings, &more->pools[0]);
    }
    if (!err && (planner.failed || more->reasons.incomplete || more->warnings.incomplete)) {
        err = lp_planner_no_memory();
    }
    lp_planner_fini(&planner);
    if (err) {
        lp_plan_fini(more);
    }
    return err;
}
