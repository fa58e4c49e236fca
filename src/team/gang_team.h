/* SPDX-License-Identifier: MIT */
/* The gang team: a leader and its OpenMP team, which run whole parallel regions. */
#ifndef LP_TEAM_GANG_TEAM_H
#define LP_TEAM_GANG_TEAM_H

#include "team/pool.h"

int lp_gang_team_start(struct loomp_pool *pool);
void lp_gang_team_stop(struct loomp_pool *pool);

/* Where a thread of the gang team is. */
enum lp_gang_context {
    LP_GANG_ELSEWHERE = 0, /* it is no thread of this pool's gang team */
    LP_GANG_AT_TOP,        /* the leader, in a GANG, in none of its regions */
    LP_GANG_IN_REGION,     /* in a region of a GANG */
    LP_GANG_IN_TASKS,      /* in a TASKS job, or a task that one created */
};
enum lp_gang_context lp_gang_context(struct loomp_pool *pool);

/* The context is LP_GANG_AT_TOP. */
bool lp_gang_at_top_level(struct loomp_pool *pool);

/* Runs another item inside the job that waits for it. At top: a GANG or TASKS job with all threads of
 * this one. In a TASKS job: another beside it, a GANG with a team of one. SERIAL jobs, of which
 * nobody else may be free to take care, in either. */
void lp_gang_run_in_place(struct loomp_pool *pool, void *item);

/* In a TASKS job: calls fn(arg), which has parallel regions, where they get a team of one. */
void lp_gang_call_narrow(void (*fn)(void *arg), void *arg);

/* Calls fn(arg) on several threads of the job's team at once, the caller's among them: at top in a
 * region of at most `threads`; in a TASKS job by as many tasks, of which a busy team may run few. In
 * a region, on the caller's alone. Returns when all calls have returned. */
void lp_gang_spread(struct loomp_pool *pool, unsigned threads, void (*fn)(void *arg), void *arg);

/* On the leader, inside a job at its top level: gives the places back to the task team, lets the
 * gang's other threads sleep, calls wait(arg), which may block, and takes the places again. */
void lp_gang_rest_in_job(struct loomp_pool *pool, void (*wait)(void *arg), void *arg);

/* On the leader at top level: gives the places to the SERIAL work that is waiting now and takes them
 * back when it has been served. Returns how much was waiting. */
unsigned lp_gang_pause_for_serial(struct loomp_pool *pool);

#endif
