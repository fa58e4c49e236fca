/* SPDX-License-Identifier: MIT */
/* TASKS jobs: several at once in one region of the gang team, with all that tasks of OpenMP can do,
 * done when all their children are. */
#define SUITE "tasks"
#include "patience.h"

#include <fenv.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED
#endif
#endif

/* A TASKS job with a function of its own and what that found out. */
struct probe {
    loomp_job job;
    struct gate *gate;
    struct gate *children_gate;
    long answer;
    _Atomic int count;
    int threads, max_threads, children;
    int status;
    int seen_in_done; /* count, when done ran */
    _Atomic int dones;
};

static void probe_done(loomp_job *job, int status)
{
    struct probe *probe = LOOMP_CONTAINER(job, struct probe, job);
    probe->status = status;
    probe->seen_in_done = atomic_load(&probe->count);
    atomic_fetch_add(&probe->dones, 1);
}

static struct probe *probe_of(loomp_job *job)
{
    return LOOMP_CONTAINER(job, struct probe, job);
}

static void probe_init(struct probe *probe, loomp_work_fn work)
{
    memset((void *)probe, 0, sizeof *probe);
    loomp_job_init(&probe->job, work, probe_done);
    probe->job.kind = LOOMP_TASKS;
    probe->status = 12345;
}

/* Runs `count` jobs with that work at once. */
static void run_probes(loomp_runtime *runtime, struct probe *probes, int count, loomp_work_fn work)
{
    for (int i = 0; i < count; i++) {
        probe_init(&probes[i], work);
        CHECK(loomp_submit(runtime, &probes[i].job) == 0);
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int i = 0; i < count; i++) {
        CHECK(probes[i].dones == 1 && probes[i].status == 0);
    }
}

enum { AT_ONCE = 12 };

static struct probe probes[AT_ONCE];

