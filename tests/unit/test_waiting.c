/* SPDX-License-Identifier: MIT */
/* Every pair of waiter and waited-for among SERIAL, GANG, install and plain threads comes to its end,
 * with any number of workers. A pair that does not is a hang, which the driver's limit ends. */
#define SUITE "waiting"
#include "recorded_job.h"

#include <errno.h>
#include <stdatomic.h>

enum { CHILDREN = 8 };

enum kind { SERIAL, GANG, INSTALL, BLOCKING };

struct pair {
    loomp_job job; /* the waiter */
    loomp_runtime *runtime;
    enum kind child;
    int result;
    _Atomic int children_ran;
    bool region_first; /* a GANG waiter has had a region before it waits */
};

static int child_region(void *arg)
{
    struct pair *pair = arg;
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    atomic_fetch_add(&pair->children_ran, members > 0);
    return 0;
}

static int child_work(loomp_job *job)
{
    struct pair *pair = job->data;
    if (job->kind == LOOMP_GANG) {
        return child_region(pair);
    }
    atomic_fetch_add(&pair->children_ran, 1);
    return 0;
}

static int wait_for_children(struct pair *pair)
{
    if (pair->child == INSTALL) {
        int err = 0;
        for (int i = 0; i < CHILDREN && !err; i++) {
            err = loomp_install(pair->runtime, child_region, pair);
        }
        return err;
    }
    loomp_job jobs[CHILDREN];
    loomp_group group;
    loomp_group_init(&group, pair->runtime);
    for (int i = 0; i < CHILDREN; i++) {
        loomp_job_init(&jobs[i], child_work, NULL);
        jobs[i].group = &group;
        jobs[i].kind = pair->child == GANG ? LOOMP_GANG : LOOMP_SERIAL;
        jobs[i].data = pair;
        CHECK((pair->child == BLOCKING ? loomp_submit_blocking : loomp_submit)(
                  pair->runtime, &jobs[i]) == 0);
    }
    return loomp_group_wait(&group, -1);
}

static int waiter_work(loomp_job *job)
{
    struct pair *pair = LOOMP_CONTAINER(job, struct pair, job);
    int before = 0, after = 0;
    if (job->kind == LOOMP_GANG) {
#pragma omp parallel reduction(+ : before)
        before += 1;
    }
    pair->result = wait_for_children(pair);
    if (job->kind == LOOMP_GANG) {
#pragma omp parallel reduction(+ : after)
        after += 1;
    }
    CHECK(before == after);
    return 0;
}

static int waiter_installed(void *arg)
{
    struct pair *pair = arg;
    pair->result = wait_for_children(pair);
    return 0;
}

