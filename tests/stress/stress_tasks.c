/* SPDX-License-Identifier: MIT */
/* TASKS, GANG and SERIAL jobs of all widths and priorities at once, from plain threads, loops and
 * jobs: every answer is checked, each job is done once, and never are more threads inside the
 * callers' code than there are workers, but for the one of relief. LOOMP_TEST_JOBS: how many jobs. */
#define SUITE "stress tasks"
#include "../unit/patience.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

enum { SUBMITTERS = 3, WINDOW = 64 };

static long jobs_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) : 60000;
}

/* ---- who is inside ------------------------------------------------------------------------------- */

static _Atomic int threads_inside, most_inside;
static _Thread_local int depth; /* of calls in and out on this thread */

/* Each function of the callers' begins and ends with these; those inside each other on one thread
 * are one thread. */
static void come_in(void)
{
    if (depth++ == 0) {
        int now = atomic_fetch_add(&threads_inside, 1) + 1;
        int most = atomic_load(&most_inside);
        while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) {
        }
    }
}

static void go_out(void)
{
    if (--depth == 0) {
        atomic_fetch_sub(&threads_inside, 1);
    }
}

/* ---- the jobs ------------------------------------------------------------------------------------ */

struct mixed {
    loomp_job job;
    long seed;
    _Atomic long answer;
    long expected;
    _Atomic int works, dones;
    _Atomic long *done_count;
};

static long sum_below(long n)
{
    return n * (n - 1) / 2;
}

/* A function of its own, which tests/data/thread-sanitizer.supp names. */
__attribute__((noinline)) static void count_tasks(struct mixed *mixed, long n)
{
    for (long i = 0; i < n; i++) {
#pragma omp task firstprivate(mixed, i)
        {
            come_in();
            atomic_fetch_add(&mixed->answer, i);
            go_out();
        }
    }
}

static int tasks_work(loomp_job *job)
{
    struct mixed *mixed = LOOMP_CONTAINER(job, struct mixed, job);
    come_in();
    atomic_fetch_add(&mixed->works, 1);
    long n = 5 + mixed->seed % 20;
    mixed->expected = sum_below(n);
    count_tasks(mixed, n);
    go_out();
    return 0;
}

static int gang_work(loomp_job *job)
{
    struct mixed *mixed = LOOMP_CONTAINER(job, struct mixed, job);
    come_in();
    atomic_fetch_add(&mixed->works, 1);
    long n = 5 + mixed->seed % 50, sum = 0;
    mixed->expected = sum_below(n);
#pragma omp parallel reduction(+ : sum)
    {
        come_in();
#pragma omp for
        for (long i = 0; i < n; i++) {
            sum += i;
        }
        go_out();
    }
    atomic_store(&mixed->answer, sum);
    go_out();
    return 0;
}

static int serial_work(loomp_job *job)
{
    struct mixed *mixed = LOOMP_CONTAINER(job, struct mixed, job);
    come_in();
    atomic_fetch_add(&mixed->works, 1);
    mixed->expected = sum_below(10);
    for (long i = 0; i < 10; i++) {
        atomic_fetch_add(&mixed->answer, i);
    }
    if (mixed->seed % 5 == 0) {
        int answer = loomp_yield();
        CHECK(answer == 0 || answer == 1);
    }
    go_out();
    return 0;
}

static void mixed_done(loomp_job *job, int status)
{
    struct mixed *mixed = LOOMP_CONTAINER(job, struct mixed, job);
    if (status == 0) {
        CHECK(mixed->works == 1 && mixed->answer == mixed->expected);
    } else {
        CHECK(status == -ECANCELED && mixed->works == 0);
    }
    CHECK(atomic_load_explicit(&mixed->dones, memory_order_relaxed) == 0);
    atomic_fetch_add(mixed->done_count, 1);
    atomic_store_explicit(&mixed->dones, 1, memory_order_release);
}

