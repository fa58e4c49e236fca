/* SPDX-License-Identifier: MIT */
/* Named pools: those of the settings, and those that are opened and closed while the runtime runs. */
#define SUITE "pools"
#include "../fault/leftovers.h"
#include "recorded_job.h"

#include <loomp/pool.h>

#include <errno.h>
#include <malloc.h>
#include <omp.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SMALL = 1,
    LARGE = 16
};

static int allowed_cpus(cpu_set_t *set)
{
    CPU_ZERO(set);
    CHECK(sched_getaffinity(0, sizeof *set, set) == 0);
    return CPU_COUNT(set);
}

/* The last CPU that this process may use. */
static int last_cpu(void)
{
    cpu_set_t set;
    int last = -1;
    allowed_cpus(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        last = CPU_ISSET(cpu, &set) ? cpu : last;
    }
    return last;
}

static loomp_pool *open_pool(loomp_runtime *runtime, const char *name, uint32_t threads,
                             uint32_t blocking, const char *cpus)
{
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    options.threads = threads;
    options.blocking = blocking;
    options.cpus = cpus;
    loomp_pool *pool = NULL;
    if (!CHECK(loomp_pool_open(runtime, name, &options, &pool) == 0)) {
        printf("%s: %s\n", name, loomp_error());
    }
    return pool;
}

static int open_error(loomp_runtime *runtime, const char *name, const char *cpus, const char *gpu)
{
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    options.cpus = cpus;
    options.gpu = gpu;
    loomp_pool *pool = NULL;
    int err = loomp_pool_open(runtime, name, &options, &pool);
    CHECK(err < 0 && pool == NULL);
    return err;
}

/* Runs a job on the pool and waits for it. */
static int run_on(loomp_runtime *runtime, loomp_pool *pool, uint32_t kind, loomp_work_fn work,
                  void *data)
{
    loomp_job job;
    loomp_group group;
    loomp_job_init(&job, work, NULL);
    job.pool = pool;
    job.kind = kind;
    job.data = data;
    job.group = &group;
    CHECK(loomp_group_init(&group, runtime) == 0);
    int err = loomp_submit(runtime, &job);
    int status = loomp_group_wait(&group, -1);
    loomp_group_fini(&group);
    return err ? err : status;
}

/* ---- where jobs run -------------------------------------------------------------------------- */

struct seen {
    loomp_pool *pool;
    int threads;        /* of the job's regions */
    _Atomic int astray; /* threads with a mask of several CPUs, or of another than `cpu` */
    _Atomic int index;  /* of the pool's thread, in the job */
    int cpu;            /* -1: any */
};

static void look(struct seen *seen)
{
    cpu_set_t mask;
    bool good = sched_getaffinity(0, sizeof mask, &mask) == 0 && CPU_COUNT(&mask) == 1 &&
                (seen->cpu < 0 || CPU_ISSET(seen->cpu, &mask));
    atomic_fetch_add(&seen->astray, !good);
}

static int look_around(loomp_job *job)
{
    struct seen *seen = (struct seen *)job->data;
    atomic_store(&seen->index, loomp_thread_index(seen->pool));
    look(seen);
    int threads = 0;
#pragma omp parallel num_threads(loomp_pool_threads(seen->pool))
    {
        look(seen);
#pragma omp single
        threads = omp_get_num_threads();
    }
    seen->threads = threads;
    return 0;
}

static void check_jobs_on(loomp_runtime *runtime, loomp_pool *pool, int threads, int cpu)
{
    struct seen seen = {.pool = pool, .cpu = cpu};
    CHECK(run_on(runtime, pool, LOOMP_SERIAL, look_around, &seen) == 0);
    CHECK(seen.threads == 1 && atomic_load(&seen.index) >= 0 && atomic_load(&seen.astray) == 0);
    atomic_store(&seen.index, -2);
    CHECK(run_on(runtime, pool, LOOMP_GANG, look_around, &seen) == 0);
    CHECK(seen.threads == threads && atomic_load(&seen.index) == 0);
    CHECK(atomic_load(&seen.astray) == 0);
}

/* libomp would put the second thread of such a region where the first one is, and after the next one
 * somewhere else; see lp_openmp_leave_binding_alone. The first test, because libomp keeps the places
 * of its first start. */
