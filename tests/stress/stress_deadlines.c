/* SPDX-License-Identifier: MIT */
/* Many jobs whose deadlines pass about when they start, from everywhere: each is done once, and its
 * status says whether its work ran. LOOMP_TEST_JOBS is how many (default 400000 in all; the
 * sanitizers take fewer). */
#define SUITE "stress deadlines"
#include "../unit/gate.h"

#include <errno.h>
#include <ev.h>
#include <sched.h>
#include <stdatomic.h>

enum { PLAIN_THREADS = 3, LOOPS = 2, SOURCES = PLAIN_THREADS + LOOPS, WINDOW = 200 };

static long jobs_in_all(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    return text ? atol(text) / 5 : 400000;
}

struct source;

struct timed {
    loomp_job job;
    _Atomic int works;
    _Atomic int dones;
    bool wanted_to_cancel;
    struct source *source;
};

/* One submitter with a window of jobs that it uses again and again. */
struct source {
    loomp_runtime *runtime;
    loomp_loop *loop; /* its jobs' home; a source without submits on a plain thread */
    bool on_loop;     /* submits in the dones there, and cancels */
    unsigned random;
    long to_submit;
    struct timed jobs[WINDOW];
    _Atomic long accepted, refused, ran, timed_out, cancelled;
};

static unsigned next_random(struct source *source)
{
    source->random = source->random * 1664525u + 1013904223u;
    return source->random >> 8;
}

/* From far too short to far too long, most of them about as long as a job waits. */
static double some_deadline(struct source *source)
{
    switch (next_random(source) % 8) {
    case 0:
        return 1e-9;
    case 1:
        return 3600;
    case 2:
        return 0;
    default:
        return 1e-6 * (1 + next_random(source) % 3000);
    }
}

static int timed_work(loomp_job *job)
{
    struct timed *timed = LOOMP_CONTAINER(job, struct timed, job);
    atomic_fetch_add_explicit(&timed->works, 1, memory_order_relaxed);
    for (volatile int i = 0; i < 500; i++) {
    }
    return 0;
}

static void count(struct timed *timed, int status)
{
    struct source *source = timed->source;
    int works = atomic_load_explicit(&timed->works, memory_order_relaxed);
    CHECK(atomic_load(&timed->dones) == 0);
    CHECK(works == (status == 0));
    CHECK(status == 0 || status == -ETIMEDOUT || status == -ECANCELED);
    CHECK(status != -ETIMEDOUT || (timed->job.deadline_s > 0 && timed->job.deadline_s < 3600));
    CHECK(status != -ECANCELED || timed->wanted_to_cancel);
    atomic_fetch_add(status == 0            ? &source->ran
                     : status == -ETIMEDOUT ? &source->timed_out
                                            : &source->cancelled,
                     1);
}

static void plain_done(loomp_job *job, int status)
{
    struct timed *timed = LOOMP_CONTAINER(job, struct timed, job);
    count(timed, status);
    atomic_store_explicit(&timed->dones, 1, memory_order_release); /* the submitter uses it again */
}

static void prepare(struct timed *timed, struct source *source, loomp_done_fn done)
{
    loomp_job_init(&timed->job, timed_work, done);
    timed->job.kind = next_random(source) % 61 ? LOOMP_SERIAL : LOOMP_GANG;
    timed->job.priority = (int32_t)(next_random(source) % 3) - 1;
    timed->job.deadline_s = some_deadline(source);
    timed->job.flags = next_random(source) % 16 ? 0 : LOOMP_UNTRACKED;
    timed->source = source;
    timed->wanted_to_cancel = false;
    atomic_store_explicit(&timed->works, 0, memory_order_relaxed);
    atomic_store_explicit(&timed->dones, 0, memory_order_relaxed);
}

static bool submit(struct timed *timed)
{
    struct source *source = timed->source;
    bool blocking = timed->job.kind == LOOMP_SERIAL && next_random(source) % 8 == 0;
    int err = blocking ? loomp_submit_blocking(source->runtime, &timed->job)
                       : loomp_submit(source->runtime, &timed->job);
    CHECK(err == 0 || err == -EAGAIN);
    atomic_fetch_add(err ? &source->refused : &source->accepted, 1);
    return err == 0;
}

static void *submit_plainly(void *arg)
{
    struct source *source = arg;
    for (long i = 0; i < source->to_submit; i++) {
        struct timed *timed = &source->jobs[i % WINDOW];
        while (i >= WINDOW && !atomic_load_explicit(&timed->dones, memory_order_acquire)) {
            sched_yield();
        }
        prepare(timed, source, plain_done);
        timed->job.home = next_random(source) % 2 ? source->loop : NULL;
        if (!submit(timed)) {
            atomic_store(&timed->dones, 1);
        }
    }
    return NULL;
}

