/* SPDX-License-Identifier: MIT */
/* Owns waiting for groups, and what is built on it: install and the gang's pause.
 *
 * A thread of a pool that waits runs, meanwhile, unstarted jobs of the group it waits for, and
 * nothing else: unrelated jobs would end up below each other on one stack, each waiting for the one
 * under it. With no such job it gives its place away and sleeps; a job of the group that is queued
 * later wakes it (lp_group_offer), so that a pool whose threads all wait still runs what they wait
 * for. The same with the dones of jobs that were withdrawn and have no home. */
#include "base/error.h"
#include "base/self.h"
#include "job/job.h"
#include "team/gang_team.h"
#include "team/worker.h"

#include <errno.h>

/* What the waiting thread can run, if anything, and how it sleeps. */
struct wait {
    loomp_group *group;
    uint64_t deadline_ns;
    uint32_t helps; /* LP_HELPS_*: with what of its pool's */
    uint64_t serial_cursors[LP_PRIORITIES];
    uint64_t gang_cursors[LP_PRIORITIES];
    struct lp_thread_waiter waiter;
    bool woken;
};

/* Whether waiting for this group could end at all. */
static int check(const loomp_group *group)
{
    if (!group || !group->runtime_) {
        return lp_fail(-EINVAL, "loomp_group_wait: the group is %s",
                       group ? "not initialised" : "NULL");
    }
    struct lp_ledger *ledger = &lp_tracked;
    if (atomic_load_explicit(&ledger->gate, memory_order_relaxed) == LP_GATE_CHILD) {
        return lp_ledger_check(ledger);
    }
    for (loomp_job *job = lp_self.job; job; job = lp_job_words(job)->outer) {
        if (lp_job_words(job)->group == group) {
            return lp_fail(-EDEADLK, "loomp_group_wait: a job that runs on this thread is in the "
                                     "group itself");
        }
    }
    if (lp_self.role == LP_LOOP) {
        return lp_fail(-EDEADLK, "loomp_group_wait on a loop would hold up its events; use "
                                 "loomp_group_notify");
    }
    if (lp_self.role == LP_GANG && !lp_gang_at_top_level(lp_self.pool)) {
        return lp_fail(-EDEADLK, "loomp_group_wait inside a parallel region of a GANG job: its "
                                 "other threads would wait at the barrier for ever");
    }
    return 0;
}

static loomp_job *take_from(struct lp_ring *rings, uint64_t *cursors, const loomp_group *group)
{
    for (int i = 0; i < LP_PRIORITIES; i++) {
        loomp_job *job = lp_ring_take_tagged(&rings[i], group, &cursors[i]);
        if (job) {
            return job;
        }
    }
    return NULL;
}

static loomp_job *take_job(struct wait *wait)
{
    loomp_job *job = NULL;
    if (wait->helps & LP_HELPS_GANG) {
        job = take_from(lp_self.pool->gangs, wait->gang_cursors, wait->group);
    }
    if (!job && wait->helps & LP_HELPS_SERIAL) {
        job = take_from(lp_self.pool->serial, wait->serial_cursors, wait->group);
    }
    return job;
}

/* The leader of a gang runs SERIAL jobs too, on its own place and as a team of one: every worker may
 * be waiting for a gang that comes after this one. */
static void run_job(loomp_job *job)
{
    if (lp_self.role != LP_GANG) {
        lp_team_run(lp_self.pool, job);
    } else if (job->kind == LOOMP_GANG) {
        lp_gang_run_in_place(lp_self.pool, job);
    } else {
        lp_team_run_outside(lp_job_run, job);
    }
}

static void call_each(void *arg)
{
    struct lp_item *item = arg;
    while (item) {
        struct lp_item *next = item->next;
        item->run(item); /* the item may be gone from here on */
        item = next;
    }
}

/* Calls the dones that wait for a thread of this pool, all of which may be waiting as we are. False:
 * there are none. */
static bool call_dones(const struct wait *wait)
{
    if (!wait->helps || lp_completions_empty(&lp_self.pool->dones)) {
        return false;
    }
    lp_team_run_outside(call_each, lp_completions_take(&lp_self.pool->dones));
    return true;
}

static void sleep_plainly(void *arg)
{
    struct wait *wait = arg;
    wait->woken = lp_thread_waiter_sleep(&wait->waiter, wait->deadline_ns);
}

static void sleep_without_place(struct wait *wait)
{
    switch (lp_self.role) {
    case LP_WORKER:
        lp_worker_leave_place(lp_self.pool);
        sleep_plainly(wait);
        lp_worker_reenter_place(lp_self.pool);
        break;
    case LP_GANG:
        lp_gang_rest_in_job(lp_self.pool, sleep_plainly, wait);
        break;
    default:
        sleep_plainly(wait);
    }
}

