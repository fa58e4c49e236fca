/* SPDX-License-Identifier: MIT */
/* Plain threads open pools, submit to them and close them, all at once, while others ask what there
 * is and compute works; every job is counted. LOOMP_TEST_JOBS makes it shorter. */
#define SUITE "stress pools"
#include "../unit/gate.h"

#include <loomp/pool.h>

#include <errno.h>
#include <stdatomic.h>

enum {
    OPENERS = 3,
    JOBS = 16
};

static int rounds(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    long jobs = text ? atol(text) : 2000000;
    return jobs >= 2000000 ? 100 : jobs < 200000 ? 10 : (int)(jobs / 20000);
}

static _Atomic long works, dones;
static _Atomic bool over;

static int count_work(loomp_job *job)
{
    if (job->kind == LOOMP_GANG) {
#pragma omp parallel
        atomic_thread_fence(memory_order_relaxed);
    }
    atomic_fetch_add(&works, 1);
    return 0;
}

static void count_done(loomp_job *job, int status)
{
    (void)job;
    CHECK(status == 0);
    atomic_fetch_add(&dones, 1);
}

/* Brings another job to its own pool, which may be closing. */
struct bringer {
    loomp_job job;
    loomp_job brought;
    _Atomic int err;
};

static int bring(loomp_job *job)
{
    struct bringer *bringer = LOOMP_CONTAINER(job, struct bringer, job);
    atomic_store(&bringer->err, loomp_submit(loomp_default(), &bringer->brought));
    return count_work(job);
}

struct opener {
    pthread_t thread;
    loomp_runtime *runtime;
    int index;
    long expected; /* jobs that were taken */
};

static void fill(struct opener *opener, loomp_pool *pool, bool blocking, loomp_job *jobs,
                 struct bringer *bringer)
{
    for (int i = 0; i < JOBS; i++) {
        loomp_job_init(&jobs[i], count_work, count_done);
        jobs[i].pool = pool;
        jobs[i].kind = !blocking && i % 4 == 3 ? LOOMP_GANG : LOOMP_SERIAL;
        jobs[i].home = i % 3 ? NULL : loomp_loop_at(opener->runtime, 0);
        jobs[i].flags = i % 5 ? 0 : LOOMP_UNTRACKED;
        CHECK(loomp_submit(opener->runtime, &jobs[i]) == 0);
        opener->expected++;
    }
    loomp_job_init(&bringer->job, bring, count_done);
    loomp_job_init(&bringer->brought, count_work, count_done);
    bringer->job.pool = bringer->brought.pool = pool;
    CHECK(loomp_submit(opener->runtime, &bringer->job) == 0);
    opener->expected += 2;
}

static void *open_and_close(void *arg)
{
    struct opener *opener = (struct opener *)arg;
    for (int round = 0; round < rounds(); round++) {
        loomp_job jobs[JOBS];
        struct bringer bringer = {.err = 1};
        struct loomp_pool_options options;
        char name[16];
        snprintf(name, sizeof name, "pool-%d", opener->index);
        loomp_pool_options_init(&options);
        options.blocking = (round + opener->index) % 3 == 0;
        options.threads = 1 + (uint32_t)round % 3;
        loomp_pool *pool = NULL;
        if (!CHECK(loomp_pool_open(opener->runtime, name, &options, &pool) == 0)) {
            printf("%s\n", loomp_error());
            break;
        }
        CHECK(loomp_pool_named(opener->runtime, name) == pool);
        fill(opener, pool, options.blocking, jobs, &bringer);
        CHECK(loomp_pool_close(pool) == 0);
        CHECK(atomic_load(&bringer.err) == 0);
        CHECK(loomp_pool_named(opener->runtime, name) == NULL);
    }
    return NULL;
}

/* Asks for everything there is, all the time. */
static void *ask(void *arg)
{
    loomp_runtime *runtime = (loomp_runtime *)arg;
    enum {
        MOST = 128
    };
    static struct loomp_thread_info infos[MOST];
    FILE *nowhere = fopen("/dev/null", "w");
    while (!atomic_load(&over)) {
        loomp_pool_named(runtime, "pool-1");
        CHECK(loomp_pool_named(runtime, "kept") != NULL);
        CHECK(loomp_threads(runtime, infos, MOST) > 0);
        loomp_describe(runtime, nowhere);
    }
    fclose(nowhere);
    return NULL;
}

/* The same name by several at once: one gets it. */
static void *fight_for_a_name(void *arg)
{
    loomp_runtime *runtime = (loomp_runtime *)arg;
    for (int round = 0; round < rounds(); round++) {
        struct loomp_pool_options options;
        loomp_pool_options_init(&options);
        options.blocking = 1;
        loomp_pool *pool = NULL;
        int err = loomp_pool_open(runtime, "wanted", &options, &pool);
        CHECK(err == 0 || err == -EEXIST);
        if (!err) {
            CHECK(loomp_pool_close(pool) == 0);
        }
    }
    return NULL;
}

TEST(pools_come_and_go_at_once_and_no_job_is_lost)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(),
        (const char *const[]){"pools.kept.blocking", "true", "log.level", "none", NULL});
    if (!runtime) {
        return;
    }
    struct opener openers[OPENERS];
    pthread_t asker, fighters[2];
    long expected = 0;
    atomic_store(&works, 0);
    atomic_store(&dones, 0);
    atomic_store(&over, false);
    CHECK(pthread_create(&asker, NULL, ask, runtime) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&fighters[i], NULL, fight_for_a_name, runtime) == 0);
    }
    for (int i = 0; i < OPENERS; i++) {
        openers[i] = (struct opener){.runtime = runtime, .index = i};
        CHECK(pthread_create(&openers[i].thread, NULL, open_and_close, &openers[i]) == 0);
    }
    /* compute works on */
    enum {
        AT_HOME = 64
    };
    static loomp_job at_home[AT_HOME];
    loomp_group group;
    CHECK(loomp_group_init(&group, runtime) == 0);
    for (int round = 0; round < rounds(); round++) {
        for (int i = 0; i < AT_HOME; i++) {
            loomp_job_init(&at_home[i], count_work, count_done);
            at_home[i].kind = i % 16 ? LOOMP_SERIAL : LOOMP_GANG;
            at_home[i].group = &group;
            CHECK(loomp_submit(runtime, &at_home[i]) == 0);
        }
        expected += AT_HOME;
        CHECK(loomp_group_wait(&group, -1) == 0);
    }
    loomp_group_fini(&group);
    for (int i = 0; i < OPENERS; i++) {
        pthread_join(openers[i].thread, NULL);
        expected += openers[i].expected;
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(fighters[i], NULL);
    }
    atomic_store(&over, true);
    pthread_join(asker, NULL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(atomic_load(&works) == expected && atomic_load(&dones) == expected);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
