/* SPDX-License-Identifier: MIT */
/* Scopes: they end when all that was submitted to them has ended, on every thread that may wait, and
 * by a callback on loops. */
#define SUITE "scopes"
#include "recorded_job.h"

#include <errno.h>

enum { JOBS = 50 };

struct batch {
    loomp_runtime *runtime;
    struct recorded_job jobs[JOBS];
    uint32_t kind;
    int body_result;
    int result_of_job_7;
    int bodies;
};

static int submit_batch(loomp_group *scope, void *arg)
{
    struct batch *batch = arg;
    batch->bodies++;
    for (int i = 0; i < JOBS; i++) {
        recorded_init(&batch->jobs[i], NULL);
        batch->jobs[i].job.group = scope;
        batch->jobs[i].job.kind = batch->kind;
        batch->jobs[i].result = i == 7 ? batch->result_of_job_7 : 0;
        CHECK(loomp_submit(batch->runtime, &batch->jobs[i].job) == 0);
    }
    return batch->body_result;
}

static int dones_of(const struct batch *batch)
{
    int dones = 0;
    for (int i = 0; i < JOBS; i++) {
        dones += batch->jobs[i].dones;
    }
    return dones;
}

TEST(a_scope_ends_when_its_jobs_have_and_returns_the_first_error_of_body_and_jobs)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct batch batch;
    batch = (struct batch){.runtime = runtime};
    CHECK(loomp_scope(runtime, submit_batch, &batch) == 0);
    CHECK(dones_of(&batch) == JOBS);
    batch.result_of_job_7 = -EIO;
    CHECK(loomp_scope(runtime, submit_batch, &batch) == -EIO);
    CHECK(dones_of(&batch) == JOBS);
    batch.body_result = -ENOSPC;
    CHECK(loomp_scope(runtime, submit_batch, &batch) == -ENOSPC);
    CHECK(dones_of(&batch) == JOBS);
    CHECK(loomp_scope(NULL, submit_batch, &batch) == -EINVAL);
    CHECK(loomp_scope(runtime, NULL, &batch) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- nested ---------------------------------------------------------------------------------------- */

struct nest {
    loomp_job job;
    loomp_runtime *runtime;
    int levels; /* below this one */
    _Atomic int *bodies;
};

static int nest_body(loomp_group *scope, void *arg);

static int nest_work(loomp_job *job)
{
    struct nest *nest = LOOMP_CONTAINER(job, struct nest, job);
    return loomp_scope(nest->runtime, nest_body, nest);
}

/* Its two children live on the stack of the body's caller's caller only as long as the scope: they
 * are on the heap, and freed by their done. */
static void free_nest(loomp_job *job, int status)
{
    CHECK(status == -EDOM);
    free(LOOMP_CONTAINER(job, struct nest, job));
}

static int nest_body(loomp_group *scope, void *arg)
{
    struct nest *nest = arg;
    atomic_fetch_add(nest->bodies, 1);
    if (!nest->levels) {
        return -EDOM;
    }
    for (int i = 0; i < 2; i++) {
        struct nest *child = malloc(sizeof *child);
        *child = (struct nest){
            .runtime = nest->runtime, .levels = nest->levels - 1, .bodies = nest->bodies};
        loomp_job_init(&child->job, nest_work, free_nest);
        child->job.group = scope;
        child->job.kind = nest->levels % 3 == 0 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(nest->runtime, &child->job) == 0);
    }
    return 0;
}

TEST(scopes_nest_and_an_error_comes_up)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    _Atomic int bodies = 0;
    struct nest nest = {.runtime = runtime, .levels = 7, .bodies = &bodies};
    CHECK(loomp_scope(runtime, nest_body, &nest) == -EDOM);
    CHECK(bodies == 255);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- jobs of a scope that submit to it ------------------------------------------------------------- */

struct spreading {
    loomp_job job;
    loomp_runtime *runtime;
    _Atomic int *left;
};

static void free_spreading(loomp_job *job, int status)
{
    (void)status;
    free(LOOMP_CONTAINER(job, struct spreading, job));
}

static int spread_work(loomp_job *job);

static void submit_spreading(loomp_runtime *runtime, loomp_group *scope, _Atomic int *left)
{
    struct spreading *self = malloc(sizeof *self);
    *self = (struct spreading){.runtime = runtime, .left = left};
    loomp_job_init(&self->job, spread_work, free_spreading);
    self->job.group = scope;
    CHECK(loomp_submit(runtime, &self->job) == 0);
}