static void run_pair(enum kind waiter, enum kind child)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 20; round++) {
        struct pair pairs[4] = {0};
        for (int i = 0; i < 4; i++) {
            struct pair *pair = &pairs[i];
            pair->runtime = runtime;
            pair->child = child;
            loomp_job_init(&pair->job, waiter_work, NULL);
            pair->job.flags = LOOMP_MAY_WAIT;
            if (waiter == INSTALL) {
                CHECK(loomp_install(runtime, waiter_installed, pair) == 0);
            } else if (waiter == BLOCKING) {
                CHECK(loomp_submit_blocking(runtime, &pair->job) == 0);
            } else {
                pair->job.kind = waiter == GANG ? LOOMP_GANG : LOOMP_SERIAL;
                CHECK(loomp_submit(runtime, &pair->job) == 0);
            }
        }
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        for (int i = 0; i < 4; i++) {
            CHECK(pairs[i].result == 0 && pairs[i].children_ran == CHILDREN);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(serial_jobs_wait_for_serial_jobs)
{
    run_pair(SERIAL, SERIAL);
}

TEST(serial_jobs_wait_for_gangs)
{
    run_pair(SERIAL, GANG);
}

TEST(serial_jobs_install)
{
    run_pair(SERIAL, INSTALL);
}

TEST(serial_jobs_wait_for_blocking_jobs)
{
    run_pair(SERIAL, BLOCKING);
}

TEST(gangs_wait_for_serial_jobs)
{
    run_pair(GANG, SERIAL);
}

TEST(gangs_wait_for_gangs)
{
    run_pair(GANG, GANG);
}

TEST(gangs_install)
{
    run_pair(GANG, INSTALL);
}

TEST(gangs_wait_for_blocking_jobs)
{
    run_pair(GANG, BLOCKING);
}

TEST(installed_functions_wait_for_serial_jobs)
{
    run_pair(INSTALL, SERIAL);
}

TEST(installed_functions_wait_for_gangs)
{
    run_pair(INSTALL, GANG);
}

TEST(installed_functions_install)
{
    run_pair(INSTALL, INSTALL);
}

TEST(blocking_jobs_wait_for_serial_jobs)
{
    run_pair(BLOCKING, SERIAL);
}

TEST(blocking_jobs_wait_for_gangs)
{
    run_pair(BLOCKING, GANG);
}

TEST(blocking_jobs_install)
{
    run_pair(BLOCKING, INSTALL);
}

/* A job of the group that comes only when every worker already waits for it. */
struct late {
    loomp_job waiter;
    loomp_job first;  /* on the blocking pool: submits the second when the waiter sleeps */
    loomp_job second; /* on the waiter's own team */
    loomp_group group;
    loomp_runtime *runtime;
    _Atomic int ran;
};

static int second_work(loomp_job *job)
{
    atomic_fetch_add(&LOOMP_CONTAINER(job, struct late, second)->ran, 1);
    return 0;
}

static int state_of_worker(loomp_runtime *runtime, int role)
{
    struct loomp_thread_info threads[64];
    int count = loomp_threads(runtime, threads, 64);
    for (int i = 0; i < count && i < 64; i++) {
        if (threads[i].role == role) {
            return threads[i].state;
        }
    }
    return -1;
}

static int first_work(loomp_job *job)
{
    struct late *late = LOOMP_CONTAINER(job, struct late, first);
    int role = late->waiter.kind == LOOMP_GANG ? LOOMP_THREAD_GANG : LOOMP_THREAD_OMP;
    while (state_of_worker(late->runtime, role) != LOOMP_STATE_PAUSED) {
        sched_yield();
    }
    loomp_job_init(&late->second, second_work, NULL);
    late->second.group = &late->group;
    late->second.kind = late->waiter.kind;
    CHECK(loomp_submit(late->runtime, &late->second) == 0);
    return 0;
}

static int late_waiter(loomp_job *job)
{
    struct late *late = LOOMP_CONTAINER(job, struct late, waiter);
    loomp_job_init(&late->first, first_work, NULL);
    late->first.group = &late->group;
    CHECK(loomp_submit_blocking(late->runtime, &late->first) == 0);
    return loomp_group_wait(&late->group, -1);
}

static void run_late(uint32_t kind)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    for (int i = 0; i < 20; i++) {
        struct late late = {.runtime = runtime};
        loomp_group_init(&late.group, runtime);
        loomp_job_init(&late.waiter, late_waiter, NULL);
        late.waiter.kind = kind;
        CHECK(loomp_submit(runtime, &late.waiter) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(late.ran == 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_serial_job_that_comes_while_its_only_worker_waits_for_it_is_run_by_that_worker)
{
    run_late(LOOMP_SERIAL);
}

TEST(a_gang_that_comes_while_the_leader_waits_for_it_is_run_by_the_leader)
{
    run_late(LOOMP_GANG);
}

/* The only worker waits for a GANG that has no home and is cancelled before it starts: nobody else is
 * there to call its done. */
struct withdrawn {
    loomp_job waiter, holder, child;
    loomp_group group;
    loomp_runtime *runtime;
    struct gate held, submitted;
    bool whole_group;
    _Atomic int dones;
};

static int hold_the_leader(loomp_job *job)
{
    gate_pass(&LOOMP_CONTAINER(job, struct withdrawn, holder)->held);
    return 0;
}

static int never_work(loomp_job *job)
{
    (void)job;
    CHECK(false);
    return 0;
}

static void withdrawn_done(loomp_job *job, int status)
{
    CHECK(status == -ECANCELED);
    atomic_fetch_add(&LOOMP_CONTAINER(job, struct withdrawn, child)->dones, 1);
}

static int wait_for_withdrawn(loomp_job *job)
{
    struct withdrawn *self = LOOMP_CONTAINER(job, struct withdrawn, waiter);
    CHECK(loomp_submit(self->runtime, &self->child) == 0);
    gate_arrive(&self->submitted);
    CHECK(loomp_group_wait(&self->group, -1) == -ECANCELED);
    return 0;
}

TEST(a_worker_that_waits_calls_done_of_a_job_that_is_withdrawn_meanwhile)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    for (int i = 0; i < 20; i++) {
        struct withdrawn self = {.runtime = runtime, .whole_group = i % 2};
        gate_init(&self.held);
        gate_init(&self.submitted);
        loomp_group_init(&self.group, runtime);
        loomp_job_init(&self.waiter, wait_for_withdrawn, NULL);
        loomp_job_init(&self.holder, hold_the_leader, NULL);
        loomp_job_init(&self.child, never_work, withdrawn_done);
        self.holder.kind = self.child.kind = LOOMP_GANG;
        self.child.group = &self.group;
        CHECK(loomp_submit(runtime, &self.holder) == 0);
        gate_wait_for_arrivals(&self.held, 1);
        CHECK(loomp_submit(runtime, &self.waiter) == 0);
        gate_wait_for_arrivals(&self.submitted, 1);
        while (state_of_worker(runtime, LOOMP_THREAD_OMP) != LOOMP_STATE_PAUSED) {
            sched_yield();
        }
        if (self.whole_group) {
            loomp_group_cancel(&self.group);
        } else {
            CHECK(loomp_cancel(&self.child) == 0);
        }
        while (!self.dones) {
            sched_yield();
        }
        gate_open(&self.held);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int wait_in_region(loomp_job *job)
{
    struct pair *pair = LOOMP_CONTAINER(job, struct pair, job);
    loomp_group group;
    loomp_group_init(&group, pair->runtime);
    int result = 0;
#pragma omp parallel
#pragma omp single
    result = loomp_group_wait(&group, 0);
    pair->result = result;
    return 0;
}

TEST(waiting_inside_a_region_of_a_gang_is_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    struct pair pair = {.runtime = runtime};
    loomp_job_init(&pair.job, wait_in_region, NULL);
    pair.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &pair.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(pair.result == -EDEADLK);
    CHECK(loomp_stop(runtime) == 0);
}

static void install_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct pair *pair = arg;
    pair->result = loomp_install(pair->runtime, waiter_installed, pair);
}

TEST(install_on_a_loop_is_refused_with_a_reason)
{
    loomp_runtime *runtime = runtime_under_test();
    struct pair pair = {.runtime = runtime};
    CHECK(loomp_post(loomp_loop_at(runtime, 0), install_on_loop, &pair) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(pair.result == -EDEADLK);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- a job that goes on behind a gang -------------------------------------------------------------- */

static struct {
    struct gate started, held;
    loomp_group of_serial, of_blocking;
    loomp_job serial;
    struct recorded_job blocking;
    _Atomic bool enough;
} resumed;

static int resume_after_a_wait(loomp_job *job)
{
    (void)job;
    gate_arrive(&resumed.started);
    return loomp_group_wait(&resumed.of_blocking, -1);
}

static int wait_for_the_resumed(loomp_job *job)
{
    (void)job;
    CHECK(loomp_submit(loomp_current(), &resumed.serial) == 0);
    gate_wait_for_arrivals(&resumed.started, 1); /* on a worker, by relief */
    gate_open(&resumed.held);
    return loomp_group_wait(&resumed.of_serial, -1);
}

static void submit_again(loomp_job *job, int status)
{
    (void)status;
    if (!resumed.enough) {
        CHECK(loomp_submit(loomp_current(), job) == 0);
    }
}

static int do_nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

/* The gang has all places and waits for a job that has waited, and that needs the relief to go on, which
 * others could keep for ever. */
TEST(a_job_that_goes_on_behind_a_gang_gets_the_relief_although_others_never_end)
{
    enum { OTHERS = 4 };
    static loomp_job others[OTHERS];
    loomp_runtime *runtime = runtime_with(
        workers_under_test(), (const char *const[]){"gang.relief_us", "200", NULL});
    loomp_group all;
    loomp_job tasks;
    loomp_group_init(&all, runtime);
    loomp_group_init(&resumed.of_serial, runtime);
    loomp_group_init(&resumed.of_blocking, runtime);
    gate_init(&resumed.started);
    gate_init(&resumed.held);
    resumed.enough = false;
    recorded_init(&resumed.blocking, &resumed.held);
    resumed.blocking.job.group = &resumed.of_blocking;
    CHECK(loomp_submit_blocking(runtime, &resumed.blocking.job) == 0);
    loomp_job_init(&resumed.serial, resume_after_a_wait, NULL);
    resumed.serial.group = &resumed.of_serial;
    loomp_job_init(&tasks, wait_for_the_resumed, NULL);
    tasks.kind = LOOMP_TASKS;
    tasks.group = &all;
    CHECK(loomp_submit(runtime, &tasks) == 0);
    for (int i = 0; i < OTHERS; i++) {
        loomp_job_init(&others[i], do_nothing, submit_again);
        CHECK(loomp_submit(runtime, &others[i]) == 0);
    }
    CHECK(loomp_group_wait(&all, 60) == 0);
    resumed.enough = true;
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
