/* SPDX-License-Identifier: MIT */
/* Tests of jobs through the public interface: where and how often done runs, states, cancellation,
 * full queues, priorities, untracked jobs, floating-point control, loomp_call, the blocking
 * pool. */
#define SUITE "jobs"
#include "recorded_job.h"

#include <loomp/site.h>

#include <errno.h>
#include <ev.h>
#include <fenv.h>
#include <omp.h>
#include <sched.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* ---- counting allocations -------------------------------------------------------------------- */

/* The program is linked with -Wl,--wrap for these and for taking a mutex, which catches the calls of
 * loomp's objects and of this file. */

static _Atomic long allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    allocations++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    allocations++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    allocations++;
    return __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    allocations++;
    return __real_aligned_alloc(alignment, bytes);
}

/* Locks that the calling thread has taken. */
static _Thread_local long locks;

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
    locks++;
    return __real_pthread_mutex_lock(lock);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static bool error_names(const char *what)
{
    return strstr(loomp_error(), what) != NULL;
}

static int return_0(loomp_job *job)
{
    (void)job;
    return 0;
}

/* Submits the job given as argument on the loop it runs on. */
static void submit_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    CHECK(loomp_submit(loomp_current(), arg) == 0);
}

struct holding {
    loomp_runtime *runtime;
    struct gate gate;
    int workers;
    struct recorded_job held[MOST_WORKERS];
};

/* A runtime whose workers are all held at a gate, one by one, so that with queue_limit 1 none is
 * refused; the queues are empty. */
static bool start_held(struct holding *holding, int workers, const char *const *settings)
{
    gate_init(&holding->gate);
    holding->runtime = runtime_with(workers, settings);
    if (!holding->runtime) {
        return false;
    }
    holding->workers = loomp_pool_threads(loomp_pool_named(holding->runtime, "compute"));
    for (int i = 0; i < holding->workers; i++) {
        recorded_init(&holding->held[i], &holding->gate);
        CHECK(loomp_submit(holding->runtime, &holding->held[i].job) == 0);
        gate_wait_for_arrivals(&holding->gate, i + 1);
    }
    return true;
}

static void stop_held(struct holding *holding)
{
    gate_open(&holding->gate);
    CHECK(loomp_stop(holding->runtime) == 0);
    for (int i = 0; i < holding->workers; i++) {
        CHECK(holding->held[i].dones == 1);
    }
}

/* ---- done ------------------------------------------------------------------------------------ */

