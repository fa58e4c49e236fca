/* SPDX-License-Identifier: MIT */
/* Owns loomp_call: jobs whose objects come from the calling thread's pool. */
#include "base/error.h"
#include "base/object_pool.h"
#include "job/job.h"

#include <errno.h>

struct call {
    loomp_job job;
    int (*fn)(void *arg);
    void *arg;
    void (*done_fn)(void *done_arg, int result);
    void *done_arg;
};

_Static_assert(sizeof(struct call) <= LP_OBJECT_BYTES, "a call is an object of the pool");

static int call_work(loomp_job *job)
{
    struct call *call = LOOMP_CONTAINER(job, struct call, job);
    return call->fn(call->arg);
}

static void call_done(loomp_job *job, int status)
{
    struct call *call = LOOMP_CONTAINER(job, struct call, job);
    void (*done_fn)(void *done_arg, int result) = call->done_fn;
    void *done_arg = call->done_arg;
    lp_object_give(call);
    if (done_fn) {
        done_fn(done_arg, status);
    }
}

int loomp_call(loomp_runtime *runtime, int (*fn)(void *arg), void *arg,
               void (*done_fn)(void *done_arg, int result), void *done_arg)
{
    if (!fn) {
        return lp_fail(-EINVAL, "loomp_call: the function is NULL");
    }
    struct call *call = lp_object_take();
    if (!call) {
        return lp_fail(-ENOMEM, "no memory for a call");
    }
    loomp_job_init(&call->job, call_work, call_done);
    call->fn = fn;
    call->arg = arg;
    call->done_fn = done_fn;
    call->done_arg = done_arg;
    int err = loomp_submit(runtime, &call->job);
    if (err) {
        lp_object_give(call);
    }
    return err;
}
