/* SPDX-License-Identifier: MIT */
/* Threads for work that sleeps in I/O: started one by one as they are needed. */
#ifndef LP_TEAM_BLOCKING_TEAM_H
#define LP_TEAM_BLOCKING_TEAM_H

#include "team/pool.h"

/* Makes sure that there is a thread at all, before the first push. 0 or a negative errno. */
int lp_blocking_team_prepare(struct loomp_pool *pool);

/* After a push: wakes a parked thread, or starts another if all are at work and there may be more. */
void lp_blocking_team_wake(struct loomp_pool *pool);

/* Runs the dones that are there, on one of its threads, whose job may wait. */
void lp_blocking_team_answer(struct loomp_pool *pool);

void lp_blocking_team_stop(struct loomp_pool *pool);

#endif
