/* SPDX-License-Identifier: MIT */
/* Owns the deadlines of jobs. The submitter makes and sets one, whoever starts or ends the job
 * makes it void, and the loop that keeps it withdraws the job when its time has come.
 *
 * The alarm knows the job's ticket by itself and looks into the job only when it has
 * withdrawn it, so:
 *
 *   start against ring    Taking a job from its queue and withdrawing it are changes of one word of
 *                         one cell, of which one succeeds. If the job was started, the ticket is
 *                         stale, and no queue has one twice.
 *   cancel against ring   Both withdraw, by the same ticket. One succeeds and ends the job.
 *   the job's end against ring
 *                         The same: the alarm of a job that has ended, that is gone or submitted
 *                         again (then with another deadline) finds its ticket stale.
 *   the ring's end against ring
 *                         With its last jobs a pool may be closed, or the runtime stop, and free the
 *                         queue. The loop says that it rings and then looks whether the alarm is
 *                         void; who starts or ends the job makes it void, then looks whether the loop
 *                         rings, and waits until it does not. So either the loop leaves the queue
 *                         alone, or the job, on which the queue's life hangs, does not end before.
 *   submit against the loop's end
 *                         A loop of the runtime's own is kept by the submitting call's entry in
 *                         the ledger. An attached one is kept by what it expects: the job, until
 *                         that has ended, and between begin and set the submitter itself.
 *
 * The memory is the alarm's: it goes when the job, after its done, and the loop have let go of it.
 * So a canceller may read the ticket as long as it may look at the job. */
#include "job/deadline.h"

#include "base/clock.h"
#include "base/object_pool.h"
#include "base/platform.h"
#include "job/job.h"
#include "loop/loop.h"

#include <errno.h>
#include <sched.h>

_Static_assert(sizeof(struct lp_deadline) <= LP_OBJECT_BYTES,
               "a deadline is an object of the pool");

static void ring(struct lp_alarm *alarm)
{
    struct lp_deadline *deadline = LOOMP_CONTAINER(alarm, struct lp_deadline, alarm);
    lp_ledger_hold(&lp_tracked);
    atomic_store_explicit(&deadline->ringing, 1, memory_order_seq_cst);
    loomp_job *job = !lp_alarm_is_void(alarm) && lp_ticket_withdraw(&deadline->ticket)
                         ? deadline->job
                         : NULL;
    atomic_store_explicit(&deadline->ringing, 0, memory_order_seq_cst);
    if (job) {
        struct loomp_pool *pool = lp_job_words(job)->pool;
        lp_pool_hold(pool);
        atomic_fetch_add_explicit(&pool->expired, 1, memory_order_relaxed);
        lp_pool_withdrew(pool);
        lp_job_complete(job, -ETIMEDOUT, false); /* the job may be gone from here on */
        lp_pool_leave(pool, 1);
    }
    lp_ledger_finish(&lp_tracked);
}

/* The alarm is void: returns when its loop does not look at the queue any more, which may go away when
 * the job has ended. */
static void wait_for_ring(struct lp_deadline *deadline)
{
    while (atomic_load_explicit(&deadline->ringing, memory_order_seq_cst)) {
        sched_yield();
    }
}

struct lp_deadline *lp_deadline_new(loomp_job *job, loomp_loop *loop)
{
    struct lp_deadline *deadline = lp_object_take();
    if (deadline) {
        lp_alarm_init(&deadline->alarm, loop, ring);
        deadline->job = job;
        atomic_init(&deadline->ringing, 0);
        deadline->ticket = (struct lp_ticket){NULL, LP_NO_POSITION};
    }
    return deadline;
}

static loomp_loop *loop_of(const struct lp_deadline *deadline)
{
    return deadline->alarm.alarms->loop;
}

void lp_deadline_begin(struct lp_deadline *deadline, double deadline_s)
{
    deadline->alarm.when_ns = lp_clock_deadline_ns(deadline_s);
    if (lp_loop_is_attached(loop_of(deadline))) {
        lp_loop_expect(loop_of(deadline));
    }
}

void lp_deadline_set(struct lp_deadline *deadline)
{
    loomp_loop *loop = loop_of(deadline);
    lp_alarm_set(&deadline->alarm); /* the deadline may be gone from here on */
    if (lp_loop_is_attached(loop)) {
        lp_loop_settle(loop);
    }
}

bool lp_deadline_has_passed(const struct lp_deadline *deadline)
{
    return lp_clock_ns() >= deadline->alarm.when_ns;
}

void lp_deadline_void(struct lp_deadline *deadline)
{
    lp_alarm_void(&deadline->alarm);
    wait_for_ring(deadline);
}

void lp_deadline_drop(struct lp_deadline *deadline)
{
    lp_deadline_void(deadline);
    lp_alarm_drop(&deadline->alarm);
}
