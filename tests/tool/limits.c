/* SPDX-License-Identifier: MIT */
/* For cgroup.sh, which changes the limits of this process while it works: runs one gang after
 * another until SIGTERM, and writes a line "width N" whenever a gang is not as wide as the one
 * before it, and a line "log ..." for each of loomp's. */
#include <loomp.h>

#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static void write_log(void *arg, int level, const char *line)
{
    (void)arg;
    (void)level;
    printf("log %s\n", line);
}

static int measure(loomp_job *job)
{
    int *width = job->data;
#pragma omp parallel
#pragma omp single
    *width = omp_get_num_threads();
    /* Work that a quota does not slow down. */
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return 0;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
    loomp_set_log(write_log, NULL);
    loomp_runtime *runtime;
    if (loomp_start(&runtime, NULL)) {
        printf("log %s\n", loomp_error());
        return 1;
    }
    int before = 0;
    while (!ended) {
        int width = 0;
        loomp_group group;
        loomp_job job;
        loomp_group_init(&group, runtime);
        loomp_job_init(&job, measure, NULL);
        job.kind = LOOMP_GANG;
        job.data = &width;
        job.group = &group;
        if (loomp_submit(runtime, &job) || loomp_group_wait(&group, -1)) {
            printf("log %s\n", loomp_error());
            return 1;
        }
        if (width != before) {
            printf("width %d\n", width);
        }
        before = width;
    }
    return loomp_stop(runtime) != 0;
}
