/* SPDX-License-Identifier: MIT */
/* A job that sleeps in read() holds its CPU's worker and everything queued behind it. In the pool
 * `blocking` it holds a thread of which there can be many, and no CPU. */
#include "pattern.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

enum { READERS = 8 };

struct reader {
    loomp_job job;
    int fd;
};

static sem_t reading, computed, ended;
static atomic_int order;
static int compute_came, read_came;

static int read_work(loomp_job *job)
{
    char byte;
    sem_post(&reading);
    ssize_t got = read(LOOMP_CONTAINER(job, struct reader, job)->fd, &byte, 1);
    return got == 1 ? 0 : -1;
}

static void read_done(loomp_job *job, int status)
{
    (void)job;
    EXPECT(status == 0);
    read_came = ++order;
    sem_post(&ended);
}

static int compute_work(loomp_job *job)
{
    (void)job;
    return 0;
}

static void compute_done(loomp_job *job, int status)
{
    (void)job, (void)status;
    compute_came = ++order;
    sem_post(&computed);
}

int main(void)
{
    loomp_runtime *runtime = pattern_start(1);
    struct reader readers[READERS];
    int ends[2];
    sem_init(&reading, 0, 0);
    sem_init(&computed, 0, 0);
    sem_init(&ended, 0, 0);
    if (pipe(ends)) {
        return 1;
    }
    for (int i = 0; i < READERS; i++) {
        loomp_job_init(&readers[i].job, read_work, read_done);
        readers[i].fd = ends[0];
    }
    loomp_job compute = LOOMP_JOB_INIT(compute_work, compute_done);

    /* The pitfall: the reader in the pool `compute`. */
    EXPECT(loomp_submit(runtime, &readers[0].job) == 0);
    sem_wait(&reading);
    EXPECT(loomp_submit(runtime, &compute) == 0);
    EXPECT(loomp_job_state(&compute) == LOOMP_JOB_QUEUED);
    EXPECT(write(ends[1], "x", 1) == 1); /* without this nothing would ever run again */
    sem_wait(&ended);
    sem_wait(&computed);
    printf("read() in compute:  the job behind it ended %s it\n",
           compute_came > read_came ? "after" : "before");
    EXPECT(compute_came > read_came);

    /* The pattern: eight of them sleep at once in the pool `blocking`, and compute goes on. */
    for (int i = 0; i < READERS; i++) {
        EXPECT(loomp_submit_blocking(runtime, &readers[i].job) == 0);
    }
    for (int i = 0; i < READERS; i++) {
        sem_wait(&reading);
    }
    EXPECT(loomp_submit(runtime, &compute) == 0);
    sem_wait(&computed); /* nothing has been written yet */
    printf("read() in blocking: %d readers asleep at once, the job in compute ended before all\n",
           READERS);
    EXPECT(write(ends[1], "xxxxxxxx", READERS) == READERS);
    for (int i = 0; i < READERS; i++) {
        sem_wait(&ended);
    }
    return pattern_end(runtime);
}