TEST(done_gets_what_work_returned)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static const int results[] = {0, -EIO, -ECANCELED, 7, -1000000};
    struct recorded_job jobs[5];
    for (int i = 0; i < 5; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].result = results[i];
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < 5; i++) {
        CHECK(jobs[i].works == 1);
        CHECK(jobs[i].dones == 1);
        CHECK(jobs[i].status == results[i]);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(done_runs_on_the_submitting_loop)
{
    static const char *const settings[] = {"io.threads", "2", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += 2) {
            struct recorded_job job;
            recorded_init(&job, NULL);
            job.job.kind = kind;
            on_loop(loomp_loop_at(runtime, i), submit_there, &job.job);
            CHECK(loomp_wait_idle(runtime, -1) == 0);
            CHECK(job.works == 1 && job.dones == 1);
            CHECK(job.done_loop == loomp_loop_at(runtime, i));
            CHECK(job.work_index >= 0);
            CHECK(!pthread_equal(job.work_thread, job.done_thread));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(done_runs_on_the_home_that_the_job_names)
{
    static const char *const settings[] = {"io.threads", "3", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        struct recorded_job outside, other;
        recorded_init(&outside, NULL);
        recorded_init(&other, NULL);
        outside.job.home = other.job.home = loomp_loop_at(runtime, i);
        CHECK(loomp_submit(runtime, &outside.job) == 0);
        on_loop(loomp_loop_at(runtime, (i + 1) % 3), submit_there, &other.job);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(outside.done_loop == loomp_loop_at(runtime, i));
        CHECK(other.done_loop == loomp_loop_at(runtime, i));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(without_a_home_done_runs_on_the_team_thread_that_ran_work)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += 2) {
        struct recorded_job job;
        recorded_init(&job, NULL);
        job.job.kind = kind;
        CHECK(loomp_submit(runtime, &job.job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(job.done_loop == NULL);
        CHECK(job.done_index == job.work_index && job.work_index >= 0);
        CHECK(pthread_equal(job.work_thread, job.done_thread));
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct inside_submit {
    struct recorded_job recorded;
    _Atomic bool submitting;
    _Atomic bool seen;
};

static void done_looks_for_submit(loomp_job *job, int status)
{
    struct inside_submit *self = LOOMP_CONTAINER(job, struct inside_submit, recorded.job);
    /* Only on the thread that submits could it be inside submit. */
    if (self->submitting) {
        self->seen = true;
    }
    recorded_done(job, status);
}

static void submit_many_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct inside_submit *jobs = arg;
    for (int i = 0; i < 50; i++) {
        jobs[i].submitting = true;
        CHECK(loomp_submit(loomp_current(), &jobs[i].recorded.job) == 0);
        jobs[i].submitting = false;
    }
}

TEST(done_never_runs_inside_submit_even_if_the_submitter_runs_the_work)
{
    static const char *const settings[] = {"queue_limit", "2", "queue_policy", "caller_runs", NULL};
    static struct holding holding;
    static struct inside_submit jobs[50];
    if (!start_held(&holding, workers_under_test(), settings)) {
        return;
    }
    for (int i = 0; i < 50; i++) {
        recorded_init(&jobs[i].recorded, NULL);
        jobs[i].recorded.job.done = done_looks_for_submit;
        jobs[i].submitting = jobs[i].seen = false;
    }
    on_loop(loomp_loop_at(holding.runtime, 0), submit_many_there, jobs);
    int on_the_loop = 0;
    for (int i = 2; i < 50; i++) {
        on_the_loop += jobs[i].recorded.works == 1;
    }
    CHECK(on_the_loop == 48);
    gate_open(&holding.gate);
    CHECK(loomp_wait_idle(holding.runtime, -1) == 0);
    for (int i = 0; i < 50; i++) {
        CHECK(!jobs[i].seen);
        CHECK(jobs[i].recorded.works == 1 && jobs[i].recorded.dones == 1);
        CHECK(jobs[i].recorded.done_loop == loomp_loop_at(holding.runtime, 0));
        CHECK(jobs[i].recorded.status == 0);
    }
    stop_held(&holding);
}

TEST(a_job_may_have_no_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct recorded_job jobs[3];
    for (int i = 0; i < 3; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.done = NULL;
        jobs[i].job.home = i == 1 ? loomp_loop_at(runtime, 0) : NULL;
        jobs[i].job.kind = i == 2 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(jobs[i].works == 1);
        CHECK(loomp_job_state(&jobs[i].job) == LOOMP_JOB_IDLE);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static _Atomic int freed;

static void free_in_done(loomp_job *job, int status)
{
    CHECK(status == 0);
    memset((void *)job, 0x5a, sizeof *job);
    free(job);
    freed++;
}

TEST(a_job_may_be_freed_in_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    enum { JOBS = 300 };
    freed = 0;
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int i = 0; i < JOBS; i++) {
        loomp_job *job = malloc(sizeof *job);
        loomp_job_init(job, return_0, free_in_done);
        job->home = i % 3 == 0 ? loomp_loop_at(runtime, 0) : NULL;
        job->kind = i % 30 == 4 ? LOOMP_GANG : LOOMP_SERIAL;
        job->group = i % 2 ? &group : NULL;
        job->flags = i % 5 == 0 ? LOOMP_UNTRACKED : 0;
        CHECK((i % 7 == 0 && job->kind == LOOMP_SERIAL ? loomp_submit_blocking(runtime, job)
                                                       : loomp_submit(runtime, job)) == 0);
    }
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(freed == JOBS);
}

struct again {
    loomp_job job;
    int left;
    _Atomic int works;
};

static int count_again(loomp_job *job)
{
    LOOMP_CONTAINER(job, struct again, job)->works++;
    return 0;
}

static void submit_again(loomp_job *job, int status)
{
    struct again *self = LOOMP_CONTAINER(job, struct again, job);
    CHECK(status == 0);
    CHECK(loomp_job_state(job) == LOOMP_JOB_IDLE);
    if (--self->left > 0) {
        CHECK(loomp_submit(loomp_current(), job) == 0);
    }
}

TEST(a_job_may_be_resubmitted_in_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct again jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i].left = 200;
        jobs[i].works = 0;
        loomp_job_init(&jobs[i].job, count_again, submit_again);
        jobs[i].job.home = i == 1 ? loomp_loop_at(runtime, 0) : NULL;
        jobs[i].job.kind = i == 2 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(jobs[i].works == 200);
        CHECK(jobs[i].left == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(data_and_the_other_fields_are_left_to_the_caller)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_job job = LOOMP_JOB_INIT(return_0, NULL);
    int data;
    job.data = &data;
    job.priority = LOOMP_HIGH;
    job.flags = LOOMP_MAY_WAIT;
    job.width = 1;
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(job.data == &data && job.work == return_0 && job.done == NULL);
    CHECK(job.priority == LOOMP_HIGH && job.flags == LOOMP_MAY_WAIT && job.width == 1);
    CHECK(job.pool == NULL && job.group == NULL && job.home == NULL && job.kind == LOOMP_SERIAL);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- refusals -------------------------------------------------------------------------------- */

TEST(a_job_under_way_is_refused_with_EBUSY_in_every_state)
{
    static struct holding holding;
    if (!start_held(&holding, 1, NULL)) {
        return;
    }
    loomp_runtime *runtime = holding.runtime;
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct recorded_job queued;
    recorded_init(&queued, NULL);
    queued.job.group = &group;
    CHECK(loomp_submit(runtime, &queued.job) == 0);
    CHECK(loomp_submit(runtime, &queued.job) == -EBUSY);
    CHECK(loomp_submit_blocking(runtime, &queued.job) == -EBUSY);
    CHECK(loomp_submit(runtime, &holding.held[0].job) == -EBUSY); /* runs */
    CHECK(loomp_error()[0] != '\0');
    gate_open(&holding.gate);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(queued.works == 1 && queued.dones == 1);
    CHECK(loomp_submit(runtime, &queued.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(queued.works == 2 && queued.dones == 2);
    stop_held(&holding);
}

TEST(a_bad_field_is_refused_and_named)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct recorded_job job;
    recorded_init(&job, NULL);
    job.job.work = NULL;
    CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
    CHECK(error_names("work"));
    job.job.work = recorded_work;
    static const uint32_t kinds[] = {3, 77, 256, UINT32_MAX};
    for (int i = 0; i < 4; i++) {
        job.job.kind = kinds[i];
        CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
        CHECK(error_names("kind"));
    }
    job.job.kind = LOOMP_SERIAL;
    static const int32_t priorities[] = {-2, 2, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        job.job.priority = priorities[i];
        CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
        CHECK(error_names("priority"));
    }
    job.job.priority = LOOMP_NORMAL;
    job.job.flags = 0x80000000u;
    CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
    CHECK(error_names("flags"));
    job.job.flags = 0;
    CHECK(loomp_submit(NULL, &job.job) == -EINVAL);
    CHECK(error_names("runtime"));
    CHECK(loomp_submit(runtime, NULL) == -EINVAL);
    CHECK(error_names("job"));
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    CHECK(loomp_call(runtime, NULL, NULL, NULL, NULL) == -EINVAL);
    CHECK(loomp_install(runtime, NULL, NULL) == -EINVAL);
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(job.works == 1 && job.dones == 1);
}

TEST(the_blocking_pool_takes_serial_jobs_only_and_says_so)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct recorded_job job;
    recorded_init(&job, NULL);
    job.job.kind = LOOMP_GANG;
    CHECK(loomp_submit_blocking(runtime, &job.job) == -EINVAL);
    CHECK(error_names("kind"));
    job.job.pool = loomp_pool_named(runtime, "blocking");
    CHECK(loomp_submit(runtime, &job.job) == -EINVAL);
    CHECK(error_names("kind"));
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(job.works == 0);
}

/* ---- states ---------------------------------------------------------------------------------- */

static struct {
    struct gate gate;
    int state_in_done;
} state_test;

static void hold_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    gate_pass(arg);
}

static void done_looks_at_state(loomp_job *job, int status)
{
    state_test.state_in_done = loomp_job_state(job);
    recorded_done(job, status);
}

TEST(a_job_goes_through_all_its_states)
{
    static struct holding holding;
    if (!start_held(&holding, 1, NULL)) {
        return;
    }
    loomp_runtime *runtime = holding.runtime;
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    struct gate loop_gate = GATE_INIT, work_gate = GATE_INIT;
    CHECK(loomp_post(loop, hold_loop, &loop_gate) == 0);
    gate_wait_for_arrivals(&loop_gate, 1);
    struct recorded_job job, after;
    recorded_init(&job, &work_gate);
    recorded_init(&after, NULL);
    job.job.home = loop;
    job.job.done = done_looks_at_state;
    state_test.state_in_done = -1;
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_submit(runtime, &after.job) == 0);
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_QUEUED);
    gate_open(&holding.gate);
    gate_wait_for_arrivals(&work_gate, 1);
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_RUNNING);
    gate_open(&work_gate);
    while (!after.dones) { /* the one worker has gone on to the next job, so this one has ended */
        sched_yield();
    }
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_ENDED);
    CHECK(loomp_submit(runtime, &job.job) == -EBUSY);
    CHECK(loomp_cancel(&job.job) == -EALREADY);
    gate_open(&loop_gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(state_test.state_in_done == LOOMP_JOB_IDLE);
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    CHECK(job.status == 0);
    stop_held(&holding);
}

/* ---- cancellation ---------------------------------------------------------------------------- */

TEST(a_queued_job_is_withdrawn_at_once_though_all_workers_are_busy)
{
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), NULL)) {
        return;
    }
    loomp_runtime *runtime = holding.runtime;
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    struct recorded_job job;
    recorded_init(&job, NULL);
    job.job.home = loop;
    loomp_group group;
    loomp_group_init(&group, runtime);
    job.job.group = &group;
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_cancel(&job.job) == 0);
    CHECK(loomp_group_wait(&group, -1) == -ECANCELED); /* no worker is needed for that */
    CHECK(job.works == 0 && job.dones == 1);
    CHECK(job.status == -ECANCELED);
    CHECK(job.done_loop == loop);
    CHECK(loomp_job_state(&job.job) == LOOMP_JOB_IDLE);
    CHECK(loomp_cancel(&job.job) == -EALREADY);
    CHECK(loomp_submit(runtime, &job.job) == 0); /* and may come again */
    stop_held(&holding);
    CHECK(job.works == 1 && job.dones == 2);
    CHECK(job.status == 0);
}

