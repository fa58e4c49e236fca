/* SPDX-License-Identifier: MIT */
/* The parallel region in which TASKS jobs run together. */
#ifndef LP_TEAM_TASKS_REGION_H
#define LP_TEAM_TASKS_REGION_H

#include "team/pool.h"

/* How many threads a region for this job and those that wait should have: the largest number that
 * one of them asks for, as far as there are threads. */
unsigned lp_tasks_region_width(struct loomp_pool *pool, uint64_t note);

/* Runs the job, and if takes_more those that wait and those that come, in a region of `width` threads.
 * On the leader, in no region. Returns when all have ended. */
void lp_tasks_region_run(struct loomp_pool *pool, void *item, unsigned width, bool takes_more);

/* Whether the calling thread, one of the gang team's, is inside such a region. */
static inline bool lp_tasks_region_is_open(struct loomp_pool *pool)
{
    return atomic_load_explicit(&pool->gang.tasks.open, memory_order_relaxed);
}

/* Runs work(arg), a job's, so that it has not ended before all tasks that it created have. */
int lp_team_with_children(int (*work)(void *arg), void *arg);

#endif
