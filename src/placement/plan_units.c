/* SPDX-License-Identifier: MIT */
/* Owns the second step of a plan: the order in which CPUs are given to threads. Pure. */
#include "placement/planner.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- cores ----------------------------------------------------------------------------------- */

/* The usable CPUs, and runs of them that are one core. */
static int collect(struct lp_planner *planner)
{
    const struct lp_machine *machine = planner->input->machine;
    planner->cpus = calloc(machine->cpu_count, sizeof *planner->cpus);
    planner->cores = calloc(machine->cpu_count, sizeof *planner->cores);
    if (!planner->cpus || !planner->cores) {
        return lp_planner_no_memory();
    }
    struct lp_core *core = NULL;
    unsigned rank_in_cache = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        const struct lp_cpu *cpu = &machine->cpus[i];
        if (!lp_cpuset_has(planner->plan->usable, cpu->os)) {
            continue;
        }
        const struct lp_cpu *before =
            planner->cpu_count ? planner->cpus[planner->cpu_count - 1] : NULL;
        if (!before || before->core != cpu->core) {
            rank_in_cache = before && before->cache == cpu->cache ? rank_in_cache + 1 : 0;
            core = &planner->cores[planner->core_count++];
            *core = (struct lp_core){.cpus = &planner->cpus[planner->cpu_count],
                                     .rank_in_cache = rank_in_cache};
        }
        planner->cpus[planner->cpu_count++] = cpu;
        core->count++;
    }
    return 0;
}

static int by_rank_in_cache(const void *left, const void *right)
{
    const struct lp_core *a = left, *b = right;
    if (a->rank_in_cache != b->rank_in_cache) {
        return a->rank_in_cache < b->rank_in_cache ? -1 : 1;
    }
    return a->cpus[0]->core < b->cpus[0]->core ? -1 : a->cpus[0]->core > b->cpus[0]->core;
}

/* ---- units ----------------------------------------------------------------------------------- */

bool lp_planner_uses_all_threads(const struct lp_plan_settings *settings)
{
    return settings->smt == LP_SMT_USE || strcmp(settings->places, "threads") == 0;
}

/* Adds the units of the cores of that kind (all, for LP_KIND_ONLY) to the list. */
static void add_units(const struct lp_planner *planner, struct lp_units *units,
                      enum lp_cpu_kind kind)
{
    const struct lp_plan_settings *settings = planner->settings;
    unsigned most = 0;
    for (unsigned i = 0; i < planner->core_count; i++) {
        most = planner->cores[i].count > most ? planner->cores[i].count : most;
    }
    bool whole_cores = lp_planner_uses_all_threads(settings);
    unsigned rounds = !whole_cores && settings->smt == LP_SMT_SPILL ? most : 1;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < planner->core_count; i++) {
            const struct lp_core *core = &planner->cores[i];
            if (kind != LP_KIND_ONLY && core->cpus[0]->kind != kind) {
                continue;
            }
            unsigned last = whole_cores ? core->count : round + 1;
            for (unsigned k = round; k < last && k < core->count; k++) {
                units->cpus[units->count++] = core->cpus[k];
            }
        }
    }
}

static bool has_kind(const struct lp_planner *planner, enum lp_cpu_kind kind)
{
    for (unsigned i = 0; i < planner->core_count; i++) {
        if (planner->cores[i].cpus[0]->kind == kind) {
            return true;
        }
    }
    return false;
}

static void list_both_kinds(struct lp_planner *planner)
{
    enum lp_core_choice choice = planner->settings->cores;
    if (choice == LP_CORES_ALL) {
        add_units(planner, &planner->compute, LP_KIND_PERFORMANCE);
        add_units(planner, &planner->compute, LP_KIND_EFFICIENCY);
        add_units(planner, &planner->io, LP_KIND_EFFICIENCY);
        add_units(planner, &planner->io, LP_KIND_PERFORMANCE);
        lp_because(planner, "cores",
                   "performance cores first, then efficiency cores "
                   "(cores = \"all\"); I/O on efficiency cores first");
        return;
    }
    bool performance = choice == LP_CORES_PERFORMANCE;
    add_units(planner, &planner->compute, performance ? LP_KIND_PERFORMANCE : LP_KIND_EFFICIENCY);
    add_units(planner, &planner->io, LP_KIND_EFFICIENCY);
    lp_because(planner, "cores", "compute on %s cores (cores = \"%s\"), I/O on efficiency cores",
               performance ? "performance" : "efficiency",
               performance ? "performance" : "efficiency");
}

/* One kind of cores is usable: the units are what there is. */
static void list_one_kind(struct lp_planner *planner)
{
    add_units(planner, &planner->compute, LP_KIND_ONLY);
    add_units(planner, &planner->io, LP_KIND_ONLY);
    enum lp_core_choice choice = planner->settings->cores;
    enum lp_cpu_kind there = planner->cpus[0]->kind;
    if ((choice == LP_CORES_PERFORMANCE && there == LP_KIND_EFFICIENCY) ||
        (choice == LP_CORES_EFFICIENCY && there == LP_KIND_PERFORMANCE)) {
        bool performance = choice == LP_CORES_PERFORMANCE;
        lp_warn(planner, "cores", "cores = \"%s\", but only %s cores may be used: they are",
                performance ? "performance" : "efficiency",
                performance ? "efficiency" : "performance");
    }
}

