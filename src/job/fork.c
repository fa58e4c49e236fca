/* SPDX-License-Identifier: MIT */
/* Owns what parallel loops and joins share. Any thread enters. */
#include "job/fork.h"

#include "base/error.h"
#include "base/self.h"

#include <errno.h>

int lp_fork_check(const loomp_runtime *runtime, const char *call)
{
    if (!runtime) {
        return lp_fail(-EINVAL, "%s: the runtime is NULL", call);
    }
    int err = lp_ledger_check(&lp_tracked);
    if (!err && lp_self.role == LP_LOOP && !lp_self.job) {
        err = lp_fail(-EDEADLK, "%s on a loop would hold up its events; use loomp_for_async, or submit "
                                "a job, instead",
                      call);
    }
    return err;
}

void lp_fork_init(loomp_job *job, loomp_work_fn work, loomp_group *group)
{
    loomp_job_init(job, work, NULL);
    job->group = group;
    job->flags = LOOMP_MAY_WAIT | LOOMP_FP_ENV;
    loomp_job *caller = lp_self.job;
    if (caller) {
        job->priority = caller->priority;
        /* Of a fork within a fork, the job around both: nobody can cancel the one between. */
        loomp_job *around = lp_job_words(caller)->around;
        lp_job_words(job)->around = around ? around : caller;
    }
}

struct entry {
    loomp_job job;
    int (*fn)(void *arg);
    void *arg;
};

static int enter_work(loomp_job *job)
{
    struct entry *entry = LOOMP_CONTAINER(job, struct entry, job);
    return entry->fn(entry->arg);
}

int lp_fork_enter(loomp_runtime *runtime, int (*fn)(void *arg), void *arg)
{
    /* On a loop in an inline job, which was thought to be short enough for that. */
    if (lp_self.role == LP_WORKER || lp_self.role == LP_GANG || lp_self.role == LP_LOOP) {
        return fn(arg);
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct entry entry = {.fn = fn, .arg = arg};
    lp_fork_init(&entry.job, enter_work, &group);
    int err = loomp_submit(runtime, &entry.job);
    return err ? err : loomp_group_wait(&group, -1);
}
