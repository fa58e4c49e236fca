/* SPDX-License-Identifier: MIT */
/* Owns the first step of a plan: which CPUs it may choose from, after the kernel, the settings, the
 * GPU and the other ranks have had their say. Pure. */
#include "placement/planner.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_empty(const lp_cpuset *set)
{
    return lp_cpuset_first(set) < 0;
}

/* ---- what the kernel allows ------------------------------------------------------------------ */

static void describe_machine(struct lp_planner *planner)
{
    const struct lp_machine *machine = planner->input->machine;
    lp_because(planner, "machine",
               "%u package%s, %u NUMA node%s, %u cache group%s, %u core%s, %u CPU%s",
               machine->package_count, lp_plural(machine->package_count), machine->node_count,
               lp_plural(machine->node_count), machine->cache_count,
               lp_plural(machine->cache_count), machine->core_count, lp_plural(machine->core_count),
               machine->cpu_count, lp_plural(machine->cpu_count));
}

/* All CPUs that the process could have had without a mask of its own. */
static lp_cpuset *widest(const struct lp_planner *planner)
{
    lp_cpuset *set = lp_cpuset_new();
    const struct lp_machine *machine = planner->input->machine;
    for (unsigned i = 0; set && i < machine->cpu_count; i++) {
        lp_cpuset_add(set, machine->cpus[i].os);
    }
    if (set && planner->input->cgroup && planner->input->cgroup->cpus) {
        lp_cpuset_and(set, planner->input->cgroup->cpus);
    }
    return set;
}

/* Whether a launcher has bound the ranks of this node itself: the mask of this process is narrower
 * than what its cpuset leaves, and so narrow that all ranks may have one of their own. A wider one
 * keeps CPUs from all of them. */
static bool is_bound_by_launcher(const struct lp_planner *planner, const lp_cpuset *usable,
                                 const lp_cpuset *whole)
{
    unsigned ranks = planner->input->rank ? (unsigned)planner->input->rank->local_size : 1;
    return (unsigned long long)lp_cpuset_count(usable) * ranks <=
               (unsigned)lp_cpuset_count(whole) &&
           !lp_cpuset_equal(usable, whole);
}

static int begin_with_allowed(struct lp_planner *planner, bool *bound_by_launcher)
{
    const struct lp_machine *machine = planner->input->machine;
    const struct lp_cgroup *cgroup = planner->input->cgroup;
    char list[LP_LIST_TEXT];
    lp_cpuset *whole = widest(planner);
    lp_cpuset *usable = lp_cpuset_copy(machine->allowed);
    if (!whole || !usable) {
        lp_cpuset_free(whole);
        lp_cpuset_free(usable);
        return lp_planner_no_memory();
    }
    planner->plan->usable = usable;
    lp_cpuset_and(usable, whole);
    bool has_mask = !lp_cpuset_equal(usable, whole);
    *bound_by_launcher = is_bound_by_launcher(planner, usable, whole);
    unsigned count = (unsigned)lp_cpuset_count(usable);
    lp_because(planner, "allowed", "%u CPU%s allowed (%s)%s%s%s", count, lp_plural(count),
               lp_planner_list(usable, list), has_mask ? ", by the CPU mask of the process" : "",
               cgroup && cgroup->cpus ? has_mask ? " and " : ", by " : "",
               cgroup && cgroup->cpus ? cgroup->cpus_from : "");
    lp_cpuset_free(whole);
    return is_empty(usable) ? lp_fail(-EINVAL, "none of the CPUs that this process may use is in "
                                               "the topology")
                            : 0;
}

static int apply_cpus(struct lp_planner *planner)
{
    const char *text = planner->settings->cpus;
    if (!*text) {
        return 0;
    }
    lp_cpuset *wanted;
    int err = lp_cpuset_read(&wanted, text);
    if (err) {
        return err;
    }
    char list[LP_LIST_TEXT];
    lp_cpuset *usable = planner->plan->usable;
    if (!lp_cpuset_intersects(usable, wanted)) {
        err = lp_fail(-EINVAL, "cpus = \"%s\": none of these CPUs is allowed (%s are)", text,
                      lp_planner_list(usable, list));
    } else {
        lp_cpuset_and(usable, wanted);
        lp_because(planner, "cpus", "%s of them by the setting cpus = \"%s\"",
                   lp_planner_list(usable, list), text);
    }
    lp_cpuset_free(wanted);
    return err;
}

/* ---- what is near ---------------------------------------------------------------------------- */

