/* SPDX-License-Identifier: MIT */
/* A lock that is held while one waits for a job is a lock that the job cannot have; one that is
 * taken before submitting and let go in `done` is let go by another thread. loomp sees neither. */
#include "pattern.h"

#include <errno.h>
#include <pthread.h>

static pthread_mutex_t table_lock; /* guards table */
static double table[4] = {1, 2, 3, 4};
static int unlock_result;

struct sum {
    loomp_job job;
    double copy[4];
    double value;
};

/* Wants the lock; a time limit keeps this program from hanging where a real one would. */
static int sum_under_lock(loomp_job *job)
{
    struct sum *sum = LOOMP_CONTAINER(job, struct sum, job);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int err = pthread_mutex_timedlock(&table_lock, &now); /* that is: at once or never */
    if (err) {
        return -err;
    }
    sum->value = table[0] + table[1] + table[2] + table[3];
    pthread_mutex_unlock(&table_lock);
    return 0;
}

static void unlock_in_done(loomp_job *job, int status)
{
    (void)job, (void)status;
    unlock_result = pthread_mutex_unlock(&table_lock);
}

static int nothing(loomp_job *job)
{
    (void)job;
    return 0;
}

static int sum_of_copy(loomp_job *job)
{
    struct sum *sum = LOOMP_CONTAINER(job, struct sum, job);
    sum->value = sum->copy[0] + sum->copy[1] + sum->copy[2] + sum->copy[3];
    return 0;
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(1);
    loomp_group group;
    loomp_group_init(&group, runtime);
    pthread_mutexattr_t checked;
    pthread_mutexattr_init(&checked);
    pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&table_lock, &checked);

    /* Pitfall 1: wait with the lock in hand. */
    struct sum sum = {.job = LOOMP_JOB_INIT(sum_under_lock, NULL)};
    sum.job.group = &group;
    pthread_mutex_lock(&table_lock);
    EXPECT(loomp_submit(runtime, &sum.job) == 0);
    int err = loomp_group_wait(&group, -1);
    pthread_mutex_unlock(&table_lock);
    printf("lock held while waiting: the job got \"%s\" for the lock\n", loomp_strerror(err));
    EXPECT(err == -ETIMEDOUT);

    /* Pitfall 2: lock here, unlock in done. */
    loomp_job job = LOOMP_JOB_INIT(nothing, unlock_in_done);
    job.group = &group;
    pthread_mutex_lock(&table_lock);
    EXPECT(loomp_submit(runtime, &job) == 0 && loomp_group_wait(&group, -1) == 0);
    printf("unlock in done, on another thread: \"%s\"\n", loomp_strerror(-unlock_result));
    EXPECT(unlock_result == EPERM);
    pthread_mutex_unlock(&table_lock);

    /* The pattern: copy under the lock, let it go, submit. */
    loomp_job_init(&sum.job, sum_of_copy, NULL);
    sum.job.group = &group;
    pthread_mutex_lock(&table_lock);
    for (int i = 0; i < 4; i++) {
        sum.copy[i] = table[i];
    }
    pthread_mutex_unlock(&table_lock);
    EXPECT(loomp_submit(runtime, &sum.job) == 0 && loomp_group_wait(&group, -1) == 0);
    printf("copied under the lock, then submitted: %g\n", sum.value);
    EXPECT(sum.value == 10);
    pthread_mutexattr_destroy(&checked);
    pthread_mutex_destroy(&table_lock);
    return pattern_end(runtime);
}
