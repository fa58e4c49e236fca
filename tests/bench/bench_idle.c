/* SPDX-License-Identifier: MIT */
/* What a runtime with nothing to do costs: the CPU time of the whole process over five seconds, after
 * every team has worked. */
#include "bench.h"

#include <unistd.h>

static int nothing(loomp_job *job)
{
    if (job->kind == LOOMP_GANG) {
#pragma omp parallel
        __asm__ volatile("");
    }
    return 0;
}

int main(void)
{
    loomp_runtime *runtime = bench_start((const char *const[]){"compute.threads", "2", NULL});
    for (int i = 0; i < 1000; i++) {
        loomp_job job;
        loomp_job_init(&job, nothing, NULL);
        job.kind = i % 2 ? LOOMP_GANG : LOOMP_SERIAL;
        loomp_submit(runtime, &job);
        loomp_wait_idle(runtime, -1);
    }
    sleep(1); /* for those who still search to park */
    double cpu = bench_cpu_us();
    sleep(5);
    cpu = bench_cpu_us() - cpu;
    printf("idle: %.0f us of CPU time in 5 s (%.4f %% of one CPU)\n", cpu, cpu / 5e6 * 100);
    return loomp_stop(runtime) != 0;
}
