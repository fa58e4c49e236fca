/* SPDX-License-Identifier: MIT */
/* A job's deadline: an alarm on its home, or on the runtime's first loop, that withdraws the job if
 * it has not started. */
#ifndef LP_JOB_DEADLINE_H
#define LP_JOB_DEADLINE_H

#include "loop/alarm.h"
#include "team/queues.h"

#include <loomp/job.h>

#include <stdbool.h>
#include <stdint.h>

struct lp_deadline {
    struct lp_alarm alarm; /* the job is its owner */
    loomp_job *job;        /* not to be looked into before it is withdrawn */
    /* Where it waits. Written by the submitter before it sets the alarm. */
    struct lp_ticket ticket;
    /* 1 while the loop looks at the queue. Written by the loop before it looks whether the alarm is
     * void, read by who has made it void and then waits until it is 0; all seq_cst. */
    _Atomic uint32_t ringing;
};

/* Whether job.deadline_s, which is no NaN, is a limit at all. */
static inline bool lp_deadline_wanted(const loomp_job *job)
{
    return job->deadline_s > 0;
}

/* A deadline for a job, kept by that loop; NULL without memory. */
struct lp_deadline *lp_deadline_new(loomp_job *job, loomp_loop *loop);

/* From begin on the time is counted; then the job is put into its queue, or is not, and then set is
 * called, when the job may be gone already. Between the two the loop stays. */
void lp_deadline_begin(struct lp_deadline *deadline, double deadline_s);
void lp_deadline_set(struct lp_deadline *deadline);

/* Whether the time has passed. */
bool lp_deadline_has_passed(const struct lp_deadline *deadline);

/* The job has started, or will not be queued: nobody need withdraw it. */
void lp_deadline_void(struct lp_deadline *deadline);

/* The job lets go of it; before its loop or the ledger hears that the job has ended. */
void lp_deadline_drop(struct lp_deadline *deadline);

#endif
