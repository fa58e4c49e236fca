/* SPDX-License-Identifier: MIT */
/* Priorities: what is more urgent starts first, and nothing waits for ever. */
#define SUITE "priorities"
#include "patience.h"

#include <sched.h>
#include <stdatomic.h>

static const int32_t urgency[] = {LOOMP_HIGH, LOOMP_NORMAL, LOOMP_LOW};

/* Eight jobs of each priority, submitted the least urgent first while everything is held; `slack`:
 * how many of a less urgent sort may have begun before the last of a more urgent one. */
static void check_rows(loomp_runtime *runtime, uint32_t kind, struct gate *held, int slack)
{
    enum { EACH = 8 };
    static struct recorded_job jobs[3][EACH];
    _Atomic int begun = 0;
    for (int row = 2; row >= 0; row--) {
        for (int i = 0; i < EACH; i++) {
            recorded_init(&jobs[row][i], NULL);
            jobs[row][i].job.kind = kind;
            jobs[row][i].job.priority = urgency[row];
            jobs[row][i].begun = &begun;
            CHECK(loomp_submit(runtime, &jobs[row][i].job) == 0);
        }
    }
    gate_open(held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int row = 0; row < 3; row++) {
        for (int i = 0; i < EACH; i++) {
            int order = jobs[row][i].order;
            if (!CHECK(order >= row * EACH - slack && order < (row + 1) * EACH + slack)) {
                printf("    priority %d: number %d\n", urgency[row], order);
            }
        }
    }
}

