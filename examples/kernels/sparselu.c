/* SPDX-License-Identifier: MIT */
/* The LU factors of a sparse matrix of blocks: per step, a task for each block of its row and its
 * column, then one for each block that both meet in, which comes into being where there was none.
 * How much there is to do differs from step to step, and so does the number of blocks.
 *
 * The functions of a block are not inlined: then one code computes the factors both by tasks and in
 * sequence, however a compiler joins multiplications and additions, and they are equal to the bit.
 * Any thread may enter it, several at once. */
#include "kernels.h"

#include <errno.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONE_CODE __attribute__((noinline))

struct matrix {
    int blocks;     /* a side */
    int side;       /* of a block */
    double **block; /* NULL where it is all zero */
};

struct problem {
    int blocks, side;
};

static int problem_of(char size, struct problem *problem)
{
    switch (size) {
    case 'S':
        *problem = (struct problem){16, 32};
        return 0;
    case 'W':
        *problem = (struct problem){40, 48};
        return 0;
    default:
        return -EINVAL;
    }
}

static double **block_at(const struct matrix *a, int row, int column)
{
    return &a->block[row * a->blocks + column];
}

/* block = L U in place; the diagonal of L is one. */
static ONE_CODE void factor(double *block, int side)
{
    for (int k = 0; k < side; k++) {
        for (int i = k + 1; i < side; i++) {
            block[i * side + k] /= block[k * side + k];
            for (int j = k + 1; j < side; j++) {
                block[i * side + j] -= block[i * side + k] * block[k * side + j];
            }
        }
    }
}

/* block = L^-1 block, by the L of a factored block. */
static ONE_CODE void solve_lower(const double *factors, double *block, int side)
{
    for (int k = 0; k < side; k++) {
        for (int i = k + 1; i < side; i++) {
            for (int j = 0; j < side; j++) {
                block[i * side + j] -= factors[i * side + k] * block[k * side + j];
            }
        }
    }
}

/* block = block U^-1, by the U of a factored block. */
static ONE_CODE void solve_upper(const double *factors, double *block, int side)
{
    for (int i = 0; i < side; i++) {
        for (int k = 0; k < side; k++) {
            block[i * side + k] /= factors[k * side + k];
            for (int j = k + 1; j < side; j++) {
                block[i * side + j] -= block[i * side + k] * factors[k * side + j];
            }
        }
    }
}

/* block -= left * upper */
static ONE_CODE void subtract_product(const double *restrict left, const double *restrict upper,
                                      double *restrict block, int side)
{
    for (int i = 0; i < side; i++) {
        for (int k = 0; k < side; k++) {
            double factor = left[i * side + k];
            for (int j = 0; j < side; j++) {
                block[i * side + j] -= factor * upper[k * side + j];
            }
        }
    }
}

/* The update of a block in step k, which makes it if it is not there. One task only has to do with
 * it in a step. */
static int update(const struct matrix *a, int row, int column, int k)
{
    double **block = block_at(a, row, column);
    if (!*block) {
        *block = calloc((size_t)a->side * (size_t)a->side, sizeof **block);
        if (!*block) {
            return -ENOMEM;
        }
    }
    subtract_product(*block_at(a, row, k), *block_at(a, k, column), *block, a->side);
    return 0;
}

static int factor_alone(const struct matrix *a)
{
    for (int k = 0; k < a->blocks; k++) {
        const double *pivot = *block_at(a, k, k);
        factor(*block_at(a, k, k), a->side);
        for (int i = k + 1; i < a->blocks; i++) {
            if (*block_at(a, k, i)) {
                solve_lower(pivot, *block_at(a, k, i), a->side);
            }
            if (*block_at(a, i, k)) {
                solve_upper(pivot, *block_at(a, i, k), a->side);
            }
        }
        for (int i = k + 1; i < a->blocks; i++) {
            for (int j = k + 1; j < a->blocks; j++) {
                int err = *block_at(a, i, k) && *block_at(a, k, j) ? update(a, i, j, k) : 0;
                if (err) {
                    return err;
                }
            }
        }
    }
    return 0;
}

