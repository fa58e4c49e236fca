/* SPDX-License-Identifier: MIT */
/* Ending on SIGTERM. The watcher runs on a loop and may not wait, so loomp_stop refuses there;
 * loomp_shutdown_notify refuses new work from outside, lets accepted work end, and then calls back.
 * Here it lets main() go, which stops. */
#include "pattern.h"

#include <errno.h>
#include <ev.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

enum { STEPS = 5000 };

static loomp_runtime *runtime;
static ev_signal terminate;
static sem_t running, closing, ended;
static int steps;

static int step_work(loomp_job *job)
{
    (void)job;
    return 0;
}

/* A chain of jobs: what accepted work submits is accepted until the end. */
static void step_done(loomp_job *job, int status)
{
    EXPECT(status == 0);
    if (++steps == 1) {
        sem_post(&running);
        return; /* the watcher sets the chain going again, so that it is under way at the signal */
    }
    if (steps < STEPS) {
        EXPECT(loomp_submit(runtime, job) == 0);
    }
}

static void all_done(loomp_runtime *rt, void *arg)
{
    (void)rt, (void)arg;
    sem_post(&ended);
}

static void on_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)events;
    ev_signal_stop(ev, watcher);
    int err = loomp_stop(runtime);
    printf("loomp_stop in the watcher: %s\n", loomp_error());
    EXPECT(err == -EDEADLK);
    EXPECT(loomp_submit(runtime, watcher->data) == 0);
    EXPECT(loomp_shutdown_notify(runtime, loomp_loop_here(), all_done, NULL) == 0);
    sem_post(&closing);
}

static int watch(loomp_loop *loop, void *job)
{
    ev_signal_init(&terminate, on_signal, SIGTERM);
    terminate.data = job;
    ev_signal_start(loomp_loop_ev(loop), &terminate);
    return loomp_submit(runtime, job);
}

int main(void)
{
    static loomp_job step = LOOMP_JOB_INIT(step_work, step_done), late;
    sem_init(&running, 0, 0);
    sem_init(&closing, 0, 0);
    sem_init(&ended, 0, 0);
    runtime = pattern_start(1);
    EXPECT(loomp_run_until_complete(runtime, watch, &step) == 0);
    sem_wait(&running);
    kill(getpid(), SIGTERM);
    while (sem_wait(&closing) && errno == EINTR) {
    }
    loomp_job_init(&late, step_work, NULL);
    int err = loomp_submit(runtime, &late);
    printf("a submit from outside afterwards: %s\n", loomp_error());
    EXPECT(err == -ESHUTDOWN);
    while (sem_wait(&ended) && errno == EINTR) {
    }
    printf("all %d steps that were under way have ended\n", steps);
    EXPECT(steps == STEPS);
    return pattern_end(runtime);
}
