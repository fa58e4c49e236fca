/* SPDX-License-Identifier: MIT */
/* A job that writes down what happened to it, for the tests of jobs, loops and groups. What it
 * wrote may be read when its done is known to have run. */
#ifndef LP_TESTS_RECORDED_JOB_H
#define LP_TESTS_RECORDED_JOB_H

#include "gate.h"

#include <loomp.h>

#include <pthread.h>
#include <stdatomic.h>

struct recorded_job {
    loomp_job job;
    /* what it does */
    struct gate *gate; /* work passes it; NULL: goes straight on */
    int result;        /* of work */
    /* what became of it */
    _Atomic int works;
    _Atomic int dones;
    int status;          /* given to done */
    int order;           /* how many had begun before it, if `begun` is set */
    _Atomic int *begun;
    int work_index;      /* loomp_thread_index of compute in work and in done */
    int done_index;
    loomp_loop *done_loop; /* loomp_loop_here in done */
    pthread_t work_thread;
    pthread_t done_thread;
};

static inline int recorded_work(loomp_job *job)
{
    struct recorded_job *r = LOOMP_CONTAINER(job, struct recorded_job, job);
    r->work_thread = pthread_self();
    r->work_index = loomp_thread_index(loomp_pool_named(loomp_default(), "compute"));
    if (r->begun) {
        r->order = atomic_fetch_add(r->begun, 1);
    }
    atomic_fetch_add(&r->works, 1);
    if (r->gate) {
        gate_pass(r->gate);
    }
    return r->result;
}

static inline void recorded_done(loomp_job *job, int status)
{
    struct recorded_job *r = LOOMP_CONTAINER(job, struct recorded_job, job);
    r->status = status;
    r->done_thread = pthread_self();
    r->done_index = loomp_thread_index(loomp_pool_named(loomp_default(), "compute"));
    r->done_loop = loomp_loop_here();
    atomic_fetch_add(&r->dones, 1);
}

static inline void recorded_init(struct recorded_job *r, struct gate *gate)
{
    memset((void *)r, 0, sizeof *r);
    loomp_job_init(&r->job, recorded_work, recorded_done);
    r->gate = gate;
    r->status = 12345;
    r->work_index = r->done_index = -2;
}

/* Holds every worker of compute at the gate: jobs must be an array of at least as many as there are
 * workers. Returns when all are there. */
static inline int hold_all_workers(loomp_runtime *runtime, struct recorded_job *jobs,
                                   struct gate *gate)
{
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (int i = 0; i < workers; i++) {
        recorded_init(&jobs[i], gate);
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    gate_wait_for_arrivals(gate, workers);
    return workers;
}

enum {
    MOST_WORKERS = 64 /* more than any run of the tests asks for */
};

/* A call of a function on a loop, which the caller waits for. */
struct loop_call {
    void (*fn)(loomp_loop *loop, void *arg);
    void *arg;
    struct gate finished;
};

static inline void run_loop_call(loomp_loop *loop, void *arg)
{
    struct loop_call *call = (struct loop_call *)arg;
    call->fn(loop, call->arg);
    gate_arrive(&call->finished);
}

/* Returns when fn has run there. */
static inline void on_loop(loomp_loop *loop, void (*fn)(loomp_loop *loop, void *arg), void *arg)
{
    struct loop_call call = {.fn = fn, .arg = arg};
    gate_init(&call.finished);
    if (CHECK(loomp_post(loop, run_loop_call, &call) == 0)) {
        gate_wait_for_arrivals(&call.finished, 1);
    }
}

#endif
