/* SPDX-License-Identifier: MIT */
/* A job that runs cannot be stopped from outside; it can look whether somebody wants it to end. The
 * loop without loomp_cancelled() here ends only because the program opens a gate for it. */
#include "pattern.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>

static sem_t started;
static atomic_bool gate;
static int results[3] = {1, 1, 1};

static void done(loomp_job *job, int status)
{
    *(int *)job->data = status;
}

/* The pitfall. */
static int deaf(loomp_job *job)
{
    (void)job;
    sem_post(&started);
    while (!atomic_load(&gate)) {
    }
    return 0;
}

/* The pattern: once per step of an iteration is often enough, and costs a few loads. */
static int attentive(loomp_job *job)
{
    (void)job;
    double x = 1;
    sem_post(&started);
    while (!loomp_cancelled()) {
        for (int i = 0; i < 1000; i++) {
            x = 0.5 * (x + 2 / x);
        }
    }
    return x > 0 ? -ECANCELED : 0;
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(1);
    loomp_group group;
    sem_init(&started, 0, 0);
    loomp_group_init(&group, runtime);
    loomp_job a = LOOMP_JOB_INIT(deaf, done), b = LOOMP_JOB_INIT(attentive, done), c = b;
    loomp_job *jobs[3] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) {
        jobs[i]->data = &results[i];
        jobs[i]->group = &group;
    }

    EXPECT(loomp_submit(runtime, &a) == 0);
    sem_wait(&started);
    int cancelled = loomp_cancel(&a);
    int waited = loomp_wait_idle(runtime, 0);
    printf("without loomp_cancelled(): cancel says \"%s\", wait_idle says\n  \"%s\"\n",
           loomp_strerror(cancelled), loomp_error());
    EXPECT(cancelled == -EINPROGRESS && waited == -ETIMEDOUT);
    atomic_store(&gate, true);
    EXPECT(loomp_group_wait(&group, -1) == 0 && results[0] == 0);

    EXPECT(loomp_submit(runtime, &b) == 0 && loomp_submit(runtime, &c) == 0);
    sem_wait(&started);
    int queued = loomp_cancel(&c);  /* behind b: withdrawn, its work never runs */
    cancelled = loomp_cancel(&b);
    int first = loomp_group_wait(&group, -1);
    printf("with it: cancel says \"%s\", done got \"%s\"\n", loomp_strerror(cancelled),
           loomp_strerror(results[1]));
    printf("still queued: cancel returned %d, done got \"%s\"\n", queued,
           loomp_strerror(results[2]));
    EXPECT(cancelled == -EINPROGRESS && results[1] == -ECANCELED);
    EXPECT(queued == 0 && results[2] == -ECANCELED && first == -ECANCELED);
    return pattern_end(runtime);
}
