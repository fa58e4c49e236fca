/* SPDX-License-Identifier: MIT */
/* Broadcasts: a function once on every thread of a pool, from everywhere, and what comes back. */
#define SUITE "broadcast"
#include "patience.h"

#include <omp.h>
#include <stdatomic.h>

/* What one broadcast did. */
struct heard {
    loomp_pool *pool;
    _Atomic int calls[MOST_WORKERS]; /* by index */
    _Atomic int wrong;
    _Atomic int total;
    int fail_from; /* from this index on the function fails with -100 - index; -1: nowhere */
    /* of the asynchronous form */
    _Atomic int dones;
    int status, count, first_result, done_index;
    loomp_loop *done_loop;
    struct gate told;
};

static void heard_init(struct heard *heard, loomp_pool *pool)
{
    memset((void *)heard, 0, sizeof *heard);
    heard->pool = pool;
    heard->fail_from = -1;
    gate_init(&heard->told);
}

static int hear(int index, int count, void *arg)
{
    struct heard *heard = arg;
    if (index < 0 || index >= MOST_WORKERS || count != loomp_pool_threads(heard->pool) ||
        loomp_thread_index(heard->pool) != index || omp_get_num_threads() != 1) {
        atomic_fetch_add(&heard->wrong, 1);
        return -1;
    }
    atomic_fetch_add(&heard->calls[index], 1);
    atomic_fetch_add(&heard->total, 1);
    return heard->fail_from >= 0 && index >= heard->fail_from ? -100 - index : 0;
}

static void told(loomp_pool *pool, int status, const int *results, int count, void *arg)
{
    struct heard *heard = arg;
    heard->status = status;
    heard->count = count;
    heard->first_result = results ? results[0] : 12345;
    heard->done_loop = loomp_loop_here();
    heard->done_index = loomp_thread_index(pool);
    atomic_fetch_add(&heard->dones, 1);
    gate_arrive(&heard->told);
}

static bool heard_everywhere(struct heard *heard)
{
    int threads = loomp_pool_threads(heard->pool);
    bool good = heard->wrong == 0 && heard->total == threads;
    for (int i = 0; i < threads && i < MOST_WORKERS; i++) {
        good = good && heard->calls[i] == 1;
    }
    return good;
}

/* ---- what it is ---------------------------------------------------------------------------------- */

