/* SPDX-License-Identifier: MIT */
/* Owns what a job with a site does beside being run: it is placed by the thread that submits it,
 * its times are taken by the thread that runs it, and learnt from by the thread that calls done, or
 * at once where the work ran inline. */
#include "job/job.h"

#include "base/self.h"
#include "base/stopwatch.h"
#include "loop/loop.h"

#include <loomp/site.h>

/* Submissions between two whose length is measured. */
enum {
    MEASURED_EVERY = 16
};

/* On a loop, for its own work, and not inside other work: that could go on for ever. A named pool
 * has threads for a reason of its own, and a job that may wait would stop the loop. */
static bool may_be_inline(const loomp_job *job, const loomp_pool *pool)
{
    return lp_self.role == LP_LOOP && !lp_self.job && !(job->flags & LOOMP_MAY_WAIT) &&
           pool == pool->options.runtime->compute &&
           (job->kind == LOOMP_SERIAL || !lp_loop_is_attached(lp_self.loop));
}

bool lp_job_place(loomp_job *job, loomp_pool *pool, bool outside)
{
    struct lp_job_words *words = lp_job_words(job);
    if (pool->options.blocking) {
        return false; /* its threads are there to sleep: nothing to choose, nothing to learn */
    }
    struct lp_request request = {
        .size = job->size,
        .call = {.hint = job->hint ? job->hint : job->site->hint,
                 .kind = job->kind,
                 .width = job->width,
                 .may_inline = !outside && may_be_inline(job, pool)},
        .pool = pool,
        .loop = outside ? NULL : lp_self.loop,
    };
    if (lp_site_record(job->site, &request.site)) {
        return false; /* its name has been changed under way */
    }
    lp_adaptive_choose(&request, &words->placed, NULL);
    if (job->kind != LOOMP_GANG) {
        words->placed.expected_ns = 0; /* TASKS run together: nobody waits for all of each */
    } else if (words->placed.expected_ns > 0) {
        lp_pool_expect(pool, (int64_t)words->placed.expected_ns);
    }
    words->size = job->size;
    words->kind = words->placed.arm == LOOMP_TEAM ? job->kind : LOOMP_SERIAL;
    words->width = words->placed.width;
    words->placed.started_ns = 0;
    words->placed.submitted_ns = words->placed.arm == LOOMP_INLINE ? 0 : lp_stopwatch_ns();
    return words->placed.arm == LOOMP_INLINE;
}

void lp_job_expected_no_more(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    /* An operation of I/O has no place: its own words lie over that. */
    if (job->work && words->placed.expected_ns > 0) {
        lp_pool_expect(words->pool, -(int64_t)words->placed.expected_ns);
        words->placed.expected_ns = 0;
    }
}

void lp_job_handed_over(const struct lp_placed *placed, loomp_pool *pool)
{
    static _Thread_local unsigned submissions;
    if (placed->site && ++submissions % MEASURED_EVERY == 0) {
        lp_adaptive_submitted(pool, (double)(lp_stopwatch_ns() - placed->submitted_ns));
    }
}

void lp_job_work_begins(struct lp_job_words *words)
{
    struct lp_placed *placed = &words->placed;
    if (placed->site) {
        placed->started_ns = lp_stopwatch_ns();
        if (placed->arm == LOOMP_INLINE) {
            placed->submitted_ns = placed->started_ns;
        }
    }
}

void lp_job_work_ended(struct lp_job_words *words)
{
    struct lp_placed *placed = &words->placed;
    if (placed->site) {
        placed->ended_ns = lp_stopwatch_ns();
        lp_adaptive_ended(placed);
        if (placed->arm == LOOMP_INLINE) {
            lp_loop_spend(lp_self.loop, (double)(placed->ended_ns - placed->started_ns));
        }
        if (lp_job_is_cancelled(words)) {
            placed->site = NULL; /* it may have ended early */
        } else if (placed->arm == LOOMP_INLINE) {
            /* Now, and not when done is called: the next call may come before. */
            lp_adaptive_finish(placed, words->size, words->pool, 0);
        }
    }
}

void lp_job_learn(const loomp_job *job)
{
    const struct lp_job_words *words = lp_job_words((loomp_job *)(uintptr_t)job);
    const struct lp_placed *placed = &words->placed;
    if (!placed->site || !placed->started_ns) {
        return;
    }
    bool came_back = words->home && words->home == lp_self.loop;
    if (came_back) {
        lp_loop_discount(lp_self.loop);
    }
    if (placed->arm != LOOMP_INLINE) {
        lp_adaptive_finish(placed, words->size, words->pool, came_back ? lp_stopwatch_ns() : 0);
    }
}
