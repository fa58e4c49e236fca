/* SPDX-License-Identifier: MIT */
/* loomp_yield and loomp_yield_local: one other job, here and now, inside the one that yields. */
#define SUITE "yield"
#include "patience.h"

#include <fenv.h>
#include <stdatomic.h>

enum { DEPTH = 16 };

/* A job that yields so many times and notes what came of it. */
struct yielding {
    loomp_job job;
    struct gate *gate; /* passed first */
    int (*yield)(void);
    int yields;
    int ran;     /* of them, those that answered 1 */
    int last;    /* the last answer */
    int depth;   /* how many were inside each other when it began, this one included */
    int order;
    struct yielding *submits;
    int count;
    bool cancelled_before, cancelled_after;
    int rounding;
};

static _Thread_local int inside;
static _Atomic int begun;

static int yielding_work(loomp_job *job)
{
    struct yielding *y = LOOMP_CONTAINER(job, struct yielding, job);
    y->order = atomic_fetch_add(&begun, 1);
    y->depth = ++inside;
    y->rounding = fegetround();
    if (y->gate) {
        gate_pass(y->gate);
    }
    y->cancelled_before = loomp_cancelled();
    for (int i = 0; i < y->count; i++) {
        CHECK(loomp_submit(loomp_current(), &y->submits[i].job) == 0);
    }
    for (int i = 0; i < y->yields; i++) {
        y->last = y->yield();
        y->ran += y->last == 1;
    }
    y->cancelled_after = loomp_cancelled();
    inside--;
    return 0;
}

static void yielding_init(struct yielding *y, int (*yield)(void), int yields)
{
    memset((void *)y, 0, sizeof *y);
    loomp_job_init(&y->job, yielding_work, NULL);
    y->yield = yield;
    y->yields = yields;
    y->last = -12345;
    y->order = -1;
}

/* One worker, at the gate in `first`; what is submitted now waits until it opens. */
static loomp_runtime *hold_one(struct yielding *first, struct gate *gate)
{
    loomp_runtime *runtime = runtime_with(1, NULL);
    atomic_store(&begun, 0);
    gate_init(gate);
    first->gate = gate;
    CHECK(loomp_submit(runtime, &first->job) == 0);
    gate_wait_for_arrivals(gate, 1);
    return runtime;
}

