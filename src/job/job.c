/* SPDX-License-Identifier: MIT */
/* Owns the second half of a job's life: it is run, completed, and done exactly once, on its home. Pools'
 * threads run; who withdraws a job completes it; loops and pools' threads call done. */
#include "job/job.h"

#include "base/fp_control.h"
#include "base/self.h"
#include "loop/loop.h"
#include "team/gang_team.h"
#include "team/tasks_region.h"
#include "team/teams.h"
#include "team/worker.h"

#include <errno.h>
#include <string.h>

void loomp_job_init(loomp_job *job, loomp_work_fn work, loomp_done_fn done)
{
    if (job) {
        memset(job, 0, sizeof *job);
        job->work = work;
        job->done = done;
    }
}

/* ---- the end of a job ---------------------------------------------------------------------------- */

/* Calls done and lets go of everything the job held. On the home loop, or on a pool's thread. */
static void finish(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    loomp_pool *pool = words->pool;
    struct lp_ledger *ledger = words->untracked ? &lp_untracked : &lp_tracked;
    loomp_group *group = words->group;
    loomp_loop *home = words->home;
    struct lp_deadline *deadline = words->deadline;
    int32_t status = words->status;
    bool is_io = !job->work;
    loomp_done_fn done = job->done;
    struct lp_finishing finishing = {job, words->scratch, lp_self.finishing};
    if (!is_io) {
        lp_job_learn(job);
    }
    words->scratch = NULL;
    lp_job_set_state(words, LOOMP_JOB_IDLE);
    if (done) {
        lp_self.finishing = &finishing;
        lp_self.inside++;
        done(job, status);
        lp_self.inside--;
        lp_self.finishing = finishing.outer;
    }
    /* The job may be gone from here on. */
    lp_scratch_free(finishing.scratch);
    if (deadline) {
        lp_deadline_drop(deadline);
    }
    if (group) {
        lp_group_leave(group, is_io && status > 0 ? 0 : status); /* a count is no error */
    }
    if (home) {
        lp_loop_settle(home);
    }
    lp_pool_leave(pool, 1);
    lp_ledger_finish(ledger);
}

static void finish_item(struct lp_item *item)
{
    finish(LOOMP_CONTAINER(item, loomp_job, private_));
}

_Static_assert(offsetof(struct lp_job_words, item) == 0, "finish_item finds the job by its words");

void lp_job_complete(loomp_job *job, int32_t status, bool here)
{
    struct lp_job_words *words = lp_job_words(job);
    lp_job_expected_no_more(job);
    words->status = status;
    words->item.run = finish_item;
    lp_job_set_state(words, LOOMP_JOB_ENDED);
    if (words->home) {
        lp_loop_push(words->home, &words->item);
    } else if (here || !job->done) {
        finish(job); /* without a done, any thread will do */
    } else {
        lp_teams_push_done(words->pool, &words->item);
    }
}

/* ---- running ------------------------------------------------------------------------------------ */

bool lp_job_is_cancelled(struct lp_job_words *words)
{
    return atomic_load_explicit(&words->cancel, memory_order_relaxed) ||
           (words->around && lp_job_is_cancelled(lp_job_words(words->around))) ||
           (words->group && lp_group_is_cancelled(words->group)) ||
           atomic_load_explicit(&lp_tracked.discard, memory_order_relaxed);
}

static int work_of_tasks(void *job)
{
    return ((loomp_job *)job)->work(job);
}

static int32_t call_work(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    bool leads_gang = words->kind == LOOMP_GANG && lp_self.role == LP_GANG &&
                      lp_gang_at_top_level(lp_self.pool);
    lp_job_set_state(words, LOOMP_JOB_RUNNING);
    words->outer = lp_self.job;
    lp_self.job = job;
    if (leads_gang) {
        /* The threads of its regions answer loomp_cancelled by it; regions begin and end with
         * barriers, so relaxed is enough. */
        atomic_store_explicit(&lp_self.pool->gang.running, job, memory_order_relaxed);
    }
    lp_self.inside++;
    if (lp_self.card) {
        lp_card_add(&lp_self.card->kinds[words->kind]);
    }
    int32_t status = !job->work                 ? (int32_t)lp_io_perform(&words->io)
                     : job->kind == LOOMP_TASKS ? lp_team_with_children(work_of_tasks, job)
                                                : job->work(job);
    lp_self.inside--;
    lp_self.job = words->outer;
    if (leads_gang) {
        atomic_store_explicit(&lp_self.pool->gang.running, lp_self.job, memory_order_relaxed);
    }
    return status;
}

/* 0: work is to run, and the deadline is kept. Or why not. */
static int32_t begin(struct lp_job_words *words)
{
    bool late = false;
    if (words->deadline) {
        late = lp_deadline_has_passed(words->deadline); /* we may be faster than its alarm */
        lp_deadline_void(words->deadline);
    }
    return lp_job_is_cancelled(words) ? -ECANCELED : late ? -ETIMEDOUT : 0;
}

static void count_unstarted(struct loomp_pool *pool, int32_t status)
{
    atomic_fetch_add_explicit(status == -ETIMEDOUT ? &pool->expired : &pool->withdrawn, 1,
                              memory_order_relaxed);
}

static int32_t run_work(loomp_job *job, uint64_t usual)
{
    struct lp_job_words *words = lp_job_words(job);
    lp_fp_restore(words->fp_control ? words->fp_control : usual);
    lp_job_work_begins(words);
    int32_t status = call_work(job);
    lp_job_work_ended(words);
    lp_fp_restore(usual);
    return status;
}

static void run(loomp_job *job, bool done_here)
{
    struct lp_job_words *words = lp_job_words(job);
    /* Not the thread's usual control if this job runs while another waits below it. */
    uint64_t entered_with = lp_fp_control();
    /* A thread of the application's keeps its own. */
    uint64_t usual = lp_self.role == LP_PLAIN ? entered_with : lp_self.fp_control;
    int32_t status = begin(words);
    if (status) {
        count_unstarted(words->pool, status);
    } else {
        status = job->work ? run_work(job, usual) : call_work(job);
    }
    lp_job_complete(job, status, done_here); /* the job may be gone from here on */
    lp_fp_restore(entered_with);
}

void lp_job_run(void *item)
{
    if (lp_is_io(item)) {
        lp_io_run(item);
    } else {
        run(item, true);
    }
}

uint64_t lp_job_note(const void *item)
{
    const struct lp_job_words *words = lp_job_words((loomp_job *)(uintptr_t)item);
    return lp_note(words->kind, words->width);
}

void lp_job_run_for_caller(void *job)
{
    run(job, false); /* done never runs inside submit */
}