static int spread_work(loomp_job *job)
{
    struct spreading *self = LOOMP_CONTAINER(job, struct spreading, job);
    if (atomic_fetch_sub(self->left, 1) > 0) {
        submit_spreading(self->runtime, job->group, self->left);
    }
    return 0;
}

struct spread_arg {
    loomp_runtime *runtime;
    _Atomic int left;
};

static int spread_body(loomp_group *scope, void *arg)
{
    struct spread_arg *spread = arg;
    for (int i = 0; i < 4; i++) {
        submit_spreading(spread->runtime, scope, &spread->left);
    }
    return 0;
}

TEST(jobs_of_a_scope_may_submit_to_it)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct spread_arg spread = {.runtime = runtime, .left = 1000};
    CHECK(loomp_scope(runtime, spread_body, &spread) == 0);
    CHECK(spread.left == -4);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- where it is refused --------------------------------------------------------------------------- */

static void scope_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct batch *batch = arg;
    CHECK(loomp_scope(batch->runtime, submit_batch, batch) == -EDEADLK);
}

static int scope_in_region(loomp_job *job)
{
    struct batch *batch = job->data;
    int result = 0;
#pragma omp parallel
#pragma omp single
    result = loomp_scope(batch->runtime, submit_batch, batch);
    CHECK(result == -EDEADLK);
    return 0;
}

static void no_scope_done(int status, void *arg)
{
    (void)status;
    (void)arg;
    CHECK(false);
}

TEST(where_waiting_is_refused_so_is_a_scope_and_the_body_is_not_run)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct batch batch;
    batch = (struct batch){.runtime = runtime};
    on_loop(loomp_loop_at(runtime, 0), scope_on_loop, &batch);
    loomp_job gang;
    loomp_job_init(&gang, scope_in_region, NULL);
    gang.kind = LOOMP_GANG;
    gang.data = &batch;
    CHECK(loomp_submit(runtime, &gang) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    CHECK(loomp_scope_async(loop, submit_batch, &batch, no_scope_done) == -EPERM);
    CHECK(loomp_scope_async(NULL, submit_batch, &batch, no_scope_done) == -EINVAL);
    CHECK(loomp_scope_async(loop, NULL, &batch, no_scope_done) == -EINVAL);
    CHECK(loomp_scope_async(loop, submit_batch, &batch, NULL) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_scope(runtime, submit_batch, &batch) == -ESHUTDOWN);
    CHECK(batch.bodies == 0);
}

/* ---- on a loop ------------------------------------------------------------------------------------- */

struct async {
    struct batch batch;
    struct gate ended;
    loomp_loop *loop;
    int status;
    int dones_seen;
    bool inside;
    bool is_empty; /* nothing is submitted */
};

static int async_body(loomp_group *scope, void *arg)
{
    struct async *self = arg;
    return self->is_empty ? self->batch.body_result : submit_batch(scope, &self->batch);
}

static void async_done(int status, void *arg)
{
    struct async *self = arg;
    CHECK(!self->inside);
    CHECK(loomp_loop_here() == self->loop);
    self->status = status;
    self->dones_seen = dones_of(&self->batch);
    gate_arrive(&self->ended);
}

static void begin_async(loomp_loop *loop, void *arg)
{
    struct async *self = arg;
    self->loop = loop;
    self->inside = true;
    CHECK(loomp_scope_async(loop, async_body, self, async_done) == 0);
    self->inside = false;
}

TEST(a_scope_on_a_loop_calls_back_there_when_its_jobs_have_ended)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct async self;
    for (int round = 0; round < 40; round++) {
        self = (struct async){.batch.runtime = runtime, .is_empty = round % 4 == 3, .status = 1};
        self.batch.result_of_job_7 = round % 4 == 1 ? -EIO : 0;
        self.batch.body_result = round % 4 == 2 ? -ENOSPC : 0;
        gate_init(&self.ended);
        CHECK(loomp_post(loomp_loop_at(runtime, 0), begin_async, &self) == 0);
        gate_wait_for_arrivals(&self.ended, 1);
        CHECK(self.status == (round % 4 == 1 ? -EIO : round % 4 == 2 ? -ENOSPC : 0));
        CHECK(self.dones_seen == (self.is_empty ? 0 : JOBS));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(idle_waits_for_the_callback_of_a_scope)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct async self;
    self = (struct async){.batch.runtime = runtime, .status = 1};
    gate_init(&self.ended);
    CHECK(loomp_post(loomp_loop_at(runtime, 0), begin_async, &self) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self.status == 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
