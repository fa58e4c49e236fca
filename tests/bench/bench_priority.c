/* SPDX-License-Identifier: MIT */
/* How long a HIGH job waits behind a backlog of 100,000 NORMAL ones, against the time that a job in
 * progress takes. */
#include "bench.h"

enum { BACKLOG = 100000, HIGH_JOBS = 300 };

static const double run_us = 50;
static _Atomic long normal_runs;
static _Atomic double begun_us;

static void spin(double us)
{
    double end = bench_now_us() + us;
    while (bench_now_us() < end) {
    }
}

static int normal(loomp_job *job)
{
    (void)job;
    spin(run_us);
    atomic_fetch_add_explicit(&normal_runs, 1, memory_order_relaxed);
    return 0;
}

static int high(loomp_job *job)
{
    (void)job;
    begun_us = bench_now_us();
    return 0;
}

int main(void)
{
    loomp_runtime *runtime = bench_start(
        (const char *const[]){"compute.threads", "2", "queue_limit", "200000", NULL});
    loomp_job *jobs = calloc(BACKLOG, sizeof *jobs);
    double *waits = calloc(HIGH_JOBS, sizeof *waits);
    for (long i = 0; i < BACKLOG; i++) {
        loomp_job_init(&jobs[i], normal, NULL);
        if (loomp_submit(runtime, &jobs[i])) {
            fprintf(stderr, "%s\n", loomp_error());
            return 1;
        }
    }
    long count = 0, least_behind = BACKLOG;
    for (; count < HIGH_JOBS && normal_runs < BACKLOG; count++) {
        struct timespec t = {0, 5000000};
        nanosleep(&t, NULL);
        loomp_group group;
        loomp_job job;
        loomp_group_init(&group, runtime);
        loomp_job_init(&job, high, NULL);
        job.priority = LOOMP_HIGH;
        job.group = &group;
        double submitted = bench_now_us();
        loomp_submit(runtime, &job);
        loomp_group_wait(&group, -1);
        waits[count] = begun_us - submitted;
        least_behind = BACKLOG - normal_runs;
    }
    struct bench_summary s = bench_summarise(waits, count);
    printf("HIGH jobs behind %d NORMAL jobs of %.0f us each, 2 workers (%ld were left at the end):\n",
           BACKLOG, run_us, least_behind);
    printf("%ld jobs, submit to start [us]: p50 %.1f, p99 %.1f, max %.1f; beyond the run time of the "
           "job in progress: max %.1f\n",
           count, s.p50, s.p99, s.max, s.max > run_us ? s.max - run_us : 0.0);
    int err = loomp_stop(runtime);
    free(jobs);
    free(waits);
    return err != 0;
}
