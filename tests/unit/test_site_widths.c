/* SPDX-License-Identifier: MIT */
/* TASKS and GANG jobs with a site: that their results are right on every arm and at every width, and
 * how wide they become. */
#define SUITE "site widths"
#include "site_jobs.h"

#include "team/pool.h"

#include <errno.h>
#include <omp.h>
#include <stdatomic.h>

/* ---- results --------------------------------------------------------------------------------- */

enum { NUMBERS = 1000 };

struct summing {
    struct site_job job;
    long sum;
    int members; /* threads of its region */
};

static struct summing *summing_of(struct site_job *job)
{
    return LOOMP_CONTAINER(job, struct summing, job);
}

static void sum_in_a_region(struct site_job *self)
{
    struct summing *summing = summing_of(self);
    long sum = 0;
    int members = 0;
#pragma omp parallel reduction(+ : sum, members)
    {
        members += 1;
#pragma omp for
        for (int i = 0; i < NUMBERS; i++) {
            sum += i;
        }
    }
    summing->sum = sum;
    summing->members = members;
}

static void sum_by_tasks(struct site_job *self)
{
    struct summing *summing = summing_of(self);
    long sum = 0;
    summing->members = omp_get_num_threads();
    for (int i = 0; i < NUMBERS; i += 100) {
#pragma omp task firstprivate(i) shared(sum)
        {
            long part = 0;
            for (int j = i; j < i + 100; j++) {
                part += j;
            }
#pragma omp atomic
            sum += part;
        }
    }
#pragma omp taskwait
    summing->sum = sum;
}

static void summing_init(struct summing *summing, loomp_site *site, uint32_t kind, uint32_t width)
{
    memset((void *)summing, 0, sizeof *summing);
    site_job_init(&summing->job, site, kind);
    summing->job.job.width = width;
    summing->job.body = kind == LOOMP_TASKS ? sum_by_tasks : sum_in_a_region;
}

static void wait_at_the_gate(struct site_job *self)
{
    gate_pass(self->arg);
}

static bool sums_well(const struct summing *summing, loomp_loop *loop)
{
    return site_job_ended_well(&summing->job, loop) &&
           CHECK(summing->sum == NUMBERS * (NUMBERS - 1L) / 2);
}

static int least_of(int a, int b)
{
    return a < b ? a : b;
}

/* All arms, and all widths of a team: 0 is all threads. */
static const struct {
    uint32_t arm, width;
} pins[] = {{LOOMP_INLINE, 0}, {LOOMP_TASK, 0}, {LOOMP_TEAM, 0}, {LOOMP_TEAM, 1},
            {LOOMP_TEAM, 2},   {LOOMP_TEAM, 3}, {LOOMP_TEAM, 4}};

enum { PINS = sizeof pins / sizeof *pins };

TEST(results_are_right_on_every_arm_and_at_every_width)
{
    static char names[PINS][24];
    static loomp_site sites[PINS];
    for (int i = 0; i < PINS; i++) {
        snprintf(names[i], sizeof names[i], "pinned %d", i);
        sites[i].name = names[i];
        pin_site(&sites[i], pins[i].arm, pins[i].width);
    }
    loomp_runtime *runtime = runtime_with_sites(NULL);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    int workers = loomp_pool_threads(compute_of(runtime));
    for (int i = 0; i < PINS; i++) {
        bool team = pins[i].arm == LOOMP_TEAM;
        int expected = !team           ? 1
                       : pins[i].width ? least_of((int)pins[i].width, workers)
                                       : workers;
        for (uint32_t kind = LOOMP_TASKS; kind <= LOOMP_GANG; kind++) {
            struct summing summing;
            summing_init(&summing, &sites[i], kind, 0);
            run_site_job(loop, &summing.job);
            sums_well(&summing, loop);
            CHECK(summing.job.inside == (pins[i].arm == LOOMP_INLINE));
            CHECK(summing.members == expected);
        }
    }
    CHECK(loomp_stop(runtime) == 0);
}

TEST(results_are_right_while_widths_are_learnt)
{
    static loomp_site site = LOOMP_SITE("learning widths", LOOMP_HINT_UNKNOWN);
    loomp_runtime *runtime = runtime_with_sites(NULL);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    for (uint32_t i = 0; i < 200; i++) {
        struct summing summing;
        summing_init(&summing, &site, i % 2 ? LOOMP_TASKS : LOOMP_GANG, 0);
        summing.job.job.size = i % 10;
        run_site_job(loop, &summing.job);
        sums_well(&summing, loop);
    }
    CHECK(loomp_stop(runtime) == 0);
    struct loomp_site_stats stats = stats_of(&site);
    CHECK(stats.calls == 200 && stats.teams > 0);
}

static int64_t expected_of(loomp_pool *pool)
{
    return atomic_load(&pool->expected_ns);
}

