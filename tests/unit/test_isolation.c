/* SPDX-License-Identifier: MIT */
/* What a job may do to OpenMP and to the floating-point unit, and what the next job sees of it:
 * nothing. */
#define SUITE "isolation"
#include "gate.h"

#include "base/fp_control.h"

#include <errno.h>
#include <fenv.h>
#include <omp.h>
#include <stdatomic.h>

enum { MANY = 300 };

/* ---- orphaned constructs ------------------------------------------------------------------------ */

__attribute__((noinline)) static long orphaned(void)
{
    long sum = 0;
    long shared = 0;
#pragma omp for nowait
    for (int i = 0; i < 100; i++) {
        sum += i;
    }
#pragma omp single
    sum += 1000;
#pragma omp master
    sum += 10000;
#pragma omp sections
    {
#pragma omp section
        sum += 100000;
#pragma omp section
        sum += 200000;
    }
#pragma omp critical
    sum += 1000000;
#pragma omp barrier
    for (int i = 0; i < 10; i++) {
#pragma omp task shared(shared)
        {
#pragma omp atomic
            shared += 1;
        }
    }
#pragma omp taskwait
#pragma omp taskloop shared(shared)
    for (int i = 0; i < 10; i++) {
#pragma omp atomic
        shared += 1;
    }
    return sum + 10000000 * shared;
}

enum { ORPHANED_ANSWER = 4950 + 1000 + 10000 + 300000 + 1000000 + 200000000 };

static _Atomic int wrong;

static int orphaned_work(loomp_job *job)
{
    (void)job;
    wrong += orphaned() != ORPHANED_ANSWER;
    wrong += omp_get_num_threads() != 1 || omp_get_thread_num() != 0;
    return 0;
}

static void submit_many(loomp_runtime *runtime, loomp_work_fn work, loomp_job *jobs, uint32_t kind)
{
    loomp_group group;
    loomp_group_init(&group, runtime);
    for (int i = 0; i < MANY; i++) {
        loomp_job_init(&jobs[i], work, NULL);
        jobs[i].group = &group;
        jobs[i].kind = kind;
        CHECK(loomp_submit(runtime, &jobs[i]) == 0);
    }
    CHECK(loomp_group_wait(&group, -1) == 0);
}

static loomp_job jobs[MANY];

