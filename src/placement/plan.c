/* SPDX-License-Identifier: MIT */
/* Owns the decision who runs where. Pure: it reads its arguments and allocates its answer.
 *
 * The rule: one place per core (its first allowed CPU). The loops get the first cores, one each, as
 * long as one core is left for compute; the rest is compute. A place that must share its CPU, with
 * a loop or another place, says so. */
#include "placement/plan.h"

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maker {
    struct lp_plan *plan;
    unsigned core_count;
    const lp_cpuset **cores; /* those that may be used, borrowed from the topology */
    lp_cpuset *usable;
};

__attribute__((format(printf, 2, 3))) static void because(struct lp_plan *plan, const char *format,
                                                          ...)
{
    size_t used = strlen(plan->reasons);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(plan->reasons + used, sizeof plan->reasons - used, format, arguments);
    va_end(arguments);
}

/* The CPUs that the settings leave, and the cores that have one of them. */
static int find_usable(struct maker *maker, const struct lp_topology *topology,
                       const struct lp_plan_settings *settings)
{
    char list[256];
    lp_cpuset_format(topology->allowed, list, sizeof list);
    because(maker->plan, "%u cores with allowed CPUs (%s)\n", topology->core_count, list);
    maker->usable = lp_cpuset_copy(topology->allowed);
    if (!maker->usable) {
        return -ENOMEM;
    }
    if (*settings->cpus) {
        lp_cpuset *wanted = lp_cpuset_parse(settings->cpus);
        if (!wanted) {
            return -EINVAL;
        }
        lp_cpuset_and(maker->usable, wanted);
        lp_cpuset_free(wanted);
        if (lp_cpuset_first(maker->usable) < 0) {
            return lp_fail(-EINVAL, "cpus = \"%s\": none of these CPUs is allowed (%s are)",
                           settings->cpus, list);
        }
        lp_cpuset_format(maker->usable, list, sizeof list);
        because(maker->plan, "%s of them by the setting cpus\n", list);
    }
    maker->cores = calloc(topology->core_count, sizeof *maker->cores);
    if (!maker->cores) {
        return lp_fail(-ENOMEM, "no memory for a plan");
    }
    for (unsigned i = 0; i < topology->core_count; i++) {
        if (lp_cpuset_intersects(topology->cores[i], maker->usable)) {
            maker->cores[maker->core_count++] = topology->cores[i];
        }
    }
    return 0;
}

/* The first usable CPU of a core. */
static unsigned cpu_of(const struct maker *maker, unsigned core)
{
    int cpu = lp_cpuset_first(maker->cores[core]);
    while (!lp_cpuset_has(maker->usable, (unsigned)cpu)) {
        cpu = lp_cpuset_next(maker->cores[core], cpu);
    }
    return (unsigned)cpu;
}

static int choose_io_cpus(struct maker *maker, const struct lp_plan_settings *settings)
{
    struct lp_plan *plan = maker->plan;
    if (*settings->io_cpus) {
        plan->io_cpus = lp_cpuset_parse(settings->io_cpus);
        if (!plan->io_cpus) {
            return -EINVAL;
        }
        lp_cpuset_and(plan->io_cpus, maker->usable);
        if (lp_cpuset_first(plan->io_cpus) < 0) {
            return lp_fail(-EINVAL, "io.cpus = \"%s\": none of these CPUs may be used",
                           settings->io_cpus);
        }
        because(plan, "%u I/O threads on the CPUs of io.cpus\n", settings->io_threads);
        return 0;
    }
    plan->io_cpus = lp_cpuset_new();
    if (!plan->io_cpus) {
        return -ENOMEM;
    }
    unsigned cores = maker->core_count > 1 ? maker->core_count - 1 : 1;
    if (settings->io_threads < cores) {
        cores = settings->io_threads;
    }
    for (unsigned i = 0; i < cores; i++) {
        lp_cpuset_add(plan->io_cpus, cpu_of(maker, i));
    }
    because(plan, "%u I/O thread%s on %u core%s of %s own%s\n", settings->io_threads,
            settings->io_threads == 1 ? "" : "s", cores, cores == 1 ? "" : "s",
            cores == 1 ? "its" : "their",
            maker->core_count == 1 ? ", shared with compute: there is only one" : "");
    return 0;
}

