/* SPDX-License-Identifier: MIT */
/* Owns the first half of a job's life: it is checked, accepted once, and queued, at once or when a group
 * has become empty. Any thread enters. */
#include "base/error.h"
#include "base/fp_control.h"
#include "base/self.h"
#include "job/graph.h"
#include "job/job.h"
#include "loop/loop.h"
#include "team/blocking_team.h"
#include "team/gang_team.h"
#include "team/teams.h"
#include "team/worker.h"

#include <errno.h>
#include <math.h>

/* What every job has. call: who says what is wrong. */
static int check_common(const char *call, const loomp_runtime *runtime, const loomp_job *job)
{
    if (!runtime || !job) {
        return lp_fail(-EINVAL, "%s: the %s is NULL", call, runtime ? "job" : "runtime");
    }
    if (job->priority < LOOMP_LOW || job->priority > LOOMP_HIGH) {
        return lp_fail(-EINVAL, "%s: job.priority is %d, not LOOMP_LOW, _NORMAL or _HIGH", call,
                       job->priority);
    }
    if (job->group && !job->group->runtime_) {
        return lp_fail(-EINVAL, "%s: job.group is not initialised (loomp_group_init)", call);
    }
    if (job->group && job->group->flags & ~LOOMP_GROUP_CANCEL_ON_ERROR) {
        return lp_fail(-EINVAL, "%s: the flags of job.group have unknown bits 0x%x", call,
                       job->group->flags & ~LOOMP_GROUP_CANCEL_ON_ERROR);
    }
    if (isnan(job->deadline_s)) {
        return lp_fail(-EINVAL, "%s: job.deadline_s is not a number", call);
    }
    uint32_t known = LOOMP_MAY_WAIT | LOOMP_UNTRACKED | LOOMP_FP_ENV | LOOMP_FIFO | LOOMP_IF_OK;
    if (job->flags & ~known) {
        return lp_fail(-EINVAL, "%s: job.flags has unknown bits 0x%x", call, job->flags & ~known);
    }
    return 0;
}

static int check(const loomp_runtime *runtime, const loomp_job *job)
{
    int err = check_common("loomp_submit", runtime, job);
    if (err) {
        return err;
    }
    if (job->kind > LOOMP_GANG) {
        return lp_fail(-EINVAL, "loomp_submit: job.kind is %u, not LOOMP_SERIAL, _TASKS or _GANG",
                       job->kind);
    }
    if (job->hint > LOOMP_HINT_HIGH) {
        return lp_fail(-EINVAL, "loomp_submit: job.hint is %u, not LOOMP_HINT_UNKNOWN, _LOW, "
                                "_MEDIUM or _HIGH",
                       job->hint);
    }
    return job->work ? 0 : lp_fail(-EINVAL, "loomp_submit: job.work is NULL");
}

static int check_io(const loomp_runtime *runtime, const loomp_job *job, const struct lp_io *io)
{
    static const char *const calls[] = {
        [LP_IO_READ] = "loomp_io_read",       [LP_IO_READ_ALL] = "loomp_io_read_all",
        [LP_IO_WRITE] = "loomp_io_write",     [LP_IO_READY] = "loomp_io_ready",
        [LP_IO_ACCEPT] = "loomp_io_accept",   [LP_IO_SLEEP] = "loomp_io_sleep",
        [LP_IO_CHILD] = "loomp_io_child",     [LP_IO_CALL] = "loomp_io_call",
    };
    int err = check_common(calls[io->what], runtime, job);
    return err || !job->work ? err : lp_fail(-EINVAL, "%s: job.work is not NULL", calls[io->what]);
}

