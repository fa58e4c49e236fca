/* SPDX-License-Identifier: MIT */
/* Owns waiting for groups, and what is built on it: install and the gang's pause.
 *
 * A thread of a pool that waits runs, meanwhile, unstarted jobs of the group it waits for and of those
 * that jobs of this group wait for, and nothing else: unrelated jobs would end up below each other on
 * one stack, each waiting for the one under it. With no such job it gives its place away and sleeps; a
 * job that is queued later wakes it, so that a pool whose threads all wait still runs what they wait
 * for. Which jobs these are and who is to be woken, graph.c knows. */
#include "base/error.h"
#include "base/log.h"
#include "base/self.h"
#include "job/graph.h"
#include "job/job.h"
#include "team/gang_team.h"
#include "team/teams.h"
#include "team/worker.h"

#include <errno.h>

/* The innermost wait of this thread in which it runs other jobs. */
static _Thread_local struct lp_edge *innermost __attribute__((tls_model("initial-exec")));

int lp_wait_check(const char *call, const char *instead)
{
    struct lp_ledger *ledger = &lp_tracked;
    if (atomic_load_explicit(&ledger->gate, memory_order_relaxed) == LP_GATE_CHILD) {
        return lp_ledger_check(ledger);
    }
    if (lp_self.role == LP_LOOP) {
        return lp_fail(-EDEADLK, "%s on a loop would hold up its events; %s instead", call,
                       instead);
    }
    if (lp_self.role == LP_GANG && lp_gang_context(lp_self.pool) == LP_GANG_IN_REGION) {
        return lp_fail(-EDEADLK, "%s inside a parallel region of a GANG job: its other threads "
                                 "would wait at the barrier for ever",
                       call);
    }
    if (lp_self.broadcasting) {
        return lp_fail(-EDEADLK, "%s in the function of a broadcast, which must not wait", call);
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
    for (loomp_job *job = lp_self.job; job; job = lp_job_words(job)->outer) {
        if (lp_job_words(job)->group == group) {
            return lp_fail(-EDEADLK, "loomp_group_wait: a job that runs on this thread is in the "
                                     "group itself");
        }
    }
    return lp_wait_check("loomp_group_wait", "use loomp_group_notify");
}

static void run_job(loomp_job *job)
{
    lp_card_add(&lp_self.card->helped);
    if (lp_self.role == LP_GANG) {
        lp_gang_run_in_place(lp_self.pool, job);
        return;
    }
    if (lp_self.role == LP_WORKER) {
        lp_worker_count_start(lp_self.pool);
    }
    lp_team_run(lp_self.pool, job);
}

/* Jobs that wait are inside each other on one stack. When little of it is left, the thread only sleeps,
 * and leaves what it waits for to others. */
static bool is_stack_low(void)
{
    if ((uintptr_t)__builtin_frame_address(0) >= lp_self.stack_low) {
        return false;
    }
    lp_log(LOOMP_LOG_WARNING,
           "pool %s: jobs that wait are inside each other until the stack is nearly used up; a thread "
           "that is there runs no more of them (compute.stack_size)",
           lp_self.pool->options.name);
    return true;
}

static uint32_t what_this_thread_runs(void)
{
    if (lp_self.role != LP_PLAIN && lp_self.role != LP_LOOP && is_stack_low()) {
        return 0;
    }
    switch (lp_self.role) {
    case LP_WORKER:
    case LP_BLOCKING:
        return 1u << LOOMP_SERIAL;
    case LP_GANG:
        return 1u << LOOMP_SERIAL | 1u << LOOMP_TASKS | 1u << LOOMP_GANG;
    default:
        return 0;
    }
}

/* The group that waits with this thread: that of the innermost job that has one. */
static loomp_group *group_of_this_job(void)
{
    loomp_job *job = lp_self.job;
    while (job && !lp_job_words(job)->group) {
        job = lp_job_words(job)->outer;
    }
    return job ? lp_job_words(job)->group : NULL;
}

/* A sleep, and why it was left: there is a job, the thread is called for something else, the wait has
 * ended, or none of them: the time is up. */
struct sleep {
    struct lp_edge *edge;
    uint64_t deadline_ns;
    loomp_job *job;
    bool called;
    bool ended;
    int32_t status;
};

static bool listens(void)
{
    return lp_self.role == LP_WORKER || lp_self.role == LP_BLOCKING;
}

static bool look_for_calls(struct sleep *sleep)
{
    sleep->called = listens() && lp_pool_is_called(lp_self.pool);
    if (sleep->called) {
        lp_edge_disarm(sleep->edge);
    }
    return sleep->called;
}

/* The thread holds no place here: it looks round without taking it back for that. */
static void sleep_and_look(void *arg)
{
    struct sleep *sleep = arg;
    struct lp_edge *edge = sleep->edge;
    while (lp_thread_waiter_sleep(&edge->waiter, sleep->deadline_ns)) {
        if (!lp_edge_arm(edge, &sleep->status)) {
            sleep->ended = true;
            return;
        }
        sleep->job = lp_edge_take_job(edge);
        if (sleep->job) {
            lp_edge_disarm(edge);
            return;
        }
        if (look_for_calls(sleep)) {
            return;
        }
    }
}

static void sleep_and_listen(struct sleep *sleep)
{
    lp_pool_listen(lp_self.pool, &sleep->edge->waiter);
    if (!look_for_calls(sleep)) {
        sleep_and_look(sleep);
    }
    lp_pool_listen(lp_self.pool, NULL);
}

static void sleep_without_place(struct sleep *sleep)
{
    switch (lp_self.role) {
    case LP_WORKER:
        lp_worker_leave_place(lp_self.pool);
        sleep_and_listen(sleep);
        lp_worker_reenter_place(lp_self.pool);
        break;
    case LP_BLOCKING:
        sleep_and_listen(sleep);
        break;
    case LP_GANG:
        if (lp_gang_at_top_level(lp_self.pool)) {
            lp_gang_rest_in_job(lp_self.pool, sleep_and_look, sleep);
        } else {
            sleep_and_look(sleep);
        }
        break;
    default:
        sleep_and_look(sleep);
    }
}

/* The next job to run meanwhile; or NULL, and what the wait came to. */
static loomp_job *next_job(struct lp_edge *edge, uint64_t deadline_ns, int32_t *status)
{
    for (;;) {
        loomp_job *job = lp_edge_take_job(edge);
        if (job || !lp_edge_arm(edge, status)) {
            return job;
        }
        /* Look again: what was queued before we were registered woke nobody. */
        struct sleep sleep = {.edge = edge, .deadline_ns = deadline_ns};
        sleep.job = lp_edge_take_job(edge);
        if (sleep.job) {
            lp_edge_disarm(edge);
            return sleep.job;
        }
        lp_edge_publish(edge);
        sleep_without_place(&sleep);
        if (sleep.job) {
            return sleep.job;
        }
        if (sleep.called) {
            lp_teams_answer(lp_self.pool);
            continue;
        }
        if (sleep.ended) {
            *status = sleep.status;
            return NULL;
        }
        switch (lp_edge_time_out(edge, status)) {
        case LP_EDGE_TIMED_OUT:
            *status = lp_fail(-ETIMEDOUT, "loomp_group_wait: the time limit is reached");
            return NULL;
        case LP_EDGE_ENDED:
            return NULL;
        case LP_EDGE_STIRRED:
            break; /* Others may count on our looking. */
        }
    }
}

int lp_wait_for(loomp_group *group, double timeout_s)
{
    uint64_t deadline_ns = lp_wait_deadline_ns(timeout_s);
    int32_t status;
    loomp_job *job;
    struct lp_edge edge;
    lp_edge_init(&edge, group);
    edge.from = group_of_this_job();
    edge.pool = lp_self.pool;
    edge.helps = what_this_thread_runs();
    edge.outer = innermost;
    while ((job = next_job(&edge, deadline_ns, &status))) {
        innermost = &edge;
        run_job(job); /* the job may be gone from here on */
        innermost = edge.outer;
        if (!edge.enlisted && lp_group_report(group, &status)) {
            return status; /* mostly that was all */
        }
    }
    lp_edge_end(&edge);
    return status;
}

int loomp_group_wait(loomp_group *group, double timeout_s)
{
    int err = check(group);
    if (err) {
        return err;
    }
    int32_t status;
    if (lp_group_report(group, &status)) {
        return status;
    }
    if (timeout_s == 0) {
        return lp_fail(-ETIMEDOUT, "loomp_group_wait: jobs of the group are under way");
    }
    return lp_wait_for(group, timeout_s);
}

/* ---- install ------------------------------------------------------------------------------------ */

struct install {
    loomp_job job;
    int (*fn)(void *arg);
    void *arg;
    int result;
};

static void call_installed(void *arg)
{
    struct install *install = arg;
    install->result = install->fn(install->arg);
}

static int install_work(loomp_job *job)
{
    call_installed(LOOMP_CONTAINER(job, struct install, job));
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
    struct install install = {.fn = fn, .arg = arg};
    switch (lp_gang_context(runtime->compute)) {
    case LP_GANG_AT_TOP:
        return fn(arg); /* its regions already get the team */
    case LP_GANG_IN_TASKS:
        lp_gang_call_narrow(call_installed, &install);
        return install.result;
    default:
        err = lp_wait_check("loomp_install", "submit a GANG job");
    }
    if (err) {
        return err;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    loomp_job_init(&install.job, install_work, NULL);
    install.job.kind = LOOMP_GANG;
    install.job.group = &group;
    err = loomp_submit(runtime, &install.job);
    if (err) {
        return err;
    }
    err = lp_wait_for(&group, -1);
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