struct cancel_in_loop {
    loomp_runtime *runtime;
    struct recorded_job job;
};

static void cancel_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct cancel_in_loop *self = arg;
    CHECK(loomp_submit(self->runtime, &self->job.job) == 0);
    CHECK(loomp_cancel(&self->job.job) == 0);
    CHECK(self->job.dones == 0); /* never inside the call */
    CHECK(loomp_job_state(&self->job.job) == LOOMP_JOB_ENDED);
    CHECK(loomp_cancel(&self->job.job) == -EALREADY);
}

TEST(the_done_of_a_cancelled_job_does_not_run_inside_cancel)
{
    static struct holding holding;
    static struct cancel_in_loop self;
    if (!start_held(&holding, workers_under_test(), NULL)) {
        return;
    }
    self.runtime = holding.runtime;
    recorded_init(&self.job, NULL);
    on_loop(loomp_loop_at(holding.runtime, 0), cancel_there, &self);
    stop_held(&holding);
    CHECK(self.job.works == 0 && self.job.dones == 1);
    CHECK(self.job.status == -ECANCELED);
}

TEST(a_cancelled_job_without_a_home_is_done_on_a_team_thread)
{
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), NULL)) {
        return;
    }
    struct recorded_job serial, gang;
    recorded_init(&serial, NULL);
    recorded_init(&gang, NULL);
    gang.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(holding.runtime, &serial.job) == 0);
    CHECK(loomp_cancel(&serial.job) == 0);
    CHECK(serial.dones == 0);
    /* A gang whose places are held is taken by the leader at once, or is still queued. */
    CHECK(loomp_submit(holding.runtime, &gang.job) == 0);
    int gang_result = loomp_cancel(&gang.job);
    CHECK(gang_result == 0 || gang_result == -EINPROGRESS);
    gate_open(&holding.gate);
    CHECK(loomp_wait_idle(holding.runtime, -1) == 0);
    CHECK(serial.works == 0 && serial.dones == 1);
    CHECK(serial.status == -ECANCELED);
    CHECK(serial.done_index >= 0);
    CHECK(gang.works == 0 && gang.dones == 1);
    CHECK(gang.status == -ECANCELED);
    CHECK(gang.done_index >= 0);
    stop_held(&holding);
}

struct patient {
    loomp_job job;
    struct gate started;
    bool cancelled_at_first;
    int threads, saw; /* GANG */
    int status;
    _Atomic int dones;
};

static void patient_done(loomp_job *job, int status)
{
    struct patient *self = LOOMP_CONTAINER(job, struct patient, job);
    self->status = status;
    self->dones++;
}

static int wait_until_cancelled(loomp_job *job)
{
    struct patient *self = LOOMP_CONTAINER(job, struct patient, job);
    self->cancelled_at_first = loomp_cancelled();
    gate_arrive(&self->started);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    return -EINTR;
}

TEST(a_running_job_is_asked_to_end_early)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 3; round++) {
        struct patient patient = {.status = 1};
        gate_init(&patient.started);
        loomp_job_init(&patient.job, wait_until_cancelled, patient_done);
        CHECK((round == 1 ? loomp_submit_blocking(runtime, &patient.job)
                          : loomp_submit(runtime, &patient.job)) == 0);
        gate_wait_for_arrivals(&patient.started, 1);
        CHECK(loomp_cancel(&patient.job) == -EINPROGRESS);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(!patient.cancelled_at_first);
        CHECK(patient.dones == 1);
        CHECK(patient.status == -EINTR); /* what work returned, not -ECANCELED */
        CHECK(loomp_cancel(&patient.job) == -EALREADY);
    }
    CHECK(!loomp_cancelled());
    CHECK(loomp_stop(runtime) == 0);
}

static int wait_in_region_until_cancelled(loomp_job *job)
{
    struct patient *self = LOOMP_CONTAINER(job, struct patient, job);
    int saw = 0;
#pragma omp parallel reduction(+ : saw)
    {
#pragma omp single
        self->threads = omp_get_num_threads();
        gate_arrive(&self->started);
        while (!loomp_cancelled()) {
            sched_yield();
        }
        saw++;
    }
    self->saw = saw;
    return 0;
}

TEST(every_thread_of_a_gangs_region_sees_that_it_was_cancelled)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (int round = 0; round < 3; round++) {
        struct patient patient = {.status = 1};
        gate_init(&patient.started);
        loomp_job_init(&patient.job, wait_in_region_until_cancelled, patient_done);
        patient.job.kind = LOOMP_GANG;
        CHECK(loomp_submit(runtime, &patient.job) == 0);
        gate_wait_for_arrivals(&patient.started, workers);
        CHECK(loomp_cancel(&patient.job) == -EINPROGRESS);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(patient.threads == workers);
        CHECK(patient.saw == workers);
        CHECK(patient.status == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(the_wish_to_cancel_ends_with_the_job)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    struct patient first = {.status = 1}, second = {.status = 1};
    gate_init(&first.started);
    gate_init(&second.started);
    loomp_job_init(&first.job, wait_until_cancelled, patient_done);
    loomp_job_init(&second.job, wait_until_cancelled, patient_done);
    CHECK(loomp_submit(runtime, &first.job) == 0);
    CHECK(loomp_submit(runtime, &second.job) == 0);
    gate_wait_for_arrivals(&first.started, 1);
    CHECK(loomp_cancel(&first.job) == -EINPROGRESS);
    gate_wait_for_arrivals(&second.started, 1);
    CHECK(!second.cancelled_at_first);
    CHECK(loomp_cancel(&second.job) == -EINPROGRESS);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_submit(runtime, &first.job) == 0); /* nor does it stick to the struct */
    gate_wait_for_arrivals(&first.started, 2);
    CHECK(!first.cancelled_at_first);
    CHECK(loomp_cancel(&first.job) == -EINPROGRESS);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_that_is_not_under_way_cannot_be_cancelled)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct recorded_job job;
    recorded_init(&job, NULL);
    CHECK(loomp_cancel(&job.job) == -EALREADY);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(job.status == 0);
    CHECK(loomp_cancel(&job.job) == -EALREADY);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(job.dones == 1);
}