static void expect_answers(loomp_work_fn work, long answer)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 5; round++) {
        run_probes(runtime, probes, AT_ONCE, work);
        for (int i = 0; i < AT_ONCE; i++) {
            if (!CHECK(probes[i].answer == answer)) {
                printf("    job %d: %ld, not %ld\n", i, probes[i].answer, answer);
                round = 5;
                break;
            }
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- what tasks can do --------------------------------------------------------------------------- */

__attribute__((noinline)) static long fib_by_tasks(int n)
{
    if (n < 2) {
        return n;
    }
    long a, b;
#pragma omp task shared(a)
    a = fib_by_tasks(n - 1);
#pragma omp task shared(b)
    b = fib_by_tasks(n - 2);
#pragma omp taskwait
    return a + b;
}

static int fib_work(loomp_job *job)
{
    probe_of(job)->answer = fib_by_tasks(15);
    return 0;
}

TEST(children_and_grandchildren_give_their_answers)
{
    expect_answers(fib_work, 610);
}

__attribute__((noinline)) static long fib_by_untied_tasks(int n)
{
    if (n < 2) {
        return n;
    }
    long a, b;
#pragma omp task shared(a) untied
    a = fib_by_untied_tasks(n - 1);
#pragma omp task shared(b) untied
    b = fib_by_untied_tasks(n - 2);
#pragma omp taskwait
    return a + b;
}

static int untied_work(loomp_job *job)
{
    probe_of(job)->answer = fib_by_untied_tasks(13);
    return 0;
}

TEST(untied_children_give_their_answers)
{
    expect_answers(untied_work, 233);
}

__attribute__((noinline)) static void add_by_tasks(long *sum, int i)
{
#pragma omp task firstprivate(sum, i)
    {
#pragma omp atomic
        *sum += i;
    }
}

static int final_by_tasks(loomp_job *job)
{
    long sum = 0;
    for (int i = 0; i < 40; i++) {
#pragma omp task shared(sum) if (i % 3 == 0) final(i % 2 == 0) mergeable
        {
            add_by_tasks(&sum, i);
#pragma omp taskwait
        }
    }
#pragma omp taskwait
    probe_of(job)->answer = sum;
    return 0;
}

TEST(undeferred_and_final_children_give_their_answers)
{
    expect_answers(final_by_tasks, 780);
}

__attribute__((noinline)) static long sum_by_tasks(const int *numbers, unsigned long count)
{
    long sum = 0;
#pragma omp taskloop shared(sum)
    for (unsigned long i = 0; i < count; i++) {
#pragma omp atomic
        sum += numbers[i];
    }
    return sum;
}

static int taskloop_work(loomp_job *job)
{
    int numbers[500];
    for (int i = 0; i < 500; i++) {
        numbers[i] = i;
    }
    probe_of(job)->answer = sum_by_tasks(numbers, 500);
    return 0;
}

TEST(an_orphaned_taskloop_is_over_when_it_returns)
{
    expect_answers(taskloop_work, 124750);
}

static int group_by_tasks(loomp_job *job)
{
    long sum = 0;
    long inside = 0;
#pragma omp taskgroup
    {
        for (int i = 0; i < 20; i++) {
#pragma omp task shared(sum)
            add_by_tasks(&sum, 1);
        }
    }
#pragma omp atomic read
    inside = sum;
    probe_of(job)->answer = inside;
    return 0;
}

TEST(a_taskgroup_waits_for_grandchildren)
{
    expect_answers(group_by_tasks, 20);
}

static int chain_by_tasks(loomp_job *job)
{
    long value = 1;
    long side = 0;
    for (int i = 0; i < 30; i++) {
#pragma omp task shared(value) depend(inout : value)
        value = (value * 3 + 1) % 1000003;
#pragma omp task shared(value, side) depend(in : value) depend(inout : side)
        side += value % 7;
    }
#pragma omp taskwait
    long expected = 1, expected_side = 0;
    for (int i = 0; i < 30; i++) {
        expected = (expected * 3 + 1) % 1000003;
        expected_side += expected % 7;
    }
    probe_of(job)->answer = value == expected && side == expected_side;
    return 0;
}

TEST(children_with_dependences_run_in_their_order)
{
    expect_answers(chain_by_tasks, 1);
}

static int reduce_by_tasks(loomp_job *job)
{
    long total = 0;
    long bins[8] = {0};
#pragma omp taskloop reduction(+ : total, bins) grainsize(16)
    for (int i = 0; i < 400; i++) {
        total += i;
        bins[i % 8] += 1;
    }
    bool right = total == 79800;
    for (int i = 0; i < 8; i++) {
        right = right && bins[i] == 50;
    }
    probe_of(job)->answer = right;
    return 0;
}

TEST(reductions_of_taskloops_over_numbers_and_arrays_are_right)
{
    expect_answers(reduce_by_tasks, 1);
}

static int reduce_group_by_tasks(loomp_job *job)
{
    long total = 0;
#pragma omp taskgroup task_reduction(+ : total)
    {
        for (int i = 0; i < 60; i++) {
#pragma omp task in_reduction(+ : total) firstprivate(i)
            total += i;
        }
    }
    probe_of(job)->answer = total;
    return 0;
}

TEST(task_reductions_of_a_taskgroup_are_right)
{
    expect_answers(reduce_group_by_tasks, 1770);
}

static int lock_by_tasks(loomp_job *job)
{
    static long guarded;
    long mine = 0;
#pragma omp taskloop shared(mine)
    for (int i = 0; i < 50; i++) {
#pragma omp critical(lp_test_tasks)
        {
            guarded++;
            mine++;
        }
    }
    probe_of(job)->answer = mine;
    return 0;
}

TEST(critical_sections_exclude_children_of_all_jobs)
{
    expect_answers(lock_by_tasks, 50);
}

static int search_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    long ran = 0;
    long found = 0;
#pragma omp taskgroup
    {
        for (int i = 0; i < 200; i++) {
#pragma omp task shared(ran, found) firstprivate(i)
            {
#pragma omp atomic
                ran += 1;
                if (i == 3) {
#pragma omp atomic write
                    found = 1;
#pragma omp cancel taskgroup
                }
#pragma omp cancellation point taskgroup
            }
        }
    }
    probe->children = (int)ran;
    /* The job itself is not cancelled with it, and can have tasks again. */
    long after = 0;
#pragma omp taskloop shared(after)
    for (int i = 0; i < 30; i++) {
#pragma omp atomic
        after += 1;
    }
    probe->answer = found + after + (loomp_job_cancelled(job) ? 1000 : 0);
    return 0;
}

TEST(cancel_taskgroup_ends_that_taskgroup_and_nothing_else)
{
#ifdef THREAD_SANITIZED
    printf("    not run: Archer of libomp 14 crashes in cancelled tasks\n");
    return;
#endif
    if (!runs_with_cancellation_elsewhere(__func__)) {
        expect_answers(search_by_tasks, 31);
    }
}

__attribute__((noinline)) static void empty_by_tasks(void)
{
#pragma omp task
    {
    }
}

static int number_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    loomp_pool *pool = compute_of(loomp_current());
    int bad = 0;
    for (int i = 0; i < 40; i++) {
#pragma omp task shared(bad, pool)
        {
            int before = omp_get_thread_num();
            bool wrong = before < 0 || before >= omp_get_num_threads() ||
                         loomp_thread_index(pool) != before || loomp_current() == NULL;
            empty_by_tasks();
#pragma omp taskwait
            wrong = wrong || omp_get_thread_num() != before;
            if (wrong) {
#pragma omp atomic
                bad += 1;
            }
        }
    }
#pragma omp taskwait
    probe->answer = bad;
    return 0;
}

