/* SPDX-License-Identifier: MIT */
/* What a decision costs: choose and finish on a loop, sizes and no sizes, beside reading the clock,
 * an empty inline job through a site, and one hand-over to the pool and back. One thread's CPU time
 * for all but the last, in rounds that alternate. */
#include "bench.h"

#include <loomp/site.h>

enum {
    ROUNDS = 15,
    CALLS = 200000,
    INLINE_JOBS = 20000,
    HAND_OVERS = 2000
};

enum row {
    CLOCK,
    CHOOSE_FINISH,
    CHOOSE_FINISH_SIZE,
    INLINE_JOB,
    HAND_OVER,
    ROWS
};

static const char *const names[ROWS] = {
    "clock_gettime",           "choose + finish",       "choose + finish, another size each time",
    "empty job, inline, done", "empty job, pool, done",
};

static double ns_of[ROWS][ROUNDS];

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static loomp_runtime *runtime;
static int round_number;

static void measure_clock(void)
{
    double start = cpu_ns();
    for (int i = 0; i < CALLS; i++) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        __asm__ volatile("" : : "r"(&t) : "memory");
    }
    ns_of[CLOCK][round_number] = (cpu_ns() - start) / CALLS;
}

static void measure_choose(enum row row, loomp_site *site, uint64_t step)
{
    loomp_decision decision;
    uint64_t size = step;
    double start = cpu_ns();
    for (int i = 0; i < CALLS; i++) {
        loomp_choose(runtime, site, size, &decision);
        loomp_finish(&decision);
        size = (size + step) & 0xfffff;
    }
    ns_of[row][round_number] = (cpu_ns() - start) / CALLS;
}

/* ---- jobs: each is submitted by the done of the one before ----------------------------------- */

static loomp_site empty_site = LOOMP_SITE("empty", LOOMP_HINT_LOW);

struct chain {
    loomp_job job;
    loomp_site *site;
    int left;
    double start;
};

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static void next(struct chain *chain);

static void chain_done(loomp_job *job, int status)
{
    struct chain *chain = LOOMP_CONTAINER(job, struct chain, job);
    (void)status;
    if (chain->left--) {
        next(chain);
        return;
    }
    if (chain->site) {
        ns_of[INLINE_JOB][round_number] = (cpu_ns() - chain->start) / INLINE_JOBS;
        chain->site = NULL;
        chain->left = HAND_OVERS;
        chain->start = bench_now_us();
        next(chain);
    } else {
        ns_of[HAND_OVER][round_number] = (bench_now_us() - chain->start) * 1e3 / HAND_OVERS;
    }
}

static void next(struct chain *chain)
{
    loomp_job_init(&chain->job, nothing, chain_done);
    chain->job.site = chain->site;
    loomp_submit(runtime, &chain->job);
}

static struct chain chain;

static int one_round(loomp_loop *loop, void *arg)
{
    static loomp_site site = LOOMP_SITE("choose", LOOMP_HINT_LOW);
    static loomp_site sized = LOOMP_SITE("choose with size", LOOMP_HINT_LOW);
    (void)loop;
    (void)arg;
    measure_clock();
    measure_choose(CHOOSE_FINISH, &site, 0);
    measure_choose(CHOOSE_FINISH_SIZE, &sized, 77);
    chain = (struct chain){.site = &empty_site, .left = INLINE_JOBS, .start = cpu_ns()};
    next(&chain);
    return 0;
}

int main(void)
{
    runtime = bench_start(
        (const char *const[]){"compute.threads", "1", "adaptive.inline_budget_us", "1e6", NULL});
    for (round_number = 0; round_number < ROUNDS; round_number++) {
        if (loomp_run_until_complete(runtime, one_round, NULL)) {
            fprintf(stderr, "%s\n", loomp_error());
            return 1;
        }
    }
    printf("what a decision costs [ns], medians of %d rounds, and against the clock of the same "
           "run:\n",
           ROUNDS);
    double clock = bench_summarise(ns_of[CLOCK], ROUNDS).p50;
    for (int row = 0; row < ROWS; row++) {
        double least = 1e300;
        for (int i = 0; i < ROUNDS; i++) {
            least = ns_of[row][i] < least ? ns_of[row][i] : least;
        }
        struct bench_summary s = bench_summarise(ns_of[row], ROUNDS);
        printf("%-42s %9.1f  (least %.1f, most %.1f)  %6.2f x\n", names[row], s.p50, least, s.max,
               s.p50 / clock);
    }
    return loomp_stop(runtime) != 0;
}
