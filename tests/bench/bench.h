/* SPDX-License-Identifier: MIT */
/* What the benchmarks share: samples and their percentiles, and the physical floor of the machine,
 * measured in the same run because it changes between runs. */
#ifndef LP_BENCH_BENCH_H
#define LP_BENCH_BENCH_H

#include <loomp.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static inline double bench_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline double bench_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_summary {
    double p50, p99, max;
};

/* Sorts the samples. */
static inline struct bench_summary bench_summarise(double *samples, long count)
{
    if (count <= 0) {
        return (struct bench_summary){0, 0, 0};
    }
    qsort(samples, (size_t)count, sizeof *samples, bench_compare);
    return (struct bench_summary){samples[count / 2], samples[count * 99 / 100],
                                  samples[count - 1]};
}

static inline void bench_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* One cache line going from one CPU to another and back, in microseconds. */
struct bench_ball {
    _Alignas(128) _Atomic long ball;
    long rounds;
    int cpu;
};

static inline void *bench_return_ball(void *arg)
{
    struct bench_ball *game = arg;
    bench_pin(game->cpu);
    for (long i = 0; i < game->rounds; i++) {
        while (atomic_load_explicit(&game->ball, memory_order_acquire) != 2 * i + 1) {
        }
        atomic_store_explicit(&game->ball, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

static inline double bench_ping_pong_us(int cpu_a, int cpu_b)
{
    struct bench_ball game = {.rounds = 200000, .cpu = cpu_b};
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    pthread_t other;
    pthread_create(&other, NULL, bench_return_ball, &game);
    bench_pin(cpu_a);
    double start = bench_now_us();
    for (long i = 0; i < game.rounds; i++) {
        atomic_store_explicit(&game.ball, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(&game.ball, memory_order_acquire) != 2 * i + 2) {
        }
    }
    double each = (bench_now_us() - start) / (double)game.rounds;
    pthread_join(other, NULL);
    sched_setaffinity(0, sizeof before, &before);
    return each;
}

/* A runtime with settings "key", "value", ..., NULL; ends the program if it does not start. */
static inline loomp_runtime *bench_start(const char *const *settings)
{
    loomp_runtime *runtime = NULL;
    loomp_config *config = loomp_config_new();
    int err = 0;
    for (; !err && settings && settings[0]; settings += 2) {
        err = loomp_config_set(config, settings[0], settings[1]);
    }
    if (!err) {
        err = loomp_start(&runtime, config);
    }
    loomp_config_free(config);
    if (err) {
        fprintf(stderr, "%s\n", loomp_error());
        exit(1);
    }
    return runtime;
}

#endif
