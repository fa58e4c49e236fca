/* SPDX-License-Identifier: MIT */
/* Owns the order of the planner's steps and what is found by looking over the finished plan. Pure:
 * it reads its arguments and allocates its answer. */
#include "placement/plan.h"

#include "base/error.h"
#include "placement/planner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- looking over the plan ------------------------------------------------------------------- */

/* `once` holds the CPUs that have an owner, `twice` those that have several. */
static int count_owner(const lp_cpuset *cpus, lp_cpuset *once, lp_cpuset *twice)
{
    lp_cpuset *again = lp_cpuset_copy(cpus);
    if (!again) {
        return lp_planner_no_memory();
    }
    lp_cpuset_and(again, once);
    lp_cpuset_or(twice, again);
    lp_cpuset_free(again);
    lp_cpuset_or(once, cpus);
    return 0;
}

static void mark_pool(struct lp_pool_plan *pool, const lp_cpuset *twice)
{
    for (unsigned i = 0; i < pool->count && !pool->blocking; i++) {
        struct lp_place *place = &pool->places[i];
        bool mixed = lp_cpuset_intersects(place->cpus, twice);
        place->shared = mixed || pool->crowded;
        pool->shares |= mixed;
    }
}

/* Which places have other work of ours on their CPUs. */
static int mark_shared(struct lp_plan *plan)
{
    lp_cpuset *once = lp_cpuset_new();
    lp_cpuset *twice = lp_cpuset_new();
    lp_cpuset *owner = lp_cpuset_new();
    int err = once && twice && owner ? 0 : lp_planner_no_memory();
    if (!err && plan->io_count) {
        err = count_owner(plan->io_cpus, once, twice);
    }
    for (unsigned i = 0; !err && i < plan->pool_count; i++) {
        struct lp_pool_plan *pool = &plan->pools[i];
        lp_cpuset_remove(owner, owner); /* empty again */
        for (unsigned k = 0; k < pool->count && !pool->blocking; k++) {
            lp_cpuset_or(owner, pool->places[k].cpus);
        }
        err = count_owner(owner, once, twice);
    }
    for (unsigned i = 0; !err && i < plan->pool_count; i++) {
        mark_pool(&plan->pools[i], twice);
    }
    unsigned io_cpus = plan->io_count ? (unsigned)lp_cpuset_count(plan->io_cpus) : 0;
    for (unsigned i = 0; !err && i < plan->io_count; i++) {
        plan->io[i].shared =
            plan->io_count > io_cpus || lp_cpuset_intersects(plan->io[i].cpus, twice);
    }
    lp_cpuset_free(once);
    lp_cpuset_free(twice);
    lp_cpuset_free(owner);
    return err;
}

void lp_planner_find_locality(const struct lp_machine *machine, struct lp_place *place)
{
    bool is_first = true;
    place->node = place->cache = -1;
    for (int os = lp_cpuset_first(place->cpus); os >= 0; os = lp_cpuset_next(place->cpus, os)) {
        const struct lp_cpu *cpu = lp_machine_cpu(machine, (unsigned)os);
        int node = cpu ? (int)cpu->node_os : -1, cache = cpu ? (int)cpu->cache : -1;
        place->node = is_first || place->node == node ? node : -1;
        place->cache = is_first || place->cache == cache ? cache : -1;
        is_first = false;
    }
}

int lp_planner_find_siblings(const struct lp_machine *machine, struct lp_pool_plan *pool)
{
    bool *has = calloc(machine->core_count + 1, sizeof *has);
    if (!has) {
        return lp_planner_no_memory();
    }
    for (unsigned i = 0; i < pool->count; i++) {
        const lp_cpuset *cpus = pool->places[i].cpus;
        const struct lp_cpu *cpu =
            lp_cpuset_count(cpus) == 1 ? lp_machine_cpu(machine, (unsigned)lp_cpuset_first(cpus))
                                       : NULL;
        if (cpu && cpu->core < machine->core_count) {
            pool->places[i].sibling = has[cpu->core];
            has[cpu->core] = true;
        }
    }
    free(has);
    return 0;
}

static int sum_up(struct lp_planner *planner)
{
    struct lp_plan *plan = planner->plan;
    plan->cpus = plan->io_count ? lp_cpuset_copy(plan->io_cpus) : lp_cpuset_new();
    if (!plan->cpus) {
        return lp_planner_no_memory();
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        for (unsigned k = 0; k < plan->pools[i].count && !plan->pools[i].blocking; k++) {
            lp_cpuset_or(plan->cpus, plan->pools[i].places[k].cpus);
        }
    }
    return mark_shared(plan);
}

/* Threads that are not pinned may be anywhere, and meet if there are more of them than CPUs. */
static int unpin(struct lp_planner *planner, unsigned threads, unsigned units)
{
    struct lp_plan *plan = planner->plan;
    for (unsigned i = 0; i < plan->pool_count; i++) {
        struct lp_pool_plan *pool = &plan->pools[i];
        for (unsigned k = 0; k < (pool->blocking ? 1 : pool->count); k++) {
            lp_cpuset_or(pool->places[k].cpus, plan->usable);
            pool->places[k].shared = threads > units;
        }
    }
    for (unsigned i = 0; i < plan->io_count; i++) {
        plan->io[i].shared = threads > units;
    }
    lp_cpuset_or(plan->cpus, plan->usable);
    lp_because(planner, "pin",
               "threads are not pinned (pin = false): each may run on all usable "
               "CPUs");
    return 0;
}

