/* SPDX-License-Identifier: MIT */
/* Owns the life of a job: accepted once, run or withdrawn, completed on its home, done exactly once.
 * Any thread submits and cancels; pools' threads run; loops withdraw what is too late; loops and
 * pools' threads call done. */
#include "job/job.h"

#include "base/error.h"
#include "base/fp_control.h"
#include "base/self.h"
#include "loop/loop.h"
#include "team/blocking_team.h"
#include "team/gang_team.h"
#include "team/teams.h"
#include "team/worker.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static void set_state(struct lp_job_words *words, uint32_t state)
{
    atomic_store_explicit(&words->state, state, memory_order_release);
}

void loomp_job_init(loomp_job *job, loomp_work_fn work, loomp_done_fn done)
{
    memset(job, 0, sizeof *job);
    job->work = work;
    job->done = done;
}

/* ---- the end of a job ---------------------------------------------------------------------------- */

/* Calls done and lets go of everything the job held. On the home loop, or on a pool's thread. */
static void finish(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct lp_ledger *ledger = words->untracked ? &lp_untracked : &lp_tracked;
    loomp_group *group = words->group;
    loomp_loop *home = words->home;
    struct lp_deadline *deadline = words->deadline;
    int32_t status = words->status;
    loomp_done_fn done = job->done;
    set_state(words, LOOMP_JOB_IDLE);
    if (done) {
        lp_self.inside++;
        done(job, status);
        lp_self.inside--;
    }
    /* The job may be gone from here on. */
    if (deadline) {
        lp_deadline_drop(deadline);
    }
    if (group) {
        lp_group_leave(group, status);
    }
    if (home) {
        lp_loop_settle(home);
    }
    lp_ledger_finish(ledger);
}

static void finish_item(struct lp_item *item)
{
    finish(LOOMP_CONTAINER(item, loomp_job, private_));
}

_Static_assert(offsetof(struct lp_job_words, item) == 0, "finish_item finds the job by its words");

/* The threads of the pool that wait for the job's group call its done too: perhaps all of them wait. */
static void hand_to_pool(struct lp_job_words *words)
{
    loomp_group *group = words->group;
    if (group) {
        lp_group_join(group); /* ours, while we are not through with the group */
    }
    lp_teams_push_done(words->pool, &words->item); /* the job may be gone from here on */
    if (group) {
        lp_group_offer(group, LP_HELPS_SERIAL);
        lp_group_leave(group, 0);
    }
}

/* Work has ended or will not run. here: this thread may call done itself; without a done there is
 * nothing to be called. The job may be gone when this returns. */
static void complete(loomp_job *job, int32_t status, bool here)
{
    struct lp_job_words *words = lp_job_words(job);
    words->status = status;
    set_state(words, LOOMP_JOB_ENDED);
    if (words->home) {
        lp_loop_push(words->home, &words->item);
    } else if (here || !job->done) {
        finish(job);
    } else {
        hand_to_pool(words);
    }
}

void lp_job_end_withdrawn(loomp_job *job, int32_t status)
{
    complete(job, status, false);
}

/* ---- running ------------------------------------------------------------------------------------ */

static bool is_cancelled(struct lp_job_words *words)
{
    return atomic_load_explicit(&words->cancel, memory_order_relaxed) ||
           atomic_load_explicit(&lp_tracked.discard, memory_order_relaxed);
}

static int32_t call_work(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    bool leads_gang = lp_self.role == LP_GANG;
    set_state(words, LOOMP_JOB_RUNNING);
    words->outer = lp_self.job;
    lp_self.job = job;
    if (leads_gang) {
        /* The threads of its regions answer loomp_cancelled by it; regions begin and end with
         * barriers, so relaxed is enough. */
        atomic_store_explicit(&lp_self.pool->gang.running, job, memory_order_relaxed);
    }
    lp_self.inside++;
    int32_t status = job->work(job);
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
    return is_cancelled(words) ? -ECANCELED : late ? -ETIMEDOUT : 0;
}

static void run(loomp_job *job, bool done_here)
{
    struct lp_job_words *words = lp_job_words(job);
    /* Not the thread's usual control if this job runs while another waits below it. */
    uint64_t entered_with = lp_fp_control();
    /* A thread of the application's keeps its own. */
    uint64_t usual = lp_self.role == LP_PLAIN ? entered_with : lp_self.fp_control;
    int32_t status = begin(words);
    if (!status) {
        lp_fp_restore(words->fp_control ? words->fp_control : usual);
        status = call_work(job);
        lp_fp_restore(usual);
    }
    complete(job, status, done_here); /* the job may be gone from here on */
    lp_fp_restore(entered_with);
}

void lp_job_run(void *job)
{
    run(job, true);
}

unsigned lp_job_width(const void *job)
{
    return ((const loomp_job *)job)->width;
}

static void run_for_caller(void *job)
{
    run(job, false); /* done never runs inside submit */
}

/* ---- submission --------------------------------------------------------------------------------- */

