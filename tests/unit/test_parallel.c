/* SPDX-License-Identifier: MIT */
/* Parallel loops, reductions and joins, from every kind of thread. */
#define SUITE "parallel"
#include "recorded_job.h"

#include <loomp/site.h>

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/* ---- where a call is made ------------------------------------------------------------------------ */

enum where { PLAIN, SERIAL, BLOCKING, DONE, GANG, REGION, PLACES };

/* A function that is called there, and what it calls. */
struct place {
    loomp_job job;
    loomp_runtime *runtime;
    void (*fn)(loomp_runtime *runtime, void *arg);
    void *arg;
};

static int call_in_work(loomp_job *job)
{
    struct place *place = LOOMP_CONTAINER(job, struct place, job);
    place->fn(place->runtime, place->arg);
    return 0;
}

static int call_in_region(loomp_job *job)
{
    struct place *place = LOOMP_CONTAINER(job, struct place, job);
#pragma omp parallel
#pragma omp single
    place->fn(place->runtime, place->arg);
    return 0;
}

static int do_nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static void call_in_done(loomp_job *job, int status)
{
    CHECK(status == 0);
    call_in_work(job);
}

static void call_at(enum where where, loomp_runtime *runtime,
                    void (*fn)(loomp_runtime *runtime, void *arg), void *arg)
{
    if (where == PLAIN) {
        fn(runtime, arg);
        return;
    }
    struct place place = {.runtime = runtime, .fn = fn, .arg = arg};
    loomp_job_init(&place.job,
                   where == DONE     ? do_nothing
                   : where == REGION ? call_in_region
                                     : call_in_work,
                   where == DONE ? call_in_done : NULL);
    place.job.kind = where == GANG || where == REGION ? LOOMP_GANG : LOOMP_SERIAL;
    CHECK((where == BLOCKING ? loomp_submit_blocking : loomp_submit)(runtime, &place.job) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
}

/* ---- loops ----------------------------------------------------------------------------------------- */

enum { MOST_INDICES = 5000 };

struct marks {
    int64_t begin, end, grain;
    int64_t most; /* indices of a chunk */
    int result;
    _Atomic int hits[MOST_INDICES];
};

static int mark(int64_t begin, int64_t end, void *arg)
{
    struct marks *marks = arg;
    CHECK(begin < end && end - begin <= marks->most);
    CHECK(begin >= marks->begin && end <= marks->end);
    for (int64_t i = begin; i < end; i++) {
        marks->hits[i - marks->begin]++;
    }
    return 0;
}

static void run_marks(loomp_runtime *runtime, void *arg)
{
    struct marks *marks = arg;
    marks->result = loomp_for(runtime, marks->begin, marks->end, marks->grain, mark, marks);
}

static bool each_once(struct marks *marks)
{
    for (int64_t i = 0; i < MOST_INDICES; i++) {
        if (marks->hits[i] != (i < marks->end - marks->begin)) {
            return false;
        }
    }
    return true;
}

static void check_ranges(enum where where)
{
    static const int64_t lengths[] = {0, 1, 2, 7, 64, 1009, MOST_INDICES};
    static const int64_t begins[] = {0, 13, -500, INT64_MIN, INT64_MAX - MOST_INDICES};
    static const int64_t grains[] = {0, 1, 3, 100, MOST_INDICES, INT64_MAX};
    static struct marks marks;
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int l = 0; l < 7; l++) {
        for (int b = 0; b < 5; b++) {
            for (int g = 0; g < 6; g++) {
                memset((void *)&marks, 0, sizeof marks);
                marks.begin = begins[b];
                marks.end = begins[b] + lengths[l];
                marks.grain = grains[g];
                marks.most = grains[g] ? grains[g] : lengths[l]; /* 0: as it has learnt */
                marks.result = 12345;
                call_at(where, runtime, run_marks, &marks);
                CHECK(marks.result == 0);
                CHECK(each_once(&marks));
            }
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* Used here only, so that nothing is known of it before. */
static int mark_unknown(int64_t begin, int64_t end, void *arg)
{
    return mark(begin, end, arg);
}

TEST(a_grain_of_0_is_an_eighth_of_a_threads_share_where_nothing_is_known)
{
    static struct marks marks;
    loomp_runtime *runtime = runtime_under_test();
    int64_t parts = 8 * loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    marks = (struct marks){.end = MOST_INDICES, .most = MOST_INDICES / parts};
    CHECK(loomp_for(runtime, 0, MOST_INDICES, 0, mark_unknown, &marks) == 0);
    CHECK(each_once(&marks));
    CHECK(loomp_stop(runtime) == 0);
}

static int count_chunks(int64_t begin, int64_t end, void *arg)
{
    (void)begin;
    (void)end;
    atomic_fetch_add((_Atomic int *)arg, 1);
    return 0;
}

TEST(a_body_of_nothing_is_soon_called_with_large_chunks)
{
    loomp_runtime *runtime = runtime_under_test();
    _Atomic int chunks = 0;
    int fewest = MOST_INDICES;
    for (int i = 0; i < 1000; i++) {
        chunks = 0;
        CHECK(loomp_for(runtime, 0, MOST_INDICES, 0, count_chunks, (void *)&chunks) == 0);
        fewest = chunks < fewest ? chunks : fewest;
    }
    CHECK(fewest == 1); /* 5,000 indices of nothing are less than 2 us, however busy the machine is */
    CHECK(loomp_stop(runtime) == 0);
}

TEST(every_index_once_from_a_plain_thread)
{
    check_ranges(PLAIN);
}

TEST(every_index_once_in_a_SERIAL_job)
{
    check_ranges(SERIAL);
}

TEST(every_index_once_in_a_blocking_job)
{
    check_ranges(BLOCKING);
}

TEST(every_index_once_in_done_on_the_team)
{
    check_ranges(DONE);
}

TEST(every_index_once_in_a_GANG_between_its_regions)
{
    check_ranges(GANG);
}

TEST(every_index_once_inside_a_region_of_a_GANG)
{
    check_ranges(REGION);
}

static int add_length(int64_t begin, int64_t end, void *arg)
{
    CHECK(begin < end);
    atomic_fetch_add((_Atomic uint64_t *)arg, (uint64_t)end - (uint64_t)begin);
    return 0;
}

TEST(ranges_as_long_as_there_are_integers_are_covered)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static const int64_t grains[] = {0, INT64_MAX, INT64_MAX / 2, (int64_t)1 << 55};
    for (int g = 0; g < 4; g++) {
        _Atomic uint64_t length = 0;
        CHECK(loomp_for(runtime, INT64_MIN, INT64_MAX, grains[g], add_length, &length) == 0);
        CHECK(length == UINT64_MAX);
    }
    _Atomic uint64_t none = 0;
    CHECK(loomp_for(runtime, INT64_MAX, INT64_MIN, 1, add_length, &none) == 0);
    CHECK(loomp_for(runtime, 5, 5, 0, add_length, &none) == 0);
    CHECK(none == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- who takes part --------------------------------------------------------------------------------- */

struct meeting {
    struct gate gate;
    int threads;
    pthread_t main;
    _Atomic int on_main;
    _Atomic unsigned indices; /* bit i: the thread of compute with that index */
    int result;
};

/* Each of as many chunks as there are threads waits until all are there. */
static int meet(int64_t begin, int64_t end, void *arg)
{
    (void)begin;
    (void)end;
    struct meeting *meeting = arg;
    meeting->on_main += pthread_equal(pthread_self(), meeting->main) != 0;
    int index = loomp_thread_index(loomp_pool_named(loomp_default(), "compute"));
    atomic_fetch_or(&meeting->indices, 1u << (index & 31));
    gate_arrive(&meeting->gate);
    gate_wait_for_arrivals(&meeting->gate, meeting->threads);
    return 0;
}

static void run_meeting(loomp_runtime *runtime, void *arg)
{
    struct meeting *meeting = arg;
    meeting->result = loomp_for(runtime, 0, meeting->threads, 1, meet, meeting);
}

static void check_meeting(enum where where)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (int round = 0; round < 20; round++) {
        struct meeting meeting = {
            .threads = loomp_pool_threads(loomp_pool_named(runtime, "compute")),
            .main = pthread_self()};
        gate_init(&meeting.gate);
        call_at(where, runtime, run_meeting, &meeting);
        CHECK(meeting.result == 0);
        CHECK(meeting.on_main == 0);
        CHECK(meeting.gate.arrived == meeting.threads);
        CHECK(meeting.indices == (1u << meeting.threads) - 1);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_plain_thread_waits_and_every_worker_takes_part)
{
    check_meeting(PLAIN);
}

TEST(a_SERIAL_job_and_the_other_workers_take_part)
{
    check_meeting(SERIAL);
}

TEST(a_blocking_job_waits_and_every_worker_takes_part)
{
    check_meeting(BLOCKING);
}

TEST(a_GANG_has_its_own_team_take_part)
{
    check_meeting(GANG);
}

static int on_one_thread(int64_t begin, int64_t end, void *arg)
{
    (void)begin;
    (void)end;
    return pthread_equal(*(pthread_t *)arg, pthread_self()) ? 0 : -EXDEV;
}

static void run_on_one_thread(loomp_runtime *runtime, void *arg)
{
    (void)arg;
    pthread_t self = pthread_self();
    CHECK(loomp_for(runtime, 0, 100, 1, on_one_thread, &self) == 0);
}

TEST(inside_a_region_the_caller_does_all)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    if (loomp_pool_threads(loomp_pool_named(runtime, "compute")) > 1) {
        call_at(REGION, runtime, run_on_one_thread, NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int count_region(int64_t begin, int64_t end, void *arg)
{
    int threads = 0;
#pragma omp parallel reduction(+ : threads)
    threads += 1;
    atomic_fetch_add((_Atomic int *)arg, threads * (int)(end - begin));
    return 0;
}

static void run_count_region(loomp_runtime *runtime, void *arg)
{
    CHECK(loomp_for(runtime, 0, 64, 1, count_region, arg) == 0);
}

TEST(chunks_are_isolated_as_SERIAL_jobs_are)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (enum where where = PLAIN; where <= DONE; where++) {
        _Atomic int threads = 0;
        call_at(where, runtime, run_count_region, &threads);
        CHECK(threads == 64);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* The caller ends its loop while the other workers are held: it does not wait for helpers that they
 * would have to start. */
TEST(helpers_that_have_not_started_are_not_waited_for)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job held[MOST_WORKERS];
    struct gate gate;
    gate_init(&gate);
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (int i = 0; i < workers - 1; i++) {
        recorded_init(&held[i], &gate);
        CHECK(loomp_submit(runtime, &held[i].job) == 0);
    }
    gate_wait_for_arrivals(&gate, workers - 1);
    static struct marks marks;
    for (int i = 0; i < 50; i++) {
        memset((void *)&marks, 0, sizeof marks);
        marks.end = 1000;
        marks.grain = marks.most = 1;
        run_marks(runtime, &marks);
        CHECK(marks.result == 0 && each_once(&marks));
    }
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* Nobody has to call anything for it, so nobody has to have time. */
TEST(a_job_without_done_that_is_withdrawn_leaves_its_group_at_once)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static struct recorded_job held[MOST_WORKERS];
    struct gate gate;
    gate_init(&gate);
    hold_all_workers(runtime, held, &gate);
    loomp_group group;
    loomp_group_init(&group, runtime);
    loomp_job job = LOOMP_JOB_INIT(do_nothing, NULL);
    job.group = &group;
    CHECK(loomp_submit(runtime, &job) == 0);
    CHECK(loomp_cancel(&job) == 0);
    CHECK(loomp_group_wait(&group, 0) == -ECANCELED);
    gate_open(&gate);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- several and nested ------------------------------------------------------------------------------ */

static void *mark_often(void *arg)
{
    loomp_runtime *runtime = arg;
    struct marks *marks = calloc(1, sizeof *marks);
    for (int i = 0; i < 100; i++) {
        memset((void *)marks, 0, sizeof *marks);
        marks->end = 997;
        marks->grain = marks->most = 10;
        run_marks(runtime, marks);
        CHECK(marks->result == 0 && each_once(marks));
    }
    free(marks);
    return NULL;
}

TEST(several_plain_threads_at_once)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, mark_often, runtime);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct grid {
    loomp_runtime *runtime;
    int64_t row;
    _Atomic int (*hits)[50];
};

static int mark_columns(int64_t begin, int64_t end, void *arg)
{
    struct grid *grid = arg;
    for (int64_t i = begin; i < end; i++) {
        grid->hits[grid->row][i]++;
    }
    return 0;
}

static int mark_rows(int64_t begin, int64_t end, void *arg)
{
    struct grid row = *(struct grid *)arg;
    int err = 0;
    for (row.row = begin; row.row < end && !err; row.row++) {
        err = loomp_for(row.runtime, 0, 50, 3, mark_columns, &row);
    }
    return err;
}

static void run_grid(loomp_runtime *runtime, void *arg)
{
    (void)arg;
    static _Atomic int hits[40][50];
    memset((void *)hits, 0, sizeof hits);
    struct grid grid = {.runtime = runtime, .hits = hits};
    CHECK(loomp_for(runtime, 0, 40, 1, mark_rows, &grid) == 0);
    for (int i = 0; i < 40; i++) {
        for (int j = 0; j < 50; j++) {
            CHECK(hits[i][j] == 1);
        }
    }
}

TEST(a_loop_in_a_loop)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (enum where where = PLAIN; where < PLACES; where++) {
        call_at(where, runtime, run_grid, NULL);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- errors ------------------------------------------------------------------------------------------- */

struct failing {
    int64_t at;
    _Atomic int chunks;
    int result;
};

static int fail_there(int64_t begin, int64_t end, void *arg)
{
    struct failing *failing = arg;
    failing->chunks++;
    return begin <= failing->at && failing->at < end ? -EDOM : 0;
}

static void run_failing(loomp_runtime *runtime, void *arg)
{
    struct failing *failing = arg;
    failing->result = loomp_for(runtime, INT64_MIN, INT64_MAX, 1, fail_there, failing);
}

TEST(an_error_ends_the_loop)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    int threads = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (enum where where = PLAIN; where < PLACES; where++) {
        for (int at = 0; at < 100; at += 33) {
            struct failing failing = {.at = INT64_MIN + at};
            call_at(where, runtime, run_failing, &failing);
            CHECK(failing.result == -EDOM);
            /* Each other thread may have had one before it that did not begin. */
            CHECK(failing.chunks > at - threads);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct endless {
    loomp_job job;
    struct gate begun;
    _Atomic int result;
    bool inside_body;
};

/* A chunk that ends only when it is cancelled, or one of very many. */
static int until_cancelled(int64_t begin, int64_t end, void *arg)
{
    (void)begin;
    (void)end;
    struct endless *endless = arg;
    gate_arrive(&endless->begun);
    while (endless->inside_body && !loomp_cancelled()) {
        sched_yield();
    }
    return 0;
}

static int run_endless(loomp_job *job)
{
    struct endless *endless = LOOMP_CONTAINER(job, struct endless, job);
    endless->result =
        loomp_for(loomp_current(), 0, INT64_MAX, 1, until_cancelled, endless);
    return 0;
}

static void check_cancel(uint32_t kind, bool inside_body)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct endless endless = {.inside_body = inside_body};
    gate_init(&endless.begun);
    loomp_job_init(&endless.job, run_endless, NULL);
    endless.job.kind = kind;
    CHECK(loomp_submit(runtime, &endless.job) == 0);
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    gate_wait_for_arrivals(&endless.begun, inside_body ? workers : 1);
    CHECK(loomp_cancel(&endless.job) == -EINPROGRESS);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(endless.result == -ECANCELED);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(cancelling_the_job_around_it_ends_a_loop_between_chunks)
{
    check_cancel(LOOMP_SERIAL, false);
    check_cancel(LOOMP_GANG, false);
}

TEST(the_chunks_of_all_threads_see_that_the_job_around_is_cancelled)
{
    check_cancel(LOOMP_SERIAL, true);
    check_cancel(LOOMP_GANG, true);
}

TEST(stop_now_ends_a_loop)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct endless endless = {.inside_body = true};
    gate_init(&endless.begun);
    loomp_job_init(&endless.job, run_endless, NULL);
    CHECK(loomp_submit(runtime, &endless.job) == 0);
    gate_wait_for_arrivals(&endless.begun, 1);
    CHECK(loomp_stop_now(runtime) == 0);
    CHECK(endless.result == -ECANCELED);
}

static void run_with_negative_grain(loomp_loop *loop, void *arg)
{
    (void)arg;
    _Atomic uint64_t length = 0;
    loomp_runtime *runtime = loomp_current();
    CHECK(loomp_for(runtime, 0, 10, 1, add_length, &length) == -EDEADLK);
    CHECK(strstr(loomp_error(), "loop") != NULL);
    CHECK(loomp_for_async(loop, 0, 10, -1, add_length, &length, NULL) == -EINVAL);
    CHECK(loomp_for_async(loop, 0, 10, 1, add_length, &length, NULL) == -EINVAL);
    CHECK(length == 0);
}

static void no_done(int status, void *arg)
{
    (void)status;
    (void)arg;
    CHECK(false);
}

TEST(wrong_arguments_and_wrong_threads_are_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    _Atomic uint64_t length = 0;
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    CHECK(loomp_for(NULL, 0, 10, 1, add_length, &length) == -EINVAL);
    CHECK(loomp_for(runtime, 0, 10, 1, NULL, &length) == -EINVAL);
    CHECK(loomp_for(runtime, 0, 10, -1, add_length, &length) == -EINVAL);
    CHECK(strstr(loomp_error(), "grain") != NULL);
    CHECK(loomp_for_async(loop, 0, 10, 1, add_length, &length, no_done) == -EPERM);
    CHECK(loomp_for_async(NULL, 0, 10, 1, add_length, &length, no_done) == -EINVAL);
    on_loop(loop, run_with_negative_grain, NULL);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_for(runtime, 0, 10, 1, add_length, &length) == -ESHUTDOWN);
    CHECK(length == 0);
}

/* Everybody is held, and the queue of one is full. */
TEST(with_a_full_queue_a_plain_thread_is_refused_and_a_worker_goes_on_alone)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(), (const char *const[]){"queue_limit", "1", NULL});
    if (!runtime) {
        return;
    }
    static struct recorded_job held[MOST_WORKERS + 1];
    struct gate gate;
    gate_init(&gate);
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    static struct marks marks;
    memset((void *)&marks, 0, sizeof marks);
    marks.end = 100;
    marks.grain = marks.most = 1;
    for (int i = 0; i < workers; i++) {
        recorded_init(&held[i], &gate);
        CHECK(loomp_submit(runtime, &held[i].job) == 0);
        gate_wait_for_arrivals(&gate, i + 1);
    }
    recorded_init(&held[workers], &gate);
    CHECK(loomp_submit(runtime, &held[workers].job) == 0);
    run_marks(runtime, &marks);
    CHECK(marks.result == -EAGAIN);
    CHECK(marks.hits[0] == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    call_at(SERIAL, runtime, run_marks, &marks);
    CHECK(marks.result == 0 && each_once(&marks));
    CHECK(loomp_stop(runtime) == 0);
}

TEST(where_the_caller_runs_what_is_too_much_a_plain_thread_does_it)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(),
                     (const char *const[]){"queue_limit", "1", "queue_policy", "caller_runs", NULL});
    if (!runtime) {
        return;
    }
    static struct recorded_job held[MOST_WORKERS + 1];
    struct gate gate;
    gate_init(&gate);
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    for (int i = 0; i < workers; i++) {
        recorded_init(&held[i], &gate);
        CHECK(loomp_submit(runtime, &held[i].job) == 0);
        gate_wait_for_arrivals(&gate, i + 1);
    }
    recorded_init(&held[workers], &gate);
    CHECK(loomp_submit(runtime, &held[workers].job) == 0);
    static struct marks marks;
    memset((void *)&marks, 0, sizeof marks);
    marks.end = 100;
    marks.grain = marks.most = 1;
    run_marks(runtime, &marks);
    CHECK(marks.result == 0 && each_once(&marks));
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- asynchronous ------------------------------------------------------------------------------------- */

struct asynchronous {
    struct marks marks;
    int64_t fails_at;
    int started;
    bool returned;
    struct gate ended;
    int status;
    loomp_loop *done_loop;
};

static int mark_or_fail(int64_t begin, int64_t end, void *arg)
{
    struct asynchronous *a = arg;
    return begin <= a->fails_at && a->fails_at < end ? -EDOM : mark(begin, end, &a->marks);
}

static void asynchronous_done(int status, void *arg)
{
    struct asynchronous *a = arg;
    CHECK(a->returned);
    a->status = status;
    a->done_loop = loomp_loop_here();
    gate_arrive(&a->ended);
}

static void start_asynchronous(loomp_loop *loop, void *arg)
{
    struct asynchronous *a = arg;
    a->started = loomp_for_async(loop, a->marks.begin, a->marks.end, a->marks.grain, mark_or_fail,
                                 a, asynchronous_done);
    a->returned = true;
}

TEST(from_a_loop_done_is_called_there_after_the_last_chunk)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    static struct asynchronous a;
    for (int i = 0; i < 40; i++) {
        memset((void *)&a, 0, sizeof a);
        gate_init(&a.ended);
        a.fails_at = i % 2 ? 500 : -1;
        a.marks.end = i < 2 ? 0 : 1001;
        a.marks.grain = a.marks.most = 1 + i % 7;
        on_loop(loop, start_asynchronous, &a);
        CHECK(a.started == 0);
        gate_wait_for_arrivals(&a.ended, 1);
        CHECK(a.done_loop == loop);
        bool fails = a.fails_at >= 0 && a.marks.end > 0;
        CHECK(a.status == (fails ? -EDOM : 0));
        CHECK(fails || each_once(&a.marks));
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- reductions ---------------------------------------------------------------------------------------- */

static void start_sum(void *partial, void *arg)
{
    (void)arg;
    *(double *)partial = 0;
}

/* Terms whose sum depends on the order. */
static int sum_body(int64_t begin, int64_t end, void *partial, void *arg)
{
    (void)arg;
    double *sum = partial;
    for (int64_t i = begin; i < end; i++) {
        *sum += (i % 3 ? 1. : -1e10) / (double)(2 * i + 1);
    }
    return 0;
}

static void combine_sums(void *into, const void *from, void *arg)
{
    (void)arg;
    *(double *)into += *(const double *)from;
}

static const struct loomp_reduction sum = {sizeof(double), start_sum, sum_body, combine_sums};

struct reducing {
    int64_t grain;
    double result;
    int error;
};

static void run_sum(loomp_runtime *runtime, void *arg)
{
    struct reducing *reducing = arg;
    reducing->error = loomp_for_reduce(runtime, -70000, 130001, reducing->grain, &sum,
                                       &reducing->result, NULL);
}

TEST(a_sum_is_the_same_to_the_last_bit_in_all_repetitions_and_places)
{
    static const int64_t grains[] = {1, 7, 1000, 1000000};
    double first[4];
    for (int workers = 1; workers <= 2; workers++) {
        loomp_runtime *runtime = runtime_with(workers, NULL);
        if (!runtime) {
            return;
        }
        for (int g = 0; g < 4; g++) {
            for (int i = 0; i < 50; i++) {
                struct reducing reducing = {.grain = grains[g]};
                call_at((enum where)(i % PLACES), runtime, run_sum, &reducing);
                CHECK(reducing.error == 0);
                if (i == 0 && workers == 1) {
                    first[g] = reducing.result;
                }
                CHECK(memcmp(&first[g], &reducing.result, sizeof first[g]) == 0);
            }
        }
        CHECK(loomp_stop(runtime) == 0);
    }
    CHECK(first[1] != first[2]); /* or the order would not have mattered */
}

TEST(without_a_grain_a_sum_is_the_same_in_all_repetitions)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct reducing first = {0};
    run_sum(runtime, &first);
    for (int i = 0; i < 50; i++) {
        struct reducing again = {0};
        run_sum(runtime, &again);
        CHECK(again.error == 0 && memcmp(&first.result, &again.result, sizeof first.result) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* The indices seen, in an order that combine must keep: a partial result is a run of indices. */
struct run {
    int64_t begin, end;
    char large[70000];
};

static void start_run(void *partial, void *arg)
{
    (void)arg;
    struct run *run = partial;
    run->begin = run->end = INT64_MIN;
}

static int extend_run(int64_t begin, int64_t end, void *partial, void *arg)
{
    struct run *run = partial;
    CHECK((uintptr_t)run % sizeof(int64_t) == 0);
    if (run->begin == INT64_MIN) {
        run->begin = begin;
    } else {
        CHECK(run->end == begin);
    }
    run->end = end;
    CHECK(end - begin <= *(int64_t *)arg);
    return 0;
}

static void append_run(void *into, const void *from, void *arg)
{
    (void)arg;
    struct run *run = into;
    CHECK(run->end == ((const struct run *)from)->begin);
    run->end = ((const struct run *)from)->end;
}

TEST(partials_are_combined_in_the_order_of_their_indices_and_bounded_in_number)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static const size_t bytes[] = {2 * sizeof(int64_t), 100, sizeof(struct run)};
    static const int64_t grains[] = {1, 3, 100000};
    static struct run result;
    for (int b = 0; b < 3; b++) {
        for (int g = 0; g < 3; g++) {
            int64_t grain = grains[g];
            struct loomp_reduction runs = {bytes[b], start_run, extend_run, append_run};
            CHECK(loomp_for_reduce(runtime, -50000, 50001, grain, &runs, &result, &grain) == 0);
            CHECK(result.begin == -50000 && result.end == 50001);
        }
    }
    int64_t huge = INT64_MAX;
    struct loomp_reduction runs = {bytes[0], start_run, extend_run, append_run};
    CHECK(loomp_for_reduce(runtime, INT64_MIN + 1, INT64_MAX, huge, &runs, &result, &huge) == 0);
    CHECK(result.begin == INT64_MIN + 1 && result.end == INT64_MAX);
    CHECK(loomp_stop(runtime) == 0);
}

static int fail_reduction(int64_t begin, int64_t end, void *partial, void *arg)
{
    (void)end;
    (void)partial;
    (void)arg;
    return begin == 77 ? -EDOM : 0;
}

TEST(reductions_of_nothing_and_those_that_fail)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    double result = 5;
    CHECK(loomp_for_reduce(runtime, 3, 3, 1, &sum, &result, NULL) == 0);
    CHECK(result == 0);
    struct loomp_reduction bad = sum;
    bad.body = fail_reduction;
    CHECK(loomp_for_reduce(runtime, 0, INT64_MAX, 1, &bad, &result, NULL) == -EDOM);
    bad.combine = NULL;
    CHECK(loomp_for_reduce(runtime, 0, 1, 1, &bad, &result, NULL) == -EINVAL);
    CHECK(strstr(loomp_error(), "combine") != NULL);
    bad = sum;
    bad.bytes = 0;
    CHECK(loomp_for_reduce(runtime, 0, 1, 1, &bad, &result, NULL) == -EINVAL);
    CHECK(loomp_for_reduce(runtime, 0, 1, 1, NULL, &result, NULL) == -EINVAL);
    CHECK(loomp_for_reduce(runtime, 0, 1, 1, &sum, NULL, NULL) == -EINVAL);
    CHECK(loomp_for_reduce(runtime, 0, 1, -1, &sum, &result, NULL) == -EINVAL);
    CHECK(loomp_for_reduce(NULL, 0, 1, 1, &sum, &result, NULL) == -EINVAL);
    bad.bytes = SIZE_MAX / 2;
    CHECK(loomp_for_reduce(runtime, 0, 10, 1, &bad, &result, NULL) == 0); /* in one piece */
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- joins ----------------------------------------------------------------------------------------------- */

struct fibonacci {
    loomp_runtime *runtime;
    int n;
    long result;
};

static int fibonacci(void *arg)
{
    struct fibonacci *self = arg;
    if (self->n < 2) {
        self->result = self->n;
        return 0;
    }
    struct fibonacci a = {self->runtime, self->n - 1, -1}, b = {self->runtime, self->n - 2, -1};
    int err = loomp_join(self->runtime, fibonacci, &a, fibonacci, &b);
    self->result = a.result + b.result;
    return err;
}

static void run_fibonacci(loomp_runtime *runtime, void *arg)
{
    struct fibonacci f = {runtime, *(int *)arg, -1};
    CHECK(fibonacci(&f) == 0);
    CHECK(f.result == (f.n == 20 ? 6765 : 610));
}

TEST(joins_nest_to_any_depth)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    for (enum where where = PLAIN; where < PLACES; where++) {
        int n = where == SERIAL ? 20 : 15;
        call_at(where, runtime, run_fibonacci, &n);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct side {
    int result;
    struct gate *gate;
    _Atomic int calls;
    pthread_t thread;
};

static int one_side(void *arg)
{
    struct side *side = arg;
    side->calls++;
    side->thread = pthread_self();
    if (side->gate) {
        gate_arrive(side->gate);
        gate_wait_for_arrivals(side->gate, 2);
    }
    return side->result;
}

static void run_sides(loomp_runtime *runtime, void *arg)
{
    struct side *sides = arg;
    int result = loomp_join(runtime, one_side, &sides[0], one_side, &sides[1]);
    CHECK(result == (sides[0].result ? sides[0].result : sides[1].result));
    CHECK(sides[0].calls == 1 && sides[1].calls == 1);
}

static void run_sides_here(loomp_runtime *runtime, void *arg)
{
    run_sides(runtime, arg);
    CHECK(pthread_equal(((struct side *)arg)[0].thread, pthread_self()));
}

TEST(the_first_function_runs_here_and_its_error_comes_first)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    static const int results[][2] = {{0, 0}, {-EDOM, 0}, {0, -ERANGE}, {-EDOM, -ERANGE}};
    for (enum where where = PLAIN; where < PLACES; where++) {
        bool here = where == SERIAL || where == DONE || where == GANG || where == REGION;
        for (int i = 0; i < 4; i++) {
            struct side sides[2] = {{.result = results[i][0]}, {.result = results[i][1]}};
            call_at(where, runtime, here ? run_sides_here : run_sides, sides);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(both_run_at_the_same_time_if_there_is_a_thread_for_each)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    if (!runtime) {
        return;
    }
    for (enum where where = PLAIN; where < REGION; where++) {
        struct gate gate;
        gate_init(&gate);
        struct side sides[2] = {{.gate = &gate}, {.gate = &gate}};
        call_at(where, runtime, run_sides, sides);
        CHECK(!pthread_equal(sides[0].thread, sides[1].thread));
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(with_a_full_queue_a_worker_joins_alone)
{
    loomp_runtime *runtime = runtime_with(
        workers_under_test(), (const char *const[]){"queue_limit", "1", NULL});
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 20; i++) {
        int n = 15;
        call_at(SERIAL, runtime, run_fibonacci, &n);
    }
    CHECK(loomp_stop(runtime) == 0);
}

struct cancelled_join {
    loomp_job job;
    struct gate begun;
    int expected; /* arrivals */
    int result;
};

static int side_until_cancelled(void *arg)
{
    struct cancelled_join *join = arg;
    gate_arrive(&join->begun);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    return 0;
}

static int join_until_cancelled(loomp_job *job)
{
    struct cancelled_join *join = LOOMP_CONTAINER(job, struct cancelled_join, job);
    join->result = loomp_join(loomp_current(), side_until_cancelled, join, side_until_cancelled,
                              join);
    return 0;
}

TEST(both_sides_see_that_the_job_around_is_cancelled)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    if (!runtime) {
        return;
    }
    for (int i = 0; i < 10; i++) {
        struct cancelled_join join = {.result = 1};
        gate_init(&join.begun);
        loomp_job_init(&join.job, join_until_cancelled, NULL);
        CHECK(loomp_submit(runtime, &join.job) == 0);
        gate_wait_for_arrivals(&join.begun, 2);
        CHECK(loomp_cancel(&join.job) == -EINPROGRESS);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(join.result == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void join_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct side *sides = arg;
    CHECK(loomp_join(loomp_current(), one_side, &sides[0], one_side, &sides[1]) == -EDEADLK);
}

TEST(joins_that_cannot_be_are_refused)
{
    loomp_runtime *runtime = runtime_under_test();
    if (!runtime) {
        return;
    }
    struct side sides[2] = {{.result = 0}, {.result = 0}};
    CHECK(loomp_join(NULL, one_side, &sides[0], one_side, &sides[1]) == -EINVAL);
    CHECK(loomp_join(runtime, NULL, NULL, one_side, &sides[1]) == -EINVAL);
    CHECK(loomp_join(runtime, one_side, &sides[0], NULL, NULL) == -EINVAL);
    on_loop(loomp_loop_at(runtime, 0), join_on_loop, sides);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_join(runtime, one_side, &sides[0], one_side, &sides[1]) == -ESHUTDOWN);
    CHECK(sides[0].calls == 0 && sides[1].calls == 0);
}

/* ---- inline ------------------------------------------------------------------------------------ */

/* All three in a job that runs on a loop. */
struct inline_forks {
    loomp_job job;
    loomp_runtime *runtime;
    struct marks marks;
    struct reducing sum;
    struct side sides[2];
    pthread_t thread;
    bool returned; /* the submission */
    bool refused;  /* outside the job */
};

static int mark_on_this_thread(int64_t begin, int64_t end, void *arg)
{
    struct inline_forks *forks = arg;
    CHECK(pthread_equal(pthread_self(), forks->thread));
    return mark(begin, end, &forks->marks);
}

static int fork_inline(loomp_job *job)
{
    struct inline_forks *forks = LOOMP_CONTAINER(job, struct inline_forks, job);
    struct marks *marks = &forks->marks;
    CHECK(!forks->returned && loomp_loop_here() != NULL);
    forks->thread = pthread_self();
    marks->result =
        loomp_for(forks->runtime, 0, marks->end, marks->grain, mark_on_this_thread, forks);
    run_sum(forks->runtime, &forks->sum);
    run_sides(forks->runtime, forks->sides);
    return 0;
}

static void submit_inline_forks(loomp_loop *loop, void *arg)
{
    (void)loop;
    struct inline_forks *forks = arg;
    CHECK(loomp_submit(forks->runtime, &forks->job) == 0);
    forks->returned = true;
    struct side sides[2] = {{.result = 0}, {.result = 0}};
    forks->refused =
        loomp_for(forks->runtime, 0, 1, 1, mark_on_this_thread, forks) == -EDEADLK &&
        loomp_for_reduce(forks->runtime, 0, 1, 1, &sum, &(double){0}, NULL) == -EDEADLK &&
        loomp_join(forks->runtime, one_side, &sides[0], one_side, &sides[1]) == -EDEADLK;
    CHECK(sides[0].calls == 0 && sides[1].calls == 0);
}

TEST(in_a_job_that_runs_inline_the_loop_does_all)
{
    static loomp_site site = LOOMP_SITE("forks inline", LOOMP_HINT_UNKNOWN);
    loomp_runtime *runtime = runtime_with(
        workers_under_test(), (const char *const[]){"sites.forks inline.arm", "inline", NULL});
    if (!runtime) {
        return;
    }
    struct reducing here = {.grain = 7};
    run_sum(runtime, &here);
    for (uint32_t i = 0; i < 9; i++) {
        static struct inline_forks forks;
        memset((void *)&forks, 0, sizeof forks);
        loomp_job_init(&forks.job, fork_inline, NULL);
        forks.job.kind = i % 3;
        forks.job.site = &site;
        forks.runtime = runtime;
        forks.marks.end = 1009;
        forks.marks.grain = forks.marks.most = 1 + i;
        forks.sum.grain = here.grain;
        forks.sides[i % 2].result = i > 4 ? -EDOM : 0;
        on_loop(loomp_loop_at(runtime, 0), submit_inline_forks, &forks);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(forks.marks.result == 0 && each_once(&forks.marks));
        CHECK(forks.sum.error == 0 && forks.sum.result == here.result);
        CHECK(pthread_equal(forks.sides[0].thread, forks.thread));
        CHECK(pthread_equal(forks.sides[1].thread, forks.thread));
        CHECK(forks.refused);
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
