/* SPDX-License-Identifier: MIT */
/* What a GANG's regions are like at every width, that they behave as in a program of its own, and
 * what a narrow gang leaves to others. */
#define SUITE "gang widths"
#include "patience.h"

#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

/* A GANG with a function of its own. */
struct gang {
    loomp_job job;
    struct gate *gate;
    int threads, max_threads;
    long answer;
};

static struct gang *gang_of(loomp_job *job)
{
    return LOOMP_CONTAINER(job, struct gang, job);
}

static void gang_init(struct gang *gang, loomp_work_fn work, uint32_t width)
{
    memset((void *)gang, 0, sizeof *gang);
    loomp_job_init(&gang->job, work, NULL);
    gang->job.kind = LOOMP_GANG;
    gang->job.width = width;
}

static void run_gang(loomp_runtime *runtime, struct gang *gang)
{
    CHECK(loomp_submit(runtime, &gang->job) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
}

static int expected_width(loomp_runtime *runtime, uint32_t width)
{
    int workers = loomp_pool_threads(compute_of(runtime));
    return width == 0 || (int)width > workers ? workers : (int)width;
}

/* ---- regions ------------------------------------------------------------------------------------- */

static int look_at_region(loomp_job *job)
{
    struct gang *gang = gang_of(job);
    gang->max_threads = omp_get_max_threads();
    int bad = omp_in_parallel() || omp_get_num_threads() != 1 || omp_get_thread_num() != 0;
#pragma omp parallel reduction(+ : bad)
    {
#pragma omp single
        gang->threads = omp_get_num_threads();
        bad += omp_get_level() != 1;
        bad += omp_in_parallel() != (omp_get_num_threads() > 1);
        bad += loomp_thread_index(compute_of(loomp_current())) != omp_get_thread_num();
    }
    gang->answer = bad;
    return 0;
}

TEST(a_region_is_as_wide_as_the_job_says_and_as_omp_get_max_threads_says)
{
    loomp_runtime *runtime = runtime_under_test();
    static const uint32_t widths[] = {0, 1, 2, 3, 64, 1, 0, 2, 1, 1000};
    for (int i = 0; i < 50; i++) {
        struct gang gang;
        gang_init(&gang, look_at_region, widths[i % 10]);
        run_gang(runtime, &gang);
        int expected = expected_width(runtime, gang.job.width);
        if (!CHECK(gang.threads == expected && gang.max_threads == expected && gang.answer == 0)) {
            printf("    width %u: %d threads, at most %d, %ld wrong\n", gang.job.width,
                   gang.threads, gang.max_threads, gang.answer);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int clauses(loomp_job *job)
{
    int most = omp_get_max_threads();
    int bad = 0, one = 0, many = 0, after = 0, asked = 0;
#pragma omp parallel num_threads(1) reduction(+ : one)
    one += 1;
#pragma omp parallel num_threads(most) reduction(+ : many)
    many += 1;
#pragma omp parallel if (0) reduction(+ : bad)
    bad += omp_get_num_threads() != 1;
#pragma omp parallel reduction(+ : after)
    after += 1;
    omp_set_num_threads(1);
#pragma omp parallel reduction(+ : asked)
    asked += 1;
    gang_of(job)->answer = bad + (one != 1) + (many != most) + (after != most) + (asked != 1);
    return 0;
}

TEST(num_threads_and_if_clauses_hold_for_their_region_only)
{
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t i = 0; i < 30; i++) {
        struct gang gang;
        gang_init(&gang, clauses, i % 3);
        run_gang(runtime, &gang);
        CHECK(gang.answer == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int bound_regions(loomp_job *job)
{
    int most = omp_get_max_threads();
    int close = 0, spread = 0, primary = 0;
#pragma omp parallel proc_bind(close) reduction(+ : close)
    close += 1;
#pragma omp parallel proc_bind(spread) reduction(+ : spread)
    spread += 1;
#pragma omp parallel proc_bind(master) reduction(+ : primary)
    primary += 1;
    gang_of(job)->answer = (close != most) + (spread != most) + (primary != most);
    return 0;
}

TEST(proc_bind_clauses_leave_the_team_complete)
{
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t i = 0; i < 20; i++) {
        struct gang gang;
        gang_init(&gang, bound_regions, i % 3);
        run_gang(runtime, &gang);
        CHECK(gang.answer == 0);
        gang_init(&gang, look_at_region, 0);
        run_gang(runtime, &gang);
        CHECK(gang.threads == expected_width(runtime, 0) && gang.answer == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int counter_of_thread;
#pragma omp threadprivate(counter_of_thread)

static int keeps_threadprivate(loomp_job *job)
{
    int bad = 0;
#pragma omp parallel
    counter_of_thread = 100 * omp_get_thread_num();
    for (int i = 0; i < 20; i++) {
#pragma omp parallel
        counter_of_thread++;
    }
#pragma omp parallel reduction(+ : bad)
    bad += counter_of_thread != 100 * omp_get_thread_num() + 20;
    counter_of_thread = -7;
    int copies = 0;
#pragma omp parallel copyin(counter_of_thread) reduction(+ : copies)
    copies += counter_of_thread == -7;
    gang_of(job)->answer = bad + (copies != omp_get_max_threads());
    return 0;
}

TEST(threadprivate_data_are_kept_over_the_regions_of_a_job)
{
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t i = 0; i < 30; i++) {
        struct gang gang;
        gang_init(&gang, keeps_threadprivate, i % 3);
        run_gang(runtime, &gang);
        CHECK(gang.answer == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int nested_regions(loomp_job *job)
{
    int most = omp_get_max_threads();
    int inner = 0, outer = 0;
#pragma omp parallel reduction(+ : inner, outer)
    {
        outer += 1;
#pragma omp parallel reduction(+ : inner)
        inner += omp_get_num_threads();
    }
    gang_of(job)->answer = (outer != most) + (inner != most);
    return 0;
}

TEST(nested_regions_are_inactive)
{
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t i = 0; i < 20; i++) {
        struct gang gang;
        gang_init(&gang, nested_regions, i % 3);
        run_gang(runtime, &gang);
        CHECK(gang.answer == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int worksharing(loomp_job *job)
{
    long sum = 0, largest = -1, in_order = 0, last = -1;
    double bins[4] = {0};
    int sections = 0, bad = 0;
    for (int round = 0; round < 10; round++) {
#pragma omp parallel for reduction(+ : sum, bins) reduction(max : largest) schedule(dynamic, 3)
        for (int i = 0; i < 300; i++) {
            sum += i;
            bins[i % 4] += 1;
            largest = i > largest ? i : largest;
        }
#pragma omp parallel for ordered schedule(static, 1) lastprivate(last)
        for (int i = 0; i < 40; i++) {
#pragma omp ordered
            {
                bad += in_order % 40 != i;
                in_order++;
            }
            last = i;
        }
#pragma omp parallel sections reduction(+ : sections)
        {
#pragma omp section
            sections += 1;
#pragma omp section
            sections += 10;
#pragma omp section
            sections += 100;
        }
    }
    gang_of(job)->answer = bad + (sum != 448500) + (largest != 299) + (bins[3] != 750) +
                           (sections != 1110) + (last != 39);
    return 0;
}

TEST(reductions_ordered_loops_and_sections_are_right)
{
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t i = 0; i < 12; i++) {
        struct gang gang;
        gang_init(&gang, worksharing, i % 3);
        run_gang(runtime, &gang);
        CHECK(gang.answer == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int cancels_its_region(loomp_job *job)
{
    int reached = 0, members = 0;
#pragma omp parallel shared(reached)
    {
#pragma omp cancel parallel
#pragma omp atomic
        reached += 1;
    }
    long iterations = 0;
#pragma omp parallel
    {
#pragma omp for
        for (int i = 0; i < 10000; i++) {
#pragma omp atomic
            iterations += 1;
#pragma omp cancel for if (i % 100 == 7)
        }
    }
#pragma omp parallel reduction(+ : members)
    members += 1;
    gang_of(job)->answer = reached + (iterations >= 10000) + (members != omp_get_max_threads());
    return 0;
}

TEST(omp_cancel_ends_a_region_and_leaves_the_next_one_whole)
{
    if (runs_with_cancellation_elsewhere(__func__)) {
        return;
    }
    loomp_runtime *runtime = runtime_under_test();
    for (uint32_t i = 0; i < 30; i++) {
        struct gang gang;
        gang_init(&gang, cancels_its_region, i % 3);
        run_gang(runtime, &gang);
        CHECK(gang.answer == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- what it leaves to others -------------------------------------------------------------------- */

static int region_at_gate(loomp_job *job)
{
    struct gang *gang = gang_of(job);
#pragma omp parallel
    gate_pass(gang->gate);
    return 0;
}

static int tell_index(loomp_job *job)
{
    *(int *)job->data = loomp_thread_index(compute_of(loomp_current()));
    return 0;
}

TEST(serial_jobs_run_on_the_place_that_a_narrow_gang_leaves_while_its_region_runs)
{
    loomp_runtime *runtime = runtime_with(2, (const char *const[]){"gang.relief_us", "1e7", NULL});
    for (int round = 0; round < 20; round++) {
        struct gate gate = GATE_INIT;
        struct gang gang;
        gang_init(&gang, region_at_gate, 1);
        gang.gate = &gate;
        CHECK(loomp_submit(runtime, &gang.job) == 0);
        gate_wait_for_arrivals(&gate, 1);
        for (int i = 0; i < 10; i++) {
            int index = -2;
            loomp_group group;
            loomp_job serial;
            loomp_group_init(&group, runtime);
            loomp_job_init(&serial, tell_index, NULL);
            serial.data = &index;
            serial.group = &group;
            CHECK(loomp_submit(runtime, &serial) == 0);
            CHECK(group_ends(&group));
            CHECK(index == 1);
        }
        CHECK(gate_arrivals(&gate) == 1);
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_region_waits_for_the_serial_job_at_its_place_and_does_not_share_it)
{
    loomp_runtime *runtime = runtime_with(2, (const char *const[]){"gang.relief_us", "1e7", NULL});
    struct gate serial_gate = GATE_INIT, region_gate = GATE_INIT;
    struct recorded_job serial[MOST_WORKERS];
    struct gang gang;
    hold_all_workers(runtime, serial, &serial_gate);
    gang_init(&gang, region_at_gate, 0);
    gang.gate = &region_gate;
    CHECK(loomp_submit(runtime, &gang.job) == 0);
    CHECK(gate_arrivals(&region_gate) == 0);
    gate_open(&serial_gate);
    CHECK(gate_reached(&region_gate, 2));
    gate_open(&region_gate);
    expect_stop(runtime);
}

/* A GANG that submits itself again until it is told to end. */
static _Atomic bool end_gangs;
static _Atomic long gangs_ran;

static int short_gang(loomp_job *job)
{
    (void)job;
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    atomic_fetch_add(&gangs_ran, members > 0);
    return 0;
}

static void again(loomp_job *job, int status)
{
    (void)status;
    if (!atomic_load(&end_gangs)) {
        CHECK(loomp_submit(job->data, job) == 0);
    }
}

TEST(with_a_share_serial_jobs_come_through_between_gangs_that_never_end)
{
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.relief_us", "1e7",
                                                                 "gang.max_share", "0.5", NULL});
    enum { GANGS = 4, ROUNDS = 20, SERIAL = 30 };
    static loomp_job gangs[GANGS], serial[SERIAL];
    atomic_store(&end_gangs, false);
    atomic_store(&gangs_ran, 0);
    for (int i = 0; i < GANGS; i++) {
        loomp_job_init(&gangs[i], short_gang, again);
        gangs[i].kind = LOOMP_GANG;
        gangs[i].data = runtime;
        CHECK(loomp_submit(runtime, &gangs[i]) == 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        long before = atomic_load(&gangs_ran);
        while (atomic_load(&gangs_ran) < before + 5) {
            sched_yield();
        }
        int index[SERIAL];
        loomp_group group;
        loomp_group_init(&group, runtime);
        for (int i = 0; i < SERIAL; i++) {
            loomp_job_init(&serial[i], tell_index, NULL);
            serial[i].data = &index[i];
            serial[i].group = &group;
            CHECK(loomp_submit(runtime, &serial[i]) == 0);
        }
        if (!CHECK(group_ends(&group))) {
            break;
        }
    }
    atomic_store(&end_gangs, true);
    expect_stop(runtime);
}

/* ---- install ------------------------------------------------------------------------------------- */

static _Atomic int installed_now, installed_together;

static int install_region(void *arg)
{
    (void)arg;
    atomic_fetch_add(&installed_together, atomic_fetch_add(&installed_now, 1) != 0);
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    atomic_fetch_sub(&installed_now, 1);
    return members;
}

static void *install_and_count(void *runtime)
{
    int expected = expected_width(runtime, 0);
    for (int i = 0; i < 100; i++) {
        CHECK(loomp_install(runtime, install_region, NULL) == expected);
    }
    return NULL;
}

TEST(what_several_threads_install_runs_one_after_the_other_each_with_the_whole_team)
{
    loomp_runtime *runtime = runtime_under_test();
    pthread_t threads[4];
    installed_together = 0;
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, install_and_count, runtime);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(installed_together == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static int install_inside(void *arg)
{
    return loomp_install(arg, install_region, NULL);
}

TEST(install_inside_install_calls_at_once)
{
    loomp_runtime *runtime = runtime_under_test();
    CHECK(loomp_install(runtime, install_inside, runtime) == expected_width(runtime, 0));
    CHECK(loomp_stop(runtime) == 0);
}

static int widths_by_tasks(loomp_job *job)
{
    int threads = 0;
    _Atomic int sum = 0;
    (void)job;
#pragma omp parallel reduction(+ : threads)
    threads++;
#pragma omp parallel
#pragma omp single
    for (int i = 1; i <= 8; i++) {
#pragma omp task firstprivate(i)
        {
            for (volatile int k = 0; k < 2000; k++) {
            }
            atomic_fetch_add(&sum, i);
        }
    }
    return threads == 2 && sum == 36 ? 0 : -EIO;
}

/* One worker is held, so that the gang waits for its place; relief would take ten seconds. */
TEST(a_gang_that_is_cancelled_while_it_waits_for_places_gives_them_back)
{
    loomp_runtime *runtime =
        runtime_with(2, (const char *const[]){"gang.relief_us", "1e7", NULL});
    struct gate held = GATE_INIT;
    struct recorded_job holding, gang, serial;
    recorded_init(&holding, &held);
    CHECK(loomp_submit(runtime, &holding.job) == 0);
    CHECK(gate_reached(&held, 1));
    for (int round = 0; round < 100; round++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        recorded_init(&gang, NULL);
        gang.job.kind = LOOMP_GANG;
        CHECK(loomp_submit(runtime, &gang.job) == 0);
        CHECK(loomp_cancel(&gang.job) == 0);
        recorded_init(&serial, NULL);
        serial.job.group = &group;
        CHECK(loomp_submit(runtime, &serial.job) == 0);
        if (!CHECK(loomp_group_wait(&group, 5) == 0)) {
            break;
        }
    }
    gate_open(&held);
    CHECK(loomp_stop(runtime) == 0);
}

/* With 3 threads: a narrower region leaves one out, which libomp must not let run tasks. */
TEST(regions_that_are_narrower_than_the_team_may_have_tasks)
{
    loomp_runtime *runtime = runtime_with(3, (const char *const[]){"pin", "false", NULL});
    for (int round = 0; round < 2000; round++) {
        loomp_group group;
        loomp_job job;
        loomp_group_init(&group, runtime);
        loomp_job_init(&job, widths_by_tasks, NULL);
        job.kind = LOOMP_GANG;
        job.width = 2;
        job.group = &group;
        CHECK(loomp_submit(runtime, &job) == 0);
        if (!CHECK(loomp_group_wait(&group, PATIENCE_S) == 0)) {
            return; /* the job has not ended: nothing can be taken down */
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
