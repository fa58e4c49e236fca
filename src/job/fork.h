/* SPDX-License-Identifier: MIT */
/* What parallel loops and joins share: where the caller's part runs, and the jobs of the others. */
#ifndef LP_JOB_FORK_H
#define LP_JOB_FORK_H

#include "job/job.h"

/* Whether the calling thread may fork and wait: 0, -EINVAL, -EDEADLK (a loop), -ESHUTDOWN,
 * -EOWNERDEAD. call: its name, for the sentence. */
int lp_fork_check(const loomp_runtime *runtime, const char *call);

/* Runs fn(arg) where it may compute: here on a thread of a team; for a plain thread, which would be
 * one more than the budget, and for one of a blocking pool, in a SERIAL job that it waits for. Returns
 * fn's result; an error of loomp_submit's without having run it; -ECANCELED (loomp_stop_now). */
int lp_fork_enter(loomp_runtime *runtime, int (*fn)(void *arg), void *arg);

/* Prepares a SERIAL job for a part of what the calling thread does and waits for, by the group: it has
 * the priority and the floating-point control of the caller, and is cancelled with its job. */
void lp_fork_init(loomp_job *job, loomp_work_fn work, loomp_group *group);

#endif
