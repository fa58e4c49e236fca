/* SPDX-License-Identifier: MIT */
/* The plan: which thread runs where. A pure function of the cores, the allowed CPUs and settings;
 * no thread and no OpenMP is needed to make one. */
#ifndef LP_PLACEMENT_PLAN_H
#define LP_PLACEMENT_PLAN_H

#include "placement/cpuset.h"
#include "placement/topology.h"

struct lp_plan_settings {
    bool pin;
    const char *cpus;         /* CPU list, "" = all allowed */
    unsigned io_threads;      /* at least 1 */
    const char *io_cpus;      /* CPU list, "" = chosen */
    unsigned compute_threads; /* 0 = chosen */
};

struct lp_place {
    lp_cpuset *cpus;
    bool shared; /* its CPU has other work of ours: a thread there must not spin */
};

struct lp_plan {
    bool pin;
    unsigned io_count;
    struct lp_place *io;      /* one per loop */
    lp_cpuset *io_cpus;       /* of all loops; the blocking threads use them too */
    unsigned compute_count;
    struct lp_place *compute; /* the places of the pool `compute`, in wake order */
    bool crowded;             /* several compute threads share a CPU */
    lp_cpuset *cpus;          /* all together */
    char reasons[1024];       /* lines, each with a newline */
};

/* 0, or a negative errno with a sentence that names the setting. */
int lp_plan_make(struct lp_plan *plan, const struct lp_topology *topology,
                 const struct lp_plan_settings *settings);
void lp_plan_fini(struct lp_plan *plan);

#endif