static int choose_gpus(struct lp_planner *planner)
{
    const struct lp_devices *devices = planner->input->devices;
    const char *text = planner->settings->gpu;
    if (!devices || devices->count == 0) {
        return lp_fail(-ENODEV, "gpu = \"%s\": no GPU was found on this machine", text);
    }
    planner->gpus = calloc(devices->count, sizeof *planner->gpus);
    if (!planner->gpus) {
        return lp_planner_no_memory();
    }
    int count = lp_devices_choose(devices, LP_DEVICE_GPU, text, planner->gpus);
    if (count < 0) {
        return count;
    }
    planner->gpu_count = (unsigned)count;
    return 0;
}

/* ---- ranks ----------------------------------------------------------------------------------- */

static const struct lp_rank alone = {.local = 0, .local_size = 1};

static const struct lp_rank *rank_of(const struct lp_planner *planner)
{
    return planner->input->rank ? planner->input->rank : &alone;
}

/* The CPUs near the one GPU of that rank, as far as they may be used; NULL, without a word, if
 * there is nothing to know. */
static lp_cpuset *near_of_rank(const struct lp_planner *planner, unsigned rank)
{
    if (!planner->gpu_count) {
        return NULL;
    }
    const struct lp_device *gpu =
        &planner->input->devices->entries[planner->gpus[rank % planner->gpu_count]];
    lp_cpuset *set = gpu->local_known ? lp_cpuset_copy(gpu->local) : NULL;
    if (set) {
        lp_cpuset_and(set, planner->plan->usable);
    }
    if (set && is_empty(set)) {
        lp_cpuset_free(set);
        set = NULL;
    }
    return set;
}

/* Of the ranks that share this one's CPUs: how many there are, and which of them this one is. */
static void find_peers(const struct lp_planner *planner, unsigned *index, unsigned *count)
{
    const struct lp_rank *rank = rank_of(planner);
    lp_cpuset *mine = near_of_rank(planner, (unsigned)rank->local);
    *index = *count = 0;
    for (unsigned other = 0; other < (unsigned)rank->local_size; other++) {
        lp_cpuset *its = mine ? near_of_rank(planner, other) : NULL;
        if (!mine || (its && lp_cpuset_equal(mine, its))) {
            *index += other < (unsigned)rank->local;
            ++*count;
        }
        lp_cpuset_free(its);
    }
    lp_cpuset_free(mine);
}

/* A set of kinds of cores, a bit each. */
#define KIND(kind) (1u << (kind))
#define ALL_KINDS (KIND(LP_KIND_ONLY) | KIND(LP_KIND_PERFORMANCE) | KIND(LP_KIND_EFFICIENCY))

/* Of the cores of those kinds with a usable CPU, in topological order, leaves [first, last);
 * returns how many there were. */
static unsigned leave_cores(struct lp_planner *planner, unsigned kinds, unsigned first,
                            unsigned last)
{
    const struct lp_machine *machine = planner->input->machine;
    lp_cpuset *set = planner->plan->usable;
    unsigned cores = 0;
    unsigned previous = ~0u;
    lp_cpuset *out = lp_cpuset_new();
    planner->failed |= !out;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct lp_cpu *cpu = &machine->cpus[i];
        if (!(kinds & KIND(cpu->kind)) || !lp_cpuset_has(set, cpu->os)) {
            continue;
        }
        if (cpu->core != previous) {
            previous = cpu->core;
            cores++;
        }
        if (out && (cores - 1 < first || cores - 1 >= last)) {
            lp_cpuset_add(out, cpu->os);
        }
    }
    if (out) {
        lp_cpuset_remove(set, out);
        lp_cpuset_free(out);
    }
    return cores;
}

static unsigned count_cores(struct lp_planner *planner, unsigned kinds)
{
    return leave_cores(planner, kinds, 0, ~0u);
}

/* Leaves this rank's run of the cores of those kinds; returns how many it has. */
static unsigned deal_out(struct lp_planner *planner, unsigned kinds, unsigned index, unsigned count)
{
    unsigned cores = count_cores(planner, kinds);
    unsigned first = (unsigned)((unsigned long long)index * cores / count);
    unsigned last = (unsigned)((unsigned long long)(index + 1) * cores / count);
    if (cores < count) {
        last = first + 1;
        lp_warn(planner, "rank", "%u ranks share %u core%s", count, cores, lp_plural(cores));
    }
    leave_cores(planner, kinds, first, last);
    return last - first;
}

/* Where both kinds of cores reach for all, each is dealt out by itself, so that no rank has slow
 * ones only. */
static void split_by_rank(struct lp_planner *planner, unsigned index, unsigned count)
{
    const struct lp_rank *rank = rank_of(planner);
    unsigned fast = KIND(LP_KIND_PERFORMANCE), slow = KIND(LP_KIND_EFFICIENCY);
    unsigned all = count_cores(planner, ALL_KINDS);
    bool apart = count_cores(planner, fast) >= count && count_cores(planner, slow) >= count;
    unsigned mine =
        apart ? deal_out(planner, fast, index, count) + deal_out(planner, slow, index, count)
              : deal_out(planner, ALL_KINDS, index, count);
    char list[LP_LIST_TEXT];
    lp_because(planner, "rank", "rank %d of %d on this node (%s): %u of %u core%s, CPUs %s",
               rank->local, rank->local_size, rank->local_from, mine, all, lp_plural(all),
               lp_planner_list(planner->plan->usable, list));
}