static int change_binding(loomp_job *job)
{
    struct seen *seen = (struct seen *)job->data;
    for (int i = 0; i < 3; i++) {
#pragma omp parallel proc_bind(master)
        look(seen);
#pragma omp parallel
        look(seen);
#pragma omp parallel num_threads(1)
        look(seen);
#pragma omp parallel proc_bind(spread)
        {
            cpu_set_t mask;
            sched_getaffinity(0, sizeof mask, &mask);
#pragma omp critical
            for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                seen->threads += CPU_ISSET(cpu, &mask) ? 1 << (8 * omp_get_thread_num()) << cpu : 0;
            }
        }
    }
    return 0;
}

TEST(threads_of_a_gang_stay_on_the_places_of_their_pool)
{
    cpu_set_t set;
    if (allowed_cpus(&set) != 2 || last_cpu() != 1) {
        return; /* the places below are those of a machine with two CPUs */
    }
    loomp_runtime *runtime = runtime_with(
        0, (const char *const[]){"places", "{1},{0}", "io.cpus", "0", "log.level", "none", NULL});
    loomp_pool *pool = open_pool(runtime, "pair", 0, 0, "0-1");
    struct seen seen = {.pool = pool, .cpu = -1};
    CHECK(loomp_pool_threads(pool) == 2);
    CHECK(run_on(runtime, pool, LOOMP_GANG, change_binding, &seen) == 0);
    CHECK(atomic_load(&seen.astray) == 0);
    CHECK(seen.threads == 3 * (1 + (2 << 8))); /* thread 0 on CPU 0, thread 1 on CPU 1, each time */
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_pool_of_the_settings_runs_jobs_of_both_kinds_on_its_own_cpus)
{
    cpu_set_t set;
    bool has_two = allowed_cpus(&set) > 1;
    loomp_runtime *runtime = runtime_with(
        1, (const char *const[]){"pools.side.threads", "1", "log.level", "none", NULL});
    loomp_pool *pool = loomp_pool_named(runtime, "side");
    loomp_pool *compute = loomp_pool_named(runtime, "compute");
    CHECK(pool && pool != compute);
    CHECK_TEXT(loomp_pool_name(pool), "side");
    CHECK(loomp_pool_threads(pool) == 1 && loomp_thread_index(pool) == -1);
    check_jobs_on(runtime, pool, 1, has_two ? last_cpu() : -1);
    check_jobs_on(runtime, compute, 1, -1);
    CHECK(loomp_pool_close(pool) == -EINVAL);
    CHECK(loomp_pool_close(compute) == -EINVAL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_pool_named(runtime, "side") == NULL);
}

TEST(pools_that_share_the_cpus_of_compute_have_teams_of_their_own)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(),
                     (const char *const[]){"pools.twin.share", "true", "pools.twin.threads", "4096",
                                           "log.level", "none", NULL});
    loomp_pool *pool = loomp_pool_named(runtime, "twin");
    if (CHECK(pool != NULL)) {
        check_jobs_on(runtime, pool, loomp_pool_threads(pool), -1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_pool_opened_without_cpus_has_the_places_of_compute)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *compute = loomp_pool_named(runtime, "compute");
    loomp_pool *pool = open_pool(runtime, "more", 0, 0, NULL);
    CHECK(loomp_pool_threads(pool) == loomp_pool_threads(compute));
    check_jobs_on(runtime, pool, loomp_pool_threads(compute), -1);
    CHECK(loomp_pool_close(pool) == 0);
    check_jobs_on(runtime, compute, loomp_pool_threads(compute), -1);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- blocking pools -------------------------------------------------------------------------- */

struct crowd {
    struct gate gate;
    _Atomic int now, most, all;
};

static int join_crowd(loomp_job *job)
{
    struct crowd *crowd = (struct crowd *)job->data;
    int now = atomic_fetch_add(&crowd->now, 1) + 1;
    int most = atomic_load(&crowd->most);
    while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now)) {
    }
    gate_pass(&crowd->gate);
    atomic_fetch_sub(&crowd->now, 1);
    atomic_fetch_add(&crowd->all, 1);
    return 0;
}