TEST(serial_jobs_with_orphaned_constructs_answer_as_a_team_of_one)
{
    loomp_runtime *runtime = runtime_under_test();
    wrong = 0;
    submit_many(runtime, orphaned_work, jobs, LOOMP_SERIAL);
    CHECK(wrong == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static int region_work(loomp_job *job)
{
    (void)job;
    int members = 0;
#pragma omp parallel num_threads(4) reduction(+ : members)
    members += omp_get_num_threads();
    wrong += members != 1;
    return 0;
}

TEST(a_parallel_region_inside_a_serial_job_is_a_team_of_one)
{
    loomp_runtime *runtime = runtime_under_test();
    wrong = 0;
    submit_many(runtime, region_work, jobs, LOOMP_SERIAL);
    CHECK(wrong == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- internal control variables ------------------------------------------------------------------ */

struct icvs {
    int threads;
    int dynamic;
    int levels;
    omp_sched_t schedule;
    int chunk;
};

static struct icvs read_icvs(void)
{
    struct icvs icvs = {
        .threads = omp_get_max_threads(),
        .dynamic = omp_get_dynamic(),
        .levels = omp_get_max_active_levels(),
    };
    omp_get_schedule(&icvs.schedule, &icvs.chunk);
    return icvs;
}

static bool same_icvs(struct icvs a, struct icvs b)
{
    return a.threads == b.threads && a.dynamic == b.dynamic && a.levels == b.levels &&
           a.schedule == b.schedule && a.chunk == b.chunk;
}

static struct icvs first_seen;

static int remember_icvs(loomp_job *job)
{
    (void)job;
    first_seen = read_icvs();
    return 0;
}

static int spoil_icvs(loomp_job *job)
{
    (void)job;
    wrong += !same_icvs(read_icvs(), first_seen);
    omp_set_num_threads(7);
    omp_set_dynamic(!first_seen.dynamic);
    omp_set_max_active_levels(first_seen.levels + 3);
    omp_set_schedule(omp_sched_guided, 17);
    return 0;
}

static void check_icvs(uint32_t kind)
{
    loomp_runtime *runtime = runtime_under_test();
    loomp_job first;
    loomp_job_init(&first, remember_icvs, NULL);
    first.kind = kind;
    CHECK(loomp_submit(runtime, &first) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    wrong = 0;
    submit_many(runtime, spoil_icvs, jobs, kind);
    CHECK(wrong == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(icvs_that_a_serial_job_sets_do_not_reach_the_next_one)
{
    check_icvs(LOOMP_SERIAL);
    CHECK(first_seen.threads == 1); /* as many as its regions get */
}

TEST(icvs_that_a_gang_sets_do_not_reach_the_next_one)
{
    check_icvs(LOOMP_GANG);
}

static int gang_width_work(loomp_job *job)
{
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    *(int *)job->data = members;
    omp_set_num_threads(1);
    omp_set_max_active_levels(0);
    omp_set_dynamic(1);
    return 0;
}

TEST(a_gang_that_forbids_parallelism_forbids_it_only_for_itself)
{
    loomp_runtime *runtime = runtime_with(2, NULL);
    for (int i = 0; i < 50; i++) {
        int members = 0;
        loomp_job job;
        loomp_job_init(&job, gang_width_work, NULL);
        job.kind = LOOMP_GANG;
        job.data = &members;
        CHECK(loomp_submit(runtime, &job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
        CHECK(members == 2);
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- floating point ------------------------------------------------------------------------------ */

/* Something that is not the usual control, on every machine: rounding towards zero. */
static uint64_t spoilt_control(void)
{
    uint64_t usual = lp_fp_control();
    fesetround(FE_TOWARDZERO);
    uint64_t spoilt = lp_fp_control();
    lp_fp_set_control(usual);
#if defined(__x86_64__)
    spoilt |= (uint64_t)0x8040 << 16; /* flush-to-zero and denormals-are-zero */
#endif
    return spoilt;
}

static uint64_t usual_control;

static int spoil_fp(loomp_job *job)
{
    (void)job;
    wrong += lp_fp_control() != usual_control;
    lp_fp_set_control(spoilt_control());
    return 0;
}

static int spoil_fp_in_region(loomp_job *job)
{
    (void)job;
#pragma omp parallel
    {
        wrong += lp_fp_control() != usual_control;
        lp_fp_set_control(spoilt_control());
    }
    return 0;
}

static void check_fp(loomp_work_fn work, uint32_t kind)
{
    usual_control = lp_fp_control();
    CHECK(spoilt_control() != usual_control);
    loomp_runtime *runtime = runtime_under_test();
    wrong = 0;
    submit_many(runtime, work, jobs, kind);
    submit_many(runtime, spoil_fp, jobs, LOOMP_SERIAL);
    CHECK(wrong == 0);
    CHECK(loomp_stop(runtime) == 0);
    CHECK(lp_fp_control() == usual_control);
}

TEST(rounding_and_flush_to_zero_of_a_serial_job_do_not_reach_the_next_one)
{
    check_fp(spoil_fp, LOOMP_SERIAL);
}

TEST(rounding_and_flush_to_zero_of_a_gang_do_not_reach_the_next_one)
{
    check_fp(spoil_fp, LOOMP_GANG);
}

TEST(rounding_and_flush_to_zero_of_a_gangs_region_do_not_reach_the_next_gang)
{
    check_fp(spoil_fp_in_region, LOOMP_GANG);
}

static int nested_fp(loomp_job *job)
{
    loomp_runtime *runtime = job->data;
    loomp_group group;
    loomp_group_init(&group, runtime);
    loomp_job inner;
    loomp_job_init(&inner, spoil_fp, NULL);
    inner.group = &group;
    inner.kind = job->kind;
    uint64_t mine = spoilt_control() ^ 0;
    fesetround(FE_DOWNWARD);
    mine = lp_fp_control();
    CHECK(loomp_submit(runtime, &inner) == 0);
    CHECK(loomp_group_wait(&group, -1) == 0);
    wrong += lp_fp_control() != mine;
    return 0;
}

TEST(a_job_that_waits_finds_its_own_floating_point_control_again)
{
    usual_control = lp_fp_control();
    loomp_runtime *runtime = runtime_under_test();
    wrong = 0;
    for (uint32_t kind = LOOMP_SERIAL; kind <= LOOMP_GANG; kind += LOOMP_GANG) {
        loomp_job job;
        loomp_job_init(&job, nested_fp, NULL);
        job.kind = kind;
        job.data = runtime;
        CHECK(loomp_submit(runtime, &job) == 0);
        CHECK(loomp_wait_idle(runtime, -1) == 0);
    }
    CHECK(wrong == 0);
    CHECK(loomp_stop(runtime) == 0);
}

static int check_submitters_fp(loomp_job *job)
{
    wrong += lp_fp_control() != *(uint64_t *)job->data;
    return 0;
}

TEST(a_job_with_fp_env_runs_with_its_submitters_control)
{
    usual_control = lp_fp_control();
    loomp_runtime *runtime = runtime_under_test();
    wrong = 0;
    fesetround(FE_UPWARD);
    uint64_t mine = lp_fp_control();
    loomp_job job;
    loomp_job_init(&job, check_submitters_fp, NULL);
    job.flags = LOOMP_FP_ENV;
    job.data = &mine;
    CHECK(loomp_submit(runtime, &job) == 0);
    fesetround(FE_TONEAREST);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    submit_many(runtime, spoil_fp, jobs, LOOMP_SERIAL);
    CHECK(wrong == 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