TEST(the_function_runs_once_on_every_thread_with_its_index)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    for (int round = 0; round < 200; round++) {
        struct heard heard;
        heard_init(&heard, pool);
        CHECK(loomp_broadcast(pool, hear, &heard, NULL) == 0);
        CHECK(heard_everywhere(&heard));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(results_are_collected_and_the_error_of_the_lowest_index_is_returned)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    int threads = loomp_pool_threads(pool);
    for (int from = 0; from < threads; from++) {
        struct heard heard;
        int results[MOST_WORKERS];
        heard_init(&heard, pool);
        heard.fail_from = from;
        CHECK(loomp_broadcast(pool, hear, &heard, results) == -100 - from);
        for (int i = 0; i < threads; i++) {
            CHECK(results[i] == (i < from ? 0 : -100 - i));
        }
        CHECK(heard_everywhere(&heard));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(the_asynchronous_form_tells_a_loop_or_a_thread_of_the_pool)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    for (int round = 0; round < 100; round++) {
        struct heard heard;
        heard_init(&heard, pool);
        heard.fail_from = round % 3 == 0 ? 0 : -1;
        loomp_loop *home = round % 2 ? loop : NULL;
        CHECK(loomp_broadcast_async(pool, hear, &heard, home, told) == 0);
        CHECK(gate_reached(&heard.told, 1));
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(heard_everywhere(&heard) && heard.dones == 1);
        CHECK(heard.status == (round % 3 == 0 ? -100 : 0) && heard.first_result == heard.status);
        CHECK(heard.count == loomp_pool_threads(pool));
        CHECK(heard.done_loop == home);
        CHECK(home ? heard.done_index == -1 : heard.done_index >= 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_runtime_is_not_idle_while_a_broadcast_is_under_way)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate held = GATE_INIT;
    struct recorded_job holding[MOST_WORKERS];
    struct heard heard;
    hold_all_workers(runtime, holding, &held);
    heard_init(&heard, compute_of(runtime));
    CHECK(loomp_broadcast_async(heard.pool, hear, &heard, NULL, told) == 0);
    CHECK(!loomp_is_idle(runtime) && heard.total == 0);
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(heard.dones == 1 && heard_everywhere(&heard));
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- from where ---------------------------------------------------------------------------------- */

/* A job that broadcasts. */
struct caster {
    loomp_job job;
    struct gate *gate; /* passed first, or NULL */
    struct gate *begins; /* told just before it broadcasts, or NULL */
    struct heard heard;
    int answer;
};

static int cast(loomp_job *job)
{
    struct caster *caster = LOOMP_CONTAINER(job, struct caster, job);
    if (caster->gate) {
        gate_pass(caster->gate);
    }
    if (caster->begins) {
        gate_arrive(caster->begins);
    }
    caster->answer = loomp_broadcast(caster->heard.pool, hear, &caster->heard, NULL);
    return 0;
}

static void caster_init(struct caster *caster, loomp_runtime *runtime, uint32_t kind)
{
    memset((void *)caster, 0, sizeof *caster);
    heard_init(&caster->heard, compute_of(runtime));
    loomp_job_init(&caster->job, cast, NULL);
    caster->job.kind = kind;
    caster->job.flags = LOOMP_MAY_WAIT;
    caster->answer = 12345;
}

TEST(a_job_may_broadcast)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 100; round++) {
        struct caster caster;
        caster_init(&caster, runtime, LOOMP_SERIAL);
        CHECK(loomp_submit(runtime, &caster.job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(caster.answer == 0 && heard_everywhere(&caster.heard));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(all_workers_may_broadcast_at_once)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(compute_of(runtime));
    static struct caster casters[MOST_WORKERS];
    for (int round = 0; round < 50; round++) {
        struct gate gate = GATE_INIT;
        for (int i = 0; i < workers; i++) {
            caster_init(&casters[i], runtime, LOOMP_SERIAL);
            casters[i].gate = &gate;
            CHECK(loomp_submit(runtime, &casters[i].job) == 0);
        }
        gate_wait_for_arrivals(&gate, workers);
        gate_open(&gate);
        if (!CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0)) {
            break;
        }
        for (int i = 0; i < workers; i++) {
            CHECK(casters[i].answer == 0 && heard_everywhere(&casters[i].heard));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_job_that_broadcasts_beside_a_gang_gets_its_answer_after_the_gang)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 20; round++) {
        struct gate held = GATE_INIT, begins = GATE_INIT;
        struct recorded_job gang;
        struct caster caster;
        hold_gang_team(runtime, &gang, &held);
        caster_init(&caster, runtime, LOOMP_SERIAL);
        caster.begins = &begins;
        CHECK(loomp_submit(runtime, &caster.job) == 0);
        CHECK(gate_reached(&begins, 1)); /* by relief */
        gate_open(&held);
        if (!CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0)) {
            break;
        }
        CHECK(caster.answer == 0 && heard_everywhere(&caster.heard));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_gang_may_broadcast_at_its_top_level)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 20; round++) {
        struct caster caster;
        caster_init(&caster, runtime, LOOMP_GANG);
        CHECK(loomp_submit(runtime, &caster.job) == 0);
        if (!CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0)) {
            break;
        }
        CHECK(caster.answer == 0 && heard_everywhere(&caster.heard));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_tasks_job_that_broadcasts_is_answered_or_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    struct caster caster;
    caster_init(&caster, runtime, LOOMP_TASKS);
    CHECK(loomp_submit(runtime, &caster.job) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(caster.answer == -EDEADLK || (caster.answer == 0 && heard_everywhere(&caster.heard)));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_pool_of_ones_own_is_reached_from_a_job_of_another)
{
    loomp_runtime *runtime = runtime_under_test();
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    options.threads = 2;
    loomp_pool *pool = NULL;
    if (CHECK(loomp_pool_open(runtime, "own", &options, &pool) == 0)) {
        struct caster caster;
        caster_init(&caster, runtime, LOOMP_SERIAL);
        heard_init(&caster.heard, pool);
        CHECK(loomp_submit(runtime, &caster.job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(caster.answer == 0 && heard_everywhere(&caster.heard));
        CHECK(loomp_pool_close(pool) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- refused ------------------------------------------------------------------------------------- */

static void cast_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct heard *heard = arg;
    CHECK(loomp_broadcast(heard->pool, hear, heard, NULL) == -EDEADLK);
}

static int cast_in_region(loomp_job *job)
{
    struct heard *heard = job->data;
#pragma omp parallel
    CHECK(loomp_broadcast(heard->pool, hear, heard, NULL) == -EDEADLK);
    return 0;
}

static int cast_inside(int index, int count, void *arg)
{
    (void)index;
    (void)count;
    struct heard *heard = arg;
    return loomp_broadcast(heard->pool, hear, heard, NULL);
}

TEST(where_it_could_not_wait_a_broadcast_is_refused)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct heard heard;
    heard_init(&heard, compute_of(runtime));
    on_loop(loomp_loop_at(runtime, 0), cast_on_loop, &heard);
    loomp_job gang;
    loomp_job_init(&gang, cast_in_region, NULL);
    gang.kind = LOOMP_GANG;
    gang.data = &heard;
    CHECK(loomp_submit(runtime, &gang) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(loomp_broadcast(heard.pool, cast_inside, &heard, NULL) == -EDEADLK);
    CHECK(heard.total == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(bad_arguments_and_blocking_pools_are_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    struct heard heard;
    heard_init(&heard, compute_of(runtime));
    loomp_pool *blocking = loomp_pool_named(runtime, "blocking");
    CHECK(loomp_broadcast(NULL, hear, &heard, NULL) == -EINVAL);
    CHECK(loomp_broadcast(heard.pool, NULL, &heard, NULL) == -EINVAL);
    CHECK(loomp_broadcast(blocking, hear, &heard, NULL) == -EINVAL);
    CHECK(strstr(loomp_error(), "blocking") != NULL);
    CHECK(loomp_broadcast_async(NULL, hear, &heard, NULL, told) == -EINVAL);
    CHECK(loomp_broadcast_async(heard.pool, NULL, &heard, NULL, told) == -EINVAL);
    CHECK(loomp_broadcast_async(heard.pool, hear, &heard, NULL, NULL) == -EINVAL);
    CHECK(loomp_broadcast_async(blocking, hear, &heard, NULL, told) == -EINVAL);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(heard.total == 0 && heard.dones == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(after_shutdown_a_broadcast_from_outside_is_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate held = GATE_INIT;
    struct recorded_job holding[MOST_WORKERS];
    struct heard before, after;
    hold_all_workers(runtime, holding, &held);
    heard_init(&before, compute_of(runtime));
    heard_init(&after, compute_of(runtime));
    CHECK(loomp_broadcast_async(before.pool, hear, &before, loomp_loop_at(runtime, 0), told) == 0);
    CHECK(loomp_shutdown(runtime) == 0);
    CHECK(loomp_broadcast(after.pool, hear, &after, NULL) == -ESHUTDOWN);
    CHECK(loomp_broadcast_async(after.pool, hear, &after, NULL, told) == -ESHUTDOWN);
    gate_open(&held);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(before.dones == 1 && before.total == before.count);
    CHECK(after.dones == 0 && after.total == 0);
}

TEST(stop_now_ends_a_broadcast_that_waits_exactly_once)
{
    for (int round = 0; round < 10; round++) {
        loomp_runtime *runtime = runtime_under_test();
        struct heard heard;
        heard_init(&heard, compute_of(runtime));
        CHECK(loomp_broadcast_async(heard.pool, hear, &heard, NULL, told) == 0);
        CHECK(loomp_stop_now(runtime) == 0);
        CHECK(heard.dones == 1);
    }
}

/* ---- order --------------------------------------------------------------------------------------- */

static _Atomic int begun;
static struct recorded_job local[3], outside;
static int broadcast_order;

static int submit_three(loomp_job *job)
{
    gate_pass(job->data);
    for (int i = 0; i < 3; i++) {
        CHECK(loomp_submit(loomp_current(), &local[i].job) == 0);
    }
    return 0;
}

static int note_order(int index, int count, void *arg)
{
    (void)index;
    (void)count;
    (void)arg;
    broadcast_order = atomic_fetch_add(&begun, 1);
    return 0;
}

TEST(a_thread_hears_after_its_own_jobs_and_before_it_looks_for_others)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    struct gate held = GATE_INIT;
    struct heard heard;
    loomp_job parent;
    begun = 0;
    for (int i = 0; i < 3; i++) {
        recorded_init(&local[i], NULL);
        local[i].begun = &begun;
    }
    recorded_init(&outside, NULL);
    outside.begun = &begun;
    loomp_job_init(&parent, submit_three, NULL);
    parent.data = &held;
    CHECK(loomp_submit(runtime, &parent) == 0);
    gate_wait_for_arrivals(&held, 1);
    CHECK(loomp_submit(runtime, &outside.job) == 0);
    heard_init(&heard, compute_of(runtime));
    CHECK(loomp_broadcast_async(heard.pool, note_order, &heard, NULL, told) == 0);
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(local[i].order < 3);
    }
    CHECK(broadcast_order == 3 && outside.order == 4);
    CHECK(loomp_stop(runtime) == 0);
}

static _Atomic bool end_chain;
static struct link {
    loomp_job job;
    struct link *next;
} chain[3];
static _Atomic long links_ran;

static int link_work(loomp_job *job)
{
    struct link *link = LOOMP_CONTAINER(job, struct link, job);
    atomic_fetch_add(&links_ran, 1);
    if (!atomic_load(&end_chain)) {
        CHECK(loomp_submit(loomp_current(), &link->next->job) == 0);
    }
    return 0;
}

TEST(a_broadcast_comes_through_though_jobs_submit_jobs_without_end)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    atomic_store(&end_chain, false);
    for (int i = 0; i < 3; i++) {
        loomp_job_init(&chain[i].job, link_work, NULL);
        chain[i].next = &chain[(i + 1) % 3];
    }
    CHECK(loomp_submit(runtime, &chain[0].job) == 0);
    struct heard heard;
    heard_init(&heard, compute_of(runtime));
    CHECK(loomp_broadcast_async(heard.pool, hear, &heard, NULL, told) == 0);
    CHECK(gate_reached(&heard.told, 1));
    atomic_store(&end_chain, true);
    expect_stop(runtime);
}

/* ---- a job that waits ---------------------------------------------------------------------------- */

static int wait_for_blocking_job(loomp_job *job)
{
    struct recorded_job *blocked = job->data;
    loomp_group group;
    loomp_group_init(&group, loomp_current());
    blocked->job.group = &group;
    CHECK(loomp_submit_blocking(loomp_current(), &blocked->job) == 0);
    return loomp_group_wait(&group, -1);
}

TEST(a_thread_whose_job_waits_for_a_group_hears_a_broadcast_meanwhile)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(compute_of(runtime));
    struct gate held = GATE_INIT;
    static struct recorded_job blocked[MOST_WORKERS];
    static loomp_job waiting[MOST_WORKERS];
    for (int i = 0; i < workers; i++) {
        recorded_init(&blocked[i], &held);
        loomp_job_init(&waiting[i], wait_for_blocking_job, NULL);
        waiting[i].data = &blocked[i];
        waiting[i].flags = LOOMP_MAY_WAIT;
        CHECK(loomp_submit(runtime, &waiting[i]) == 0);
    }
    gate_wait_for_arrivals(&held, 1);
    struct heard heard;
    heard_init(&heard, compute_of(runtime));
    CHECK(loomp_broadcast_async(heard.pool, hear, &heard, NULL, told) == 0);
    CHECK(gate_reached(&heard.told, 1));
    gate_open(&held);
    expect_stop(runtime);
    CHECK(heard.dones == 1 && heard.wrong == 0);
}

/* ---- jobs out of it ------------------------------------------------------------------------------ */

static _Atomic int from_broadcast;

static int count_work(loomp_job *job)
{
    (void)job;
    atomic_fetch_add(&from_broadcast, 1);
    return 0;
}

static int submit_one(int index, int count, void *arg)
{
    (void)count;
    loomp_job *jobs = arg;
    loomp_job_init(&jobs[index], count_work, NULL);
    jobs[index].kind = (uint32_t)index % 3;
    return loomp_submit(loomp_current(), &jobs[index]);
}

TEST(the_function_may_submit_jobs)
{
    loomp_runtime *runtime = runtime_under_test();
    static loomp_job jobs[MOST_WORKERS];
    for (int round = 0; round < 50; round++) {
        from_broadcast = 0;
        CHECK(loomp_broadcast(compute_of(runtime), submit_one, jobs, NULL) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(from_broadcast == loomp_pool_threads(compute_of(runtime)));
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
