/* SPDX-License-Identifier: MIT */
/* The workers of a task team: how each finds work, searches, pauses for gangs and parks. */
#ifndef LP_TEAM_WORKER_H
#define LP_TEAM_WORKER_H

#include "team/pool.h"

/* Runs SERIAL work until the pool stops. On the worker's own thread. */
void lp_worker_loop(struct loomp_pool *pool, unsigned index);

/* A job on this worker is about to sleep: its place is free for the gang team meanwhile. */
void lp_worker_leave_place(struct loomp_pool *pool);

/* It goes on. Blocks while a gang has the place, but no longer than relief_ns: then the job goes on
 * beside the gang. */
void lp_worker_reenter_place(struct loomp_pool *pool);

/* Hands an item to this very worker, which runs it after what its own jobs have submitted and before
 * it looks for other work, or while its job waits. Any thread; the item may be gone on return. */
void lp_worker_mail(struct loomp_pool *pool, unsigned index, struct lp_item *item);

/* On a worker whose job waits: runs its mail, and dones that are there. */
void lp_worker_answer(struct loomp_pool *pool);

/* A job on the calling worker is about to run another, which waited in a queue: a gang that pauses hears
 * of it. */
void lp_worker_count_start(struct loomp_pool *pool);

/* Runs one other item inside the job that runs on the calling thread of the pool's; only what this
 * worker has submitted itself if `local`. False: there is none. */
bool lp_worker_yield(struct loomp_pool *pool, bool local);

/* Runs an item on a thread of a pool's as an undeferred explicit task, so that what it does to the
 * ICVs ends with it. Also for an item inside another. */
void lp_team_run(struct loomp_pool *pool, void *item);

/* Runs fn(arg) on a thread that is in no team, as a SERIAL job would run: any OpenMP in it sees a
 * team of one, and neither the ICVs nor the CPU mask of the thread change. */
void lp_team_run_outside(void (*fn)(void *arg), void *arg);

/* The same on a loop's thread, where it costs little more than the call, but for the first time. */
void lp_team_run_on_loop(void (*fn)(void *arg), void *arg);

#endif
