/* SPDX-License-Identifier: MIT */
/* Owns the third and fourth step of a plan: how many threads may run, and where the I/O threads
 * are. Pure. */
#include "placement/planner.h"

#include "base/error.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the budget ------------------------------------------------------------------------------ */

/* Quotas are quotients of whole microseconds: what is this near to a whole number is one. */
static const double rounding_error = 1e-9;

static unsigned round_quota(double quota, enum lp_rounding rounding)
{
    double whole = rounding == LP_ROUND_DOWN ? floor(quota + rounding_error)
                   : rounding == LP_ROUND_UP ? ceil(quota - rounding_error)
                                             : floor(quota + 0.5 + rounding_error);
    return whole < 1.0 ? 1 : whole > 1e6 ? 1000000 : (unsigned)whole;
}

/* Threads that a quota allows; 0: it does not matter. */
static unsigned quota_threads(const struct lp_cgroup *cgroup, unsigned ranks,
                              enum lp_rounding rounding)
{
    return cgroup && cgroup->quota > 0.0 ? round_quota(cgroup->quota / ranks, rounding) : 0;
}

static unsigned bounded(unsigned units, unsigned quota, unsigned reserve)
{
    unsigned limit = quota && quota < units ? quota : units;
    return limit > reserve ? limit - reserve : 1;
}

/* How many CPUs there are to choose from, for either purpose. */
static unsigned count_candidates(struct lp_planner *planner)
{
    unsigned count = planner->compute.count;
    lp_cpuset *seen = lp_cpuset_new();
    planner->failed |= !seen;
    for (unsigned i = 0; seen && i < planner->compute.count; i++) {
        lp_cpuset_add(seen, planner->compute.cpus[i]->os);
    }
    for (unsigned i = 0; seen && i < planner->io.count; i++) {
        count += !lp_cpuset_has(seen, planner->io.cpus[i]->os);
    }
    lp_cpuset_free(seen);
    return count;
}

static void explain_budget(struct lp_planner *planner, unsigned units, unsigned quota)
{
    const struct lp_plan_settings *settings = planner->settings;
    static const char *const words[] = {"down", "to the nearest", "up"};
    char share[48] = "", kept[48] = "";
    if (quota) {
        const struct lp_cgroup *cgroup = planner->input->cgroup;
        if (planner->quota_ranks > 1) {
            snprintf(share, sizeof share, ", shared by %u ranks", planner->quota_ranks);
        }
        lp_because(planner, "quota", "%g CPUs (%s)%s, rounded %s: %u", cgroup->quota,
                   *cgroup->quota_from ? cgroup->quota_from : "as asked for", share,
                   words[settings->rounding], quota);
    }
    if (settings->reserve) {
        lp_because(planner, "reserve", "%u CPU%s kept back (reserve = %u)", settings->reserve,
                   lp_plural(settings->reserve), settings->reserve);
        snprintf(kept, sizeof kept, ", %u kept back", settings->reserve);
    }
    if (quota && quota < units) {
        lp_because(planner, "budget", "%u thread%s at once: quota %u of %u usable%s",
                   planner->limit, lp_plural(planner->limit), quota, units, kept);
    } else {
        lp_because(planner, "budget", "%u thread%s at once: %u usable%s%s", planner->limit,
                   lp_plural(planner->limit), units, quota ? ", within the quota" : "", kept);
    }
}

int lp_planner_find_budget(struct lp_planner *planner)
{
    const struct lp_plan_settings *settings = planner->settings;
    unsigned units = count_candidates(planner);
    unsigned quota =
        quota_threads(planner->input->cgroup, planner->quota_ranks, settings->rounding);
    planner->limit = planner->left = bounded(units, quota, settings->reserve);
    planner->plan->budget = planner->limit;
    planner->plan->quota = quota;
    explain_budget(planner, units, quota);
    return 0;
}

