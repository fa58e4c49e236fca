/* SPDX-License-Identifier: MIT */
/* The figures of a pool, exact at moments when nothing is under way. */
#define SUITE "pool stats"
#include "patience.h"

#include <stdatomic.h>

static struct loomp_pool_stats stats_of(loomp_pool *pool)
{
    struct loomp_pool_stats stats = {.size = sizeof stats};
    CHECK(loomp_pool_stats_read(pool, &stats) == 0);
    return stats;
}

enum { MOST_JOBS = 60 };

static struct recorded_job jobs[MOST_JOBS];

static void submit_jobs(loomp_runtime *runtime, int count, uint32_t kind, loomp_group *group)
{
    for (int i = 0; i < count; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.kind = kind;
        jobs[i].job.group = group;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
}

TEST(a_pool_begins_with_nothing_counted)
{
    loomp_runtime *runtime = runtime_under_test();
    struct loomp_pool_stats s = stats_of(compute_of(runtime));
    CHECK(s.threads == (uint64_t)loomp_pool_threads(compute_of(runtime)));
    CHECK(s.queued + s.queued_gangs + s.serial + s.tasks + s.gangs + s.gangs_narrowed + s.helped +
              s.stolen + s.relieved + s.withdrawn + s.expired + s.broadcasts == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(jobs_are_counted_by_their_kind)
{
    loomp_runtime *runtime = runtime_under_test();
    submit_jobs(runtime, 50, LOOMP_SERIAL, NULL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    submit_jobs(runtime, 30, LOOMP_TASKS, NULL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    submit_jobs(runtime, 20, LOOMP_GANG, NULL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct loomp_pool_stats s = stats_of(compute_of(runtime));
    CHECK(s.serial == 50 && s.tasks == 30 && s.gangs == 20);
    CHECK(s.queued == 0 && s.queued_gangs == 0 && s.withdrawn == 0 && s.gangs_narrowed == 0);
    if (s.serial != 50 || s.tasks != 30 || s.gangs != 20) {
        printf("    %d %d %d\n", (int)s.serial, (int)s.tasks, (int)s.gangs);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(the_blocking_pool_counts_too)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *blocking = loomp_pool_named(runtime, "blocking");
    for (int i = 0; i < 25; i++) {
        recorded_init(&jobs[i], NULL);
        CHECK(loomp_submit_blocking(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct loomp_pool_stats s = stats_of(blocking);
    CHECK(s.threads == (uint64_t)loomp_pool_threads(blocking));
    CHECK(s.serial == 25 && s.tasks == 0 && s.gangs == 0 && s.queued == 0);
    s = stats_of(compute_of(runtime));
    CHECK(s.serial == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(what_waits_and_what_is_withdrawn_is_counted)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    struct gate held = GATE_INIT;
    struct recorded_job holding[MOST_WORKERS];
    int workers = hold_all_workers(runtime, holding, &held);
    submit_jobs(runtime, 40, LOOMP_SERIAL, NULL);
    struct loomp_pool_stats s = stats_of(pool);
    CHECK(s.queued == 40 && s.serial == (uint64_t)workers && s.withdrawn == 0);
    for (int i = 10; i < 40; i++) {
        CHECK(loomp_cancel(&jobs[i].job) == 0);
    }
    s = stats_of(pool);
    CHECK(s.withdrawn == 30);
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    submit_jobs(runtime, 1, LOOMP_SERIAL, NULL); /* whoever takes it has passed those withdrawn */
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    s = stats_of(pool);
    CHECK(s.queued == 0 && s.serial == (uint64_t)workers + 11 && s.withdrawn == 30);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(gangs_and_tasks_jobs_that_wait_or_are_withdrawn_are_counted)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    struct gate held = GATE_INIT;
    struct recorded_job gang;
    hold_gang_team(runtime, &gang, &held);
    submit_jobs(runtime, 20, LOOMP_TASKS, NULL);
    for (int i = 20; i < 30; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.kind = LOOMP_GANG;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    struct loomp_pool_stats s = stats_of(pool);
    CHECK(s.queued_gangs == 30 && s.queued == 0);
    CHECK(loomp_cancel(&jobs[3].job) == 0 && loomp_cancel(&jobs[25].job) == 0);
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    s = stats_of(pool);
    CHECK(s.queued_gangs == 0 && s.tasks == 19 && s.gangs == 10 && s.withdrawn == 2);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- by whom ------------------------------------------------------------------------------------- */

static int submit_and_wait(loomp_job *job)
{
    loomp_group group;
    loomp_group_init(&group, loomp_current());
    submit_jobs(loomp_current(), 30, (uint32_t)(uintptr_t)job->data, &group);
    return loomp_group_wait(&group, -1);
}

TEST(jobs_run_by_a_thread_that_waits_for_them_are_helped)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    loomp_job waiter;
    loomp_job_init(&waiter, submit_and_wait, NULL);
    waiter.flags = LOOMP_MAY_WAIT;
    CHECK(loomp_submit(runtime, &waiter) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct loomp_pool_stats s = stats_of(compute_of(runtime));
    CHECK(s.serial == 31 && s.helped == 30 && s.stolen == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(gangs_inside_a_tasks_job_that_waits_for_them_are_narrowed)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_job waiter;
    loomp_job_init(&waiter, submit_and_wait, NULL);
    waiter.flags = LOOMP_MAY_WAIT;
    waiter.kind = LOOMP_TASKS;
    waiter.data = (void *)(uintptr_t)LOOMP_GANG;
    CHECK(loomp_submit(runtime, &waiter) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct loomp_pool_stats s = stats_of(compute_of(runtime));
    CHECK(s.tasks == 1 && s.gangs == 30 && s.gangs_narrowed == 30 && s.helped == 30);
    CHECK(loomp_stop(runtime) == 0);
}

static loomp_group stolen_group;

static int submit_and_stay(loomp_job *job)
{
    submit_jobs(loomp_current(), 20, LOOMP_SERIAL, &stolen_group);
    gate_pass(job->data);
    return 0;
}

TEST(jobs_taken_over_from_another_worker_are_stolen)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate held = GATE_INIT;
    loomp_job parent;
    loomp_group_init(&stolen_group, runtime);
    loomp_job_init(&parent, submit_and_stay, NULL);
    parent.data = &held;
    CHECK(loomp_submit(runtime, &parent) == 0);
    gate_wait_for_arrivals(&held, 1);
    CHECK(group_ends(&stolen_group));
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct loomp_pool_stats s = stats_of(compute_of(runtime));
    CHECK(s.serial == 21 && s.stolen == 20 && s.helped == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(jobs_run_beside_a_gang_that_has_all_places_are_relieved)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate held = GATE_INIT;
    struct recorded_job gang;
    loomp_group group;
    loomp_group_init(&group, runtime);
    hold_gang_team(runtime, &gang, &held);
    submit_jobs(runtime, 20, LOOMP_SERIAL, &group);
    CHECK(group_ends(&group));
    struct loomp_pool_stats s = stats_of(compute_of(runtime));
    CHECK(s.serial == 20 && s.relieved == 20);
    gate_open(&held);
    expect_stop(runtime);
}

static int nothing(int index, int count, void *arg)
{
    (void)index;
    (void)count;
    (void)arg;
    return 0;
}

TEST(broadcasts_are_counted_by_call_and_not_as_jobs)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    for (int i = 0; i < 7; i++) {
        CHECK(loomp_broadcast(pool, nothing, NULL, NULL) == 0);
    }
    struct loomp_pool_stats s = stats_of(pool);
    CHECK(s.broadcasts == 7 * (uint64_t)loomp_pool_threads(pool));
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- versions of the struct ---------------------------------------------------------------------- */

TEST(a_smaller_struct_of_an_older_caller_is_filled_as_far_as_it_goes)
{
    loomp_runtime *runtime = runtime_under_test();
    submit_jobs(runtime, 5, LOOMP_SERIAL, NULL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct loomp_pool_stats s;
    memset(&s, 0x5a, sizeof s);
    uint64_t untouched = s.tasks;
    s.size = offsetof(struct loomp_pool_stats, tasks);
    CHECK(loomp_pool_stats_read(compute_of(runtime), &s) == 0);
    CHECK(s.serial == 5 && s.tasks == untouched && s.broadcasts == untouched);
    CHECK(s.size == offsetof(struct loomp_pool_stats, tasks));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_larger_struct_of_a_newer_caller_is_taken)
{
    loomp_runtime *runtime = runtime_under_test();
    submit_jobs(runtime, 5, LOOMP_SERIAL, NULL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    struct {
        struct loomp_pool_stats known;
        uint64_t more[4];
    } s;
    memset(&s, 0, sizeof s);
    s.known.size = sizeof s;
    CHECK(loomp_pool_stats_read(compute_of(runtime), &s.known) == 0);
    CHECK(s.known.serial == 5 && s.more[0] == 0 && s.more[3] == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(without_a_pool_or_room_reading_is_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    struct loomp_pool_stats s = {.size = sizeof s};
    CHECK(loomp_pool_stats_read(NULL, &s) == -EINVAL);
    CHECK(loomp_pool_stats_read(compute_of(runtime), NULL) == -EINVAL);
    s.size = 0;
    CHECK(loomp_pool_stats_read(compute_of(runtime), &s) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