TEST(among_many_jobs_exactly_the_cancelled_ones_do_not_run)
{
    static struct holding holding;
    enum { JOBS = 300 };
    static struct recorded_job jobs[JOBS];
    if (!start_held(&holding, workers_under_test(), NULL)) {
        return;
    }
    for (int i = 0; i < JOBS; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.home = i % 2 ? loomp_loop_at(holding.runtime, 0) : NULL;
        jobs[i].job.priority = i % 3 - 1;
        CHECK(loomp_submit(holding.runtime, &jobs[i].job) == 0);
    }
    for (int i = 0; i < JOBS; i += 5) {
        CHECK(loomp_cancel(&jobs[i].job) == 0);
    }
    stop_held(&holding);
    for (int i = 0; i < JOBS; i++) {
        CHECK(jobs[i].dones == 1);
        CHECK(jobs[i].works == (i % 5 != 0));
        CHECK(jobs[i].status == (i % 5 ? 0 : -ECANCELED));
    }
}

/* ---- full queues ----------------------------------------------------------------------------- */

TEST(queue_limit_is_exact_and_a_refused_job_stays_the_callers)
{
    static const char *const settings[] = {"queue_limit", "5", NULL};
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), settings)) {
        return;
    }
    struct recorded_job jobs[6], high;
    loomp_group group;
    loomp_group_init(&group, holding.runtime);
    for (int i = 0; i < 6; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.group = &group;
        jobs[i].job.home = loomp_loop_at(holding.runtime, 0);
        CHECK(loomp_submit(holding.runtime, &jobs[i].job) == (i < 5 ? 0 : -EAGAIN));
    }
    CHECK(error_names("queue_limit"));
    CHECK(loomp_job_state(&jobs[5].job) == LOOMP_JOB_IDLE);
    CHECK(loomp_call(holding.runtime, (int (*)(void *))NULL, NULL, NULL, NULL) == -EINVAL);
    recorded_init(&high, NULL); /* each priority has a queue of its own */
    high.job.priority = LOOMP_HIGH;
    CHECK(loomp_submit(holding.runtime, &high.job) == 0);
    CHECK(loomp_cancel(&jobs[0].job) == 0); /* the oldest makes room at once */
    CHECK(loomp_submit(holding.runtime, &jobs[5].job) == 0);
    gate_open(&holding.gate);
    CHECK(loomp_group_wait(&group, -1) == -ECANCELED);
    for (int i = 0; i < 6; i++) {
        CHECK(jobs[i].works == (i > 0));
        CHECK(jobs[i].dones == 1);
    }
    stop_held(&holding);
    CHECK(high.works == 1 && high.dones == 1);
}

struct blocked {
    loomp_runtime *runtime;
    struct recorded_job job;
    struct gate about_to;
    int result;
};

static void *submit_and_block(void *arg)
{
    struct blocked *self = arg;
    gate_arrive(&self->about_to);
    self->result = loomp_submit(self->runtime, &self->job.job);
    return NULL;
}

TEST(with_the_policy_block_a_plain_thread_waits_until_there_is_room)
{
    static const char *const settings[] = {"queue_limit", "2", "queue_policy", "block", NULL};
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), settings)) {
        return;
    }
    struct recorded_job fillers[2];
    for (int i = 0; i < 2; i++) {
        recorded_init(&fillers[i], NULL);
        CHECK(loomp_submit(holding.runtime, &fillers[i].job) == 0);
    }
    enum { THREADS = 3 };
    static struct blocked blocked[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        blocked[i].runtime = holding.runtime;
        blocked[i].result = 1;
        recorded_init(&blocked[i].job, NULL);
        gate_init(&blocked[i].about_to);
        pthread_create(&threads[i], NULL, submit_and_block, &blocked[i]);
        gate_wait_for_arrivals(&blocked[i].about_to, 1);
    }
    for (int i = 0; i < THREADS; i++) { /* nothing can have made room yet */
        CHECK(blocked[i].job.works == 0);
    }
    CHECK(fillers[0].works == 0 && fillers[1].works == 0);
    gate_open(&holding.gate);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(blocked[i].result == 0);
    }
    CHECK(loomp_wait_idle(holding.runtime, -1) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(blocked[i].job.works == 1 && blocked[i].job.dones == 1);
    }
    stop_held(&holding);
}

static void submit_on_full_queue(loomp_loop *loop, void *arg)
{
    (void)loop;
    loomp_job *job = arg;
    CHECK(loomp_submit(loomp_current(), job) == -EAGAIN);
    CHECK(loomp_job_state(job) == LOOMP_JOB_IDLE);
}

TEST(with_the_policy_block_a_loop_is_refused_with_EAGAIN)
{
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "block", NULL};
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), settings)) {
        return;
    }
    struct recorded_job filler, job;
    recorded_init(&filler, NULL);
    recorded_init(&job, NULL);
    CHECK(loomp_submit(holding.runtime, &filler.job) == 0);
    on_loop(loomp_loop_at(holding.runtime, 0), submit_on_full_queue, &job.job);
    stop_held(&holding);
    CHECK(job.works == 0 && filler.works == 1);
}

/* Fills the one place of the queue. */
static bool start_full(struct holding *holding, struct recorded_job *filler)
{
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "caller_runs", NULL};
    if (!start_held(holding, workers_under_test(), settings)) {
        return false;
    }
    recorded_init(filler, NULL);
    CHECK(loomp_submit(holding->runtime, &filler->job) == 0);
    return true;
}

TEST(with_the_policy_caller_runs_a_plain_thread_runs_the_work_itself)
{
    static struct holding holding;
    struct recorded_job filler, homeless, with_home, may_wait;
    if (!start_full(&holding, &filler)) {
        return;
    }
    recorded_init(&homeless, NULL);
    recorded_init(&with_home, NULL);
    recorded_init(&may_wait, NULL);
    with_home.job.home = loomp_loop_at(holding.runtime, 0);
    with_home.result = -EIO;
    may_wait.job.flags = LOOMP_MAY_WAIT;
    CHECK(loomp_submit(holding.runtime, &homeless.job) == 0);
    CHECK(homeless.works == 1); /* it has run already */
    CHECK(pthread_equal(homeless.work_thread, pthread_self()));
    CHECK(homeless.dones == 0); /* but no team thread is free for its done */
    CHECK(loomp_submit(holding.runtime, &with_home.job) == 0);
    CHECK(with_home.works == 1);
    CHECK(pthread_equal(with_home.work_thread, pthread_self()));
    CHECK(loomp_submit(holding.runtime, &may_wait.job) == 0);
    CHECK(may_wait.works == 1);
    CHECK(!loomp_cancelled());
    gate_open(&holding.gate);
    CHECK(loomp_wait_idle(holding.runtime, -1) == 0);
    CHECK(homeless.dones == 1 && homeless.done_index >= 0);
    CHECK(with_home.dones == 1 && with_home.done_loop == loomp_loop_at(holding.runtime, 0));
    CHECK(with_home.status == -EIO);
    CHECK(may_wait.dones == 1);
    stop_held(&holding);
}

static void run_on_loop_itself(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct recorded_job *jobs = arg;
    CHECK(loomp_submit(loomp_current(), &jobs[0].job) == 0);
    CHECK(jobs[0].works == 1);
    CHECK(jobs[0].dones == 0);
    CHECK(pthread_equal(jobs[0].work_thread, pthread_self()));
    jobs[1].job.flags = LOOMP_MAY_WAIT;
    CHECK(loomp_submit(loomp_current(), &jobs[1].job) == -EAGAIN);
    jobs[1].job.flags = 0;
    CHECK(loomp_submit(loomp_current(), &jobs[1].job) == 0);
    CHECK(jobs[1].works == 1);
}