TEST(a_child_stays_on_its_thread_whose_number_is_its_index_in_the_pool)
{
    expect_answers(number_by_tasks, 0);
}

static int region_by_tasks(loomp_job *job)
{
    long members = 0;
#pragma omp parallel num_threads(4) reduction(+ : members)
    members += omp_get_num_threads();
    long of_child = 0;
#pragma omp task shared(of_child)
    {
        long sum = 0;
#pragma omp parallel num_threads(4) reduction(+ : sum)
        {
#pragma omp for
            for (int i = 0; i < 10; i++) {
                sum += i;
            }
        }
        of_child = sum;
    }
#pragma omp taskwait
    probe_of(job)->answer = 1000 * members + of_child;
    return 0;
}

TEST(a_parallel_region_inside_a_tasks_job_is_a_team_of_one)
{
    expect_answers(region_by_tasks, 1045);
}

static int table_by_tasks(loomp_job *job)
{
    int entries = omp_get_max_threads();
    long *table = calloc((size_t)entries, sizeof *table);
    int outside = 0;
#pragma omp taskloop shared(table, outside, entries)
    for (int i = 0; i < 200; i++) {
        int thread = omp_get_thread_num();
        if (thread < entries) {
            table[thread] += 1;
        } else {
#pragma omp atomic
            outside += 1;
        }
    }
    long sum = outside * 100000L;
    for (int i = 0; i < entries; i++) {
        sum += table[i];
    }
    free(table);
    probe_of(job)->answer = sum;
    return 0;
}

TEST(a_table_of_omp_get_max_threads_entries_has_one_for_every_thread_that_runs_children)
{
    expect_answers(table_by_tasks, 200);
}

static int spoiling_work(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    probe->max_threads = omp_get_max_threads();
    probe->threads = omp_get_num_threads();
    omp_set_num_threads(1);
    omp_set_dynamic(1);
    omp_set_schedule(omp_sched_guided, 17);
    fesetround(FE_TOWARDZERO);
    probe->answer = fib_by_tasks(5);
    return 0;
}

static int rounding_work(loomp_job *job)
{
    probe_of(job)->answer = fegetround() == FE_TONEAREST;
    return 0;
}

static int region_width_work(loomp_job *job)
{
    long members = 0;
#pragma omp parallel reduction(+ : members)
    members += fegetround() == FE_TONEAREST;
    probe_of(job)->answer = members;
    return 0;
}

