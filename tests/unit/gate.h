/* SPDX-License-Identifier: MIT */
/* What the tests of threads share: a runtime with the number of workers under test, and a gate that
 * threads wait at until a test opens it, instead of sleeping and hoping. */
#ifndef LP_TESTS_GATE_H
#define LP_TESTS_GATE_H

#include "harness.h"

#include <loomp.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct gate {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    bool open;
    int arrived;
};

#define GATE_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0}

/* Counts the caller in and waits until the gate is open. */
static inline void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->arrived++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

/* Counts the caller in without waiting. */
static inline void gate_arrive(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->arrived++;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static inline void gate_wait_for_arrivals(struct gate *gate, int count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->arrived < count) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

static inline void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static inline void gate_init(struct gate *gate)
{
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    gate->open = false;
    gate->arrived = 0;
}

/* LOOMP_TEST_WORKERS, as with-workers.sh sets it; "all" or nothing: 0, which the plan turns into one
 * for each core that the loop leaves. */
static inline int workers_under_test(void)
{
    const char *text = getenv("LOOMP_TEST_WORKERS");
    return text ? atoi(text) : 0;
}

/* A runtime with that many workers; settings are "key", "value", ..., NULL. NULL with a noted failure
 * if it does not start. */
static inline loomp_runtime *runtime_with(int workers, const char *const *settings)
{
    loomp_runtime *runtime = NULL;
    loomp_config *config = loomp_config_new();
    loomp_config_set_int(config, "compute.threads", workers);
    int err = 0;
    for (; !err && settings && settings[0]; settings += 2) {
        err = loomp_config_set(config, settings[0], settings[1]);
    }
    if (!err) {
        err = loomp_start(&runtime, config);
    }
    loomp_config_free(config);
    if (err) {
        harness_note(false, __FILE__, __LINE__, loomp_error());
        return NULL;
    }
    return runtime;
}

static inline loomp_runtime *runtime_under_test(void)
{
    return runtime_with(workers_under_test(), NULL);
}

#endif