unsigned lp_plan_width_now(const struct lp_plan *plan, const struct lp_plan_settings *settings,
                           const struct lp_cgroup *cgroup, const struct lp_rank *rank,
                           const lp_cpuset *allowed)
{
    const struct lp_pool_plan *compute = lp_plan_compute(plan);
    unsigned there = 0;
    lp_cpuset *left = lp_cpuset_new();
    for (unsigned i = 0; left && i < compute->count; i++) {
        lp_cpuset_or(left, compute->places[i].cpus);
    }
    if (left) {
        lp_cpuset_and(left, allowed);
        unsigned cpus = (unsigned)lp_cpuset_count(left);
        there = compute->crowded || cpus > compute->count ? compute->count : cpus;
        lp_cpuset_free(left);
    }
    unsigned ranks = rank && rank->local_size > 1 ? (unsigned)rank->local_size : 1;
    unsigned quota = quota_threads(cgroup, ranks, settings->rounding);
    unsigned others = plan->budget_of_others + settings->reserve;
    bool tighter = quota && (!plan->quota || quota < plan->quota);
    if (tighter && quota < there + others) {
        there = quota > others ? quota - others : 1;
    }
    return there > 0 ? there : 1;
}

/* ---- I/O ------------------------------------------------------------------------------------- */

static int add_io_cpu(struct lp_planner *planner, unsigned index, int cpu)
{
    struct lp_place *place = &planner->plan->io[index];
    place->cpus = planner->plan->pin ? lp_cpuset_new() : lp_cpuset_copy(planner->plan->usable);
    if (!place->cpus) {
        return lp_planner_no_memory();
    }
    if (planner->plan->pin) {
        lp_cpuset_add(place->cpus, (unsigned)cpu);
    }
    return 0;
}

