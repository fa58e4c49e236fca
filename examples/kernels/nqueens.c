/* SPDX-License-Identifier: MIT */
/* In how many ways n queens can stand on a board of n by n with none attacking another: a task for
 * each place in the first rows, whose subtrees are of very different sizes. The counts of a row's
 * tasks are added by the one that created them.
 *
 * A row is a set of bits: the columns that are taken, and those under attack along the diagonals,
 * which move by one from row to row. Any thread may enter it, several at once. */
#include "kernels.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>

enum { LARGEST = 14, TASK_ROWS = 4 };

struct problem {
    int n;
    int solutions; /* known */
};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){12, 14200};
        return 0;
    case 'W':
        *problem = (struct problem){LARGEST, 365596};
        return 0;
    default:
        return -EINVAL;
    }
}

static int count_alone(unsigned board, unsigned columns, unsigned left, unsigned right)
{
    int count = columns == board;
    unsigned open = board & ~(columns | left | right);
    while (open) {
        unsigned queen = open & -open;
        open ^= queen;
        count += count_alone(board, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return count;
}

static int count(unsigned board, int row, unsigned columns, unsigned left, unsigned right)
{
    if (row == TASK_ROWS) {
        return count_alone(board, columns, left, right);
    }
    int below[LARGEST], tasks = 0, sum = 0;
    unsigned open = board & ~(columns | left | right);
    while (open) {
        unsigned queen = open & -open;
        open ^= queen;
        int *result = &below[tasks++];
#pragma omp task firstprivate(result, queen)
        *result = count(board, row + 1, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
#pragma omp taskwait
    for (int i = 0; i < tasks; i++) {
        sum += below[i];
    }
    return sum;
}

int nqueens_tasks(char size, struct kernel_result *result)
{
    struct problem problem;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    double start = kernel_clock();
    int solutions = count((1u << problem.n) - 1, 0, 0, 0, 0);
    *result = (struct kernel_result){.verified = solutions == problem.solutions,
                                     .value = {solutions},
                                     .count = solutions,
                                     .seconds = kernel_clock() - start,
                                     .threads = omp_get_num_threads()};
    snprintf(result->text, sizeof result->text, "%d queens: %d ways", problem.n, solutions);
    return 0;
}

int nqueens_region(char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = nqueens_tasks(size, result);
    return err;
}