/* The waiter is taken back, or its wake-up, which is on its way, is received. True if it had not
 * been woken. */
static bool stop_waiting(struct wait *wait)
{
    if (lp_group_wait_no_more(wait->group, &wait->waiter.waiter)) {
        return true;
    }
    lp_thread_waiter_sleep(&wait->waiter, UINT64_MAX);
    return false;
}

static int wait_for_group(struct wait *wait)
{
    for (;;) {
        int32_t status;
        loomp_job *job = take_job(wait);
        if (job) {
            run_job(job);
            continue;
        }
        if (call_dones(wait)) {
            continue;
        }
        lp_thread_waiter_init(&wait->waiter);
        wait->waiter.waiter.helps = wait->helps;
        if (!lp_group_wait_with(wait->group, &wait->waiter.waiter, &status)) {
            return status;
        }
        /* Look again: what was queued before we were registered woke nobody. */
        job = take_job(wait);
        if (job) {
            stop_waiting(wait);
            run_job(job);
            continue;
        }
        if (wait->helps && !lp_completions_empty(&lp_self.pool->dones)) {
            stop_waiting(wait);
            continue;
        }
        sleep_without_place(wait);
        if (!wait->woken && stop_waiting(wait)) {
            return lp_fail(-ETIMEDOUT, "loomp_group_wait: the time limit is reached");
        }
        if (wait->waiter.waiter.status != LP_WAITER_HELP) {
            return wait->waiter.waiter.status;
        }
    }
}

int loomp_group_wait(loomp_group *group, double timeout_s)
{
    int err = check(group);
    if (err) {
        return err;
    }
    if (timeout_s == 0) {
        int32_t status;
        return lp_group_is_empty(group, &status)
                   ? status
                   : lp_fail(-ETIMEDOUT, "loomp_group_wait: jobs of the group are under way");
    }
    struct wait wait = {.group = group, .deadline_ns = lp_deadline_ns(timeout_s)};
    if (lp_self.role == LP_WORKER || lp_self.role == LP_BLOCKING) {
        wait.helps = LP_HELPS_SERIAL;
    } else if (lp_self.role == LP_GANG) {
        wait.helps = LP_HELPS_SERIAL | LP_HELPS_GANG;
    }
    return wait_for_group(&wait);
}

/* ---- install ------------------------------------------------------------------------------------ */

struct install {
    loomp_job job;
    int (*fn)(void *arg);
    void *arg;
    int result;
};

static int install_work(loomp_job *job)
{
    struct install *install = LOOMP_CONTAINER(job, struct install, job);
    install->result = install->fn(install->arg);
    return 0;
}

int loomp_install(loomp_runtime *runtime, int (*fn)(void *arg), void *arg)
{
    if (!runtime || !fn) {
        return lp_fail(-EINVAL, "loomp_install: the %s is NULL", runtime ? "function" : "runtime");
    }
    int err = lp_ledger_check(&lp_tracked);
    if (err) {
        return err;
    }
    if (lp_gang_at_top_level(runtime->compute)) {
        return fn(arg); /* its regions already get the team */
    }
    if (lp_self.role == LP_LOOP) {
        return lp_fail(-EDEADLK, "loomp_install on a loop would hold up its events; submit a GANG "
                                 "job instead");
    }
    if (lp_self.role == LP_GANG) {
        return lp_fail(-EDEADLK, "loomp_install inside a parallel region of a GANG job: the team "
                                 "is busy with that region");
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct install install = {.fn = fn, .arg = arg};
    loomp_job_init(&install.job, install_work, NULL);
    install.job.kind = LOOMP_GANG;
    install.job.group = &group;
    /* Whoever waits for the job that installs may have to run this: a gang's leader, whose end the
     * gang queue would wait for. */
    loomp_job *outer = lp_self.job;
    err = lp_job_submit_tagged(runtime, &install.job, outer ? lp_job_words(outer)->group : NULL);
    if (err) {
        return err;
    }
    err = loomp_group_wait(&group, -1);
    return err ? err : install.result;
}

int loomp_gang_pause(loomp_runtime *runtime)
{
    if (!runtime || lp_ledger_check(&lp_tracked) ||
        !lp_gang_at_top_level(runtime->compute)) {
        return lp_fail(-EPERM, "loomp_gang_pause belongs in a GANG job, between its parallel "
                               "regions");
    }
    return (int)lp_gang_pause_for_serial(runtime->compute);
}
