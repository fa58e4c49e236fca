/* SPDX-License-Identifier: MIT */
/* Broadcasts from several plain threads and from jobs, among jobs of every kind: each reaches each
 * thread once, and each asynchronous one is told of once. LOOMP_TEST_JOBS: how many. */
#define SUITE "stress broadcast"
#include "../unit/patience.h"

#include <stdatomic.h>

enum { CASTERS = 3 };

static long broadcasts_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) / 20 + 30 : 1500;
}

struct cast {
    loomp_pool *pool;
    _Atomic int calls[MOST_WORKERS];
    _Atomic int dones;
    int first_error;
};

static int hear(int index, int count, void *arg)
{
    struct cast *cast = arg;
    if (!CHECK(index >= 0 && index < count && index < MOST_WORKERS)) {
        return 0;
    }
    CHECK(loomp_thread_index(cast->pool) == index);
    atomic_fetch_add(&cast->calls[index], 1);
    return index == cast->first_error ? -7 : 0;
}

static void told(loomp_pool *pool, int status, const int *results, int count, void *arg)
{
    struct cast *cast = arg;
    (void)pool;
    CHECK(status == (cast->first_error < count ? -7 : 0));
    for (int i = 0; i < count && i < MOST_WORKERS; i++) {
        CHECK(cast->calls[i] == 1 && results[i] == (i == cast->first_error ? -7 : 0));
    }
    atomic_fetch_add(&cast->dones, 1);
}

static _Atomic bool ended;
static _Atomic long others_ran;

/* Jobs of all kinds that come again until the broadcasts are over. */
static int other_work(loomp_job *job)
{
    (void)job;
    long sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < 10; i++) {
        sum += i;
    }
    CHECK(sum == 45);
    atomic_fetch_add(&others_ran, 1);
    return 0;
}

static void other_done(loomp_job *job, int status)
{
    CHECK(status == 0);
    if (!atomic_load(&ended)) {
        CHECK(loomp_submit(job->data, job) == 0);
    }
}

struct caster {
    pthread_t thread;
    loomp_runtime *runtime;
    long rounds;
};

static void *cast_often(void *arg)
{
    struct caster *caster = arg;
    loomp_pool *pool = compute_of(caster->runtime);
    int threads = loomp_pool_threads(pool);
    for (long round = 0; round < caster->rounds; round++) {
        struct cast cast = {.pool = pool, .first_error = (int)(round % (threads + 2))};
        int results[MOST_WORKERS];
        int expected = cast.first_error < threads ? -7 : 0;
        CHECK(loomp_broadcast(pool, hear, &cast, round % 2 ? results : NULL) == expected);
        for (int i = 0; i < threads; i++) {
            CHECK(cast.calls[i] == 1);
        }
    }
    return NULL;
}

static void start_others(loomp_runtime *runtime, loomp_job *others, int count)
{
    atomic_store(&ended, false);
    for (int i = 0; i < count; i++) {
        loomp_job_init(&others[i], other_work, other_done);
        others[i].kind = (uint32_t)i % 3;
        others[i].priority = i / 3 % 3 - 1;
        others[i].data = runtime;
        CHECK(loomp_submit(runtime, &others[i]) == 0);
    }
}

TEST(broadcasts_of_several_threads_reach_everybody_among_jobs_of_every_kind)
{
    /* Gangs that never cease would keep the places for ever. */
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.max_share", "0.5", NULL});
    static loomp_job others[9];
    struct caster casters[CASTERS];
    start_others(runtime, others, 9);
    for (int i = 0; i < CASTERS; i++) {
        casters[i].runtime = runtime;
        casters[i].rounds = broadcasts_in_all() / CASTERS;
        pthread_create(&casters[i].thread, NULL, cast_often, &casters[i]);
    }
    for (int i = 0; i < CASTERS; i++) {
        pthread_join(casters[i].thread, NULL);
    }
    atomic_store(&ended, true);
    expect_stop(runtime);
}

TEST(each_asynchronous_broadcast_is_told_of_once)
{
    enum { AT_ONCE = 50 };
    static struct cast casts[AT_ONCE];
    static loomp_job others[3];
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = compute_of(runtime);
    for (long round = 0; round < broadcasts_in_all() / AT_ONCE; round++) {
        start_others(runtime, others, 3);
        for (int i = 0; i < AT_ONCE; i++) {
            memset((void *)&casts[i], 0, sizeof casts[i]);
            casts[i].pool = pool;
            casts[i].first_error = i % 4;
            loomp_loop *home = i % 2 ? loomp_loop_at(runtime, 0) : NULL;
            CHECK(loomp_broadcast_async(pool, hear, &casts[i], home, told) == 0);
        }
        atomic_store(&ended, true);
        CHECK(loomp_wait_idle(runtime, 2 * PATIENCE_S) == 0);
        for (int i = 0; i < AT_ONCE; i++) {
            CHECK(casts[i].dones == 1);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
