/* SPDX-License-Identifier: MIT */
/* Owns loomp_join: the second function waits in a queue, for a thread that has time, while the first
 * one runs; whoever joins takes it back if none came. Any thread but loops enters. */
#include "base/error.h"
#include "base/self.h"
#include "job/fork.h"
#include "team/gang_team.h"

#include <loomp/parallel.h>

#include <errno.h>

struct join {
    loomp_runtime *runtime;
    int (*f)(void *arg);
    void *f_arg;
    int (*g)(void *arg);
    void *g_arg;
};

/* ---- on workers ---------------------------------------------------------------------------------- */

struct second {
    loomp_job job;
    const struct join *join;
};

static int second_work(loomp_job *job)
{
    const struct join *join = LOOMP_CONTAINER(job, struct second, job)->join;
    return join->g(join->g_arg);
}

static int one_after_the_other(const struct join *join)
{
    int f_result = join->f(join->f_arg);
    int g_result = join->g(join->g_arg);
    return f_result ? f_result : g_result;
}

static int join_on_workers(const struct join *join)
{
    loomp_group group;
    loomp_group_init(&group, join->runtime);
    struct second second = {.join = join};
    lp_fork_init(&second.job, second_work, &group);
    if (loomp_submit(join->runtime, &second.job) != 0) {
        return one_after_the_other(join);
    }
    int f_result = join->f(join->f_arg);
    if (lp_self.role == LP_WORKER) {
        /* Waiting for the group would do the same, but has to look for the job. */
        lp_job_run_back(&second.job);
    }
    int g_result = loomp_group_wait(&group, -1);
    return f_result ? f_result : g_result;
}

/* ---- on a gang team ------------------------------------------------------------------------------ */

/* The caller takes f and then what is left, the others g. Who claims a function runs it (relaxed: a
 * claim orders nothing, the end of the region orders the results). */
struct spread {
    const struct join *join;
    const void *caller;
    _Atomic uint32_t f_claimed, g_claimed;
    int f_result, g_result;
};

static bool claim(_Atomic uint32_t *claimed)
{
    return !atomic_exchange_explicit(claimed, 1, memory_order_relaxed);
}

static void take_part(void *arg)
{
    struct spread *spread = arg;
    const struct join *join = spread->join;
    if (spread->caller == &lp_self && claim(&spread->f_claimed)) {
        spread->f_result = join->f(join->f_arg);
    }
    if (claim(&spread->g_claimed)) {
        spread->g_result = join->g(join->g_arg);
    }
}

static int join_on_gang(const struct join *join)
{
    struct spread spread = {.join = join, .caller = &lp_self};
    lp_gang_spread(lp_self.pool, 2, take_part, &spread);
    return spread.f_result ? spread.f_result : spread.g_result;
}

/* -------------------------------------------------------------------------------------------------- */

static int run_join(void *arg)
{
    const struct join *join = arg;
    if (lp_self.role == LP_GANG) {
        return join_on_gang(join);
    }
    struct loomp_pool *compute = join->runtime->compute;
    if (lp_self.role == LP_LOOP || (lp_self.pool == compute && compute->width == 1)) {
        return one_after_the_other(join); /* nobody else could come */
    }
    return join_on_workers(join);
}

int loomp_join(loomp_runtime *runtime, int (*f)(void *arg), void *f_arg, int (*g)(void *arg),
               void *g_arg)
{
    if (!f || !g) {
        return lp_fail(-EINVAL, "loomp_join: the %s function is NULL", f ? "second" : "first");
    }
    int err = lp_fork_check(runtime, "loomp_join");
    if (err) {
        return err;
    }
    struct join join = {runtime, f, f_arg, g, g_arg};
    return lp_fork_enter(runtime, run_join, &join);
}