/* Those that are untracked, too, which nobody else waits for before the next round. */
static void wait_for_all(struct source *source)
{
    for (long i = 0; i < WINDOW && i < source->to_submit; i++) {
        while (!atomic_load_explicit(&source->jobs[i].dones, memory_order_acquire)) {
            sched_yield();
        }
    }
}

static void loop_done(loomp_job *job, int status);

static void submit_on_loop(struct timed *timed)
{
    struct source *source = timed->source;
    while (source->to_submit > 0) {
        source->to_submit--;
        prepare(timed, source, loop_done);
        if (submit(timed)) {
            return;
        }
        atomic_store(&timed->dones, 1);
    }
}

/* On the loop that is home to all of them it knows which are done, and so which it may cancel. */
static void loop_done(loomp_job *job, int status)
{
    struct timed *timed = LOOMP_CONTAINER(job, struct timed, job);
    struct source *source = timed->source;
    CHECK(loomp_loop_here() == source->loop);
    count(timed, status);
    atomic_store(&timed->dones, 1);
    submit_on_loop(timed);
    struct timed *other = &source->jobs[next_random(source) % WINDOW];
    if (next_random(source) % 4 == 0 && other->source && !atomic_load(&other->dones)) {
        other->wanted_to_cancel = true;
        loomp_cancel(&other->job);
    }
}

static void start_on_loop(loomp_loop *loop, void *arg)
{
    struct source *source = arg;
    CHECK(loomp_loop_here() == loop);
    for (int i = 0; i < WINDOW; i++) {
        source->jobs[i].source = source;
        submit_on_loop(&source->jobs[i]);
    }
}

static void init_source(struct source *source, loomp_runtime *runtime, loomp_loop *loop, unsigned i,
                        long jobs)
{
    source->runtime = runtime;
    source->loop = loop;
    source->random = 12345 + 999 * i;
    source->to_submit = jobs;
    for (int j = 0; j < WINDOW; j++) {
        source->jobs[j].dones = 1;
    }
}

static void check_source(struct source *source)
{
    CHECK(source->accepted == source->ran + source->timed_out + source->cancelled);
    CHECK(source->ran > 0 && source->timed_out > 0);
}

static void run_everywhere(const char *const *settings)
{
    loomp_runtime *runtime = runtime_with(workers_under_test(), settings);
    struct source *sources = calloc(SOURCES, sizeof *sources);
    if (!runtime || !sources) {
        return;
    }
    pthread_t threads[PLAIN_THREADS];
    for (unsigned i = 0; i < SOURCES; i++) {
        init_source(&sources[i], runtime, loomp_loop_at(runtime, i % LOOPS), i,
                    jobs_in_all() / SOURCES / 2);
        if (i < LOOPS) {
            CHECK(loomp_post(sources[i].loop, start_on_loop, &sources[i]) == 0);
        } else {
            pthread_create(&threads[i - LOOPS], NULL, submit_plainly, &sources[i]);
        }
    }
    for (int i = 0; i < PLAIN_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < SOURCES; i++) {
        check_source(&sources[i]);
    }
    free(sources);
}

TEST(deadlines_about_the_start_of_their_jobs_end_each_job_once)
{
    run_everywhere((const char *const[]){"io.threads", "2", NULL});
}

TEST(the_same_with_queues_that_are_always_full)
{
    run_everywhere((const char *const[]){"io.threads", "2", "queue_limit", "16", "queue_policy",
                                         "block", NULL});
}

/* Each round attaches a loop, which other threads make the home of their jobs, and detaches it as
 * soon as they have submitted: the alarms that are left must not outlive it. */
TEST(attached_loops_come_and_go_under_deadlines)
{
    loomp_runtime *runtime = runtime_under_test();
    struct source *sources = calloc(PLAIN_THREADS, sizeof *sources);
    if (!runtime || !sources) {
        return;
    }
    struct ev_loop *ev = ev_loop_new(0);
    long rounds = jobs_in_all() / 4000;
    for (long round = 0; round < rounds; round++) {
        loomp_loop *loop;
        pthread_t threads[PLAIN_THREADS];
        CHECK(loomp_attach(runtime, ev, &loop) == 0);
        for (unsigned i = 0; i < PLAIN_THREADS; i++) {
            struct source *source = &sources[i];
            init_source(source, runtime, loop, i + (unsigned)round * 7, WINDOW);
            source->accepted = source->ran = source->timed_out = source->cancelled = 0;
            pthread_create(&threads[i], NULL, submit_plainly, source);
        }
        ev_run(ev, EVRUN_NOWAIT);
        for (int i = 0; i < PLAIN_THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        CHECK(loomp_detach(loop) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(ev_run(ev, EVRUN_NOWAIT) == 0);
        for (int i = 0; i < PLAIN_THREADS; i++) {
            wait_for_all(&sources[i]);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
    for (int i = 0; i < PLAIN_THREADS; i++) {
        check_source(&sources[i]);
    }
    ev_loop_destroy(ev);
    free(sources);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
