/* SPDX-License-Identifier: MIT */
/* Owns the life of a job: accepted once, run or withdrawn, completed on its home, done exactly once.
 * Any thread submits and cancels; pools' threads run; loops withdraw what is too late; loops and
 * pools' threads call done. */
#include "job/job.h"

#include "base/error.h"
#include "base/fp_control.h"
#include "base/self.h"
#include "job/graph.h"
#include "loop/loop.h"
#include "team/blocking_team.h"
#include "team/gang_team.h"
#include "team/tasks_region.h"
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
    loomp_pool *pool = words->pool;
    struct lp_ledger *ledger = words->untracked ? &lp_untracked : &lp_tracked;
    loomp_group *group = words->group;
    loomp_loop *home = words->home;
    struct lp_deadline *deadline = words->deadline;
    int32_t status = words->status;
    loomp_done_fn done = job->done;
    struct lp_finishing finishing = {job, words->scratch, lp_self.finishing};
    words->scratch = NULL;
    set_state(words, LOOMP_JOB_IDLE);
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
        lp_group_leave(group, status);
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
        finish(job); /* without a done, any thread will do */
    } else {
        lp_teams_push_done(words->pool, &words->item);
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
           (words->around && is_cancelled(lp_job_words(words->around))) ||
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
    bool leads_gang = job->kind == LOOMP_GANG && lp_self.role == LP_GANG &&
                      lp_gang_at_top_level(lp_self.pool);
    set_state(words, LOOMP_JOB_RUNNING);
    words->outer = lp_self.job;
    lp_self.job = job;
    if (leads_gang) {
        /* The threads of its regions answer loomp_cancelled by it; regions begin and end with
         * barriers, so relaxed is enough. */
        atomic_store_explicit(&lp_self.pool->gang.running, job, memory_order_relaxed);
    }
    lp_self.inside++;
    if (lp_self.card) {
        lp_card_add(&lp_self.card->kinds[job->kind]);
    }
    int32_t status = job->kind == LOOMP_TASKS ? lp_team_with_children(work_of_tasks, job)
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

uint64_t lp_job_note(const void *item)
{
    const loomp_job *job = item;
    return lp_note(job->kind, job->width);
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
    if (job->kind > LOOMP_GANG) {
        return lp_fail(-EINVAL, "loomp_submit: job.kind is %u, not LOOMP_SERIAL, _TASKS or _GANG",
                       job->kind);
    }
    if (job->priority < LOOMP_LOW || job->priority > LOOMP_HIGH) {
        return lp_fail(-EINVAL, "loomp_submit: job.priority is %d, not LOOMP_LOW, _NORMAL or _HIGH",
                       job->priority);
    }
    if (isnan(job->deadline_s)) {
        return lp_fail(-EINVAL, "loomp_submit: job.deadline_s is not a number");
    }
    uint32_t known = LOOMP_MAY_WAIT | LOOMP_UNTRACKED | LOOMP_FP_ENV | LOOMP_FIFO | LOOMP_IF_OK;
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
static int claim(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool, uint32_t state)
{
    struct lp_job_words *words = lp_job_words(job);
    uint32_t idle = LOOMP_JOB_IDLE;
    if (!atomic_compare_exchange_strong_explicit(&words->state, &idle, state,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return lp_fail(-EBUSY, "loomp_submit: the job is under way already");
    }
    words->item.run = finish_item;
    words->runtime = runtime;
    words->home = job->home ? job->home : lp_self.loop;
    words->pool = pool;
    words->group = job->group;
    words->deadline = NULL;
    if (lp_deadline_wanted(job)) {
        words->deadline = lp_deadline_new(job, words->home ? words->home : runtime->first_loop);
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

/* Puts a claimed job into its queue; false if that is full. What it returns true for may be gone. */
static bool push(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct lp_ticket *ticket = lp_job_ticket(words);
    *ticket = (struct lp_ticket){NULL, 0};
    return job->kind == LOOMP_SERIAL
               ? lp_pool_push_serial(words->pool, job->priority, job, words->group,
                                     job->flags & LOOMP_FIFO, ticket)
               : lp_pool_push_gang(words->pool, job->priority, job, words->group, ticket);
}

/* Puts it beside its queue, which is full. The job may be gone when this returns. */
static void push_late(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct loomp_pool *pool = words->pool;
    lp_overflow_put(job->kind == LOOMP_SERIAL ? &pool->late_serial : &pool->late_gangs,
                    &words->late, job, words->group);
}

/* Makes sure somebody takes what was pushed. The job may be gone already; its group is held. */
static void announce(loomp_pool *pool, uint32_t kind, loomp_group *group)
{
    if (kind == LOOMP_SERIAL) {
        lp_teams_wake_for_serial(pool);
    } else {
        lp_teams_wake_for_gang(pool);
    }
    if (group) {
        lp_graph_offer(group, pool, kind);
    }
}

/* The queue is full: waits for room if that is the policy. 0 or -EAGAIN. */
static int overflow(loomp_runtime *runtime, loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct lp_deadline *deadline = words->deadline;
    if (runtime->queue_policy == LP_BLOCK && lp_self.role == LP_PLAIN) {
        while (!push(job)) {
            if (deadline && lp_deadline_has_passed(deadline)) {
                lp_deadline_void(deadline);
                complete(job, -ETIMEDOUT, false); /* the job may be gone from here on */
                return 0;
            }
            lp_ring_wait_for_room(lp_job_ticket(words)->queue,
                                  deadline ? deadline->alarm.when_ns : UINT64_MAX);
        }
        return 0;
    }
    return lp_fail(-EAGAIN, "queue_limit is reached: %llu jobs of this kind and priority wait in "
                            "pool %s",
                   (unsigned long long)words->pool->options.queue_limit,
                   words->pool->options.name);
}

static bool may_run_here(loomp_runtime *runtime, const loomp_job *job)
{
    return runtime->queue_policy == LP_CALLER_RUNS && job->kind == LOOMP_SERIAL &&
           (lp_self.role != LP_LOOP || !(job->flags & LOOMP_MAY_WAIT)) &&
           (lp_self.role != LP_GANG || lp_gang_at_top_level(lp_self.pool)) &&
           (!lp_job_words((loomp_job *)job)->pool->options.blocking || lp_self.role == LP_PLAIN);
}

/* Queues a job that is claimed, or runs it here. The job may be gone when this returns 0. */
static int hand_over(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool)
{
    uint32_t kind = job->kind;
    loomp_group *group = lp_job_words(job)->group;
    struct lp_deadline *deadline = lp_job_words(job)->deadline;
    if (deadline) {
        lp_deadline_begin(deadline, job->deadline_s);
    }
    if (group) {
        lp_group_join(group); /* ours, while we are not through with the group */
    }
    int err = 0;
    if (push(job)) {
        announce(pool, kind, group);
    } else if (may_run_here(runtime, job)) {
        lp_team_run_outside(run_for_caller, job);
    } else {
        err = overflow(runtime, job);
        if (!err) {
            announce(pool, kind, group);
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

/* Whether that pool takes the job; a blocking one may have to start a thread for it. */
static int prepare(loomp_pool *pool, const loomp_job *job)
{
    if (!pool->options.blocking) {
        return 0;
    }
    if (job->kind != LOOMP_SERIAL) {
        return lp_fail(-EINVAL, "loomp_submit: job.kind is not LOOMP_SERIAL, and the pool %s "
                                "runs nothing else",
                       pool->options.name);
    }
    return lp_blocking_team_prepare(pool);
}

static int enqueue(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool)
{
    int err = prepare(pool, job);
    if (err) {
        return err;
    }
    err = claim(runtime, job, pool, LOOMP_JOB_QUEUED);
    if (err) {
        return err;
    }
    err = hand_over(runtime, job, pool);
    if (err) {
        unclaim(job);
    }
    return err;
}

static struct lp_ledger *ledger_for(const loomp_job *job)
{
    return job->flags & LOOMP_UNTRACKED ? &lp_untracked : &lp_tracked;
}

/* given: NULL, as the job says. */
static int submit(loomp_runtime *runtime, loomp_job *job, bool blocking, loomp_pool *given)
{
    int err = check(runtime, job);
    if (err) {
        return err;
    }
    struct lp_ledger *ledger = ledger_for(job);
    err = accept(ledger == &lp_untracked); /* from here on stop waits for this call, so that the
                                            * pools stay */
    if (err) {
        return err;
    }
    loomp_pool *pool = blocking    ? runtime->blocking
                       : given     ? given
                       : job->pool ? job->pool
                                   : runtime->compute;
    err = lp_pool_enter(pool);
    if (!err) {
        err = enqueue(runtime, job, pool);
        lp_pool_leave(pool, err ? 2 : 1); /* this call, and a job that did not come in */
    }
    if (err) {
        lp_ledger_finish(ledger); /* the job */
    }
    lp_ledger_finish(ledger); /* this call */
    return err;
}

int loomp_submit(loomp_runtime *runtime, loomp_job *job)
{
    return submit(runtime, job, false, NULL);
}

int loomp_submit_to(loomp_pool *pool, loomp_job *job)
{
    return pool ? submit(pool->options.runtime, job, false, pool)
                : lp_fail(-EINVAL, "loomp_submit_to: the pool is NULL");
}

int loomp_submit_blocking(loomp_runtime *runtime, loomp_job *job)
{
    return submit(runtime, job, true, NULL);
}

/* ---- taking back -------------------------------------------------------------------------------- */

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

/* ---- after a group ------------------------------------------------------------------------------- */

/* The group that the job was to start after is empty. No user code runs here, and nothing waits. The
 * job may be gone when this returns. */
static void start_after(struct lp_waiter *waiter)
{
    struct lp_job_words *words =
        (struct lp_job_words *)(void *)((char *)waiter - offsetof(struct lp_job_words, after));
    loomp_job *job = LOOMP_CONTAINER(words, loomp_job, private_);
    loomp_pool *pool = words->pool;
    loomp_group *group = words->group;
    uint32_t kind = job->kind;
    struct lp_deadline *deadline = words->deadline;
    bool unwanted = (waiter->status && job->flags & LOOMP_IF_OK) || is_cancelled(words);
    if (deadline) {
        lp_deadline_begin(deadline, job->deadline_s);
    }
    if (group) {
        lp_group_join(group); /* ours, as in hand_over */
    }
    if (unwanted) {
        if (deadline) {
            lp_deadline_void(deadline);
        }
        complete(job, -ECANCELED, false);
    } else {
        if (!push(job)) {
            push_late(job);
        }
        announce(pool, kind, group);
    }
    if (deadline) {
        lp_deadline_set(deadline);
    }
    if (group) {
        lp_group_leave(group, 0);
    }
}

/* Claims the job and lets it wait for the group. */
static int wait_to_start(loomp_group *group, loomp_job *job)
{
    loomp_runtime *runtime = group->runtime_;
    loomp_pool *pool = job->pool ? job->pool : runtime->compute;
    int err = lp_pool_enter(pool);
    if (err) {
        return err;
    }
    err = prepare(pool, job);
    if (!err) {
        err = claim(runtime, job, pool, LP_JOB_PENDING);
    }
    if (err) {
        lp_pool_leave(pool, 2);
        return err;
    }
    struct lp_waiter *waiter = &lp_job_words(job)->after;
    *waiter = (struct lp_waiter){.wake = start_after};
    int32_t status;
    if (!lp_group_wait_with(group, waiter, &status)) {
        waiter->status = status;
        start_after(waiter);
    }
    lp_pool_leave(pool, 1); /* this call */
    return 0;
}

int loomp_group_then(loomp_group *group, loomp_job *job)
{
    if (!group || !group->runtime_) {
        return lp_fail(-EINVAL, "loomp_group_then: the group is %s",
                       group ? "not initialised" : "NULL");
    }
    int err = check(group->runtime_, job);
    if (err) {
        return err;
    }
    if (job->group == group) {
        return lp_fail(-EDEADLK, "loomp_group_then: the job is in the group itself, which cannot "
                                 "become empty before it has run");
    }
    struct lp_ledger *ledger = ledger_for(job);
    err = accept(ledger == &lp_untracked);
    if (err) {
        return err;
    }
    err = wait_to_start(group, job);
    if (err) {
        lp_ledger_finish(ledger); /* the job */
    }
    lp_ledger_finish(ledger); /* this call; group and job may be gone from here on */
    return err;
}

/* ---- cancellation and state ---------------------------------------------------------------------- */

int loomp_cancel(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    switch (atomic_load_explicit(&words->state, memory_order_acquire)) {
    case LOOMP_JOB_QUEUED: {
        struct lp_ledger *ledger = &lp_tracked;
        loomp_pool *pool = words->pool;
        bool withdrawn;
        lp_ledger_hold(ledger); /* this call, which the job's end must not free under us */
        if (pool->options.counted) {
            lp_rundown_hold(&pool->uses);
        }
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        withdrawn = take_out(words);
        if (withdrawn) {
            atomic_fetch_add_explicit(&words->pool->withdrawn, 1, memory_order_relaxed);
            complete(job, -ECANCELED, false); /* the job may be gone from here on */
        }
        lp_pool_leave(pool, 1);
        lp_ledger_finish(ledger);
        /* If not, it was taken this very moment; its runner may still see the wish. */
        return withdrawn ? 0 : -EINPROGRESS;
    }
    case LP_JOB_PENDING: /* whoever takes it sees the wish */
    case LOOMP_JOB_RUNNING:
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
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
        complete(job, -ECANCELED, false); /* the job may be gone from here on */
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
    return job && is_cancelled(lp_job_words(job));
}

bool loomp_job_cancelled(const loomp_job *job)
{
    return is_cancelled(lp_job_words((loomp_job *)(uintptr_t)job));
}

int loomp_job_state(const loomp_job *job)
{
    uint32_t state = atomic_load_explicit(&lp_job_words((loomp_job *)(uintptr_t)job)->state,
                                          memory_order_acquire);
    return state == LP_JOB_PENDING ? LOOMP_JOB_QUEUED : (int)state;
}