/* One worker: of two, one may be interrupted between taking a job and saying so. */
TEST(serial_jobs_start_by_priority)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    struct gate held = GATE_INIT;
    struct recorded_job holding[MOST_WORKERS];
    int workers = hold_all_workers(runtime, holding, &held);
    check_rows(runtime, LOOMP_SERIAL, &held, workers - 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(gangs_start_by_priority)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate held = GATE_INIT;
    struct recorded_job gang;
    hold_gang_team(runtime, &gang, &held);
    check_rows(runtime, LOOMP_GANG, &held, 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(tasks_jobs_start_by_priority)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    int workers = loomp_pool_threads(compute_of(runtime));
    struct gate held = GATE_INIT;
    struct recorded_job gang;
    hold_gang_team(runtime, &gang, &held);
    check_rows(runtime, LOOMP_TASKS, &held, workers - 1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_that_a_job_submits_with_high_priority_starts_before_what_waits)
{
    enum { BACKLOG = 20 };
    static struct recorded_job normal[BACKLOG];
    loomp_runtime *runtime = runtime_with(1, NULL);
    struct gate held = GATE_INIT;
    struct recorded_job first, high;
    _Atomic int begun = 0;
    hold_all_workers(runtime, &first, &held);
    for (int i = 0; i < BACKLOG; i++) {
        recorded_init(&normal[i], NULL);
        normal[i].begun = &begun;
        CHECK(loomp_submit(runtime, &normal[i].job) == 0);
    }
    recorded_init(&high, NULL);
    high.begun = &begun;
    high.job.priority = LOOMP_HIGH;
    CHECK(loomp_submit(runtime, &high.job) == 0);
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(high.order == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- a large backlog ----------------------------------------------------------------------------- */

enum { BACKLOG = 100000, ROUNDS = 200 };

static struct gate *_Atomic stop_at; /* where every NORMAL job that starts has to stop */
static _Atomic int normal_begun;

static int normal_work(loomp_job *job)
{
    (void)job;
    struct gate *gate = atomic_load(&stop_at);
    atomic_fetch_add(&normal_begun, 1);
    if (gate) {
        gate_pass(gate);
    }
    return 0;
}

/* What an urgent job saw when it started. */
struct urgent {
    loomp_job job;
    int at_start;
};

static int urgent_work(loomp_job *job)
{
    struct urgent *urgent = LOOMP_CONTAINER(job, struct urgent, job);
    urgent->at_start = atomic_load(&normal_begun);
    return 0;
}

/* In each round all workers are in the middle of a NORMAL job, an urgent one comes, and they go on:
 * each as far as the next NORMAL job that it takes. */
TEST(under_a_backlog_of_100000_jobs_an_urgent_one_starts_next)
{
    static loomp_job jobs[BACKLOG];
    static struct urgent urgent[ROUNDS];
    static struct gate gates[ROUNDS + 1];
    int before[ROUNDS];
    loomp_runtime *runtime = runtime_with(workers_under_test(),
                                          (const char *const[]){"queue_limit", "200000", NULL});
    int workers = loomp_pool_threads(compute_of(runtime));
    normal_begun = 0;
    gate_init(&gates[0]);
    atomic_store(&stop_at, &gates[0]);
    for (int i = 0; i < BACKLOG; i++) {
        loomp_job_init(&jobs[i], normal_work, NULL);
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        gate_wait_for_arrivals(&gates[round], workers);
        before[round] = atomic_load(&normal_begun);
        loomp_job_init(&urgent[round].job, urgent_work, NULL);
        urgent[round].job.priority = LOOMP_HIGH;
        CHECK(loomp_submit(runtime, &urgent[round].job) == 0);
        gate_init(&gates[round + 1]);
        atomic_store(&stop_at, round + 1 < ROUNDS ? &gates[round + 1] : NULL);
        gate_open(&gates[round]);
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int round = 0; round + 1 < ROUNDS; round++) {
        /* One that each other worker takes at the same time; once in a while it is the turn of the
         * less urgent first. */
        int others = urgent[round].at_start - before[round];
        if (!CHECK(others >= 0 && others <= 2 * workers)) {
            printf("    round %d: %d others started first\n", round, others);
        }
    }
    CHECK(normal_begun == BACKLOG);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- nobody starves ------------------------------------------------------------------------------ */

struct endless {
    loomp_job job;
    loomp_runtime *runtime;
    bool in_work; /* submits another in its work, not itself in done */
    struct endless *other;
};

static _Atomic bool end_all;
static _Atomic long endless_ran;

static int endless_work(loomp_job *job)
{
    struct endless *endless = LOOMP_CONTAINER(job, struct endless, job);
    atomic_fetch_add(&endless_ran, 1);
    if (endless->in_work && !atomic_load(&end_all)) {
        while (loomp_submit(endless->runtime, &endless->other->job) == -EBUSY) {
            sched_yield();
        }
    }
    return 0;
}

static void endless_done(loomp_job *job, int status)
{
    struct endless *endless = LOOMP_CONTAINER(job, struct endless, job);
    (void)status;
    if (!endless->in_work && !atomic_load(&end_all)) {
        CHECK(loomp_submit(endless->runtime, job) == 0);
    }
}

enum { ENDLESS = 8 };

static void start_endless(loomp_runtime *runtime, struct endless *endless, uint32_t kind,
                          int32_t priority, bool in_work)
{
    atomic_store(&end_all, false);
    atomic_store(&endless_ran, 0);
    for (int i = 0; i < 2 * ENDLESS; i++) {
        memset((void *)&endless[i], 0, sizeof endless[i]);
        loomp_job_init(&endless[i].job, endless_work, endless_done);
        endless[i].job.kind = kind;
        endless[i].job.priority = priority;
        endless[i].runtime = runtime;
        endless[i].in_work = in_work;
        endless[i].other = &endless[(i + ENDLESS) % (2 * ENDLESS)];
    }
    for (int i = 0; i < ENDLESS; i++) {
        CHECK(loomp_submit(runtime, &endless[i].job) == 0);
    }
}

/* Whether jobs of one priority, submitted by this thread, end while those of another never do. */
static void comes_through(int workers, uint32_t kind, int32_t priority, int32_t others, bool in_work)
{
    static struct endless endless[2 * ENDLESS];
    loomp_runtime *runtime = runtime_with(workers, NULL);
    start_endless(runtime, endless, kind, others, in_work);
    for (int round = 0; round < 20; round++) {
        long before = atomic_load(&endless_ran);
        while (atomic_load(&endless_ran) < before + 20) {
            sched_yield();
        }
        struct recorded_job jobs[3];
        loomp_group group;
        loomp_group_init(&group, runtime);
        for (int i = 0; i < 3; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.kind = kind;
            jobs[i].job.priority = priority;
            jobs[i].job.group = &group;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        if (!CHECK(group_ends(&group))) {
            atomic_store(&end_all, true);
            break;
        }
    }
    atomic_store(&end_all, true);
    expect_stop(runtime);
}

TEST(low_jobs_end_under_endless_high_load)
{
    comes_through(workers_under_test(), LOOMP_SERIAL, LOOMP_LOW, LOOMP_HIGH, false);
}

TEST(low_jobs_end_under_endless_normal_load)
{
    comes_through(workers_under_test(), LOOMP_SERIAL, LOOMP_LOW, LOOMP_NORMAL, false);
}

TEST(normal_jobs_end_under_endless_high_load)
{
    comes_through(workers_under_test(), LOOMP_SERIAL, LOOMP_NORMAL, LOOMP_HIGH, false);
}

TEST(low_jobs_end_under_high_jobs_that_jobs_submit_without_end)
{
    comes_through(workers_under_test(), LOOMP_SERIAL, LOOMP_LOW, LOOMP_HIGH, true);
}

TEST(low_gangs_end_under_endless_high_gangs)
{
    comes_through(workers_under_test(), LOOMP_GANG, LOOMP_LOW, LOOMP_HIGH, false);
}

TEST(low_tasks_jobs_end_under_endless_high_tasks_jobs)
{
    comes_through(workers_under_test(), LOOMP_TASKS, LOOMP_LOW, LOOMP_HIGH, false);
}

TEST(a_plain_threads_jobs_end_although_jobs_of_their_priority_submit_others_without_end)
{
    comes_through(workers_under_test(), LOOMP_SERIAL, LOOMP_NORMAL, LOOMP_NORMAL, true);
}

static struct recorded_job forgotten;
static loomp_group forgotten_group;

static int forget_one(loomp_job *job)
{
    struct endless *endless = LOOMP_CONTAINER(job, struct endless, job);
    recorded_init(&forgotten, NULL);
    forgotten.job.group = &forgotten_group;
    CHECK(loomp_submit(endless->runtime, &forgotten.job) == 0);
    return endless_work(job);
}

TEST(the_oldest_job_of_a_worker_ends_although_newer_ones_come_without_end)
{
    static struct endless endless[2];
    loomp_runtime *runtime = runtime_with(1, NULL);
    atomic_store(&end_all, false);
    loomp_group_init(&forgotten_group, runtime);
    for (int i = 0; i < 2; i++) {
        memset((void *)&endless[i], 0, sizeof endless[i]);
        loomp_job_init(&endless[i].job, i == 0 ? forget_one : endless_work, endless_done);
        endless[i].runtime = runtime;
        endless[i].in_work = true;
        endless[i].other = &endless[1 - i];
    }
    static struct endless third;
    third = endless[1];
    third.other = &endless[1];
    endless[1].other = &third;
    struct gate held = GATE_INIT;
    struct recorded_job holding;
    hold_all_workers(runtime, &holding, &held);
    loomp_group first;
    loomp_group_init(&first, runtime);
    endless[0].job.group = &first;
    CHECK(loomp_submit(runtime, &endless[0].job) == 0);
    gate_open(&held);
    CHECK(group_ends(&first));
    CHECK(group_ends(&forgotten_group));
    atomic_store(&end_all, true);
    expect_stop(runtime);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