TEST(blocking_pools_run_as_many_jobs_at_once_as_they_have_threads)
{
    enum {
        JOBS = 3 * LARGE
    };
    static struct crowd crowds[2];
    static loomp_job jobs[2][JOBS];
    loomp_runtime *runtime = runtime_with(
        workers_under_test(),
        (const char *const[]){"pools.hdd.threads", "1", "pools.hdd.blocking", "true",
                              "pools.ssd.threads", "16", "pools.ssd.blocking", "true", NULL});
    loomp_pool *pools[2] = {loomp_pool_named(runtime, "hdd"), loomp_pool_named(runtime, "ssd")};
    CHECK(loomp_pool_threads(pools[0]) == SMALL && loomp_pool_threads(pools[1]) == LARGE);
    loomp_group group; /* over both */
    CHECK(loomp_group_init(&group, runtime) == 0);
    for (int p = 0; p < 2; p++) {
        memset((void *)&crowds[p], 0, sizeof crowds[p]);
        gate_init(&crowds[p].gate);
        for (int i = 0; i < JOBS; i++) {
            loomp_job_init(&jobs[p][i], join_crowd, NULL);
            jobs[p][i].pool = pools[p];
            jobs[p][i].data = &crowds[p];
            jobs[p][i].group = &group;
            CHECK(loomp_submit(runtime, &jobs[p][i]) == 0);
        }
    }
    /* As many as there may be come together. */
    gate_wait_for_arrivals(&crowds[0].gate, SMALL);
    gate_wait_for_arrivals(&crowds[1].gate, LARGE);
    gate_open(&crowds[0].gate);
    gate_open(&crowds[1].gate);
    CHECK(loomp_group_wait(&group, -1) == 0);
    loomp_group_fini(&group);
    CHECK(atomic_load(&crowds[0].most) == SMALL && atomic_load(&crowds[1].most) == LARGE);
    CHECK(atomic_load(&crowds[0].all) == JOBS && atomic_load(&crowds[1].all) == JOBS);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_blocking_pool_is_opened_without_threads_and_takes_serial_jobs_only)
{
    loomp_runtime *runtime = runtime_under_test();
    int before = loomp_threads(runtime, NULL, 0);
    loomp_pool *pool = open_pool(runtime, "disk", 3, 1, NULL);
    CHECK(loomp_pool_threads(pool) == 3);
    CHECK(loomp_threads(runtime, NULL, 0) == before);
    struct recorded_job r;
    recorded_init(&r, NULL);
    r.job.pool = pool;
    r.job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &r.job) == -EINVAL);
    r.job.kind = LOOMP_SERIAL;
    CHECK(loomp_submit(runtime, &r.job) == 0);
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(atomic_load(&r.dones) == 1 && r.status == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- names and errors ------------------------------------------------------------------------ */

TEST(names_are_unique_and_obey_the_rules_of_settings)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(),
        (const char *const[]){"pools.hdd.threads", "1", "pools.hdd.blocking", "true", NULL});
    loomp_pool *pool = open_pool(runtime, "ssd", 1, 1, NULL);
    CHECK(loomp_pool_named(runtime, "ssd") == pool);
    CHECK(open_error(runtime, "ssd", NULL, NULL) == -EEXIST);
    CHECK(open_error(runtime, "hdd", NULL, NULL) == -EEXIST);
    CHECK(open_error(runtime, "compute", NULL, NULL) == -EEXIST);
    CHECK(open_error(runtime, "blocking", NULL, NULL) == -EEXIST);
    static const char *const bad[] = {"",    "Ssd",    "1st", "a b", "a.b",
                                      "gpu0", "a23456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(open_error(runtime, bad[i], NULL, NULL) == -EINVAL);
        CHECK(strstr(loomp_error(), "cannot name a pool") != NULL);
    }
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(loomp_pool_named(runtime, "ssd") == NULL);
    pool = open_pool(runtime, "ssd", 2, 1, NULL);
    CHECK(loomp_pool_named(runtime, "ssd") == pool && loomp_pool_threads(pool) == 2);
    CHECK(loomp_pool_named(runtime, "nobody") == NULL && loomp_pool_named(runtime, NULL) == NULL);
    CHECK(loomp_pool_name(NULL) == NULL);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(options_that_make_no_sense_are_named)
{
    loomp_runtime *runtime = runtime_under_test();
    struct loomp_pool_options options;
    loomp_pool *pool = NULL;
    CHECK(open_error(runtime, "odd", "0-", NULL) == -EINVAL);
    CHECK(strstr(loomp_error(), "pools.odd.cpus") != NULL);
    CHECK(open_error(runtime, "odd", "4000", NULL) == -EINVAL);
    CHECK(strstr(loomp_error(), "none of the CPUs 4000") != NULL);
    CHECK(open_error(runtime, "odd", NULL, "99") == -ENODEV);
    CHECK(strstr(loomp_error(), "99") != NULL);
    loomp_pool_options_init(&options);
    options.threads = 4097;
    CHECK(loomp_pool_open(runtime, "odd", &options, &pool) == -EINVAL);
    CHECK(strstr(loomp_error(), "pools.odd.threads") != NULL);
    loomp_pool_options_init(&options);
    options.blocking = 2;
    CHECK(loomp_pool_open(runtime, "odd", &options, &pool) == -EINVAL);
    loomp_pool_options_init(&options);
    CHECK(options.size == sizeof options);
    options.size--;
    CHECK(loomp_pool_open(runtime, "odd", &options, &pool) == -EINVAL);
    loomp_pool_options_init(&options);
    CHECK(loomp_pool_open(NULL, "odd", &options, &pool) == -EINVAL);
    CHECK(loomp_pool_open(runtime, NULL, &options, &pool) == -EINVAL);
    CHECK(loomp_pool_open(runtime, "odd", NULL, &pool) == -EINVAL);
    CHECK(loomp_pool_open(runtime, "odd", &options, NULL) == -EINVAL);
    CHECK(loomp_pool_close(NULL) == -EINVAL);
    CHECK(pool == NULL && loomp_pool_named(runtime, "odd") == NULL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_pool_open(runtime, "odd", &options, &pool) == -ESHUTDOWN);
}

