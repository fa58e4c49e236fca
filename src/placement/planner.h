/* SPDX-License-Identifier: MIT */
/* The planner's notes while it makes one plan, shared by the files plan*.c and by nobody else. The
 * steps run in the order of this header; each returns 0 or a negative errno with a sentence. */
#ifndef LP_PLACEMENT_PLANNER_H
#define LP_PLACEMENT_PLANNER_H

#include "placement/omp_places.h"
#include "placement/plan.h"

/* The usable CPUs of one core; they stand together in planner.cpus. */
struct lp_core {
    const struct lp_cpu **cpus;
    unsigned count;
    unsigned rank_in_cache; /* for the order "scatter" */
};

/* CPUs that one thread each could have, in order. */
struct lp_units {
    unsigned count;
    const struct lp_cpu **cpus;
};

struct lp_planner {
    const struct lp_plan_input *input;
    const struct lp_plan_settings *settings;
    struct lp_plan *plan;

    /* find_usable */
    unsigned *gpus; /* indexes of the chosen ones in input->devices */
    unsigned gpu_count;
    unsigned quota_ranks; /* how many ranks share the quota */

    /* list_units */
    const struct lp_cpu **cpus; /* the usable ones, in topological order */
    unsigned cpu_count;
    struct lp_core *cores;
    unsigned core_count;
    struct lp_units compute;     /* candidates for compute and the other pools */
    struct lp_units io;          /* candidates for I/O threads */
    struct lp_omp_places listed; /* of the setting places; else empty */
    lp_cpuset *listed_cpus;      /* all of them; empty */

    /* place_io, place_pools */
    unsigned limit;      /* the budget */
    unsigned left;       /* of it */
    bool failed;         /* some step had no memory for a detail */
    lp_cpuset *taken;    /* CPUs of units that have an owner */
};

int lp_planner_find_usable(struct lp_planner *planner);
int lp_planner_list_units(struct lp_planner *planner);
int lp_planner_find_budget(struct lp_planner *planner);
int lp_planner_place_io(struct lp_planner *planner);
int lp_planner_place_pools(struct lp_planner *planner);

void lp_planner_fini(struct lp_planner *planner); /* not the plan */

/* What the steps and the plan of one more pool share. */

/* Whether each hardware thread of a core is a unit. */
bool lp_planner_uses_all_threads(const struct lp_plan_settings *settings);

/* So many places without a CPU yet. */
int lp_planner_new_places(struct lp_pool_plan *pool, unsigned count);

/* One thread per unit; its place is the unit's CPU, or all units of the pool in the same group. */
int lp_planner_set_places(struct lp_planner *planner, struct lp_pool_plan *pool,
                          const struct lp_cpu *const *units, unsigned count);

/* A pool for blocking work: one place for all. */
int lp_planner_place_blocking(struct lp_planner *planner, const struct lp_pool_settings *settings,
                              struct lp_pool_plan *pool);

/* The CPUs that a pool may have by its own settings: NULL, all. */
int lp_planner_find_restriction(struct lp_planner *planner,
                                const struct lp_pool_settings *settings, struct lp_pool_plan *pool,
                                lp_cpuset **within);

/* The node and the cache that all CPUs of the place share, or -1. */
void lp_planner_find_locality(const struct lp_machine *machine, struct lp_place *place);

/* Of places of one hardware thread each: which have a core that one before them has. 0 or -ENOMEM. */
int lp_planner_find_siblings(const struct lp_machine *machine, struct lp_pool_plan *pool);

/* The sentence in lp_error, and -ENOMEM. */
int lp_planner_no_memory(void);

/* Fills *near with the CPUs near the devices that are also in `within`; *near stays NULL, with a
 * warning with that key, if nothing is known or none of them is there. */
int lp_planner_near(struct lp_planner *planner, const char *key, const unsigned *devices,
                    unsigned count, const lp_cpuset *within, lp_cpuset **near);

/* Names of the chosen devices, with commas. */
void lp_planner_device_names(const struct lp_planner *planner, const unsigned *devices,
                             unsigned count, char *buffer, size_t size);

#define lp_because(planner, key, ...) lp_reasons_add(&(planner)->plan->reasons, key, __VA_ARGS__)
#define lp_warn(planner, key, ...) lp_reasons_add(&(planner)->plan->warnings, key, __VA_ARGS__)

/* "s" unless there is one. */
static inline const char *lp_plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

enum { LP_LIST_TEXT = 160 };

/* A CPU list for a sentence, cut with "..." where it is long. */
const char *lp_planner_list(const lp_cpuset *set, char buffer[LP_LIST_TEXT]);

#endif
