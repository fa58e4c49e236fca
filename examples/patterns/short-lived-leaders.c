/* SPDX-License-Identifier: MIT */
/* Threads of the application's own that live briefly and need a parallel region with tasks. If they
 * led it themselves and then ended, libomp would free what its pooled workers still use, and crash
 * sooner or later, with or without loomp. The safe form shown here: the region is led by loomp's
 * gang team, whose leader never ends, and the thread only waits. */
#include "pattern.h"

#include <pthread.h>

enum { THREADS = 200, TASKS = 64 };

static loomp_runtime *runtime;

static int sum_with_tasks(void *arg)
{
    int sum = 0, from = *(int *)arg;
#pragma omp parallel
#pragma omp single
    for (int i = 0; i < TASKS; i++) {
#pragma omp task firstprivate(i) shared(sum)
        {
#pragma omp atomic
            sum += from + i;
        }
    }
    return sum;
}

static void *short_life(void *arg)
{
    *(int *)arg = loomp_install(runtime, sum_with_tasks, arg);
    return NULL;
}

int main(void)
{
    static pthread_t threads[THREADS];
    static int sums[THREADS];
    runtime = pattern_start(2);
    for (int i = 0; i < THREADS; i++) {
        sums[i] = i;
        EXPECT(pthread_create(&threads[i], NULL, short_life, &sums[i]) == 0);
    }
    int right = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        right += sums[i] == i * TASKS + TASKS * (TASKS - 1) / 2;
    }
    printf("%d of %d threads had their region with tasks, and ended\n", right, THREADS);
    EXPECT(right == THREADS);
    return pattern_end(runtime);
}
