/* SPDX-License-Identifier: MIT */
/* EP of the NAS parallel benchmarks: pairs of random numbers in the unit square, those in the
 * circle turned into Gaussian deviates, their sums, and a count of them by size. Loops that share
 * nothing but their reductions: one loop of a region of its own, or a taskloop.
 *
 * Any thread may enter it, several at once; a batch starts at its own place of the random sequence,
 * so that batches may be computed in any order. */
#include "kernels.h"
#include "npb_random.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>

enum { BATCH_PAIRS = 1 << 16, RINGS = 10 };

struct problem {
    int batches;
    double sum_x, sum_y; /* known */
};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){1 << 8, -3.247834652034740e3, -6.958407078382297e3};
        return 0;
    case 'W':
        *problem = (struct problem){1 << 9, -2.863319731645753e3, -6.320053679109499e3};
        return 0;
    default:
        return -EINVAL;
    }
}

static void compute_batch(int batch, double *sum_x, double *sum_y, double ring[RINGS])
{
    uint64_t state = npb_random_skip(UINT64_C(271828183), (uint64_t)batch * 2 * BATCH_PAIRS);
    double x_sum = 0, y_sum = 0;
    for (int pair = 0; pair < BATCH_PAIRS; pair++) {
        double x = 2 * npb_random(&state, NPB_RANDOM_A) - 1;
        double y = 2 * npb_random(&state, NPB_RANDOM_A) - 1;
        double square = x * x + y * y;
        if (square <= 1) {
            double factor = sqrt(-2 * log(square) / square);
            x *= factor;
            y *= factor;
            ring[(int)fmax(fabs(x), fabs(y))]++;
            x_sum += x;
            y_sum += y;
        }
    }
    *sum_x += x_sum;
    *sum_y += y_sum;
}

/* The sums are known; that each pair that was counted lies in one ring follows from how many there
 * are: about pi / 4 of all. */
static void judge(const struct problem *problem, double sum_x, double sum_y,
                  const double ring[RINGS], struct kernel_result *result)
{
    double pairs = 0;
    for (int r = 0; r < RINGS; r++) {
        pairs += ring[r];
    }
    double share = pairs / ((double)problem->batches * BATCH_PAIRS);
    result->value[0] = sum_x;
    result->value[1] = sum_y;
    result->value[2] = pairs;
    result->value[3] = share;
    result->count = problem->batches;
    result->verified = kernel_close(sum_x, problem->sum_x, 1e-8) &&
                       kernel_close(sum_y, problem->sum_y, 1e-8) &&
                       kernel_close(share, 0.7853981633974483, 1e-3);
    snprintf(result->text, sizeof result->text, "sums %.15e %.15e", sum_x, sum_y);
}

int ep_region(char size, struct kernel_result *result)
{
    struct problem problem;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    double sum_x = 0, sum_y = 0, ring[RINGS] = {0}, start = kernel_clock();
    int threads = 1;
#pragma omp parallel reduction(+ : sum_x, sum_y, ring[:RINGS])
    {
#pragma omp for schedule(dynamic, 4)
        for (int batch = 0; batch < problem.batches; batch++) {
            compute_batch(batch, &sum_x, &sum_y, ring);
        }
#pragma omp single nowait
        threads = omp_get_num_threads();
    }
    *result = (struct kernel_result){.seconds = kernel_clock() - start, .threads = threads};
    judge(&problem, sum_x, sum_y, ring, result);
    return 0;
}

int ep_tasks(char size, struct kernel_result *result)
{
    struct problem problem;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    double sum_x = 0, sum_y = 0, ring[RINGS] = {0}, start = kernel_clock();
    size_t batches = (size_t)problem.batches;
    /* The whole of ring, and not ring[:RINGS]: for a section of an array clang 14 makes tasks'
     * copies of one element. */
#pragma omp taskloop grainsize(4) reduction(+ : sum_x, sum_y, ring)
    for (size_t batch = 0; batch < batches; batch++) {
        compute_batch((int)batch, &sum_x, &sum_y, ring);
    }
    *result =
        (struct kernel_result){.seconds = kernel_clock() - start, .threads = omp_get_num_threads()};
    judge(&problem, sum_x, sum_y, ring, result);
    return 0;
}