/* The CPUs near the GPUs of this rank. */
static int leave_near(struct lp_planner *planner)
{
    const struct lp_rank *rank = rank_of(planner);
    /* Each rank has a GPU of its own where there are several; near_of_rank has the same rule. */
    bool by_rank = rank->local_size > 1 && planner->gpu_count > 1;
    const unsigned *mine =
        by_rank ? &planner->gpus[(unsigned)rank->local % planner->gpu_count] : planner->gpus;
    unsigned count = by_rank ? 1 : planner->gpu_count;
    lp_cpuset *near;
    int err = lp_planner_near(planner, "gpu", mine, count, planner->plan->usable, &near);
    if (err) {
        return err;
    }
    char names[128], list[LP_LIST_TEXT];
    lp_planner_device_names(planner, mine, count, names, sizeof names);
    const char *hidden_by = planner->input->devices->hidden_by;
    lp_because(planner, "gpu", "%s by gpu = \"%s\"%s%s%s: %s%s", names, planner->settings->gpu,
               by_rank ? " and the rank" : "", *hidden_by ? ", numbered as left visible by " : "",
               hidden_by, near ? "near CPUs " : "all CPUs stay usable",
               near ? lp_planner_list(near, list) : "");
    if (near) {
        lp_cpuset_and(planner->plan->usable, near);
        lp_cpuset_free(near);
    }
    if (by_rank) { /* the other ranks' GPUs are no longer of interest */
        planner->gpus[0] = *mine;
        planner->gpu_count = 1;
    }
    return 0;
}

static int apply_gpu_and_rank(struct lp_planner *planner, bool bound_by_launcher)
{
    const struct lp_rank *rank = rank_of(planner);
    bool wants_gpu = *planner->settings->gpu;
    int err = wants_gpu ? choose_gpus(planner) : 0;
    if (err) {
        return err;
    }
    /* The peers are those with the same near CPUs of all that are usable, so they are counted
     * before anything is cut away. */
    unsigned index, count;
    find_peers(planner, &index, &count);
    if (wants_gpu) {
        err = leave_near(planner);
    }
    planner->quota_ranks = (unsigned)rank->local_size;
    if (err || rank->local_size <= 1) {
        return err;
    }
    char list[LP_LIST_TEXT];
    if (bound_by_launcher && strncmp(rank->size_from, "rank.", 5) != 0) {
        lp_because(planner, "rank",
                   "rank %d of %d on this node (%s): the launcher has bound it to "
                   "CPUs %s, which are not split again",
                   rank->local, rank->local_size, rank->local_from,
                   lp_planner_list(planner->plan->usable, list));
    } else {
        split_by_rank(planner, index, count);
    }
    return 0;
}

/* ---- cache groups ---------------------------------------------------------------------------- */

static int apply_cache_groups(struct lp_planner *planner)
{
    unsigned most = planner->settings->cache_groups;
    if (!most) {
        return 0;
    }
    const struct lp_machine *machine = planner->input->machine;
    lp_cpuset *usable = planner->plan->usable;
    lp_cpuset *out = lp_cpuset_new();
    if (!out) {
        return lp_planner_no_memory();
    }
    unsigned groups = 0;
    unsigned previous = ~0u;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct lp_cpu *cpu = &machine->cpus[i];
        if (!lp_cpuset_has(usable, cpu->os)) {
            continue;
        }
        if (cpu->cache != previous) {
            previous = cpu->cache;
            groups++;
        }
        if (groups > most) {
            lp_cpuset_add(out, cpu->os);
        }
    }
    lp_cpuset_remove(usable, out);
    lp_cpuset_free(out);
    char list[LP_LIST_TEXT];
    lp_because(planner, "cache_groups", "%u of %u cache group%s by cache_groups = %u: CPUs %s",
               groups < most ? groups : most, groups, lp_plural(groups), most,
               lp_planner_list(usable, list));
    return 0;
}

int lp_planner_find_usable(struct lp_planner *planner)
{
    bool bound_by_launcher = false;
    describe_machine(planner);
    int err = begin_with_allowed(planner, &bound_by_launcher);
    if (!err) {
        err = apply_cpus(planner);
    }
    if (!err) {
        err = apply_gpu_and_rank(planner, bound_by_launcher);
    }
    if (!err) {
        err = apply_cache_groups(planner);
    }
    return err;
}
