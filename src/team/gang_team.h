/* SPDX-License-Identifier: MIT */
/* The gang team: a leader and its OpenMP team, which run whole parallel regions. */
#ifndef LP_TEAM_GANG_TEAM_H
#define LP_TEAM_GANG_TEAM_H

#include "team/pool.h"

int lp_gang_team_start(struct loomp_pool *pool);
void lp_gang_team_stop(struct loomp_pool *pool);

/* Whether the calling thread is the leader, at a job's top level (in no parallel region). */
bool lp_gang_at_top_level(struct loomp_pool *pool);

/* On the leader at top level: runs another gang's item here and now, at the same width. */
void lp_gang_run_in_place(struct loomp_pool *pool, void *item);

/* On the leader, inside a job at its top level: gives the places back to the task team, lets the
 * gang's other threads sleep, calls wait(arg), which may block, and takes the places again. */
void lp_gang_rest_in_job(struct loomp_pool *pool, void (*wait)(void *arg), void *arg);

/* On the leader at top level: gives the places to the SERIAL work that is waiting now and takes them
 * back when it has been served. Returns how much was waiting. */
unsigned lp_gang_pause_for_serial(struct loomp_pool *pool);

/* On a gang team: calls fn(arg) on several threads at once, at most `threads`, the calling one among
 * them, and returns when all have returned. At a job's top level these are the threads of a parallel
 * region; anywhere else it is the calling thread alone. */
void lp_gang_spread(struct loomp_pool *pool, unsigned threads, void (*fn)(void *arg), void *arg);

#endif