TEST(a_job_that_yields_runs_a_waiting_one_inside)
{
    struct gate gate;
    struct yielding first, second;
    yielding_init(&first, loomp_yield, 2);
    yielding_init(&second, loomp_yield, 0);
    loomp_runtime *runtime = hold_one(&first, &gate);
    CHECK(loomp_submit(runtime, &second.job) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.ran == 1 && first.last == 0);
    CHECK(second.depth == 2);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(yielding_answers_0_when_nobody_waits)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int i = 0; i < 2; i++) {
        struct yielding y;
        yielding_init(&y, i ? loomp_yield_local : loomp_yield, 3);
        CHECK(loomp_submit(runtime, &y.job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(y.last == 0 && y.ran == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static void yield_on_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    CHECK(loomp_yield() == -ENOENT);
    CHECK(loomp_yield_local() == -ENOENT);
}

static int yield_in_region(loomp_job *job)
{
    (void)job;
    CHECK(loomp_yield() == -ENOENT);
    CHECK(loomp_yield_local() == -ENOENT);
#pragma omp parallel
    {
        CHECK(loomp_yield() == -ENOENT);
        CHECK(loomp_yield_local() == -ENOENT);
    }
    return 0;
}

static int yield_by_tasks(loomp_job *job)
{
    (void)job;
    CHECK(loomp_yield() == -ENOENT);
#pragma omp task
    CHECK(loomp_yield_local() == -ENOENT);
    return 0;
}

static void yield_in_done(loomp_job *job, int status)
{
    (void)status;
    yield_on_loop(job->home, NULL);
}

TEST(elsewhere_yielding_answers_ENOENT)
{
    CHECK(loomp_yield() == -ENOENT);
    loomp_runtime *runtime = runtime_under_test();
    yield_on_loop(NULL, NULL);
    on_loop(loomp_loop_at(runtime, 0), yield_on_loop, NULL);
    loomp_job gang, tasks;
    loomp_job_init(&gang, yield_in_region, NULL);
    gang.kind = LOOMP_GANG;
    loomp_job_init(&tasks, yield_by_tasks, NULL);
    tasks.kind = LOOMP_TASKS;
    struct yielding y;
    yielding_init(&y, loomp_yield, 0);
    y.job.done = yield_in_done;
    y.job.home = loomp_loop_at(runtime, 0);
    CHECK(loomp_submit(runtime, &gang) == 0);
    CHECK(loomp_submit(runtime, &tasks) == 0);
    CHECK(loomp_submit(runtime, &y.job) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(loomp_yield() == -ENOENT);
}

TEST(at_most_sixteen_jobs_are_inside_each_other)
{
    enum { CHAIN = 40 };
    static struct yielding chain[CHAIN];
    struct gate gate;
    for (int i = 0; i < CHAIN; i++) {
        yielding_init(&chain[i], loomp_yield, 1);
    }
    loomp_runtime *runtime = hold_one(&chain[0], &gate);
    for (int i = 1; i < CHAIN; i++) {
        CHECK(loomp_submit(runtime, &chain[i].job) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    int deepest = 0;
    for (int i = 0; i < CHAIN; i++) {
        deepest = chain[i].depth > deepest ? chain[i].depth : deepest;
        CHECK(chain[i].order >= 0);
        /* Only the one at the bottom was told that none is run. */
        CHECK(chain[i].depth <= DEPTH ? chain[i].last == 1 || chain[i].order == CHAIN - 1
                                      : chain[i].last == 0);
    }
    if (!CHECK(deepest == 1 + DEPTH)) {
        printf("    %d deep\n", deepest);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(yielding_takes_the_most_urgent_and_else_the_oldest)
{
    struct gate gate;
    struct yielding first, others[6];
    yielding_init(&first, loomp_yield, 7);
    loomp_runtime *runtime = hold_one(&first, &gate);
    static const int32_t priorities[] = {LOOMP_LOW, LOOMP_NORMAL, LOOMP_HIGH,
                                         LOOMP_LOW, LOOMP_NORMAL, LOOMP_HIGH};
    static const int expected[] = {5, 3, 1, 6, 4, 2};
    for (int i = 0; i < 6; i++) {
        yielding_init(&others[i], loomp_yield, 0);
        others[i].job.priority = priorities[i];
        CHECK(loomp_submit(runtime, &others[i].job) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.ran == 6 && first.last == 0);
    for (int i = 0; i < 6; i++) {
        CHECK(others[i].order == expected[i] && others[i].depth == 2);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(yield_local_runs_only_what_this_thread_submitted)
{
    struct gate gate;
    struct yielding first, mine[2], outside;
    yielding_init(&first, loomp_yield_local, 3);
    for (int i = 0; i < 2; i++) {
        yielding_init(&mine[i], loomp_yield_local, 0);
    }
    yielding_init(&outside, loomp_yield_local, 1);
    first.submits = mine;
    first.count = 2;
    loomp_runtime *runtime = hold_one(&first, &gate);
    CHECK(loomp_submit(runtime, &outside.job) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.ran == 2 && first.last == 0);
    CHECK(mine[0].depth == 2 && mine[1].depth == 2);
    CHECK(mine[1].order == 1 && mine[0].order == 2);
    CHECK(outside.depth == 1 && outside.order == 3 && outside.last == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_cancelled_job_is_not_run_by_a_yield)
{
    struct gate gate;
    struct yielding first, second;
    yielding_init(&first, loomp_yield, 1);
    yielding_init(&second, loomp_yield, 0);
    loomp_runtime *runtime = hold_one(&first, &gate);
    CHECK(loomp_submit(runtime, &second.job) == 0);
    CHECK(loomp_cancel(&second.job) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.ran == 0 && first.last == 0 && second.order == -1);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(loomp_cancelled_answers_for_the_innermost_job)
{
    struct gate gate;
    struct yielding first, second;
    yielding_init(&first, loomp_yield, 1);
    yielding_init(&second, loomp_yield, 0);
    loomp_runtime *runtime = hold_one(&first, &gate);
    CHECK(loomp_submit(runtime, &second.job) == 0);
    CHECK(loomp_cancel(&first.job) == -EINPROGRESS);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.ran == 1 && first.cancelled_before && first.cancelled_after);
    CHECK(!second.cancelled_before && !second.cancelled_after);
    CHECK(loomp_stop(runtime) == 0);
}

static int round_up_and_yield(loomp_job *job)
{
    struct yielding *y = LOOMP_CONTAINER(job, struct yielding, job);
    gate_pass(y->gate);
    fesetround(FE_UPWARD);
    y->last = loomp_yield();
    y->rounding = fegetround();
    return 0;
}

TEST(a_job_inside_a_yield_has_its_own_rounding_and_leaves_the_others_alone)
{
    struct gate gate;
    struct yielding first, second;
    yielding_init(&first, loomp_yield, 1);
    yielding_init(&second, loomp_yield, 0);
    first.job.work = round_up_and_yield;
    loomp_runtime *runtime = hold_one(&first, &gate);
    CHECK(loomp_submit(runtime, &second.job) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.last == 1 && first.rounding == FE_UPWARD && second.rounding == FE_TONEAREST);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_yield_runs_no_gang_and_no_tasks_job)
{
    struct gate gate;
    struct yielding first, others[2];
    yielding_init(&first, loomp_yield, 2);
    loomp_runtime *runtime = hold_one(&first, &gate);
    for (int i = 0; i < 2; i++) {
        yielding_init(&others[i], loomp_yield, 0);
        others[i].job.kind = i ? LOOMP_TASKS : LOOMP_GANG;
        CHECK(loomp_submit(runtime, &others[i].job) == 0);
    }
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(first.ran == 0 && first.last == 0);
    CHECK(others[0].depth == 1 && others[1].depth == 1);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- many ---------------------------------------------------------------------------------------- */

static _Atomic int works, dones;

static int yield_often(loomp_job *job)
{
    (void)job;
    int answer = loomp_yield();
    CHECK(answer == 0 || answer == 1);
    answer = loomp_yield_local();
    CHECK(answer == 0 || answer == 1);
    atomic_fetch_add(&works, 1);
    return 0;
}

static void count_done(loomp_job *job, int status)
{
    (void)job;
    CHECK(status == 0);
    atomic_fetch_add(&dones, 1);
}

TEST(every_job_runs_once_although_all_yield)
{
    enum { JOBS = 20000 };
    static loomp_job jobs[JOBS];
    loomp_runtime *runtime = runtime_under_test();
    works = dones = 0;
    for (int i = 0; i < JOBS; i++) {
        loomp_job_init(&jobs[i], yield_often, count_done);
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(works == JOBS && dones == JOBS);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- beside a gang that pauses --------------------------------------------------------------------- */

static struct {
    struct gate pausing, yielded, go;
    struct recorded_job other;
    int paused;
} pause_scene;

static int pause_once(loomp_job *job)
{
    (void)job;
    gate_arrive(&pause_scene.pausing);
    gate_wait_for_arrivals(&pause_scene.yielded, 1); /* beside us, by relief */
    CHECK(loomp_submit(loomp_current(), &pause_scene.other.job) == 0);
    gate_arrive(&pause_scene.pausing);
    pause_scene.paused = loomp_gang_pause(loomp_current());
    gate_open(&pause_scene.go); /* the job that yielded waits for this */
    return 0;
}

static int yield_once(loomp_job *job)
{
    (void)job;
    gate_arrive(&pause_scene.yielded);
    gate_wait_for_arrivals(&pause_scene.pausing, 2);
    while (loomp_yield() != 1) {
    }
    gate_pass(&pause_scene.go);
    return 0;
}

/* The only worker is in a job that does not end before the pause does. */
TEST(a_gang_that_pauses_goes_on_when_a_job_that_yields_has_served_what_waited)
{
    loomp_runtime *runtime =
        runtime_with(1, (const char *const[]){"gang.relief_us", "100", NULL});
    gate_init(&pause_scene.pausing);
    gate_init(&pause_scene.yielded);
    gate_init(&pause_scene.go);
    recorded_init(&pause_scene.other, NULL);
    loomp_job gang, yielding;
    loomp_job_init(&gang, pause_once, NULL);
    gang.kind = LOOMP_GANG;
    loomp_job_init(&yielding, yield_once, NULL);
    CHECK(loomp_submit(runtime, &gang) == 0);
    gate_wait_for_arrivals(&pause_scene.pausing, 1);
    CHECK(loomp_submit(runtime, &yielding) == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(pause_scene.other.works == 1);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
