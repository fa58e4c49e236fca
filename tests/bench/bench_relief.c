/* SPDX-License-Identifier: MIT */
/* How long SERIAL jobs wait while a GANG of ten seconds has all places, and what they cost it. */
#include "bench.h"

enum { WORKERS = 2 };

static _Atomic int gang_runs;
static double gang_seconds = 10;

static int long_gang(loomp_job *job)
{
    double end = bench_now_us() + gang_seconds * 1e6;
    gang_runs = 1;
#pragma omp parallel
    while (bench_now_us() < end) {
        for (int i = 0; i < 1000; i++) {
            __asm__ volatile("");
        }
    }
    gang_runs = 0;
    (void)job;
    return 0;
}

static int quick(loomp_job *job)
{
    (void)job;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        gang_seconds = atof(argv[1]);
    }
    loomp_runtime *runtime = bench_start((const char *const[]){"compute.threads", "2", NULL});
    loomp_job gang;
    loomp_job_init(&gang, long_gang, NULL);
    gang.kind = LOOMP_GANG;
    loomp_submit(runtime, &gang);
    while (!gang_runs) {
        sched_yield();
    }
    enum { MOST = 100000 };
    double *waits = calloc(MOST, sizeof *waits);
    long count = 0;
    while (gang_runs && count < MOST) {
        loomp_job job;
        loomp_group group;
        loomp_group_init(&group, runtime);
        loomp_job_init(&job, quick, NULL);
        job.group = &group;
        double start = bench_now_us();
        loomp_submit(runtime, &job);
        loomp_group_wait(&group, -1);
        waits[count++] = bench_now_us() - start;
        struct timespec t = {0, 5000000};
        nanosleep(&t, NULL);
    }
    struct bench_summary s = bench_summarise(waits, count);
    printf("SERIAL jobs beside a gang of %.0f s on all %d places (relief after 1000 us):\n",
           gang_seconds, WORKERS);
    printf("%ld jobs, submit to answer [us]: p50 %.0f, p99 %.0f, max %.0f\n", count, s.p50, s.p99,
           s.max);
    free(waits);
    return loomp_stop(runtime) != 0;
}