static int factor_tasks(const struct matrix *a)
{
    int err = 0;
    for (int k = 0; k < a->blocks && !err; k++) {
        double *pivot = *block_at(a, k, k);
        int side = a->side;
        factor(pivot, side);
        for (int i = k + 1; i < a->blocks; i++) {
            double *right = *block_at(a, k, i), *below = *block_at(a, i, k);
            if (right) {
#pragma omp task firstprivate(pivot, right, side)
                solve_lower(pivot, right, side);
            }
            if (below) {
#pragma omp task firstprivate(pivot, below, side)
                solve_upper(pivot, below, side);
            }
        }
#pragma omp taskwait
        for (int i = k + 1; i < a->blocks; i++) {
            for (int j = k + 1; j < a->blocks; j++) {
                if (*block_at(a, i, k) && *block_at(a, k, j)) {
#pragma omp task firstprivate(a, i, j, k) shared(err)
                    {
                        int failed = update(a, i, j, k);
                        if (failed) {
#pragma omp atomic write
                            err = failed;
                        }
                    }
                }
            }
        }
#pragma omp taskwait
    }
    return err;
}

static void matrix_fini(struct matrix *a)
{
    for (int i = 0; a->block && i < a->blocks * a->blocks; i++) {
        free(a->block[i]);
    }
    free(a->block);
}

/* A matrix with blocks round the diagonal, in the first row and column of blocks, and at every
 * third place of every third row; its diagonal is large, so that no pivot vanishes. */
static int matrix_init(struct matrix *a, const struct problem *problem)
{
    int blocks = problem->blocks, side = problem->side;
    size_t cells = (size_t)side * (size_t)side;
    uint32_t random = 20;
    *a = (struct matrix){blocks, side, calloc((size_t)(blocks * blocks), sizeof *a->block)};
    for (int i = 0; i < blocks * blocks; i++) {
        int row = i / blocks, column = i % blocks;
        bool there =
            abs(row - column) <= 1 || row == 0 || column == 0 || (row % 3 == 0 && column % 3 == 0);
        if (a->block && there) {
            a->block[i] = malloc(cells * sizeof **a->block);
        }
        if (!a->block || (there && !a->block[i])) {
            matrix_fini(a);
            return -ENOMEM;
        }
        for (size_t c = 0; there && c < cells; c++) {
            random = random * UINT32_C(1664525) + UINT32_C(1013904223);
            a->block[i][c] = (double)(random >> 8) * 0x1p-24 - 0.5;
        }
        for (int d = 0; row == column && d < side; d++) {
            a->block[i][d * side + d] += blocks * side;
        }
    }
    return 0;
}

/* How many blocks of two matrices differ, in any bit or by being there. */
static int count_different(const struct matrix *a, const struct matrix *b)
{
    size_t bytes = (size_t)a->side * (size_t)a->side * sizeof **a->block;
    int different = 0;
    for (int i = 0; i < a->blocks * a->blocks; i++) {
        const double *one = a->block[i], *other = b->block[i];
        different += one && other ? memcmp(one, other, bytes) != 0 : one != other;
    }
    return different;
}

static int count_blocks(const struct matrix *a)
{
    int count = 0;
    for (int i = 0; i < a->blocks * a->blocks; i++) {
        count += a->block[i] != NULL;
    }
    return count;
}

int sparselu_tasks(char size, struct kernel_result *result)
{
    struct problem problem;
    struct matrix a, plain;
    int err = problem_of(size, &problem);
    if (err) {
        return err;
    }
    err = matrix_init(&a, &problem);
    if (err) {
        return err;
    }
    err = matrix_init(&plain, &problem);
    if (err) {
        goto fini_a;
    }
    int before = count_blocks(&a);
    double start = kernel_clock();
    err = factor_tasks(&a);
    double seconds = kernel_clock() - start;
    err = err ? err : factor_alone(&plain);
    if (!err) {
        int different = count_different(&a, &plain), after = count_blocks(&a);
        *result = (struct kernel_result){.verified = different == 0 && after > before,
                                         .value = {different, before, after},
                                         .count = after,
                                         .seconds = seconds,
                                         .threads = omp_get_num_threads()};
        snprintf(result->text, sizeof result->text, "%d blocks became %d, %d differ", before, after,
                 different);
    }
    matrix_fini(&plain);
fini_a:
    matrix_fini(&a);
    return err;
}

int sparselu_region(char size, struct kernel_result *result)
{
    int err = 0;
#pragma omp parallel
#pragma omp single
    err = sparselu_tasks(size, result);
    return err;
}