TEST(a_shut_down_runtime_opens_no_pool_but_closes_one)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = open_pool(runtime, "late", 1, 0, NULL);
    CHECK(loomp_shutdown(runtime) == 0);
    CHECK(open_error(runtime, "later", NULL, NULL) == -ESHUTDOWN);
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_pool_close(pool) == -ESHUTDOWN);
}

static int open_and_close(loomp_job *job)
{
    struct loomp_pool_options options;
    loomp_pool_options_init(&options);
    loomp_pool *pool = NULL;
    CHECK(loomp_pool_open(loomp_default(), "inner", &options, &pool) == -EDEADLK);
    CHECK(loomp_pool_close((loomp_pool *)job->data) == -EDEADLK);
    return 0;
}

static void open_and_close_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    loomp_job job = {.data = arg};
    open_and_close(&job);
}

TEST(in_a_job_and_on_a_loop_pools_are_neither_opened_nor_closed)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = open_pool(runtime, "outer", 1, 0, NULL);
    CHECK(run_on(runtime, pool, LOOMP_SERIAL, open_and_close, pool) == 0);
    CHECK(run_on(runtime, NULL, LOOMP_GANG, open_and_close, pool) == 0);
    on_loop(loomp_loop_at(runtime, 0), open_and_close_on_loop, pool);
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_forked_child_is_told_that_the_pools_are_the_parents)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = open_pool(runtime, "own", 1, 1, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct loomp_pool_options options;
        loomp_pool_options_init(&options);
        loomp_pool *other;
        bool good = loomp_pool_open(runtime, "other", &options, &other) == -EOWNERDEAD &&
                    loomp_pool_close(pool) == -EOWNERDEAD &&
                    loomp_pool_named(runtime, "own") == NULL;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- closing --------------------------------------------------------------------------------- */

struct closing {
    loomp_pool *pool;
    pthread_t thread;
    int err;
};

static void *close_pool(void *arg)
{
    struct closing *closing = (struct closing *)arg;
    closing->err = loomp_pool_close(closing->pool);
    return NULL;
}

static void begin_to_close(struct closing *closing, loomp_pool *pool)
{
    closing->pool = pool;
    CHECK(pthread_create(&closing->thread, NULL, close_pool, closing) == 0);
}

/* Submits until the pool takes no more: then somebody closes it. Returns how many were taken. */
static int submit_until_refused(loomp_runtime *runtime, struct recorded_job *jobs, int most,
                                loomp_pool *pool)
{
    for (int i = 0; i < most; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.pool = pool;
        int err = loomp_submit(runtime, &jobs[i].job);
        if (err) {
            CHECK(err == -ESHUTDOWN);
            return i;
        }
        /* one after the other, so that a slow closer needs no more jobs than there are */
        while (atomic_load(&jobs[i].dones) == 0) {
            sched_yield();
        }
    }
    return most;
}

struct chain {
    struct gate *gate;
    loomp_pool *pool;
    struct recorded_job *last;
    int err;
};

static int submit_one_more(loomp_job *job)
{
    struct chain *chain = (struct chain *)job->data;
    gate_pass(chain->gate);
    chain->err = loomp_submit(loomp_default(), &chain->last->job);
    return 0;
}

static void check_closing(uint32_t blocking)
{
    enum {
        MOST = 1000000
    };
    struct gate gate = GATE_INIT;
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = open_pool(runtime, "short", 2, blocking, NULL);
    struct recorded_job *jobs = calloc(MOST, sizeof *jobs);
    struct recorded_job last;
    recorded_init(&last, NULL);
    last.job.pool = pool;
    struct chain chain = {.gate = &gate, .pool = pool, .last = &last};
    loomp_job first;
    loomp_job_init(&first, submit_one_more, NULL);
    first.data = &chain;
    first.pool = pool;
    CHECK(loomp_submit(runtime, &first) == 0);
    gate_wait_for_arrivals(&gate, 1);
    struct closing closing;
    begin_to_close(&closing, pool);
    int taken = MOST;
    if (loomp_pool_threads(pool) > 1) {
        taken = submit_until_refused(runtime, jobs, MOST, pool);
    } else {
        /* The job has the only thread: the pool is asked until it refuses, by a job that is withdrawn. */
        int err;
        for (taken = 0; taken < MOST; taken++) {
            recorded_init(&jobs[taken], NULL);
            jobs[taken].job.pool = pool;
            err = loomp_submit(runtime, &jobs[taken].job);
            if (err) {
                CHECK(err == -ESHUTDOWN);
                break;
            }
            CHECK(loomp_cancel(&jobs[taken].job) == 0);
        }
    }
    CHECK(taken < MOST);
    /* Meanwhile nobody else may close it. */
    CHECK(loomp_pool_close(pool) == -EALREADY);
    CHECK(loomp_pool_named(runtime, "short") == pool);
    gate_open(&gate);
    CHECK(pthread_join(closing.thread, NULL) == 0 && closing.err == 0);
    CHECK(chain.err == 0 && atomic_load(&last.dones) == 1 && last.status == 0);
    for (int i = 0; i < taken; i++) {
        CHECK(atomic_load(&jobs[i].dones) == 1);
    }
    CHECK(loomp_pool_named(runtime, "short") == NULL);
    CHECK(loomp_stop(runtime) == 0);
    free(jobs);
}

TEST(closing_waits_for_what_jobs_bring_and_refuses_others)
{
    check_closing(0);
}

TEST(closing_a_blocking_pool_waits_for_what_jobs_bring_and_refuses_others)
{
    check_closing(1);
}

TEST(jobs_that_are_queued_when_the_pool_is_closed_are_run)
{
    enum {
        JOBS = 64
    };
    struct recorded_job jobs[JOBS];
    loomp_runtime *runtime = runtime_under_test();
    loomp_loop *home = loomp_loop_at(runtime, 0);
    for (uint32_t blocking = 0; blocking < 2; blocking++) {
        loomp_pool *pool = open_pool(runtime, "queue", 1, blocking, NULL);
        for (int i = 0; i < JOBS; i++) {
            recorded_init(&jobs[i], NULL);
            jobs[i].job.pool = pool;
            jobs[i].job.kind = !blocking && i % 4 == 0 ? LOOMP_GANG : LOOMP_SERIAL;
            jobs[i].job.home = i % 2 ? home : NULL;
            jobs[i].job.flags = i % 3 ? 0 : LOOMP_UNTRACKED;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        CHECK(loomp_pool_close(pool) == 0);
        for (int i = 0; i < JOBS; i++) {
            CHECK(atomic_load(&jobs[i].dones) == 1 && jobs[i].status == 0);
            CHECK(jobs[i].done_loop == (i % 2 ? home : NULL));
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(stop_closes_the_pools_that_are_open)
{
    struct recorded_job jobs[2];
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pools[2] = {open_pool(runtime, "one", 1, 0, NULL),
                            open_pool(runtime, "two", 1, 1, NULL)};
    for (int i = 0; i < 2; i++) {
        recorded_init(&jobs[i], NULL);
        jobs[i].job.pool = pools[i];
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
    CHECK(atomic_load(&jobs[0].dones) == 1 && atomic_load(&jobs[1].dones) == 1);
    CHECK(loomp_pool_named(runtime, "one") == NULL);
    CHECK(loomp_pool_close(pools[0]) == -ESHUTDOWN);
}

TEST(stop_waits_for_a_pool_that_is_being_closed)
{
    struct gate gate = GATE_INIT;
    struct recorded_job r;
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *pool = open_pool(runtime, "busy", 1, 1, NULL);
    recorded_init(&r, &gate);
    r.job.pool = pool;
    r.job.flags = LOOMP_UNTRACKED;
    CHECK(loomp_submit(runtime, &r.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    struct closing closing;
    begin_to_close(&closing, pool);
    while (loomp_is_idle(runtime)) {
        sched_yield(); /* until the closer is counted */
    }
    CHECK(loomp_wait_idle(runtime, 0) == -ETIMEDOUT);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(pthread_join(closing.thread, NULL) == 0 && closing.err == 0);
}

/* ---- jobs of several pools ------------------------------------------------------------------- */

struct relay {
    loomp_pool *pools[3];
    _Atomic int runs;
};

static int count_in_relay(loomp_job *job)
{
    struct relay *relay = (struct relay *)job->data;
    CHECK(loomp_thread_index(job->pool) >= 0);
    atomic_fetch_add(&relay->runs, 1);
    return 0;
}

/* A job of one pool that waits for a group over all. */
static int wait_for_all(loomp_job *job)
{
    struct relay *relay = (struct relay *)job->data;
    loomp_job jobs[9];
    loomp_group group;
    CHECK(loomp_group_init(&group, loomp_default()) == 0);
    for (int i = 0; i < 9; i++) {
        loomp_job_init(&jobs[i], count_in_relay, NULL);
        jobs[i].data = relay;
        jobs[i].pool = relay->pools[i % 3];
        jobs[i].kind = i % 3 < 2 && i > 5 ? LOOMP_GANG : LOOMP_SERIAL;
        jobs[i].group = &group;
        CHECK(loomp_submit(loomp_default(), &jobs[i]) == 0);
    }
    CHECK(loomp_group_wait(&group, -1) == 0);
    loomp_group_fini(&group);
    return 0;
}

TEST(a_group_over_several_pools_can_be_waited_for_in_any_of_them)
{
    loomp_runtime *runtime = runtime_under_test();
    struct relay relay = {.pools = {loomp_pool_named(runtime, "compute"),
                                    open_pool(runtime, "other", 1, 0, NULL),
                                    open_pool(runtime, "disk", 2, 1, NULL)}};
    for (int i = 0; i < 3; i++) {
        CHECK(run_on(runtime, relay.pools[i], LOOMP_SERIAL, wait_for_all, &relay) == 0);
    }
    CHECK(run_on(runtime, relay.pools[1], LOOMP_GANG, wait_for_all, &relay) == 0);
    CHECK(atomic_load(&relay.runs) == 36);
    CHECK(loomp_pool_close(relay.pools[1]) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

struct home_less {
    loomp_job job;
    _Atomic int done_index;
};

static void note_index(loomp_job *job, int status)
{
    (void)status;
    struct home_less *h = LOOMP_CONTAINER(job, struct home_less, job);
    atomic_store(&h->done_index, loomp_thread_index(job->pool));
}

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

TEST(the_done_of_a_job_without_a_home_runs_on_a_thread_of_its_pool)
{
    struct gate gate = GATE_INIT;
    struct recorded_job holder;
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t blocking = 0; blocking < 2; blocking++) {
        loomp_pool *pool = open_pool(runtime, "own", 1, blocking, NULL);
        struct home_less ran = {.done_index = -2}, withdrawn = {.done_index = -2};
        loomp_job_init(&ran.job, nothing, note_index);
        loomp_job_init(&withdrawn.job, nothing, note_index);
        ran.job.pool = withdrawn.job.pool = pool;
        CHECK(loomp_submit(runtime, &ran.job) == 0);
        gate_init(&gate);
        recorded_init(&holder, &gate);
        holder.job.pool = pool;
        CHECK(loomp_submit(runtime, &holder.job) == 0);
        gate_wait_for_arrivals(&gate, 1);
        CHECK(loomp_submit(runtime, &withdrawn.job) == 0);
        CHECK(loomp_cancel(&withdrawn.job) == 0);
        gate_open(&gate);
        CHECK(loomp_pool_close(pool) == 0);
        CHECK(atomic_load(&ran.done_index) >= 0 && atomic_load(&withdrawn.done_index) >= 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- what is shown --------------------------------------------------------------------------- */

static int threads_named(loomp_runtime *runtime, const char *begin)
{
    enum {
        MOST = 256
    };
    static struct loomp_thread_info infos[MOST];
    int count = loomp_threads(runtime, infos, MOST), found = 0;
    for (int i = 0; i < count && i < MOST; i++) {
        found += strncmp(infos[i].name, begin, strlen(begin)) == 0;
    }
    return found;
}

TEST(threads_of_named_pools_are_listed_and_described)
{
    loomp_runtime *runtime =
        runtime_with(1, (const char *const[]){"pools.side.threads", "1", "log.level", "none", NULL});
    int before = loomp_threads(runtime, NULL, 0);
    CHECK(threads_named(runtime, "side-omp-") == 1 && threads_named(runtime, "side-gang-") == 1);
    loomp_pool *pool = open_pool(runtime, "extra", 1, 0, NULL);
    CHECK(threads_named(runtime, "extra-omp-") == 1 && threads_named(runtime, "extra-gang-") == 1);
    CHECK(loomp_threads(runtime, NULL, 0) == before + 2);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    loomp_describe(runtime, out);
    fclose(out);
    CHECK(strstr(text, "\npool.side: 1 thread on CPU") != NULL);
    CHECK(strstr(text, "\npool.extra: 1 thread on CPU") != NULL);
    CHECK(strstr(text, "opened at run time") != NULL);
    free(text);
    CHECK(loomp_pool_close(pool) == 0);
    CHECK(loomp_threads(runtime, NULL, 0) == before);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- again and again ------------------------------------------------------------------------- */

/* What libomp and loomp have at a moment. */
struct belongings {
    int threads;
    size_t bytes;
};

static struct belongings after_opening(loomp_runtime *runtime, int times)
{
    for (int i = 0; i < times; i++) {
        loomp_pool *pool = open_pool(runtime, "again", i % 4 == 3 ? 2 : (uint32_t)(1 + i % 2),
                                     i % 4 == 3, NULL);
        struct seen seen = {.pool = pool, .cpu = -1};
        if (i % 4 != 3) {
            CHECK(run_on(runtime, pool, LOOMP_GANG, look_around, &seen) == 0);
            CHECK(seen.threads == loomp_pool_threads(pool));
        }
        CHECK(run_on(runtime, pool, LOOMP_SERIAL, nothing, NULL) == 0);
        CHECK(loomp_pool_close(pool) == 0);
    }
    return (struct belongings){running_threads(), mallinfo2().uordblks};
}

TEST(opening_200_times_makes_no_more_threads_than_opening_a_few_times)
{
    enum {
        TOLERANCE = 64 << 10
    };
    loomp_runtime *runtime = runtime_under_test();
    struct belongings early = after_opening(runtime, 8);
    struct belongings late = after_opening(runtime, 200);
    bool good = CHECK(late.threads <= early.threads + 1); /* a second blocking thread, by chance */
    good = CHECK(late.bytes <= early.bytes + TOLERANCE) && good;
    if (!good) {
        printf("%d threads and %zu bytes, then %d and %zu\n", early.threads, early.bytes,
               late.threads, late.bytes);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_pool_is_found_while_others_come_and_go)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_pool *first = open_pool(runtime, "first", 1, 1, NULL);
    loomp_pool *second = open_pool(runtime, "second", 1, 1, NULL);
    loomp_pool *third = open_pool(runtime, "third", 1, 1, NULL);
    CHECK(loomp_pool_close(second) == 0);
    CHECK(loomp_pool_named(runtime, "first") == first);
    CHECK(loomp_pool_named(runtime, "third") == third);
    CHECK(loomp_pool_close(third) == 0);
    CHECK(loomp_pool_named(runtime, "first") == first);
    CHECK(loomp_pool_close(first) == 0);
    CHECK(loomp_pool_named(runtime, "first") == NULL);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
