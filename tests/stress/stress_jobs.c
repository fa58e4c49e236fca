/* SPDX-License-Identifier: MIT */
/* Many jobs from everywhere, each counted: plain threads, loops, jobs that submit jobs, gangs among
 * them. The number of jobs is LOOMP_TEST_JOBS (default 2 million in all over the tests of one run;
 * the sanitizers take fewer). */
#define SUITE "stress jobs"
#include "../unit/gate.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

enum { PLAIN_THREADS = 4, LOOPS = 2, WINDOW = 256 };

static long jobs_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) : 2000000;
}

/* A job that counts its work and its done, and says if either happens twice. */
struct counted {
    loomp_job job;
    _Atomic int works;
    _Atomic int dones;
    struct source *source;
    bool spawns;
};

/* One submitter with a window of jobs that it uses again and again. */
struct source {
    loomp_runtime *runtime;
    loomp_loop *loop; /* NULL: a plain thread */
    struct counted jobs[WINDOW];
    long to_submit;
    _Atomic long accepted;
    _Atomic long worked;
    _Atomic long done;
    _Atomic long children_done;
    _Atomic long children_accepted;
    _Atomic long refused;
};

static int child_work(void *arg)
{
    (void)arg;
    return 0;
}

static void child_done(void *arg, int result)
{
    struct source *source = arg;
    CHECK(result == 0 || result == -ECANCELED);
    atomic_fetch_add(&source->children_done, 1);
}

static int count_work(loomp_job *job)
{
    struct counted *counted = LOOMP_CONTAINER(job, struct counted, job);
    atomic_fetch_add_explicit(&counted->works, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted->source->worked, 1, memory_order_relaxed);
    if (counted->spawns) {
        int err = loomp_call(counted->source->runtime, child_work, NULL, child_done,
                             counted->source);
        if (err == 0) {
            atomic_fetch_add(&counted->source->children_accepted, 1);
        } else {
            CHECK(err == -EAGAIN);
        }
    }
    return 0;
}

/* Marks the job as done; the submitter finds it idle and uses it again. */
static void count_done(loomp_job *job, int status)
{
    struct counted *counted = LOOMP_CONTAINER(job, struct counted, job);
    CHECK(status == 0 || status == -ECANCELED);
    CHECK(loomp_job_state(job) == LOOMP_JOB_IDLE);
    atomic_fetch_add_explicit(&counted->source->done, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted->dones, 1, memory_order_release);
}

static int gang_work(loomp_job *job)
{
    struct counted *counted = LOOMP_CONTAINER(job, struct counted, job);
    atomic_fetch_add_explicit(&counted->works, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counted->source->worked, 1, memory_order_relaxed);
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    CHECK(members >= 1);
    return 0;
}

static void prepare(struct source *source, long i)
{
    struct counted *counted = &source->jobs[i % WINDOW];
    bool gang = i % 251 == 0;
    loomp_job_init(&counted->job, gang ? gang_work : count_work, count_done);
    counted->job.kind = gang ? LOOMP_GANG : LOOMP_SERIAL;
    counted->job.priority = (int32_t)(i % 3) - 1;
    counted->source = source;
    counted->spawns = i % 4 == 0;
    atomic_store(&counted->works, 0);
    atomic_store_explicit(&counted->dones, 0, memory_order_relaxed);
}

static bool submit(struct source *source, long i)
{
    int err = loomp_submit(source->runtime, &source->jobs[i % WINDOW].job);
    if (err == 0) {
        atomic_fetch_add_explicit(&source->accepted, 1, memory_order_relaxed);
        return true;
    }
    CHECK(err == -ESHUTDOWN || err == -EAGAIN);
    atomic_fetch_add_explicit(&source->refused, 1, memory_order_relaxed);
    return err == -EAGAIN;
}

static void *plain_submitter(void *arg)
{
    struct source *source = arg;
    for (long i = 0; i < source->to_submit; i++) {
        struct counted *counted = &source->jobs[i % WINDOW];
        if (i >= WINDOW) {
            while (!atomic_load_explicit(&counted->dones, memory_order_acquire)) {
                sched_yield();
            }
            CHECK(atomic_load(&counted->works) <= 1 && atomic_load(&counted->dones) == 1);
        }
        prepare(source, i);
        if (!submit(source, i)) {
            break; /* shut down */
        }
    }
    return NULL;
}

