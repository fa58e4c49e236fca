/* SPDX-License-Identifier: MIT */
/* Owns waiting for groups, and what is built on it: install and the gang's pause.
 *
 * A thread of a pool that waits runs, meanwhile, unstarted jobs of the group it waits for, and
 * nothing else: unrelated jobs would end up below each other on one stack, each waiting for the one
 * under it. With no such job it gives its place away and sleeps; a job of the group that is queued
 * later wakes it (lp_group_offer), so that a pool whose threads all wait still runs what they wait
 * for. */
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
    struct lp_queue_cursors serial_cursors;
    struct lp_gang_cursors gang_cursors;
    struct lp_thread_waiter waiter;
    bool woken;
};

int lp_wait_check(const char *name)
{
    if (lp_self.role == LP_LOOP) {
        return lp_fail(-EDEADLK, "%s on a loop would hold up its events; a loop asks to be notified",
                       name);
    }
    if (lp_self.role == LP_GANG && lp_gang_context(lp_self.pool) == LP_GANG_IN_REGION) {
        return lp_fail(-EDEADLK, "%s inside a parallel region of a GANG job: its other threads would "
                                 "wait at the barrier for ever",
                       name);
    }
    if (lp_self.broadcasting) {
        return lp_fail(-EDEADLK, "%s in the function of a broadcast, which may not wait", name);
    }
    return 0;
}

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
    return lp_wait_check("loomp_group_wait");
}

static loomp_job *take_job(struct wait *wait)
{
    loomp_job *job = NULL;
    if (wait->helps & LP_HELPS_GANG) {
        job = lp_pool_take_gang_tagged(lp_self.pool, wait->group, &wait->gang_cursors);
    }
    if (!job && wait->helps & LP_HELPS_SERIAL) {
        job = lp_pool_take_serial_tagged(lp_self.pool, wait->group, &wait->serial_cursors);
    }
    return job;
}

static void run_job(loomp_job *job)
{
    lp_card_add(&lp_self.card->helped);
    if (lp_self.role == LP_GANG) {
        lp_gang_run_in_place(lp_self.pool, job);
    } else {
        lp_team_run(lp_self.pool, job);
    }
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
        if (lp_gang_at_top_level(lp_self.pool)) {
            lp_gang_rest_in_job(lp_self.pool, sleep_plainly, wait);
        } else {
            sleep_plainly(wait);
        }
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