TEST(what_a_tasks_job_does_to_openmp_and_rounding_does_not_reach_the_next_job)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(compute_of(runtime));
    for (int round = 0; round < 20; round++) {
        run_probes(runtime, probes, 3, spoiling_work);
        for (int i = 0; i < 3; i++) {
            if (!CHECK(probes[i].threads == workers && probes[i].max_threads >= workers)) {
                printf("    threads: %d, at most %d\n", probes[i].threads, probes[i].max_threads);
            }
        }
        run_probes(runtime, probes, 3, rounding_work);
        CHECK(probes[0].answer && probes[1].answer && probes[2].answer);
        struct probe gang;
        probe_init(&gang, region_width_work);
        gang.job.kind = LOOMP_GANG;
        CHECK(loomp_submit(runtime, &gang.job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        CHECK(gang.answer == workers);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int seen_rounding_work(loomp_job *job)
{
    probe_of(job)->answer = fegetround();
    return 0;
}

TEST(with_fp_env_the_work_has_its_submitters_rounding)
{
    loomp_runtime *runtime = runtime_under_test();
    struct probe mine, other;
    probe_init(&mine, seen_rounding_work);
    probe_init(&other, seen_rounding_work);
    mine.job.flags = LOOMP_FP_ENV;
    fesetround(FE_UPWARD);
    CHECK(loomp_submit(runtime, &mine.job) == 0);
    CHECK(loomp_submit(runtime, &other.job) == 0);
    fesetround(FE_TONEAREST);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(mine.answer == FE_UPWARD);
    CHECK(other.answer == FE_TONEAREST);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- when it is done ----------------------------------------------------------------------------- */

__attribute__((noinline)) static void grandchild_by_tasks(struct probe *probe)
{
#pragma omp task firstprivate(probe)
    atomic_fetch_add(&probe->count, 1);
}

static int leave_behind_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    for (int i = 0; i < 30; i++) {
#pragma omp task firstprivate(probe)
        {
            for (int k = 0; k < 3; k++) {
                grandchild_by_tasks(probe);
            }
            atomic_fetch_add(&probe->count, 1);
        }
    }
    return 0;
}

TEST(done_comes_after_children_that_nobody_waited_for)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 30; round++) {
        run_probes(runtime, probes, AT_ONCE, leave_behind_by_tasks);
        for (int i = 0; i < AT_ONCE; i++) {
            CHECK(probes[i].seen_in_done == 120);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int gate_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
#pragma omp task firstprivate(probe)
    {
        gate_pass(probe->gate);
        atomic_fetch_add(&probe->count, 1);
    }
    return -EIO;
}

TEST(a_job_whose_work_has_returned_is_not_done_while_a_child_runs)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate gate = GATE_INIT;
    struct probe probe;
    probe_init(&probe, gate_by_tasks);
    probe.gate = &gate;
    loomp_group group;
    loomp_group_init(&group, runtime);
    probe.job.group = &group;
    CHECK(loomp_submit(runtime, &probe.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_job_state(&probe.job) == LOOMP_JOB_RUNNING);
    CHECK(probe.dones == 0);
    CHECK(loomp_group_wait(&group, 0) == -ETIMEDOUT);
    gate_open(&gate);
    CHECK(loomp_group_wait(&group, PATIENCE_S) == -EIO);
    CHECK(probe.dones == 1 && probe.seen_in_done == 1 && probe.status == -EIO);
    CHECK(loomp_stop(runtime) == 0);
}

static void done_on_loop(loomp_job *job, int status)
{
    struct probe *probe = probe_of(job);
    probe->max_threads = loomp_loop_here() == job->home;
    probe_done(job, status);
}

TEST(done_of_a_tasks_job_runs_on_its_home)
{
    loomp_runtime *runtime = runtime_under_test();
    struct probe probe;
    probe_init(&probe, leave_behind_by_tasks);
    probe.job.done = done_on_loop;
    probe.job.home = loomp_loop_at(runtime, 0);
    CHECK(loomp_submit(runtime, &probe.job) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(probe.dones == 1 && probe.seen_in_done == 120 && probe.max_threads == 1);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- several at once ----------------------------------------------------------------------------- */

static int pass_gate(loomp_job *job)
{
    gate_pass(probe_of(job)->gate);
    return 0;
}

TEST(two_tasks_jobs_run_at_the_same_time)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate held = GATE_INIT, meeting = GATE_INIT;
    struct recorded_job gang;
    struct probe two[2];
    hold_gang_team(runtime, &gang, &held);
    for (int i = 0; i < 2; i++) {
        probe_init(&two[i], pass_gate);
        two[i].gate = &meeting;
        CHECK(loomp_submit(runtime, &two[i].job) == 0);
    }
    gate_open(&held);
    CHECK(gate_reached(&meeting, 2));
    gate_open(&meeting);
    expect_stop(runtime);
}

TEST(a_tasks_job_that_comes_while_another_runs_begins_when_that_ends)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate gates[2] = {GATE_INIT, GATE_INIT};
    struct probe two[2];
    for (int i = 0; i < 2; i++) {
        probe_init(&two[i], pass_gate);
        two[i].gate = &gates[i];
    }
    CHECK(loomp_submit(runtime, &two[0].job) == 0);
    CHECK(gate_reached(&gates[0], 1));
    CHECK(loomp_submit(runtime, &two[1].job) == 0);
    gate_open(&gates[0]);
    CHECK(gate_reached(&gates[1], 1));
    gate_open(&gates[1]);
    expect_stop(runtime);
}

TEST(the_next_is_taken_in_when_one_ends_though_another_goes_on)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate held = GATE_INIT, first = GATE_INIT, second = GATE_INIT, third = GATE_INIT;
    struct gate *gates[] = {&first, &second, &third};
    struct recorded_job gang;
    struct probe three[3];
    hold_gang_team(runtime, &gang, &held);
    for (int i = 0; i < 3; i++) {
        probe_init(&three[i], pass_gate);
        three[i].gate = gates[i];
        CHECK(loomp_submit(runtime, &three[i].job) == 0);
    }
    gate_open(&held);
    CHECK(gate_reached(&first, 1) && gate_reached(&second, 1));
    gate_open(&first);
    CHECK(gate_reached(&third, 1));
    CHECK(three[1].dones == 0);
    gate_open(&second);
    gate_open(&third);
    expect_stop(runtime);
}

static int meet_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    for (int i = 0; i < probe->children; i++) {
#pragma omp task firstprivate(probe)
        gate_pass(probe->children_gate);
    }
#pragma omp taskwait
    return 0;
}

TEST(the_whole_team_runs_the_children_of_one_job)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate meeting = GATE_INIT;
    struct probe probe;
    probe_init(&probe, meet_by_tasks);
    probe.children = 2;
    probe.children_gate = &meeting;
    CHECK(loomp_submit(runtime, &probe.job) == 0);
    CHECK(gate_reached(&meeting, 2));
    gate_open(&meeting);
    expect_stop(runtime);
}