static int check(const loomp_runtime *runtime, const loomp_job *job)
{
    if (!runtime || !job) {
        return lp_fail(-EINVAL, "loomp_submit: the %s is NULL", runtime ? "job" : "runtime");
    }
    if (!job->work) {
        return lp_fail(-EINVAL, "loomp_submit: job.work is NULL");
    }
    if (job->kind != LOOMP_SERIAL && job->kind != LOOMP_GANG) {
        return lp_fail(-EINVAL, "loomp_submit: job.kind is %u, neither LOOMP_SERIAL nor LOOMP_GANG",
                       job->kind);
    }
    if (job->priority < LOOMP_LOW || job->priority > LOOMP_HIGH) {
        return lp_fail(-EINVAL, "loomp_submit: job.priority is %d, not LOOMP_LOW, _NORMAL or _HIGH",
                       job->priority);
    }
    if (isnan(job->deadline_s)) {
        return lp_fail(-EINVAL, "loomp_submit: job.deadline_s is not a number");
    }
    uint32_t known = LOOMP_MAY_WAIT | LOOMP_UNTRACKED | LOOMP_FP_ENV;
    if (job->flags & ~known) {
        return lp_fail(-EINVAL, "loomp_submit: job.flags has unknown bits 0x%x",
                       job->flags & ~known);
    }
    return 0;
}

/* Counts the job and this call, or refuses. */
static int accept(bool untracked)
{
    int err = lp_ledger_accept(&lp_tracked);
    if (!err && untracked) {
        lp_ledger_hold(&lp_untracked); /* the job */
        lp_ledger_hold(&lp_untracked); /* this call */
        lp_ledger_finish(&lp_tracked);
        lp_ledger_finish(&lp_tracked);
    }
    return err;
}

