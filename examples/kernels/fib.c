/* SPDX-License-Identifier: MIT */
/* Fibonacci numbers by their definition: a task for each call but the smallest, which makes a
 * binary tree of tasks that do nothing but create two others, wait and add. What it costs is what
 * tasks cost. Any thread may enter it, several at once. */
#include "kernels.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>

struct problem {
    int n;
    int leaf; /* calls from here on create no tasks */
    long value;
};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){25, 6, 75025};
        return 0;
    case 'W':
        *problem = (struct problem){38, 16, 39088169};
        return 0;
    default:
        return -EINVAL;
    }
}

static long fib_alone(int n)
{
    return n < 2 ? n : fib_alone(n - 1) + fib_alone(n - 2);
}

static long fib(int n, int leaf)
{
    if (n <= leaf) {
        return fib_alone(n);
    }
    long first, second;
#pragma omp task shared(first)
    first = fib(n - 1, leaf);
#pragma omp task shared(second)
    second = fib(n - 2, leaf);
#pragma omp taskwait
    return first + second;
}

int fib_tasks(char size, struct kernel_result *result)
{
    struct problem problem;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    double start = kernel_clock();
    long value = fib(problem.n, problem.leaf);
    *result = (struct kernel_result){.verified = value == problem.value,
                                     .value = {(double)value},
                                     .count = (int)value,
                                     .seconds = kernel_clock() - start,
                                     .threads = omp_get_num_threads()};
    snprintf(result->text, sizeof result->text, "fib(%d) = %ld", problem.n, value);
    return 0;
}

int fib_region(char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = fib_tasks(size, result);
    return err;
}
