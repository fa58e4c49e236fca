/* SPDX-License-Identifier: MIT */
/* Owns taking jobs back, the wish that they end early, and what one may ask of a job. Any thread enters
 * that knows that the job stays. */
#include "base/error.h"
#include "base/self.h"
#include "job/graph.h"
#include "job/job.h"
#include "team/worker.h"

#include <errno.h>

/* Takes a job that still waits out of its queue. */
static bool take_out(struct lp_job_words *words)
{
    return lp_ticket_withdraw(lp_job_ticket(words));
}

bool lp_job_run_back(loomp_job *job)
{
    if (!take_out(lp_job_words(job))) {
        return false;
    }
    lp_team_run(lp_self.pool, job);
    return true;
}

int loomp_cancel(loomp_job *job)
{
    if (!job) {
        return lp_fail(-EINVAL, "loomp_cancel: the job is NULL");
    }
    struct lp_job_words *words = lp_job_words(job);
    switch (atomic_load_explicit(&words->state, memory_order_acquire)) {
    case LOOMP_JOB_QUEUED: {
        struct lp_ledger *ledger = &lp_tracked;
        loomp_pool *pool = words->pool;
        bool withdrawn;
        lp_ledger_hold(ledger); /* this call, which the job's end must not free under us */
        lp_pool_hold(pool);
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        withdrawn = take_out(words);
        if (withdrawn) {
            atomic_fetch_add_explicit(&pool->withdrawn, 1, memory_order_relaxed);
            lp_pool_withdrew(pool);
            lp_job_complete(job, -ECANCELED, false); /* the job may be gone from here on */
        }
        lp_pool_leave(pool, 1);
        lp_ledger_finish(ledger);
        /* If not, it was taken this very moment; its runner may still see the wish. */
        return withdrawn ? 0 : -EINPROGRESS;
    }
    case LP_JOB_PENDING: /* whoever takes it sees the wish */
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        return -EINPROGRESS;
    case LOOMP_JOB_RUNNING:
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        if (!job->work && !lp_io_is_for_pool(&words->io)) {
            lp_ledger_hold(&lp_tracked); /* this call, as above */
            lp_io_cancel(&words->io);    /* the job may be gone from here on */
            lp_ledger_finish(&lp_tracked);
        }
        return -EINPROGRESS;
    default:
        return -EALREADY;
    }
}

/* Each pool's queues, for what concerns all jobs of a group. */
static void withdraw_from(struct loomp_pool *pool, void *group)
{
    uint32_t all = 1u << LOOMP_SERIAL | 1u << LOOMP_TASKS | 1u << LOOMP_GANG;
    struct lp_graph_cursors cursors = {0};
    loomp_job *job;
    while ((job = lp_graph_take_tagged(pool, all, group, &cursors))) {
        atomic_fetch_add_explicit(&pool->withdrawn, 1, memory_order_relaxed);
        lp_pool_withdrew(pool);
        lp_job_complete(job, -ECANCELED, false); /* the job may be gone from here on */
    }
}

void lp_jobs_withdraw(loomp_runtime *runtime, loomp_group *group)
{
    runtime->each_pool(withdraw_from, group);
}

bool loomp_cancelled(void)
{
    loomp_job *job = lp_self.job;
    if (!job && lp_self.role == LP_GANG) {
        job = atomic_load_explicit(&lp_self.pool->gang.running, memory_order_relaxed);
    }
    return job && lp_job_is_cancelled(lp_job_words(job));
}

bool loomp_job_cancelled(const loomp_job *job)
{
    return job && lp_job_is_cancelled(lp_job_words((loomp_job *)(uintptr_t)job));
}

int loomp_job_state(const loomp_job *job)
{
    if (!job) {
        return lp_fail(-EINVAL, "loomp_job_state: the job is NULL");
    }
    uint32_t state = atomic_load_explicit(&lp_job_words((loomp_job *)(uintptr_t)job)->state,
                                          memory_order_acquire);
    return state == LP_JOB_PENDING    ? LOOMP_JOB_QUEUED
           : state == LP_JOB_ENTERING ? LOOMP_JOB_IDLE
                                      : (int)state;
}