/* Everything the job holds until finish, but the queue. */
static int claim(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool)
{
    struct lp_job_words *words = lp_job_words(job);
    uint32_t idle = LOOMP_JOB_IDLE;
    if (!atomic_compare_exchange_strong_explicit(&words->state, &idle, LOOMP_JOB_QUEUED,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return lp_fail(-EBUSY, "loomp_submit: the job is under way already");
    }
    words->item.run = finish_item;
    words->runtime = runtime;
    words->home = job->home ? job->home : lp_self.loop;
    words->pool = pool;
    words->group = job->group;
    words->ring = lp_pool_queue(pool, job->kind == LOOMP_GANG, job->priority);
    words->position = UINT64_MAX;
    words->deadline = NULL;
    if (lp_deadline_wanted(job)) {
        words->deadline = lp_deadline_new(
            job, words->home ? words->home : runtime->first_loop, words->ring);
        if (!words->deadline) {
            set_state(words, LOOMP_JOB_IDLE);
            return lp_fail(-ENOMEM, "no memory for the deadline of a job");
        }
    }
    words->fp_control = job->flags & LOOMP_FP_ENV ? lp_fp_control() : 0;
    atomic_store_explicit(&words->cancel, 0, memory_order_relaxed);
    words->untracked = job->flags & LOOMP_UNTRACKED;
    if (words->group) {
        lp_group_join(words->group);
    }
    if (words->home) {
        lp_loop_expect(words->home);
    }
    return 0;
}

static void unclaim(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    if (words->deadline) {
        lp_deadline_drop(words->deadline);
    }
    if (words->group) {
        lp_group_leave(words->group, 0);
    }
    if (words->home) {
        lp_loop_settle(words->home);
    }
    set_state(words, LOOMP_JOB_IDLE);
}

/* Makes sure somebody takes what was pushed. The job may be gone already; `tag` is held. */
static void announce(loomp_pool *pool, bool is_gang, loomp_group *tag)
{
    if (is_gang) {
        lp_teams_wake_for_gang(pool);
    } else {
        lp_teams_wake_for_serial(pool);
    }
    if (tag) {
        lp_group_offer(tag, is_gang ? LP_HELPS_GANG : LP_HELPS_SERIAL);
    }
}

/* The queue is full: waits for room if that is the policy. 0 or -EAGAIN. */
static int overflow(loomp_runtime *runtime, loomp_job *job, loomp_group *tag)
{
    struct lp_job_words *words = lp_job_words(job);
    struct lp_deadline *deadline = words->deadline;
    if (runtime->queue_policy == LP_BLOCK && lp_self.role == LP_PLAIN) {
        while (!lp_ring_push(words->ring, job, tag, lp_job_position(words))) {
            if (deadline && lp_deadline_has_passed(deadline)) {
                lp_deadline_void(deadline);
                complete(job, -ETIMEDOUT, false); /* the job may be gone from here on */
                return 0;
            }
            lp_ring_wait_for_room(words->ring, deadline ? deadline->alarm.when_ns : UINT64_MAX);
        }
        return 0;
    }
    return lp_fail(-EAGAIN, "queue_limit is reached: %llu jobs of this kind and priority wait in "
                            "pool %s",
                   (unsigned long long)words->ring->limit, words->pool->options.name);
}

static bool may_run_here(loomp_runtime *runtime, const loomp_job *job)
{
    return runtime->queue_policy == LP_CALLER_RUNS && job->kind == LOOMP_SERIAL &&
           (lp_self.role != LP_LOOP || !(job->flags & LOOMP_MAY_WAIT)) &&
           (lp_self.role != LP_GANG || lp_gang_at_top_level(lp_self.pool)) &&
           (!lp_job_words((loomp_job *)job)->pool->options.blocking || lp_self.role == LP_PLAIN);
}

/* Queues a job that is claimed, or runs it here. The job may be gone when this returns 0. */
static int hand_over(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool, loomp_group *tag)
{
    struct lp_job_words *words = lp_job_words(job);
    bool is_gang = job->kind == LOOMP_GANG;
    loomp_group *group = words->group;
    struct lp_deadline *deadline = words->deadline;
    if (deadline) {
        lp_deadline_begin(deadline, job->deadline_s);
    }
    if (group) {
        lp_group_join(group); /* ours, while we are not through with the group */
    }
    int err = 0;
    if (lp_ring_push(words->ring, job, tag, lp_job_position(words))) {
        announce(pool, is_gang, tag);
    } else if (may_run_here(runtime, job)) {
        lp_team_run_outside(run_for_caller, job);
    } else {
        err = overflow(runtime, job, tag);
        if (!err) {
            announce(pool, is_gang, tag);
        }
    }
    if (deadline) {
        if (err) {
            lp_deadline_void(deadline);
        }
        lp_deadline_set(deadline);
    }
    if (group) {
        lp_group_leave(group, 0);
    }
    return err;
}

static int enqueue(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool, loomp_group *tag)
{
    if (pool->options.blocking) {
        if (job->kind != LOOMP_SERIAL) {
            return lp_fail(-EINVAL, "loomp_submit: job.kind is not LOOMP_SERIAL, and the pool %s "
                                    "runs nothing else",
                           pool->options.name);
        }
        int err = lp_blocking_team_prepare(pool);
        if (err) {
            return err;
        }
    }
    int err = claim(runtime, job, pool);
    if (err) {
        return err;
    }
    err = hand_over(runtime, job, pool, tag ? tag : job->group);
    if (err) {
        unclaim(job);
    }
    return err;
}

static int submit(loomp_runtime *runtime, loomp_job *job, bool blocking, loomp_group *tag)
{
    int err = check(runtime, job);
    if (err) {
        return err;
    }
    bool untracked = job->flags & LOOMP_UNTRACKED;
    err = accept(untracked); /* from here on stop waits for this call, so that the pools stay */
    if (err) {
        return err;
    }
    struct lp_ledger *ledger = untracked ? &lp_untracked : &lp_tracked;
    err = enqueue(runtime, job,
                  blocking    ? runtime->blocking
                  : job->pool ? job->pool
                              : runtime->compute,
                  tag);
    if (err) {
        lp_ledger_finish(ledger); /* the job */
    }
    lp_ledger_finish(ledger); /* this call */
    return err;
}

int lp_job_submit_tagged(loomp_runtime *runtime, loomp_job *job, loomp_group *tag)
{
    return submit(runtime, job, false, tag);
}

int loomp_submit(loomp_runtime *runtime, loomp_job *job)
{
    return submit(runtime, job, false, NULL);
}

int loomp_submit_blocking(loomp_runtime *runtime, loomp_job *job)
{
    return submit(runtime, job, true, NULL);
}

/* ---- cancellation and state ---------------------------------------------------------------------- */

int loomp_cancel(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    switch (atomic_load_explicit(&words->state, memory_order_acquire)) {
    case LOOMP_JOB_QUEUED: {
        struct lp_ledger *ledger = &lp_tracked;
        bool withdrawn;
        lp_ledger_hold(ledger); /* this call, which the job's end must not free under us */
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        withdrawn = lp_ring_withdraw(words->ring, *lp_job_position(words));
        if (withdrawn) {
            complete(job, -ECANCELED, false); /* the job may be gone from here on */
        }
        lp_ledger_finish(ledger);
        /* If not, it was taken this very moment; its runner may still see the wish. */
        return withdrawn ? 0 : -EINPROGRESS;
    }
    case LOOMP_JOB_RUNNING:
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        return -EINPROGRESS;
    default:
        return -EALREADY;
    }
}

bool loomp_cancelled(void)
{
    loomp_job *job = lp_self.job;
    if (!job && lp_self.role == LP_GANG) {
        job = atomic_load_explicit(&lp_self.pool->gang.running, memory_order_relaxed);
    }
    return job && is_cancelled(lp_job_words(job));
}

int loomp_job_state(const loomp_job *job)
{
    return (int)atomic_load_explicit(&lp_job_words((loomp_job *)(uintptr_t)job)->state,
                                     memory_order_acquire);
}
