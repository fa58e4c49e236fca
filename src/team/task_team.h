/* SPDX-License-Identifier: MIT */
/* The task team: a persistent OpenMP region whose threads are the workers for SERIAL jobs. */
#ifndef LP_TEAM_TASK_TEAM_H
#define LP_TEAM_TASK_TEAM_H

#include "team/pool.h"

int lp_task_team_start(struct loomp_pool *pool);
void lp_task_team_stop(struct loomp_pool *pool);

#endif