TEST(with_the_policy_caller_runs_a_loop_runs_the_work_unless_it_may_wait)
{
    static struct holding holding;
    struct recorded_job filler, jobs[2];
    if (!start_full(&holding, &filler)) {
        return;
    }
    recorded_init(&jobs[0], NULL);
    recorded_init(&jobs[1], NULL);
    on_loop(loomp_loop_at(holding.runtime, 0), run_on_loop_itself, jobs);
    stop_held(&holding);
    for (int i = 0; i < 2; i++) {
        CHECK(jobs[i].dones == 1);
        CHECK(jobs[i].status == 0);
    }
}

static struct {
    struct recorded_job inner;
    struct gate ready, go;
} worker_submits;

static int submit_on_worker(loomp_job *job)
{
    (void)job;
    gate_arrive(&worker_submits.ready);
    gate_pass(&worker_submits.go);
    worker_submits.inner.job.flags = LOOMP_FIFO; /* not into the worker's own queue, which has room */
    CHECK(loomp_submit(loomp_current(), &worker_submits.inner.job) == 0);
    CHECK(worker_submits.inner.works == 1);
    CHECK(pthread_equal(worker_submits.inner.work_thread, pthread_self()));
    CHECK(worker_submits.inner.work_index == 0);
    return 0;
}

TEST(with_the_policy_caller_runs_a_worker_runs_the_work_itself)
{
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "caller_runs", NULL};
    loomp_runtime *runtime = runtime_with(1, settings);
    if (!runtime) {
        return;
    }
    gate_init(&worker_submits.ready);
    gate_init(&worker_submits.go);
    recorded_init(&worker_submits.inner, NULL);
    loomp_job outer = LOOMP_JOB_INIT(submit_on_worker, NULL);
    struct recorded_job filler;
    recorded_init(&filler, NULL);
    CHECK(loomp_submit(runtime, &outer) == 0);
    gate_wait_for_arrivals(&worker_submits.ready, 1);
    CHECK(loomp_submit(runtime, &filler.job) == 0);
    gate_open(&worker_submits.go);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(worker_submits.inner.dones == 1);
    CHECK(filler.dones == 1);
}

TEST(with_the_policy_caller_runs_a_gang_is_refused_with_EAGAIN)
{
    static const char *const settings[] = {"queue_limit", "1", "queue_policy", "caller_runs", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job running, queued, refused;
    recorded_init(&running, &gate);
    recorded_init(&queued, NULL);
    recorded_init(&refused, NULL);
    running.job.kind = queued.job.kind = refused.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &running.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit(runtime, &queued.job) == 0);
    CHECK(loomp_submit(runtime, &refused.job) == -EAGAIN);
    CHECK(loomp_job_state(&refused.job) == LOOMP_JOB_IDLE);
    on_loop(loomp_loop_at(runtime, 0), submit_on_full_queue, &refused.job);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(queued.dones == 1 && refused.works == 0 && refused.dones == 0);
}

/* What OpenMP makes of a job must not depend on who runs it. */
static int count_region_threads(loomp_job *job)
{
    int *threads = job->data;
#pragma omp parallel
#pragma omp single
    *threads = omp_get_num_threads();
    return 0;
}

TEST(a_serial_job_sees_a_team_of_one_also_on_the_thread_of_its_submitter)
{
    static struct holding holding;
    struct recorded_job filler;
    if (!start_full(&holding, &filler)) {
        return;
    }
    int threads = 0;
    loomp_job job = LOOMP_JOB_INIT(count_region_threads, NULL);
    job.data = &threads;
    CHECK(loomp_submit(holding.runtime, &job) == 0);
    CHECK(threads == 1);
    stop_held(&holding);
}

/* ---- priorities ------------------------------------------------------------------------------ */

TEST(one_worker_takes_high_before_normal_before_low_and_each_in_order)
{
    static struct holding holding;
    if (!start_held(&holding, 1, NULL)) {
        return;
    }
    enum { EACH = 10 };
    static struct recorded_job jobs[3 * EACH];
    static const int32_t priorities[] = {LOOMP_LOW, LOOMP_HIGH, LOOMP_NORMAL};
    _Atomic int begun = 0;
    for (int i = 0; i < 3 * EACH; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].begun = &begun;
        jobs[i].job.priority = priorities[i % 3];
        CHECK(loomp_submit(holding.runtime, &jobs[i].job) == 0);
    }
    stop_held(&holding);
    for (int i = 0; i < 3 * EACH; i++) {
        static const int ranks[] = {2, 0, 1};
        CHECK(jobs[i].order == ranks[i % 3] * EACH + i / 3);
    }
}

TEST(gangs_are_taken_by_priority_too)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job first, jobs[6];
    recorded_init(&first, &gate);
    first.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &first.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    static const int32_t priorities[] = {LOOMP_LOW, LOOMP_HIGH, LOOMP_NORMAL};
    _Atomic int begun = 0;
    for (int i = 0; i < 6; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].begun = &begun;
        jobs[i].job.kind = LOOMP_GANG;
        jobs[i].job.priority = priorities[i % 3];
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < 6; i++) {
        static const int ranks[] = {2, 0, 1};
        CHECK(jobs[i].order == ranks[i % 3] * 2 + i / 3);
    }
}

/* ---- untracked jobs -------------------------------------------------------------------------- */

static void *stop_it(void *runtime)
{
    CHECK(loomp_stop(runtime) == 0);
    return NULL;
}

TEST(wait_idle_does_not_wait_for_untracked_jobs_and_stop_does)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job jobs[2], probe;
    for (int i = 0; i < 2; i++) {
        recorded_init(&jobs[i], &gate);
        jobs[i].job.flags = LOOMP_UNTRACKED;
        jobs[i].job.home = i ? loomp_loop_at(runtime, 0) : NULL;
        CHECK(loomp_submit_blocking(runtime, &jobs[i].job) == 0);
    }
    gate_wait_for_arrivals(&gate, 2);
    CHECK(loomp_is_idle(runtime));
    CHECK(loomp_wait_idle(runtime, 0) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(jobs[0].dones == 0 && jobs[1].dones == 0);
    pthread_t stopper;
    pthread_create(&stopper, NULL, stop_it, runtime);
    recorded_init(&probe, NULL);
    int err;
    do { /* until stop has begun */
        err = loomp_submit(runtime, &probe.job);
        if (!err) {
            CHECK(loomp_wait_idle(runtime, -1) == 0);
        }
    } while (!err);
    CHECK(err == -ESHUTDOWN);
    CHECK(loomp_default() == runtime); /* not down yet */
    gate_open(&gate);
    pthread_join(stopper, NULL);
    CHECK(jobs[0].dones == 1 && jobs[1].dones == 1);
    CHECK(loomp_default() == NULL);
}

static int submit_tracked(loomp_job *job)
{
    CHECK(loomp_submit(loomp_current(), job->data) == 0);
    return 0;
}