/* ---- width --------------------------------------------------------------------------------------- */

static int width_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    probe->threads = omp_get_num_threads();
#pragma omp task firstprivate(probe)
    probe->max_threads = omp_get_num_threads();
    return 0;
}

TEST(the_width_is_the_size_of_the_team_that_runs_the_children)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    for (uint32_t width = 0; width < 60; width++) {
        /* Behind a GANG, so that it is not taken into the region of the one before. */
        struct gate held = GATE_INIT;
        struct recorded_job gang;
        struct probe probe;
        probe_init(&probe, width_by_tasks);
        probe.job.width = width % 5;
        hold_gang_team(runtime, &gang, &held);
        CHECK(loomp_submit(runtime, &probe.job) == 0);
        gate_open(&held);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        int expected = probe.job.width == 1 ? 1 : 2;
        if (!CHECK(probe.threads == expected && probe.max_threads == expected)) {
            printf("    width %u: %d %d\n", probe.job.width, probe.threads, probe.max_threads);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(of_tasks_jobs_that_wait_together_the_largest_width_wins)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    for (int wide = 0; wide < 3; wide++) {
        struct gate held = GATE_INIT, meeting = GATE_INIT;
        struct recorded_job gang;
        struct probe three[3];
        hold_gang_team(runtime, &gang, &held);
        for (int i = 0; i < 3; i++) {
            probe_init(&three[i], i == wide ? meet_by_tasks : width_by_tasks);
            three[i].job.width = i == wide ? 2 : 1;
            three[i].children = 2;
            three[i].children_gate = &meeting;
            CHECK(loomp_submit(runtime, &three[i].job) == 0);
        }
        gate_open(&held);
        CHECK(gate_reached(&meeting, 2));
        gate_open(&meeting);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_wide_tasks_job_gets_its_width_though_a_narrow_one_runs)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate first = GATE_INIT;
    struct probe narrow, wide;
    probe_init(&narrow, pass_gate);
    narrow.gate = &first;
    narrow.job.width = 1;
    probe_init(&wide, width_by_tasks);
    wide.job.width = 2;
    CHECK(loomp_submit(runtime, &narrow.job) == 0);
    gate_wait_for_arrivals(&first, 1);
    CHECK(loomp_submit(runtime, &wide.job) == 0);
    gate_open(&first);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(wide.threads == 2);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- SERIAL jobs beside them --------------------------------------------------------------------- */

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

TEST(serial_jobs_are_answered_while_a_tasks_job_holds_all_places)
{
    loomp_runtime *runtime = runtime_under_test();
    int workers = loomp_pool_threads(compute_of(runtime));
    struct gate gate = GATE_INIT;
    struct probe probe;
    probe_init(&probe, meet_by_tasks);
    probe.children = workers;
    probe.children_gate = &gate;
    CHECK(loomp_submit(runtime, &probe.job) == 0);
    CHECK(gate_reached(&gate, workers));
    static loomp_job serial[50];
    for (int round = 0; round < 3; round++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        for (int i = 0; i < 50; i++) {
            loomp_job_init(&serial[i], nothing, NULL);
            serial[i].group = &group;
            CHECK(loomp_submit(runtime, &serial[i]) == 0);
        }
        CHECK(group_ends(&group));
    }
    CHECK(probe.dones == 0);
    gate_open(&gate);
    expect_stop(runtime);
}

static int remember_index(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    probe->answer = loomp_thread_index(compute_of(loomp_current()));
    return 0;
}

TEST(a_narrow_tasks_job_leaves_the_other_place_to_serial_jobs)
{
    loomp_runtime *runtime =
        runtime_with(2, (const char *const[]){"gang.relief_us", "1e7", NULL});
    struct gate gate = GATE_INIT;
    struct probe tasks, serial;
    probe_init(&tasks, pass_gate);
    tasks.gate = &gate;
    tasks.job.width = 1;
    CHECK(loomp_submit(runtime, &tasks.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    for (int i = 0; i < 100; i++) {
        loomp_group group;
        loomp_group_init(&group, runtime);
        probe_init(&serial, remember_index);
        serial.job.kind = LOOMP_SERIAL;
        serial.job.group = &group;
        CHECK(loomp_submit(runtime, &serial.job) == 0);
        CHECK(group_ends(&group));
        CHECK(serial.answer == 1);
    }
    CHECK(tasks.dones == 0);
    gate_open(&gate);
    expect_stop(runtime);
}

/* ---- cancellation -------------------------------------------------------------------------------- */

static int run_until_cancelled(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    gate_arrive(probe->gate);
    while (!loomp_cancelled()) {
        sched_yield();
    }
    return -ECANCELED;
}

TEST(the_work_of_a_tasks_job_sees_that_it_was_cancelled)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate gate = GATE_INIT;
    struct probe probe;
    probe_init(&probe, run_until_cancelled);
    probe.gate = &gate;
    CHECK(loomp_submit(runtime, &probe.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_cancel(&probe.job) == -EINPROGRESS);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(probe.dones == 1 && probe.status == -ECANCELED);
    CHECK(loomp_stop(runtime) == 0);
}

static int cancelled_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    for (int i = 0; i < 4; i++) {
#pragma omp task firstprivate(job, probe)
        {
            gate_arrive(probe->gate);
            while (!loomp_job_cancelled(job)) {
                sched_yield();
            }
            atomic_fetch_add(&probe->count, 1);
        }
    }
#pragma omp taskwait
    return 7;
}

TEST(children_see_that_their_job_was_cancelled)
{
    loomp_runtime *runtime = runtime_under_test();
    struct gate gate = GATE_INIT;
    struct probe probe;
    probe_init(&probe, cancelled_by_tasks);
    probe.gate = &gate;
    CHECK(loomp_submit(runtime, &probe.job) == 0);
    gate_wait_for_arrivals(&gate, 1);
    CHECK(loomp_cancel(&probe.job) == -EINPROGRESS);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(probe.dones == 1 && probe.status == 7 && probe.count == 4);
    CHECK(loomp_stop(runtime) == 0);
}

static int sees_no_wish(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    gate_pass(probe->gate);
    probe->answer = loomp_cancelled() || loomp_job_cancelled(job);
    return 0;
}

TEST(a_tasks_job_beside_a_cancelled_one_is_not_asked_to_end)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate held = GATE_INIT, gate = GATE_INIT;
    struct recorded_job gang;
    struct probe two[2];
    hold_gang_team(runtime, &gang, &held);
    for (int i = 0; i < 2; i++) {
        probe_init(&two[i], sees_no_wish);
        two[i].gate = &gate;
        CHECK(loomp_submit(runtime, &two[i].job) == 0);
    }
    gate_open(&held);
    CHECK(gate_reached(&gate, 2));
    CHECK(loomp_cancel(&two[0].job) == -EINPROGRESS);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(two[0].answer == 1 && two[1].answer == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_tasks_job_that_waits_behind_running_ones_is_withdrawn)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    struct gate gate = GATE_INIT, held = GATE_INIT;
    struct recorded_job gang;
    struct probe running[2], waiting[3];
    hold_gang_team(runtime, &gang, &held);
    for (int i = 0; i < 2; i++) {
        probe_init(&running[i], pass_gate);
        running[i].gate = &gate;
        CHECK(loomp_submit(runtime, &running[i].job) == 0);
    }
    gate_open(&held);
    CHECK(gate_reached(&gate, 2));
    for (int i = 0; i < 3; i++) {
        probe_init(&waiting[i], leave_behind_by_tasks);
        CHECK(loomp_submit(runtime, &waiting[i].job) == 0);
    }
    CHECK(loomp_job_state(&waiting[1].job) == LOOMP_JOB_QUEUED);
    CHECK(loomp_cancel(&waiting[1].job) == 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(waiting[0].status == 0 && waiting[0].count == 120);
    CHECK(waiting[1].status == -ECANCELED && waiting[1].count == 0 && waiting[1].dones == 1);
    CHECK(waiting[2].status == 0 && waiting[2].count == 120);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- order with GANG jobs ------------------------------------------------------------------------ */

/* A job that submits itself again until it is told to end. */
struct endless {
    loomp_job job;
    loomp_runtime *runtime;
    _Atomic bool *end;
    _Atomic long *rounds;
};

static int endless_work(loomp_job *job)
{
    struct endless *endless = LOOMP_CONTAINER(job, struct endless, job);
    atomic_fetch_add(endless->rounds, 1);
    return 0;
}

static void endless_done(loomp_job *job, int status)
{
    struct endless *endless = LOOMP_CONTAINER(job, struct endless, job);
    (void)status;
    if (!atomic_load(endless->end)) {
        CHECK(loomp_submit(endless->runtime, job) == 0);
    }
}

/* Whether a job of `kind` gets its turn among endless jobs of another. */
static void gets_its_turn(uint32_t kind, uint32_t others)
{
    loomp_runtime *runtime = runtime_under_test();
    _Atomic bool end = false;
    _Atomic long rounds = 0;
    struct endless endless[8];
    for (int i = 0; i < 8; i++) {
        memset((void *)&endless[i], 0, sizeof endless[i]);
        loomp_job_init(&endless[i].job, endless_work, endless_done);
        endless[i].job.kind = others;
        endless[i].runtime = runtime;
        endless[i].end = &end;
        endless[i].rounds = &rounds;
        CHECK(loomp_submit(runtime, &endless[i].job) == 0);
    }
    for (int round = 0; round < 20; round++) {
        long before = atomic_load(&rounds);
        while (atomic_load(&rounds) < before + 10) {
            sched_yield();
        }
        loomp_group group;
        loomp_group_init(&group, runtime);
        struct probe probe;
        probe_init(&probe, leave_behind_by_tasks);
        probe.job.kind = kind;
        probe.job.group = &group;
        CHECK(loomp_submit(runtime, &probe.job) == 0);
        if (!CHECK(group_ends(&group))) {
            break;
        }
    }
    atomic_store(&end, true);
    expect_stop(runtime);
}

TEST(a_gang_gets_its_turn_though_tasks_jobs_keep_coming)
{
    gets_its_turn(LOOMP_GANG, LOOMP_TASKS);
}

TEST(a_tasks_job_gets_its_turn_though_gangs_keep_coming)
{
    gets_its_turn(LOOMP_TASKS, LOOMP_GANG);
}

TEST(tasks_and_gang_jobs_start_in_the_order_of_their_submission)
{
    enum { JOBS = 60 };
    loomp_runtime *runtime = runtime_under_test();
    bool alone = loomp_pool_threads(compute_of(runtime)) == 1;
    struct gate held = GATE_INIT;
    static struct recorded_job gang, jobs[JOBS];
    _Atomic int begun = 0;
    hold_gang_team(runtime, &gang, &held);
    for (int i = 0; i < JOBS; i++) {
        recorded_init(&jobs[i], NULL);
        /* With several threads two TASKS jobs in a row start side by side. */
        jobs[i].job.kind = i % 2 || (alone && i % 3 == 0) ? LOOMP_TASKS : LOOMP_GANG;
        jobs[i].begun = &begun;
        CHECK(loomp_submit(runtime, &jobs[i].job) == 0);
    }
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int i = 0; i < JOBS; i++) {
        if (!CHECK(jobs[i].order == i)) {
            printf("    job %d began as number %d\n", i, jobs[i].order);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static _Atomic int tasks_inside, gangs_inside, together;

static int inside_by_tasks(loomp_job *job)
{
    (void)job;
    atomic_fetch_add(&tasks_inside, 1);
#pragma omp taskloop
    for (int i = 0; i < 10; i++) {
        if (atomic_load(&gangs_inside)) {
            atomic_fetch_add(&together, 1);
        }
    }
    atomic_fetch_sub(&tasks_inside, 1);
    return 0;
}

static int inside_gang(loomp_job *job)
{
    (void)job;
    if (atomic_fetch_add(&gangs_inside, 1) != 0 || atomic_load(&tasks_inside) != 0) {
        atomic_fetch_add(&together, 1);
    }
    long members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    CHECK(members == loomp_pool_threads(compute_of(loomp_current())));
    atomic_fetch_sub(&gangs_inside, 1);
    return 0;
}

TEST(a_gang_runs_alone_among_tasks_jobs)
{
    enum { JOBS = 400 };
    loomp_runtime *runtime = runtime_under_test();
    static loomp_job jobs[JOBS];
    together = 0;
    for (int i = 0; i < JOBS; i++) {
        bool gang = i % 7 == 3;
        loomp_job_init(&jobs[i], gang ? inside_gang : inside_by_tasks, NULL);
        jobs[i].kind = gang ? LOOMP_GANG : LOOMP_TASKS;
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(together == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- many ---------------------------------------------------------------------------------------- */

static _Atomic uintptr_t deepest;

/* How far below the shallowest call on its thread the caller is. */
__attribute__((noinline)) static void note_depth(void)
{
    static _Thread_local uintptr_t top;
    volatile char here = 0;
    uintptr_t at = (uintptr_t)&here;
    if (at > top) {
        top = at;
    }
    uintptr_t seen = atomic_load(&deepest);
    while (top - at > seen && !atomic_compare_exchange_weak(&deepest, &seen, top - at)) {
    }
}

static int shallow_by_tasks(loomp_job *job)
{
    _Atomic long *sum = job->data;
    note_depth();
    for (int i = 0; i < 2; i++) {
#pragma omp task firstprivate(sum)
        atomic_fetch_add(sum, 1);
    }
    return 0;
}

TEST(a_deep_backlog_of_tasks_jobs_does_not_grow_the_stack)
{
    enum { BACKLOG = 20000 };
    static loomp_job jobs[BACKLOG];
    loomp_runtime *runtime = runtime_under_test();
    struct gate held = GATE_INIT;
    struct recorded_job gang;
    _Atomic long sum = 0;
    deepest = 0;
    hold_gang_team(runtime, &gang, &held);
    for (int i = 0; i < BACKLOG; i++) {
        loomp_job_init(&jobs[i], shallow_by_tasks, NULL);
        jobs[i].kind = LOOMP_TASKS;
        jobs[i].data = &sum;
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    gate_open(&held);
    CHECK(loomp_wait_idle(runtime, 4 * PATIENCE_S) == 0);
    CHECK(sum == 2 * BACKLOG);
    if (!CHECK(deepest < 64 * 1024)) {
        printf("    %ld bytes deep\n", (long)deepest);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int work_that_submits(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    probe->answer = fib_by_tasks(8);
    if (probe->children > 0) {
        CHECK(loomp_submit(loomp_current(), &probe[1].job) == 0);
    }
    return 0;
}

TEST(a_tasks_job_may_submit_tasks_jobs)
{
    enum { CHAIN = 200 };
    static struct probe chain[CHAIN];
    loomp_runtime *runtime = runtime_under_test();
    for (int i = 0; i < CHAIN; i++) {
        probe_init(&chain[i], work_that_submits);
        chain[i].children = i + 1 < CHAIN;
    }
    CHECK(loomp_submit(runtime, &chain[0].job) == 0);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    for (int i = 0; i < CHAIN; i++) {
        CHECK(chain[i].dones == 1 && chain[i].answer == 21);
    }
    CHECK(loomp_stop(runtime) == 0);
}

static int submit_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
#pragma omp task firstprivate(probe)
    for (int i = 1; i < AT_ONCE; i++) {
        CHECK(loomp_submit(loomp_current(), &probe[i].job) == 0);
    }
    return 0;
}

TEST(a_child_may_submit_jobs_of_every_kind)
{
    loomp_runtime *runtime = runtime_under_test();
    for (int round = 0; round < 20; round++) {
        probe_init(&probes[0], submit_by_tasks);
        for (int i = 1; i < AT_ONCE; i++) {
            probe_init(&probes[i], leave_behind_by_tasks);
            probes[i].job.kind = (uint32_t)i % 3;
        }
        CHECK(loomp_submit(runtime, &probes[0].job) == 0);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        for (int i = 1; i < AT_ONCE; i++) {
            CHECK(probes[i].dones == 1 && probes[i].seen_in_done == 120);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

static loomp_group waited_for;

static int wait_by_tasks(loomp_job *job)
{
    struct probe *probe = probe_of(job);
    gate_pass(probe->gate);
#pragma omp task firstprivate(probe)
    probe->answer = loomp_group_wait(&waited_for, -1);
    return 0;
}

TEST(a_child_of_a_tasks_job_may_wait_and_runs_what_it_waits_for)
{
    /* Without relief nobody else runs the other job meanwhile. */
    loomp_runtime *runtime =
        runtime_with(workers_under_test(), (const char *const[]){"gang.relief_us", "1e7", NULL});
    for (int round = 0; round < 20; round++) {
        struct gate gate = GATE_INIT;
        struct probe probe;
        probe_init(&probe, wait_by_tasks);
        probe.gate = &gate;
        CHECK(loomp_submit(runtime, &probe.job) == 0);
        gate_wait_for_arrivals(&gate, 1);
        loomp_job other;
        loomp_group_init(&waited_for, runtime);
        loomp_job_init(&other, nothing, NULL);
        other.group = &waited_for;
        CHECK(loomp_submit(runtime, &other) == 0);
        gate_open(&gate);
        CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
        if (!CHECK(probe.answer == 0)) {
            printf("    answer %ld\n", probe.answer);
            break;
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
