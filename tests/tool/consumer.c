/* SPDX-License-Identifier: MIT */
/* A program as a user of the installed library writes it, compiled by consumer.sh as C and as C++
 * with nothing but what pkg-config says: a GANG job with a region of its own gets the whole team, a
 * SERIAL job a team of one, and there is one OpenMP runtime in the process. */
#include <loomp.h>

#include <omp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define THREADS 2
#define CELLS 1000

struct request {
    loomp_job job;
    int threads;  /* of the region in it */
    int members;  /* threads that were seen there */
    long sum;
    int status;   /* what done was told; 1 before */
};

/* A region as in any solver: counts who takes part and adds up 0 .. CELLS - 1. */
static int work(loomp_job *job)
{
    struct request *request = LOOMP_CONTAINER(job, struct request, job);
    int threads = 0;
    int members = 0;
    long sum = 0;
    int i;

#pragma omp parallel reduction(+ : members)
    {
#pragma omp single
        threads = omp_get_num_threads();
        members += 1;
    }
#pragma omp parallel for reduction(+ : sum)
    for (i = 0; i < CELLS; i++) {
        sum += i;
    }
    request->threads = threads;
    request->members = members;
    request->sum = sum;
    return 0;
}

static void done(loomp_job *job, int status)
{
    LOOMP_CONTAINER(job, struct request, job)->status = status;
}

static int libgomp_is_loaded(void)
{
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "libgomp.so.1") != NULL) {
            found = 1;
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return found;
}

static int complain(const char *what, int err)
{
    fprintf(stderr, "consumer: %s: %s (%s)\n", what, loomp_strerror(err), loomp_error());
    return 1;
}

static int check(const char *kind, const struct request *request, int threads)
{
    printf("%s: %d threads, %d members, sum %ld, status %d\n", kind, request->threads,
           request->members, request->sum, request->status);
    return request->threads == threads && request->members == threads &&
           request->sum == (long)CELLS * (CELLS - 1) / 2 && request->status == 0;
}

int main(void)
{
    struct request gang;
    struct request serial;
    loomp_runtime *runtime = NULL;
    loomp_config *config;
    int err;
    int fine = 1;

    if (loomp_version() != LOOMP_VERSION) {
        fprintf(stderr, "consumer: header %06x, library %06x\n", (unsigned)LOOMP_VERSION,
                loomp_version());
        return 1;
    }
    config = loomp_config_new();
    if (config == NULL) {
        return complain("loomp_config_new", 0);
    }
    err = loomp_config_set(config, "compute.threads", "2");
    if (err != 0) {
        return complain("loomp_config_set", err);
    }
    err = loomp_start(&runtime, config);
    loomp_config_free(config);
    if (err != 0) {
        return complain("loomp_start", err);
    }

    loomp_job_init(&gang.job, work, done);
    gang.job.kind = LOOMP_GANG;
    gang.status = 1;
    loomp_job_init(&serial.job, work, done);
    serial.status = 1;
    err = loomp_submit(runtime, &gang.job);
    if (err == 0) {
        err = loomp_submit(runtime, &serial.job);
    }
    if (err != 0) {
        return complain("loomp_submit", err);
    }
    err = loomp_stop(runtime);
    if (err != 0) {
        return complain("loomp_stop", err);
    }

    fine &= check("gang", &gang, THREADS);
    fine &= check("serial", &serial, 1);
    if (libgomp_is_loaded()) {
        fprintf(stderr, "consumer: libgomp is loaded\n");
        fine = 0;
    }
    return fine ? 0 : 1;
}