static unsigned count_threads(const struct lp_plan *plan)
{
    unsigned threads = plan->io_count;
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        threads += pool->blocking || pool->borrows ? 0 : pool->count;
    }
    return threads;
}

static void warn_of_crowds(struct lp_planner *planner, unsigned threads)
{
    const struct lp_pool_plan *compute = lp_plan_compute(planner->plan);
    /* One of each is the least there can be, so it is nobody's mistake. */
    if (compute->crowded) {
        lp_warn(planner, "compute", "%u compute threads share CPUs: there are not so many",
                compute->count);
    } else if (!(threads == 2 && planner->plan->io_count == 1) &&
               2 * threads > 3 * planner->core_count) {
        lp_warn(planner, "threads", "%u threads on %u core%s are more than 1.5 for each", threads,
                planner->core_count, lp_plural(planner->core_count));
    }
}

static void explain_memory(struct lp_planner *planner)
{
    const struct lp_pool_plan *compute = lp_plan_compute(planner->plan);
    lp_cpuset *nodes = lp_cpuset_new();
    unsigned spanning = 0;
    for (unsigned i = 0; nodes && i < compute->count; i++) {
        int node = compute->places[i].node;
        spanning += node < 0;
        if (node >= 0) {
            lp_cpuset_add(nodes, (unsigned)node);
        }
    }
    char list[LP_LIST_TEXT];
    if (nodes && planner->input->machine->node_count > 1) {
        if (spanning) {
            lp_because(planner, "memory",
                       "%u place%s span several NUMA nodes: memory comes from "
                       "where it is first touched",
                       spanning, lp_plural(spanning));
        } else {
            lp_because(planner, "memory", "from NUMA node%s %s, each thread from its own",
                       lp_plural((unsigned)lp_cpuset_count(nodes)), lp_planner_list(nodes, list));
        }
    }
    lp_cpuset_free(nodes);
}

static int look_over(struct lp_planner *planner)
{
    struct lp_plan *plan = planner->plan;
    int err = sum_up(planner);
    unsigned threads = count_threads(plan);
    if (!err && !plan->pin) {
        err = unpin(planner, threads, planner->cpu_count);
    }
    if (err) {
        return err;
    }
    for (unsigned i = 0; i < plan->io_count; i++) {
        lp_planner_find_locality(planner->input->machine, &plan->io[i]);
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        for (unsigned k = 0; k < (plan->pools[i].blocking ? 1 : plan->pools[i].count); k++) {
            lp_planner_find_locality(planner->input->machine, &plan->pools[i].places[k]);
        }
        if (!err && !plan->pools[i].blocking) {
            err = lp_planner_find_siblings(planner->input->machine, &plan->pools[i]);
        }
    }
    explain_memory(planner);
    warn_of_crowds(planner, threads);
    return planner->failed || plan->reasons.incomplete || plan->warnings.incomplete
               ? lp_planner_no_memory()
               : 0;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static int run_steps(struct lp_planner *planner)
{
    static int (*const steps[])(struct lp_planner *) = {
        lp_planner_find_usable, lp_planner_list_units,  lp_planner_find_budget,
        lp_planner_place_io,    lp_planner_place_pools, look_over,
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int err = steps[i](planner);
        if (err) {
            return err;
        }
    }
    return 0;
}

void lp_planner_fini(struct lp_planner *planner)
{
    free(planner->gpus);
    free(planner->cpus);
    free(planner->cores);
    free(planner->compute.cpus);
    free(planner->io.cpus);
    lp_omp_places_fini(&planner->listed);
    lp_cpuset_free(planner->listed_cpus);
    lp_cpuset_free(planner->taken);
}

int lp_plan_make(struct lp_plan *plan, const struct lp_plan_input *input)
{
    *plan = (struct lp_plan){.pin = input->settings->pin};
    struct lp_planner planner = {
        .input = input, .settings = input->settings, .plan = plan, .quota_ranks = 1};
    int err = run_steps(&planner);
    lp_planner_fini(&planner);
    if (err) {
        lp_plan_fini(plan);
    }
    return err;
}

bool lp_plan_is_crowded(const struct lp_plan *plan)
{
    bool is_crowded = false;
    for (unsigned i = 0; i < plan->pool_count; i++) {
        const struct lp_pool_plan *pool = &plan->pools[i];
        is_crowded |= pool->crowded || (i > 0 && !pool->blocking && (pool->borrows || pool->shares));
    }
    return is_crowded;
}

void lp_plan_fini(struct lp_plan *plan)
{
    for (unsigned i = 0; i < plan->io_count; i++) {
        lp_cpuset_free(plan->io[i].cpus);
    }
    for (unsigned i = 0; i < plan->pool_count; i++) {
        struct lp_pool_plan *pool = &plan->pools[i];
        for (unsigned k = 0; pool->places && k < (pool->blocking ? 1 : pool->count); k++) {
            lp_cpuset_free(pool->places[k].cpus);
        }
        free(pool->places);
    }
    free(plan->io);
    free(plan->pools);
    lp_cpuset_free(plan->io_cpus);
    lp_cpuset_free(plan->usable);
    lp_cpuset_free(plan->cpus);
    lp_reasons_fini(&plan->reasons);
    lp_reasons_fini(&plan->warnings);
    *plan = (struct lp_plan){0};
}
