/* SPDX-License-Identifier: MIT */
/* The teams of a pool together: what the layers above start, stop and hand work to. */
#ifndef LP_TEAM_TEAMS_H
#define LP_TEAM_TEAMS_H

#include "team/pool.h"

/* Starts the two teams, or nothing for a blocking pool. Blocks until every thread is in place. */
int lp_teams_start(struct loomp_pool *pool);

/* Ends the teams' work. There is none left. */
void lp_teams_stop(struct loomp_pool *pool);

/* After a push: makes sure somebody will take it. */
void lp_teams_wake_for_serial(struct loomp_pool *pool);
void lp_teams_wake_for_gang(struct loomp_pool *pool);

/* Runs a done on one of the pool's threads, soon. Any thread. */
void lp_teams_push_done(struct loomp_pool *pool, struct lp_item *item);

/* On a thread of the pool's whose job waits: does what it was called for (lp_pool_listen). */
void lp_teams_answer(struct loomp_pool *pool);

#endif