static int set_place(struct maker *maker, struct lp_place *place, int cpu, bool shared)
{
    place->shared = shared;
    if (maker->plan->pin) {
        place->cpus = lp_cpuset_new();
        if (place->cpus) {
            lp_cpuset_add(place->cpus, (unsigned)cpu);
        }
    } else {
        place->cpus = lp_cpuset_copy(maker->usable);
    }
    return place->cpus ? 0 : -ENOMEM;
}

static int place_io(struct maker *maker)
{
    struct lp_plan *plan = maker->plan;
    int cpu = -1;
    for (unsigned i = 0; i < plan->io_count; i++) {
        cpu = lp_cpuset_next(plan->io_cpus, cpu);
        if (cpu < 0) {
            cpu = lp_cpuset_first(plan->io_cpus);
        }
        bool shared = plan->io_count > (unsigned)lp_cpuset_count(plan->io_cpus);
        if (set_place(maker, &plan->io[i], cpu, shared)) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* Cores without a loop first, then those with one, then from the start again. */
static int place_compute(struct maker *maker, unsigned wanted)
{
    struct lp_plan *plan = maker->plan;
    unsigned *order = calloc(maker->core_count, sizeof *order);
    if (!order) {
        return lp_fail(-ENOMEM, "no memory for a plan");
    }
    unsigned free_cores = 0;
    for (unsigned i = 0; i < maker->core_count; i++) {
        if (!lp_cpuset_intersects(maker->cores[i], plan->io_cpus)) {
            order[free_cores++] = i;
        }
    }
    unsigned sorted = free_cores;
    for (unsigned i = 0; i < maker->core_count; i++) {
        if (lp_cpuset_intersects(maker->cores[i], plan->io_cpus)) {
            order[sorted++] = i;
        }
    }
    unsigned count = wanted ? wanted : free_cores ? free_cores : 1;
    plan->crowded = count > maker->core_count;
    int err = 0;
    plan->compute = calloc(count, sizeof *plan->compute);
    if (!plan->compute) {
        err = lp_fail(-ENOMEM, "no memory for a plan");
    }
    for (unsigned i = 0; !err && i < count; i++) {
        bool shared = i % maker->core_count >= free_cores || count > maker->core_count ||
                      (!plan->pin && count > free_cores);
        err = set_place(maker, &plan->compute[i],
                        (int)cpu_of(maker, order[i % maker->core_count]), shared);
        plan->compute_count = err ? i : i + 1;
    }
    free(order);
    if (!err) {
        because(plan, "%u compute thread%s: %s%s\n", count, count == 1 ? "" : "s",
                wanted ? "compute.threads" : "one for each core that is left",
                count > maker->core_count ? "; more than cores, so several share one"
                : count > free_cores      ? "; some share a core with I/O"
                                          : "");
    }
    return err;
}

static int sum_up(struct lp_plan *plan)
{
    plan->cpus = lp_cpuset_copy(plan->io_cpus);
    if (!plan->cpus) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < plan->compute_count; i++) {
        lp_cpuset_or(plan->cpus, plan->compute[i].cpus);
    }
    if (!plan->pin) {
        because(plan, "threads are not pinned (pin = false)\n");
    }
    return 0;
}

int lp_plan_make(struct lp_plan *plan, const struct lp_topology *topology,
                 const struct lp_plan_settings *settings)
{
    *plan = (struct lp_plan){.pin = settings->pin};
    struct maker maker = {.plan = plan};
    int err = find_usable(&maker, topology, settings);
    if (!err) {
        err = choose_io_cpus(&maker, settings);
    }
    if (!err) {
        plan->io = calloc(settings->io_threads, sizeof *plan->io);
        plan->io_count = plan->io ? settings->io_threads : 0;
        err = plan->io ? place_io(&maker) : lp_fail(-ENOMEM, "no memory for a plan");
    }
    if (!err) {
        err = place_compute(&maker, settings->compute_threads);
    }
    if (!err) {
        err = sum_up(plan);
    }
    free(maker.cores);
    lp_cpuset_free(maker.usable);
    if (err) {
        lp_plan_fini(plan);
    }
    return err;
}

void lp_plan_fini(struct lp_plan *plan)
{
    for (unsigned i = 0; i < plan->io_count; i++) {
        lp_cpuset_free(plan->io[i].cpus);
    }
    for (unsigned i = 0; i < plan->compute_count; i++) {
        lp_cpuset_free(plan->compute[i].cpus);
    }
    free(plan->io);
    free(plan->compute);
    lp_cpuset_free(plan->io_cpus);
    lp_cpuset_free(plan->cpus);
    *plan = (struct lp_plan){0};
}
