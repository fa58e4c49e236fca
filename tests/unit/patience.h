/* SPDX-License-Identifier: MIT */
/* Waiting with an end, for what a test expects and would otherwise hang on: it fails instead, opens
 * its gates and goes on. The limit is no statement about speed. */
#ifndef LP_TESTS_PATIENCE_H
#define LP_TESTS_PATIENCE_H

#include "recorded_job.h"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60 };

/* Whether so many threads have come to the gate. */
static inline bool gate_reached(struct gate *gate, int count)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&gate->lock);
    int err = 0;
    while (gate->arrived < count && err == 0) {
        err = pthread_cond_timedwait(&gate->changed, &gate->lock, &limit);
    }
    bool reached = gate->arrived >= count;
    pthread_mutex_unlock(&gate->lock);
    return reached;
}

static inline int gate_arrivals(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    int arrived = gate->arrived;
    pthread_mutex_unlock(&gate->lock);
    return arrived;
}

static inline bool group_ends(loomp_group *group)
{
    return loomp_group_wait(group, PATIENCE_S) == 0;
}

static inline loomp_pool *compute_of(loomp_runtime *runtime)
{
    return loomp_pool_named(runtime, "compute");
}

/* A job that holds the gang team at the gate: what is submitted behind it waits until the gate opens.
 * Returns when it is there. */
static inline void hold_gang_team(loomp_runtime *runtime, struct recorded_job *gang,
                                  struct gate *gate)
{
    recorded_init(gang, gate);
    gang->job.kind = LOOMP_GANG;
    CHECK(loomp_submit(runtime, &gang->job) == 0);
    gate_wait_for_arrivals(gate, 1);
}

/* Waits for what is under way and stops. */
static inline void expect_stop(loomp_runtime *runtime)
{
    CHECK(loomp_wait_idle(runtime, PATIENCE_S) == 0);
    CHECK(loomp_stop(runtime) == 0);
}

/* Runs the named test of this program in a process of its own with OMP_CANCELLATION, which OpenMP
 * reads once, when it starts. False: this is that process, and the test is to be run here. */
static inline bool runs_with_cancellation_elsewhere(const char *test)
{
    static const char variable[] = "OMP_CANCELLATION";
    if (getenv(variable)) {
        return false;
    }
    extern char **environ;
    char name[128];
    snprintf(name, sizeof name, "%s", test);
    char program[] = "the same";
    char *arguments[] = {program, name, NULL};
    setenv(variable, "true", 1);
    pid_t child;
    int status = -1;
    if (CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0)) {
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    unsetenv(variable);
    return true;
}

#endif
