/* SPDX-License-Identifier: MIT */
/* Owns the life of a job: accepted once, run or withdrawn, completed on its home, done exactly once.
 * Any thread submits and cancels; pools' threads run; loops and pools' threads call done. */
#include "job/job.h"

#include "base/error.h"
#include "base/fp_control.h"
#include "base/self.h"
#include "job/graph.h"
#include "loop/loop.h"
#include "team/blocking_team.h"
#include "team/gang_team.h"
#include "team/teams.h"
#include "team/worker.h"

#include <errno.h>
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
    int32_t status = words->status;
    loomp_done_fn done = job->done;
    set_state(words, LOOMP_JOB_IDLE);
    if (done) {
        lp_self.inside++;
        done(job, status);
        lp_self.inside--;
    }
    /* The job may be gone from here on. */
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

/* Makes sure somebody takes what was pushed. The job may be gone already; its group is held. */
static void announce(loomp_pool *pool, uint32_t kind, loomp_group *group)
{
    if (kind == LOOMP_GANG) {
        lp_teams_wake_for_gang(pool);
    } else {
        lp_teams_wake_for_serial(pool);
    }
    if (group) {
        lp_graph_offer(group, pool, kind);
    }
}

/* A job without a home is done, but not here: some thread of its pool calls done, which may be one that
 * waits for its group. The job may be gone when this returns. */
static void finish_on_pool(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct loomp_pool *pool = words->pool;
    loomp_group *group = words->group;
    if (group) {
        lp_group_join(group); /* ours, while we are not through with the group */
    }
    lp_overflow_put(&pool->late_serial, &words->late, job, group);
    announce(pool, LOOMP_SERIAL, group);
    if (group) {
        lp_group_leave(group, 0);
    }
}

/* Work has ended or will not run. here: this thread may call done itself. The job may be gone when
 * this returns. */
static void complete(loomp_job *job, int32_t status, bool here)
{
    struct lp_job_words *words = lp_job_words(job);
    words->status = status;
    set_state(words, LOOMP_JOB_ENDED);
    if (words->home) {
        lp_loop_push(words->home, &words->item);
    } else if (here) {
        finish(job);
    } else {
        finish_on_pool(job);
    }
}

/* ---- running ------------------------------------------------------------------------------------ */

