/* SPDX-License-Identifier: MIT */
/* Owns the order in which a pool's teams start and stop, and tells a pool with teams from one with
 * blocking threads. Start and stop belong to the thread that starts and stops the runtime; any thread
 * wakes. */
#include "team/teams.h"

#include "team/blocking_team.h"
#include "team/gang_team.h"
#include "team/task_team.h"
#include "team/worker.h"

int lp_teams_start(struct loomp_pool *pool)
{
    if (pool->options.blocking) {
        return 0;
    }
    /* The gang's leader first: it is the thread that starts libomp, whose first root gets the first
     * place, so that libomp's own idea of where the gang's regions are agrees with the plan. */
    int err = lp_gang_team_start(pool);
    if (err) {
        return err;
    }
    err = lp_task_team_start(pool);
    if (err) {
        atomic_store_explicit(&pool->stopping, 1, memory_order_seq_cst);
        lp_gang_team_stop(pool);
    }
    return err;
}

void lp_teams_stop(struct loomp_pool *pool)
{
    atomic_store_explicit(&pool->stopping, 1, memory_order_seq_cst);
    if (pool->options.blocking) {
        lp_blocking_team_stop(pool);
        return;
    }
    lp_task_team_stop(pool);
    lp_gang_team_stop(pool);
}

void lp_teams_wake_for_serial(struct loomp_pool *pool)
{
    if (pool->options.blocking) {
        lp_blocking_team_wake(pool);
    } else {
        lp_pool_wake_worker(pool);
    }
}

void lp_teams_wake_for_gang(struct loomp_pool *pool)
{
    lp_pool_wake_for_gang(pool);
}

void lp_teams_push_done(struct loomp_pool *pool, struct lp_item *item)
{
    lp_completions_push(&pool->dones, item);
    lp_teams_wake_for_serial(pool);
    /* All threads may be in jobs that wait, perhaps for this. */
    lp_pool_call_anyone(pool);
}

void lp_teams_answer(struct loomp_pool *pool)
{
    if (pool->options.blocking) {
        lp_blocking_team_answer(pool);
    } else {
        lp_worker_answer(pool);
    }
}