/* Round robin over io_cpus_in_order. */
static int deal_out(struct lp_planner *planner, const unsigned *cpus, unsigned count)
{
    for (unsigned i = 0; i < planner->plan->io_count; i++) {
        int err = add_io_cpu(planner, i, (int)cpus[i % count]);
        if (err) {
            return err;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        lp_cpuset_add(planner->plan->io_cpus, cpus[i]);
    }
    return 0;
}

/* The setting io.cpus. */
static int place_io_on(struct lp_planner *planner, const char *text)
{
    struct lp_plan *plan = planner->plan;
    char list[LP_LIST_TEXT];
    lp_cpuset *wanted;
    int err = lp_cpuset_read(&wanted, text);
    if (err) {
        return err;
    }
    lp_cpuset_and(wanted, plan->usable);
    unsigned count = (unsigned)lp_cpuset_count(wanted);
    unsigned *cpus = calloc(count ? count : 1, sizeof *cpus);
    err = cpus ? 0 : lp_planner_no_memory();
    if (!err && !count) {
        err = lp_fail(-EINVAL, "io.cpus = \"%s\": none of these CPUs may be used (%s may)", text,
                      lp_planner_list(plan->usable, list));
    }
    if (!err) {
        unsigned k = 0;
        for (int cpu = lp_cpuset_first(wanted); cpu >= 0; cpu = lp_cpuset_next(wanted, cpu)) {
            cpus[k++] = (unsigned)cpu;
        }
        err = deal_out(planner, cpus, count);
    }
    if (!err) {
        unsigned own = plan->io_count < count ? plan->io_count : count;
        own = own < planner->limit ? own : planner->limit - 1;
        planner->left -= own;
        lp_cpuset_or(planner->taken, plan->io_cpus);
        lp_because(planner, "io", "%u thread%s on CPUs %s (io.cpus = \"%s\")", plan->io_count,
                   lp_plural(plan->io_count), lp_planner_list(plan->io_cpus, list), text);
    }
    free(cpus);
    lp_cpuset_free(wanted);
    return err;
}

/* The CPUs near the device of io.near, or NULL where nothing is known. */
static int find_near(struct lp_planner *planner, lp_cpuset **near)
{
    *near = NULL;
    const char *text = planner->settings->io_near;
    if (!*text) {
        return 0;
    }
    const struct lp_devices *devices = planner->input->devices;
    if (!devices || devices->count == 0) {
        return lp_fail(-ENODEV, "io.near = \"%s\": no such device was found on this machine", text);
    }
    unsigned *chosen = calloc(devices->count, sizeof *chosen);
    if (!chosen) {
        return lp_planner_no_memory();
    }
    int count = lp_devices_choose(devices, LP_DEVICE_NETWORK, text, chosen);
    if (count == -ENODEV) {
        count = lp_devices_choose(devices, LP_DEVICE_STORAGE, text, chosen);
    }
    if (count == -ENODEV) {
        count = lp_fail(-ENODEV,
                        "io.near = \"%s\": there is no such network or storage device "
                        "here (loomp-info lists them)",
                        text);
    }
    int err = count < 0 ? count
                        : lp_planner_near(planner, "io.near", chosen, (unsigned)count,
                                          planner->plan->usable, near);
    free(chosen);
    return err;
}

/* The first `own` candidates, near ones before others. */
static void choose_io(const struct lp_planner *planner, const lp_cpuset *near, unsigned own,
                      unsigned *cpus)
{
    unsigned count = 0;
    for (int round = near ? 0 : 1; round < 2; round++) {
        for (unsigned i = 0; i < planner->io.count && count < own; i++) {
            unsigned cpu = planner->io.cpus[i]->os;
            bool is_near = near && lp_cpuset_has(near, cpu);
            if (round == 0 ? is_near : !is_near) {
                cpus[count++] = cpu;
            }
        }
    }
}

static void explain_io(struct lp_planner *planner, unsigned own, const lp_cpuset *near)
{
    const struct lp_plan *plan = planner->plan;
    char list[LP_LIST_TEXT], beside[96] = "";
    if (near) {
        snprintf(beside, sizeof beside, ", near %s", planner->settings->io_near);
    }
    lp_planner_list(plan->io_cpus, list);
    if (own == 0) {
        lp_because(planner, "io",
                   "%u thread%s on CPU %s, shared with compute: there is room for "
                   "one thread only%s",
                   plan->io_count, lp_plural(plan->io_count), list, beside);
    } else if (own < plan->io_count) {
        lp_because(planner, "io", "%u threads share %u CPU%s of their own (%s)%s", plan->io_count,
                   own, lp_plural(own), list, beside);
    } else {
        lp_because(planner, "io", "%u thread%s on %s (%s)%s", own, lp_plural(own),
                   own == 1 ? "a CPU of its own" : "CPUs of their own", list, beside);
    }
}

static int place_io_where_chosen(struct lp_planner *planner)
{
    struct lp_plan *plan = planner->plan;
    lp_cpuset *near;
    int err = find_near(planner, &near);
    if (err) {
        return err;
    }
    unsigned own = plan->io_count < planner->io.count ? plan->io_count : planner->io.count;
    own = own < planner->limit ? own : planner->limit - 1;
    unsigned *cpus = calloc(own ? own : 1, sizeof *cpus);
    if (!cpus) {
        lp_cpuset_free(near);
        return lp_planner_no_memory();
    }
    if (own) {
        choose_io(planner, near, own, cpus);
    } else {
        cpus[0] = planner->listed.count ? (unsigned)lp_cpuset_first(planner->listed.places[0])
                                        : planner->compute.cpus[0]->os;
    }
    err = deal_out(planner, cpus, own ? own : 1);
    if (!err && own) {
        planner->left -= own;
        lp_cpuset_or(planner->taken, plan->io_cpus);
    }
    if (!err) {
        explain_io(planner, own, near);
    }
    free(cpus);
    lp_cpuset_free(near);
    return err;
}

int lp_planner_place_io(struct lp_planner *planner)
{
    struct lp_plan *plan = planner->plan;
    unsigned count = planner->settings->io_threads;
    planner->taken = lp_cpuset_new();
    if (!count) {
        plan->io_cpus = lp_cpuset_copy(plan->usable);
        return planner->taken && plan->io_cpus ? 0 : lp_planner_no_memory();
    }
    plan->io_cpus = lp_cpuset_new();
    plan->io = calloc(count, sizeof *plan->io);
    if (!planner->taken || !plan->io_cpus || !plan->io) {
        return lp_planner_no_memory();
    }
    plan->io_count = count;
    return *planner->settings->io_cpus ? place_io_on(planner, planner->settings->io_cpus)
                                       : place_io_where_chosen(planner);
}