/* On a loop: each done submits the next. */
static void submit_next(struct source *source)
{
    long i = source->to_submit--;
    if (i > 0) {
        struct counted *counted = calloc(1, sizeof *counted);
        counted->source = source;
        counted->spawns = i % 4 == 0;
        extern void loop_done(loomp_job * job, int status);
        loomp_job_init(&counted->job, i % 251 ? count_work : gang_work, loop_done);
        counted->job.kind = i % 251 ? LOOMP_SERIAL : LOOMP_GANG;
        counted->job.priority = (int32_t)(i % 3) - 1;
        int err = loomp_submit(source->runtime, &counted->job);
        if (err == 0) {
            atomic_fetch_add(&source->accepted, 1);
        } else {
            CHECK(err == -ESHUTDOWN || err == -EAGAIN);
            free(counted);
        }
    }
}

void loop_done(loomp_job *job, int status)
{
    struct counted *counted = LOOMP_CONTAINER(job, struct counted, job);
    struct source *source = counted->source;
    CHECK(status == 0 || status == -ECANCELED);
    CHECK(loomp_loop_here() == source->loop);
    CHECK(status != 0 || atomic_load(&counted->works) == 1);
    atomic_fetch_add(&source->done, 1);
    free(counted);
    if (status == 0) {
        submit_next(source);
    }
}

static void start_on_loop(loomp_loop *loop, void *arg)
{
    struct source *source = arg;
    CHECK(loomp_loop_here() == loop);
    for (int i = 0; i < WINDOW; i++) {
        submit_next(source);
    }
}

struct crowd {
    loomp_runtime *runtime;
    struct source *sources;
    pthread_t threads[PLAIN_THREADS];
    long plain_jobs; /* that each plain thread wants to submit */
};

static bool start_crowd(struct crowd *crowd, long jobs)
{
    crowd->runtime = runtime_with(workers_under_test(),
                                  (const char *const[]){"io.threads", "2", NULL});
    if (!crowd->runtime) {
        return false;
    }
    crowd->plain_jobs = jobs / (PLAIN_THREADS + LOOPS);
    crowd->sources = calloc(PLAIN_THREADS + LOOPS, sizeof *crowd->sources);
    for (int i = 0; i < PLAIN_THREADS + LOOPS; i++) {
        struct source *source = &crowd->sources[i];
        source->runtime = crowd->runtime;
        source->to_submit = crowd->plain_jobs;
        if (i < LOOPS) {
            source->loop = loomp_loop_at(crowd->runtime, i);
            CHECK(loomp_post(source->loop, start_on_loop, source) == 0);
        } else {
            pthread_create(&crowd->threads[i - LOOPS], NULL, plain_submitter, source);
        }
    }
    return true;
}

static void join_crowd(struct crowd *crowd)
{
    for (int i = 0; i < PLAIN_THREADS; i++) {
        pthread_join(crowd->threads[i], NULL);
    }
}

static void check_counts(struct crowd *crowd, bool complete)
{
    long accepted = 0, worked = 0, done = 0;
    for (int i = 0; i < PLAIN_THREADS + LOOPS; i++) {
        struct source *source = &crowd->sources[i];
        accepted += source->accepted;
        worked += source->worked;
        done += source->done;
        CHECK(source->accepted == source->done);
        CHECK(source->children_accepted == source->children_done);
        CHECK(!complete || source->accepted == source->worked);
    }
    CHECK(!complete || worked == accepted);
    CHECK(done == accepted && accepted > 0);
    free(crowd->sources);
}

TEST(every_job_from_plain_threads_loops_and_jobs_is_counted_once)
{
    struct crowd crowd;
    if (!start_crowd(&crowd, jobs_in_all() * 4 / 5)) {
        return;
    }
    join_crowd(&crowd);
    CHECK(loomp_stop(crowd.runtime) == 0);
    check_counts(&crowd, true);
}

TEST(a_shutdown_in_the_middle_loses_no_accepted_job)
{
    for (int round = 0; round < 10; round++) {
        struct crowd crowd;
        if (!start_crowd(&crowd, jobs_in_all() / 10)) {
            return;
        }
        while (atomic_load(&crowd.sources[LOOPS].accepted) < crowd.plain_jobs * round / 20) {
            sched_yield();
        }
        CHECK(loomp_stop(crowd.runtime) == 0);
        join_crowd(&crowd);
        check_counts(&crowd, true);
    }
}

TEST(stop_now_in_the_middle_cancels_and_loses_nothing)
{
    for (int round = 0; round < 10; round++) {
        struct crowd crowd;
        if (!start_crowd(&crowd, jobs_in_all() / 10)) {
            return;
        }
        while (atomic_load(&crowd.sources[LOOPS].accepted) < crowd.plain_jobs * round / 20) {
            sched_yield();
        }
        CHECK(loomp_stop_now(crowd.runtime) == 0);
        join_crowd(&crowd);
        check_counts(&crowd, false);
    }
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