static void explain_smt(struct lp_planner *planner)
{
    const struct lp_machine *machine = planner->input->machine;
    unsigned most = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        most = machine->cpus[i].smt > most ? machine->cpus[i].smt : most;
    }
    if (!most) {
        return;
    }
    static const char *const what[] = {
        [LP_SMT_AVOID] = "the first is used (smt = \"avoid\")",
        [LP_SMT_USE] = "all are used, side by side (smt = \"use\")",
        [LP_SMT_SPILL] = "the first is used first, the others last (smt = \"spill\")",
    };
    bool threads = strcmp(planner->settings->places, "threads") == 0;
    lp_because(planner, "smt", "up to %u hardware threads a core: %s", most + 1,
               threads ? "all are used, side by side (places = \"threads\")"
                       : what[planner->settings->smt]);
}

/* ---- an explicit list of places -------------------------------------------------------------- */

static bool is_list(const char *places)
{
    return *places == '{' || *places == '!';
}

static bool is_known(const char *places)
{
    static const char *const words[] = {"cores", "threads", "l3", "numa"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(places, words[i]) == 0) {
            return true;
        }
    }
    return is_list(places);
}

static int cut_listed_places(struct lp_planner *planner)
{
    char list[LP_LIST_TEXT];
    struct lp_omp_places *listed = &planner->listed;
    unsigned kept = 0;
    for (unsigned i = 0; i < listed->count; i++) {
        if (lp_cpuset_intersects(listed->places[i], planner->plan->usable)) {
            lp_cpuset_and(listed->places[i], planner->plan->usable);
            lp_cpuset_or(planner->listed_cpus, listed->places[i]);
            lp_cpuset *place = listed->places[kept];
            listed->places[kept++] = listed->places[i];
            listed->places[i] = place;
        } else if (!planner->settings->places_of_openmp) {
            return lp_fail(-EINVAL,
                           "places = \"%.100s\": none of the CPUs of place %u (%s) may be used",
                           planner->settings->places, i, lp_planner_list(listed->places[i], list));
        }
    }
    if (kept < listed->count) {
        lp_warn(planner, "places",
                "OMP_PLACES: of %u places %u have no CPU that may be used, and "
                "are left out",
                listed->count, listed->count - kept);
    }
    for (unsigned i = kept; i < listed->count; i++) {
        lp_cpuset_free(listed->places[i]);
    }
    listed->count = kept;
    return 0;
}

/* I/O threads stay away from listed CPUs, unless there are no others. */
static void keep_io_away(struct lp_planner *planner)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < planner->io.count; i++) {
        kept += !lp_cpuset_has(planner->listed_cpus, planner->io.cpus[i]->os);
    }
    if (!kept) {
        return;
    }
    kept = 0;
    for (unsigned i = 0; i < planner->io.count; i++) {
        if (!lp_cpuset_has(planner->listed_cpus, planner->io.cpus[i]->os)) {
            planner->io.cpus[kept++] = planner->io.cpus[i];
        }
    }
    planner->io.count = kept;
}

static int read_listed_places(struct lp_planner *planner)
{
    planner->listed_cpus = lp_cpuset_new();
    if (!planner->listed_cpus) {
        return lp_planner_no_memory();
    }
    if (!is_known(planner->settings->places)) {
        return lp_fail(-EINVAL,
                       "places = \"%.100s\" is neither cores, threads, l3, numa nor a list "
                       "like {0:4},{4:4}",
                       planner->settings->places);
    }
    if (!is_list(planner->settings->places)) {
        return 0;
    }
    int err = lp_omp_places_parse(&planner->listed, planner->settings->places);
    if (planner->settings->places_of_openmp && (err == -EINVAL || err == -E2BIG)) {
        lp_warn(planner, "places", "OMP_PLACES is left out: %s", loomp_error());
        return 0;
    }
    if (!err && planner->listed.count == 0) {
        err = lp_fail(-EINVAL, "places = \"%.100s\" is a list without a place",
                      planner->settings->places);
    }
    if (!err) {
        err = cut_listed_places(planner);
    }
    if (!err) {
        keep_io_away(planner);
    }
    return err;
}

int lp_planner_list_units(struct lp_planner *planner)
{
    int err = collect(planner);
    if (err) {
        return err;
    }
    planner->compute.cpus = calloc(planner->cpu_count, sizeof *planner->compute.cpus);
    planner->io.cpus = calloc(planner->cpu_count, sizeof *planner->io.cpus);
    if (!planner->compute.cpus || !planner->io.cpus) {
        return lp_planner_no_memory();
    }
    if (planner->settings->spread == LP_SCATTER) {
        qsort(planner->cores, planner->core_count, sizeof *planner->cores, by_rank_in_cache);
    }
    explain_smt(planner);
    if (has_kind(planner, LP_KIND_PERFORMANCE) && has_kind(planner, LP_KIND_EFFICIENCY)) {
        list_both_kinds(planner);
    } else {
        list_one_kind(planner);
    }
    return read_listed_places(planner);
}