/* Makes its site known; with the gate passed, since it may take a lock. */
static int check_site(const loomp_job *job)
{
    struct lp_site_record *record;
    return job->site ? lp_site_record(job->site, &record) : 0;
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

/* Everything the job holds until finish, but the queue. keeper: of the deadline; NULL: the home. The job
 * is ENTERING then, and nobody else looks at its words, until the caller has set the state. */
static int claim(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool, loomp_loop *keeper)
{
    struct lp_job_words *words = lp_job_words(job);
    uint32_t idle = LOOMP_JOB_IDLE;
    if (!atomic_compare_exchange_strong_explicit(&words->state, &idle, LP_JOB_ENTERING,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return lp_fail(-EBUSY, "loomp_submit: the job is under way already");
    }
    words->runtime = runtime;
    words->home = job->home ? job->home : lp_self.loop;
    words->pool = pool;
    words->group = job->group;
    words->deadline = NULL;
    if (lp_deadline_wanted(job)) {
        words->deadline = lp_deadline_new(job, keeper        ? keeper
                                               : words->home ? words->home
                                                             : runtime->first_loop);
        if (!words->deadline) {
            lp_job_set_state(words, LOOMP_JOB_IDLE);
            return lp_fail(-ENOMEM, "no memory for the deadline of a job");
        }
    }
    words->fp_control = job->flags & LOOMP_FP_ENV ? lp_fp_control() : 0;
    atomic_store_explicit(&words->cancel, 0, memory_order_relaxed);
    words->untracked = job->flags & LOOMP_UNTRACKED;
    words->kind = job->kind;
    words->width = job->width;
    words->placed.site = NULL;
    words->placed.expected_ns = 0;
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
    lp_job_expected_no_more(job);
    if (words->deadline) {
        lp_deadline_drop(words->deadline);
    }
    if (words->group) {
        lp_group_leave(words->group, 0);
    }
    if (words->home) {
        lp_loop_settle(words->home);
    }
    lp_job_set_state(words, LOOMP_JOB_IDLE);
}

/* From here on it may be cancelled: first without a place in a queue, which it may never get. */
static void show_queued(struct lp_job_words *words)
{
    *lp_job_ticket(words) = (struct lp_ticket){NULL, LP_NO_POSITION};
    lp_job_set_state(words, LOOMP_JOB_QUEUED);
}

/* Puts a claimed job into its queue; false if that is full. What it returns true for may be gone. */
static bool push(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct lp_ticket *ticket = lp_job_ticket(words);
    *ticket = (struct lp_ticket){NULL, LP_NO_POSITION};
    return words->kind == LOOMP_SERIAL
               ? lp_pool_push_serial(words->pool, job->priority, job, words->group,
                                     job->flags & LOOMP_FIFO, ticket)
               : lp_pool_push_gang(words->pool, job->priority, job, words->group, ticket);
}

/* Puts it beside its queue, which is full. The job may be gone when this returns. */
static void push_late(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct loomp_pool *pool = words->pool;
    lp_overflow_put(words->kind == LOOMP_SERIAL ? &pool->late_serial : &pool->late_gangs,
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
                lp_job_complete(job, -ETIMEDOUT, false); /* the job may be gone from here on */
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
    return runtime->queue_policy == LP_CALLER_RUNS &&
           lp_job_words((loomp_job *)job)->kind == LOOMP_SERIAL &&
           (lp_self.role != LP_LOOP || !(job->flags & LOOMP_MAY_WAIT)) &&
           (lp_self.role != LP_GANG || lp_gang_at_top_level(lp_self.pool)) &&
           (!lp_job_words((loomp_job *)job)->pool->options.blocking || lp_self.role == LP_PLAIN);
}

/* Queues a job that is claimed, or runs it here. The job may be gone when this returns 0. */
static int hand_over(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool)
{
    struct lp_job_words *words = lp_job_words(job);
    loomp_group *group = words->group;
    struct lp_deadline *deadline = words->deadline;
    if (deadline) {
        lp_deadline_begin(deadline, job->deadline_s);
    }
    if (group) {
        lp_group_join(group); /* ours, while we are not through with the group */
    }
    bool is_inline = false;
    struct lp_placed placed = {.site = NULL};
    show_queued(words);
    if (job->site) {
        is_inline = lp_job_place(job, pool, false);
        placed = words->placed;
    }
    uint32_t kind = words->kind;
    int err = 0;
    if (is_inline) {
        lp_team_run_on_loop(lp_job_run_for_caller, job);
    } else if (push(job)) {
        announce(pool, kind, group);
        lp_job_handed_over(&placed, pool);
    } else if (may_run_here(runtime, job)) {
        words->placed.site = NULL; /* not where it was placed: nothing to learn from */
        lp_team_run_outside(lp_job_run_for_caller, job);
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
    err = claim(runtime, job, pool, NULL);
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
    err = check_site(job);
    err = err ? err : lp_pool_enter(pool);
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

int loomp_submit_adaptive(loomp_runtime *runtime, loomp_job *job, loomp_site *site, uint64_t size)
{
    if (!job || !site) {
        return lp_fail(-EINVAL, "loomp_submit_adaptive: the %s is NULL", job ? "site" : "job");
    }
    job->site = site;
    job->size = size;
    return loomp_submit(runtime, job);
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

/* ---- I/O ------------------------------------------------------------------------------------------ */

static struct lp_job_words *words_of(struct lp_io *io)
{
    return (struct lp_job_words *)(void *)((char *)io - offsetof(struct lp_job_words, io));
}

static bool is_io_unwanted(struct lp_io *io)
{
    return lp_job_is_cancelled(words_of(io));
}

/* On the loop that has watched it. */
static void io_finished(struct lp_io *io, int64_t result)
{
    struct lp_job_words *words = words_of(io);
    if (words->deadline) {
        /* Now: the loop that keeps it need not be the job's home, and may go away. */
        lp_deadline_drop(words->deadline);
        words->deadline = NULL;
    }
    lp_job_complete(LOOMP_CONTAINER(words, loomp_job, private_), (int32_t)result, false);
}

/* On the same loop, if it has not ended. */
static void ring_for_io(struct lp_alarm *alarm)
{
    loomp_job *job = LOOMP_CONTAINER(alarm, struct lp_deadline, alarm)->job;
    lp_watch_end(&lp_job_words(job)->io.watch, -ETIMEDOUT);
}

/* A loop watches it. */
static int watch_io(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool,
                    const struct lp_io *io, loomp_loop *loop)
{
    struct lp_job_words *words = lp_job_words(job);
    int err = claim(runtime, job, pool, loop);
    if (err) {
        return err;
    }
    struct lp_deadline *deadline = words->deadline;
    words->io = *io;
    words->io.finished = io_finished;
    words->io.is_unwanted = is_io_unwanted;
    if (words->group) {
        lp_group_note_io(words->group);
    }
    if (deadline) {
        deadline->alarm.ring = ring_for_io;
        lp_deadline_begin(deadline, job->deadline_s);
    }
    lp_io_bind(loop, &words->io);
    lp_job_set_state(words, LOOMP_JOB_RUNNING); /* from here on it may be cancelled */
    lp_io_watch(&words->io); /* the job may be gone from here on */
    if (deadline) {
        lp_deadline_set(deadline);
    }
    return 0;
}

/* Here and now, if that needs no waiting; done comes later, as always. The job may be gone when this
 * returns true. */
static bool make_at_once(loomp_job *job)
{
    struct lp_job_words *words = lp_job_words(job);
    struct lp_deadline *deadline = words->deadline;
    int64_t result = lp_job_is_cancelled(words) ? LP_WATCH_AGAIN : lp_io_at_once(&words->io);
    if (result == LP_WATCH_AGAIN) {
        return false;
    }
    if (deadline) {
        lp_deadline_void(deadline);
    }
    lp_job_complete(job, (int32_t)result, false); /* the job may be gone from here on */
    return true;
}

/* A thread of the pool `blocking` makes it, as it runs other jobs. */
static int queue_io(loomp_runtime *runtime, loomp_job *job, loomp_pool *pool,
                    const struct lp_io *io)
{
    struct lp_job_words *words = lp_job_words(job);
    int err = claim(runtime, job, pool, NULL);
    if (err) {
        return err;
    }
    struct lp_deadline *deadline = words->deadline;
    loomp_group *group = words->group;
    words->kind = LOOMP_SERIAL; /* whatever the job says */
    words->io = *io;
    words->io.is_unwanted = is_io_unwanted;
    show_queued(words);
    if (deadline) {
        lp_deadline_begin(deadline, job->deadline_s);
    }
    if (group) {
        lp_group_join(group); /* ours, as in hand_over */
    }
    if (!make_at_once(job)) {
        if (!push(job)) {
            lp_job_set_state(words, LP_JOB_PENDING);
            push_late(job);
        }
        announce(pool, LOOMP_SERIAL, group);
    }
    if (deadline) {
        lp_deadline_set(deadline);
    }
    if (group) {
        lp_group_leave(group, 0);
    }
    return 0;
}

int lp_job_submit_io(loomp_runtime *runtime, loomp_job *job, const struct lp_io *io,
                     loomp_loop *loop)
{
    int err = check_io(runtime, job, io);
    if (err) {
        return err;
    }
    struct lp_ledger *ledger = ledger_for(job);
    err = accept(ledger == &lp_untracked);
    if (err) {
        return err;
    }
    bool queued = lp_io_is_for_pool(io);
    loomp_pool *pool = queued      ? runtime->blocking
                       : job->pool ? job->pool
                                   : runtime->compute;
    loomp_loop *home = job->home ? job->home : lp_self.loop;
    loop = loop ? loop : home ? home : runtime->first_loop;
    err = lp_pool_enter(pool);
    if (!err) {
        err = pool->options.blocking ? lp_blocking_team_prepare(pool) : 0;
        if (!err) {
            err = queued ? queue_io(runtime, job, pool, io)
                         : watch_io(runtime, job, pool, io, loop);
        }
        lp_pool_leave(pool, err ? 2 : 1);
    }
    if (err) {
        lp_ledger_finish(ledger); /* the job */
    }
    lp_ledger_finish(ledger); /* this call */
    return err;
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
    struct lp_deadline *deadline = words->deadline;
    if (group) {
        lp_graph_take_back_pending(&words->nest, group);
    }
    lp_pool_hold(pool); /* ours, as the group's below */
    bool unwanted = (waiter->status && job->flags & LOOMP_IF_OK) || lp_job_is_cancelled(words);
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
        lp_job_complete(job, -ECANCELED, false);
    } else {
        if (job->site) {
            lp_job_place(job, pool, true);
        }
        uint32_t kind = words->kind;
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
    lp_pool_leave(pool, 1);
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
        err = claim(runtime, job, pool, NULL);
    }
    if (err) {
        lp_pool_leave(pool, 2);
        return err;
    }
    struct lp_job_words *words = lp_job_words(job);
    loomp_group *own = words->group;
    struct lp_waiter *waiter = &words->after;
    *waiter = (struct lp_waiter){.wake = start_after, .kind = LP_WAITER_PENDING};
    lp_job_set_state(words, LP_JOB_PENDING);
    if (own) {
        lp_group_join(own); /* ours, as in hand_over */
        words->nest = (struct lp_nest){.to = group};
        lp_graph_publish_pending(&words->nest, own);
    }
    int32_t status;
    if (!lp_group_wait_with(group, waiter, &status)) {
        waiter->status = status;
        start_after(waiter);
    } else if (own) {
        lp_graph_tell_of_pending(own); /* the job may be gone */
    }
    if (own) {
        lp_group_leave(own, 0);
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
    err = check_site(job);
    err = err ? err : wait_to_start(group, job);
    if (err) {
        lp_ledger_finish(ledger); /* the job */
    }
    lp_ledger_finish(ledger); /* this call; group and job may be gone from here on */
    return err;
}