TEST(stop_also_waits_for_what_an_untracked_job_brings)
{
    for (int round = 0; round < 20; round++) {
        loomp_runtime *runtime = runtime_under_test();
        if (!runtime) {
            return;
        }
        struct recorded_job last;
        recorded_init(&last, NULL);
        last.job.flags = LOOMP_UNTRACKED;
        loomp_job middle = LOOMP_JOB_INIT(submit_tracked, NULL);
        middle.data = &last.job;
        loomp_job first = LOOMP_JOB_INIT(submit_tracked, NULL);
        first.data = &middle;
        first.flags = LOOMP_UNTRACKED;
        CHECK(loomp_submit(runtime, &first) == 0);
        CHECK(loomp_stop(runtime) == 0);
        CHECK(last.works == 1 && last.dones == 1);
    }
}

/* ---- floating-point control ------------------------------------------------------------------ */

struct rounding {
    loomp_job job;
    int seen;
    int set; /* before it ends, -1: leaves it */
};

static int look_at_rounding(loomp_job *job)
{
    struct rounding *self = LOOMP_CONTAINER(job, struct rounding, job);
    self->seen = fegetround();
    if (self->set >= 0) {
        fesetround(self->set);
    }
    return 0;
}

static void rounding_init(struct rounding *self, uint32_t flags)
{
    loomp_job_init(&self->job, look_at_rounding, NULL);
    self->job.flags = flags;
    self->seen = -1;
    self->set = -1;
}

