/* SPDX-License-Identifier: MIT */
/* Owns the thread that follows changes. It sleeps for as long as the runtime has nothing to do: a
 * change that nobody works under is of no interest.
 *
 * Why it does not sleep through work: a team thread that takes work reads `stirred` and, if it is 0,
 * sets it and wakes us. We set it to 0 (seq_cst) only to look at the ledgers again afterwards: work
 * that was accepted before is seen there, and whoever takes later work finds the 0. */
#include "runtime/follow.h"

#include "base/error.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/thread.h"
#include "handoff/ledger.h"
#include "placement/affinity.h"

#include <errno.h>
#include <stdlib.h>

struct lp_follower {
    struct lp_follow_options options;
    struct lp_plan_settings settings;
    lp_thread *thread;
    _Atomic uint32_t *stirred;
    _Atomic uint32_t stop;
    /* As they were at the last look. */
    double quota;
    lp_cpuset *allowed; /* of the CPUs that the plan chose from */
};

/* ---- quota ----------------------------------------------------------------------------------- */

/* Where places have lost their CPUs, their threads share those of the others, so as many of the
 * last places rest: the kernel then has a CPU for each thread. */
static void follow_quota(struct lp_follower *follower, double quota, const struct lp_cgroup *cgroup)
{
    const struct lp_follow_options *options = &follower->options;
    unsigned old = lp_pool_limit(options->pool);
    unsigned width = lp_plan_width_now(options->plan, &follower->settings, cgroup, options->rank,
                                       follower->allowed);
    width = width < options->pool->width ? width : options->pool->width;
    if (width != old) {
        lp_pool_set_limit(options->pool, width);
        lp_log_event(
            width < old ? LOOMP_LOG_WARNING : LOOMP_LOG_INFO,
            "the limits of this process have changed (CPU quota %g, was %g; 0 is none): %u "
            "of %u compute threads are used now, %u before",
            quota, follower->quota, width, options->pool->width, old);
    }
    follower->quota = quota;
}

/* ---- CPUs that are taken away ---------------------------------------------------------------- */

static void report_places(struct lp_follower *follower, const lp_cpuset *allowed)
{
    const struct loomp_pool *pool = follower->options.pool;
    for (unsigned i = 0; i < pool->width; i++) {
        const lp_cpuset *cpus = pool->options.places[i].cpus;
        bool was = lp_cpuset_intersects(cpus, follower->allowed);
        bool is = lp_cpuset_intersects(cpus, allowed);
        char list[128];
        lp_cpuset_format(cpus, list, sizeof list);
        if (was && !is) {
            lp_log_event(LOOMP_LOG_WARNING,
                         "CPU %s has been taken away: the threads of place %u "
                         "of pool %s run elsewhere",
                         list, i, pool->options.name);
        } else if (is && !was) {
            lp_log_event(LOOMP_LOG_INFO, "CPU %s is back: place %u of pool %s uses it again", list,
                         i, pool->options.name);
        }
    }
}

/* A cpuset that shrinks moves threads elsewhere, on older kernels all of them, and one that grows
 * again does not always move them back: after each change all are bound again. */
static void follow_places(struct lp_follower *follower, lp_cpuset *allowed)
{
    if (lp_cpuset_equal(allowed, follower->allowed)) {
        lp_cpuset_free(allowed);
        return;
    }
    report_places(follower, allowed);
    lp_cpuset_free(follower->allowed);
    follower->allowed = allowed;
    follower->options.bind_again(follower->options.bind_arg, allowed);
}

static void look(struct lp_follower *follower)
{
    struct lp_cgroup cgroup;
    if (lp_cgroup_read(&cgroup, follower->options.root, 0)) {
        return; /* no memory: next time */
    }
    lp_cpuset *allowed =
        cgroup.cpus ? lp_cpuset_copy(cgroup.cpus) : lp_online_cpus(follower->options.root);
    if (allowed) {
        /* What the plan left out by settings or rank is no news. */
        lp_cpuset_and(allowed, follower->options.plan->usable);
        follow_places(follower, allowed);
    }
    follow_quota(follower, cgroup.quota, &cgroup);
    lp_cgroup_fini(&cgroup);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool stopping(struct lp_follower *follower)
{
    return atomic_load_explicit(&follower->stop, memory_order_seq_cst);
}

static void follow(void *arg)
{
    struct lp_follower *follower = arg;
    lp_thread_set_name(lp_settings_text(follower->options.config, LP_PREFIX), "lim", 0);
    const struct lp_plan *plan = follower->options.plan;
    lp_bind_thread(follower->options.topology, plan->pin ? plan->io_cpus : plan->cpus);
    while (!stopping(follower)) {
        if (!atomic_load_explicit(follower->stirred, memory_order_seq_cst)) {
            lp_futex_wait(follower->stirred, 0, UINT64_MAX);
            continue;
        }
        look(follower);
        lp_futex_wait(&follower->stop, 0, lp_now_ns() + follower->options.period_ns);
        if (lp_ledgers_idle()) {
            atomic_store_explicit(follower->stirred, 0, memory_order_seq_cst);
            if (!lp_ledgers_idle() || stopping(follower)) {
                atomic_store_explicit(follower->stirred, 1, memory_order_seq_cst);
            }
        }
    }
}

int lp_follow_start(struct lp_follower **out, const struct lp_follow_options *options,
                    _Atomic uint32_t *stirred)
{
    struct lp_follower *follower = calloc(1, sizeof *follower);
    lp_cpuset *allowed = lp_cpuset_copy(options->plan->usable);
    if (!follower || !allowed) {
        free(follower);
        lp_cpuset_free(allowed);
        return lp_fail(-ENOMEM, "no memory to follow changes of the CPU quota");
    }
    follower->options = *options;
    follower->allowed = allowed;
    follower->quota = options->quota;
    follower->stirred = stirred;
    lp_plan_settings_read(&follower->settings, options->config);
    int err = lp_thread_start(&follower->thread, "watch", 0, follow, follower);
    if (err) {
        lp_cpuset_free(allowed);
        free(follower);
        return err;
    }
    *out = follower;
    return 0;
}

void lp_follow_stop(struct lp_follower *follower)
{
    if (!follower) {
        return;
    }
    atomic_store_explicit(&follower->stop, 1, memory_order_seq_cst);
    lp_futex_wake(&follower->stop, 1);
    atomic_store_explicit(follower->stirred, 1, memory_order_seq_cst);
    lp_futex_wake(follower->stirred, 1);
    lp_thread_join(follower->thread);
    lp_cpuset_free(follower->allowed);
    free(follower);
}
