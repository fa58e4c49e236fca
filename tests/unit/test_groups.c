/* SPDX-License-Identifier: MIT */
/* Tests of groups through the public interface: waiting on plain and on team threads, the first
 * error, notifications, and groups that are freed, reused, shared and nested. */
#define SUITE "groups"
#include "recorded_job.h"

#include <errno.h>
#include <ev.h>
#include <sched.h>

static int return_0(loomp_job *job)
{
    (void)job;
    return 0;
}

/* ---- waiting on a plain thread --------------------------------------------------------------- */

TEST(a_group_that_was_never_used_is_empty)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    CHECK(loomp_group_init(&group, runtime) == 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(loomp_group_wait(&group, 0) == 0);
    loomp_group_fini(&group);
    CHECK(loomp_group_init(NULL, runtime) == -EINVAL);
    CHECK(loomp_group_init(&group, NULL) == -EINVAL);
    CHECK(loomp_group_wait(NULL, -1) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(wait_returns_when_done_of_every_job_has_returned)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[100];
    for (int round = 0; round < 20; round++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        for (int i = 0; i < 100; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.group = &group;
            jobs[i].job.home = i % 3 ? NULL : loomp_loop_at(runtime, 0);
            jobs[i].job.kind = i % 20 == 9 ? LOOMP_GANG : LOOMP_SERIAL;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        CHECK(loomp_group_wait(&group, -1) == 0);
        int done = 0;
        for (int i = 0; i < 100; i++) {
            done += jobs[i].dones;
        }
        CHECK(done == 100);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void add_one(loomp_job *job, int status)
{
    CHECK(status == 0);
    ++*(int *)job->data;
}

TEST(what_the_jobs_wrote_is_seen_after_wait)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_job jobs[40];
    int plain[40] = {0}; /* not atomic: the group orders it */
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int round = 1; round <= 20; round++) {
        for (int i = 0; i < 40; i++) {
            loomp_job_init(&jobs[i], return_0, add_one);
            jobs[i].data = &plain[i];
            jobs[i].group = &group;
            jobs[i].home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            CHECK(loomp_submit(runtime, &jobs[i]) == 0);
        }
        CHECK(loomp_group_wait(&group, -1) == 0);
        for (int i = 0; i < 40; i++) {
            CHECK(plain[i] == round);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void submit_in_order(loomp_runtime *runtime, loomp_group *group, struct recorded_job *jobs,
                            const int *results, int count)
{
    for (int i = 0; i < count; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].result = results[i];
        jobs[i].job.group = group;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
}

TEST(wait_returns_the_first_error_which_is_forgotten_when_the_group_is_used_again)
{
    loomp_runtime *runtime = runtime_with(1, NULL); /* so that there is a first one */
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job held, jobs[5];
    static const int errors[] = {0, -EIO, 0, -ENOSPC, -EPIPE};
    static const int no_errors[] = {0, 0, 0, 0, 0};
    recorded_init(&held, &gate);
    held.job.group = &group;
    CHECK(loomp_submit(runtime, &held.job) == 0); /* none is done before all are submitted */
    submit_in_order(runtime, &group, jobs, errors, 5);
    gate_open(&gate);
    CHECK(loomp_group_wait(&group, -1) == -EIO);
    submit_in_order(runtime, &group, jobs, no_errors, 5);
    CHECK(loomp_group_wait(&group, -1) == 0);
    submit_in_order(runtime, &group, jobs, errors + 3, 1);
    CHECK(loomp_group_wait(&group, -1) == -ENOSPC);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_cancelled_job_counts_as_an_error)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job held, job;
    recorded_init(&held, &gate);
    recorded_init(&job, NULL);
    held.job.group = job.job.group = &group;
    CHECK(loomp_submit(runtime, &held.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_cancel(&job.job) == 0);
    gate_open(&gate);
    CHECK(loomp_group_wait(&group, -1) == -ECANCELED);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(wait_gives_up_when_its_time_is_up)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    job.job.group = &group;
    job.result = -EIO;
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_group_wait(&group, 0) == -ETIMEDOUT);
    CHECK(loomp_group_wait(&group, 0.001) == -ETIMEDOUT);
    CHECK(loomp_group_wait(&group, 0) == -ETIMEDOUT);
    gate_open(&gate);
    CHECK(loomp_group_wait(&group, 1000) == -EIO);
    CHECK(loomp_stop(runtime) == 0);
}

struct waiter {
    loomp_group *group;
    struct gate ready;
    int result;
    double timeout_s;
};

static void *wait_on_thread(void *arg)
{
    struct waiter *self = arg;
    gate_arrive(&self->ready);
    self->result = loomp_group_wait(self->group, self->timeout_s);
    return NULL;
}

TEST(several_threads_may_wait_for_one_group)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 20; round++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        struct gate gate = GATE_INIT;
        struct recorded_job job;
        recorded_init(&job, &gate);
        job.job.group = &group;
        job.result = -EIO;
        CHECK(loomp_submit(runtime, &job.job) == 0);
        struct waiter waiters[5];
        pthread_t threads[5];
        for (int i = 0; i < 5; i++) {
            waiters[i] = (struct waiter){.group = &group, .timeout_s = i == 4 ? 0.0001 : -1};
            gate_init(&waiters[i].ready);
            pthread_create(&threads[i], NULL, wait_on_thread, &waiters[i]);
        }
        for (int i = 0; i < 5; i++) {
            gate_wait_for_arrivals(&waiters[i].ready, 1);
        }
        pthread_join(threads[4], NULL); /* its time is up; the others go on waiting */
        CHECK(waiters[4].result == -ETIMEDOUT);
        gate_open(&gate);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            CHECK(waiters[i].result == -EIO);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_group_may_be_freed_as_soon_as_wait_has_returned)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[4];
    for (int round = 0; round < 1000; round++) {
        loomp_group *group = malloc(sizeof *group);
        loomp_group_init(group, runtime);
        for (int i = 0; i < 4; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.group = group;
            jobs[i].job.home = i == 3 ? loomp_loop_at(runtime, 0) : NULL;
            CHECK((i == 2 ? loomp_submit_blocking(runtime, &jobs[i].job)
                          : loomp_submit(runtime, &jobs[i].job)) == 0);
        }
        CHECK(loomp_group_wait(group, -1) == 0);
        memset((void *)group, 0x5a, sizeof *group);
        free(group);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(one_group_counts_jobs_of_all_kinds_and_pools)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job blocking, serial, gang;
    recorded_init(&blocking, &gate);
    recorded_init(&serial, NULL);
    recorded_init(&gang, NULL);
    gang.job.kind = LOOMP_GANG;
    blocking.job.group = serial.job.group = gang.job.group = &group;
    CHECK(loomp_submit_blocking(runtime, &blocking.job) == 0);
    CHECK(loomp_submit(runtime, &serial.job) == 0);
    CHECK(loomp_submit(runtime, &gang.job) == 0);
    while (!serial.dones || !gang.dones) {
        CHECK(loomp_group_wait(&group, 0.0001) == -ETIMEDOUT);
    }
    CHECK(loomp_group_wait(&group, 0) == -ETIMEDOUT);
    gate_open(&gate);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(blocking.dones == 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_refused_job_does_not_stay_in_its_group)
{
    static const char *const settings[] = {"queue_limit", "1", NULL};
    loomp_runtime *runtime = runtime_with(1, settings);
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job held, queued, refused;
    recorded_init(&held, &gate);
    recorded_init(&queued, NULL);
    recorded_init(&refused, NULL);
    refused.job.group = &group;
    CHECK(loomp_submit(runtime, &held.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit(runtime, &queued.job) == 0);
    CHECK(loomp_submit(runtime, &refused.job) == -EAGAIN);
    CHECK(loomp_group_wait(&group, -1) == 0);
    gate_open(&gate);
    CHECK(loomp_shutdown(runtime) == 0);
    CHECK(loomp_submit(runtime, &refused.job) == -ESHUTDOWN);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- notifications --------------------------------------------------------------------------- */

struct notified {
    loomp_runtime *runtime;
    loomp_loop *loop; /* it was called on */
    loomp_group *group;
    int status;
    int calls;
    int refills;
    bool frees;
    struct recorded_job refill;
    struct gate called;
};

static void on_empty(loomp_group *group, int status, void *arg)
{
    struct notified *self = arg;
    CHECK(group == self->group);
    self->loop = loomp_loop_here();
    self->status = status;
    self->calls++;
    if (self->frees) {
        memset((void *)group, 0x5a, sizeof *group);
        free(group);
    } else if (self->refills > 0) {
        self->refills--;
        recorded_init(&self->refill, NULL);
        self->refill.job.group = group;
        CHECK(loomp_submit(self->runtime, &self->refill.job) == 0);
        CHECK(loomp_group_notify(group, self->loop, on_empty, self) == 0);
    }
    gate_arrive(&self->called);
}

static struct notified *new_notified(loomp_runtime *runtime, loomp_group *group)
{
    static struct notified self;
    memset((void *)&self, 0, sizeof self);
    self.runtime = runtime;
    self.group = group;
    gate_init(&self.called);
    return &self;
}

TEST(a_notification_comes_once_on_the_loop_when_the_group_is_empty)
{
    static const char *const settings[] = {"io.threads", "2", NULL};
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    struct gate gate = GATE_INIT;
    struct recorded_job jobs[2];
    for (int i = 0; i < 2; i++) {
        recorded_init(&jobs[i], &gate);
        jobs[i].job.group = &group;
        jobs[i].result = i ? 0 : -EIO;
        CHECK(loomp_submit_blocking(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_group_notify(&group, loomp_loop_at(runtime, 1), on_empty, self) == 0);
    CHECK(self->calls == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0); /* a notification is work under way */
    CHECK(self->calls == 1);
    CHECK(self->loop == loomp_loop_at(runtime, 1));
    CHECK(self->status == -EIO);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(self->calls == 1);
}

TEST(a_notification_of_an_empty_group_comes_soon)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    for (int i = 1; i <= 100; i++) {
        CHECK(loomp_group_notify(&group, loomp_loop_at(runtime, 0), on_empty, self) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(self->calls == i);
        CHECK(self->status == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void notify_there(loomp_loop *loop, void *arg)
{
    struct notified *self = arg;
    CHECK(loomp_group_notify(self->group, loop, on_empty, self) == 0);
    CHECK(self->calls == 0); /* never inside the call */
}

TEST(a_notification_never_comes_inside_the_call_that_asks_for_it)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    on_loop(loomp_loop_at(runtime, 0), notify_there, self);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self->calls == 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_second_notification_is_refused_while_one_is_pending)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    job.job.group = &group;
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_group_notify(NULL, loop, on_empty, self) == -EINVAL);
    CHECK(loomp_group_notify(&group, NULL, on_empty, self) == -EINVAL);
    CHECK(loomp_group_notify(&group, loop, NULL, self) == -EINVAL);
    CHECK(loomp_group_notify(&group, loop, on_empty, self) == 0);
    CHECK(loomp_group_notify(&group, loop, on_empty, self) == -EBUSY);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self->calls == 1);
    CHECK(loomp_group_notify(&group, loop, on_empty, self) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self->calls == 2);
    CHECK(loomp_stop(runtime) == 0);
}

struct asker {
    loomp_group *group;
    loomp_loop *loop;
    _Atomic int *calls;
    int asked;
};

static void count_notification(loomp_group *group, int status, void *arg)
{
    (void)group;
    (void)status;
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void *ask_again_and_again(void *arg)
{
    struct asker *self = arg;
    for (int i = 0; i < 1000;) {
        int err = loomp_group_notify(self->group, self->loop, count_notification, self->calls);
        if (err == 0) {
            i++;
            self->asked++;
        } else if (!CHECK(err == -EBUSY)) {
            break;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

TEST(of_threads_that_ask_at_once_one_gets_the_notification_and_the_others_EBUSY)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    _Atomic int calls = 0;
    struct asker askers[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        askers[i] = (struct asker){&group, loomp_loop_at(runtime, 0), &calls, 0};
        pthread_create(&threads[i], NULL, ask_again_and_again, &askers[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(calls == askers[0].asked + askers[1].asked);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_group_may_be_freed_in_its_notification)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[3];
    for (int round = 0; round < 200; round++) {
        loomp_group *group = malloc(sizeof *group);
        loomp_group_init(group, runtime);
        struct notified *self = new_notified(runtime, group);
        self->frees = true;
        for (int i = 0; i < 3; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.group = group;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        CHECK(loomp_group_notify(group, loomp_loop_at(runtime, 0), on_empty, self) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(self->calls == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_group_may_be_filled_again_in_its_notification)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    self->refills = 100;
    CHECK(loomp_group_notify(&group, loomp_loop_at(runtime, 0), on_empty, self) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self->calls == 101);
    CHECK(self->status == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_notification_reaches_an_attached_loop_and_keeps_ev_run_until_then)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_loop *loop = NULL;
    CHECK(loomp_attach(runtime, EV_DEFAULT, &loop) == 0);
    for (int round = 0; round < 50; round++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        struct notified *self = new_notified(runtime, &group);
        struct recorded_job job;
        recorded_init(&job, NULL);
        job.job.group = &group;
        job.job.home = loomp_loop_at(runtime, 0);
        CHECK(loomp_submit(runtime, &job.job) == 0);
        CHECK(loomp_group_notify(&group, loop, on_empty, self) == 0);
        ev_run(EV_DEFAULT, 0);
        CHECK(self->calls == 1);
        CHECK(self->loop == loop);
    }
    CHECK(loomp_detach(loop) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_group_has_waiters_and_a_notification_at_the_same_time)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    struct gate gate = GATE_INIT;
    struct recorded_job job;
    recorded_init(&job, &gate);
    job.job.group = &group;
    job.result = -EIO;
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_group_notify(&group, loomp_loop_at(runtime, 0), on_empty, self) == 0);
    struct waiter waiter = {.group = &group, .timeout_s = -1};
    gate_init(&waiter.ready);
    pthread_t thread;
    pthread_create(&thread, NULL, wait_on_thread, &waiter);
    gate_wait_for_arrivals(&waiter.ready, 1);
    gate_open(&gate);
    pthread_join(thread, NULL);
    gate_wait_for_arrivals(&self->called, 1);
    CHECK(waiter.result == -EIO);
    CHECK(self->status == -EIO);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- waiting in jobs ------------------------------------------------------------------------- */

struct waits_for_own {
    loomp_job job;
    int result;
};

static int wait_for_own_group(loomp_job *job)
{
    struct waits_for_own *self = LOOMP_CONTAINER(job, struct waits_for_own, job);
    self->result = loomp_group_wait(job->group, -1);
    return 0;
}

TEST(a_job_that_waits_for_its_own_group_gets_EDEADLK)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        struct waits_for_own self = {.result = 0};
        loomp_job_init(&self.job, wait_for_own_group, NULL);
        self.job.group = &group;
        self.job.kind = i == 1 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK((i == 2 ? loomp_submit_blocking(runtime, &self.job)
                      : loomp_submit(runtime, &self.job)) == 0);
        CHECK(loomp_group_wait(&group, -1) == 0);
        CHECK(self.result == -EDEADLK);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct nest {
    loomp_job job;
    loomp_runtime *runtime;
    loomp_group *outermost;
    int depth;
    int result; /* of waiting for the next */
    int outer_result; /* of waiting for a group that the jobs below on this stack are in */
    int started, ended;
};

enum { DEPTH = 50 };

static struct nest nests[DEPTH];
static int nest_started;

static int nest_work(loomp_job *job)
{
    struct nest *self = LOOMP_CONTAINER(job, struct nest, job);
    self->started = ++nest_started; /* one worker: no race */
    if (self->depth + 1 < DEPTH) {
        loomp_group group;
        loomp_group_init(&group, self->runtime);
        struct nest *next = &nests[self->depth + 1];
        loomp_job_init(&next->job, nest_work, NULL);
        next->job.group = &group;
        next->runtime = self->runtime;
        next->outermost = self->outermost;
        next->depth = self->depth + 1;
        CHECK(loomp_submit(self->runtime, &next->job) == 0);
        self->result = loomp_group_wait(&group, -1);
        CHECK(next->ended);
    } else {
        self->outer_result = loomp_group_wait(self->outermost, -1);
    }
    self->ended = 1;
    return self->depth == DEPTH - 1 ? -EIO : self->result;
}

TEST(groups_nest_50_deep_on_one_worker_and_an_error_comes_up)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    nest_started = 0;
    memset((void *)nests, 0, sizeof nests);
    loomp_group group;
    loomp_group_init(&group, runtime);
    loomp_job_init(&nests[0].job, nest_work, NULL);
    nests[0].runtime = runtime;
    nests[0].outermost = &group;
    nests[0].job.group = &group;
    CHECK(loomp_submit(runtime, &nests[0].job) == 0);
    CHECK(loomp_group_wait(&group, -1) == -EIO);
    CHECK(nests[DEPTH - 1].outer_result == -EDEADLK); /* far below on the same stack */
    for (int i = 0; i < DEPTH; i++) {
        CHECK(nests[i].started == i + 1);
        CHECK(nests[i].ended == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

enum { CHILDREN = 1000 };

struct parent {
    loomp_job job;
    loomp_runtime *runtime;
    loomp_job *children;
    struct gate *all_here; /* NULL, or each parent waits until every other has begun */
    int parents;
    _Atomic int count;
    int counted; /* after wait */
    int result;
};

static int count_child(loomp_job *job)
{
    struct parent *parent = job->data;
    parent->count++;
    return 0;
}

static int parent_work(loomp_job *job)
{
    struct parent *self = LOOMP_CONTAINER(job, struct parent, job);
    if (self->all_here) {
        gate_arrive(self->all_here);
        gate_wait_for_arrivals(self->all_here, self->parents);
    }
    loomp_group group;
    loomp_group_init(&group, self->runtime);
    for (int i = 0; i < CHILDREN; i++) {
        loomp_job_init(&self->children[i], count_child, NULL);
        self->children[i].data = self;
        self->children[i].group = &group;
        self->children[i].priority = i % 3 - 1;
        CHECK(loomp_submit(self->runtime, &self->children[i]) == 0);
    }
    self->result = loomp_group_wait(&group, -1);
    self->counted = self->count;
    return 0;
}

static void run_parents(int workers, bool on_every_worker)
{
    loomp_runtime *runtime = runtime_with(workers, NULL);
    if (!runtime) {
        return;
    }
    struct gate all_here = GATE_INIT;
    int parents =
        on_every_worker ? loomp_pool_threads(loomp_pool_named(runtime, "compute")) : 1;
    struct parent *all = calloc((size_t)parents, sizeof *all);
    for (int i = 0; i < parents; i++) {
        loomp_job_init(&all[i].job, parent_work, NULL);
        all[i].runtime = runtime;
        all[i].children = calloc(CHILDREN, sizeof(loomp_job));
        all[i].all_here = on_every_worker ? &all_here : NULL;
        all[i].parents = parents;
        CHECK(loomp_submit(runtime, &all[i].job) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < parents; i++) {
        CHECK(all[i].result == 0);
        CHECK(all[i].counted == CHILDREN);
        free(all[i].children);
    }
    free(all);
}

TEST(a_job_submits_1000_jobs_and_waits_for_them)
{
    run_parents(workers_under_test(), false);
    run_parents(1, false);
}

TEST(every_worker_waits_for_1000_jobs_of_its_own)
{
    run_parents(workers_under_test(), true);
    run_parents(4, true);
}

/* Pairs of one that waits and one that is waited for. */
enum way { SERIAL, GANG, BLOCKING, WAYS };

static int submit_by(enum way way, loomp_runtime *runtime, loomp_job *job)
{
    job->kind = way == GANG ? LOOMP_GANG : LOOMP_SERIAL;
    return way == BLOCKING ? loomp_submit_blocking(runtime, job) : loomp_submit(runtime, job);
}

struct pair {
    loomp_job job;
    loomp_runtime *runtime;
    enum way child_way;
    struct recorded_job children[5];
    int result;
    int timed_out;
    int looked;
};

static int wait_for_children(loomp_job *job)
{
    struct pair *self = LOOMP_CONTAINER(job, struct pair, job);
    loomp_group group;
    loomp_group_init(&group, self->runtime);
    for (int i = 0; i < 5; i++) {
        recorded_init(&self->children[i], NULL);
        self->children[i].job.group = &group;
        self->children[i].result = -EIO; /* all: the group may be empty in between */
        self->children[i].job.home = i == 4 ? loomp_loop_at(self->runtime, 0) : NULL;
        CHECK(submit_by(self->child_way, self->runtime, &self->children[i].job) == 0);
    }
    self->looked = loomp_group_wait(&group, 0);
    self->result = loomp_group_wait(&group, -1);
    for (int i = 0; i < 5; i++) {
        CHECK(self->children[i].dones == 1);
    }
    return 0;
}

TEST(a_job_of_each_kind_may_wait_for_jobs_of_each_kind)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct pair pair;
    for (int waiter = 0; waiter < WAYS; waiter++) {
        for (int child = 0; child < WAYS; child++) {
            memset((void *)&pair, 0, sizeof pair);
            loomp_job_init(&pair.job, wait_for_children, NULL);
            pair.runtime = runtime;
            pair.child_way = (enum way)child;
            CHECK(submit_by((enum way)waiter, runtime, &pair.job) == 0);
            CHECK(loomp_wait_idle(runtime, -1) == 0);
            CHECK(pair.looked == -ETIMEDOUT || pair.looked == -EIO);
            CHECK(pair.result == -EIO);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int wait_with_limit(loomp_job *job)
{
    struct pair *self = LOOMP_CONTAINER(job, struct pair, job);
    loomp_group group;
    loomp_group_init(&group, self->runtime);
    struct gate gate = GATE_INIT;
    recorded_init(&self->children[0], &gate);
    self->children[0].job.group = &group;
    CHECK(loomp_submit_blocking(self->runtime, &self->children[0].job) == 0);
    gate_wait_for_arrivals(&gate, 1); /* or a waiter of that pool would run it itself */
    self->looked = loomp_group_wait(&group, 0);
    self->timed_out = loomp_group_wait(&group, 0.0005);
    gate_open(&gate);
    self->result = loomp_group_wait(&group, 1000);
    return 0;
}

TEST(a_job_may_limit_its_wait)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct pair pair;
    for (int waiter = 0; waiter < WAYS; waiter++) {
        memset((void *)&pair, 0, sizeof pair);
        loomp_job_init(&pair.job, wait_with_limit, NULL);
        pair.runtime = runtime;
        CHECK(submit_by((enum way)waiter, runtime, &pair.job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(pair.looked == -ETIMEDOUT);
        CHECK(pair.timed_out == -ETIMEDOUT);
        CHECK(pair.result == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct helps_nobody_else {
    loomp_job job;
    loomp_runtime *runtime;
    struct recorded_job foreign, awaited;
    struct gate *gate;
    int foreign_works;
};

static int wait_beside_foreign(loomp_job *job)
{
    struct helps_nobody_else *self = LOOMP_CONTAINER(job, struct helps_nobody_else, job);
    loomp_group group;
    loomp_group_init(&group, self->runtime);
    recorded_init(&self->awaited, NULL);
    recorded_init(&self->foreign, NULL);
    self->awaited.job.group = &group;
    CHECK(loomp_submit(self->runtime, &self->foreign.job) == 0);
    CHECK(loomp_submit(self->runtime, &self->awaited.job) == 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    self->foreign_works = self->foreign.works;
    return 0;
}

TEST(a_waiting_worker_runs_jobs_of_its_group_and_no_others)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    static struct helps_nobody_else self;
    memset((void *)&self, 0, sizeof self);
    loomp_job_init(&self.job, wait_beside_foreign, NULL);
    self.runtime = runtime;
    CHECK(loomp_submit(runtime, &self.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self.foreign_works == 0); /* though it was first in the queue */
    CHECK(self.foreign.works == 1 && self.awaited.works == 1);
    CHECK(self.awaited.work_index == 0);
    CHECK(loomp_stop(runtime) == 0);
}

struct late {
    loomp_job waiter;
    loomp_runtime *runtime;
    loomp_group group;
    struct gate waits;
    int result;
};

static int wait_for_late(loomp_job *job)
{
    struct late *self = LOOMP_CONTAINER(job, struct late, waiter);
    gate_arrive(&self->waits);
    self->result = loomp_group_wait(&self->group, -1);
    return 0;
}

TEST(a_job_that_joins_while_the_only_worker_waits_for_the_group_is_run_by_it)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 100; round++) {
        static struct late self;
        memset((void *)&self, 0, sizeof self);
        self.runtime = runtime;
        gate_init(&self.waits);
        loomp_group_init(&self.group, runtime);
        struct gate gate = GATE_INIT;
        struct recorded_job holder, joins[3];
        recorded_init(&holder, &gate);
        holder.job.group = &self.group;
        CHECK(loomp_submit_blocking(runtime, &holder.job) == 0);
        loomp_job_init(&self.waiter, wait_for_late, NULL);
        CHECK(loomp_submit(runtime, &self.waiter) == 0);
        gate_wait_for_arrivals(&self.waits, 1);
        for (int i = 0; i < 3; i++) {
            recorded_init(&joins[i], NULL);
            joins[i].job.group = &self.group;
            CHECK(loomp_submit(runtime, &joins[i].job) == 0);
        }
        for (int i = 0; i < 3; i++) {
            while (!joins[i].dones) { /* before the group can become empty */
                sched_yield();
            }
        }
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(self.result == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- errors are kept until reported ---------------------------------------------------------- */

/* Submits and waits until the group is empty again, without asking it. */
static void run_alone(loomp_runtime *runtime, loomp_group *group, int result)
{
    struct recorded_job job;
    recorded_init(&job, NULL);
    job.result = result;
    job.job.group = group;
    CHECK(loomp_submit(runtime, &job.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(job.works == 1 && job.dones == 1);
}

TEST(an_error_is_kept_until_it_is_reported_though_the_group_was_empty_meanwhile)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    run_alone(runtime, &group, -EIO);
    run_alone(runtime, &group, 0);
    run_alone(runtime, &group, -ENOSPC);
    CHECK(loomp_group_wait(&group, -1) == -EIO);
    CHECK(loomp_group_wait(&group, -1) == -EIO); /* until the next job joins */
    CHECK(loomp_group_wait(&group, 0) == -EIO);
    run_alone(runtime, &group, 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    run_alone(runtime, &group, -ENOSPC);
    run_alone(runtime, &group, 0);
    CHECK(loomp_group_wait(&group, 0) == -ENOSPC); /* a look that finds it empty is a report */
    run_alone(runtime, &group, 0);
    CHECK(loomp_group_wait(&group, 0) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_notification_and_a_job_after_the_group_are_reports_and_a_look_in_vain_is_none)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct notified *self = new_notified(runtime, &group);
    run_alone(runtime, &group, -EIO);
    struct gate gate = GATE_INIT;
    struct recorded_job held, after;
    recorded_init(&held, &gate);
    held.job.group = &group;
    CHECK(loomp_submit(runtime, &held.job) == 0);
    CHECK(loomp_group_wait(&group, 0) == -ETIMEDOUT);
    CHECK(loomp_group_wait(&group, 0.001) == -ETIMEDOUT);
    CHECK(loomp_group_notify(&group, loomp_loop_at(runtime, 0), on_empty, self) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(self->status == -EIO);
    run_alone(runtime, &group, 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    run_alone(runtime, &group, -EIO);
    recorded_init(&after, NULL);
    CHECK(loomp_group_then(&group, &after.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(after.works == 1);
    run_alone(runtime, &group, 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- cancellation of a group ------------------------------------------------------------------ */

static int until_cancelled(loomp_job *job)
{
    struct recorded_job *r = LOOMP_CONTAINER(job, struct recorded_job, job);
    atomic_fetch_add(&r->works, 1);
    gate_arrive(r->gate);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    CHECK(loomp_job_cancelled(job));
    return 0;
}

TEST(cancel_withdraws_1000_queued_jobs_of_all_kinds_at_once_and_tells_the_one_that_runs)
{
    enum { QUEUED = 1000 };
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[QUEUED];
    for (int round = 0; round < 5; round++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        struct gate gate = GATE_INIT;
        struct recorded_job running, other;
        recorded_init(&running, &gate);
        running.job.work = until_cancelled;
        running.job.group = &group;
        CHECK(!loomp_cancelled());
        CHECK(loomp_submit(runtime, &running.job) == 0);
        gate_wait_for_arrivals(&gate, 1);
        CHECK(!loomp_job_cancelled(&running.job));
        recorded_init(&other, NULL);
        CHECK(loomp_submit(runtime, &other.job) == 0);
        for (int i = 0; i < QUEUED; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.group = &group;
            jobs[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            jobs[i].job.kind = i % 5 == 4 ? LOOMP_GANG : LOOMP_SERIAL;
            jobs[i].job.priority = i % 3 - 1;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        loomp_group_cancel(&group);
        CHECK(loomp_group_wait(&group, -1) == -ECANCELED);
        for (int i = 0; i < QUEUED; i++) {
            CHECK(jobs[i].works == 0 && jobs[i].dones == 1 && jobs[i].status == -ECANCELED);
        }
        CHECK(running.status == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(other.works == 1 && other.status == 0);
        /* it ended with that */
        run_alone(runtime, &group, 0);
        CHECK(loomp_group_wait(&group, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(an_earlier_error_stays_the_status_of_a_cancelled_group)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    loomp_group_cancel(&group); /* of an empty group it means nothing */
    struct gate gate = GATE_INIT;
    struct recorded_job held, queued;
    run_alone(runtime, &group, -EIO);
    recorded_init(&held, &gate);
    recorded_init(&queued, NULL);
    held.job.group = queued.job.group = &group;
    CHECK(loomp_submit(runtime, &held.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit(runtime, &queued.job) == 0);
    loomp_group_cancel(&group);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    run_alone(runtime, &group, 0); /* with zero the cancellation ended; the error has not */
    CHECK(loomp_group_wait(&group, -1) == -EIO);
    CHECK(queued.works == 0 && queued.status == -ECANCELED);
    CHECK(held.status == 0);
    CHECK(loomp_stop(runtime) == 0);
    loomp_group_cancel(&group); /* harmless */
    loomp_group_cancel(NULL);
}

struct self_cancelling {
    struct recorded_job r;
    struct recorded_job sibling;
    loomp_runtime *runtime;
};

static int cancel_own_group(loomp_job *job)
{
    struct self_cancelling *self = LOOMP_CONTAINER(job, struct self_cancelling, r.job);
    recorded_init(&self->sibling, NULL);
    self->sibling.job.group = job->group;
    CHECK(!loomp_cancelled());
    loomp_group_cancel(job->group);
    CHECK(loomp_cancelled());
    /* What joins a cancelled group is cancelled too. */
    CHECK(loomp_submit(self->runtime, &self->sibling.job) == 0);
    return 0;
}

TEST(a_job_may_cancel_its_own_group)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct self_cancelling self = {.runtime = runtime};
    recorded_init(&self.r, NULL);
    self.r.job.work = cancel_own_group;
    self.r.job.group = &group;
    CHECK(loomp_submit(runtime, &self.r.job) == 0);
    CHECK(loomp_group_wait(&group, -1) == -ECANCELED);
    CHECK(self.sibling.works == 0 && self.sibling.status == -ECANCELED);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(with_CANCEL_ON_ERROR_the_first_error_cancels_the_rest_and_stays_the_status)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    if (!runtime) {
        return;
    }
    for (int flagged = 0; flagged < 2; flagged++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        group.flags = flagged ? LOOMP_GROUP_CANCEL_ON_ERROR : 0;
        struct gate gate = GATE_INIT;
        struct recorded_job jobs[10];
        for (int i = 0; i < 10; i++) {
            recorded_init(&jobs[i], i == 0 ? &gate : NULL);
            jobs[i].job.group = &group;
            jobs[i].result = i == 3 ? -EIO : 0;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        gate_open(&gate);
        CHECK(loomp_group_wait(&group, -1) == -EIO);
        for (int i = 0; i < 10; i++) {
            CHECK(jobs[i].works == (i <= 3 || !flagged));
            CHECK(jobs[i].status == (i == 3 ? -EIO : i > 3 && flagged ? -ECANCELED : 0));
        }
        run_alone(runtime, &group, 0);
        CHECK(loomp_group_wait(&group, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(with_CANCEL_ON_ERROR_a_running_job_is_told)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    group.flags = LOOMP_GROUP_CANCEL_ON_ERROR;
    struct gate gate = GATE_INIT;
    struct recorded_job running, failing;
    recorded_init(&running, &gate);
    running.job.work = until_cancelled;
    recorded_init(&failing, NULL);
    failing.result = -EIO;
    running.job.group = failing.job.group = &group;
    CHECK(loomp_submit(runtime, &running.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_submit_blocking(runtime, &failing.job) == 0);
    CHECK(loomp_group_wait(&group, -1) == -EIO);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- jobs that start after a group ------------------------------------------------------------- */

TEST(a_job_after_a_group_starts_when_the_group_is_empty_and_not_before)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 20; round++) {
        loomp_group group, own;
        loomp_group_init(&group, runtime);
        loomp_group_init(&own, runtime);
        struct gate gate = GATE_INIT;
        struct recorded_job held, after[6];
        recorded_init(&held, &gate);
        held.job.group = &group;
        CHECK(loomp_submit_blocking(runtime, &held.job) == 0);
        for (int i = 0; i < 6; i++) {
            recorded_init(&after[i], NULL);
            after[i].job.kind = i == 4 ? LOOMP_GANG : LOOMP_SERIAL;
            after[i].job.pool = i == 5 ? loomp_pool_named(runtime, "blocking") : NULL;
            after[i].job.home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            after[i].job.group = &own;
            CHECK(loomp_group_then(&group, &after[i].job) == 0);
            CHECK(loomp_job_state(&after[i].job) == LOOMP_JOB_QUEUED);
            CHECK(loomp_group_then(&group, &after[i].job) == -EBUSY);
        }
        CHECK(loomp_group_wait(&own, 0) == -ETIMEDOUT); /* they are in their group already */
        CHECK(!loomp_is_idle(runtime));
        for (int i = 0; i < 6; i++) {
            CHECK(after[i].works == 0);
        }
        gate_open(&gate);
        CHECK(loomp_group_wait(&own, -1) == 0);
        for (int i = 0; i < 6; i++) {
            CHECK(after[i].works == 1 && after[i].dones == 1 && after[i].status == 0);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_after_an_empty_group_starts_soon)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct recorded_job after;
    recorded_init(&after, NULL);
    CHECK(loomp_group_then(&group, &after.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(after.works == 1);
    after.job.group = &group;
    CHECK(loomp_group_then(&group, &after.job) == -EDEADLK);
    CHECK(loomp_group_then(NULL, &after.job) == -EINVAL);
    CHECK(loomp_group_then(&group, NULL) == -EINVAL);
    after.job.group = NULL;
    after.job.kind = 77;
    CHECK(loomp_group_then(&group, &after.job) == -EINVAL);
    after.job.kind = LOOMP_GANG;
    after.job.pool = loomp_pool_named(runtime, "blocking");
    CHECK(loomp_group_then(&group, &after.job) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
    after.job.kind = LOOMP_SERIAL;
    after.job.pool = NULL;
    CHECK(loomp_group_then(&group, &after.job) == -ESHUTDOWN);
}

TEST(a_chain_of_100_jobs_each_after_the_group_of_the_one_before_runs_in_order)
{
    enum { LINKS = 100 };
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job jobs[LINKS];
    static loomp_group groups[LINKS + 1];
    _Atomic int begun = 0;
    loomp_group_init(&groups[0], runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job held;
    recorded_init(&held, &gate);
    held.job.group = &groups[0];
    CHECK(loomp_submit_blocking(runtime, &held.job) == 0);
    for (int i = 0; i < LINKS; i++) {
        loomp_group_init(&groups[i + 1], runtime);
        recorded_init(&jobs[i], NULL);
        jobs[i].begun = &begun;
        jobs[i].job.group = &groups[i + 1];
        jobs[i].job.kind = i % 10 == 3 ? LOOMP_GANG : LOOMP_SERIAL;
        CHECK(loomp_group_then(&groups[i], &jobs[i].job) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_group_wait(&groups[LINKS], -1) == 0);
    for (int i = 0; i < LINKS; i++) {
        CHECK(jobs[i].works == 1 && jobs[i].order == i);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(jobs_after_a_group_are_not_lost_when_their_queue_is_full)
{
    enum { AFTER = 40 };
    static const char *const settings[] = {"queue_limit", "1", NULL};
    loomp_runtime *runtime = runtime_with(1, settings);
    if (!runtime) {
        return;
    }
    for (int kind = 0; kind < 3; kind++) { /* SERIAL, GANG, SERIAL in the pool blocking */
        loomp_group group, own;
        loomp_group_init(&group, runtime);
        loomp_group_init(&own, runtime);
        struct gate gate = GATE_INIT, first_gate = GATE_INIT;
        static struct recorded_job after[AFTER];
        struct recorded_job first, held, queued, refused;
        recorded_init(&first, &first_gate);
        first.job.group = &group;
        CHECK(loomp_submit_blocking(runtime, &first.job) == 0);
        recorded_init(&held, &gate);
        recorded_init(&queued, NULL);
        recorded_init(&refused, NULL);
        held.job.kind = queued.job.kind = refused.job.kind = kind == 1 ? LOOMP_GANG : LOOMP_SERIAL;
        gate_wait_for_arrivals(&first_gate, 1);
        if (kind < 2) { /* fill the queue */
            CHECK(loomp_submit(runtime, &held.job) == 0);
            gate_wait_for_arrivals(&gate, 1);
            CHECK(loomp_submit(runtime, &queued.job) == 0);
            CHECK(loomp_submit(runtime, &refused.job) == -EAGAIN);
        }
        for (int i = 0; i < AFTER; i++) {
            recorded_init(&after[i], NULL);
            after[i].job.group = &own;
            after[i].job.kind = kind == 1 ? LOOMP_GANG : LOOMP_SERIAL;
            after[i].job.pool = kind == 2 ? loomp_pool_named(runtime, "blocking") : NULL;
            CHECK(loomp_group_then(&group, &after[i].job) == 0);
        }
        gate_open(&first_gate);
        CHECK(loomp_group_wait(&group, -1) == 0);
        gate_open(&gate);
        CHECK(loomp_group_wait(&own, -1) == 0);
        for (int i = 0; i < AFTER; i++) {
            CHECK(after[i].works == 1 && after[i].dones == 1);
        }
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct full {
    struct recorded_job waiter;
    struct recorded_job children[5];
    struct recorded_job stranger;
    loomp_group empty;
    loomp_runtime *runtime;
};

static int wait_with_full_queue(loomp_job *job)
{
    struct full *full = LOOMP_CONTAINER(job, struct full, waiter.job);
    loomp_group own;
    loomp_group_init(&own, full->runtime);
    recorded_init(&full->stranger, NULL);
    full->stranger.job.kind = job->kind;
    CHECK(loomp_submit(full->runtime, &full->stranger.job) == 0); /* the queue is full with it */
    for (int i = 0; i < 5; i++) {
        recorded_init(&full->children[i], NULL);
        full->children[i].job.group = &own;
        full->children[i].job.kind = job->kind;
        CHECK(loomp_group_then(&full->empty, &full->children[i].job) == 0);
    }
    int err = loomp_group_wait(&own, -1);
    CHECK(full->stranger.works == 0);
    return err;
}

TEST(who_waits_finds_what_did_not_fit_into_the_queue)
{
    static const char *const settings[] = {"queue_limit", "1", NULL};
    loomp_runtime *runtime = runtime_with(1, settings);
    if (!runtime) {
        return;
    }
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += LOOMP_GANG - LOOMP_SERIAL) {
        struct full full = {.runtime = runtime};
        loomp_group_init(&full.empty, runtime);
        recorded_init(&full.waiter, NULL);
        full.waiter.job.work = wait_with_full_queue;
        full.waiter.job.kind = kind;
        CHECK(loomp_submit(runtime, &full.waiter.job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(full.waiter.status == 0 && full.stranger.works == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(after_an_error_a_job_runs_unless_it_says_IF_OK)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int failed = 0; failed < 2; failed++) {
        for (int already = 0; already < 2; already++) {
            loomp_group group;
            loomp_group_init(&group, runtime);
            struct gate gate = GATE_INIT;
            struct recorded_job first, anyway, if_ok;
            recorded_init(&first, &gate);
            recorded_init(&anyway, NULL);
            recorded_init(&if_ok, NULL);
            first.job.group = &group;
            first.result = failed ? -EIO : 0;
            if_ok.job.flags = LOOMP_IF_OK;
            CHECK(loomp_submit(runtime, &first.job) == 0);
            if (already) {
                gate_open(&gate);
                CHECK(loomp_wait_idle(runtime, -1) == 0);
            }
            CHECK(loomp_group_then(&group, &anyway.job) == 0);
            CHECK(loomp_group_then(&group, &if_ok.job) == 0);
            gate_open(&gate);
            CHECK(loomp_wait_idle(runtime, -1) == 0);
            CHECK(anyway.works == 1 && anyway.status == 0);
            CHECK(if_ok.works == !failed && if_ok.dones == 1);
            CHECK(if_ok.status == (failed ? -ECANCELED : 0));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_that_waits_to_start_can_be_cancelled_alone_and_with_its_group)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group, own;
    loomp_group_init(&group, runtime);
    loomp_group_init(&own, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job first, alone, with_group, untouched;
    recorded_init(&first, &gate);
    recorded_init(&alone, NULL);
    recorded_init(&with_group, NULL);
    recorded_init(&untouched, NULL);
    first.job.group = &group;
    with_group.job.group = &own;
    CHECK(loomp_submit(runtime, &first.job) == 0);
    CHECK(loomp_group_then(&group, &alone.job) == 0);
    CHECK(loomp_group_then(&group, &with_group.job) == 0);
    CHECK(loomp_group_then(&group, &untouched.job) == 0);
    CHECK(loomp_cancel(&alone.job) == -EINPROGRESS);
    loomp_group_cancel(&own);
    CHECK(alone.dones == 0 && with_group.dones == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(alone.works == 0 && alone.dones == 1 && alone.status == -ECANCELED);
    CHECK(with_group.works == 0 && with_group.dones == 1 && with_group.status == -ECANCELED);
    CHECK(untouched.works == 1 && untouched.status == 0);
    CHECK(loomp_group_wait(&own, -1) == -ECANCELED);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(stop_now_discards_jobs_that_wait_to_start)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_group group;
    loomp_group_init(&group, runtime);
    struct gate gate = GATE_INIT;
    struct recorded_job first, after;
    recorded_init(&first, &gate);
    first.job.work = until_cancelled;
    recorded_init(&after, NULL);
    first.job.group = &group;
    CHECK(loomp_submit(runtime, &first.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_group_then(&group, &after.job) == 0);
    CHECK(loomp_stop_now(runtime) == 0);
    CHECK(after.works == 0 && after.dones == 1 && after.status == -ECANCELED);
}

TEST(a_group_may_be_freed_as_soon_as_the_job_after_it_starts)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job first, after;
    struct gate gate = GATE_INIT;
    for (int round = 1; round <= 500; round++) {
        loomp_group *group = malloc(sizeof *group);
        loomp_group_init(group, runtime);
        recorded_init(&first, NULL);
        recorded_init(&after, &gate);
        first.job.group = group;
        CHECK(loomp_submit(runtime, &first.job) == 0);
        CHECK(loomp_group_then(group, &after.job) == 0);
        gate_wait_for_arrivals(&gate, round);
        memset((void *)group, 0x5a, sizeof *group);
        free(group);
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