TEST(with_FP_ENV_a_job_runs_with_its_submitters_rounding_and_without_it_does_not)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += 2) {
        struct rounding with, without, after;
        rounding_init(&with, LOOMP_FP_ENV);
        rounding_init(&without, 0);
        rounding_init(&after, 0);
        with.job.kind = without.job.kind = after.job.kind = kind;
        CHECK(fesetround(FE_UPWARD) == 0);
        CHECK(loomp_submit(runtime, &with.job) == 0);
        CHECK(loomp_submit(runtime, &without.job) == 0);
        CHECK(fegetround() == FE_UPWARD);
        CHECK(fesetround(FE_TONEAREST) == 0);
        CHECK(loomp_submit(runtime, &after.job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(with.seen == FE_UPWARD);
        CHECK(without.seen == FE_TONEAREST);
        CHECK(after.seen == FE_TONEAREST);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_does_not_leave_its_rounding_to_the_next)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += 2) {
        struct rounding first, second;
        rounding_init(&first, 0);
        rounding_init(&second, 0);
        first.job.kind = second.job.kind = kind;
        first.set = FE_DOWNWARD;
        CHECK(loomp_submit(runtime, &first.job) == 0);
        CHECK(loomp_submit(runtime, &second.job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(second.seen == FE_TONEAREST);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int done_rounding;

static void done_looks_at_rounding(loomp_job *job, int status)
{
    (void)job;
    (void)status;
    done_rounding = fegetround();
}

static void submit_with_rounding(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct rounding *self = arg;
    CHECK(fesetround(FE_TOWARDZERO) == 0);
    CHECK(loomp_submit(loomp_current(), &self->job) == 0);
    /* left like that: the loop puts it right after the callback */
}

TEST(a_loop_submits_its_rounding_and_gets_its_own_back_after_each_callback)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct rounding job;
    rounding_init(&job, LOOMP_FP_ENV);
    job.job.done = done_looks_at_rounding;
    done_rounding = -1;
    CHECK(loomp_post(loomp_loop_at(runtime, 0), submit_with_rounding, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(job.seen == FE_TOWARDZERO);
    CHECK(done_rounding == FE_TONEAREST);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_that_its_submitter_runs_leaves_the_submitters_rounding_alone)
{
    static struct holding holding;
    struct recorded_job filler;
    if (!start_full(&holding, &filler)) {
        return;
    }
    struct rounding job;
    rounding_init(&job, 0);
    job.set = FE_DOWNWARD;
    CHECK(fesetround(FE_UPWARD) == 0);
    CHECK(loomp_submit(holding.runtime, &job.job) == 0);
    CHECK(fegetround() == FE_UPWARD);
    fesetround(FE_TONEAREST);
    stop_held(&holding);
}

#if defined(__x86_64__)
static unsigned flush_seen;

static int look_at_flush(loomp_job *job)
{
    (void)job;
    flush_seen = _MM_GET_FLUSH_ZERO_MODE();
    return 0;
}

TEST(with_FP_ENV_a_job_runs_with_its_submitters_flush_to_zero)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    loomp_job job = LOOMP_JOB_INIT(look_at_flush, NULL);
    job.flags = LOOMP_FP_ENV;
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(flush_seen == _MM_FLUSH_ZERO_ON);
    job.flags = 0;
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(flush_seen == _MM_FLUSH_ZERO_OFF);
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_OFF);
    CHECK(loomp_stop(runtime) == 0);
}
#endif

/* ---- loomp_call ------------------------------------------------------------------------------ */

struct called {
    int argument;
    _Atomic int calls;
    _Atomic int dones;
    int result;
    loomp_loop *loop;
    int index;
    struct gate *gate;
};

static int called_fn(void *arg)
{
    struct called *self = arg;
    self->calls++;
    if (self->gate) {
        gate_pass(self->gate);
    }
    return self->argument * 2;
}

static void called_done(void *arg, int result)
{
    struct called *self = arg;
    self->result = result;
    self->loop = loomp_loop_here();
    self->index = loomp_thread_index(loomp_pool_named(loomp_default(), "compute"));
    self->dones++;
}

TEST(a_call_hands_its_result_to_done_on_a_team_thread)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct called calls[20] = {{.argument = 0}};
    for (int i = 0; i < 20; i++) {
        calls[i].argument = i - 10;
        CHECK(loomp_call(runtime, called_fn, &calls[i], called_done, &calls[i]) == 0);
    }
    CHECK(loomp_call(runtime, called_fn, &calls[0], NULL, NULL) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(calls[i].calls == (i == 0 ? 2 : 1));
        CHECK(calls[i].dones == 1);
        CHECK(calls[i].result == 2 * (i - 10));
        CHECK(calls[i].loop == NULL);
        CHECK(calls[i].index >= 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void call_there(loomp_loop *loop, void *arg)
{
    (void)loop;
    CHECK(loomp_call(loomp_current(), called_fn, arg, called_done, arg) == 0);
    CHECK(((struct called *)arg)->dones == 0);
}

TEST(a_call_from_a_loop_is_done_on_that_loop)
{
    static const char *const settings[] = {"io.threads", "2", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct called call = {.argument = 21};
        CHECK(loomp_post(loomp_loop_at(runtime, i), call_there, &call) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(call.result == 42);
        CHECK(call.loop == loomp_loop_at(runtime, i));
    }
    CHECK(loomp_stop(runtime) == 0);
}

enum { CALLS = 10000, AT_ONCE = 100 };

static void make_calls(loomp_runtime *runtime, struct called *call)
{
    for (int i = 0; i < CALLS; i += AT_ONCE) {
        for (int j = 0; j < AT_ONCE; j++) {
            CHECK(loomp_call(runtime, called_fn, call, called_done, call) == 0);
        }
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
}

/* Allocations are counted process-wide, and the thread that follows the CPU quota reads files. */
static loomp_runtime *runtime_that_allocates_nothing(int workers)
{
    return runtime_with(workers, (const char *const[]){"follow", "false", NULL});
}

TEST(calls_from_a_plain_thread_do_not_allocate_once_warm)
{
    loomp_runtime *runtime = runtime_that_allocates_nothing(1);
    if (!runtime) {
        return;
    }
    struct called call = {.argument = 1};
    struct gate gate = GATE_INIT;
    call.gate = &gate;
    for (int j = 0; j < AT_ONCE; j++) { /* as many at once as there will be later */
        CHECK(loomp_call(runtime, called_fn, &call, called_done, &call) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    call.gate = NULL;
    long before = allocations;
    CHECK(before > 0); /* the hook works */
    make_calls(runtime, &call);
    CHECK(allocations == before);
    CHECK(call.dones == CALLS + AT_ONCE);
    CHECK(loomp_stop(runtime) == 0);
}

static struct {
    struct called call;
    int left;
    long before;
} loop_calls;

static void next_loop_call(void *arg, int result)
{
    (void)arg;
    (void)result;
    if (loop_calls.left == CALLS) {
        loop_calls.before = allocations;
    }
    if (loop_calls.left-- > 0) {
        CHECK(loomp_call(loomp_current(), called_fn, &loop_calls.call, next_loop_call, NULL) == 0);
    }
}

static void start_loop_calls(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    next_loop_call(NULL, 0);
}

TEST(calls_from_a_loop_do_not_allocate_once_warm)
{
    loomp_runtime *runtime = runtime_that_allocates_nothing(workers_under_test());
    if (!runtime) {
        return;
    }
    loop_calls.left = CALLS + 2; /* the first ones warm it up */
    CHECK(loomp_post(loomp_loop_at(runtime, 0), start_loop_calls, NULL) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loop_calls.left == -1);
    CHECK(allocations == loop_calls.before);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(submitting_a_job_does_not_allocate)
{
    loomp_runtime *runtime = runtime_that_allocates_nothing(workers_under_test());
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[AT_ONCE];
    long before = 0;
    for (int round = 0; round < 20; round++) {
        if (round == 1) {
            before = allocations;
        }
        for (int i = 0; i < AT_ONCE; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            jobs[i].job.kind = i % 20 == 19 ? LOOMP_GANG : LOOMP_SERIAL;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
    CHECK(allocations == before);
    CHECK(loomp_stop(runtime) == 0);
}

struct placed_calls {
    struct recorded_job jobs[AT_ONCE];
    loomp_site *site;
    long locks; /* taken in the calls */
    int inlined;
};

static void submit_to_a_site(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct placed_calls *calls = arg;
    calls->inlined = 0;
    for (uint64_t i = 0; i < AT_ONCE; i++) {
        recorded_init(&calls->jobs[i], NULL);
        loomp_job *job = &calls->jobs[i].job;
        job->kind = i % 20 == 19 ? LOOMP_GANG : LOOMP_SERIAL;
        long before = locks;
        int err = loomp_submit_adaptive(loomp_current(), job, calls->site, i);
        calls->locks += locks - before;
        CHECK(err == 0);
        calls->inlined += calls->jobs[i].works &&
                          pthread_equal(calls->jobs[i].work_thread, pthread_self());
    }
}

TEST(submitting_to_a_site_neither_allocates_nor_locks_once_warm)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(),
        (const char *const[]){"follow", "false", "sites.warm inline.arm", "inline",
                              "sites.warm task.arm", "task", "adaptive.trace", "100", NULL});
    if (!runtime) {
        return;
    }
    static loomp_site sites[] = {LOOMP_SITE("warm inline", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("warm task", LOOMP_HINT_UNKNOWN),
                                 LOOMP_SITE("warm learning", LOOMP_HINT_UNKNOWN)};
    static struct placed_calls calls;
    long before = 0;
    for (int round = 0; round < 30; round++) {
        if (round == 3) {
            before = allocations;
            calls.locks = 0;
        }
        calls.site = &sites[round % 3];
        on_loop(loomp_loop_at(runtime, 0), submit_to_a_site, &calls);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(round % 3 != 0 || calls.inlined == AT_ONCE);
        CHECK(round % 3 != 1 || calls.inlined == 0);
    }
    CHECK(allocations == before);
    CHECK(calls.locks == 0);
    CHECK(locks > 0); /* the hook works: on_loop has taken some */
    CHECK(loomp_stop(runtime) == 0);
}

static void choose_and_finish(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct placed_calls *calls = arg;
    for (uint64_t i = 0; i < 10 * AT_ONCE; i++) {
        loomp_decision decision;
        long before = locks;
        int err = loomp_choose(loomp_default(), calls->site, i, &decision);
        decision.cost_s = 1e-6;
        loomp_finish(&decision);
        calls->locks += locks - before;
        CHECK(err == 0);
    }
}

TEST(choosing_neither_allocates_nor_locks_once_warm)
{
    loomp_runtime *runtime = runtime_that_allocates_nothing(workers_under_test());
    if (!runtime) {
        return;
    }
    static loomp_site site = LOOMP_SITE("warm choice", LOOMP_HINT_UNKNOWN);
    static struct placed_calls calls = {.site = &site};
    long before = 0;
    for (int round = 0; round < 6; round++) {
        if (round == 2) {
            before = allocations;
            calls.locks = 0;
        }
        if (round % 2) {
            choose_and_finish(NULL, &calls);
        } else {
            on_loop(loomp_loop_at(runtime, 0), choose_and_finish, &calls);
        }
    }
    CHECK(allocations == before);
    CHECK(calls.locks == 0);
    CHECK(loomp_stop(runtime) == 0);
}

struct caller {
    loomp_runtime *runtime;
    struct called *calls;
    int count;
};

static void *call_and_end(void *arg)
{
    struct caller *caller = arg;
    for (int i = 0; i < caller->count; i++) {
        CHECK(loomp_call(caller->runtime, called_fn, &caller->calls[i], called_done,
                         &caller->calls[i]) == 0);
    }
    return NULL;
}

TEST(a_thread_may_end_before_its_calls_are_done)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 5; round++) {
        struct gate gate = GATE_INIT;
        static struct called calls[4][50];
        pthread_t threads[4];
        struct caller callers[4];
        for (int t = 0; t < 4; t++) {
            for (int i = 0; i < 50; i++) {
                memset((void *)&calls[t][i], 0, sizeof calls[t][i]);
                calls[t][i].argument = i;
                calls[t][i].gate = round % 2 ? &gate : NULL;
            }
            callers[t] = (struct caller){runtime, calls[t], 50};
            pthread_create(&threads[t], NULL, call_and_end, &callers[t]);
        }
        for (int t = 0; t < 4; t++) {
            pthread_join(threads[t], NULL);
        }
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        for (int t = 0; t < 4; t++) {
            for (int i = 0; i < 50; i++) {
                CHECK(calls[t][i].dones == 1);
                CHECK(calls[t][i].result == 2 * i);
            }
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_refused_call_is_not_made)
{
    static const char *const settings[] = {"queue_limit", "1", NULL};
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), settings)) {
        return;
    }
    struct called calls[2] = {{.argument = 1}, {.argument = 2}};
    CHECK(loomp_call(holding.runtime, called_fn, &calls[0], called_done, &calls[0]) == 0);
    CHECK(loomp_call(holding.runtime, called_fn, &calls[1], called_done, &calls[1]) == -EAGAIN);
    stop_held(&holding);
    CHECK(calls[0].dones == 1);
    CHECK(calls[1].calls == 0 && calls[1].dones == 0);
}

static void call_in_done(void *arg, int result)
{
    struct called *self = arg;
    self->result += result;
    if (++self->dones < 100) {
        CHECK(loomp_call(loomp_default(), called_fn, self, call_in_done, self) == 0);
    }
}

TEST(a_call_may_be_made_in_the_done_of_a_call)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct called call = {.argument = 3};
    CHECK(loomp_call(runtime, called_fn, &call, call_in_done, &call) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(call.dones == 100 && call.calls == 100);
    CHECK(call.result == 600);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- pools ----------------------------------------------------------------------------------- */

TEST(blocking_jobs_wait_at_the_same_time_up_to_the_number_of_threads)
{
    static const char *const settings[] = {"blocking.threads", "8", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    enum { JOBS = 20, THREADS = 8 };
    static struct recorded_job jobs[JOBS];
    for (int round = 0; round < 3; round++) {
        struct gate gate = GATE_INIT;
        for (int i = 0; i < JOBS; i++) {
            recorded_init(&jobs[i], &gate);
            jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            CHECK(loomp_submit_blocking(runtime, &jobs[i].job) == 0);
        }
        gate_wait_for_arrivals(&gate, THREADS);
        int running = 0;
        for (int i = 0; i < JOBS; i++) {
            running += loomp_job_state(&jobs[i].job) == LOOMP_JOB_RUNNING;
        }
        CHECK(running == THREADS);
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        for (int i = 0; i < JOBS; i++) {
            CHECK(jobs[i].works == 1 && jobs[i].dones == 1);
            CHECK(jobs[i].work_index == -1); /* not one of compute's threads */
            CHECK(jobs[i].done_loop == (i % 2 ? loomp_loop_at(runtime, 0) : NULL));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(compute_goes_on_while_blocking_jobs_wait_and_the_other_way_round)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct gate gate = GATE_INIT;
    struct recorded_job blocking, compute, gang;
    recorded_init(&blocking, &gate);
    CHECK(loomp_submit_blocking(runtime, &blocking.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    loomp_group group;
    loomp_group_init(&group, runtime);
    recorded_init(&compute, NULL);
    recorded_init(&gang, NULL);
    gang.job.kind = LOOMP_GANG;
    compute.job.group = gang.job.group = &group;
    CHECK(loomp_submit(runtime, &compute.job) == 0);
    CHECK(loomp_submit(runtime, &gang.job) == 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(blocking.dones == 0);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(blocking.dones == 1);

    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), NULL)) {
        return;
    }
    loomp_group_init(&group, holding.runtime);
    recorded_init(&blocking, NULL);
    blocking.job.group = &group;
    blocking.job.pool = loomp_pool_named(holding.runtime, "blocking");
    CHECK(loomp_submit(holding.runtime, &blocking.job) == 0); /* by its field pool */
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(blocking.works == 1 && blocking.work_index == -1);
    stop_held(&holding);
}

static int note_index(loomp_job *job)
{
    *(int *)job->data = loomp_thread_index(loomp_pool_named(loomp_current(), "blocking"));
    return 0;
}

TEST(pools_are_found_by_name_and_tell_how_many_threads_they_have)
{
    static const char *const settings[] = {"blocking.threads", "5", NULL};
    loomp_runtime *runtime = runtime_with(3, settings);
    if (!runtime) {
        return;
    }
    loomp_pool *compute = loomp_pool_named(runtime, "compute");
    loomp_pool *blocking = loomp_pool_named(runtime, "blocking");
    CHECK(compute != NULL && blocking != NULL && compute != blocking);
    CHECK(loomp_pool_named(runtime, "ssd") == NULL);
    CHECK(loomp_pool_named(runtime, "") == NULL);
    CHECK(loomp_pool_named(runtime, NULL) == NULL);
    CHECK(loomp_pool_threads(compute) == 3);
    CHECK(loomp_pool_threads(blocking) == 5);
    CHECK(loomp_thread_index(compute) == -1);
    CHECK(loomp_thread_index(blocking) == -1);
    CHECK(loomp_thread_index(NULL) == -1);
    int index = -2;
    loomp_job job = LOOMP_JOB_INIT(note_index, NULL);
    job.data = &index;
    CHECK(loomp_submit_blocking(runtime, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(index == 0);
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(index == -1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(each_worker_has_an_index_of_its_own_and_so_has_each_thread_of_a_gangs_region)
{
    static struct holding holding;
    if (!start_held(&holding, workers_under_test(), NULL)) {
        return;
    }
    bool seen[MOST_WORKERS] = {false};
    for (int i = 0; i < holding.workers; i++) {
        int index = holding.held[i].work_index;
        if (CHECK(index >= 0 && index < holding.workers)) {
            CHECK(!seen[index]);
            seen[index] = true;
        }
    }
    stop_held(&holding);
}

struct region_indices {
    loomp_job job;
    int indices[MOST_WORKERS];
    int threads;
};

static int note_region_indices(loomp_job *job)
{
    struct region_indices *self = LOOMP_CONTAINER(job, struct region_indices, job);
    loomp_pool *compute = loomp_pool_named(loomp_current(), "compute");
#pragma omp parallel
    {
#pragma omp single
        self->threads = omp_get_num_threads();
        self->indices[omp_get_thread_num()] = loomp_thread_index(compute);
    }
    return 0;
}

TEST(in_a_gangs_region_the_index_is_the_OpenMP_thread_number)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct region_indices self;
    loomp_job_init(&self.job, note_region_indices, NULL);
    self.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &self.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self.threads == loomp_pool_threads(loomp_pool_named(runtime, "compute")));
    for (int i = 0; i < self.threads; i++) {
        CHECK(self.indices[i] == i);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- install --------------------------------------------------------------------------------- */

static int install_region(void *arg)
{
    int threads = 0;
#pragma omp parallel
#pragma omp single
    threads = omp_get_num_threads();
    return *(int *)arg + threads;
}

static int install_from_job(loomp_job *job)
{
    int base = 100;
    *(int *)job->data = loomp_install(loomp_current(), install_region, &base);
    return 0;
}

TEST(install_runs_on_the_team_and_returns_the_result)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    int base = 1000, result = 0;
    CHECK(loomp_install(runtime, install_region, &base) == 1000 + workers);
    base = -1000;
    CHECK(loomp_install(runtime, install_region, &base) == -1000 + workers);
    loomp_job job = LOOMP_JOB_INIT(install_from_job, NULL);
    job.data = &result;
    for (int i = 0; i < 3; i++) { /* from a SERIAL job, a gang's leader, a blocking job */
        job.kind = i == 1 ? LOOMP_GANG : LOOMP_SERIAL;
        result = 0;
        CHECK((i == 2 ? loomp_submit_blocking(runtime, &job) : loomp_submit(runtime, &job)) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(result == 100 + workers);
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