TEST(a_pool_expects_gangs_until_they_have_ended_or_are_withdrawn)
{
    static loomp_site site = LOOMP_SITE("expected", LOOMP_HINT_HIGH);
    enum { GANGS = 6, WITHDRAWN = 2 };
    static struct site_job gangs[GANGS];
    static struct gate gate;
    gate_init(&gate);
    pin_site(&site, LOOMP_TEAM, 0);
    loomp_runtime *runtime = runtime_with_sites(NULL);
    loomp_pool *pool = compute_of(runtime);
    int64_t before = 0;
    CHECK(expected_of(pool) == 0);
    for (int i = 0; i < GANGS; i++) {
        site_job_init(&gangs[i], &site, LOOMP_GANG);
        gangs[i].body = i == 0 ? wait_at_the_gate : NULL;
        gangs[i].arg = &gate;
        CHECK(site_job_submit(&gangs[i]) == 0);
        if (i == 0) {
            gate_wait_for_arrivals(&gate, 1); /* all others wait behind it */
        }
        CHECK(expected_of(pool) > before);
        before = expected_of(pool);
    }
    for (int i = GANGS - WITHDRAWN; i < GANGS; i++) {
        CHECK(loomp_cancel(&gangs[i].job) == 0);
    }
    CHECK(expected_of(pool) < before && expected_of(pool) > 0);
    gate_open(&gate);
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(expected_of(pool) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(the_width_that_a_job_asks_for_is_the_most_it_gets)
{
    static loomp_site learning = LOOMP_SITE("asks for a width", LOOMP_HINT_HIGH);
    static loomp_site pinned = LOOMP_SITE("asks for less than pinned", LOOMP_HINT_HIGH);
    pin_site(&pinned, LOOMP_TEAM, 3);
    loomp_runtime *runtime = runtime_with_sites(NULL);
    loomp_loop *loop = loomp_loop_at(runtime, 0);
    int workers = loomp_pool_threads(compute_of(runtime));
    for (uint32_t i = 0; i < 60; i++) {
        struct summing summing;
        uint32_t width = 1 + i % 4;
        summing_init(&summing, i % 2 ? &learning : &pinned, i % 3 ? LOOMP_GANG : LOOMP_TASKS, width);
        run_site_job(loop, &summing.job);
        sums_well(&summing, loop);
        CHECK(summing.members <= least_of((int)width, workers));
    }
    CHECK(loomp_stop(runtime) == 0);
}

/* ---- widths that are learnt ------------------------------------------------------------------ */

enum { WARM = 300, LOOKED_AT = 60 };

/* Work that keeps its thread busy for as long as so many threads would take: the difference is far more
 * than what a busy machine adds to a hand-over. */
struct timed {
    struct site_job job;
    double on_one_s, on_two_s;
    int threads;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void take_time(struct site_job *self)
{
    struct timed *timed = LOOMP_CONTAINER(self, struct timed, job);
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members += 1;
    timed->threads = members;
    double cost_s = timed->threads > 1 ? timed->on_two_s : timed->on_one_s;
    uint64_t end_ns = now_ns() + (uint64_t)(cost_s * 1e9);
    while (now_ns() < end_ns) {
    }
}

static const char *const team_pin[] = {"sites.always on a team.arm", "team", NULL};

/* The loop finds out how long a gang takes to start, which the first time may be long. */
static void learn_to_hand_over(loomp_runtime *runtime)
{
    static loomp_site site = LOOMP_SITE("always on a team", LOOMP_HINT_UNKNOWN);
    for (int i = 0; i < 40; i++) {
        struct summing summing;
        summing_init(&summing, &site, LOOMP_GANG, 0);
        run_site_job(loomp_loop_at(runtime, 0), &summing.job);
    }
}

/* How many of the calls after the warm-up had more than one thread. */
static int count_wide(loomp_runtime *runtime, loomp_site *site, double on_one_s, double on_two_s)
{
    int wide = 0;
    learn_to_hand_over(runtime);
    for (int i = 0; i < WARM + LOOKED_AT; i++) {
        struct timed timed = {.on_one_s = on_one_s, .on_two_s = on_two_s};
        site_job_init(&timed.job, site, LOOMP_GANG);
        timed.job.body = take_time;
        run_site_job(loomp_loop_at(runtime, 0), &timed.job);
        site_job_ended_well(&timed.job, loomp_loop_at(runtime, 0));
        wide += i >= WARM && timed.threads > 1;
    }
    return wide;
}

TEST(a_gang_that_is_slower_with_more_threads_becomes_narrow)
{
    static loomp_site site = LOOMP_SITE("slower when wide", LOOMP_HINT_UNKNOWN);
    loomp_runtime *runtime = runtime_with_sites(team_pin);
    CHECK(count_wide(runtime, &site, 50e-6, 8e-3) < LOOKED_AT / 4);
    CHECK(loomp_stop(runtime) == 0);
}

TEST(a_gang_that_is_faster_with_more_threads_stays_wide)
{
    static loomp_site site = LOOMP_SITE("faster when wide", LOOMP_HINT_UNKNOWN);
    loomp_runtime *runtime = runtime_with_sites(team_pin);
    bool has_two = loomp_pool_threads(compute_of(runtime)) > 1;
    int wide = count_wide(runtime, &site, 30e-3, 300e-6);
    CHECK(has_two ? wide > LOOKED_AT * 3 / 4 : wide == 0);
    CHECK(loomp_stop(runtime) == 0);
}

int main(int argc, char **argv)
{
    return harness_run(argc, argv);
}
