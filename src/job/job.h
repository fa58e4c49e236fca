/* SPDX-License-Identifier: MIT */
/* What the files of this layer share: a job's private words, a group's counter. */
#ifndef LP_JOB_JOB_H
#define LP_JOB_JOB_H

#include "handoff/completion.h"
#include "handoff/ledger.h"
#include "handoff/ring.h"
#include "handoff/waiter.h"
#include "job/deadline.h"
#include "job/engine.h"

#include <loomp/group.h>
#include <loomp/job.h>

#include <stdatomic.h>
#include <stdint.h>

/* A job's private words.
 *
 *   from     to       by                                   with
 *   IDLE     QUEUED   the submitter                         compare-exchange (-EBUSY if it fails)
 *   QUEUED   RUNNING  the thread that took it from a queue  store
 *   QUEUED   ENDED    loomp_cancel or the deadline's alarm, after it withdrew it    store
 *   QUEUED   IDLE     the submitter, if no queue takes it   store
 *   RUNNING  ENDED    the thread that ran it                store
 *   ENDED    IDLE     the thread that calls done, before    store
 *
 * Between the steps exactly one thread owns the job; queues and stacks hand it on with release and
 * acquire, so the stores need no more than release, for those who only look at the state. */
struct __attribute__((may_alias)) lp_job_words {
    struct lp_item item; /* on its home's stack, or on the pool's */
    struct loomp_runtime *runtime;
    struct loomp_loop *home; /* NULL: done runs on the pool's threads */
    struct loomp_pool *pool;
    struct loomp_group *group;
    struct loomp_job *outer; /* the job that waits below this one on the same thread */
    struct lp_ring *ring;    /* where it waits, for loomp_cancel ... */
    uint64_t position;       /* ... which is UINT64_MAX until it is there; see lp_job_position */
    struct lp_deadline *deadline; /* NULL: none. Held until done has returned */
    uint64_t fp_control;     /* the submitter's, with LOOMP_FP_ENV */
    _Atomic uint32_t state;  /* LOOMP_JOB_* */
    _Atomic uint32_t cancel; /* set by loomp_cancel, read by the runner and by loomp_cancelled */
    int32_t status;
    uint32_t untracked;
};

_Static_assert(sizeof(struct lp_job_words) <= sizeof(((struct loomp_job *)0)->private_) - 32,
               "a job has room for its words, and some to spare");

static inline struct lp_job_words *lp_job_words(loomp_job *job)
{
    return (struct lp_job_words *)(void *)job->private_;
}

/* Where the queue writes the job's position, which loomp_cancel reads: with a deadline it is there,
 * because the alarm needs it when the job itself may be gone. */
static inline uint64_t *lp_job_position(struct lp_job_words *words)
{
    return words->deadline ? &words->deadline->position : &words->position;
}

/* A job that the caller has withdrawn ends with that status, its done being called later. The caller
 * holds lp_tracked. The job may be gone when this returns. */
void lp_job_end_withdrawn(loomp_job *job, int32_t status);

/* For pools: runs a job, and tells a gang's width. */
void lp_job_run(void *job);
unsigned lp_job_width(const void *job);

/* Joins a group, or leaves it with a job's status. After the last leave the group may be gone. */
void lp_group_join(loomp_group *group);
void lp_group_leave(loomp_group *group, int32_t status);

/* What a waiter may help with. */
enum { LP_HELPS_SERIAL = 1, LP_HELPS_GANG = 2 };

/* A job of the group is waiting in a queue: wakes those waiters that help with its kind. The caller
 * holds the group. */
void lp_group_offer(loomp_group *group, uint32_t kind);

/* As loomp_submit, but whoever waits for `tag`, a group that the caller holds, may run it too. */
int lp_job_submit_tagged(loomp_runtime *runtime, loomp_job *job, loomp_group *tag);

/* Registers a waiter: true, or false and the status if the group is empty. */
bool lp_group_wait_with(loomp_group *group, struct lp_waiter *waiter, int32_t *status);

/* True, and the status, if the group is empty now. */
bool lp_group_is_empty(loomp_group *group, int32_t *status);

/* Takes a waiter back. False: its wake-up has come or is coming. */
bool lp_group_wait_no_more(loomp_group *group, struct lp_waiter *waiter);

#endif
