/* SPDX-License-Identifier: MIT */
/* What the files of this layer share: a job's private words, a group's counter. */
#ifndef LP_JOB_JOB_H
#define LP_JOB_JOB_H

#include "adaptive/learner.h"
#include "handoff/completion.h"
#include "handoff/ledger.h"
#include "handoff/overflow.h"
#include "handoff/waiter.h"
#include "job/deadline.h"
#include "job/engine.h"
#include "job/group.h"
#include "job/io.h"

#include <loomp/group.h>
#include <loomp/job.h>

#include <stdatomic.h>
#include <stdint.h>

/* A job's private words.
 *
 *   from     to       by                                   with
 *   IDLE     ENTERING  the submitter                        compare-exchange (-EBUSY if it fails)
 *   ENTERING QUEUED   the submitter, before it queues it    store
 *   QUEUED   RUNNING  the thread that took it from a queue  store
 *   ENTERING PENDING  loomp_group_then                      store
 *   PENDING  RUNNING  as QUEUED, though it may not be queued yet: nobody withdraws it by its place
 *   QUEUED   ENDED    loomp_cancel, loomp_group_cancel, the deadline's alarm, after they withdrew it;
 *                     also from PENDING
 *   QUEUED   IDLE     the submitter, if no queue takes it; also from ENTERING  store
 *   RUNNING  ENDED    the thread that ran it                store
 *   ENTERING RUNNING  the submitter of I/O that a loop watches, before the loop gets it  store
 *   QUEUED   PENDING  the submitter of I/O, if no queue takes it  store
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
    /* The job that began this one and waits for it, of loops and joins: a wish to cancel it is one to
     * cancel this. Set before the submission, NULL for all other jobs. */
    struct loomp_job *around;
    struct lp_scratch *scratch; /* loomp_scratch's memory, the runner's until done begins */
    struct lp_deadline *deadline; /* NULL: none. Held until done has returned */
    union {
        struct {
            union {
                struct {
                    struct lp_waiter after; /* PENDING: for the group that the job starts after ... */
                    struct lp_nest nest; /* ... which its own group, if it is in one, waits for
                                          * thereby */
                };
                struct lp_overflow_link late; /* PENDING, and its queue is full */
                struct {
                    struct loomp_job *outer; /* the job that waits below this one on the same thread */
                    struct lp_ticket ticket; /* QUEUED: where, for loomp_cancel; see lp_job_ticket */
                };
            };
            uint64_t fp_control;     /* the submitter's, with LOOMP_FP_ENV */
            struct lp_placed placed; /* of a job with a site: where it runs, and when it did what */
        };
        struct lp_io io; /* of a job without work. In the pool's queues its `watch` is not in use */
    };
    _Atomic uint32_t state;  /* LOOMP_JOB_*, LP_JOB_PENDING, LP_JOB_ENTERING */
    _Atomic uint32_t cancel; /* set by loomp_cancel, read by the runner and by loomp_cancelled */
    int32_t status;
    uint32_t untracked;
    /* How it runs: as the job's fields say, or as it was placed. */
    uint32_t kind, width;
    uint64_t size; /* of the input, as it was submitted */
};

_Static_assert(sizeof(struct lp_job_words) <= sizeof(((struct loomp_job *)0)->private_) - 16,
               "a job has room for its words, and some to spare");

_Static_assert(offsetof(struct lp_job_words, ticket) + sizeof(struct lp_ticket) <=
                       offsetof(struct lp_job_words, io.moved) &&
                   offsetof(struct lp_job_words, late) + sizeof(struct lp_overflow_link) <=
                       offsetof(struct lp_job_words, io.moved),
               "what queues and runners need of I/O lies over its watch");

/* Accepted, but not to be withdrawn by its place in a queue. Outside it is LOOMP_JOB_QUEUED. */
enum { LP_JOB_PENDING = 4 };

/* Being submitted: its words are the submitter's alone. Outside it is LOOMP_JOB_IDLE, because it is not
 * accepted yet. */
enum { LP_JOB_ENTERING = 5 };

/* The group of the job that waits with that waiter, of the kind LP_WAITER_PENDING. */
static inline loomp_group *lp_pending_group(struct lp_waiter *waiter)
{
    return ((struct lp_job_words *)(void *)((char *)waiter - offsetof(struct lp_job_words, after)))
        ->group;
}