static bool is_cancelled(struct lp_job_words *words)
{
    return atomic_load_explicit(&words->cancel, memory_order_relaxed) ||
           atomic_load_explicit(&lp_tracked.discard, memory_order_relaxed) ||
           (words->group && lp_group_is_cancelled(words->group));
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

static void run(loomp_job *job, bool done_here)
{
    struct lp_job_words *words = lp_job_words(job);
    /* relaxed: handed over with the job */
    if (atomic_load_explicit(&words->state, memory_order_relaxed) == LOOMP_JOB_ENDED) {
        finish(job); /* all that is left (finish_on_pool) */
        return;
    }
    /* Not the thread's usual control if this job runs while another waits below it. */
    uint64_t entered_with = lp_fp_control();
    /* A thread of the application's keeps its own. */
    uint64_t usual = lp_self.role == LP_PLAIN ? entered_with : lp_self.fp_control;
    int32_t status = -ECANCELED;
    if (!is_cancelled(words)) {
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
    uint32_t known = LOOMP_MAY_WAIT | LOOMP_UNTRACKED | LOOMP_FP_ENV | LOOMP_IF_OK;
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
    words->ring = lp_pool_queue(words->pool, job->kind == LOOMP_GANG, job->priority);
    words->position = UINT64_MAX;
    return lp_ring_push(words->ring, job, words->group, &words->position);
}

/* Puts it beside its queue, which is full. The job may be gone when this returns. */
static void push_late(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct loomp_pool *pool = words->pool;
    lp_overflow_put(job->kind == LOOMP_GANG ? &pool->late_gangs : &pool->late_serial, &words->late,
                    job, words->group);
}

/* The queue is full: waits for room if that is the policy. 0 or -EAGAIN. */
static int overflow(loomp_runtime *runtime, loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    if (runtime->queue_policy == LP_BLOCK && lp_self.role == LP_PLAIN) {
        while (!push(job)) {
            lp_ring_wait_for_room(words->ring, UINT64_MAX);
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
static int hand_over(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool)
{
    uint32_t kind = job->kind;
    loomp_group *group = lp_job_words(job)->group;
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

static int submit(loomp_runtime *runtime, loomp_job *job, bool blocking)
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
    err = enqueue(runtime, job,
                  blocking    ? runtime->blocking
                  : job->pool ? job->pool
                              : runtime->compute);
    if (err) {
        lp_ledger_finish(ledger); /* the job */
    }
    lp_ledger_finish(ledger); /* this call */
    return err;
}

int loomp_submit(loomp_runtime *runtime, loomp_job *job)
{
    return submit(runtime, job, false);
}

int loomp_submit_blocking(loomp_runtime *runtime, loomp_job *job)
{
    return submit(runtime, job, true);
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
    bool unwanted = waiter->status && job->flags & LOOMP_IF_OK;
    if (unwanted || is_cancelled(words)) {
        complete(job, -ECANCELED, false);
        return;
    }
    if (group) {
        lp_group_join(group); /* ours, as in hand_over */
    }
    if (!push(job)) {
        push_late(job);
    }
    announce(pool, kind, group);
    if (group) {
        lp_group_leave(group, 0);
    }
}

/* Claims the job and lets it wait for the group. */
static int wait_to_start(loomp_group *group, loomp_job *job)
{
    loomp_runtime *runtime = group->runtime_;
    loomp_pool *pool = job->pool ? job->pool : runtime->compute;
    int err = prepare(pool, job);
    if (!err) {
        err = claim(runtime, job, pool, LP_JOB_PENDING);
    }
    if (err) {
        return err;
    }
    struct lp_waiter *waiter = &lp_job_words(job)->after;
    *waiter = (struct lp_waiter){.wake = start_after};
    int32_t status;
    if (!lp_group_wait_with(group, waiter, &status)) {
        waiter->status = status;
        start_after(waiter);
    }
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
        bool withdrawn;
        lp_ledger_hold(ledger); /* this call, which the job's end must not free under us */
        atomic_store_explicit(&words->cancel, 1, memory_order_relaxed);
        withdrawn = lp_ring_withdraw(words->ring, words->position);
        if (withdrawn) {
            complete(job, -ECANCELED, false); /* the job may be gone from here on */
        }
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

/* Takes a group's jobs out of the queues of a pool. All before the first is completed: a job without a
 * home goes back to its pool. */
static struct lp_overflow_link *take_all(loomp_pool *pool, loomp_group *group,
                                         struct lp_overflow_link *list)
{
    uint32_t all = 1u << LOOMP_SERIAL | 1u << LOOMP_TASKS | 1u << LOOMP_GANG;
    uint64_t cursors[2][LP_PRIORITIES] = {{0}};
    loomp_job *job;
    while ((job = lp_graph_take_tagged(pool, all, group, cursors))) {
        struct lp_overflow_link *link = &lp_job_words(job)->late;
        *link = (struct lp_overflow_link){.next = list, .item = job};
        list = link;
    }
    return list;
}

void lp_jobs_withdraw(loomp_runtime *runtime, loomp_group *group)
{
    struct lp_overflow_link *list = take_all(runtime->compute, group, NULL);
    list = take_all(runtime->blocking, group, list);
    while (list) {
        loomp_job *job = list->item;
        list = list->next;
        if (atomic_load_explicit(&lp_job_words(job)->state, memory_order_relaxed) ==
            LOOMP_JOB_ENDED) {
            finish_on_pool(job); /* it had been on its way to its done */
        } else {
            complete(job, -ECANCELED, false);
        }
        /* the job may be gone from here on */
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