static void mixed_init(struct mixed *mixed, long seed, loomp_runtime *runtime,
                       _Atomic long *done_count)
{
    static const loomp_work_fn works[] = {serial_work, tasks_work, gang_work};
    uint32_t kind = seed % 7 < 3 ? LOOMP_TASKS : seed % 7 == 3 ? LOOMP_GANG : LOOMP_SERIAL;
    loomp_job_init(&mixed->job, works[kind], mixed_done);
    mixed->job.kind = kind;
    mixed->job.priority = (int32_t)(seed / 7 % 3) - 1;
    mixed->job.width = kind == LOOMP_SERIAL ? 0 : (uint32_t)(seed / 21 % 4);
    mixed->job.home = seed % 11 == 0 ? loomp_loop_at(runtime, 0) : NULL;
    mixed->seed = seed;
    mixed->done_count = done_count;
    atomic_store(&mixed->answer, 0);
    atomic_store(&mixed->works, 0);
    atomic_store_explicit(&mixed->dones, 0, memory_order_relaxed);
}

struct submitter {
    loomp_runtime *runtime;
    long first, count;
    _Atomic long *done_count;
    struct mixed window[WINDOW];
};

static void *submit_mixed(void *arg)
{
    struct submitter *s = arg;
    for (long i = 0; i < s->count; i++) {
        struct mixed *mixed = &s->window[i % WINDOW];
        while (i >= WINDOW && !atomic_load_explicit(&mixed->dones, memory_order_acquire)) {
            sched_yield();
        }
        mixed_init(mixed, s->first + i, s->runtime, s->done_count);
        CHECK(loomp_submit(s->runtime, &mixed->job) == 0);
    }
    return NULL;
}

TEST(all_kinds_at_once_give_their_answers_and_stay_within_their_threads)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(compute_of(runtime));
    static struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    _Atomic long done_count = 0;
    atomic_store(&most_inside, 0);
    long each = jobs_in_all() / SUBMITTERS;
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i].runtime = runtime;
        submitters[i].first = i * each;
        submitters[i].count = each;
        submitters[i].done_count = &done_count;
        pthread_create(&threads[i], NULL, submit_mixed, &submitters[i]);
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_wait_idle(runtime, 4 * PATIENCE_S) == 0);
    CHECK(done_count == SUBMITTERS * each);
    CHECK(threads_inside == 0);
    if (!CHECK(most_inside <= workers + 1)) {
        printf("    %d threads inside at once, of %d workers\n", most_inside, workers);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- withdrawn or not ---------------------------------------------------------------------------- */

TEST(each_tasks_job_runs_or_is_withdrawn_never_both)
{
    enum { JOBS = 200 };
    static struct mixed jobs[JOBS];
    loomp_runtime *runtime = runtime_under_test();
    long rounds = jobs_in_all() / JOBS / 4 + 1;
    long withdrawn = 0, refused = 0;
    for (long round = 0; round < rounds; round++) {
        struct recorded_job gang;
        struct gate held = GATE_INIT;
        _Atomic long done_count = 0;
        int answers[JOBS];
        hold_gang_team(runtime, &gang, &held);
        for (int i = 0; i < JOBS; i++) {
            mixed_init(&jobs[i], i, runtime, &done_count);
            jobs[i].job.kind = i % 9 ? LOOMP_TASKS : LOOMP_GANG;
            jobs[i].job.work = i % 9 ? tasks_work : gang_work;
            jobs[i].job.home = NULL;
            CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
        }
        for (int i = 0; i < JOBS; i++) {
            answers[i] = i % 2 ? loomp_cancel(&jobs[i].job) : 1;
        }
        gate_open(&held);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        for (int i = 0; i < JOBS; i++) {
            CHECK(answers[i] == 1 ? jobs[i].works == 1 : (answers[i] == 0) == (jobs[i].works == 0));
            withdrawn += answers[i] == 0;
            refused += answers[i] < 0;
        }
        CHECK(done_count == JOBS);
    }
    CHECK(withdrawn == rounds * JOBS / 2 && refused == 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
