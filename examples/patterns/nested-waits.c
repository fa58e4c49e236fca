/* SPDX-License-Identifier: MIT */
/* Jobs that wait for jobs, with one worker. Waiting for a group that one belongs to can never end
 * and is refused; waiting for jobs of one's own making works to any depth, because who waits runs
 * them meanwhile. */
#include "pattern.h"

#include <errno.h>

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

/* The pitfall: job.group is the group that this job itself belongs to. */
static int wait_for_own_group(loomp_job *job)
{
    int err = loomp_group_wait(job->group, -1);
    printf("in a job of the group: %s: %s\n", loomp_strerror(err), loomp_error());
    EXPECT(err == -EDEADLK);
    return 0;
}

struct fibonacci {
    loomp_job job;
    int n;
    int value;
};

/* The pattern: a group of its own for what it starts. */
static int fibonacci_work(loomp_job *job)
{
    struct fibonacci *f = LOOMP_CONTAINER(job, struct fibonacci, job), part[2];
    if (f->n < 2) {
        f->value = f->n;
        return 0;
    }
    loomp_group parts;
    loomp_group_init(&parts, loomp_current());
    for (int i = 0; i < 2; i++) {
        loomp_job_init(&part[i].job, fibonacci_work, NULL);
        part[i].job.group = &parts;
        part[i].n = f->n - 1 - i;
        int err = loomp_submit(loomp_current(), &part[i].job);
        EXPECT(err == 0);
    }
    int err = loomp_group_wait(&parts, -1);
    f->value = part[0].value + part[1].value;
    return err;
}

static int gang_work(loomp_job *job)
{
    int *threads = job->data;
    int count = 0;
#pragma omp parallel reduction(+ : count)
    count++;
    *threads = count;
    return 0;
}

/* A SERIAL job that waits for a GANG: it gives its place away meanwhile. */
static int wait_for_gang(loomp_job *job)
{
    loomp_group parts;
    loomp_group_init(&parts, loomp_current());
    loomp_job gang = LOOMP_JOB_INIT(gang_work, NULL);
    gang.kind = LOOMP_GANG;
    gang.data = job->data;
    gang.group = &parts;
    int err = loomp_submit(loomp_current(), &gang);
    return err ? err : loomp_group_wait(&parts, -1);
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(1);
    loomp_group group;
    loomp_group_init(&group, runtime);

    loomp_job self = LOOMP_JOB_INIT(wait_for_own_group, NULL);
    loomp_job other = LOOMP_JOB_INIT(nothing, NULL);
    self.group = other.group = &group;
    EXPECT(loomp_submit(runtime, &self) == 0 && loomp_submit(runtime, &other) == 0);
    EXPECT(loomp_group_wait(&group, -1) == 0);

    struct fibonacci f = {.job = LOOMP_JOB_INIT(fibonacci_work, NULL), .n = 15};
    f.job.group = &group;
    EXPECT(loomp_submit(runtime, &f.job) == 0 && loomp_group_wait(&group, -1) == 0);
    printf("jobs that wait for jobs, 15 deep on one worker: fibonacci(15) = %d\n", f.value);
    EXPECT(f.value == 610);

    int threads = 0;
    loomp_job waiting = LOOMP_JOB_INIT(wait_for_gang, NULL);
    waiting.data = &threads;
    waiting.group = &group;
    EXPECT(loomp_submit(runtime, &waiting) == 0 && loomp_group_wait(&group, -1) == 0);
    printf("a SERIAL job that waited for a GANG: the gang had %d of 1 threads\n", threads);
    EXPECT(threads == 1);
    return pattern_end(runtime);
}