static inline struct lp_job_words *lp_job_words(loomp_job *job)
{
    return (struct lp_job_words *)(void *)job->private_;
}

/* Where the queue writes the job's ticket, which loomp_cancel reads: with a deadline it is there,
 * because the alarm needs it when the job itself may be gone. */
static inline struct lp_ticket *lp_job_ticket(struct lp_job_words *words)
{
    return words->deadline ? &words->deadline->ticket : &words->ticket;
}

static inline void lp_job_set_state(struct lp_job_words *words, uint32_t state)
{
    atomic_store_explicit(&words->state, state, memory_order_release);
}

/* Work has ended or will not run: done is called on the job's home, or on its pool. here: this thread
 * may call it itself. The job may be gone when this returns. */
void lp_job_complete(loomp_job *job, int32_t status, bool here);

/* Submits I/O, which `io` describes and lp_io_classify has looked at; loop: where it waits. */
int lp_job_submit_io(loomp_runtime *runtime, loomp_job *job, const struct lp_io *io,
                     loomp_loop *loop);

/* Whether it is not to start, or to end early. */
bool lp_job_is_cancelled(struct lp_job_words *words);

/* Runs a job on the thread that submits it: done never runs inside that. */
void lp_job_run_for_caller(void *job);

/* For pools: runs a job, and tells what a gang team has to know of it. */
void lp_job_run(void *job);
uint64_t lp_job_note(const void *job);

/* A group is cancelled: takes its jobs out of the queues and completes them. The caller holds the group
 * and is counted in the ledger. */
void lp_jobs_withdraw(loomp_runtime *runtime, loomp_group *group);

/* Jobs with a site (job/placing.c). Decides how the job runs, in words->kind and so on; true: inline,
 * here and now. outside: not in its submission, but where no user code may run. */
bool lp_job_place(loomp_job *job, loomp_pool *pool, bool outside);

/* It has ended or will not run: the pool is not to expect it any more. */
void lp_job_expected_no_more(loomp_job *job);

/* The thread that submitted it has handed it over; the job may be gone. placed: a copy from before. */
void lp_job_handed_over(const struct lp_placed *placed, loomp_pool *pool);

/* Its work begins, and has ended; and done is about to be called, on this thread. */
void lp_job_work_begins(struct lp_job_words *words);
void lp_job_work_ended(struct lp_job_words *words);
void lp_job_learn(const loomp_job *job);

/* Joins a group, or leaves it with a job's status. After the last leave the group may be gone. */
void lp_group_join(loomp_group *group);
void lp_group_leave(loomp_group *group, int32_t status);

/* Whether jobs of it are not to start, and those that run are to end early. For its jobs. */
bool lp_group_is_cancelled(loomp_group *group);

/* A job whose done runs on this thread. What belongs to the job then is here, because done may free
 * the job or submit it again. */
struct lp_finishing {
    loomp_job *job;
    struct lp_scratch *scratch;
    struct lp_finishing *outer; /* the one below it on the same thread */
};

/* Ends a job's scratch memory; NULL is none. */
void lp_scratch_free(struct lp_scratch *scratch);

/* Whether anybody is to be woken by work for it, or by its end. After a push that is seq_cst. */
bool lp_group_is_waited_for(loomp_group *group);

/* Whether the calling thread may wait for others here: 0, or -EDEADLK with a sentence that names the
 * call, and what a loop should do instead. */
int lp_wait_check(const char *call, const char *instead);

/* On a worker: runs a SERIAL job that the caller has submitted, if nobody has taken it yet, here and
 * now; false if somebody has. For a caller that knows that the job stays. */
bool lp_job_run_back(loomp_job *job);

/* Registers a waiter: true, or false and the status if the group is empty. */
bool lp_group_wait_with(loomp_group *group, struct lp_waiter *waiter, int32_t *status);

/* If the group is empty now: true, and the status, which then counts as reported. */
bool lp_group_report(loomp_group *group, int32_t *status);

/* As loomp_group_wait, for a group that is known to be good on a thread that may wait. */
int lp_wait_for(loomp_group *group, double timeout_s);

#endif
