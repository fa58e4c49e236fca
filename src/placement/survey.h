/* SPDX-License-Identifier: MIT */
/* Everything the planner wants to know, gathered in one call: for the runtime, loomp-info and
 * loomp-run alike. Blocks on files; for the thread that starts something. */
#ifndef LP_PLACEMENT_SURVEY_H
#define LP_PLACEMENT_SURVEY_H

#include "placement/plan.h"
#include "placement/topology.h"
#include "settings/settings.h"

struct lp_survey_options {
    struct lp_topology_source topology;
    const char *root;        /* prefix of /proc and /sys: "" = this machine */
    const lp_cpuset *allowed; /* instead of the process's own mask and cpuset; NULL */
    double quota;            /* instead of the cgroup's, in CPUs; 0: the cgroup's */
    struct lp_environment environment;
    bool all_devices;        /* devices are looked for even if no setting asks for one */
};

struct lp_survey {
    struct lp_topology topology;
    struct lp_cgroup cgroup;
    struct lp_devices devices;
    struct lp_rank rank;
    double topology_s; /* how long the topology took to load */
    bool looked_for_devices;
};

/* 0 or a negative errno with a sentence. */
int lp_survey_make(struct lp_survey *survey, const struct lp_survey_options *options,
                   const loomp_config *config);
void lp_survey_fini(struct lp_survey *survey);

/* The planner's settings, but for its pools. The texts belong to the config. */
void lp_plan_settings_read(struct lp_plan_settings *settings, const loomp_config *config);

/* One more pool beside a plan of this survey that is in force (lp_plan_one_more). `devices`: NULL for
 * those of the survey. */
int lp_survey_plan_more(const struct lp_survey *survey, const loomp_config *config,
                        const struct lp_plan *plan, const struct lp_devices *devices,
                        const lp_cpuset *others, const struct lp_pool_settings *pool,
                        struct lp_plan *more);

/* The plan for what was found and the settings. io_threads: -1 for the setting io.threads. */
int lp_survey_plan(const struct lp_survey *survey, const loomp_config *config, int io_threads,
                   struct lp_plan *plan);

#endif
